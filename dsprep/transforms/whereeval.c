/* whereeval.c - see where.h: the value of an expression for one record. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "json.h"
#include "jsonrow.h"
#include "utf8.h"
#include "where_priv.h"

typedef struct eval {
    const ds_where *w;
    ds_wherework *k;
    ds_err *err;
} eval;

static const ds_wval null_value = {.type = DS_W_NULL};

static int value_of(eval *e, int n, ds_wval *out);

/* ---- columns and members of JSON ---- */

bool ds_number_read(const uint8_t *p, size_t len, ds_wval *out)
{
    char text[512], *end;
    if (len == 0 || len >= sizeof text)
        return false;
    memcpy(text, p, len);
    text[len] = 0;
    if (strspn(text, "+-0123456789.eE") != len)
        return false; /* no hex, inf or nan */
    int64_t i = 0;
    const bool minus = text[0] == '-';
    bool whole = len > (size_t)minus;
    for (size_t k = minus; whole && k < len; k++)
        whole = text[k] >= '0' && text[k] <= '9' && !__builtin_mul_overflow(i, 10, &i) &&
                !(minus ? __builtin_sub_overflow(i, text[k] - '0', &i)
                        : __builtin_add_overflow(i, text[k] - '0', &i));
    if (whole) {
        *out = (ds_wval){.type = DS_W_INT, .i = i};
        return true;
    }
    const double f = strtod(text, &end);
    if (*end || end == text || !isfinite(f))
        return false;
    *out = (ds_wval){.type = DS_W_REAL, .f = f};
    return true;
}

/* How many values an array holds that was found well formed. */
static int64_t count_items(const uint8_t *p, size_t len)
{
    int64_t commas = 0, depth = 0;
    bool text = false, any = false;
    for (size_t i = 0; i < len; i++) {
        if (text) {
            i += p[i] == '\\';
            text = i >= len || p[i] != '"';
            continue;
        }
        any = any || (depth == 1 && p[i] != ']' && p[i] != ' ');
        text = p[i] == '"';
        depth += (p[i] == '[' || p[i] == '{') - (p[i] == ']' || p[i] == '}');
        commas += depth == 1 && p[i] == ',';
    }
    return any ? commas + 1 : 0;
}

static int json_value(eval *e, int n, const uint8_t *p, size_t len, ds_wval *out)
{
    ds_buf *b = &e->k->text[n];
    *out = null_value;
    if (len == 0)
        return 0;
    switch (p[0]) {
    case '"':
        ds_buf_reset(b);
        if (ds_buf_reserve(b, len + DS_JSTRING_SLACK))
            return ds_fail_nomem(e->err);
        b->len = ds_jstring_unescape(b->data, p + 1, len - 2);
        *out = (ds_wval){.type = DS_W_TEXT, .p = b->data, .len = b->len};
        return 0;
    case 't':
    case 'f':
        *out = (ds_wval){.type = DS_W_BOOL, .i = p[0] == 't'};
        return 0;
    case '[':
    case '{':
        *out = (ds_wval){.type = DS_W_MANY, .i = count_items(p, len)};
        return 0;
    case 'n':
        return 0;
    default:
        if (!ds_number_read(p, len, out))
            *out = null_value; /* a number that no double holds */
        return 0;
    }
}

/* The member that a path names, as written; *p is NULL when it is not there, or there twice. */
static int find_member(ds_jscan *scan, const char *path, const uint8_t **p, size_t *len,
                       ds_err *err)
{
    for (; *path; path += strlen(path) + 1) {
        bool twice = false;
        int rc = ds_jscan_text(scan, *p, *len, DS_JSCAN_DEPTH_MAX);
        if (rc)
            return rc == DS_NOMEM ? ds_fail_nomem(err)
                                  : ds_fail(err, DS_CORRUPT, "JSON at byte %zu: %s", scan->at,
                                            scan->why ? scan->why : "?");
        const ds_jmember *m =
            scan->kind == DS_J_OBJECT ? ds_jscan_find(scan, path, strlen(path), &twice) : NULL;
        *p = m && !twice ? m->value : NULL;
        if (!*p)
            return 0;
        *len = m->value_len;
    }
    return 0;
}

static int member(eval *e, int n, const char *path, const uint8_t *p, size_t len, ds_wval *out)
{
    int rc = find_member(&e->k->scan, path, &p, &len, e->err);
    *out = null_value;
    return rc || !p ? rc : json_value(e, n, p, len, out);
}

