/* textref.c - see textref.h. */
#include "textref.h"

#include <stdlib.h>
#include <string.h>

#include "colname.h"

/* `m` in an object, or in what is none. */
static int no_member(const ds_jscan *scan, const char *m, ds_err *err)
{
    ds_namelist have = {0};
    if (scan->kind != DS_J_OBJECT)
        return ds_fail(err, DS_FAIL, "no member \"%.100s\": the value is no object", m);
    for (size_t i = 0; i < scan->n; i++)
        ds_namelist_add(&have, scan->v[i].name, scan->v[i].name_len);
    return ds_fail(err, DS_FAIL, "no member \"%.100s\", but: %s", m,
                   have.len > 0 ? have.text : "none");
}

int ds_textref_init(ds_textref *r, const ds_schema *s, const char *name, ds_err *err)
{
    const ds_colnames names = {.schema = s};
    const char *below = NULL;
    const size_t len = strlen(name);
    size_t n = 1;
    memset(r, 0, sizeof *r);
    if (!(r->path = calloc(len + 2, 1)))
        return ds_fail_nomem(err);
    for (size_t i = 0; i < len; i++) {
        r->path[i] = name[i] == '.' ? 0 : name[i];
        n += name[i] == '.';
    }
    int rc = ds_colname_find(&names, r->path, n, &r->column, &below, err);
    if (rc == 0 && s->cols[r->column].type != DS_JSON && s->cols[r->column].type != DS_UTF8)
        rc = ds_fail(err, DS_FAIL, "column '%s' is %s, not text", name,
                     ds_type_name(s->cols[r->column].type));
    const size_t at = below ? (size_t)(below - r->path) : len;
    memmove(r->path, r->path + at, len + 2 - at);
    return rc;
}

void ds_textref_fini(ds_textref *r)
{
    free(r->path);
    memset(r, 0, sizeof *r);
}

int ds_textref_get(const ds_textref *r, const ds_column *col, const ds_value *x, ds_jscan *scan,
                   ds_textat *out, ds_err *err)
{
    *out = (ds_textat){.null = x->null, .json = col->type == DS_JSON, .p = x->p, .len = x->len};
    for (const char *m = r->path; !x->null && m && *m; m += strlen(m) + 1) {
        bool twice = false;
        const ds_jmember *v = NULL;
        int rc = ds_jscan_text(scan, out->p, out->len, DS_JSCAN_DEPTH_MAX);
        if (rc)
            return rc == DS_NOMEM ? ds_fail_nomem(err)
                                  : ds_fail(err, DS_CORRUPT, "JSON at byte %zu: %s", scan->at,
                                            scan->why ? scan->why : "?");
        if (scan->kind == DS_J_OBJECT)
            v = ds_jscan_find(scan, m, strlen(m), &twice);
        if (!v)
            return no_member(scan, m, err);
        if (twice)
            return ds_fail(err, DS_FAIL, "the member \"%.100s\" is there twice", m);
        out->p = v->value;
        out->len = v->value_len;
    }
    if (out->json && !out->null)
        out->null = out->len == 4 && memcmp(out->p, "null", 4) == 0;
    return 0;
}

int ds_textref_text(const ds_textref *r, const ds_column *col, const ds_value *x, ds_jscan *scan,
                    ds_buf *out, bool *null, ds_err *err)
{
    ds_textat at;
    int rc = ds_textref_get(r, col, x, scan, &at, err);
    *null = rc == 0 && at.null;
    if (rc || at.null)
        return rc;
    if (!at.json)
        return ds_buf_put(out, at.p, at.len) ? ds_fail_nomem(err) : 0;
    if (at.len < 2 || at.p[0] != '"')
        return ds_fail(err, DS_FAIL, "the text is not a string");
    if (ds_buf_reserve(out, at.len + DS_JSTRING_SLACK))
        return ds_fail_nomem(err);
    out->len += ds_jstring_unescape(out->data + out->len, at.p + 1, at.len - 2);
    return 0;
}
