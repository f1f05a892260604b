/* whereparse.c - see where.h: text to nodes, by recursive descent, with types. */
#include "whereparse.h"

#include <stdlib.h>

#include "utf8.h"

#define NODES_MAX 2048

int ds_wparse_node(ds_wparse *s, enum ds_wop op, enum ds_wtype type, int a, int b)
{
    ds_where *w = s->w;
    if (w->n == NODES_MAX)
        return ds_fail(s->err, DS_USAGE, "expression: more than %d parts", NODES_MAX);
    if (ds_grow(&w->v, &w->cap, w->n, sizeof *w->v))
        return ds_fail_nomem(s->err);
    w->v[w->n] = (ds_wnode){.op = op, .type = type, .a = a, .b = b};
    return (int)w->n++;
}

/* ---- arithmetic ---- */

static int unary(ds_wparse *s)
{
    const size_t at = s->from;
    int rc = ds_wtoken_accept(s, "-");
    if (rc <= 0)
        return rc ? rc : ds_wparse_atom(s);
    if (++s->depth > DS_WHERE_DEPTH)
        return ds_wparse_fail(s, at, "nested too deep");
    int a = unary(s);
    s->depth--;
    if (a < 0)
        return a;
    if (!ds_wtype_numeric(ds_wparse_type(s, a)))
        return ds_wparse_fail(s, at, "only numbers have a sign");
    return ds_wparse_node(s, W_NEG, ds_wparse_type(s, a), a, -1);
}

static int binary(ds_wparse *s, int (*below)(ds_wparse *), const ds_wlevel *l, size_t n)
{
    int a = below(s);
    while (a >= 0) {
        const size_t at = s->from;
        size_t i = 0;
        while (i < n && !ds_wtoken_is(s, l[i].sign))
            i++;
        if (i == n)
            return a;
        int rc = ds_wtoken_next(s), b = rc ? rc : below(s);
        if (b < 0)
            return b;
        const enum ds_wtype ta = ds_wparse_type(s, a), tb = ds_wparse_type(s, b);
        if (!ds_wtype_numeric(ta) || !ds_wtype_numeric(tb))
            return ds_wparse_fail(s, at, "only numbers can be reckoned with");
        if (l[i].op == W_MOD && (ta == DS_W_REAL || tb == DS_W_REAL))
            return ds_wparse_fail(s, at, "% takes whole numbers");
        const bool real = l[i].op == W_DIV || ta == DS_W_REAL || tb == DS_W_REAL,
                   any = ta == DS_W_ANY || tb == DS_W_ANY;
        a = ds_wparse_node(s, l[i].op, real ? DS_W_REAL : any ? DS_W_ANY : DS_W_INT, a, b);
    }
    return a;
}

static int product(ds_wparse *s)
{
    static const ds_wlevel l[] = {{"*", W_MUL}, {"/", W_DIV}, {"%", W_MOD}};
    return binary(s, unary, l, 3);
}

int ds_wparse_sum(ds_wparse *s)
{
    static const ds_wlevel l[] = {{"+", W_ADD}, {"-", W_SUB}};
    return binary(s, product, l, 2);
}

/* ---- logic ---- */

static int negation(ds_wparse *s)
{
    const size_t at = s->from;
    int rc = ds_wtoken_accept(s, "not");
    if (rc <= 0)
        return rc ? rc : ds_wparse_comparison(s);
    if (++s->depth > DS_WHERE_DEPTH)
        return ds_wparse_fail(s, at, "nested too deep");
    int a = negation(s);
    s->depth--;
    if (a >= 0 && !ds_wtype_may_be(ds_wparse_type(s, a), DS_W_BOOL))
        return ds_wparse_fail(s, at, "only what is true or false can be negated");
    return a < 0 ? a : ds_wparse_node(s, W_NOT, DS_W_BOOL, a, -1);
}

static int logic(ds_wparse *s, int (*below)(ds_wparse *), const char *word, enum ds_wop op)
{
    int a = below(s);
    while (a >= 0 && ds_wtoken_is(s, word)) {
        const size_t at = s->from;
        int rc = ds_wtoken_next(s), b = rc ? rc : below(s);
        if (b < 0)
            return b;
        if (!ds_wtype_may_be(ds_wparse_type(s, a), DS_W_BOOL) ||
            !ds_wtype_may_be(ds_wparse_type(s, b), DS_W_BOOL))
            return ds_wparse_fail(s, at, "both sides must be true or false");
        a = ds_wparse_node(s, op, DS_W_BOOL, a, b);
    }
    return a;
}

static int conjunction(ds_wparse *s)
{
    return logic(s, negation, "and", W_AND);
}

int ds_wparse_expr(ds_wparse *s)
{
    if (++s->depth > DS_WHERE_DEPTH)
        return ds_wparse_fail(s, s->from, "nested too deep");
    int n = logic(s, conjunction, "or", W_OR);
    s->depth--;
    return n;
}

/* ---- the whole ---- */

int ds_where_new(ds_where **out, const char *p, size_t len, const ds_colnames *names, ds_err *err)
{
    ds_where *w = calloc(1, sizeof *w);
    *out = NULL;
    if (!w)
        return ds_fail_nomem(err);
    w->s = names->schema;
    ds_wparse s = {.w = w, .names = names, .p = p, .len = len, .err = err};
    int rc = ds_utf8_check((const uint8_t *)p, len) == len
                 ? ds_wtoken_next(&s)
                 : ds_fail(err, DS_USAGE, "expression: not valid UTF-8");
    if (rc == 0)
        rc = w->root = ds_wparse_expr(&s);
    if (rc >= 0 && s.kind != T_END)
        rc = ds_wparse_fail(&s, s.from, "the expression ended before this");
    if (rc < 0) {
        ds_where_free(w);
        return rc;
    }
    *out = w;
    return 0;
}

int ds_where_text_new(ds_where **out, const char *expr, const ds_colnames *names, ds_err *err)
{
    ds_buf text = {0};
    *out = NULL;
    int rc = ds_buf_printf(&text, "text(%s)", expr) ? ds_fail_nomem(err) : 0;
    if (rc == 0)
        rc = ds_where_new(out, (const char *)text.data, text.len, names, err);
    if (rc)
        ds_err_prefix(err, "as %.*s", (int)(text.len > 80 ? 80 : text.len), text.data);
    ds_buf_fini(&text);
    return rc;
}

void ds_where_free(ds_where *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->n; i++) {
        free(w->v[i].own);
        pcre2_code_free(w->v[i].re);
    }
    free(w->classes);
    free(w->v);
    free(w);
}

enum ds_wtype ds_where_type(const ds_where *w)
{
    return w->v[w->root].type;
}
