/* pqfile.c - see pqfile.h. */
#include "pqfile.h"

#include <stdlib.h>
#include <string.h>

#include "thrift.h"
#include "utf8.h"

enum { NODES_MAX = 1 << 16 };

static const int64_t UNITS[] = {1000000, 1000, 1}; /* of milliseconds, microseconds, nanoseconds */

/* ---- a node ---- */

static int small(ds_thrift *t, int type)
{
    const int64_t v = ds_thrift_int(t, type);

    t->bad |= v < INT32_MIN || v > INT32_MAX;
    return (int)v;
}

/* union TimeUnit: which of its members is there */
static int64_t unit_of(ds_thrift *t, int type)
{
    int64_t unit = 0;
    ds_thrift_at f;

    t->bad |= type != DS_THRIFT_STRUCT;
    for (ds_thrift_begin(t, &f); ds_thrift_field(t, &f); ds_thrift_skip(t, f.type))
        if (f.id >= 1 && f.id <= 3)
            unit = UNITS[f.id - 1];
    return unit;
}

/* The structure of a member of LogicalType: what its fields are depends on the member. */
static void logical_detail(ds_thrift *t, ds_pqnode *n, int member)
{
    ds_thrift_at f;

    for (ds_thrift_begin(t, &f); ds_thrift_field(t, &f);)
        if (member == 5 && f.id == 1)
            n->scale = small(t, f.type);
        else if ((member == 7 || member == 8) && f.id == 2)
            n->unit = unit_of(t, f.type);
        else if (member == 10 && f.id == 1)
            n->bits = small(t, f.type);
        else if (member == 10 && f.id == 2)
            n->is_unsigned = !ds_thrift_bool(t, f.type);
        else
            ds_thrift_skip(t, f.type);
}

static void logical_type(ds_thrift *t, ds_pqnode *n)
{
    static const enum ds_pqmeaning meanings[] = {
        [1] = DS_PQ_TEXT,     [2] = DS_PQ_MAP,      [3] = DS_PQ_LIST,  [4] = DS_PQ_TEXT,
        [5] = DS_PQ_DECIMAL,  [6] = DS_PQ_DATE,     [7] = DS_PQ_TIME,  [8] = DS_PQ_TIMESTAMP,
        [10] = DS_PQ_INTEGER, [11] = DS_PQ_NOTHING, [12] = DS_PQ_JSON, [14] = DS_PQ_UUID,
        [15] = DS_PQ_FLOAT16};
    ds_thrift_at f;

    for (ds_thrift_begin(t, &f); ds_thrift_field(t, &f);) {
        if (f.id >= 1 && f.id < (int)(sizeof meanings / sizeof *meanings))
            n->meaning = meanings[f.id];
        t->bad |= f.type != DS_THRIFT_STRUCT;
        logical_detail(t, n, f.id);
    }
}

/* What old writers say, and new ones say once more. */
static void converted_type(ds_pqnode *n, int c)
{
    static const enum ds_pqmeaning meanings[] = {
        DS_PQ_TEXT,      DS_PQ_MAP,     DS_PQ_MAP,     DS_PQ_LIST,    DS_PQ_TEXT,
        DS_PQ_DECIMAL,   DS_PQ_DATE,    DS_PQ_TIME,    DS_PQ_TIME,    DS_PQ_TIMESTAMP,
        DS_PQ_TIMESTAMP, DS_PQ_INTEGER, DS_PQ_INTEGER, DS_PQ_INTEGER, DS_PQ_INTEGER,
        DS_PQ_INTEGER,   DS_PQ_INTEGER, DS_PQ_INTEGER, DS_PQ_INTEGER, DS_PQ_JSON,
        DS_PQ_PLAIN};

    if (c < 0 || c >= (int)(sizeof meanings / sizeof *meanings))
        return;
    n->meaning = meanings[c];
    if (n->meaning == DS_PQ_TIME || n->meaning == DS_PQ_TIMESTAMP)
        n->unit = UNITS[c == 7 || c == 9 ? 0 : 1];
    if (n->meaning == DS_PQ_INTEGER) { /* UINT_8 is 11, INT_8 is 15 */
        n->is_unsigned = c < 15;
        n->bits = 8 << (c - 11) % 4;
    }
}