enum ds_type ds_where_column(const ds_where *w)
{
    const ds_wnode *v = &w->v[w->root];
    return v->op == W_COLUMN ? w->s->cols[v->column].type : DS_NTYPES;
}

int ds_where_bytes(const ds_where *w, ds_wherework *k, const ds_value *values, const uint8_t **p,
                   size_t *len, ds_err *err)
{
    const ds_wnode *v = &w->v[w->root];
    const ds_value *x = &values[v->column];
    *p = x->null ? NULL : x->p ? x->p : (const uint8_t *)"";
    *len = x->len;
    return *p && w->s->cols[v->column].type == DS_JSON ? find_member(&k->scan, v->own, p, len, err)
                                                       : 0;
}

static int column_value(eval *e, int n, ds_wval *out)
{
    const ds_wnode *v = &e->w->v[n];
    const ds_value *x = &e->k->values[v->column];
    const enum ds_type t = e->w->s->cols[v->column].type;
    *out = null_value;
    if (x->null)
        return 0;
    switch (t) {
    case DS_UTF8:
        *out = (ds_wval){.type = DS_W_TEXT, .p = x->p, .len = x->len};
        return 0;
    case DS_JSON:
        return member(e, n, v->own, x->p, x->len, out);
    case DS_BOOL:
    case DS_I64:
    case DS_TIMESTAMP:
        *out = (ds_wval){.type = t == DS_BOOL  ? DS_W_BOOL
                                 : t == DS_I64 ? DS_W_INT
                                               : DS_W_TIME,
                         .i = x->i};
        return 0;
    case DS_F64:
        if (!isnan(x->f))
            *out = (ds_wval){.type = DS_W_REAL, .f = x->f};
        return 0;
    case DS_BYTES:
    case DS_TENSOR:
        *out = (ds_wval){.type = DS_W_MANY, .i = (int64_t)x->len};
        return 0;
    default:
        *out = (ds_wval){.type = DS_W_MANY, .i = (int64_t)x->count};
        return 0;
    }
}

/* ---- comparing ---- */

/* An integer beside a double, exactly: -1, 0, 1. */
static int int_real(int64_t i, double f)
{
    if (f >= 9223372036854775808.0)
        return -1;
    if (f < -9223372036854775808.0)
        return 1;
    const double whole = floor(f);
    const int64_t w = (int64_t)whole;
    return i < w ? -1 : i > w ? 1 : whole < f ? -1 : 0;
}

/* -1, 0, 1; 2 when the two cannot be compared. */
static int compare(const ds_wval *a, const ds_wval *b)
{
    if (a->type == DS_W_INT && b->type == DS_W_REAL)
        return int_real(a->i, b->f);
    if (a->type == DS_W_REAL && b->type == DS_W_INT)
        return -int_real(b->i, a->f);
    if (a->type != b->type || a->type == DS_W_NULL || a->type == DS_W_MANY)
        return 2;
    if (a->type == DS_W_REAL)
        return (a->f > b->f) - (a->f < b->f);
    if (a->type != DS_W_TEXT)
        return (a->i > b->i) - (a->i < b->i);
    const size_t n = a->len < b->len ? a->len : b->len;
    const int c = n ? memcmp(a->p, b->p, n) : 0;
    return c ? (c > 0) - (c < 0) : (a->len > b->len) - (a->len < b->len);
}

static ds_wval truth(int t)
{
    return t < 0 ? null_value : (ds_wval){.type = DS_W_BOOL, .i = t};
}

static int compared(enum ds_wop op, int c)
{
    switch (op) {
    case W_EQ:
        return c == 0;
    case W_NE:
        return c != 0;
    case W_LT:
        return c < 0;
    case W_LE:
        return c <= 0;
    case W_GT:
        return c > 0;
    default:
        return c >= 0;
    }
}

static int eval_in(eval *e, const ds_wnode *v, ds_wval *out)
{
    ds_wval a, x;
    int t = 0, rc = value_of(e, v->a, &a);
    for (int i = v->b; rc == 0 && i >= 0 && t != 1; i = e->w->v[i].b) {
        rc = value_of(e, e->w->v[i].a, &x);
        const int c = compare(&a, &x);
        t = c == 0 ? 1 : c == 2 ? -1 : t;
    }
    *out = truth(t);
    return rc;
}

