/* tok_tmplexpr.c - expressions of templates: from logic down to names and constants; see
 * tok_tmpllex.h. */
#include <stdlib.h>
#include <string.h>

#include "tok_tmpllex.h"

static tm_node *unary(tm_parser *p, bool filters);

/* (a, b, name=c), from its bracket on. */
static tm_node *arguments(tm_parser *p)
{
    tm_node *first = NULL, **to = &first;
    size_t n = 0;
    p->brackets++;
    ds_tp_next(p);
    while (!ds_tp_bad(p) && !ds_tp_at(p, ")")) {
        tm_str name = {0};
        const tm_parser before = *p;
        if (p->tok == TP_NAME) {
            name = p->text;
            ds_tp_next(p);
            if (!ds_tp_at(p, "=")) {
                *p = before;
                name = (tm_str){0};
            } else {
                ds_tp_next(p);
            }
        }
        if (ds_tp_at(p, "*") || ds_tp_at(p, "**"))
            return ds_tp_refuse(p, "not supported:", &p->text);
        tm_node *a = ds_tp_expr(p);
        if (!a)
            return NULL;
        a->name = name;
        *to = a;
        to = &a->next;
        if (++n > TM_ARGS)
            return ds_tp_refuse(p, "more arguments than any call takes", NULL);
        if (!ds_tp_take(p, ","))
            break;
    }
    p->brackets--;
    ds_tp_want(p, ")");
    return first;
}

/* Does a call take its arguments? What it would pass over is refused. */
static tm_node *called(tm_parser *p, tm_node *n, const tm_callee *what)
{
    size_t by_place = 0;
    for (const tm_node *a = n ? n->b : NULL; a && !ds_tp_bad(p); a = a->next) {
        const char *at = what->names;
        by_place += a->name.len == 0;
        if (a->name.len && strcmp(what->names, "*") != 0)
            while (*at && !(strncmp(at, (const char *)a->name.p, a->name.len) == 0 &&
                            (at[a->name.len] == ' ' || at[a->name.len] == 0)))
                at += strcspn(at, " ") + (at[strcspn(at, " ")] == ' ');
        if (a->name.len && !*at)
            return ds_tp_refuse(p, "no such argument here:", &a->name);
        if (by_place > what->most)
            return ds_tp_refuse(
                p, "more arguments than it takes here:",
                &(tm_str){(const uint8_t *)what->name, strlen(what->name), NULL, 0});
    }
    return ds_tp_bad(p) ? NULL : n;
}

static tm_node *list_of(tm_parser *p, const char *close, enum tm_kind kind)
{
    tm_node *n = ds_tp_node(p, kind), **to = n ? &n->a : NULL;
    p->brackets++;
    ds_tp_next(p);
    while (n && !ds_tp_bad(p) && !ds_tp_at(p, close)) {
        tm_node *a = ds_tp_expr(p);
        if (!a)
            return NULL;
        *to = a;
        to = &a->next;
        if (kind == TN_DICTLIT) {
            ds_tp_want(p, ":");
            tm_node *v = ds_tp_expr(p);
            if (!v)
                return NULL;
            *to = v;
            to = &v->next;
        }
        if (!ds_tp_take(p, ","))
            break;
    }
    p->brackets--;
    ds_tp_want(p, close);
    return n;
}

static tm_node *constant(tm_parser *p, tm_val v)
{
    tm_node *n = ds_tp_node(p, TN_CONST);
    if (n)
        n->val = v;
    return n;
}

static tm_node *name_or_constant(tm_parser *p)
{
    static const struct {
        const char *name;
        int v;
    } words[] = {{"true", 1}, {"True", 1}, {"false", 0}, {"False", 0}, {"none", 2}, {"None", 2}};
    tm_str s = p->text;
    ds_tp_next(p);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (ds_tm_str_is(&s, words[i].name))
            return constant(p, words[i].v == 2 ? tm_none() : tm_bool(words[i].v == 1));
    if (ds_tp_at(p, "(")) {
        int g = ds_tm_number_of(ds_tm_globals, &s);
        tm_node *n = ds_tp_node(p, TN_CALL);
        if (n) {
            n->text = s;
            n->op = g < 0 ? TM_MACRO : (unsigned)g;
            n->b = arguments(p);
        }
        if (n && g < 0) { /* it may stand further down: looked for at the end */
            n->d = p->calls;
            p->calls = n;
            return n;
        }
        return called(p, n, &ds_tm_globals[g]);
    }
    tm_node *n = ds_tp_node(p, TN_NAME);
    if (n)
        n->text = s;
    return n;
}

static tm_node *string_constant(tm_parser *p)
{
    tm_str s = p->text;
    ds_tp_next(p);
    while (p->tok == TP_STRING && !ds_tp_bad(p)) { /* neighbours become one */
        uint8_t *both = ds_tp_get(p, s.len + p->text.len);
        if (!both)
            return NULL;
        if (s.len)
            memcpy(both, s.p, s.len);
        if (p->text.len)
            memcpy(both + s.len, p->text.p, p->text.len);
        s = (tm_str){.p = both, .len = s.len + p->text.len};
        ds_tp_next(p);
    }
    return constant(p, (tm_val){.type = TM_STR, .u.s = s});
}

