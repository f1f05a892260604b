/* ipcschema.c - see ipcschema.h. */
#include "ipcschema.h"

#include <stdlib.h>
#include <string.h>

enum { NODES_MOST = 100000 };

/* Schema.fbs: union Type */
enum {
    T_NULL = 1,
    T_INT,
    T_FLOAT,
    T_BINARY,
    T_UTF8,
    T_BOOL,
    T_DECIMAL,
    T_DATE,
    T_TIME,
    T_TIMESTAMP,
    T_INTERVAL,
    T_LIST,
    T_STRUCT,
    T_UNION,
    T_FIXED_BINARY,
    T_FIXED_LIST,
    T_MAP,
    T_DURATION,
    T_LARGE_BINARY,
    T_LARGE_UTF8,
    T_LARGE_LIST,
    T_RUNS,
    T_BINARY_VIEW,
    T_UTF8_VIEW,
    T_LIST_VIEW,
    T_LARGE_LIST_VIEW
};
enum { NAME, NULLABLE, TYPE_TYPE, TYPE, DICTIONARY, CHILDREN, METADATA }; /* of Field */

static const char UNKNOWN[] = "a type that is not known";
static const char DAMAGED[] = "the schema is damaged";

/* ---- types ---- */

static int64_t unit_of(int64_t unit)
{
    static const int64_t ns[] = {1000000000, 1000000, 1000, 1};

    return unit >= 0 && unit < 4 ? ns[unit] : 0;
}

static void fixed(ds_ipcnode *n, int width, enum ds_pqtype type, enum ds_pqmeaning meaning)
{
    n->layout = DS_IPC_FIXED;
    n->width = width;
    n->what.type = type;
    n->what.meaning = meaning;
    n->what.length = width;
}

static void varying(ds_ipcnode *n, enum ds_ipclayout layout, int width, enum ds_pqmeaning meaning)
{
    n->layout = layout;
    n->width = width;
    n->what.type = DS_PQ_BYTES;
    n->what.meaning = meaning;
}

static void nested(ds_ipcnode *n, enum ds_ipclayout layout, int width)
{
    n->layout = layout;
    n->width = width;
    n->what.type = DS_PQ_GROUP;
}

static const char *whole(ds_ipcnode *n, int64_t bits, bool is_signed)
{
    if (bits != 8 && bits != 16 && bits != 32 && bits != 64)
        return UNKNOWN;
    fixed(n, (int)bits / 8, bits == 64 ? DS_PQ_INT64 : DS_PQ_INT32, DS_PQ_INTEGER);
    n->what.bits = (int)bits;
    n->what.is_unsigned = !is_signed;
    return NULL;
}

static const char *real(ds_ipcnode *n, int64_t precision)
{
    if (precision < 0 || precision > 2)
        return UNKNOWN;
    fixed(n, 2 << precision,
          precision == 0   ? DS_PQ_FIXED
          : precision == 1 ? DS_PQ_FLOAT
                           : DS_PQ_DOUBLE,
          precision == 0 ? DS_PQ_FLOAT16 : DS_PQ_PLAIN);
    return NULL;
}

/* A negative scale is zeros behind, which Parquet has not. */
static const char *decimal(ds_ipcnode *n, int64_t bits, int64_t scale)
{
    if ((bits != 32 && bits != 64 && bits != 128 && bits != 256) || scale < 0 || scale > 1000)
        return "a decimal of a width or scale that is not read";
    fixed(n, (int)bits / 8, DS_PQ_FIXED, DS_PQ_DECIMAL);
    n->what.scale = (int)scale;
    return NULL;
}

static const char *date(ds_ipcnode *n, int64_t unit)
{
    fixed(n, unit == 0 ? 4 : 8, DS_PQ_INT64, DS_PQ_DATE);
    n->per_day = unit == 0 ? 0 : 86400000;
    return unit == 0 || unit == 1 ? NULL : UNKNOWN;
}

