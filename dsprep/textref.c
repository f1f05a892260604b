/* textref.c - see textref.h. */
#include "textref.h"

#include <stdlib.h>
#include <string.h>

/* Names for a message, as many whole ones as there is room for. */
typedef struct name_list {
    char text[160];
    size_t len;
    bool full;
} name_list;

static void name_add(name_list *l, const void *name, size_t len)
{
    size_t sep = l->len > 0 ? 2 : 0;
    if (l->full)
        return;
    if (sep + len + sizeof ", ..." > sizeof l->text - l->len) {
        l->full = true;
        name = "...";
        len = 3;
    }
    memcpy(l->text + l->len, ", ", sep);
    memcpy(l->text + l->len + sep, name, len);
    l->len += sep + len;
    l->text[l->len] = 0;
}

int ds_textref_missing(const ds_schema *s, const char *name, bool json, ds_err *err)
{
    name_list have = {0};
    for (size_t i = 0; i < s->n; i++)
        if (s->cols[i].type == DS_UTF8 || (json && s->cols[i].type == DS_JSON))
            name_add(&have, s->cols[i].name, strlen(s->cols[i].name));
    const char *list = have.len > 0 ? have.text : "none";
    if (!json)
        return ds_fail(err, DS_FAIL,
                       "no column '%.100s' in the stream, whose columns of text are: %s", name,
                       list);
    return ds_fail(err, DS_FAIL,
                   "no column '%.100s' in the stream, whose columns of text and JSON are: %s (a "
                   "member of a column of JSON is named COLUMN.MEMBER: meta.%.60s)",
                   name, list, name);
}

/* `m` in an object, or in what is none. */
static int no_member(const ds_jscan *scan, const char *m, ds_err *err)
{
    name_list have = {0};
    if (scan->kind != DS_J_OBJECT)
        return ds_fail(err, DS_FAIL, "no member \"%.100s\": the value is no object", m);
    for (size_t i = 0; i < scan->n; i++)
        name_add(&have, scan->v[i].name, scan->v[i].name_len);
    return ds_fail(err, DS_FAIL, "no member \"%.100s\", but: %s", m,
                   have.len > 0 ? have.text : "none");
}

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
        return ds_textref_missing(s, name, true, err);
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
    if (ds_buf_reserve(out, at.len + DS_JSCAN_SLACK))
        return ds_fail_nomem(err);
    out->len += ds_jscan_unescape(out->data + out->len, at.p + 1, at.len - 2);
    return 0;
}