/* (a, b) from its first comma on: a list. Neither can be written as text, which is where they would
 * differ. */
static tm_node *tuple(tm_parser *p, tm_node *first)
{
    tm_node *n = ds_tp_node(p, TN_LISTLIT), **to = &first->next;
    while (n && ds_tp_take(p, ",") && !ds_tp_at(p, ")") && !ds_tp_bad(p)) {
        if (!(*to = ds_tp_expr(p)))
            return NULL;
        to = &(*to)->next;
    }
    if (n)
        n->a = first;
    return n;
}

static tm_node *primary(tm_parser *p)
{
    tm_node *n;
    if (p->tok == TP_STRING)
        return string_constant(p);
    if (p->tok == TP_INT || p->tok == TP_REAL) {
        tm_val v = p->tok == TP_INT ? tm_int(p->i) : (tm_val){.type = TM_REAL, .u.f = p->f};
        ds_tp_next(p);
        return constant(p, v);
    }
    if (p->tok == TP_NAME)
        return name_or_constant(p);
    if (ds_tp_at(p, "[") || ds_tp_at(p, "{"))
        return ds_tp_at(p, "[") ? list_of(p, "]", TN_LISTLIT) : list_of(p, "}", TN_DICTLIT);
    if (!ds_tp_at(p, "("))
        return p->tok == TP_END ? ds_tp_refuse(p, "an expression is missing", NULL)
                                : ds_tp_refuse(p, "not understood:", &p->text);
    p->brackets++;
    ds_tp_next(p);
    n = ds_tp_expr(p);
    if (n && ds_tp_at(p, ","))
        n = tuple(p, n);
    p->brackets--;
    ds_tp_want(p, ")");
    return n;
}

static tm_node *subscript(tm_parser *p, tm_node *of)
{
    tm_node *n = ds_tp_node(p, TN_INDEX), *part[3] = {0};
    size_t k = 0;
    p->brackets++;
    ds_tp_next(p);
    for (; n && !ds_tp_bad(p) && !ds_tp_at(p, "]");) {
        if (!ds_tp_at(p, ":"))
            part[k] = ds_tp_expr(p);
        if (!ds_tp_at(p, ":"))
            break;
        n->kind = TN_SLICE;
        if (++k > 2)
            return ds_tp_refuse(p, "a slice has three parts at most", NULL);
        ds_tp_next(p);
    }
    p->brackets--;
    ds_tp_want(p, "]");
    if (!n || ds_tp_bad(p))
        return NULL;
    if (n->kind == TN_INDEX && !part[0])
        return ds_tp_refuse(p, "an index is missing", NULL);
    n->a = of;
    n->b = part[0];
    n->c = part[1];
    n->d = part[2];
    return n;
}

static tm_node *attribute(tm_parser *p, tm_node *of)
{
    ds_tp_next(p);
    if (p->tok == TP_INT)
        return ds_tp_refuse(p, "an index after a dot is not supported", NULL);
    tm_str name = ds_tp_name(p);
    bool call = ds_tp_at(p, "(");
    int method = call ? ds_tm_number_of(ds_tm_methods, &name) : 0;
    if (method < 0)
        return ds_tp_refuse(p, "no such method here:", &name);
    tm_node *n = ds_tp_node(p, call ? TN_CALL : TN_ATTR);
    if (!n)
        return NULL;
    n->a = of;
    n->text = name;
    n->op = (unsigned)method;
    if (!call)
        return n;
    n->b = arguments(p);
    return called(p, n, &ds_tm_methods[method]);
}

static tm_node *postfix(tm_parser *p, tm_node *n)
{
    while (n && !ds_tp_bad(p)) {
        if (ds_tp_at(p, "."))
            n = attribute(p, n);
        else if (ds_tp_at(p, "["))
            n = subscript(p, n);
        else if (ds_tp_at(p, "("))
            return ds_tp_refuse(p, "calling a value is not supported", NULL);
        else
            break;
    }
    return n;
}

static tm_node *filter(tm_parser *p, tm_node *of)
{
    tm_node *n = ds_tp_node(p, TN_FILTER);
    ds_tp_next(p);
    tm_str name = ds_tp_name(p);
    int k = ds_tm_number_of(ds_tm_filters, &name);
    if (k < 0 && !ds_tp_bad(p))
        return ds_tp_refuse(p, "no such filter here:", &name);
    if (!n || ds_tp_bad(p))
        return NULL;
    n->a = of;
    n->text = name;
    n->op = (unsigned)k;
    if (ds_tp_at(p, "("))
        n->b = arguments(p);
    return called(p, n, &ds_tm_filters[k]);
}

