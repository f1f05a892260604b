/* textref.c - see textref.h. */
#include "textref.h"

#include <stdlib.h>
#include <string.h>

int ds_textref_init(ds_textref *r, const ds_schema *s, const char *name, ds_err *err)
{
    const char *dot = strchr(name, '.');
    long k = ds_schema_find(s, name);
    memset(r, 0, sizeof *r);
    if (k < 0 && dot) { /* the longest column name that is followed by a dot */
        for (const char *d = dot; d; d = strchr(d + 1, '.'))
            for (size_t i = 0; i < s->n; i++)
                if (strncmp(s->cols[i].name, name, (size_t)(d - name)) == 0 &&
                    s->cols[i].name[d - name] == 0) {
                    k = (long)i;
                    dot = d;
                }
        if (k >= 0 && s->cols[k].type != DS_JSON)
            return ds_fail(err, DS_FAIL, "column '%s' is %s: only JSON has members",
                           s->cols[k].name, ds_type_name(s->cols[k].type));
        size_t n = k >= 0 ? strlen(dot + 1) : 0;
        if (k >= 0 && !(r->path = calloc(n + 2, 1)))
            return ds_fail_nomem(err);
        for (size_t i = 0; i < n; i++)
            r->path[i] = dot[1 + i] == '.' ? 0 : dot[1 + i];
    }
    if (k < 0)
        return ds_fail(err, DS_FAIL,
                       "no column '%s' in the stream (a member of a column of JSON "
                       "is named COLUMN.MEMBER: meta.%.60s)",
                       name, name);
    if (s->cols[k].type != DS_JSON && s->cols[k].type != DS_UTF8)
        return ds_fail(err, DS_FAIL, "column '%s' is %s, not text", name,
                       ds_type_name(s->cols[k].type));
    r->column = (size_t)k;
    return 0;
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
        if (!v || twice)
            return ds_fail(err, DS_FAIL,
                           v ? "the member \"%.100s\" is there twice" : "no member \"%.100s\"", m);
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
    if (ds_buf_reserve(out, at.len + DS_JSCAN_SLACK))
        return ds_fail_nomem(err);
    out->len += ds_jscan_unescape(out->data + out->len, at.p + 1, at.len - 2);
    return 0;
}
