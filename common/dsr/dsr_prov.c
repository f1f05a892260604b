/* dsr_prov.c - see dsr_prov.h; docs/dsr-format.md, section 6. */
#include "dsr_prov.h"

#include <stdlib.h>
#include <string.h>

#include "hash.h"

#ifndef DS_VERSION
#define DS_VERSION "0"
#endif

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A copy with the members of all objects sorted; NULL when out of memory. */
static json_t *sorted(const json_t *v);

static json_t *sorted_object(json_t *v)
{
    size_t n = json_object_size(v), i = 0;
    const char **names = calloc(n ? n : 1, sizeof *names);
    json_t *out = json_object(), *m;
    const char *name;
    bool ok = names && out;
    if (ok) {
        json_object_foreach(v, name, m) names[i++] = name;
        qsort(names, n, sizeof *names, by_name);
    }
    for (i = 0; i < n && ok; i++)
        ok = json_object_set_new(out, names[i], sorted(json_object_get(v, names[i]))) == 0;
    free(names);
    if (!ok) {
        json_decref(out);
        return NULL;
    }
    return out;
}

static json_t *sorted(const json_t *v)
{
    if (json_is_object(v))
        return sorted_object(
            (json_t *)(uintptr_t)v); /* jansson iterates over non-const objects only */
    if (!json_is_array(v))
        return json_deep_copy(v);
    json_t *out = json_array();
    for (size_t i = 0; out && i < json_array_size(v); i++)
        if (json_array_append_new(out, sorted(json_array_get(v, i))) != 0) {
            json_decref(out);
            return NULL;
        }
    return out;
}

static int put_member(ds_buf *b, const char *name, const json_t *v, ds_err *err)
{
    json_t *s = v ? sorted(v) : json_object();
    int rc = s ? ds_buf_printf(b, ",\"%s\":", name) : DS_NOMEM;
    if (!rc)
        rc = ds_json_dump(b, s, err);
    json_decref(s);
    return rc;
}

static int put_text(ds_buf *b, const char *name, const char *text)
{
    int rc = ds_buf_printf(b, ",\"%s\":", name);
    return rc ? rc : ds_json_str(b, text, strlen(text));
}

/* Appends the canonical text of a step; id gets its 16 digits. */
static int put_step(ds_buf *out, char id[17], const json_t *parents, const char *tool,
                    const char *version, const json_t *options, const json_t *digests, ds_err *err)
{
    ds_buf b = {0}; /* the step without its id */
    ds_sha sha;
    char hex[65];
    int rc = ds_buf_puts(&b, "{\"parents\":");
    if (!rc)
        rc = ds_json_dump(&b, parents, err);
    if (!rc)
        rc = put_text(&b, "tool", tool);
    if (!rc)
        rc = put_text(&b, "version", version);
    if (!rc)
        rc = put_member(&b, "options", options, err);
    if (!rc)
        rc = put_member(&b, "digests", digests, err);
    if (!rc)
        rc = ds_buf_putc(&b, '}');
    if (!rc)
        rc = ds_sha_bytes(&sha, b.data, b.len, err);
    if (!rc) {
        ds_sha_hex(hex, &sha);
        memcpy(id, hex, 16);
        id[16] = '\0';
        rc = ds_buf_printf(out, "{\"id\":\"%s\",", id);
    }
    if (!rc)
        rc = ds_buf_put(out, b.data + 1, b.len - 1);
    ds_buf_fini(&b);
    return rc == DS_NOMEM ? ds_fail_nomem(err) : rc;
}

/* Are these parents strings that name steps before, each once? Marks them as named. */
static int check_parents(json_t *known, const json_t *parents, size_t step, ds_err *err)
{
    if (!json_is_array(parents))
        return ds_fail(err, DS_CORRUPT, "provenance: step %zu has no parents", step);
    for (size_t i = 0; i < json_array_size(parents); i++) {
        const char *id = json_string_value(json_array_get(parents, i));
        const json_t *by = id ? json_object_get(known, id) : NULL;
        if (!by)
            return ds_fail(err, DS_CORRUPT,
                           "provenance: step %zu has a parent that does not stand before it", step);
        if (json_is_integer(by) && json_integer_value(by) == (json_int_t)step)
            return ds_fail(err, DS_CORRUPT, "provenance: step %zu names a parent twice", step);
        if (json_object_set_new(known, id, json_integer((json_int_t)step)) != 0)
            return ds_fail_nomem(err);
    }
    return 0;
}

