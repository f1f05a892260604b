/* whereparse.h - how the text of an expression becomes nodes: the parser's parts among each other.
 *
 * Recursive descent with types: wheretoken.c has tokens, wherevalue.c what stands alone,
 * wherecompare.c comparisons, whereparse.c the rest. Those that parse return the number of a node,
 * or a negative code, with the message in s->err. One thread a parser.
 */
#ifndef DS_WHEREPARSE_H
#define DS_WHEREPARSE_H

#include "where_priv.h"

enum ds_wtoken { T_END, T_NUMBER, T_TEXT, T_NAME, T_SIGN };

typedef struct ds_wparse {
    ds_where *w;
    const ds_colnames *names;
    const char *p;
    size_t len, at;
    unsigned depth;
    enum ds_wtoken kind; /* of the token in hand */
    size_t from, to;     /* where it stands */
    ds_err *err;
} ds_wparse;

/* DS_USAGE: what is wrong, and where. */
int ds_wparse_fail(ds_wparse *s, size_t at, const char *what);

/* ---- tokens ---- */

int ds_wtoken_next(ds_wparse *s);
bool ds_wtoken_is(const ds_wparse *s, const char *w);
/* Goes on when the token is `w`: 1, 0, or an error. */
int ds_wtoken_accept(ds_wparse *s, const char *w);
/* The same where it must be. */
int ds_wtoken_expect(ds_wparse *s, const char *w);

/* ---- nodes ---- */

int ds_wparse_node(ds_wparse *s, enum ds_wop op, enum ds_wtype type, int a, int b);
static inline enum ds_wtype ds_wparse_type(const ds_wparse *s, int n)
{
    return s->w->v[n].type;
}
static inline bool ds_wtype_numeric(enum ds_wtype t)
{
    return t == DS_W_INT || t == DS_W_REAL || t == DS_W_ANY || t == DS_W_NULL;
}
static inline bool ds_wtype_may_be(enum ds_wtype t, enum ds_wtype want)
{
    return t == want || t == DS_W_ANY || t == DS_W_NULL;
}

/* ---- parts of an expression ---- */

int ds_wparse_expr(ds_wparse *s);
int ds_wparse_sum(ds_wparse *s);
int ds_wparse_comparison(ds_wparse *s);
int ds_wparse_atom(ds_wparse *s);
/* Values between commas up to `close`: a chain of W_LIST. */
int ds_wparse_values(ds_wparse *s, const char *close);

/* Node n as a pattern, which is compiled. */
int ds_wparse_pattern(ds_wparse *s, int n, size_t at);
/* replace(, from behind its parenthesis. */
int ds_wparse_replace(ds_wparse *s, size_t at);
/* key(), hasword( and onsite(, from behind their parenthesis. */
int ds_wparse_key(ds_wparse *s);
int ds_wparse_listed(ds_wparse *s, enum ds_wop op, size_t at);
/* The name of a list: *list. */
int ds_wparse_list(ds_wparse *s, struct ds_wherelist **list);
/* There will be normal forms. */
int ds_wparse_normal(ds_wparse *s);

/* An operator, by how it is written. */
typedef struct ds_wlevel {
    const char *sign;
    enum ds_wop op;
} ds_wlevel;

#endif
