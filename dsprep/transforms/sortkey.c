/* sortkey.c - see sortkey.h. */
#include "sortkey.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum kind { EXPR, KEY, ORIGIN };

typedef struct part {
    enum kind kind;
    ds_where *where;
    bool down;
} part;

struct ds_sortkey {
    const ds_schema *schema;
    part *v;
    size_t n;
};

/* Whatever stands first decides; 0xff stays what it is when a key is turned round. */
enum tag { TAG_BOOL = 1, TAG_NUMBER, TAG_TIME, TAG_TEXT, TAG_ORIGIN, TAG_NULL = 0xff };

/* ---- keys as text ---- */

/* Takes " asc" or " desc" off the end. */
static void direction(const char *text, size_t *len, bool *down)
{
    static const struct {
        const char *word;
        size_t n;
        bool down;
    } w[] = {{" asc", 4, false}, {" desc", 5, true}};
    while (*len && text[*len - 1] == ' ')
        --*len;
    for (size_t i = 0; i < sizeof w / sizeof *w; i++)
        if (*len > w[i].n && memcmp(text + *len - w[i].n, w[i].word, w[i].n) == 0) {
            *len -= w[i].n;
            *down ^= w[i].down;
            return;
        }
}

static int compile(part *p, const ds_colnames *names, const char *text, bool numeric, ds_err *err)
{
    const ds_schema *s = names->schema;
    size_t len = strlen(text);
    ds_buf form = {0};
    direction(text, &len, &p->down);
    const bool key = len == 3 && memcmp(text, "key", 3) == 0,
               origin = len == 6 && memcmp(text, "origin", 6) == 0;
    p->kind = key && !s->explicit_key && ds_schema_find(s, "key") < 0 ? KEY
              : origin && ds_schema_find(s, "origin") < 0             ? ORIGIN
                                                                      : EXPR;
    if (p->kind != EXPR)
        return 0;
    int rc = (numeric && ds_buf_puts(&form, "number(")) || ds_buf_put(&form, text, len) ||
                     (numeric && ds_buf_putc(&form, ')'))
                 ? ds_fail_nomem(err)
                 : 0;
    if (rc == 0)
        rc = ds_where_new(&p->where, (const char *)form.data, form.len, names, err);
    if (rc == 0 && ds_where_type(p->where) == DS_W_MANY)
        rc = ds_fail(err, DS_USAGE, "values of many parts have no order (len(%.*s) has)", (int)len,
                     text);
    ds_buf_fini(&form);
    return rc ? ds_err_prefix(err, "--by %s", text) : 0;
}

int ds_sortkey_new(ds_sortkey **out, const ds_colnames *names, const char *const *by, size_t n,
                   bool numeric, bool reverse, ds_err *err)
{
    ds_sortkey *k = *out = calloc(1, sizeof *k);
    int rc = k && (k->v = calloc(n, sizeof *k->v)) ? 0 : ds_fail_nomem(err);
    if (rc)
        return rc;
    k->schema = names->schema;
    k->n = n;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        k->v[i].down = reverse;
        rc = compile(&k->v[i], names, by[i], numeric, err);
    }
    return rc;
}

void ds_sortkey_free(ds_sortkey *k)
{
    if (!k)
        return;
    for (size_t i = 0; k->v && i < k->n; i++)
        ds_where_free(k->v[i].where);
    free(k->v);
    free(k);
}

/* ---- values as bytes ---- */

static int put_big(ds_buf *out, uint64_t v)
{
    uint8_t b[8];
    ds_set_big(b, v);
    return ds_buf_put(out, b, sizeof b);
}

/* The nearest double, then how much larger the whole number is: so both kinds compare exactly.
 * 2^63 is a double that no int64 is, hence the wider difference. */
static int put_number(ds_buf *out, const ds_wval *v)
{
    __extension__ typedef __int128 wide;
    const double f = v->type == DS_W_INT ? (double)v->i : v->f == 0 ? 0 : v->f;
    const int rest = v->type == DS_W_INT ? (int)((wide)v->i - (wide)f) : 0;
    uint64_t bits;
    memcpy(&bits, &f, sizeof bits);
    bits = bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
    return ds_buf_putc(out, TAG_NUMBER) || put_big(out, bits) ||
           ds_buf_putc(out, (uint8_t)((rest + 0x8000) >> 8)) ||
           ds_buf_putc(out, (uint8_t)(rest + 0x8000));
}

