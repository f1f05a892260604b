/* pqfooter.c - see pqfooter.h. */
#include "pqfooter.h"

#include <string.h>

#include "pqcode.h"
#include "thrift.h"

/* ---- the tree ---- */

int ds_pqfile_add(ds_pqfile *f, size_t parent, const ds_pqnode *n, size_t *at)
{
    const bool root = f->nnodes == 0;
    size_t last = 0;

    if (ds_grow(&f->nodes, &f->cap_nodes, f->nnodes, sizeof *f->nodes))
        return DS_NOMEM;
    ds_pqnode *to = &f->nodes[f->nnodes];
    *to = *n;
    to->name_len = strlen(n->name);
    to->name = strdup(n->name);
    if (!to->name)
        return DS_NOMEM;
    if (!root) {
        ds_pqnode *p = &f->nodes[parent];
        to->rep = p->rep + (n->repetition == DS_PQ_REPEATED);
        to->def = p->def + (n->repetition != DS_PQ_REQUIRED);
        for (size_t i = 0, c = p->children; i < p->nchild; i++, c = f->nodes[c].next)
            last = c;
        if (p->nchild++)
            f->nodes[last].next = f->nnodes;
        else
            p->children = f->nnodes;
    }
    to->leaf = f->nleaves;
    f->nleaves += n->type != DS_PQ_GROUP;
    if (at)
        *at = f->nnodes;
    f->nnodes++;
    return 0;
}

/* ---- the schema ---- */

/* LogicalType's members without fields, by number. */
static int member_of(enum ds_pqmeaning m)
{
    return m == DS_PQ_TEXT ? 1 : m == DS_PQ_LIST ? 3 : m == DS_PQ_JSON ? 12 : 0;
}

/* What readers that know no LogicalType look at; -1: there is none. */
static int converted_of(const ds_pqnode *n)
{
    switch (n->meaning) {
    case DS_PQ_TEXT:
        return 0;
    case DS_PQ_LIST:
        return 3;
    case DS_PQ_JSON:
        return 19;
    case DS_PQ_INTEGER:
        return n->bits == 16 ? 12 : 13; /* UINT_16, UINT_32 */
    default:
        return -1;
    }
}

static void put_logical(ds_thriftout *t, const ds_pqnode *n)
{
    const int before = ds_thrift_put_open(t, 10);

    if (n->meaning == DS_PQ_TIMESTAMP) { /* in UTC, nanoseconds */
        const int in = ds_thrift_put_open(t, 8);
        ds_thrift_put_bool(t, 1, true);
        const int unit = ds_thrift_put_open(t, 2), nanos = ds_thrift_put_open(t, 3);
        ds_thrift_put_end(t, nanos);
        ds_thrift_put_end(t, unit);
        ds_thrift_put_end(t, in);
    } else if (n->meaning == DS_PQ_INTEGER) {
        const int in = ds_thrift_put_open(t, 10);
        const uint8_t head = 0x10 | DS_THRIFT_BYTE, bits = (uint8_t)n->bits; /* field 1 */
        t->failed |= ds_buf_putc(&t->b, head) || ds_buf_putc(&t->b, bits);
        t->last = 1;
        ds_thrift_put_bool(t, 2, !n->is_unsigned);
        ds_thrift_put_end(t, in);
    } else {
        ds_thrift_put_end(t, ds_thrift_put_open(t, member_of(n->meaning)));
    }
    ds_thrift_put_end(t, before);
}

/* SchemaElement */
static void put_node(ds_thriftout *t, const ds_pqnode *n, bool root)
{
    const int before = ds_thrift_put_open(t, 0), converted = converted_of(n);

    if (n->type != DS_PQ_GROUP)
        ds_thrift_put_int(t, 1, DS_THRIFT_I32, (int)n->type);
    if (!root)
        ds_thrift_put_int(t, 3, DS_THRIFT_I32, (int)n->repetition);
    ds_thrift_put_binary(t, 4, n->name, n->name_len);
    if (n->type == DS_PQ_GROUP)
        ds_thrift_put_int(t, 5, DS_THRIFT_I32, (int64_t)n->nchild);
    if (converted >= 0)
        ds_thrift_put_int(t, 6, DS_THRIFT_I32, converted);
    if (n->meaning != DS_PQ_PLAIN)
        put_logical(t, n);
    ds_thrift_put_end(t, before);
}

/* ---- groups ---- */

static size_t parent_of(const ds_pqfile *f, size_t node)
{
    for (size_t i = node; i-- > 0;) {
        size_t c = f->nodes[i].children;
        for (size_t k = 0; k < f->nodes[i].nchild; k++, c = f->nodes[c].next)
            if (c == node)
                return i;
    }
    return 0;
}

static void put_path(ds_thriftout *t, const ds_pqfile *f, size_t leaf)
{
    size_t path[DS_PQ_DEPTH], n = 0;

    for (size_t at = leaf; at; at = parent_of(f, at))
        path[n++] = at;
    ds_thrift_put_list(t, 3, DS_THRIFT_BINARY, n);
    while (n--)
        ds_thrift_put_item_binary(t, f->nodes[path[n]].name, f->nodes[path[n]].name_len);
}

