/* where_priv.h - nodes of a compiled expression: what whereparse.c makes and whereeval.c walks. */
#ifndef DS_WHERE_PRIV_H
#define DS_WHERE_PRIV_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "where.h"

enum ds_wop {
    W_LITERAL,
    W_COLUMN,
    W_OR,
    W_AND,
    W_NOT,
    W_EQ,
    W_NE,
    W_LT,
    W_LE,
    W_GT,
    W_GE,
    W_IN,
    W_IN_LIST,
    W_IS_NULL,
    W_MATCHES,
    W_CONTAINS,
    W_STARTS,
    W_ENDS,
    W_ADD,
    W_SUB,
    W_MUL,
    W_DIV,
    W_MOD,
    W_NEG,
    W_LEN,
    W_SIZE,
    W_WORDS,
    W_LOWER,
    W_NUMBER,
    W_TIME,
    W_TEXT,
    W_COALESCE,
    W_TRIM,
    W_NFC,
    W_NFKC,
    W_REPLACE, /* b: the pattern, whose b is what takes the place */
    W_KEY,     /* no operand */
    W_HASWORD, /* of a list */
    W_ONSITE,
    W_LIST /* the operands of in and coalesce: a, then next */
};

typedef struct ds_wnode {
    enum ds_wop op;
    enum ds_wtype type;
    int a, b;  /* operands, -1 = none */
    ds_wval v; /* literal; its text lies in the expression's own copy */
    char *own; /* unescaped text of a literal, or names of members, each with its NUL */
    size_t column;
    pcre2_code *re;
    const struct ds_wherelist *list; /* borrowed */
} ds_wnode;

struct ds_where {
    const ds_schema *s;
    ds_wnode *v;
    size_t n, cap;
    int root;
    uint8_t *classes; /* of code points, for normal forms; NULL where there are none */
};

/* A record's key, in b where it is derived. */
int ds_where_key(const ds_where *w, ds_wherework *k, ds_buf *b, ds_wval *out, ds_err *err);
/* The answer of v's list to x, in its place; b is scratch. */
int ds_where_ask(const ds_wnode *v, ds_buf *b, ds_wval *x, ds_err *err);
/* The text x as the function v makes it, in b where it is new. */
int ds_where_textual(const ds_where *w, const ds_wnode *v, ds_buf *b, ds_wval *x, ds_err *err);

#endif
