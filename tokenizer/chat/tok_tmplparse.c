/* tok_tmplparse.c - a template's text to nodes: recursive descent over the grammar of Jinja 2, for
 * the subset of docs/chat-templates.md. Here the statements. */
#include <stdlib.h>
#include <string.h>

#include "tok_tmpllex.h"

#define ARENA_MAX ((size_t)64 << 20)

static tm_node *block(tm_parser *p, const char *const *ends, tm_str *end, unsigned depth);

/* Behind the tag: "-%}" eats white space, and a newline right after "%}" goes. */
static void close_tag(tm_parser *p, char mark)
{
    bool minus = p->p < p->end && *p->p == '-', plus = p->p < p->end && *p->p == '+';
    if (p->tok != TP_END && !ds_tp_bad(p))
        ds_tp_refuse(p, "not understood:", &p->text);
    p->p += minus || plus;
    if (!ds_tp_bad(p) && (p->end - p->p < 2 || p->p[0] != mark || p->p[1] != '}'))
        ds_tp_refuse(p, "a tag that does not end", NULL);
    if (ds_tp_bad(p))
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
static tm_node *body(tm_parser *p, const char *const *ends, tm_str *end, unsigned depth)
{
    close_tag(p, '%');
    return ds_tp_bad(p) ? NULL : block(p, ends, end, depth + 1);
}

static tm_node *statement_if(tm_parser *p, unsigned depth)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    tm_str end = {0};
    tm_node *n = ds_tp_node(p, TN_IF);
    if (!n || !(n->a = ds_tp_expr(p)))
        return NULL;
    n->b = body(p, ends, &end, depth);
    if (ds_tp_bad(p))
        return NULL;
    if (ds_tm_str_is(&end, "elif")) {
        if (depth > TP_NEST_MAX)
            return ds_tp_refuse(p, "nested too deeply", NULL);
        n->c = statement_if(p, depth + 1);
    } else if (ds_tm_str_is(&end, "else")) {
        n->c = body(p, ends + 2, &end, depth);
    }
    return n;
}

static tm_node *statement_for(tm_parser *p, unsigned depth)
{
    static const char *const ends[] = {"else", "endfor", NULL};
    tm_str end = {0};
    tm_node *n = ds_tp_node(p, TN_FOR);
    if (!n)
        return NULL;
    n->text = ds_tp_name(p);
    if (ds_tp_take(p, ","))
        n->text2 = ds_tp_name(p);
    ds_tp_want(p, "in");
    n->a = ds_tp_bad(p) ? NULL : ds_tp_logic(p, true); /* an "if" behind it is a filter */
    if (ds_tp_take(p, "if"))
        n->d = ds_tp_expr(p);
    if (ds_tp_at(p, "recursive"))
        return ds_tp_refuse(p, "not supported:", &p->text);
    n->b = body(p, ends, &end, depth);
    if (!ds_tp_bad(p) && ds_tm_str_is(&end, "else"))
        n->c = body(p, ends + 1, &end, depth);
    return n;
}

static tm_node *statement_set(tm_parser *p, unsigned depth)
{
    static const char *const ends[] = {"endset", NULL};
    tm_str end;
    tm_node *n = ds_tp_node(p, TN_SET);
    if (!n)
        return NULL;
    n->text = ds_tp_name(p);
    if (ds_tp_take(p, "."))
        n->text2 = ds_tp_name(p);
    if (ds_tp_at(p, ","))
        return ds_tp_refuse(p, "setting several names at once is not supported", NULL);
    if (ds_tp_take(p, "="))
        n->a = ds_tp_expr(p);
    else if (p->tok == TP_END && n->text2.len == 0)
        n->b = body(p, ends, &end, depth);
    else
        ds_tp_want(p, "=");
    return n;
}

/* Names in brackets, each with a default or none: as nodes of names. */
static tm_node *parameters(tm_parser *p)
{
    tm_node *first = NULL, **to = &first;
    size_t n = 0;
    p->brackets++;
    ds_tp_want(p, "(");
    while (!ds_tp_bad(p) && !ds_tp_at(p, ")")) {
        tm_node *a = ds_tp_node(p, TN_NAME);
        if (!a)
            return NULL;
        a->text = ds_tp_name(p);
        if (ds_tp_take(p, "="))
            a->a = ds_tp_expr(p);
        *to = a;
        to = &a->next;
        if (++n > TM_ARGS)
            return ds_tp_refuse(p, "more parameters than a macro can have", NULL);
        if (!ds_tp_take(p, ","))
            break;
    }
    p->brackets--;
    ds_tp_want(p, ")");
    return first;
}

static tm_node *statement_macro(tm_parser *p, unsigned depth)
{
    static const char *const ends[] = {"endmacro", NULL};
    tm_str end;
    tm_node *n = ds_tp_node(p, TN_MACRO);
    if (!n)
        return NULL;
    if (p->in_macro)
        return ds_tp_refuse(p, "a macro in a macro is not supported", NULL);
    n->text = ds_tp_name(p);
    if (ds_tm_number_of(ds_tm_globals, &n->text) >= 0)
        return ds_tp_refuse(p, "a macro that is called as a function is:", &n->text);
    n->a = parameters(p);
    p->in_macro = true;
    n->b = body(p, ends, &end, depth);
    p->in_macro = false;
    n->d = p->macros;
    p->macros = n;
    return n;
}

