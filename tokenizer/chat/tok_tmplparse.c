/* tok_tmplparse.c - a template's text to nodes: recursive descent over the grammar of Jinja 2, for
 * the subset of docs/chat-templates.md. */
#include "tok_tmplpriv.h"

#include <stdlib.h>
#include <string.h>

#define NEST_MAX 64
#define ARENA_MAX ((size_t)64 << 20)

enum token { T_END, T_NAME, T_STRING, T_INT, T_REAL, T_OP };

typedef struct parser {
    ds_tmpl *t;
    const char *start, *p, *end;
    unsigned line, depth;
    unsigned brackets; /* open ones in this tag */
    char mark;         /* that ends this tag, before its brace */
    /* the token ahead, inside a tag */
    enum token tok;
    tm_str text; /* name, operator, or a string's value */
    int64_t i;
    double f;
    ds_err *err;
} parser;

static bool bad(const parser *p)
{
    return p->err->code != 0;
}

static tm_node *refuse(parser *p, const char *what, const tm_str *name)
{
    ds_fail(p->err, DS_FAIL, "%s: line %u: %s%s%.*s%s", p->t->name, p->line, what, name ? " '" : "",
            name ? (int)(name->len < 60 ? name->len : 60) : 0, name ? (const char *)name->p : "",
            name ? "'" : "");
    return NULL;
}

static void *get(parser *p, size_t n)
{
    void *v = ds_tm_alloc(&p->t->arena, n ? n : 1);
    if (!v)
        ds_fail(p->err, DS_FAIL, "%s: the template is too large", p->t->name);
    return v;
}

static tm_node *node(parser *p, enum tm_kind kind)
{
    tm_node *n = get(p, sizeof *n);
    if (n) {
        n->kind = kind;
        n->line = p->line;
    }
    return n;
}

/* ---- tokens inside a tag ---- */

static bool is_name(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (!first && c >= '0' && c <= '9');
}

static void lex_string(parser *p)
{
    char quote = *p->p++;
    const char *from = p->p;
    while (p->p < p->end && *p->p != quote) {
        p->p += *p->p == '\\' && p->p + 1 < p->end ? 2 : 1;
    }
    if (p->p >= p->end) {
        refuse(p, "a string that does not end", NULL);
        return;
    }
    uint8_t *out = get(p, (size_t)(p->p - from) + 1);
    size_t n = 0;
    for (const char *q = from; out && q < p->p; q++) {
        p->line += *q == '\n';
        if (*q != '\\') {
            out[n++] = (uint8_t)*q;
            continue;
        }
        static const char names[] = "ntrbf\\'\"0", values[] = "\n\t\r\b\f\\'\"\0";
        const char *k = strchr(names, *++q);
        if (!k || *q == 0 || *q == '0') {
            refuse(p, "an escape in a string that is not supported",
                   &(tm_str){(const uint8_t *)q, 1, NULL, 0});
            return;
        }
        out[n++] = (uint8_t)values[k - names];
    }
    p->p++;
    p->tok = T_STRING;
    p->text = (tm_str){.p = out, .len = n};
}

static void lex_number(parser *p)
{
    char digits[40];
    size_t n = 0;
    bool real = false;
    while (p->p < p->end && n + 1 < sizeof digits &&
           ((*p->p >= '0' && *p->p <= '9') ||
            (*p->p == '.' && !real && p->p + 1 < p->end && p->p[1] >= '0' && p->p[1] <= '9'))) {
        real = real || *p->p == '.';
        digits[n++] = *p->p++;
    }
    digits[n] = 0;
    if (n > 18) {
        refuse(p, "a number that is too long", NULL);
        return;
    }
    p->tok = real ? T_REAL : T_INT;
    p->i = real ? 0 : strtoll(digits, NULL, 10);
    p->f = real ? strtod(digits, NULL) : 0;
}

