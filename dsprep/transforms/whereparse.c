/* whereparse.c - see where.h: text to nodes, by recursive descent, with types. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"
#include "where_priv.h"

#define NODES_MAX 2048

enum tok_kind { T_END, T_NUMBER, T_TEXT, T_NAME, T_SIGN };

typedef struct parse {
    ds_where *w;
    const char *p;
    size_t len, at;
    unsigned depth;
    enum tok_kind kind; /* of the token in hand */
    size_t from, to;    /* where it stands */
    ds_err *err;
} parse;

static int fail_at(parse *s, size_t at, const char *what)
{
    size_t n = at < s->len ? s->len - at : 0;
    if (n > 20)
        for (n = 20; n > 0 && ((uint8_t)s->p[at + n] & 0xc0) == 0x80;)
            n--; /* no half characters */
    return ds_fail(s->err, DS_USAGE, "expression, at byte %zu (%.*s): %s", at, n ? (int)n : 7,
                   n ? s->p + at : "its end", what);
}

/* ---- tokens ---- */

static bool name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (c & 0x80);
}

/* A name is parts with dots between: of letters and digits, or anything between backticks. */
static int lex_name(parse *s)
{
    for (;;) {
        if (s->at < s->len && s->p[s->at] == '`') {
            const char *e = memchr(s->p + s->at + 1, '`', s->len - s->at - 1);
            if (!e)
                return fail_at(s, s->at, "a backtick is not closed");
            s->at = (size_t)(e - s->p) + 1;
        } else {
            while (s->at < s->len && name_byte(s->p[s->at]))
                s->at++;
        }
        if (s->at + 1 >= s->len || s->p[s->at] != '.' ||
            !(name_byte(s->p[s->at + 1]) || s->p[s->at + 1] == '`'))
            return 0;
        s->at++;
    }
}

static void lex_number(parse *s)
{
    const char *p = s->p;
    while (s->at < s->len && p[s->at] >= '0' && p[s->at] <= '9')
        s->at++;
    if (s->at < s->len && p[s->at] == '.')
        s->at++;
    while (s->at < s->len && p[s->at] >= '0' && p[s->at] <= '9')
        s->at++;
    if (s->at < s->len && (p[s->at] | 0x20) == 'e') {
        s->at++;
        if (s->at < s->len && (p[s->at] == '+' || p[s->at] == '-'))
            s->at++;
        while (s->at < s->len && p[s->at] >= '0' && p[s->at] <= '9')
            s->at++;
    }
}

static int lex_text(parse *s)
{
    const char quote = s->p[s->at++];
    while (s->at < s->len && s->p[s->at] != quote)
        s->at += s->p[s->at] == '\\' ? 2 : 1;
    if (s->at >= s->len)
        return fail_at(s, s->from, "a text is not closed");
    s->at++;
    return 0;
}

static int next(parse *s)
{
    static const char *const pairs[] = {"==", "!=", "<=", ">=", NULL};
    while (s->at < s->len && strchr(" \t\r\n", s->p[s->at]) && s->p[s->at])
        s->at++;
    s->from = s->at;
    int rc = 0;
    const char c = s->at < s->len ? s->p[s->at] : 0;
    if (s->at >= s->len) {
        s->kind = T_END;
    } else if (c >= '0' && c <= '9') {
        s->kind = T_NUMBER;
        lex_number(s);
    } else if (c == '"' || c == '\'') {
        s->kind = T_TEXT;
        rc = lex_text(s);
    } else if (name_byte(c) || c == '`') {
        s->kind = T_NAME;
        rc = lex_name(s);
    } else if (c && strchr("()[],+-*/%<>=!", c)) {
        s->kind = T_SIGN;
        for (size_t i = 0; pairs[i]; i++)
            if (s->at + 1 < s->len && memcmp(s->p + s->at, pairs[i], 2) == 0)
                s->at++;
        s->at++;
    } else {
        return fail_at(s, s->at, "this cannot stand here");
    }
    s->to = s->at;
    return rc;
}