static const char *clock(ds_ipcnode *n, int64_t unit, int64_t bits, enum ds_pqmeaning meaning)
{
    if ((bits != 32 && bits != 64) || !unit_of(unit))
        return UNKNOWN;
    fixed(n, (int)bits / 8, DS_PQ_INT64, meaning);
    n->what.unit = unit_of(unit);
    return NULL;
}

static const char *interval(ds_ipcnode *n, int64_t unit)
{
    if (unit == 0)
        return whole(n, 32, true); /* months */
    fixed(n, unit == 1 ? 8 : 16, DS_PQ_FIXED, DS_PQ_JSON);
    n->span = unit == 1 ? DS_IPC_DAY_TIME : DS_IPC_MONTH_DAY_NANO;
    return unit == 1 || unit == 2 ? NULL : UNKNOWN;
}

static const char *sized(ds_ipcnode *n, int64_t size, bool list)
{
    if (size < 0 || size > INT32_MAX)
        return UNKNOWN;
    if (list) {
        nested(n, DS_IPC_FIXED_LIST, 0);
        n->size = size;
    } else {
        fixed(n, (int)size, DS_PQ_FIXED, DS_PQ_PLAIN);
    }
    return NULL;
}

static const char *type_of(ds_ipcnode *n, ds_flat *f, int64_t type, size_t t)
{
    switch (type) {
    case T_NULL:
        varying(n, DS_IPC_NULL, 0, DS_PQ_NOTHING);
        return NULL;
    case T_INT:
        return whole(n, ds_flat_int(f, t, 0, 4, 0), ds_flat_int(f, t, 1, 1, 0) != 0);
    case T_FLOAT:
        return real(n, ds_flat_int(f, t, 0, 2, 0));
    case T_BOOL:
        fixed(n, 0, DS_PQ_BOOLEAN, DS_PQ_PLAIN);
        n->layout = DS_IPC_BITS;
        return NULL;
    case T_DECIMAL:
        return decimal(n, ds_flat_int(f, t, 2, 4, 128), ds_flat_int(f, t, 1, 4, 0));
    case T_DATE:
        return date(n, ds_flat_int(f, t, 0, 2, 1));
    case T_TIME:
        return clock(n, ds_flat_int(f, t, 0, 2, 1), ds_flat_int(f, t, 1, 4, 32), DS_PQ_TIME);
    case T_TIMESTAMP:
        return clock(n, ds_flat_int(f, t, 0, 2, 0), 64, DS_PQ_TIMESTAMP);
    case T_DURATION: /* as it is counted */
        return whole(n, 64, true);
    case T_INTERVAL:
        return interval(n, ds_flat_int(f, t, 0, 2, 0));
    case T_FIXED_BINARY:
    case T_FIXED_LIST:
        return sized(n, ds_flat_int(f, t, 0, 4, 0), type == T_FIXED_LIST);
    case T_BINARY:
    case T_UTF8:
    case T_LARGE_BINARY:
    case T_LARGE_UTF8:
        varying(n, DS_IPC_BYTES, type >= T_LARGE_BINARY ? 8 : 4,
                type == T_UTF8 || type == T_LARGE_UTF8 ? DS_PQ_TEXT : DS_PQ_PLAIN);
        return NULL;
    case T_BINARY_VIEW:
    case T_UTF8_VIEW:
        varying(n, DS_IPC_VIEWS, 16, type == T_UTF8_VIEW ? DS_PQ_TEXT : DS_PQ_PLAIN);
        return NULL;
    case T_LIST:
    case T_MAP:
    case T_LARGE_LIST:
        nested(n, DS_IPC_LIST, type == T_LARGE_LIST ? 8 : 4);
        n->map = type == T_MAP;
        return NULL;
    case T_LIST_VIEW:
    case T_LARGE_LIST_VIEW:
        nested(n, DS_IPC_LIST_VIEWS, type == T_LIST_VIEW ? 4 : 8);
        return NULL;
    case T_STRUCT:
        nested(n, DS_IPC_STRUCT, 0);
        return NULL;
    case T_UNION:
        nested(n, ds_flat_int(f, t, 0, 2, 0) ? DS_IPC_DENSE_UNION : DS_IPC_SPARSE_UNION, 4);
        return NULL;
    case T_RUNS:
        nested(n, DS_IPC_RUNS, 0);
        return NULL;
    default:
        return UNKNOWN;
    }
}

