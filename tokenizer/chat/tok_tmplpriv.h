/* tok_tmplpriv.h - what the parts of the template interpreter share: nodes and values. Not for
 * users.
 *
 * Nodes live in the template's arena, values in one of the rendering. The first error stands in
 * `err` of the parser or the run and ends it: functions return a node or a value all the same, and
 * callers look at failed().
 */
#ifndef DS_TOK_TMPLPRIV_H
#define DS_TOK_TMPLPRIV_H

#include "tok_tmpl.h"

typedef struct tm_arena {
    struct tm_chunk *chunks;
    size_t used, limit;
} tm_arena;
void *ds_tm_alloc(tm_arena *a, size_t n); /* zeroed; NULL past the limit */
void ds_tm_arena_fini(tm_arena *a);

/* Bytes with their sources: runs of them, the last of which ends at len. */
typedef struct tm_run {
    size_t end;
    uint32_t source;
} tm_run;
typedef struct tm_str {
    const uint8_t *p;
    size_t len;
    const tm_run *runs;
    size_t n;
} tm_str;

enum tm_type {
    TM_UNDEFINED,
    TM_NONE,
    TM_BOOL,
    TM_INT,
    TM_REAL,
    TM_STR,
    TM_LIST,
    TM_MAP,
    TM_FUNC /* a macro */
};
typedef struct tm_val {
    enum tm_type type;
    bool is_namespace;
    uint32_t message; /* map: message number + 1 */
    union {
        bool b;
        int64_t i;
        double f;
        tm_str s;
        struct tm_list *list;
        struct tm_map *map;
        const struct tm_node *macro;
    } u;
} tm_val;
typedef struct tm_list {
    tm_val *v;
    size_t n, cap;
} tm_list;
typedef struct tm_entry {
    tm_str key;
    tm_val val;
} tm_entry;
typedef struct tm_map {
    tm_entry *v;
    size_t n, cap;
} tm_map;

enum tm_kind {
    /* statements */
    TN_TEXT,
    TN_PRINT,
    TN_IF,  /* a cond, b then, c else */
    TN_FOR, /* text name, text2 second name, a list, b body, c else, d filter */
    TN_SET, /* text name, text2 attribute, a value or b block */
    TN_BREAK,
    TN_CONTINUE,
    TN_GENERATION, /* b */
    TN_MACRO, /* text name, a parameters (names, their defaults in a), b body; d the one before */
    /* expressions */
    TN_CONST,
    TN_NAME,
    TN_LISTLIT, /* a items by next */
    TN_DICTLIT, /* a keys and values alternating */
    TN_ATTR,    /* a . text */
    TN_INDEX,   /* a [b] */
    TN_SLICE,   /* a [b:c:d] */
    TN_CALL,    /* a.text(...) as a method, or a global or macro when a is NULL: b arguments */
    TN_FILTER,  /* a | text(b) */
    TN_TEST,    /* a is text(b) */
    TN_NOT,
    TN_NEG,
    TN_BINARY, /* op */
    TN_AND,
    TN_OR,
    TN_COND /* a if b else c */
};

typedef struct tm_node {
    enum tm_kind kind;
    unsigned op;   /* of a binary: see tm_op; of calls, filters and tests: number in its table */
    unsigned line; /* in the template */
    bool negate;   /* is not, not in */
    tm_str text, text2;
    struct tm_node *a, *b, *c, *d, *next;
    tm_str name; /* of an argument given by name */
    tm_val val;
} tm_node;

enum tm_op {
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_FLOORDIV,
    OP_MOD,
    OP_CONCAT,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_IN
};

#define TM_MACRO                                                                                   \
    1000u /* op of a call: of the macro of that name; d: the one before in the template */

struct ds_tmpl {
    tm_arena arena;
    char *name;
    tm_node *body;
    bool generation;
};

/* What can be called by a name, and with which arguments. */
typedef struct tm_callee {
    const char *name;
    size_t most; /* arguments by position */
    /* of those that can be given by name, one behind the other with a space; "*": any */
    const char *names;
} tm_callee;
extern const tm_callee ds_tm_filters[], ds_tm_tests[], ds_tm_methods[], ds_tm_globals[];
/* Number of a name in one of these, or -1. */
int ds_tm_number_of(const tm_callee *table, const tm_str *name);

#define TM_ARGS 16 /* most that a call can have */
typedef struct tm_args {
    tm_val v[TM_ARGS];
    tm_str name[TM_ARGS]; /* len 0: by position */
    size_t n;
} tm_args;

typedef struct tm_frame {
    struct tm_frame *up;
    tm_map vars;
} tm_frame;