static bool is(const parse *s, const char *w)
{
    return s->kind != T_TEXT && s->to - s->from == strlen(w) &&
           memcmp(s->p + s->from, w, s->to - s->from) == 0;
}

/* Goes on when the token is `w`: 1, 0, or an error. */
static int accept(parse *s, const char *w)
{
    if (!is(s, w))
        return 0;
    int rc = next(s);
    return rc ? rc : 1;
}

static int expect(parse *s, const char *w)
{
    char what[40];
    int rc = accept(s, w);
    if (rc)
        return rc < 0 ? rc : 0;
    (void)snprintf(what, sizeof what, "'%s' is wanted", w);
    return fail_at(s, s->from, what);
}

/* ---- nodes ---- */

static int node(parse *s, enum ds_wop op, enum ds_wtype type, int a, int b)
{
    ds_where *w = s->w;
    if (w->n == NODES_MAX)
        return ds_fail(s->err, DS_USAGE, "expression: more than %d parts", NODES_MAX);
    if (w->n == w->cap) {
        const size_t cap = w->cap ? 2 * w->cap : 16;
        ds_wnode *v = reallocarray(w->v, cap, sizeof *v);
        if (!v)
            return ds_fail_nomem(s->err);
        w->v = v;
        w->cap = cap;
    }
    w->v[w->n] = (ds_wnode){.op = op, .type = type, .a = a, .b = b};
    return (int)w->n++;
}

static enum ds_wtype type_of(const parse *s, int n)
{
    return s->w->v[n].type;
}

static bool numeric(enum ds_wtype t)
{
    return t == DS_W_INT || t == DS_W_REAL || t == DS_W_ANY || t == DS_W_NULL;
}

static bool may_be(enum ds_wtype t, enum ds_wtype want)
{
    return t == want || t == DS_W_ANY || t == DS_W_NULL;
}

static int expr(parse *s);

static int number(parse *s)
{
    char text[64];
    const size_t len = s->to - s->from;
    if (len >= sizeof text)
        return fail_at(s, s->from, "a number of too many digits");
    memcpy(text, s->p + s->from, len);
    text[len] = 0;
    char *end;
    int n = node(s, W_LITERAL, DS_W_INT, -1, -1);
    if (n < 0)
        return n;
    ds_wval *v = &s->w->v[n].v;
    errno = 0;
    v->type = DS_W_INT;
    v->i = strtoll(text, &end, 10);
    if (*end || errno) {
        v->type = DS_W_REAL;
        v->f = strtod(text, &end);
        if (*end || !isfinite(v->f))
            return fail_at(s, s->from, "this is no number");
    }
    s->w->v[n].type = v->type;
    int rc = next(s);
    return rc ? rc : n;
}

/* Escapes: \\ \' \" \n \t; a backslash before anything else stays, as patterns need it. */
static int text(parse *s)
{
    int n = node(s, W_LITERAL, DS_W_TEXT, -1, -1);
    if (n < 0)
        return n;
    char *to = malloc(s->to - s->from + 1);
    if (!to)
        return ds_fail_nomem(s->err);
    s->w->v[n].own = to;
    for (size_t i = s->from + 1; i + 1 < s->to; i++) {
        char c = s->p[i];
        const char e = c == '\\' && i + 2 < s->to ? s->p[i + 1] : 0;
        if (e && strchr("\\'\"nt", e)) {
            c = e == 'n' ? '\n' : e == 't' ? '\t' : e;
            i++;
        }
        *to++ = c;
    }
    s->w->v[n].v = (ds_wval){.type = DS_W_TEXT,
                             .p = (const uint8_t *)s->w->v[n].own,
                             .len = (size_t)(to - s->w->v[n].own)};
    *to = 0;
    int rc = next(s);
    return rc ? rc : n;
}