/* A zero byte is written as 00 ff, and 00 00 ends it. */
static int put_text(ds_buf *out, const uint8_t *p, size_t len)
{
    int rc = ds_buf_putc(out, TAG_TEXT);
    while (rc == 0 && len) {
        const uint8_t *zero = memchr(p, 0, len);
        const size_t n = zero ? (size_t)(zero - p) : len;
        rc = ds_buf_put(out, p, n);
        if (rc == 0 && zero)
            rc = ds_buf_put(out, "\0\xff", 2);
        p += n + (zero != NULL);
        len -= n + (zero != NULL);
    }
    return rc ? rc : ds_buf_put(out, "\0\0", 2);
}

static int put_value(ds_buf *out, const ds_wval *v)
{
    switch (v->type) {
    case DS_W_BOOL:
        return ds_buf_putc(out, TAG_BOOL) || ds_buf_putc(out, v->i != 0);
    case DS_W_INT:
        return put_number(out, v);
    case DS_W_REAL:
        return isnan(v->f) ? ds_buf_putc(out, TAG_NULL) : put_number(out, v);
    case DS_W_TIME:
        return ds_buf_putc(out, TAG_TIME) || put_big(out, (uint64_t)v->i ^ UINT64_C(1) << 63);
    case DS_W_TEXT:
        return put_text(out, v->p, v->len);
    default:
        return ds_buf_putc(out, TAG_NULL);
    }
}

/* By the first source, then where in it; the number of ranges ends it. */
static int put_origin(ds_buf *out, const ds_range *g, size_t n)
{
    int rc = ds_buf_putc(out, n ? TAG_ORIGIN : TAG_NULL);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = (i && ds_buf_putc(out, 1)) || put_big(out, g[i].source) || put_big(out, g[i].offset) ||
             put_big(out, g[i].len);
    return rc || !n ? rc : ds_buf_putc(out, 0);
}

static int put_part(const ds_sortkey *k, size_t i, ds_sortwork *w, const ds_colview *views,
                    const ds_value *values, ds_buf *out, ds_err *err)
{
    char derived[33];
    ds_wval v = {.type = DS_W_TEXT, .p = (const uint8_t *)derived, .len = 32};
    int rc = 0;
    if (k->v[i].kind == EXPR)
        rc = ds_where_eval(k->v[i].where, &w->where[i], views, values, &v, err);
    else if (!w->hasher)
        rc = ds_hasher_new(&w->hasher, err);
    if (rc == 0 && k->v[i].kind == KEY)
        rc = ds_key_derive(derived, w->hasher, k->schema, views, values, err);
    return rc ? rc : put_value(out, &v) ? ds_fail_nomem(err) : 0;
}

int ds_sortkey_put(const ds_sortkey *k, ds_sortwork *w, const ds_colview *views,
                   const ds_value *values, const ds_range *ranges, size_t nranges, ds_buf *out,
                   ds_err *err)
{
    int rc = 0;
    if (!w->where) {
        w->where = calloc(k->n, sizeof *w->where);
        w->n = w->where ? k->n : 0;
    }
    if (!w->where)
        return ds_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < k->n; i++) {
        const size_t from = out->len;
        if (k->v[i].kind == ORIGIN)
            rc = put_origin(out, ranges, nranges) ? ds_fail_nomem(err) : 0;
        else
            rc = put_part(k, i, w, views, values, out, err);
        if (rc == 0 && k->v[i].down && out->data[from] != TAG_NULL)
            for (size_t b = from; b < out->len; b++)
                out->data[b] ^= 0xff;
    }
    return rc;
}

void ds_sortwork_fini(ds_sortwork *w)
{
    for (size_t i = 0; i < w->n; i++)
        ds_wherework_fini(&w->where[i]);
    free(w->where);
    ds_hasher_free(w->hasher);
    *w = (ds_sortwork){0};
}
