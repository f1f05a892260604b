/* mapcol.c - see mapcol.h. */
#include "mapcol.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dsr_jsoncheck.h"
#include "json.h"
#include "jsonrow.h"
#include "utf8.h"

enum kind { VALUE, TEXT, OBJECT };

/* A piece of a template (what stands before the expression), or a member. */
typedef struct part {
    char *text;
    size_t len;
    ds_where *w; /* NULL: none */
} part;

struct ds_mapcol {
    enum kind kind;
    enum ds_type type;
    ds_colnames names;
    long base;
    part *v;
    size_t n, cap;
};

/* ---- what it is made of ---- */

void ds_mapcol_free(ds_mapcol *m)
{
    for (size_t i = 0; m && i < m->n; i++) {
        free(m->v[i].text);
        ds_where_free(m->v[i].w);
    }
    if (m)
        free(m->v);
    free(m);
}

enum ds_type ds_mapcol_type(const ds_mapcol *m)
{
    return m->type;
}

static int new_column(ds_mapcol **out, enum kind kind, enum ds_type type, const ds_colnames *names,
                      ds_err *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return ds_fail_nomem(err);
    **out = (ds_mapcol){.kind = kind, .type = type, .names = *names, .base = -1};
    return 0;
}

/* Takes over the text, in every case. */
static int add_part(ds_mapcol *m, char *text, size_t len, const char *expr, size_t expr_len,
                    ds_err *err)
{
    if (!text || ds_grow(&m->v, &m->cap, m->n, sizeof *m->v)) {
        free(text);
        return ds_fail_nomem(err);
    }
    part *p = &m->v[m->n++];
    *p = (part){.text = text, .len = len};
    if (!expr)
        return 0;
    int rc = ds_where_new(&p->w, expr, expr_len, &m->names, err);
    if (rc == 0 && ds_where_type(p->w) == DS_W_MANY && ds_where_column(p->w) != DS_BYTES)
        rc = ds_fail(err, DS_USAGE, "%.*s: lists, tokens, runs and tensors become nothing else",
                     (int)(expr_len > 80 ? 80 : expr_len), expr);
    return rc;
}

static enum ds_type own_type(enum ds_wtype t)
{
    static const enum ds_type of[] = {[DS_W_BOOL] = DS_BOOL,
                                      [DS_W_INT] = DS_I64,
                                      [DS_W_REAL] = DS_F64,
                                      [DS_W_TEXT] = DS_UTF8,
                                      [DS_W_TIME] = DS_TIMESTAMP};
    return t >= DS_W_BOOL && t <= DS_W_TIME ? of[t] : DS_NTYPES;
}

int ds_mapcol_value(ds_mapcol **out, const char *expr, size_t len, enum ds_type type,
                    const ds_colnames *names, ds_err *err)
{
    int rc = new_column(out, VALUE, type, names, err);
    if (rc == 0)
        rc = add_part(*out, strdup(""), 0, expr, len, err);
    if (rc)
        return rc;
    const enum ds_wtype t = ds_where_type((*out)->v[0].w);
    if (type == DS_NTYPES && ((*out)->type = own_type(t)) == DS_NTYPES)
        return ds_fail(err, DS_USAGE, "%.*s: its type is not known before; say NAME:TYPE=EXPR",
                       (int)(len > 80 ? 80 : len), expr);
    if (t == DS_W_MANY && type != DS_BYTES && type != DS_UTF8)
        return ds_fail(err, DS_USAGE, "bytes become nothing but utf8");
    return 0;
}

/* Where the expression that begins at p ends: a brace outside of quotes; NULL: nowhere. */
static const char *closing(const char *p)
{
    for (char quote = 0; *p; p++) {
        if (quote == '`' || !quote || *p != '\\') {
            if (!quote && *p == '}')
                return p;
            if (quote ? *p == quote : *p == '\'' || *p == '"' || *p == '`')
                quote = quote ? 0 : *p;
        } else if (p[1]) {
            p++;
        }
    }
    return NULL;
}

static int template_part(ds_mapcol *m, ds_buf *text, const char *expr, size_t len, ds_err *err)
{
    const size_t n = text->len;
    char *copy = ds_buf_cstr(text) ? malloc(n + 1) : NULL;
    if (copy)
        memcpy(copy, text->data, n + 1);
    ds_buf_reset(text);
    return add_part(m, copy, n, expr, len, err);
}

/* What the escape stands for; 0: there is none such. */
static char escape(char c)
{
    return c == 'n' ? '\n' : c == 't' ? '\t' : c == '\\' || c == '{' || c == '}' ? c : 0;
}