/* Canonical extension types that say more than how values are stored. */
static void extend(ds_ipcnode *n, ds_flat *f, size_t field)
{
    static const char name[] = "ARROW:extension:name";
    const ds_flatvec v = ds_flat_vector(f, field, METADATA, 4);

    for (size_t i = 0; i < v.n; i++) {
        size_t klen, len;
        const size_t pair = ds_flat_element(f, v, i);
        const char *k = ds_flat_text(f, pair, 0, &klen), *s = ds_flat_text(f, pair, 1, &len);
        if (!k || !s || klen != sizeof name - 1 || memcmp(k, name, klen) != 0)
            continue;
        if (len == 10 && memcmp(s, "arrow.json", len) == 0 && n->what.meaning == DS_PQ_TEXT)
            n->what.meaning = DS_PQ_JSON;
        if (len == 10 && memcmp(s, "arrow.uuid", len) == 0 && n->layout == DS_IPC_FIXED &&
            n->width == 16)
            n->what.meaning = DS_PQ_UUID;
    }
}

static const char *codes(ds_ipcnode *n, ds_flat *f, size_t field)
{
    const size_t d = ds_flat_table(f, field, DICTIONARY);

    if (!d)
        return NULL;
    const size_t index = ds_flat_table(f, d, 1);
    const int64_t bits = index ? ds_flat_int(f, index, 0, 4, 0) : 32;
    n->coded = true;
    n->dictionary = ds_flat_int(f, d, 0, 8, 0);
    n->code_width = (int)(bits / 8);
    return bits == 8 || bits == 16 || bits == 32 || bits == 64 ? NULL : UNKNOWN;
}

/* ---- the tree ---- */

static int fields(ds_ipcschema *s, ds_flat *f, size_t node, ds_flatvec v, int depth,
                  const char **why);

/* Which children a layout has. */
static bool fits(const ds_ipcschema *s, const ds_ipcnode *n)
{
    switch (n->layout) {
    case DS_IPC_LIST:
    case DS_IPC_LIST_VIEWS:
    case DS_IPC_FIXED_LIST: {
        if (n->nchild != 1)
            return false;
        const ds_ipcnode *c = &s->nodes[n->children];
        return !n->map || (c->layout == DS_IPC_STRUCT && !c->coded && c->nchild == 2);
    }
    case DS_IPC_RUNS: {
        if (n->nchild != 2)
            return false;
        const ds_ipcnode *ends = &s->nodes[n->children];
        return ends->layout == DS_IPC_FIXED && !ends->coded &&
               ends->what.meaning == DS_PQ_INTEGER && !ends->what.is_unsigned;
    }
    case DS_IPC_STRUCT:
    case DS_IPC_SPARSE_UNION:
    case DS_IPC_DENSE_UNION:
        return true;
    default:
        return n->nchild == 0;
    }
}

static int union_ids(ds_ipcnode *n, ds_flat *f, size_t type, const char **why)
{
    if (n->layout != DS_IPC_SPARSE_UNION && n->layout != DS_IPC_DENSE_UNION)
        return 0;
    const ds_flatvec v = ds_flat_vector(f, type, 1, 4);
    if (n->nchild > 128 || (v.n && v.n != n->nchild)) {
        *why = DAMAGED;
        return 1;
    }
    n->ids = malloc(n->nchild + 1);
    for (size_t i = 0; n->ids && i < n->nchild; i++)
        n->ids[i] = (int8_t)(v.n ? ds_flat_number(f, v.at + 4 * i, 4) : (int64_t)i);
    return n->ids ? 0 : DS_NOMEM;
}