/* Statistics */
static void put_statistics(ds_thriftout *t, const ds_pqdone *d)
{
    const int before = ds_thrift_put_open(t, 12);
    uint8_t least[8], most[8];

    ds_set_u64(least, (uint64_t)d->least);
    ds_set_u64(most, (uint64_t)d->most);
    ds_thrift_put_int(t, 3, DS_THRIFT_I64, (int64_t)d->nulls);
    if (d->any) {
        ds_thrift_put_binary(t, 5, most, sizeof most);
        ds_thrift_put_binary(t, 6, least, sizeof least);
    }
    ds_thrift_put_end(t, before);
}

/* ColumnChunk, with its ColumnMetaData */
static void put_chunk(ds_thriftout *t, const ds_pqfile *f, size_t leaf, const ds_pqgroupdone *g,
                      const ds_pqdone *d, int codec)
{
    const int before = ds_thrift_put_open(t, 0);
    const int64_t at = (int64_t)(g->at + d->at);

    ds_thrift_put_int(t, 2, DS_THRIFT_I64, at);
    const int meta = ds_thrift_put_open(t, 3);
    ds_thrift_put_int(t, 1, DS_THRIFT_I32, (int)f->nodes[leaf].type);
    ds_thrift_put_list(t, 2, DS_THRIFT_I32, d->dictionary ? 3 : 2);
    ds_thrift_put_item_int(t, DS_PQ_ENC_PLAIN);
    ds_thrift_put_item_int(t, DS_PQ_ENC_RLE);
    if (d->dictionary)
        ds_thrift_put_item_int(t, DS_PQ_ENC_DICTIONARY);
    put_path(t, f, leaf);
    ds_thrift_put_int(t, 4, DS_THRIFT_I32, codec);
    ds_thrift_put_int(t, 5, DS_THRIFT_I64, (int64_t)d->values);
    ds_thrift_put_int(t, 6, DS_THRIFT_I64, (int64_t)d->raw);
    ds_thrift_put_int(t, 7, DS_THRIFT_I64, (int64_t)d->packed);
    ds_thrift_put_int(t, 9, DS_THRIFT_I64, at + (int64_t)d->dictionary);
    if (d->dictionary)
        ds_thrift_put_int(t, 11, DS_THRIFT_I64, at);
    put_statistics(t, d);
    ds_thrift_put_end(t, meta);
    ds_thrift_put_end(t, before);
}

/* RowGroup */
static void put_group(ds_thriftout *t, const ds_pqfile *f, const ds_pqgroupdone *g, size_t number,
                      int codec)
{
    const int before = ds_thrift_put_open(t, 0);
    uint64_t raw = 0, packed = 0;
    size_t k = 0;

    ds_thrift_put_list(t, 1, DS_THRIFT_STRUCT, f->nleaves);
    for (size_t i = 0; i < f->nnodes; i++)
        if (f->nodes[i].type != DS_PQ_GROUP) {
            raw += g->leaves[k].raw;
            packed += g->leaves[k].packed;
            put_chunk(t, f, i, g, &g->leaves[k++], codec);
        }
    ds_thrift_put_int(t, 2, DS_THRIFT_I64, (int64_t)raw);
    ds_thrift_put_int(t, 3, DS_THRIFT_I64, (int64_t)g->rows);
    ds_thrift_put_int(t, 5, DS_THRIFT_I64, (int64_t)g->at);
    ds_thrift_put_int(t, 6, DS_THRIFT_I64, (int64_t)packed);
    if (number <= INT16_MAX)
        ds_thrift_put_int(t, 7, DS_THRIFT_I16, (int64_t)number);
    ds_thrift_put_end(t, before);
}

/* FileMetaData */
int ds_pqfooter_put(ds_buf *out, const ds_pqfile *f, const ds_pqgroupdone *groups, size_t n,
                    int codec)
{
    static const char by[] = "dsprep version " DS_VERSION;
    ds_thriftout t = {0};
    uint64_t rows = 0;

    for (size_t i = 0; i < n; i++)
        rows += groups[i].rows;
    ds_thrift_put_int(&t, 1, DS_THRIFT_I32, 2);
    ds_thrift_put_list(&t, 2, DS_THRIFT_STRUCT, f->nnodes);
    for (size_t i = 0; i < f->nnodes; i++)
        put_node(&t, &f->nodes[i], i == 0);
    ds_thrift_put_int(&t, 3, DS_THRIFT_I64, (int64_t)rows);
    ds_thrift_put_list(&t, 4, DS_THRIFT_STRUCT, n);
    for (size_t i = 0; i < n; i++)
        put_group(&t, f, &groups[i], i, codec);
    ds_thrift_put_binary(&t, 6, by, sizeof by - 1);
    /* ColumnOrder: as the type has it, without which statistics mean nothing. */
    ds_thrift_put_list(&t, 7, DS_THRIFT_STRUCT, f->nleaves);
    for (size_t i = 0; i < f->nleaves; i++) {
        const int before = ds_thrift_put_open(&t, 0);
        ds_thrift_put_end(&t, ds_thrift_put_open(&t, 1));
        ds_thrift_put_end(&t, before);
    }
    ds_thrift_put_end(&t, 0);
    const int rc = t.failed || ds_buf_put(out, t.b.data, t.b.len) ? DS_NOMEM : 0;
    ds_buf_fini(&t.b);
    return rc;
}
