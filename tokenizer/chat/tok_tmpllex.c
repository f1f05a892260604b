/* tok_tmpllex.c - see tok_tmpllex.h. */
#include "tok_tmpllex.h"

#include <stdlib.h>
#include <string.h>

tm_node *ds_tp_refuse(tm_parser *p, const char *what, const tm_str *name)
{
    ds_fail(p->err, DS_FAIL, "%s: line %u: %s%s%.*s%s", p->t->name, p->line, what, name ? " '" : "",
            name ? (int)(name->len < 60 ? name->len : 60) : 0, name ? (const char *)name->p : "",
            name ? "'" : "");
    return NULL;
}

void *ds_tp_get(tm_parser *p, size_t n)
{
    void *v = ds_tm_alloc(&p->t->arena, n ? n : 1);
    if (!v)
        ds_fail(p->err, DS_FAIL, "%s: the template is too large", p->t->name);
    return v;
}

tm_node *ds_tp_node(tm_parser *p, enum tm_kind kind)
{
    tm_node *n = ds_tp_get(p, sizeof *n);
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

static void lex_string(tm_parser *p)
{
    char quote = *p->p++;
    const char *from = p->p;
    while (p->p < p->end && *p->p != quote) {
        p->p += *p->p == '\\' && p->p + 1 < p->end ? 2 : 1;
    }
    if (p->p >= p->end) {
        ds_tp_refuse(p, "a string that does not end", NULL);
        return;
    }
    uint8_t *out = ds_tp_get(p, (size_t)(p->p - from) + 1);
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
            ds_tp_refuse(p, "an escape in a string that is not supported",
                         &(tm_str){(const uint8_t *)q, 1, NULL, 0});
            return;
        }
        out[n++] = (uint8_t)values[k - names];
    }
    p->p++;
    p->tok = TP_STRING;
    p->text = (tm_str){.p = out, .len = n};
}

static void lex_number(tm_parser *p)
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
        ds_tp_refuse(p, "a number that is too long", NULL);
        return;
    }
    p->tok = real ? TP_REAL : TP_INT;
    p->i = real ? 0 : strtoll(digits, NULL, 10);
    p->f = real ? strtod(digits, NULL) : 0;
}

/* The next token of the tag; TP_END in front of its end. */
void ds_tp_next(tm_parser *p)
{
    static const char *const two[] = {"==", "!=", "<=", ">=", "//", "**"};
    while (p->p < p->end && *p->p && strchr(" \t\r\n", *p->p))
        p->line += *p->p++ == '\n';
    p->tok = TP_END;
    if (ds_tp_bad(p))
        return;
    size_t left = (size_t)(p->end - p->p);
    const char *q = p->p + (left && (*p->p == '-' || *p->p == '+'));
    if (left == 0 || (p->brackets == 0 && p->end - q >= 2 && q[0] == p->mark && q[1] == '}'))
        return;
    if (is_name(*p->p, true)) {
        const char *from = p->p;
        while (p->p < p->end && is_name(*p->p, false))
            p->p++;
        p->tok = TP_NAME;
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
        p->tok = TP_OP;
        p->text = tm_lit(p->p, n);
        p->p += n;
    }
}

bool ds_tp_at(const tm_parser *p, const char *op)
{
    return (p->tok == TP_OP || p->tok == TP_NAME) && ds_tm_str_is(&p->text, op);
}

bool ds_tp_take(tm_parser *p, const char *op)
{
    if (!ds_tp_at(p, op))
        return false;
    ds_tp_next(p);
    return true;
}

void ds_tp_want(tm_parser *p, const char *op)
{
    if (!ds_tp_take(p, op) && !ds_tp_bad(p))
        ds_tp_refuse(p, "here should be", &(tm_str){(const uint8_t *)op, strlen(op), NULL, 0});
}

tm_str ds_tp_name(tm_parser *p)
{
    tm_str s = p->text;
    if (p->tok != TP_NAME)
        ds_tp_refuse(p, "a name is missing", NULL);
    ds_tp_next(p);
    return s;
}