static int literal(parse *s, enum ds_wtype type, int64_t i)
{
    int n = node(s, W_LITERAL, type, -1, -1);
    if (n < 0)
        return n;
    s->w->v[n].v = (ds_wval){.type = type, .i = i};
    int rc = next(s);
    return rc ? rc : n;
}

static enum ds_wtype column_type(enum ds_type t)
{
    switch (t) {
    case DS_UTF8:
        return DS_W_TEXT;
    case DS_JSON:
        return DS_W_ANY;
    case DS_BOOL:
        return DS_W_BOOL;
    case DS_I64:
        return DS_W_INT;
    case DS_F64:
        return DS_W_REAL;
    case DS_TIMESTAMP:
        return DS_W_TIME;
    default:
        return DS_W_MANY;
    }
}

/* The parts of a name, each with its NUL, an empty one at the end; *cut: where each begins. */
static char *name_parts(const char *p, size_t len, size_t *n)
{
    char *out = calloc(len + 2, 1), *to = out;
    *n = 1;
    for (size_t i = 0; out && i < len; i++) {
        if (p[i] == '`') {
            for (i++; i < len && p[i] != '`'; i++)
                *to++ = p[i];
        } else if (p[i] == '.') {
            *to++ = 0;
            ++*n;
        } else {
            *to++ = p[i];
        }
    }
    return out;
}

/* The column that the longest row of first parts names; *rest: the parts behind. */
static long find_column(const ds_schema *sc, char *parts, size_t n, size_t *rest)
{
    char joined[130];
    long found = -1;
    size_t at = 0, end = 0;
    for (size_t i = 0; i < n; i++) {
        const size_t len = strlen(parts + at);
        if (end + len + 1 >= sizeof joined)
            break;
        if (i)
            joined[end++] = '.';
        memcpy(joined + end, parts + at, len + 1);
        end += len;
        at += len + 1;
        const long k = ds_schema_find(sc, joined);
        if (k >= 0) {
            found = k;
            *rest = i + 1 < n ? at : 0;
        }
    }
    return found;
}

static int column(parse *s)
{
    const ds_schema *sc = s->w->s;
    size_t n, rest = 0;
    char *parts = name_parts(s->p + s->from, s->to - s->from, &n);
    if (!parts)
        return ds_fail_nomem(s->err);
    const long k = find_column(sc, parts, n, &rest);
    int at = k < 0 ? fail_at(s, s->from, "no such column in the stream")
             : rest && sc->cols[k].type != DS_JSON
                 ? fail_at(s, s->from, "only columns of JSON have members")
                 : node(s, W_COLUMN, column_type(sc->cols[k].type), -1, -1);
    if (at < 0) {
        free(parts);
        return at;
    }
    if (rest)
        memmove(parts, parts + rest, s->to - s->from + 2 - rest);
    else
        *parts = 0;
    s->w->v[at].own = parts;
    s->w->v[at].column = (size_t)k;
    int rc = next(s);
    return rc ? rc : at;
}

static const struct {
    const char *name;
    enum ds_wop op;
    enum ds_wtype takes, gives; /* DS_W_ANY: whatever */
} calls[] = {
    {"len", W_LEN, DS_W_ANY, DS_W_INT},       {"size", W_SIZE, DS_W_ANY, DS_W_INT},
    {"words", W_WORDS, DS_W_TEXT, DS_W_INT},  {"lower", W_LOWER, DS_W_TEXT, DS_W_TEXT},
    {"number", W_NUMBER, DS_W_ANY, DS_W_ANY}, {"time", W_TIME, DS_W_TEXT, DS_W_TIME},
    {"text", W_TEXT, DS_W_ANY, DS_W_TEXT},    {"coalesce", W_COALESCE, DS_W_ANY, DS_W_ANY}};