static int check_step(ds_buf *again, json_t *known, const json_t *step, size_t n, ds_err *err)
{
    const json_t *parents = json_object_get(step, "parents"),
                 *options = json_object_get(step, "options"),
                 *digests = json_object_get(step, "digests");
    const char *tool = json_string_value(json_object_get(step, "tool"));
    const char *version = json_string_value(json_object_get(step, "version"));
    char id[17];
    int rc = check_parents(known, parents, n, err);
    if (rc)
        return rc;
    if (!tool || !version || !json_is_object(options) || !json_is_object(digests))
        return ds_fail(err, DS_CORRUPT, "provenance: step %zu lacks a member", n);
    if (n && ds_buf_putc(again, ','))
        return ds_fail_nomem(err);
    ds_err why = {0};
    rc = put_step(again, id, parents, tool, version, options, digests, &why);
    if (rc)
        return ds_fail(err, rc == DS_NOMEM ? DS_NOMEM : DS_CORRUPT, "provenance: step %zu: %s", n,
                       why.msg);
    if (json_object_get(known, id))
        return ds_fail(err, DS_CORRUPT, "provenance: step %zu stands there twice", n);
    return json_object_set_new(known, id, json_null()) ? ds_fail_nomem(err) : 0;
}

/* Parses and checks; `known` maps the id of each step to the last step that names it, or null;
 * `again` is the same text, without the closing bracket. */
static int load(json_t **known, ds_buf *again, const void *p, size_t len, ds_err *err)
{
    json_t *v = NULL;
    *known = json_object();
    if (!*known || ds_buf_putc(again, '['))
        return ds_fail_nomem(err);
    ds_err why = {0};
    int rc = ds_json_parse(&v, p, len, "provenance", &why);
    if (rc)
        rc = ds_fail(err, rc == DS_NOMEM ? DS_NOMEM : DS_CORRUPT, "%s", why.msg);
    if (!rc && !json_is_array(v))
        rc = ds_fail(err, DS_CORRUPT, "provenance: not an array of steps");
    for (size_t i = 0; !rc && i < json_array_size(v); i++)
        rc = check_step(again, *known, json_array_get(v, i), i, err);
    json_decref(v);
    if (!rc && (again->len + 1 != len || memcmp(again->data, p, len - 1) != 0 ||
                ((const char *)p)[len - 1] != ']'))
        rc = ds_fail(err, DS_CORRUPT, "provenance: not in canonical form, or an id is wrong");
    return rc;
}

int ds_prov_check(const void *p, size_t len, ds_err *err)
{
    json_t *known = NULL;
    ds_buf again = {0};
    int rc = load(&known, &again, p, len, err);
    json_decref(known);
    ds_buf_fini(&again);
    return rc;
}

int ds_prov_append(ds_buf *out, const void *in, size_t len, const char *tool, const json_t *options,
                   const json_t *digests, ds_err *err)
{
    json_t *known = NULL, *parents = json_array(), *by;
    const char *name;
    ds_buf text = {0};
    char id[17];
    int rc = load(&known, &text, len ? in : "[]", len ? len : 2, err);
    if (!rc && !parents)
        rc = ds_fail_nomem(err);
    if (!rc)
        json_object_foreach(known, name, by)
        {
            if (json_is_null(by) && json_array_append_new(parents, json_string(name)) != 0)
                rc = ds_fail_nomem(err);
        }
    if (!rc && json_object_size(known) && ds_buf_putc(&text, ','))
        rc = ds_fail_nomem(err);
    if (!rc)
        rc = put_step(&text, id, parents, tool, DS_VERSION, options, digests, err);
    if (!rc && json_object_get(known, id))
        rc = ds_fail(err, DS_FAIL, "provenance: this very step stands there already");
    if (!rc && (ds_buf_putc(&text, ']') || ds_buf_put(out, text.data, text.len)))
        rc = ds_fail_nomem(err);
    json_decref(known);
    json_decref(parents);
    ds_buf_fini(&text);
    return rc;
}

int ds_prov_union(ds_buf *out, const void *a, size_t alen, const void *b, size_t blen, ds_err *err)
{
    json_t *known = NULL, *more = NULL, *steps = NULL;
    ds_buf text = {0}, other = {0};
    int rc = load(&known, &text, alen ? a : "[]", alen ? alen : 2, err);
    if (!rc)
        rc = load(&more, &other, blen ? b : "[]", blen ? blen : 2, err);
    if (!rc && blen)
        rc = ds_json_parse(&steps, b, blen, "provenance", err);
    for (size_t i = 0; !rc && i < json_array_size(steps); i++) {
        const json_t *step = json_array_get(steps, i);
        const char *id = json_string_value(json_object_get(step, "id"));
        if (!json_object_get(known, id)) /* by its number here: several may share a parent */
            rc = check_step(&text, known, step, json_object_size(known), err);
    }
    if (!rc && (ds_buf_putc(&text, ']') || ds_buf_put(out, text.data, text.len)))
        rc = ds_fail_nomem(err);
    json_decref(known);
    json_decref(more);
    json_decref(steps);
    ds_buf_fini(&text);
    ds_buf_fini(&other);
    return rc;
}