/* SchemaElement */
static void read_node(ds_thrift *t, ds_pqnode *n, const uint8_t **name)
{
    int converted = -1, scale = 0;
    ds_thrift_at f;

    *n = (ds_pqnode){.type = DS_PQ_GROUP};
    for (ds_thrift_begin(t, &f); ds_thrift_field(t, &f);)
        switch (f.id) {
        case 1:
            n->type = (enum ds_pqtype)small(t, f.type);
            t->bad |= (int)n->type < 0 || n->type > DS_PQ_FIXED;
            break;
        case 2:
            n->length = small(t, f.type);
            break;
        case 3:
            n->repetition = (enum ds_pqrepetition)small(t, f.type);
            break;
        case 4:
            n->name_len = ds_thrift_binary(t, f.type, name);
            break;
        case 5:
            n->nchild = (size_t)small(t, f.type);
            break;
        case 6:
            converted = small(t, f.type);
            break;
        case 7:
            scale = small(t, f.type);
            break;
        case 10:
            t->bad |= f.type != DS_THRIFT_STRUCT;
            logical_type(t, n);
            break;
        default:
            ds_thrift_skip(t, f.type);
        }
    if (n->meaning == DS_PQ_PLAIN)
        converted_type(n, converted);
    n->scale = n->scale ? n->scale : scale;
}

/* A meaning that does not go with the type is none. */
static const char *check_node(ds_pqnode *n)
{
    const bool whole = n->type == DS_PQ_INT32 || n->type == DS_PQ_INT64,
               bytes = n->type == DS_PQ_BYTES || n->type == DS_PQ_FIXED;
    bool fits = true;

    if ((int)n->repetition < 0 || n->repetition > DS_PQ_REPEATED)
        return "a node of the schema is neither required, optional nor repeated";
    if (n->type == DS_PQ_FIXED && (n->length < 1 || n->length > 1 << 20))
        return "a type has a fixed length that is none";
    switch (n->meaning) {
    case DS_PQ_PLAIN:
    case DS_PQ_NOTHING:
        break;
    case DS_PQ_MAP: /* old writers say so of its pairs, too */
        fits = n->type == DS_PQ_GROUP && n->repetition != DS_PQ_REPEATED;
        break;
    case DS_PQ_LIST:
        fits = n->type == DS_PQ_GROUP;
        break;
    case DS_PQ_TEXT:
    case DS_PQ_JSON:
        fits = bytes;
        break;
    case DS_PQ_DECIMAL:
        if (n->scale < 0 || n->scale > 1000 ||
            (n->type == DS_PQ_FIXED && n->length > DS_PQ_DECIMAL_MOST))
            return "a decimal has a scale or size that is none";
        fits = whole || bytes;
        break;
    case DS_PQ_DATE:
        fits = n->type == DS_PQ_INT32;
        break;
    case DS_PQ_TIME:
    case DS_PQ_TIMESTAMP:
        fits = whole && n->unit;
        break;
    case DS_PQ_INTEGER:
        fits = whole;
        break;
    case DS_PQ_UUID:
        fits = n->type == DS_PQ_FIXED && n->length == 16;
        break;
    case DS_PQ_FLOAT16:
        fits = n->type == DS_PQ_FIXED && n->length == 2;
        break;
    }
    if (!fits)
        n->meaning = DS_PQ_PLAIN;
    return NULL;
}

/* ---- the tree ---- */