/* Values between commas up to `close`: a chain of W_LIST. */
static int values(parse *s, const char *close)
{
    int first = -1, last = -1;
    for (;;) {
        int a = expr(s);
        if (a < 0)
            return a;
        int n = node(s, W_LIST, type_of(s, a), a, -1);
        if (n < 0)
            return n;
        if (last < 0)
            first = n;
        else
            s->w->v[last].b = n;
        last = n;
        int rc = accept(s, ",");
        if (rc < 0)
            return rc;
        if (rc == 0) {
            rc = expect(s, close);
            return rc ? rc : first;
        }
    }
}

static int call(parse *s, size_t which, size_t at)
{
    int rc = expect(s, "(");
    if (rc)
        return rc;
    if (calls[which].op == W_COALESCE) {
        int list = values(s, ")");
        enum ds_wtype t = DS_W_NULL;
        for (int i = list; i >= 0; i = s->w->v[i].b)
            t = t == DS_W_NULL || t == s->w->v[i].type ? s->w->v[i].type
                : s->w->v[i].type == DS_W_NULL         ? t
                                                       : DS_W_ANY;
        return list < 0 ? list : node(s, W_COALESCE, t, list, -1);
    }
    int a = expr(s);
    if (a < 0)
        return a;
    if ((rc = expect(s, ")")))
        return rc;
    const enum ds_wtype t = type_of(s, a);
    if (!may_be(t, calls[which].takes) && calls[which].takes != DS_W_ANY)
        return fail_at(s, at, "the function takes text");
    if ((calls[which].op == W_LEN || calls[which].op == W_SIZE) &&
        !(may_be(t, DS_W_TEXT) || t == DS_W_MANY))
        return fail_at(s, at, "this has no length");
    return node(s, calls[which].op, calls[which].gives, a, -1);
}

static int atom(parse *s)
{
    const size_t at = s->from;
    int n, rc;
    if (s->kind == T_NUMBER)
        return number(s);
    if (s->kind == T_TEXT)
        return text(s);
    if (is(s, "true") || is(s, "false"))
        return literal(s, DS_W_BOOL, is(s, "true"));
    if (is(s, "null"))
        return literal(s, DS_W_NULL, 0);
    if (s->kind == T_NAME) {
        size_t i = 0;
        while (i < sizeof calls / sizeof *calls && !is(s, calls[i].name))
            i++;
        size_t paren = s->to;
        while (paren < s->len && s->p[paren] == ' ')
            paren++;
        if (i < sizeof calls / sizeof *calls && paren < s->len && s->p[paren] == '(')
            return (rc = next(s)) ? rc : call(s, i, at);
        return column(s);
    }
    if ((rc = accept(s, "(")) <= 0)
        return rc ? rc : fail_at(s, at, "a value is wanted");
    n = expr(s);
    if (n >= 0 && (rc = expect(s, ")")))
        return rc;
    return n;
}

static int unary(parse *s)
{
    const size_t at = s->from;
    int rc = accept(s, "-");
    if (rc <= 0)
        return rc ? rc : atom(s);
    if (++s->depth > DS_WHERE_DEPTH)
        return fail_at(s, at, "nested too deep");
    int a = unary(s);
    s->depth--;
    if (a < 0)
        return a;
    if (!numeric(type_of(s, a)))
        return fail_at(s, at, "only numbers have a sign");
    return node(s, W_NEG, type_of(s, a), a, -1);
}

typedef struct level {
    const char *sign;
    enum ds_wop op;
} level;

static int binary(parse *s, int (*below)(parse *), const level *l, size_t n)
{
    int a = below(s);
    while (a >= 0) {
        const size_t at = s->from;
        size_t i = 0;
        while (i < n && !is(s, l[i].sign))
            i++;
        if (i == n)
            return a;
        int rc = next(s), b = rc ? rc : below(s);
        if (b < 0)
            return b;
        const enum ds_wtype ta = type_of(s, a), tb = type_of(s, b);
        if (!numeric(ta) || !numeric(tb))
            return fail_at(s, at, "only numbers can be reckoned with");
        if (l[i].op == W_MOD && (ta == DS_W_REAL || tb == DS_W_REAL))
            return fail_at(s, at, "% takes whole numbers");
        const bool real = l[i].op == W_DIV || ta == DS_W_REAL || tb == DS_W_REAL,
                   any = ta == DS_W_ANY || tb == DS_W_ANY;
        a = node(s, l[i].op, real ? DS_W_REAL : any ? DS_W_ANY : DS_W_INT, a, b);
    }
    return a;
}