typedef struct tm_run_ctx {
    const ds_tmpl *t;
    tm_arena arena;
    ds_tmplout *out;
    tm_frame *top;
    uint64_t steps;
    unsigned depth, line;
    uint32_t turn;
    bool generation;
    int leave; /* TN_BREAK or TN_CONTINUE on its way to the loop */
    ds_err *err;
} tm_ctx;

/* tok_tmplcall.c */
tm_val ds_tm_call(tm_ctx *c, const tm_node *n, tm_val self, const tm_args *args);
tm_val ds_tm_wrong(tm_ctx *c, const tm_node *n, const tm_val *v); /* fails: n does not take v */
/* The argument at position i, or the one of that name; NULL when it is not given. */
const tm_val *ds_tm_arg(const tm_args *a, size_t i, const char *name);
/* The same of a string; NULL for none too, and anything else fails. */
const tm_str *ds_tm_text_arg(tm_ctx *c, const tm_node *n, const tm_args *a, size_t i,
                             const char *name);
/* The keys of a mapping, its values, or lists of both. */
tm_val ds_tm_entries(tm_ctx *c, const tm_map *m, bool keys, bool values);

/* tok_tmplfilter.c, tok_tmpltest.c */
tm_val ds_tm_apply_filter(tm_ctx *c, const tm_node *n, tm_val self, const tm_args *args);
bool ds_tm_apply_test(tm_ctx *c, const tm_node *n, tm_val self, const tm_args *args);

/* tok_tmpltext.c. A set or separator that is NULL: white space; for joining: nothing. */
tm_val ds_tm_strip(tm_ctx *c, const tm_str *s, const tm_str *set, bool left, bool right);
tm_val ds_tm_change_case(tm_ctx *c, const tm_str *s, bool upper); /* ASCII; other text fails */
tm_val ds_tm_split(tm_ctx *c, const tm_str *s, const tm_str *sep, int64_t most); /* -1: all */
tm_val ds_tm_join(tm_ctx *c, const tm_list *l, const tm_str *sep);
tm_val ds_tm_replace(tm_ctx *c, const tm_str *s, const tm_str *from, const tm_str *to);

/* tok_tmplval.c */
tm_val ds_tm_fail(tm_ctx *c, const char *fmt, ...) DS_PRINTF(2, 3); /* with template and line */
tm_val ds_tm_nomem(tm_ctx *c);
tm_val ds_tm_json(tm_ctx *c, const json_t *j, uint32_t source, unsigned depth);
tm_val ds_tm_messages(tm_ctx *c, const json_t *j);
bool ds_tm_truth(const tm_val *v);
/* Work that no node stands for: past the limit of steps it fails. */
void ds_tm_work(tm_ctx *c, uint64_t steps);
bool ds_tm_equal(tm_ctx *c, const tm_val *a, const tm_val *b, unsigned depth);
const char *ds_tm_type_name(const tm_val *v);
tm_val ds_tm_text(tm_ctx *c, const void *p, size_t len, uint32_t source); /* copied */
tm_val ds_tm_sub(tm_ctx *c, const tm_str *s, size_t from, size_t to);
tm_val ds_tm_concat(tm_ctx *c, const tm_str *a, const tm_str *b);
tm_val ds_tm_string(tm_ctx *c, const tm_val *v); /* as Python's str */
tm_val ds_tm_list(tm_ctx *c);
int ds_tm_push(tm_ctx *c, tm_list *l, tm_val v);
tm_val ds_tm_map(tm_ctx *c);
int ds_tm_put(tm_ctx *c, tm_map *m, tm_str key, tm_val v);
tm_val *ds_tm_get(const tm_map *m, const void *key, size_t len);
tm_val ds_tm_tojson(tm_ctx *c, const tm_val *v, int indent);
bool ds_tm_str_is(const tm_str *s, const char *text);
size_t ds_tm_find(const tm_str *s, size_t from, const tm_str *what); /* SIZE_MAX: not there */

static inline bool failed(const tm_ctx *c)
{
    return c->err->code != 0;
}
static inline tm_val tm_none(void)
{
    return (tm_val){.type = TM_NONE};
}
static inline tm_val tm_bool(bool b)
{
    return (tm_val){.type = TM_BOOL, .u.b = b};
}
static inline tm_val tm_int(int64_t i)
{
    return (tm_val){.type = TM_INT, .u.i = i};
}
static inline tm_str tm_lit(const char *s, size_t len)
{
    return (tm_str){.p = (const uint8_t *)s, .len = len};
}

#endif