static int one_field(ds_ipcschema *s, ds_flat *f, size_t at, int depth, const char **why)
{
    const size_t node = s->n++, type = ds_flat_table(f, at, TYPE);
    ds_ipcnode *n = &s->nodes[node];
    size_t len;
    const char *name = ds_flat_text(f, at, NAME, &len);

    *n = (ds_ipcnode){.nullable = ds_flat_int(f, at, NULLABLE, 1, 0) != 0};
    n->what.name = strndup(name ? name : "", len);
    if (!n->what.name)
        return DS_NOMEM;
    n->what.name_len = strlen(n->what.name);
    *why = type_of(n, f, (uint8_t)ds_flat_int(f, at, TYPE_TYPE, 1, 0), type);
    *why = *why ? *why : codes(n, f, at);
    if (*why)
        return 1;
    extend(n, f, at);
    int rc = fields(s, f, node, ds_flat_vector(f, at, CHILDREN, 4), depth + 1, why);
    rc = rc ? rc : union_ids(&s->nodes[node], f, type, why);
    if (!rc && (f->bad || !fits(s, &s->nodes[node]))) {
        *why = DAMAGED;
        rc = 1;
    }
    return rc;
}

static int fields(ds_ipcschema *s, ds_flat *f, size_t node, ds_flatvec v, int depth,
                  const char **why)
{
    size_t before = 0;
    int rc = 0;

    if (v.n && (depth > DS_PQ_DEPTH || v.n > NODES_MOST - s->n)) {
        *why = "the schema has too many fields, or too deep ones";
        return 1;
    }
    for (size_t i = 0; i < v.n && !rc; i++) {
        if (s->n == s->cap && ds_grow(&s->nodes, &s->cap, s->n, sizeof *s->nodes))
            return DS_NOMEM;
        const size_t at = s->n;
        if (before)
            s->nodes[before].next = at;
        else
            s->nodes[node].children = at;
        before = at;
        s->nodes[node].nchild++;
        rc = one_field(s, f, ds_flat_element(f, v, i), depth, why);
    }
    return rc;
}

int ds_ipcschema_parse(ds_ipcschema *s, ds_flat *f, size_t at, const char **why)
{
    *s = (ds_ipcschema){0};
    *why = NULL;
    if (ds_flat_int(f, at, 0, 2, 0) != 0) {
        *why = "its numbers are big endian, which is not read";
        return 1;
    }
    if (ds_grow(&s->nodes, &s->cap, 0, sizeof *s->nodes))
        return DS_NOMEM;
    s->nodes[s->n++] = (ds_ipcnode){.layout = DS_IPC_STRUCT, .what = {.type = DS_PQ_GROUP}};
    const int rc = fields(s, f, 0, ds_flat_vector(f, at, 1, 4), 0, why);
    if (!rc && f->bad)
        *why = DAMAGED;
    return rc ? rc : *why != NULL;
}

void ds_ipcschema_fini(ds_ipcschema *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->nodes[i].what.name);
        free(s->nodes[i].ids);
    }
    free(s->nodes);
    *s = (ds_ipcschema){0};
}

size_t ds_ipc_child(const ds_ipcschema *s, size_t node, size_t i)
{
    size_t at = s->nodes[node].children;

    while (i--)
        at = s->nodes[at].next;
    return at;
}

size_t ds_ipc_values(const ds_ipcschema *s, size_t node)
{
    while (s->nodes[node].layout == DS_IPC_RUNS)
        node = ds_ipc_child(s, node, 1);
    return node;
}

bool ds_ipc_is_leaf(const ds_ipcnode *n)
{
    return n->what.type != DS_PQ_GROUP;
}

bool ds_ipc_is_list(const ds_ipcnode *n)
{
    return (n->layout == DS_IPC_LIST && !n->map) || n->layout == DS_IPC_LIST_VIEWS ||
           n->layout == DS_IPC_FIXED_LIST;
}