static tm_node *test(tm_parser *p, tm_node *of)
{
    tm_node *n = ds_tp_node(p, TN_TEST);
    ds_tp_next(p);
    bool negate = ds_tp_take(p, "not");
    tm_str name = ds_tp_name(p);
    int k = ds_tm_number_of(ds_tm_tests, &name);
    if (k < 0 && !ds_tp_bad(p))
        return ds_tp_refuse(p, "no such test here:", &name);
    if (!n || ds_tp_bad(p))
        return NULL;
    n->a = of;
    n->text = name;
    n->op = (unsigned)k;
    n->negate = negate;
    if (ds_tp_at(p, "("))
        n->b = arguments(p);
    else if (p->tok == TP_STRING || p->tok == TP_INT || p->tok == TP_REAL)
        n->b = primary(p); /* is equalto "x" */
    return called(p, n, &ds_tm_tests[k]);
}

static tm_node *unary(tm_parser *p, bool filters)
{
    tm_node *n;
    if (++p->depth > TP_NEST_MAX * 8)
        return ds_tp_refuse(p, "nested too deeply", NULL);
    if (ds_tp_at(p, "-") || ds_tp_at(p, "+")) {
        bool minus = ds_tp_at(p, "-");
        ds_tp_next(p);
        tm_node *a = unary(p, false);
        n = minus ? ds_tp_node(p, TN_NEG) : a;
        if (n && minus)
            n->a = a;
    } else {
        n = postfix(p, primary(p));
    }
    p->depth--;
    while (filters && n && !ds_tp_bad(p) && (ds_tp_at(p, "|") || ds_tp_at(p, "is")))
        n = ds_tp_at(p, "|") ? filter(p, n) : test(p, n);
    return n;
}

static const struct {
    const char *text;
    enum tm_op op;
    int level; /* 0 compares, 1 adds, 2 joins, 3 multiplies */
} operators[] = {{"==", OP_EQ, 0}, {"!=", OP_NE, 0},    {"<=", OP_LE, 0}, {">=", OP_GE, 0},
                 {"<", OP_LT, 0},  {">", OP_GT, 0},     {"in", OP_IN, 0}, {"+", OP_ADD, 1},
                 {"-", OP_SUB, 1}, {"~", OP_CONCAT, 2}, {"*", OP_MUL, 3}, {"//", OP_FLOORDIV, 3},
                 {"/", OP_DIV, 3}, {"%", OP_MOD, 3}};

static int operator_at(const tm_parser *p, int level)
{
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (operators[i].level == level && ds_tp_at(p, operators[i].text))
            return (int)i;
    return -1;
}

static tm_node *binary(tm_parser *p, int level)
{
    if (level > 3)
        return unary(p, true);
    tm_node *n = binary(p, level + 1);
    bool compared = false;
    while (n && !ds_tp_bad(p)) {
        bool negate = false;
        int k = operator_at(p, level);
        if (level == 0 && ds_tp_at(p, "not")) { /* only "not in" can follow an operand */
            ds_tp_next(p);
            negate = true;
            k = operator_at(p, 0);
            if (k < 0 || operators[k].op != OP_IN)
                return ds_tp_refuse(p, "'not' without 'in'", NULL);
        }
        if (k < 0)
            break;
        if (compared)
            return ds_tp_refuse(p, "chained comparisons are not supported", NULL);
        compared = level == 0;
        tm_node *b = ds_tp_node(p, TN_BINARY);
        ds_tp_next(p);
        if (!b)
            return NULL;
        b->op = operators[k].op;
        b->negate = negate;
        b->a = n;
        if (!(b->b = binary(p, level + 1)))
            return NULL;
        n = b;
    }
    return n;
}

static tm_node *negation(tm_parser *p)
{
    if (!ds_tp_at(p, "not"))
        return binary(p, 0);
    if (++p->depth > TP_NEST_MAX * 8)
        return ds_tp_refuse(p, "nested too deeply", NULL);
    tm_node *n = ds_tp_node(p, TN_NOT);
    ds_tp_next(p);
    tm_node *a = negation(p);
    p->depth--;
    if (n)
        n->a = a;
    return n;
}

tm_node *ds_tp_logic(tm_parser *p, bool or)
{
    tm_node *n = or ? ds_tp_logic(p, false) : negation(p);
    while (n && !ds_tp_bad(p) && ds_tp_at(p, or ? "or" : "and")) {
        tm_node *b = ds_tp_node(p, or ? TN_OR : TN_AND);
        ds_tp_next(p);
        if (!b)
            return NULL;
        b->a = n;
        b->b = or ? ds_tp_logic(p, false) : negation(p);
        n = b;
    }
    return n;
}

tm_node *ds_tp_expr(tm_parser *p)
{
    if (ds_tp_bad(p))
        return NULL;
    if (++p->depth > TP_NEST_MAX * 8)
        return ds_tp_refuse(p, "nested too deeply", NULL);
    tm_node *n = ds_tp_logic(p, true);
    while (n && !ds_tp_bad(p) && ds_tp_take(p, "if")) {
        tm_node *c = ds_tp_node(p, TN_COND);
        if (!c)
            return NULL;
        c->a = n;
        c->b = ds_tp_logic(p, true);
        c->c = ds_tp_take(p, "else") ? ds_tp_expr(p) : NULL;
        n = c;
    }
    p->depth--;
    return ds_tp_bad(p) ? NULL : n;
}
