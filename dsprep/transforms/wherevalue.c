/* wherevalue.c - see whereparse.h: what stands alone in an expression: numbers, texts, columns,
 * calls of functions, and expressions in parentheses. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "colpath.h"
#include "whereparse.h"

static int number(ds_wparse *s)
{
    char text[64];
    const size_t len = s->to - s->from;
    if (len >= sizeof text)
        return ds_wparse_fail(s, s->from, "a number of too many digits");
    memcpy(text, s->p + s->from, len);
    text[len] = 0;
    char *end;
    int n = ds_wparse_node(s, W_LITERAL, DS_W_INT, -1, -1);
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
            return ds_wparse_fail(s, s->from, "this is no number");
    }
    s->w->v[n].type = v->type;
    int rc = ds_wtoken_next(s);
    return rc ? rc : n;
}

/* Escapes: \\ \' \" \n \t; a backslash before anything else stays, as patterns need it. */
static int text(ds_wparse *s)
{
    int n = ds_wparse_node(s, W_LITERAL, DS_W_TEXT, -1, -1);
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
    int rc = ds_wtoken_next(s);
    return rc ? rc : n;
}

static int literal(ds_wparse *s, enum ds_wtype type, int64_t i)
{
    int n = ds_wparse_node(s, W_LITERAL, type, -1, -1);
    if (n < 0)
        return n;
    s->w->v[n].v = (ds_wval){.type = type, .i = i};
    int rc = ds_wtoken_next(s);
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

static int column(ds_wparse *s)
{
    ds_err why = {0};
    const char *below = NULL;
    size_t n, k = 0;
    char *parts = ds_colpath_parts(s->p + s->from, s->to - s->from, &n);
    if (!parts)
        return ds_fail_nomem(s->err);
    int at = ds_colpath_named(parts, n) ? ds_colname_find(s->names, parts, n, &k, &below, &why)
                                        : ds_fail(&why, DS_USAGE, "a part of the name is empty");
    if (at == DS_USAGE && n == 1 && strcmp(parts, "key") == 0)
        why = (ds_err){.msg = "keys are derived in this stream: key() is that of a record"};
    at = at == DS_USAGE ? ds_wparse_fail(s, s->from, why.msg)
         : at           ? ds_fail(s->err, at, "%s", why.msg)
                        : ds_wparse_node(s, W_COLUMN, column_type(s->w->s->cols[k].type), -1, -1);
    if (at < 0) {
        free(parts);
        return at;
    }
    const size_t len = s->to - s->from;
    if (below)
        memmove(parts, below, len + 2 - (size_t)(below - parts));
    else
        *parts = 0;
    s->w->v[at].own = parts;
    s->w->v[at].column = k;
    int rc = ds_wtoken_next(s);
    return rc ? rc : at;
}

static const struct {
    const char *name;
    enum ds_wop op;
    enum ds_wtype takes, gives; /* DS_W_ANY: whatever */
} calls[] = {
    {"len", W_LEN, DS_W_ANY, DS_W_INT},        {"size", W_SIZE, DS_W_ANY, DS_W_INT},
    {"words", W_WORDS, DS_W_TEXT, DS_W_INT},   {"lower", W_LOWER, DS_W_TEXT, DS_W_TEXT},
    {"number", W_NUMBER, DS_W_ANY, DS_W_ANY},  {"time", W_TIME, DS_W_TEXT, DS_W_TIME},
    {"text", W_TEXT, DS_W_ANY, DS_W_TEXT},     {"coalesce", W_COALESCE, DS_W_ANY, DS_W_ANY},
    {"trim", W_TRIM, DS_W_TEXT, DS_W_TEXT},    {"nfc", W_NFC, DS_W_TEXT, DS_W_TEXT},
    {"nfkc", W_NFKC, DS_W_TEXT, DS_W_TEXT},    {"replace", W_REPLACE, DS_W_TEXT, DS_W_TEXT},
    {"key", W_KEY, DS_W_NULL, DS_W_TEXT},      {"hasword", W_HASWORD, DS_W_TEXT, DS_W_BOOL},
    {"onsite", W_ONSITE, DS_W_TEXT, DS_W_BOOL}};

int ds_wparse_values(ds_wparse *s, const char *close)
{
    int first = -1, last = -1;
    for (;;) {
        int a = ds_wparse_expr(s);
        if (a < 0)
            return a;
        int n = ds_wparse_node(s, W_LIST, ds_wparse_type(s, a), a, -1);
        if (n < 0)
            return n;
        if (last < 0)
            first = n;
        else
            s->w->v[last].b = n;
        last = n;
        int rc = ds_wtoken_accept(s, ",");
        if (rc < 0)
            return rc;
        if (rc == 0) {
            rc = ds_wtoken_expect(s, close);
            return rc ? rc : first;
        }
    }
}

static int call(ds_wparse *s, size_t which, size_t at)
{
    int rc = ds_wtoken_expect(s, "(");
    if (rc)
        return rc;
    if (calls[which].op == W_COALESCE) {
        int list = ds_wparse_values(s, ")");
        enum ds_wtype t = DS_W_NULL;
        for (int i = list; i >= 0; i = s->w->v[i].b)
            t = t == DS_W_NULL || t == s->w->v[i].type ? s->w->v[i].type
                : s->w->v[i].type == DS_W_NULL         ? t
                                                       : DS_W_ANY;
        return list < 0 ? list : ds_wparse_node(s, W_COALESCE, t, list, -1);
    }
    if (calls[which].op == W_KEY)
        return ds_wparse_key(s);
    if (calls[which].op == W_HASWORD || calls[which].op == W_ONSITE)
        return ds_wparse_listed(s, calls[which].op, at);
    if (calls[which].op == W_REPLACE)
        return ds_wparse_replace(s, at);
    if (calls[which].op == W_NFC || calls[which].op == W_NFKC)
        rc = ds_wparse_normal(s);
    int a = rc ? rc : ds_wparse_expr(s);
    if (a < 0)
        return a;
    if ((rc = ds_wtoken_expect(s, ")")))
        return rc;
    const enum ds_wtype t = ds_wparse_type(s, a);
    if (!ds_wtype_may_be(t, calls[which].takes) && calls[which].takes != DS_W_ANY)
        return ds_wparse_fail(s, at, "the function takes text");
    if ((calls[which].op == W_LEN || calls[which].op == W_SIZE) &&
        !(ds_wtype_may_be(t, DS_W_TEXT) || t == DS_W_MANY))
        return ds_wparse_fail(s, at, "this has no length");
    return ds_wparse_node(s, calls[which].op, calls[which].gives, a, -1);
}

int ds_wparse_atom(ds_wparse *s)
{
    const size_t at = s->from;
    int n, rc;
    if (s->kind == T_NUMBER)
        return number(s);
    if (s->kind == T_TEXT)
        return text(s);
    if (ds_wtoken_is(s, "true") || ds_wtoken_is(s, "false"))
        return literal(s, DS_W_BOOL, ds_wtoken_is(s, "true"));
    if (ds_wtoken_is(s, "null"))
        return literal(s, DS_W_NULL, 0);
    if (s->kind == T_NAME) {
        size_t i = 0;
        while (i < sizeof calls / sizeof *calls && !ds_wtoken_is(s, calls[i].name))
            i++;
        size_t paren = s->to;
        while (paren < s->len && s->p[paren] == ' ')
            paren++;
        if (i < sizeof calls / sizeof *calls && paren < s->len && s->p[paren] == '(')
            return (rc = ds_wtoken_next(s)) ? rc : call(s, i, at);
        return column(s);
    }
    if ((rc = ds_wtoken_accept(s, "(")) <= 0)
        return rc ? rc : ds_wparse_fail(s, at, "a value is wanted");
    n = ds_wparse_expr(s);
    if (n >= 0 && (rc = ds_wtoken_expect(s, ")")))
        return rc;
    return n;
}