/* Reads a node and what is below it: elements stand depth first. */
static int read_tree(ds_pqfile *f, ds_thrift *t, size_t *left, const ds_pqnode *parent, int depth,
                     const char **why)
{
    const uint8_t *name = (const uint8_t *)"";
    const size_t at = f->nnodes;
    ds_pqnode n;

    if (!*left)
        *why = "the schema has fewer nodes than it says";
    else if (depth > DS_PQ_DEPTH || f->nnodes == NODES_MAX)
        *why = "the schema is too deep or too large";
    if (*why)
        return 1;
    --*left;
    read_node(t, &n, &name);
    if (t->bad)
        return 1;
    if (n.type == DS_PQ_GROUP && !n.nchild && depth)
        *why = "a group of the schema is empty";
    else if (n.type != DS_PQ_GROUP && n.nchild)
        *why = "a column of the schema has columns below it";
    else if (ds_utf8_check(name, n.name_len) != n.name_len || memchr(name, 0, n.name_len))
        *why = "the name of a column is not UTF-8";
    else
        *why = depth ? check_node(&n) : NULL;
    if (*why)
        return 1;
    if (parent) { /* of the root nothing is said */
        n.rep = parent->rep + (n.repetition == DS_PQ_REPEATED);
        n.def = parent->def + (n.repetition != DS_PQ_REQUIRED);
    }
    n.leaf = f->nleaves;
    n.name = strndup((const char *)name, n.name_len);
    if (!n.name || ds_grow(&f->nodes, &f->cap_nodes, f->nnodes, sizeof *f->nodes)) {
        free(n.name);
        return DS_NOMEM;
    }
    f->nodes[f->nnodes++] = n;
    f->nleaves += n.type != DS_PQ_GROUP;
    for (size_t i = 0, before = 0; i < n.nchild; i++) {
        const size_t child = f->nnodes;
        const int rc = read_tree(f, t, left, &n, depth + 1, why);
        if (rc)
            return rc;
        if (i)
            f->nodes[before].next = child;
        else
            f->nodes[at].children = child;
        before = child;
    }
    f->nodes[at].leaf_end = f->nleaves;
    return 0;
}

static int read_schema(ds_pqfile *f, ds_thrift *t, int type, const char **why)
{
    int item;
    size_t n = ds_thrift_list(t, type, &item);

    if (f->nnodes) {
        *why = "the footer has two schemas";
        return 1;
    }
    t->bad |= item != DS_THRIFT_STRUCT;
    if (t->bad)
        return 1;
    const int rc = read_tree(f, t, &n, NULL, 0, why);
    if (!rc && n)
        *why = "the schema has more nodes than are below its root";
    if (rc || *why)
        return rc ? rc : 1;
    f->leaves = calloc(f->nleaves + 1, sizeof *f->leaves);
    if (!f->leaves)
        return DS_NOMEM;
    for (size_t i = 0; i < f->nnodes; i++)
        if (f->nodes[i].type != DS_PQ_GROUP)
            f->leaves[f->nodes[i].leaf] = i;
    return 0;
}

/* ---- groups of rows ---- */

/* ColumnMetaData */
static void read_meta(ds_thrift *t, ds_pqchunk *c, int *type)
{
    int64_t values = 0, len = 0, data = 0, dictionary = 0;
    ds_thrift_at f;

    for (ds_thrift_begin(t, &f); ds_thrift_field(t, &f);)
        switch (f.id) {
        case 1:
            *type = small(t, f.type);
            break;
        case 4:
            c->codec = small(t, f.type);
            break;
        case 5:
            values = ds_thrift_int(t, f.type);
            break;
        case 7:
            len = ds_thrift_int(t, f.type);
            break;
        case 9:
            data = ds_thrift_int(t, f.type);
            break;
        case 11:
            dictionary = ds_thrift_int(t, f.type);
            break;
        default:
            ds_thrift_skip(t, f.type);
        }
    t->bad |= values < 0 || len < 0 || data < 0 || dictionary < 0;
    c->values = (uint64_t)values;
    c->len = (uint64_t)len;
    /* Some writers say 0 where there is no dictionary, and 4 bytes are before all pages. */
    c->at = (uint64_t)(dictionary > 0 && dictionary < data ? dictionary : data);
}

