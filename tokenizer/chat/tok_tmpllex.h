/* tok_tmpllex.h - a template that is being parsed: the tokens of a tag, and what parsers of
 * expressions and statements share. The first failure stays; whoever sees it stops.
 */
#ifndef DS_TOK_TMPLLEX_H
#define DS_TOK_TMPLLEX_H

#include "tok_tmplpriv.h"

#define TP_NEST_MAX 64

enum tp_token { TP_END, TP_NAME, TP_STRING, TP_INT, TP_REAL, TP_OP };

typedef struct tm_parser {
    ds_tmpl *t;
    const char *start, *p, *end;
    unsigned line, depth;
    unsigned brackets; /* open ones in this tag */
    char mark;         /* that ends this tag, before its brace */
    bool in_macro;
    tm_node *macros, *calls; /* by d: the last macro, the last call of one */
    /* the token ahead, inside a tag */
    enum tp_token tok;
    tm_str text; /* name, operator, or a string's value */
    int64_t i;
    double f;
    ds_err *err;
} tm_parser;

static inline bool ds_tp_bad(const tm_parser *p)
{
    return p->err->code != 0;
}
/* Says what is not understood, where, and about which name (or NULL). NULL. */
tm_node *ds_tp_refuse(tm_parser *p, const char *what, const tm_str *name);
/* Memory of the template; NULL when it is too large. */
void *ds_tp_get(tm_parser *p, size_t n);
tm_node *ds_tp_node(tm_parser *p, enum tm_kind kind);

void ds_tp_next(tm_parser *p); /* reads the token ahead; TP_END before its end */
bool ds_tp_at(const tm_parser *p, const char *op); /* is this operator or name ahead? */
bool ds_tp_take(tm_parser *p, const char *op);     /* then goes past it */
void ds_tp_want(tm_parser *p, const char *op);     /* refuses what is not it */
tm_str ds_tp_name(tm_parser *p);                   /* a name, gone past */

/* An expression, from the token ahead on (tok_tmplexpr.c). NULL: refused. */
tm_node *ds_tp_expr(tm_parser *p);
/* One without "a if b else c": of two with "or" between (or), or "and". */
tm_node *ds_tp_logic(tm_parser *p, bool or);

#endif