/* The next token of the tag; T_END in front of its end. */
static void next(parser *p)
{
    static const char *const two[] = {"==", "!=", "<=", ">=", "//", "**"};
    while (p->p < p->end && *p->p && strchr(" \t\r\n", *p->p))
        p->line += *p->p++ == '\n';
    p->tok = T_END;
    if (bad(p))
        return;
    size_t left = (size_t)(p->end - p->p);
    const char *q = p->p + (left && (*p->p == '-' || *p->p == '+'));
    if (left == 0 || (p->brackets == 0 && p->end - q >= 2 && q[0] == p->mark && q[1] == '}'))
        return;
    if (is_name(*p->p, true)) {
        const char *from = p->p;
        while (p->p < p->end && is_name(*p->p, false))
            p->p++;
        p->tok = T_NAME;
        p->text = tm_lit(from, (size_t)(p->p - from));
    } else if (*p->p == '\'' || *p->p == '"') {
        lex_string(p);
    } else if (*p->p >= '0' && *p->p <= '9') {
        lex_number(p);
    } else {
        size_t n = 1;
        for (size_t i = 0; i < sizeof two / sizeof *two; i++)
            if (left >= 2 && memcmp(p->p, two[i], 2) == 0)
                n = 2;
        p->tok = T_OP;
        p->text = tm_lit(p->p, n);
        p->p += n;
    }
}

static bool at(const parser *p, const char *op)
{
    return (p->tok == T_OP || p->tok == T_NAME) && ds_tm_str_is(&p->text, op);
}

static bool take(parser *p, const char *op)
{
    if (!at(p, op))
        return false;
    next(p);
    return true;
}

static void want(parser *p, const char *op)
{
    if (!take(p, op) && !bad(p))
        refuse(p, "here should be", &(tm_str){(const uint8_t *)op, strlen(op), NULL, 0});
}

static tm_str want_name(parser *p)
{
    tm_str s = p->text;
    if (p->tok != T_NAME)
        refuse(p, "a name is missing", NULL);
    next(p);
    return s;
}

/* ---- expressions ---- */

static tm_node *expr(parser *p);
static tm_node *unary(parser *p, bool filters);

/* (a, b, name=c), from its bracket on. */
static tm_node *arguments(parser *p)
{
    tm_node *first = NULL, **to = &first;
    size_t n = 0;
    p->brackets++;
    next(p);
    while (!bad(p) && !at(p, ")")) {
        tm_str name = {0};
        const parser before = *p;
        if (p->tok == T_NAME) {
            name = p->text;
            next(p);
            if (!at(p, "=")) {
                *p = before;
                name = (tm_str){0};
            } else {
                next(p);
            }
        }
        if (at(p, "*") || at(p, "**"))
            return refuse(p, "not supported:", &p->text);
        tm_node *a = expr(p);
        if (!a)
            return NULL;
        a->name = name;
        *to = a;
        to = &a->next;
        if (++n > TM_ARGS)
            return refuse(p, "more arguments than any call takes", NULL);
        if (!take(p, ","))
            break;
    }
    p->brackets--;
    want(p, ")");
    return first;
}

static tm_node *list_of(parser *p, const char *close, enum tm_kind kind)
{
    tm_node *n = node(p, kind), **to = n ? &n->a : NULL;
    p->brackets++;
    next(p);
    while (n && !bad(p) && !at(p, close)) {
        tm_node *a = expr(p);
        if (!a)
            return NULL;
        *to = a;
        to = &a->next;
        if (kind == TN_DICTLIT) {
            want(p, ":");
            tm_node *v = expr(p);
            if (!v)
                return NULL;
            *to = v;
            to = &v->next;
        }
        if (!take(p, ","))
            break;
    }
    p->brackets--;
    want(p, close);
    return n;
}

static tm_node *constant(parser *p, tm_val v)
{
    tm_node *n = node(p, TN_CONST);
    if (n)
        n->val = v;
    return n;
}

static tm_node *name_or_constant(parser *p)
{
    static const struct {
        const char *name;
        int v;
    } words[] = {{"true", 1}, {"True", 1}, {"false", 0}, {"False", 0}, {"none", 2}, {"None", 2}};
    tm_str s = p->text;
    next(p);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (ds_tm_str_is(&s, words[i].name))
            return constant(p, words[i].v == 2 ? tm_none() : tm_bool(words[i].v == 1));
    if (at(p, "(")) {
        int g = ds_tm_global(&s);
        if (g < 0)
            return refuse(p, "no such function here:", &s);
        tm_node *n = node(p, TN_CALL);
        if (n) {
            n->text = s;
            n->op = (unsigned)g;
            n->b = arguments(p);
        }
        return n;
    }
    tm_node *n = node(p, TN_NAME);
    if (n)
        n->text = s;
    return n;
}