/* ColumnChunk */
static void read_chunk(ds_thrift *t, ds_pqchunk *c, int *type, const char **why)
{
    bool described = false;
    const uint8_t *path;
    ds_thrift_at f;

    *c = (ds_pqchunk){0};
    for (ds_thrift_begin(t, &f); ds_thrift_field(t, &f);)
        if (f.id == 1) {
            if (ds_thrift_binary(t, f.type, &path))
                *why = "a column lies in another file";
        } else if (f.id == 3 && f.type == DS_THRIFT_STRUCT) {
            described = true;
            read_meta(t, c, type);
        } else {
            if (f.id == 8)
                *why = "a column is encrypted";
            ds_thrift_skip(t, f.type);
        }
    if (!described && !*why)
        *why = "a column is not described (or its description is encrypted)";
}

static int read_chunks(ds_pqfile *f, ds_thrift *t, int type, uint64_t size, const char **why)
{
    int item, of = -1;
    const size_t n = ds_thrift_list(t, type, &item);

    t->bad |= item != DS_THRIFT_STRUCT;
    if (t->bad)
        return 1;
    if (!f->nleaves || n != f->nleaves)
        *why = "a group of rows has not the columns of the schema";
    for (size_t i = 0; i < n && !t->bad && !*why; i++) {
        if (ds_grow(&f->chunks, &f->cap_chunks, f->nchunks, sizeof *f->chunks))
            return DS_NOMEM;
        ds_pqchunk *c = &f->chunks[f->nchunks++];
        read_chunk(t, c, &of, why);
        if (!*why && !t->bad && of != (int)f->nodes[f->leaves[i]].type)
            *why = "a column is of another type than the schema has it";
        if (!*why && !t->bad && (c->at > size || c->len > size - c->at))
            *why = "a column lies behind the end of the file";
    }
    return t->bad || *why;
}

static int read_groups(ds_pqfile *f, ds_thrift *t, int type, uint64_t size, const char **why)
{
    int item, rc = 0;
    const size_t n = ds_thrift_list(t, type, &item);

    t->bad |= n && item != DS_THRIFT_STRUCT;
    for (size_t i = 0; i < n && !rc && !t->bad; i++) {
        ds_pqgroup g = {.chunks = f->nchunks};
        bool chunked = false;
        ds_thrift_at at;
        for (ds_thrift_begin(t, &at); !rc && ds_thrift_field(t, &at);)
            if (at.id == 1 && !chunked) {
                chunked = true;
                rc = read_chunks(f, t, at.type, size, why);
            } else if (at.id == 3) {
                const int64_t rows = ds_thrift_int(t, at.type);
                t->bad |= rows < 0;
                g.rows = (uint64_t)rows;
            } else {
                ds_thrift_skip(t, at.type);
            }
        if (!rc && !chunked)
            *why = "a group of rows has no columns";
        if (rc || *why)
            return rc ? rc : 1;
        if (ds_grow(&f->groups, &f->cap_groups, f->ngroups, sizeof *f->groups))
            return DS_NOMEM;
        f->groups[f->ngroups++] = g;
    }
    return rc;
}

int ds_pqfile_parse(ds_pqfile *f, const uint8_t *p, size_t len, uint64_t size, const char **why)
{
    ds_thrift t = {.p = p, .len = len};
    ds_thrift_at at;
    int rc = 0;

    *why = NULL;
    for (ds_thrift_begin(&t, &at); !rc && ds_thrift_field(&t, &at);)
        if (at.id == 2)
            rc = read_schema(f, &t, at.type, why);
        else if (at.id == 4)
            rc = read_groups(f, &t, at.type, size, why);
        else
            ds_thrift_skip(&t, at.type);
    if (rc == DS_NOMEM)
        return rc;
    if (!rc && !t.bad && !f->nleaves)
        *why = "it has no columns";
    if (!*why && (rc || t.bad))
        *why = "the footer is malformed";
    return *why != NULL;
}

void ds_pqfile_fini(ds_pqfile *f)
{
    for (size_t i = 0; i < f->nnodes; i++)
        free(f->nodes[i].name);
    free(f->nodes);
    free(f->leaves);
    free(f->chunks);
    free(f->groups);
    *f = (ds_pqfile){0};
}