int ds_mapcol_text(ds_mapcol **out, const char *template, const ds_colnames *names, ds_err *err)
{
    ds_buf text = {0};
    int rc = new_column(out, TEXT, DS_UTF8, names, err);
    if (rc == 0 && ds_utf8_check((const uint8_t *)template, strlen(template)) != strlen(template))
        rc = ds_fail(err, DS_USAGE, "the template is not UTF-8");
    for (const char *p = template; rc == 0 && *p; p++) {
        const long at = p - template;
        if (*p == '{') {
            const char *end = closing(p + 1);
            rc = end ? template_part(*out, &text, p + 1, (size_t)(end - p - 1), err)
                     : ds_fail(err, DS_USAGE, "a brace is not closed");
            if (rc == DS_USAGE)
                (void)ds_err_prefix(err, "template, at byte %ld", at);
            p = end ? end : p;
        } else if (*p == '}' || (*p == '\\' && !escape(p[1]))) {
            rc = ds_fail(err, DS_USAGE,
                         "template, at byte %ld: \\n \\t \\\\ \\{ \\} are what a backslash is for, "
                         "and braces hold expressions",
                         at);
        } else if (ds_buf_putc(&text, (uint8_t)(*p == '\\' ? escape(*++p) : *p))) {
            rc = ds_fail_nomem(err);
        }
    }
    if (rc == 0)
        rc = template_part(*out, &text, NULL, 0, err);
    ds_buf_fini(&text);
    return rc;
}

int ds_mapcol_object(ds_mapcol **out, long base, const ds_colnames *names, ds_err *err)
{
    int rc = new_column(out, OBJECT, DS_JSON, names, err);
    if (rc == 0)
        (*out)->base = base;
    return rc;
}

static const part *find_part(const ds_mapcol *m, const uint8_t *name, size_t len)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->v[i].len == len && memcmp(m->v[i].text, name, len) == 0)
            return &m->v[i];
    return NULL;
}

int ds_mapcol_member(ds_mapcol *m, const char *name, const char *expr, ds_err *err)
{
    const size_t len = strlen(name);
    if (m->kind != OBJECT || find_part(m, (const uint8_t *)name, len))
        return ds_fail(err, DS_USAGE, "it is made twice");
    if (ds_utf8_check((const uint8_t *)name, len) != len)
        return ds_fail(err, DS_USAGE, "the member's name is not UTF-8");
    return add_part(m, strdup(name), len, expr, expr ? strlen(expr) : 0, err);
}

/* ---- conversions ---- */

/* 1, with what was there (the beginning of it) in k->why. */
static int refuse(ds_mapwork *k, const void *p, size_t len, const char *what, ds_err *err)
{
    enum { SHOWN = 60 };
    const size_t n = ds_utf8_whole(p, len, SHOWN);
    ds_buf_reset(&k->why);
    if (ds_json_name(&k->why, p ? p : "", n) || (n < len && ds_buf_puts(&k->why, "...")) ||
        ds_buf_printf(&k->why, " %s", what) || !ds_buf_cstr(&k->why))
        return ds_fail_nomem(err);
    return 1;
}

static bool to_i64(const ds_wval *v, int64_t *i)
{
    ds_wval n;
    *i = v->i;
    if (v->type == DS_W_TEXT)
        return ds_number_read(v->p, v->len, &n) && to_i64(&n, i);
    if (v->type == DS_W_REAL) {
        if (!(v->f >= -9223372036854775808.0 && v->f < 9223372036854775808.0) ||
            floor(v->f) != v->f)
            return false;
        *i = (int64_t)v->f;
        return true;
    }
    return v->type != DS_W_MANY;
}

static bool to_f64(const ds_wval *v, double *f)
{
    ds_wval n = *v;
    const bool text = v->type == DS_W_TEXT;
    if (text && !ds_number_read(v->p, v->len, &n))
        return false;
    *f = n.type == DS_W_REAL ? n.f : (double)n.i;
    return n.type == DS_W_REAL || n.type == DS_W_BOOL ||
           (n.type == DS_W_INT && (text || (*f < 9223372036854775808.0 && (int64_t)*f == n.i)));
}

static bool to_bool(const ds_wval *v, int64_t *i)
{
    if (v->type == DS_W_TEXT && v->len == 4 && memcmp(v->p, "true", 4) == 0)
        return *i = 1, true;
    if (v->type == DS_W_TEXT && v->len == 5 && memcmp(v->p, "false", 5) == 0)
        return *i = 0, true;
    return v->type != DS_W_TIME && to_i64(v, i) && (*i == 0 || *i == 1);
}

static bool to_time(const ds_wval *v, int64_t *ns)
{
    *ns = v->i;
    return v->type == DS_W_TEXT ? ds_time_read(v->p, v->len, ns)
                                : v->type == DS_W_TIME || v->type == DS_W_INT;
}

