/* wherecompare.c - see whereparse.h: what is compared with what, and how. */
#include "wherelist.h"
#include "whereparse.h"

/* A text beside a time is a time. */
static int as_time(ds_wparse *s, int n, int other, size_t at)
{
    ds_wnode *v = &s->w->v[n];
    if (ds_wparse_type(s, other) != DS_W_TIME || v->op != W_LITERAL || v->type != DS_W_TEXT)
        return 0;
    if (!ds_time_read(v->v.p, v->v.len, &v->v.i))
        return ds_wparse_fail(s, at,
                              "compared with a time, the text must be one: 2026-03-01T10:00:00Z");
    v->type = v->v.type = DS_W_TIME;
    return 0;
}

static int check_compare(ds_wparse *s, enum ds_wop op, int a, int b, size_t at)
{
    int rc = as_time(s, a, b, at);
    if (rc == 0)
        rc = as_time(s, b, a, at);
    if (rc)
        return rc;
    const enum ds_wtype ta = ds_wparse_type(s, a), tb = ds_wparse_type(s, b);
    if (ta == DS_W_MANY || tb == DS_W_MANY)
        return ds_wparse_fail(s, at, "lists, bytes and tensors cannot be compared: len() can");
    if (!(ds_wtype_numeric(ta) && ds_wtype_numeric(tb)) && !ds_wtype_may_be(ta, tb) &&
        !ds_wtype_may_be(tb, ta))
        return ds_wparse_fail(s, at, "the two sides have types that cannot be compared");
    if (op >= W_LT && op <= W_GE && (ta == DS_W_BOOL || tb == DS_W_BOOL))
        return ds_wparse_fail(s, at, "true and false have no order");
    return 0;
}

int ds_wparse_pattern(ds_wparse *s, int n, size_t at)
{
    ds_wnode *v = &s->w->v[n];
    int code;
    PCRE2_SIZE where;
    if (v->op != W_LITERAL || v->type != DS_W_TEXT)
        return ds_wparse_fail(s, at, "a pattern in quotes is wanted");
    v->re = pcre2_compile(v->v.p, v->v.len, PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &code,
                          &where, NULL);
    if (!v->re) {
        PCRE2_UCHAR why[160];
        (void)pcre2_get_error_message(code, why, sizeof why);
        return ds_fail(s->err, DS_USAGE, "expression, at byte %zu: pattern, at byte %zu: %s", at,
                       (size_t)where, (const char *)why);
    }
    (void)pcre2_jit_compile(v->re, PCRE2_JIT_COMPLETE); /* it is only faster with it */
    return 0;
}

static int words_op(ds_wparse *s, enum ds_wop op, int a, size_t at)
{
    int rc = ds_wtoken_next(s), b = rc ? rc : ds_wparse_sum(s);
    if (b < 0)
        return b;
    if (!ds_wtype_may_be(ds_wparse_type(s, a), DS_W_TEXT) ||
        !ds_wtype_may_be(ds_wparse_type(s, b), DS_W_TEXT))
        return ds_wparse_fail(s, at, "both sides must be text");
    if (op == W_MATCHES && (rc = ds_wparse_pattern(s, b, at)))
        return rc;
    return ds_wparse_node(s, op, DS_W_BOOL, a, b);
}

static int negated(ds_wparse *s, int n, bool not )
{
    return n >= 0 && not ? ds_wparse_node(s, W_NOT, DS_W_BOOL, n, -1) : n;
}

/* in NAME */
static int in_list(ds_wparse *s, int a, size_t at)
{
    ds_wherelist *list;
    int rc = ds_wparse_list(s, &list);
    if (rc == 0 && ds_wparse_type(s, a) == DS_W_MANY)
        rc = ds_wparse_fail(s, at, "lists, bytes and tensors are in no list");
    int n = rc ? rc : ds_wparse_node(s, W_IN_LIST, DS_W_BOOL, a, -1);
    if (n >= 0)
        s->w->v[n].list = list;
    return n;
}

/* in [..], in NAME, is [not] null */
static int tail_op(ds_wparse *s, int a, size_t at)
{
    int rc, not = 0;
    if ((rc = ds_wtoken_accept(s, "is")) != 0) {
        if (rc < 0 || (not = ds_wtoken_accept(s, "not")) < 0)
            return rc < 0 ? rc : not ;
        if ((rc = ds_wtoken_expect(s, "null")))
            return rc;
        return negated(s, ds_wparse_node(s, W_IS_NULL, DS_W_BOOL, a, -1), not );
    }
    if ((not = ds_wtoken_accept(s, "not")) < 0 || (rc = ds_wtoken_expect(s, "in")))
        return not < 0 ? not : rc;
    if (s->kind == T_NAME)
        return negated(s, in_list(s, a, at), not );
    if ((rc = ds_wtoken_expect(s, "[")))
        return rc;
    int list = ds_wparse_values(s, "]");
    for (int i = list; i >= 0; i = s->w->v[i].b)
        if ((rc = check_compare(s, W_EQ, a, s->w->v[i].a, at)))
            return rc;
    return list < 0 ? list : negated(s, ds_wparse_node(s, W_IN, DS_W_BOOL, a, list), not );
}

int ds_wparse_comparison(ds_wparse *s)
{
    static const ds_wlevel l[] = {{"==", W_EQ}, {"=", W_EQ}, {"!=", W_NE}, {"<", W_LT},
                                  {"<=", W_LE}, {">", W_GT}, {">=", W_GE}};
    static const ds_wlevel t[] = {{"matches", W_MATCHES},
                                  {"contains", W_CONTAINS},
                                  {"startswith", W_STARTS},
                                  {"endswith", W_ENDS}};
    int a = ds_wparse_sum(s);
    const size_t at = s->from;
    if (a < 0)
        return a;
    if (ds_wtoken_is(s, "is") || ds_wtoken_is(s, "in") || ds_wtoken_is(s, "not"))
        return tail_op(s, a, at);
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        if (ds_wtoken_is(s, t[i].sign))
            return words_op(s, t[i].op, a, at);
    for (size_t i = 0; i < sizeof l / sizeof *l; i++) {
        if (!ds_wtoken_is(s, l[i].sign))
            continue;
        int rc = ds_wtoken_next(s), b = rc ? rc : ds_wparse_sum(s);
        if (b < 0)
            return b;
        rc = check_compare(s, l[i].op, a, b, at);
        return rc ? rc : ds_wparse_node(s, l[i].op, DS_W_BOOL, a, b);
    }
    return a;
}
