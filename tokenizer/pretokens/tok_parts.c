/* tok_parts.c - see tok_parts.h. */
#include "tok_parts.h"

#include <string.h>

enum { DEPTH_MAX = 8 }; /* a file may be made to nest */

typedef struct parts {
    const char *what, *list;
    tok_part_fn fn;
    void *ctx;
} parts;

static int each(const parts *p, const json_t *o, int depth, ds_err *err)
{
    const char *type = json_string_value(json_object_get(o, "type"));
    if (type == NULL)
        return ds_fail(err, DS_FAIL, "%s %s", p->what,
                       json_is_object(o) ? "has no type" : "is not an object");
    if (strcmp(type, "Sequence") != 0)
        return p->fn(p->ctx, o, type, err);
    const json_t *list = json_object_get(o, p->list);
    if (!json_is_array(list))
        return ds_fail(err, DS_FAIL, "%s: Sequence without a list of %s", p->what, p->list);
    if (depth > DEPTH_MAX)
        return ds_fail(err, DS_FAIL, "%s: Sequences nest too deeply", p->what);
    int rc = 0;
    for (size_t i = 0; i < json_array_size(list) && rc == 0; i++)
        rc = each(p, json_array_get(list, i), depth + 1, err);
    return rc;
}

int ds_tok_parts_each(const json_t *o, const char *what, const char *list, tok_part_fn fn,
                      void *ctx, ds_err *err)
{
    const parts p = {what, list, fn, ctx};
    return o == NULL || json_is_null(o) ? 0 : each(&p, o, 0, err);
}