static tm_node *string_constant(parser *p)
{
    tm_str s = p->text;
    next(p);
    while (p->tok == T_STRING && !bad(p)) { /* neighbours become one */
        uint8_t *both = get(p, s.len + p->text.len);
        if (!both)
            return NULL;
        if (s.len)
            memcpy(both, s.p, s.len);
        if (p->text.len)
            memcpy(both + s.len, p->text.p, p->text.len);
        s = (tm_str){.p = both, .len = s.len + p->text.len};
        next(p);
    }
    return constant(p, (tm_val){.type = TM_STR, .u.s = s});
}

static tm_node *primary(parser *p)
{
    tm_node *n;
    if (p->tok == T_STRING)
        return string_constant(p);
    if (p->tok == T_INT || p->tok == T_REAL) {
        tm_val v = p->tok == T_INT ? tm_int(p->i) : (tm_val){.type = TM_REAL, .u.f = p->f};
        next(p);
        return constant(p, v);
    }
    if (p->tok == T_NAME)
        return name_or_constant(p);
    if (at(p, "[") || at(p, "{"))
        return at(p, "[") ? list_of(p, "]", TN_LISTLIT) : list_of(p, "}", TN_DICTLIT);
    if (!at(p, "("))
        return p->tok == T_END ? refuse(p, "an expression is missing", NULL)
                               : refuse(p, "not understood:", &p->text);
    p->brackets++;
    next(p);
    n = expr(p);
    if (at(p, ","))
        return refuse(p, "tuples are not supported", NULL);
    p->brackets--;
    want(p, ")");
    return n;
}

static tm_node *subscript(parser *p, tm_node *of)
{
    tm_node *n = node(p, TN_INDEX), *part[3] = {0};
    size_t k = 0;
    p->brackets++;
    next(p);
    for (; n && !bad(p) && !at(p, "]");) {
        if (!at(p, ":"))
            part[k] = expr(p);
        if (!at(p, ":"))
            break;
        n->kind = TN_SLICE;
        if (++k > 2)
            return refuse(p, "a slice has three parts at most", NULL);
        next(p);
    }
    p->brackets--;
    want(p, "]");
    if (!n || bad(p))
        return NULL;
    if (n->kind == TN_INDEX && !part[0])
        return refuse(p, "an index is missing", NULL);
    n->a = of;
    n->b = part[0];
    n->c = part[1];
    n->d = part[2];
    return n;
}

static tm_node *attribute(parser *p, tm_node *of)
{
    next(p);
    if (p->tok == T_INT)
        return refuse(p, "an index after a dot is not supported", NULL);
    tm_str name = want_name(p);
    bool call = at(p, "(");
    int method = call ? ds_tm_method(&name) : 0;
    if (method < 0)
        return refuse(p, "no such method here:", &name);
    tm_node *n = node(p, call ? TN_CALL : TN_ATTR);
    if (!n)
        return NULL;
    n->a = of;
    n->text = name;
    n->op = (unsigned)method;
    if (call)
        n->b = arguments(p);
    return n;
}

static tm_node *postfix(parser *p, tm_node *n)
{
    while (n && !bad(p)) {
        if (at(p, "."))
            n = attribute(p, n);
        else if (at(p, "["))
            n = subscript(p, n);
        else if (at(p, "("))
            return refuse(p, "calling a value is not supported", NULL);
        else
            break;
    }
    return n;
}

static tm_node *filter(parser *p, tm_node *of)
{
    tm_node *n = node(p, TN_FILTER);
    next(p);
    tm_str name = want_name(p);
    int k = ds_tm_filter(&name);
    if (k < 0 && !bad(p))
        return refuse(p, "no such filter here:", &name);
    if (!n || bad(p))
        return NULL;
    n->a = of;
    n->text = name;
    n->op = (unsigned)k;
    if (at(p, "("))
        n->b = arguments(p);
    return n;
}