static int eval_match(eval *e, const ds_wnode *v, const ds_wval *a, ds_wval *out)
{
    if (!e->k->match && !(e->k->match = pcre2_match_data_create(1, NULL)))
        return ds_fail_nomem(e->err);
    const int n = pcre2_match(v->re, a->p ? a->p : (const uint8_t *)"", a->len, 0,
                              PCRE2_NO_UTF_CHECK, e->k->match, NULL);
    *out = truth(n >= 0 ? 1 : n == PCRE2_ERROR_NOMATCH ? 0 : -1);
    return 0;
}

static int eval_words(eval *e, const ds_wnode *v, ds_wval *out)
{
    ds_wval a, b;
    int rc = value_of(e, v->a, &a);
    if (rc == 0)
        rc = value_of(e, v->b, &b);
    *out = null_value;
    if (rc || a.type != DS_W_TEXT || b.type != DS_W_TEXT)
        return rc;
    if (v->op == W_MATCHES)
        return eval_match(e, &e->w->v[v->b], &a, out);
    if (v->op == W_CONTAINS)
        *out = truth(b.len == 0 || memmem(a.p, a.len, b.p, b.len) != NULL);
    else
        *out = truth(b.len <= a.len &&
                     memcmp(v->op == W_STARTS ? a.p : a.p + a.len - b.len, b.p, b.len) == 0);
    return 0;
}

/* ---- reckoning ---- */

static bool ints(enum ds_wop op, int64_t a, int64_t b, int64_t *r)
{
    switch (op) {
    case W_ADD:
        return !__builtin_add_overflow(a, b, r);
    case W_SUB:
        return !__builtin_sub_overflow(a, b, r);
    case W_MUL:
        return !__builtin_mul_overflow(a, b, r);
    default: /* W_MOD, with the sign of the dividend */
        if (b == 0)
            return false;
        *r = b == -1 ? 0 : a % b;
        return true;
    }
}

static int reckon(eval *e, const ds_wnode *v, ds_wval *out)
{
    ds_wval a, b;
    int64_t r;
    int rc = value_of(e, v->a, &a);
    if (rc == 0)
        rc = value_of(e, v->b, &b);
    *out = null_value;
    if (rc || (a.type != DS_W_INT && a.type != DS_W_REAL) ||
        (b.type != DS_W_INT && b.type != DS_W_REAL))
        return rc;
    if (v->op != W_DIV && a.type == DS_W_INT && b.type == DS_W_INT) {
        if (ints(v->op, a.i, b.i, &r))
            *out = (ds_wval){.type = DS_W_INT, .i = r};
        return 0;
    }
    const double x = a.type == DS_W_INT ? (double)a.i : a.f,
                 y = b.type == DS_W_INT ? (double)b.i : b.f;
    const double f = v->op == W_ADD               ? x + y
                     : v->op == W_SUB             ? x - y
                     : v->op == W_MUL             ? x * y
                     : v->op == W_DIV && y != 0.0 ? x / y
                                                  : NAN;
    if (isfinite(f))
        *out = (ds_wval){.type = DS_W_REAL, .f = f};
    return 0;
}

static void negate(ds_wval *v)
{
    if (v->type == DS_W_REAL)
        v->f = -v->f;
    else if (v->type != DS_W_INT || __builtin_sub_overflow((int64_t)0, v->i, &v->i))
        *v = null_value;
}

/* ---- functions ---- */

static int64_t count_words(const uint8_t *p, size_t len)
{
    int64_t n = 0;
    bool in = false;
    for (size_t i = 0; i < len; i++) {
        const bool white = ds_ascii_white(p[i]);
        n += !white && !in;
        in = !white;
    }
    return n;
}

static int lower(eval *e, int n, const ds_wval *a, ds_wval *out)
{
    ds_buf *b = &e->k->text[n];
    ds_buf_reset(b);
    if (ds_buf_put(b, a->p, a->len))
        return ds_fail_nomem(e->err);
    for (size_t i = 0; i < b->len; i++)
        if (b->data[i] >= 'A' && b->data[i] <= 'Z')
            b->data[i] |= 0x20;
    *out = (ds_wval){.type = DS_W_TEXT, .p = b->data, .len = b->len};
    return 0;
}

int ds_wval_text(ds_buf *b, const ds_wval *v)
{
    if (v->type == DS_W_TEXT)
        return ds_buf_put(b, v->p, v->len);
    if (v->type == DS_W_REAL)
        return ds_json_real(b, v->f);
    if (v->type == DS_W_TIME)
        return ds_time_text(b, v->i);
    if (v->type == DS_W_BOOL)
        return ds_buf_puts(b, v->i ? "true" : "false");
    return ds_buf_printf(b, "%" PRId64, v->i);
}

