/* rundiff.c - see rundiff.h. */
#include "rundiff.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "try.h"

enum { SHOWN = 200, PATH = 400 }; /* bytes of a value: room for a digest or a list of projections */

static int differ(const char *path, const json_t *was, const json_t *now, ds_err *err)
{
    const json_t *v[] = {was, now};
    char text[2][SHOWN + 4];

    for (int i = 0; i < 2; i++) {
        ds_buf b = {0};
        const int rc = v[i] ? ds_json_dump(&b, v[i], err) : ds_buf_puts(&b, "nothing");
        if (!rc)
            snprintf(text[i], sizeof text[i], "%.*s%s", b.len > SHOWN ? SHOWN : (int)b.len,
                     (const char *)b.data, b.len > SHOWN ? "..." : "");
        ds_buf_fini(&b);
        if (rc)
            return ds_fail_nomem(err);
    }
    return ds_fail(err, DS_FAIL, "%s was %s and is %s", path, text[0], text[1]);
}

/* Members of both; those that only one of them has are nothing in the other. */
static int compare(const char *path, json_t *was, json_t *now, ds_err *err)
{
    json_t *v[] = {was, now}, *member;
    char at[PATH];
    const char *key;

    if (json_is_object(was) && json_is_object(now)) {
        for (int k = 0; k < 2; k++)
            json_object_foreach(v[k], key, member)
            {
                snprintf(at, sizeof at, "%s%s%s", path, *path ? "." : "", key);
                TRY(compare(at, json_object_get(was, key), json_object_get(now, key), err));
            }
        return 0;
    }
    if (json_is_object(json_array_get(was, 0)) && json_is_array(now)) /* the datasets */
        for (size_t i = 0; i < json_array_size(was) || i < json_array_size(now); i++) {
            snprintf(at, sizeof at, "%s[%zu]", path, i);
            TRY(compare(at, json_array_get(was, i), json_array_get(now, i), err));
        }
    return was == now || json_equal(was, now) ? 0 : differ(path, was, now, err);
}

static int parse(json_t **out, const ds_run *r, ds_err *err)
{
    ds_buf b = {0};
    int rc = ds_run_dump(&b, r, err);

    rc = rc ? rc : ds_json_parse(out, b.data, b.len, "the run's description", err);
    ds_buf_fini(&b);
    return rc;
}

int ds_rundiff(const ds_run *was, const ds_run *now, ds_err *err)
{
    json_t *a = NULL, *b = NULL;
    int rc = parse(&a, was, err);

    rc = rc ? rc : parse(&b, now, err);
    rc = rc ? rc : compare("", a, b, err);
    rc = rc ? rc : ds_fail(err, DS_FAIL, "descriptions of runs differ, and no member of them does");
    json_decref(a);
    json_decref(b);
    return rc;
}
