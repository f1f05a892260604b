/* wheretext.c - see whereparse.h and where_priv.h: functions that make text of text. */
#include <stdlib.h>
#include <string.h>

#include "tok_uni.h"
#include "whereparse.h"

/* ---- parsing ---- */

int ds_wparse_normal(ds_wparse *s)
{
    ds_where *w = s->w;
    if (w->classes)
        return 0;
    w->classes = malloc(DS_UNI_MAX);
    if (!w->classes)
        return ds_fail_nomem(s->err);
    ds_uni_fill(w->classes);
    return 0;
}

/* What takes the place: PCRE2's $1, ${1} and $$, of groups that there are. */
static int check_with(ds_wparse *s, const pcre2_code *re, const ds_wval *with, size_t at)
{
    const uint8_t *p = with->p, *end = p + with->len;
    uint32_t groups = 0;
    (void)pcre2_pattern_info(re, PCRE2_INFO_CAPTURECOUNT, &groups);
    for (; p < end; p++) {
        if (*p != '$')
            continue;
        const bool braces = p + 1 < end && p[1] == '{';
        unsigned n = 0;
        if (p + 1 < end && p[1] == '$') {
            p++;
            continue;
        }
        p += 1 + braces;
        if (p == end || *p < '0' || *p > '9')
            return ds_wparse_fail(s, at, "replace: behind $ stands a group's number, or $");
        for (; p < end && *p >= '0' && *p <= '9' && n <= groups; p++)
            n = n * 10 + (unsigned)(*p - '0');
        if (n > groups)
            return ds_wparse_fail(s, at, "replace: the pattern has no such group");
        if (braces && (p == end || *p != '}'))
            return ds_wparse_fail(s, at, "replace: ${ without }");
        p -= !braces;
    }
    return 0;
}

int ds_wparse_replace(ds_wparse *s, size_t at)
{
    int a = ds_wparse_expr(s), re, with, rc;
    if (a < 0 || (rc = ds_wtoken_expect(s, ",")))
        return a < 0 ? a : rc;
    if ((re = ds_wparse_atom(s)) < 0 || (rc = ds_wtoken_expect(s, ",")))
        return re < 0 ? re : rc;
    if ((with = ds_wparse_atom(s)) < 0 || (rc = ds_wtoken_expect(s, ")")))
        return with < 0 ? with : rc;
    if (!ds_wtype_may_be(ds_wparse_type(s, a), DS_W_TEXT))
        return ds_wparse_fail(s, at, "the function takes text");
    if (s->w->v[with].op != W_LITERAL || s->w->v[with].type != DS_W_TEXT)
        return ds_wparse_fail(s, at, "replace takes a text in quotes for what it puts there");
    if ((rc = ds_wparse_pattern(s, re, at)) ||
        (rc = check_with(s, s->w->v[re].re, &s->w->v[with].v, at)))
        return rc;
    s->w->v[re].b = with;
    return ds_wparse_node(s, W_REPLACE, DS_W_TEXT, a, re);
}

/* ---- evaluating ---- */

/* White_Space of Unicode. */
static bool white(uint32_t c)
{
    return c == ' ' || c - 9 < 5 || c == 0x85 || c == 0xa0 || c == 0x1680 || c - 0x2000 < 11 ||
           c - 0x2028 < 2 || c == 0x202f || c == 0x205f || c == 0x3000;
}

static void trim(ds_wval *v)
{
    const uint8_t *p = v->p, *end = p + v->len;
    unsigned n;
    while (p < end && white(ds_uni_get(p, &n)))
        p += n;
    while (p < end && white(ds_uni_get(ds_uni_back(p, end), &n)))
        end -= n;
    v->p = p;
    v->len = (size_t)(end - p);
}

/* An error, not null: a text would be gone because its pattern was too slow. */
static int failed(int code, ds_err *err)
{
    PCRE2_UCHAR why[160];
    (void)pcre2_get_error_message(code, why, sizeof why);
    return ds_fail(err, DS_FAIL, "replace: %s", (const char *)why);
}

static int replace(const ds_where *w, const ds_wnode *v, ds_buf *b, ds_wval *x, ds_err *err)
{
    const ds_wnode *re = &w->v[v->b];
    const ds_wval *with = &w->v[re->b].v;
    PCRE2_SIZE len = x->len + 256;
    int rc = PCRE2_ERROR_NOMEMORY;
    for (int i = 0; i < 2 && rc == PCRE2_ERROR_NOMEMORY; i++) {
        ds_buf_reset(b);
        if (ds_buf_reserve(b, len))
            return ds_fail_nomem(err);
        rc = pcre2_substitute(re->re, x->p ? x->p : (const uint8_t *)"", x->len, 0,
                              PCRE2_SUBSTITUTE_GLOBAL | PCRE2_SUBSTITUTE_UNSET_EMPTY |
                                  PCRE2_SUBSTITUTE_OVERFLOW_LENGTH | PCRE2_NO_UTF_CHECK,
                              NULL, NULL, with->p, with->len, b->data, &len);
    }
    if (rc < 0)
        return failed(rc, err);
    b->len = len;
    *x = (ds_wval){.type = DS_W_TEXT, .p = b->data, .len = len};
    return 0;
}

int ds_where_textual(const ds_where *w, const ds_wnode *v, ds_buf *b, ds_wval *x, ds_err *err)
{
    if (v->op == W_TRIM) {
        trim(x);
        return 0;
    }
    if (v->op == W_REPLACE)
        return replace(w, v, b, x, err);
    ds_buf_reset(b);
    const int rc =
        ds_uni_to_form(b, w->classes, v->op == W_NFC ? DS_UNI_NFC : DS_UNI_NFKC, x->p, x->len, err);
    *x = (ds_wval){.type = DS_W_TEXT, .p = b->data, .len = b->len};
    return rc;
}