static tm_node *test(parser *p, tm_node *of)
{
    tm_node *n = node(p, TN_TEST);
    next(p);
    bool negate = take(p, "not");
    tm_str name = want_name(p);
    int k = ds_tm_test(&name);
    if (k < 0 && !bad(p))
        return refuse(p, "no such test here:", &name);
    if (!n || bad(p))
        return NULL;
    n->a = of;
    n->text = name;
    n->op = (unsigned)k;
    n->negate = negate;
    if (at(p, "("))
        n->b = arguments(p);
    else if (p->tok == T_STRING || p->tok == T_INT || p->tok == T_REAL)
        n->b = primary(p); /* is equalto "x" */
    return n;
}

static tm_node *unary(parser *p, bool filters)
{
    tm_node *n;
    if (++p->depth > NEST_MAX * 8)
        return refuse(p, "nested too deeply", NULL);
    if (at(p, "-") || at(p, "+")) {
        bool minus = at(p, "-");
        next(p);
        tm_node *a = unary(p, false);
        n = minus ? node(p, TN_NEG) : a;
        if (n && minus)
            n->a = a;
    } else {
        n = postfix(p, primary(p));
    }
    p->depth--;
    while (filters && n && !bad(p) && (at(p, "|") || at(p, "is")))
        n = at(p, "|") ? filter(p, n) : test(p, n);
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

static int operator_at(const parser *p, int level)
{
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (operators[i].level == level && at(p, operators[i].text))
            return (int)i;
    return -1;
}

static tm_node *binary(parser *p, int level)
{
    if (level > 3)
        return unary(p, true);
    tm_node *n = binary(p, level + 1);
    bool compared = false;
    while (n && !bad(p)) {
        bool negate = false;
        int k = operator_at(p, level);
        if (level == 0 && at(p, "not")) { /* only "not in" can follow an operand */
            next(p);
            negate = true;
            k = operator_at(p, 0);
            if (k < 0 || operators[k].op != OP_IN)
                return refuse(p, "'not' without 'in'", NULL);
        }
        if (k < 0)
            break;
        if (compared)
            return refuse(p, "chained comparisons are not supported", NULL);
        compared = level == 0;
        tm_node *b = node(p, TN_BINARY);
        next(p);
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

static tm_node *negation(parser *p)
{
    if (!at(p, "not"))
        return binary(p, 0);
    if (++p->depth > NEST_MAX * 8)
        return refuse(p, "nested too deeply", NULL);
    tm_node *n = node(p, TN_NOT);
    next(p);
    tm_node *a = negation(p);
    p->depth--;
    if (n)
        n->a = a;
    return n;
}

static tm_node *logic(parser *p, bool or)
{
    tm_node *n = or ? logic(p, false) : negation(p);
    while (n && !bad(p) && at(p, or ? "or" : "and")) {
        tm_node *b = node(p, or ? TN_OR : TN_AND);
        next(p);
        if (!b)
            return NULL;
        b->a = n;
        b->b = or ? logic(p, false) : negation(p);
        n = b;
    }
    return n;
}

static tm_node *expr(parser *p)
{
    if (bad(p))
        return NULL;
    if (++p->depth > NEST_MAX * 8)
        return refuse(p, "nested too deeply", NULL);
    tm_node *n = logic(p, true);
    while (n && !bad(p) && take(p, "if")) {
        tm_node *c = node(p, TN_COND);
        if (!c)
            return NULL;
        c->a = n;
        c->b = logic(p, true);
        c->c = take(p, "else") ? expr(p) : NULL;
        n = c;
    }
    p->depth--;
    return bad(p) ? NULL : n;
}

/* ---- statements ---- */

static tm_node *block(parser *p, const char *const *ends, tm_str *end, unsigned depth);

/* Behind the tag: "-%}" eats white space, and a newline right after "%}" goes. */
static void close_tag(parser *p, char mark)
{
    bool minus = p->p < p->end && *p->p == '-', plus = p->p < p->end && *p->p == '+';
    if (p->tok != T_END && !bad(p))
        refuse(p, "not understood:", &p->text);
    p->p += minus || plus;
    if (!bad(p) && (p->end - p->p < 2 || p->p[0] != mark || p->p[1] != '}'))
        refuse(p, "a tag that does not end", NULL);
    if (bad(p))
        return;
    p->p += 2;
    if (minus) {
        while (p->p < p->end && *p->p && strchr(" \t\r\n\v\f", *p->p))
            p->line += *p->p++ == '\n';
    } else if (mark != '}' && !plus && p->p < p->end && *p->p == '\n') {
        p->p++;
        p->line++;
    }
}

/* What a block between tags ends with; its tag is open behind the word. */
static tm_node *body(parser *p, const char *const *ends, tm_str *end, unsigned depth)
{
    close_tag(p, '%');
    return bad(p) ? NULL : block(p, ends, end, depth + 1);
}

static tm_node *statement_if(parser *p, unsigned depth)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    tm_str end = {0};
    tm_node *n = node(p, TN_IF);
    if (!n || !(n->a = expr(p)))
        return NULL;
    n->b = body(p, ends, &end, depth);
    if (bad(p))
        return NULL;
    if (ds_tm_str_is(&end, "elif")) {
        if (depth > NEST_MAX)
            return refuse(p, "nested too deeply", NULL);
        n->c = statement_if(p, depth + 1);
    } else if (ds_tm_str_is(&end, "else")) {
        n->c = body(p, ends + 2, &end, depth);
    }
    return n;
}

static tm_node *statement_for(parser *p, unsigned depth)
{
    static const char *const ends[] = {"else", "endfor", NULL};
    tm_str end = {0};
    tm_node *n = node(p, TN_FOR);
    if (!n)
        return NULL;
    n->text = want_name(p);
    if (take(p, ","))
        n->text2 = want_name(p);
    want(p, "in");
    n->a = bad(p) ? NULL : logic(p, true); /* an "if" behind it is a filter */
    if (take(p, "if"))
        n->d = expr(p);
    if (at(p, "recursive"))
        return refuse(p, "not supported:", &p->text);
    n->b = body(p, ends, &end, depth);
    if (!bad(p) && ds_tm_str_is(&end, "else"))
        n->c = body(p, ends + 1, &end, depth);
    return n;
}

static tm_node *statement_set(parser *p, unsigned depth)
{
    static const char *const ends[] = {"endset", NULL};
    tm_str end;
    tm_node *n = node(p, TN_SET);
    if (!n)
        return NULL;
    n->text = want_name(p);
    if (take(p, "."))
        n->text2 = want_name(p);
    if (at(p, ","))
        return refuse(p, "setting several names at once is not supported", NULL);
    if (take(p, "="))
        n->a = expr(p);
    else if (p->tok == T_END && n->text2.len == 0)
        n->b = body(p, ends, &end, depth);
    else
        want(p, "=");
    return n;
}

static tm_node *statement(parser *p, const tm_str *word, unsigned depth)
{
    static const char *const ends[] = {"endgeneration", NULL};
    tm_str end;
    if (depth > NEST_MAX)
        return refuse(p, "nested too deeply", NULL);
    if (ds_tm_str_is(word, "if"))
        return statement_if(p, depth);
    if (ds_tm_str_is(word, "for"))
        return statement_for(p, depth);
    if (ds_tm_str_is(word, "set"))
        return statement_set(p, depth);
    if (ds_tm_str_is(word, "break") || ds_tm_str_is(word, "continue"))
        return node(p, ds_tm_str_is(word, "break") ? TN_BREAK : TN_CONTINUE);
    if (ds_tm_str_is(word, "generation")) {
        tm_node *n = node(p, TN_GENERATION);
        p->t->generation = true;
        if (n)
            n->b = body(p, ends, &end, depth);
        return n;
    }
    return refuse(p, "no such statement here:", word);
}

/* Where the next tag begins, or the end. */
static const char *find_tag(const parser *p)
{
    for (const char *q = p->p; (q = memchr(q, '{', (size_t)(p->end - q))) != NULL; q++)
        if (p->end - q >= 2 && (q[1] == '{' || q[1] == '%' || q[1] == '#'))
            return q;
    return p->end;
}

/* The text up to `tag`, less what the tag eats to its left. */
static tm_node *text_node(parser *p, const char *tag)
{
    const char *from = p->p, *to = tag;
    bool is_tag = tag < p->end, minus = is_tag && p->end - tag > 2 && tag[2] == '-';
    bool plus = is_tag && p->end - tag > 2 && tag[2] == '+';
    for (const char *q = from; q < tag; q++)
        p->line += *q == '\n';
    if (minus) {
        while (to > from && to[-1] && strchr(" \t\r\n\v\f", to[-1]))
            to--;
    } else if (is_tag && tag[1] != '{' && !plus) { /* the indentation of a tag that is alone */
        const char *q = to;
        while (q > from && (q[-1] == ' ' || q[-1] == '\t'))
            q--;
        if (q == p->start || q[-1] == '\n')
            to = q;
    }
    p->p = tag;
    if (to == from)
        return NULL;
    tm_node *n = node(p, TN_TEXT);
    if (n)
        n->text = tm_lit(from, (size_t)(to - from));
    return n;
}

static void comment(parser *p)
{
    const char *end = memmem(p->p + 2, (size_t)(p->end - p->p) - 2, "#}", 2);
    if (!end) {
        refuse(p, "a comment that does not end", NULL);
        return;
    }
    for (; p->p < end; p->p++)
        p->line += *p->p == '\n';
    p->p = end[-1] == '-' ? end - 1 : end;
    p->tok = T_END;
    close_tag(p, '#');
}

static void put(tm_node ***to, tm_node *n)
{
    if (!n)
        return;
    **to = n;
    *to = &n->next;
}

/* Reads up to a tag with a word of `ends`, which is left open behind the word; NULL: to the end of
 * the template. */
static tm_node *block(parser *p, const char *const *ends, tm_str *end, unsigned depth)
{
    tm_node *first = NULL, **to = &first;
    while (!bad(p)) {
        const char *tag = find_tag(p);
        put(&to, text_node(p, tag));
        if (tag >= p->end)
            break;
        if (tag[1] == '#') {
            comment(p);
            continue;
        }
        bool print = tag[1] == '{';
        p->p = tag + 2;
        if (p->p < p->end && (*p->p == '-' || *p->p == '+'))
            p->p++;
        p->depth = p->brackets = 0;
        p->mark = print ? '}' : '%';
        next(p);
        tm_node *n;
        if (print) {
            n = node(p, TN_PRINT);
            if (n)
                n->a = expr(p);
        } else {
            tm_str word = want_name(p);
            for (size_t i = 0; ends && ends[i] && !bad(p); i++)
                if (ds_tm_str_is(&word, ends[i])) {
                    *end = word;
                    return first;
                }
            n = bad(p) ? NULL : statement(p, &word, depth);
        }
        close_tag(p, print ? '}' : '%');
        put(&to, n);
    }
    for (; ends && !bad(p) && *ends; ends++)
        if (!ends[1])
            refuse(p, "the template ends before",
                   &(tm_str){(const uint8_t *)*ends, strlen(*ends), NULL, 0});
    return first;
}

int ds_tmpl_parse(ds_tmpl **out, const char *text, size_t len, const char *name, ds_err *err)
{
    ds_err own = {0};
    ds_tmpl *t = calloc(1, sizeof *t);
    *out = NULL;
    if (!t || !(t->name = strdup(name))) {
        free(t);
        return ds_fail_nomem(err);
    }
    t->arena.limit = ARENA_MAX;
    parser p = {.t = t, .line = 1, .err = &own};
    char *copy = get(&p, len + 1);
    if (copy) {
        memcpy(copy, text, len);
        if (len && copy[len - 1] == '\n') /* one newline at the end does not count */
            len--;
        p.start = p.p = copy;
        p.end = copy + len;
        t->body = block(&p, NULL, NULL, 0);
    }
    if (own.code) {
        ds_tmpl_free(t);
        return ds_fail(err, own.code, "%s", own.msg);
    }
    *out = t;
    return 0;
}

void ds_tmpl_free(ds_tmpl *t)
{
    if (!t)
        return;
    ds_tm_arena_fini(&t->arena);
    free(t->name);
    free(t);
}