static int product(parse *s)
{
    static const level l[] = {{"*", W_MUL}, {"/", W_DIV}, {"%", W_MOD}};
    return binary(s, unary, l, 3);
}

static int sum(parse *s)
{
    static const level l[] = {{"+", W_ADD}, {"-", W_SUB}};
    return binary(s, product, l, 2);
}

/* A text beside a time is a time. */
static int as_time(parse *s, int n, int other, size_t at)
{
    ds_wnode *v = &s->w->v[n];
    if (type_of(s, other) != DS_W_TIME || v->op != W_LITERAL || v->type != DS_W_TEXT)
        return 0;
    if (!ds_time_read(v->v.p, v->v.len, &v->v.i))
        return fail_at(s, at, "compared with a time, the text must be one: 2026-03-01T10:00:00Z");
    v->type = v->v.type = DS_W_TIME;
    return 0;
}

static int check_compare(parse *s, enum ds_wop op, int a, int b, size_t at)
{
    int rc = as_time(s, a, b, at);
    if (rc == 0)
        rc = as_time(s, b, a, at);
    if (rc)
        return rc;
    const enum ds_wtype ta = type_of(s, a), tb = type_of(s, b);
    if (ta == DS_W_MANY || tb == DS_W_MANY)
        return fail_at(s, at, "lists, bytes and tensors cannot be compared: len() can");
    if (!(numeric(ta) && numeric(tb)) && !may_be(ta, tb) && !may_be(tb, ta))
        return fail_at(s, at, "the two sides have types that cannot be compared");
    if (op >= W_LT && op <= W_GE && (ta == DS_W_BOOL || tb == DS_W_BOOL))
        return fail_at(s, at, "true and false have no order");
    return 0;
}