/* Appends it to k->out as text; `raw` is what a name stands for, or NULL. */
static int to_text(ds_mapwork *k, const ds_wval *v, const uint8_t *raw, size_t raw_len, ds_err *err)
{
    int rc;
    if (v->type != DS_W_MANY)
        rc = ds_wval_text(&k->out, v);
    else if (!raw || ds_utf8_check(raw, raw_len) != raw_len)
        return refuse(k, raw, raw_len, "is no text", err);
    else
        rc = ds_buf_put(&k->out, raw, raw_len);
    return rc ? ds_fail_nomem(err) : 0;
}

/* Appends it as a JSON value: texts in quotes. */
static int to_json(ds_mapwork *k, const ds_wval *v, const uint8_t *raw, size_t raw_len, bool json,
                   ds_err *err)
{
    int rc = 0;
    if (raw && json)
        rc = ds_buf_put(&k->out, raw, raw_len);
    else if (v->type == DS_W_NULL)
        rc = ds_buf_puts(&k->out, "null");
    else if (v->type == DS_W_TEXT)
        rc = ds_json_str(&k->out, v->p ? (const char *)v->p : "", v->len);
    else if (v->type == DS_W_MANY)
        return refuse(k, raw, raw_len, "is bytes, which JSON does not hold", err);
    else if (v->type == DS_W_TIME)
        rc = ds_buf_putc(&k->out, '"') || ds_wval_text(&k->out, v) || ds_buf_putc(&k->out, '"');
    else
        rc = ds_wval_text(&k->out, v);
    return rc ? ds_fail_nomem(err) : 0;
}

/* A text that is JSON, as a JSON value. */
static int parse_json(ds_mapwork *k, const ds_wval *v, ds_err *err)
{
    int rc = ds_jscan_text(&k->scan, v->p ? v->p : (const uint8_t *)"", v->len, DS_JSCAN_DEPTH_MAX);
    if (rc == DS_FAIL)
        return refuse(k, v->p, v->len, "is no JSON", err);
    return rc || ds_jscan_minify(&k->out, v->p, v->len) ? ds_fail_nomem(err) : 0;
}

static int put_out(const ds_mapcol *m, ds_mapwork *k, ds_madecol *out, ds_err *err)
{
    size_t at;
    if (m->type == DS_JSON && ds_jsoncheck(k->out.data, k->out.len, NULL, 0, &at))
        return refuse(k, k->out.data, k->out.len, "is nested deeper than JSON columns may be", err);
    return ds_made_bytes(out, k->out.data, k->out.len, err);
}

/* The expression of a part, and what it stands for if it is a name. */
static int part_value(const ds_mapcol *m, ds_mapwork *k, size_t i, const ds_colview *views,
                      const ds_value *values, ds_wval *v, const uint8_t **raw, size_t *len,
                      ds_err *err)
{
    const ds_where *w = m->v[i].w;
    const enum ds_type t = ds_where_column(w);
    int rc = ds_where_eval(w, &k->where[i], views, values, v, err);
    *raw = NULL;
    *len = 0;
    if (rc == 0 && (t == DS_JSON || t == DS_BYTES))
        rc = ds_where_bytes(w, &k->where[i], values, raw, len, err);
    return rc;
}

static int make_value(const ds_mapcol *m, ds_mapwork *k, const ds_colview *views,
                      const ds_value *values, ds_madecol *out, ds_err *err)
{
    ds_wval v;
    const uint8_t *raw;
    size_t len;
    int64_t i = 0;
    double f = 0;
    bool ok = false;
    int rc = part_value(m, k, 0, views, values, &v, &raw, &len, err);
    if (rc || v.type == DS_W_NULL)
        return rc ? rc : ds_made_null(out, err);
    const bool json = ds_where_column(m->v[0].w) == DS_JSON;
    switch (m->type) {
    case DS_UTF8:
    case DS_BYTES:
        if (m->type == DS_BYTES && raw && !json)
            return ds_made_bytes(out, raw, len, err);
        rc = to_text(k, &v, raw, len, err);
        return rc ? rc : put_out(m, k, out, err);
    case DS_JSON:
        rc = v.type == DS_W_TEXT && !json ? parse_json(k, &v, err)
                                          : to_json(k, &v, raw, len, json, err);
        return rc ? rc : put_out(m, k, out, err);
    case DS_F64:
        if (to_f64(&v, &f))
            return ds_made_f64(out, f, err);
        break;
    default:
        ok = m->type == DS_BOOL  ? to_bool(&v, &i)
             : m->type == DS_I64 ? to_i64(&v, &i)
                                 : to_time(&v, &i);
        if (ok)
            return ds_made_i64(out, i, err);
    }
    char what[32];
    (void)snprintf(what, sizeof what, "is no %s", ds_type_name(m->type));
    if (v.type == DS_W_MANY)
        return refuse(k, raw, len, what, err);
    ds_buf_reset(&k->out);
    return ds_wval_text(&k->out, &v) ? ds_fail_nomem(err)
                                     : refuse(k, k->out.data, k->out.len, what, err);
}