static bool same(const tm_str *a, const tm_str *b)
{
    return a->len == b->len && memcmp(a->p, b->p, a->len) == 0;
}

/* Each call of a macro is of one that there is, and that takes its arguments. */
static void check_calls(tm_parser *p)
{
    for (const tm_node *n = p->calls; n && !ds_tp_bad(p); n = n->d) {
        const tm_node *m = p->macros, *x;
        size_t places = 0, most = 0;
        p->line = n->line;
        while (m && !same(&m->text, &n->text))
            m = m->d;
        for (x = m ? m->a : NULL; x; x = x->next)
            most++;
        if (!m)
            ds_tp_refuse(p, "no such function here:", &n->text);
        for (const tm_node *a = n->b; m && a && !ds_tp_bad(p); a = a->next) {
            places += a->name.len == 0;
            for (x = m->a; x && !same(&x->text, &a->name);)
                x = x->next;
            if (a->name.len && !x)
                ds_tp_refuse(p, "no such argument here:", &a->name);
            if (places > most)
                ds_tp_refuse(p, "more arguments than it takes here:", &n->text);
        }
    }
    for (const tm_node *m = p->macros; m && !ds_tp_bad(p); m = m->d)
        for (const tm_node *x = m->d; x && !ds_tp_bad(p); x = x->d) {
            p->line = m->line;
            if (same(&m->text, &x->text))
                ds_tp_refuse(p, "a macro that is there twice:", &m->text);
        }
}

static tm_node *statement(tm_parser *p, const tm_str *word, unsigned depth)
{
    static const char *const ends[] = {"endgeneration", NULL};
    tm_str end;
    if (depth > TP_NEST_MAX)
        return ds_tp_refuse(p, "nested too deeply", NULL);
    if (ds_tm_str_is(word, "if"))
        return statement_if(p, depth);
    if (ds_tm_str_is(word, "for"))
        return statement_for(p, depth);
    if (ds_tm_str_is(word, "set"))
        return statement_set(p, depth);
    if (ds_tm_str_is(word, "break") || ds_tm_str_is(word, "continue"))
        return ds_tp_node(p, ds_tm_str_is(word, "break") ? TN_BREAK : TN_CONTINUE);
    if (ds_tm_str_is(word, "generation")) {
        if (p->in_macro)
            return ds_tp_refuse(p, "what a macro writes cannot be marked:", word);
        tm_node *n = ds_tp_node(p, TN_GENERATION);
        p->t->generation = true;
        if (n)
            n->b = body(p, ends, &end, depth);
        return n;
    }
    if (ds_tm_str_is(word, "macro"))
        return statement_macro(p, depth);
    return ds_tp_refuse(p, "no such statement here:", word);
}

/* Where the next tag begins, or the end. */
static const char *find_tag(const tm_parser *p)
{
    for (const char *q = p->p; (q = memchr(q, '{', (size_t)(p->end - q))) != NULL; q++)
        if (p->end - q >= 2 && (q[1] == '{' || q[1] == '%' || q[1] == '#'))
            return q;
    return p->end;
}

/* The text up to `tag`, less what the tag eats to its left. */
static tm_node *text_node(tm_parser *p, const char *tag)
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
    tm_node *n = ds_tp_node(p, TN_TEXT);
    if (n)
        n->text = tm_lit(from, (size_t)(to - from));
    return n;
}

static void comment(tm_parser *p)
{
    const char *end = memmem(p->p + 2, (size_t)(p->end - p->p) - 2, "#}", 2);
    if (!end) {
        ds_tp_refuse(p, "a comment that does not end", NULL);
        return;
    }
    for (; p->p < end; p->p++)
        p->line += *p->p == '\n';
    p->p = end[-1] == '-' ? end - 1 : end;
    p->tok = TP_END;
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
static tm_node *block(tm_parser *p, const char *const *ends, tm_str *end, unsigned depth)
{
    tm_node *first = NULL, **to = &first;
    while (!ds_tp_bad(p)) {
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
        ds_tp_next(p);
        tm_node *n;
        if (print) {
            n = ds_tp_node(p, TN_PRINT);
            if (n)
                n->a = ds_tp_expr(p);
        } else {
            tm_str word = ds_tp_name(p);
            for (size_t i = 0; ends && ends[i] && !ds_tp_bad(p); i++)
                if (ds_tm_str_is(&word, ends[i])) {
                    *end = word;
                    return first;
                }
            n = ds_tp_bad(p) ? NULL : statement(p, &word, depth);
        }
        close_tag(p, print ? '}' : '%');
        put(&to, n);
    }
    for (; ends && !ds_tp_bad(p) && *ends; ends++)
        if (!ends[1])
            ds_tp_refuse(p, "the template ends before",
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
    tm_parser p = {.t = t, .line = 1, .err = &own};
    char *copy = ds_tp_get(&p, len + 1);
    if (copy) {
        memcpy(copy, text, len);
        if (len && copy[len - 1] == '\n') /* one newline at the end does not count */
            len--;
        p.start = p.p = copy;
        p.end = copy + len;
        t->body = block(&p, NULL, NULL, 0);
        check_calls(&p);
    }
    if (own.code) {
        ds_tmpl_free(t);
        return ds_fail_as(err, &own);
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