static int pattern(parse *s, int n, size_t at)
{
    ds_wnode *v = &s->w->v[n];
    int code;
    PCRE2_SIZE where;
    if (v->op != W_LITERAL || v->type != DS_W_TEXT)
        return fail_at(s, at, "matches takes a pattern in quotes");
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

static int words_op(parse *s, enum ds_wop op, int a, size_t at)
{
    int rc = next(s), b = rc ? rc : sum(s);
    if (b < 0)
        return b;
    if (!may_be(type_of(s, a), DS_W_TEXT) || !may_be(type_of(s, b), DS_W_TEXT))
        return fail_at(s, at, "both sides must be text");
    if (op == W_MATCHES && (rc = pattern(s, b, at)))
        return rc;
    return node(s, op, DS_W_BOOL, a, b);
}

static int negated(parse *s, int n, bool not )
{
    return n >= 0 && not ? node(s, W_NOT, DS_W_BOOL, n, -1) : n;
}

/* in [..], is [not] null */
static int tail_op(parse *s, int a, size_t at)
{
    int rc, not = 0;
    if ((rc = accept(s, "is")) != 0) {
        if (rc < 0 || (not = accept(s, "not")) < 0)
            return rc < 0 ? rc : not ;
        if ((rc = expect(s, "null")))
            return rc;
        return negated(s, node(s, W_IS_NULL, DS_W_BOOL, a, -1), not );
    }
    if ((not = accept(s, "not")) < 0 || (rc = expect(s, "in")) || (rc = expect(s, "[")))
        return not < 0 ? not : rc;
    int list = values(s, "]");
    for (int i = list; i >= 0; i = s->w->v[i].b)
        if ((rc = check_compare(s, W_EQ, a, s->w->v[i].a, at)))
            return rc;
    return list < 0 ? list : negated(s, node(s, W_IN, DS_W_BOOL, a, list), not );
}

static int comparison(parse *s)
{
    static const level l[] = {{"==", W_EQ}, {"=", W_EQ}, {"!=", W_NE}, {"<", W_LT},
                              {"<=", W_LE}, {">", W_GT}, {">=", W_GE}};
    static const level t[] = {{"matches", W_MATCHES},
                              {"contains", W_CONTAINS},
                              {"startswith", W_STARTS},
                              {"endswith", W_ENDS}};
    int a = sum(s);
    const size_t at = s->from;
    if (a < 0)
        return a;
    if (is(s, "is") || is(s, "in") || is(s, "not"))
        return tail_op(s, a, at);
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        if (is(s, t[i].sign))
            return words_op(s, t[i].op, a, at);
    for (size_t i = 0; i < sizeof l / sizeof *l; i++) {
        if (!is(s, l[i].sign))
            continue;
        int rc = next(s), b = rc ? rc : sum(s);
        if (b < 0)
            return b;
        rc = check_compare(s, l[i].op, a, b, at);
        return rc ? rc : node(s, l[i].op, DS_W_BOOL, a, b);
    }
    return a;
}

static int negation(parse *s)
{
    const size_t at = s->from;
    int rc = accept(s, "not");
    if (rc <= 0)
        return rc ? rc : comparison(s);
    if (++s->depth > DS_WHERE_DEPTH)
        return fail_at(s, at, "nested too deep");
    int a = negation(s);
    s->depth--;
    if (a >= 0 && !may_be(type_of(s, a), DS_W_BOOL))
        return fail_at(s, at, "only what is true or false can be negated");
    return a < 0 ? a : node(s, W_NOT, DS_W_BOOL, a, -1);
}

static int logic(parse *s, int (*below)(parse *), const char *word, enum ds_wop op)
{
    int a = below(s);
    while (a >= 0 && is(s, word)) {
        const size_t at = s->from;
        int rc = next(s), b = rc ? rc : below(s);
        if (b < 0)
            return b;
        if (!may_be(type_of(s, a), DS_W_BOOL) || !may_be(type_of(s, b), DS_W_BOOL))
            return fail_at(s, at, "both sides must be true or false");
        a = node(s, op, DS_W_BOOL, a, b);
    }
    return a;
}

static int conjunction(parse *s)
{
    return logic(s, negation, "and", W_AND);
}

static int expr(parse *s)
{
    if (++s->depth > DS_WHERE_DEPTH)
        return fail_at(s, s->from, "nested too deep");
    int n = logic(s, conjunction, "or", W_OR);
    s->depth--;
    return n;
}

/* ---- the whole ---- */

int ds_where_new(ds_where **out, const char *p, size_t len, const ds_schema *sc, ds_err *err)
{
    ds_where *w = calloc(1, sizeof *w);
    *out = NULL;
    if (!w)
        return ds_fail_nomem(err);
    w->s = sc;
    parse s = {.w = w, .p = p, .len = len, .err = err};
    int rc = ds_utf8_check((const uint8_t *)p, len) == len
                 ? next(&s)
                 : ds_fail(err, DS_USAGE, "expression: not valid UTF-8");
    if (rc == 0)
        rc = w->root = expr(&s);
    if (rc >= 0 && s.kind != T_END)
        rc = fail_at(&s, s.from, "the expression ended before this");
    if (rc < 0) {
        ds_where_free(w);
        return rc;
    }
    *out = w;
    return 0;
}

void ds_where_free(ds_where *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->n; i++) {
        free(w->v[i].own);
        pcre2_code_free(w->v[i].re);
    }
    free(w->v);
    free(w);
}

enum ds_wtype ds_where_type(const ds_where *w)
{
    return w->v[w->root].type;
}

bool ds_where_uses(const ds_where *w, size_t column)
{
    bool uses = false;
    for (size_t i = 0; i < w->n; i++)
        uses = uses || (w->v[i].op == W_COLUMN && w->v[i].column == column);
    return uses;
}