static int as_text(eval *e, int n, const ds_wval *a, ds_wval *out)
{
    ds_buf *b = &e->k->text[n];
    *out = *a;
    if (a->type == DS_W_TEXT || a->type == DS_W_NULL)
        return 0;
    ds_buf_reset(b);
    if (ds_wval_text(b, a))
        return ds_fail_nomem(e->err);
    *out = (ds_wval){.type = DS_W_TEXT, .p = b->data, .len = b->len};
    return 0;
}

static int call(eval *e, int n, ds_wval *out)
{
    const ds_wnode *v = &e->w->v[n];
    ds_wval a;
    int rc = value_of(e, v->a, &a);
    *out = null_value;
    if (rc || a.type == DS_W_NULL)
        return rc;
    if (v->op == W_TEXT)
        return as_text(e, n, &a, out);
    if (a.type == DS_W_MANY && (v->op == W_LEN || v->op == W_SIZE))
        *out = (ds_wval){.type = DS_W_INT, .i = a.i};
    if (v->op == W_NUMBER && (a.type == DS_W_INT || a.type == DS_W_REAL))
        *out = a;
    if (a.type != DS_W_TEXT)
        return 0;
    switch (v->op) {
    case W_LEN:
        *out = (ds_wval){.type = DS_W_INT, .i = (int64_t)ds_utf8_count(a.p, a.len)};
        return 0;
    case W_SIZE:
        *out = (ds_wval){.type = DS_W_INT, .i = (int64_t)a.len};
        return 0;
    case W_WORDS:
        *out = (ds_wval){.type = DS_W_INT, .i = count_words(a.p, a.len)};
        return 0;
    case W_LOWER:
        return lower(e, n, &a, out);
    case W_TRIM:
    case W_NFC:
    case W_NFKC:
    case W_REPLACE:
        *out = a;
        return ds_where_textual(e->w, v, &e->k->text[n], out, e->err);
    case W_NUMBER:
        (void)(ds_number_read(a.p, a.len, out) || (*out = null_value, true));
        return 0;
    default: /* W_TIME */
        out->type = ds_time_read(a.p, a.len, &out->i) ? DS_W_TIME : DS_W_NULL;
        return 0;
    }
}

/* ---- all of it ---- */

static int logic(eval *e, const ds_wnode *v, ds_wval *out)
{
    ds_wval a;
    int rc = value_of(e, v->a, &a);
    const int decides = v->op == W_OR, ta = ds_where_truth(&a);
    *out = truth(ta);
    if (rc || ta == decides)
        return rc;
    rc = value_of(e, v->b, &a);
    const int tb = ds_where_truth(&a);
    *out = truth(tb == decides ? decides : ta < 0 || tb < 0 ? -1 : !decides);
    return rc;
}

static int value_of(eval *e, int n, ds_wval *out)
{
    const ds_wnode *v = &e->w->v[n];
    ds_wval b;
    int rc = 0;
    switch (v->op) {
    case W_LITERAL:
        *out = v->v;
        return 0;
    case W_COLUMN:
        return column_value(e, n, out);
    case W_OR:
    case W_AND:
        return logic(e, v, out);
    case W_NOT:
        rc = value_of(e, v->a, &b);
        *out = truth(ds_where_truth(&b) < 0 ? -1 : !ds_where_truth(&b));
        return rc;
    case W_IS_NULL:
        rc = value_of(e, v->a, &b);
        *out = truth(b.type == DS_W_NULL);
        return rc;
    case W_IN:
        return eval_in(e, v, out);
    case W_IN_LIST:
    case W_HASWORD:
    case W_ONSITE:
        rc = value_of(e, v->a, out);
        return rc ? rc : ds_where_ask(v, &e->k->text[n], out, e->err);
    case W_KEY:
        return ds_where_key(e->w, e->k, &e->k->text[n], out, e->err);
    case W_MATCHES:
    case W_CONTAINS:
    case W_STARTS:
    case W_ENDS:
        return eval_words(e, v, out);
    case W_NEG:
        rc = value_of(e, v->a, out);
        negate(out);
        return rc;
    case W_COALESCE:
        *out = null_value;
        for (int i = v->a; rc == 0 && i >= 0 && out->type == DS_W_NULL; i = e->w->v[i].b)
            rc = value_of(e, e->w->v[i].a, out);
        return rc;
    default:
        if (v->op >= W_LEN)
            return call(e, n, out);
        if (v->op >= W_ADD)
            return reckon(e, v, out);
        break;
    }
    ds_wval a;
    rc = value_of(e, v->a, &a);
    if (rc == 0)
        rc = value_of(e, v->b, &b);
    const int c = rc ? 2 : compare(&a, &b);
    *out = truth(c == 2 ? -1 : compared(v->op, c));
    return rc;
}