static int make_text(const ds_mapcol *m, ds_mapwork *k, const ds_colview *views,
                     const ds_value *values, ds_madecol *out, ds_err *err)
{
    for (size_t i = 0; i < m->n; i++) {
        ds_wval v;
        const uint8_t *raw;
        size_t len;
        if (ds_buf_put(&k->out, m->v[i].text, m->v[i].len))
            return ds_fail_nomem(err);
        if (!m->v[i].w)
            continue;
        int rc = part_value(m, k, i, views, values, &v, &raw, &len, err);
        if (rc == 0 && v.type == DS_W_NULL)
            return ds_made_null(out, err);
        if (rc == 0)
            rc = to_text(k, &v, raw, len, err);
        if (rc)
            return rc;
    }
    return put_out(m, k, out, err);
}

/* The members that stay, as they are written. */
static int old_members(const ds_mapcol *m, ds_mapwork *k, const ds_value *x, ds_err *err)
{
    ds_buf name = {0};
    int rc = ds_jscan_text(&k->scan, x->p, x->len, DS_JSCAN_DEPTH_MAX);
    if (rc || k->scan.kind != DS_J_OBJECT)
        return rc == DS_NOMEM ? ds_fail_nomem(err)
                              : refuse(k, x->p, x->len, "is no JSON object", err);
    for (size_t i = 0; rc == 0 && i < k->scan.n; i++) {
        const ds_jmember *j = &k->scan.v[i];
        const bool first = k->out.len == 1;
        ds_buf_reset(&name);
        if (ds_buf_reserve(&name, j->name_len + DS_JSTRING_SLACK)) {
            rc = ds_fail_nomem(err);
            break;
        }
        name.len = ds_jstring_unescape(name.data, j->name, j->name_len);
        if (find_part(m, name.data, name.len))
            continue;
        if ((!first && ds_buf_putc(&k->out, ',')) || ds_buf_putc(&k->out, '"') ||
            ds_buf_put(&k->out, j->name, j->name_len) || ds_buf_puts(&k->out, "\":") ||
            ds_buf_put(&k->out, j->value, j->value_len))
            rc = ds_fail_nomem(err);
    }
    ds_buf_fini(&name);
    return rc;
}

static bool sets_members(const ds_mapcol *m)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->v[i].w)
            return true;
    return false;
}

static int make_object(const ds_mapcol *m, ds_mapwork *k, const ds_colview *views,
                       const ds_value *values, ds_madecol *out, ds_err *err)
{
    const ds_value *x = m->base < 0 ? NULL : &values[m->base];
    int rc = 0;
    if (x && x->null && !sets_members(m))
        return ds_made_null(out, err);
    if (ds_buf_putc(&k->out, '{'))
        return ds_fail_nomem(err);
    if (x && !x->null)
        rc = old_members(m, k, x, err);
    for (size_t i = 0; rc == 0 && i < m->n; i++) {
        ds_wval v;
        const uint8_t *raw;
        size_t len;
        if (!m->v[i].w)
            continue;
        if ((k->out.len > 1 && ds_buf_putc(&k->out, ',')) ||
            ds_json_str(&k->out, m->v[i].text, m->v[i].len) || ds_buf_putc(&k->out, ':'))
            return ds_fail_nomem(err);
        rc = part_value(m, k, i, views, values, &v, &raw, &len, err);
        if (rc == 0)
            rc = to_json(k, &v, raw, len, ds_where_column(m->v[i].w) == DS_JSON, err);
    }
    if (rc == 0 && ds_buf_putc(&k->out, '}'))
        rc = ds_fail_nomem(err);
    return rc ? rc : put_out(m, k, out, err);
}

int ds_mapcol_make(const ds_mapcol *m, ds_mapwork *k, const ds_colview *views,
                   const ds_value *values, ds_madecol *out, ds_err *err)
{
    if (!k->where && !(k->where = calloc(m->n + 1, sizeof *k->where)))
        return ds_fail_nomem(err);
    k->n = m->n;
    ds_buf_reset(&k->out);
    int rc = m->kind == VALUE  ? make_value(m, k, views, values, out, err)
             : m->kind == TEXT ? make_text(m, k, views, values, out, err)
                               : make_object(m, k, views, values, out, err);
    if (rc == 1) {
        const int no = ds_made_null(out, err);
        return no ? no : 1;
    }
    return rc;
}

void ds_mapwork_fini(ds_mapwork *k)
{
    for (size_t i = 0; k->where && i < k->n; i++)
        ds_wherework_fini(&k->where[i]);
    free(k->where);
    ds_buf_fini(&k->out);
    ds_buf_fini(&k->why);
    ds_jscan_fini(&k->scan);
    memset(k, 0, sizeof *k);
}