int ds_where_truth(const ds_wval *v)
{
    return v->type == DS_W_BOOL ? v->i != 0 : -1;
}

int ds_where_eval(const ds_where *w, ds_wherework *k, const ds_colview *views,
                  const ds_value *values, ds_wval *out, ds_err *err)
{
    eval e = {.w = w, .k = k, .err = err};
    *out = null_value;
    if (k->n != w->n) { /* one work, one expression */
        k->text = k->text ? k->text : calloc(w->n, sizeof *k->text);
        if (!k->text)
            return ds_fail_nomem(err);
        k->n = w->n;
    }
    k->views = views;
    k->values = values;
    return value_of(&e, w->root, out);
}

void ds_wherework_fini(ds_wherework *k)
{
    for (size_t i = 0; k->text && i < k->n; i++)
        ds_buf_fini(&k->text[i]);
    free(k->text);
    pcre2_match_data_free(k->match);
    ds_jscan_fini(&k->scan);
    ds_hasher_free(k->hasher);
    memset(k, 0, sizeof *k);
}

/* ---- times ---- */

static bool digits(const uint8_t **p, const uint8_t *end, unsigned n, int64_t *v)
{
    *v = 0;
    for (unsigned i = 0; i < n; i++, ++*p) {
        if (*p == end || **p < '0' || **p > '9')
            return false;
        *v = *v * 10 + (**p - '0');
    }
    return true;
}

static bool sign(const uint8_t **p, const uint8_t *end, char c)
{
    if (*p == end || **p != (uint8_t)c)
        return false;
    ++*p;
    return true;
}

/* Days since 1970-01-01 of a day of the Gregorian calendar. */
static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    const int64_t era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400,
                  doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1,
                  doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

static bool zone(const uint8_t **p, const uint8_t *end, int64_t *seconds)
{
    int64_t h, m;
    *seconds = 0;
    if (*p == end || sign(p, end, 'Z') || sign(p, end, 'z'))
        return true;
    const bool minus = **p == '-';
    if (!sign(p, end, '+') && !sign(p, end, '-'))
        return false;
    if (!digits(p, end, 2, &h) || (sign(p, end, ':'), !digits(p, end, 2, &m)) || h > 23 || m > 59)
        return false;
    *seconds = (minus ? -1 : 1) * (h * 3600 + m * 60);
    return true;
}

bool ds_time_read(const uint8_t *p, size_t len, int64_t *ns)
{
    static const uint8_t month[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const uint8_t *end = p + len;
    int64_t y, mo, d, h = 0, mi = 0, s = 0, frac = 0, off = 0;
    if (!digits(&p, end, 4, &y) || !sign(&p, end, '-') || !digits(&p, end, 2, &mo) ||
        !sign(&p, end, '-') || !digits(&p, end, 2, &d) || mo < 1 || mo > 12 || d < 1 ||
        d > month[mo - 1] ||
        (mo == 2 && d == 29 && !(y % 4 == 0 && (y % 100 != 0 || y % 400 == 0))))
        return false;
    if (p < end) {
        if (!sign(&p, end, 'T') && !sign(&p, end, 't') && !sign(&p, end, ' '))
            return false;
        if (!digits(&p, end, 2, &h) || !sign(&p, end, ':') || !digits(&p, end, 2, &mi) ||
            (sign(&p, end, ':') && !digits(&p, end, 2, &s)) || h > 23 || mi > 59 || s > 59)
            return false;
        if (sign(&p, end, '.'))
            for (int64_t unit = 100000000; p < end && *p >= '0' && *p <= '9'; p++, unit /= 10)
                frac += unit * (*p - '0');
        if (!zone(&p, end, &off))
            return false;
    }
    const int64_t sec = days_of(y, mo, d) * 86400 + h * 3600 + mi * 60 + s - off;
    return p == end && !__builtin_mul_overflow(sec, INT64_C(1000000000), ns) &&
           !__builtin_add_overflow(*ns, frac, ns);
}
