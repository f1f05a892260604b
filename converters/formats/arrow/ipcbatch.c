/* ipcbatch.c - see ipcbatch.h. */
#include "ipcbatch.h"

#include <stdlib.h>

#include "io.h"
#include "ipcunpack.h"
#include "try.h"

/* Columns that are all alike pack to next to nothing. */
#define GIVEN_FREE ((uint64_t)64 << 20)
enum { STEP = 256 << 10, ROWS_FREE = 65536 };
enum { LENGTH, NODES, BUFFERS, COMPRESSION, VARIADIC }; /* of RecordBatch */

static const char DAMAGED[] = "the batch says other than its columns need";

typedef struct loader {
    ds_ipcbatch *b;
    const ds_ipcschema *s;
    const ds_ipcwish *w;
    ds_flat *f;
    const ds_ipcsource *from;
    ds_flatvec nodes, buffers, variadic;
    size_t node, buffer, more; /* the next of each */
    int codec;                 /* -1: none */
    uint64_t given;            /* bytes of buffers, unpacked */
    const char **why;
    ds_err *err;
} loader;

static int damaged(const loader *l)
{
    *l->why = DAMAGED;
    return 1;
}

/* ---- buffers ---- */

static int copy(loader *l, uint64_t at, uint64_t len)
{
    uint8_t *buf = malloc(STEP);
    int rc = buf ? 0 : ds_fail_nomem(l->err);

    for (uint64_t n; !rc && len; at += n, len -= n) {
        n = len < STEP ? len : STEP;
        rc = ds_pread_exact(l->from->fd, l->from->name, buf, (size_t)n, at, l->err);
        rc = rc ? rc : ds_spool_put(&l->b->spool, buf, (size_t)n, l->err);
    }
    free(buf);
    return rc;
}

/* Buffers may be packed, or lie in one another. */
static int count(loader *l, uint64_t bytes)
{
    if (!__builtin_add_overflow(l->given, bytes, &l->given) &&
        (l->given <= GIVEN_FREE || !l->b->max_ratio ||
         l->given / l->b->max_ratio <= l->from->body_len))
        return 0;
    *l->why = "its buffers have more than --max-ratio times its bytes";
    return 1;
}

/* i64 its length before it was packed, or -1 where it is not, and the bytes. */
static int unpack(loader *l, uint64_t at, uint64_t len, uint64_t *out)
{
    uint8_t head[8];

    if (len < sizeof head)
        return damaged(l);
    TRY(ds_pread_exact(l->from->fd, l->from->name, head, sizeof head, at, l->err));
    const int64_t n = (int64_t)ds_get_u64(head);
    at += sizeof head;
    len -= sizeof head;
    *out = n == -1 ? len : (uint64_t)n;
    if (n < -1)
        return damaged(l);
    TRY(count(l, *out));
    if (n == -1)
        return copy(l, at, len);
    const ds_ipcpacked p = {l->from->fd, l->from->name, at, len, *out, l->codec};
    return ds_ipc_unpack(&l->b->spool, &p, l->why, l->err);
}

static int take_buffer(loader *l, bool wanted, ds_ipcbytes *b)
{
    if (l->buffer == l->buffers.n)
        return damaged(l);
    const size_t where = l->buffers.at + 16 * l->buffer++;
    const int64_t at = ds_flat_number(l->f, where, 8), len = ds_flat_number(l->f, where + 8, 8);
    if (at < 0 || len < 0 || (uint64_t)at > l->from->body_len ||
        (uint64_t)len > l->from->body_len - (uint64_t)at)
        return damaged(l);
    *b = (ds_ipcbytes){.at = ds_spool_len(&l->b->spool), .len = (uint64_t)len};
    if (!wanted || !len) {
        b->len = 0;
        return 0;
    }
    const uint64_t from = l->from->body + (uint64_t)at;
    if (l->codec >= 0)
        return unpack(l, from, b->len, &b->len);
    TRY(count(l, b->len));
    return copy(l, from, b->len);
}

static int take_views(loader *l, bool wanted, ds_ipcarray *a)
{
    const int64_t n =
        l->more < l->variadic.n ? ds_flat_number(l->f, l->variadic.at + 8 * l->more, 8) : -1;

    l->more++;
    if (n < 0 || (uint64_t)n > l->buffers.n)
        return damaged(l);
    a->views = l->b->nviews;
    for (int64_t i = 0; i < n; i++) {
        if (ds_grow(&l->b->views, &l->b->cap_views, l->b->nviews, sizeof *l->b->views))
            return ds_fail_nomem(l->err);
        TRY(take_buffer(l, wanted, &l->b->views[l->b->nviews++]));
        a->nviews++;
    }
    return 0;
}

/* ---- arrays ---- */

static int take_node(loader *l, size_t node, bool wanted, bool decoded);

static int take_buffers(loader *l, enum ds_ipclayout layout, bool wanted, ds_ipcarray *a)
{
    const bool is_union = layout == DS_IPC_SPARSE_UNION || layout == DS_IPC_DENSE_UNION;

    if (layout == DS_IPC_NULL || layout == DS_IPC_RUNS)
        return 0;
    if (!is_union || l->w->old)
        TRY(take_buffer(l, wanted, &a->valid));
    switch (layout) {
    case DS_IPC_BITS:
    case DS_IPC_FIXED:
        return take_buffer(l, wanted, &a->data);
    case DS_IPC_BYTES:
    case DS_IPC_LIST_VIEWS:
    case DS_IPC_DENSE_UNION:
        TRY(take_buffer(l, wanted, &a->where));
        return take_buffer(l, wanted, &a->data);
    case DS_IPC_VIEWS:
        TRY(take_buffer(l, wanted, &a->where));
        return take_views(l, wanted, a);
    case DS_IPC_LIST:
    case DS_IPC_SPARSE_UNION:
        return take_buffer(l, wanted, &a->where);
    default:
        return 0;
    }
}

/* Whether buffers are as long as so many values need: `unit` bits each, and one more of offsets. */
static bool is_long(const ds_ipcbytes *b, uint64_t n, uint64_t unit, bool offsets)
{
    uint64_t bits;

    return n == 0 ||
           (!__builtin_mul_overflow(n + offsets, unit, &bits) && b->len >= (bits + 7) / 8);
}

static bool is_whole(const ds_ipcarray *a, enum ds_ipclayout layout, uint64_t width)
{
    const uint64_t n = a->n;

    if (a->valid.len ? !is_long(&a->valid, n, 1, false)
                     : a->nulls && layout != DS_IPC_NULL && layout != DS_IPC_RUNS)
        return false;
    switch (layout) {
    case DS_IPC_BITS:
        return is_long(&a->data, n, 1, false);
    case DS_IPC_FIXED:
        return is_long(&a->data, n, 8 * width, false);
    case DS_IPC_BYTES:
    case DS_IPC_LIST:
        return is_long(&a->where, n, 8 * width, true);
    case DS_IPC_LIST_VIEWS:
        return is_long(&a->where, n, 8 * width, false) && is_long(&a->data, n, 8 * width, false);
    case DS_IPC_VIEWS:
        return is_long(&a->where, n, 128, false);
    case DS_IPC_DENSE_UNION:
        return is_long(&a->where, n, 8, false) && is_long(&a->data, n, 32, false);
    case DS_IPC_SPARSE_UNION:
        return is_long(&a->where, n, 8, false);
    default:
        return true;
    }
}

static int take_children(loader *l, const ds_ipcnode *n, bool wanted, const bool *each)
{
    for (size_t i = 0, at = n->children; i < n->nchild; i++, at = l->s->nodes[at].next)
        TRY(take_node(l, at, each ? each[at] : wanted, false));
    return 0;
}

static int take_node(loader *l, size_t node, bool wanted, bool decoded)
{
    const ds_ipcnode *n = &l->s->nodes[node];
    const bool coded = n->coded && !decoded;
    ds_ipcarray *a = &l->b->arrays[node];

    if (l->node == l->nodes.n)
        return damaged(l);
    const size_t where = l->nodes.at + 16 * l->node++;
    const int64_t rows = ds_flat_number(l->f, where, 8), nulls = ds_flat_number(l->f, where + 8, 8);
    if (rows < 0 || nulls < 0)
        return damaged(l);
    *a = (ds_ipcarray){.n = (uint64_t)rows, .nulls = (uint64_t)nulls};
    const enum ds_ipclayout layout = coded ? DS_IPC_FIXED : n->layout;
    TRY(take_buffers(l, layout, wanted, a));
    if (wanted && !is_whole(a, layout, (uint64_t)(coded ? n->code_width : n->width))) {
        *l->why = "its buffers are shorter than its rows need";
        return 1;
    }
    return coded ? 0 : take_children(l, n, wanted, NULL);
}

static void point(ds_ipcbytes *b, const uint8_t *base)
{
    b->p = base ? base + b->at : (const uint8_t *)"";
}

/* Once all bytes are there. */
static int point_all(ds_ipcbatch *b, ds_err *err)
{
    const uint8_t *base;
    size_t len;

    TRY(ds_spool_view(&b->spool, &base, &len, err));
    for (size_t i = 0; i < b->narrays; i++) {
        point(&b->arrays[i].valid, base);
        point(&b->arrays[i].where, base);
        point(&b->arrays[i].data, base);
    }
    for (size_t i = 0; i < b->nviews; i++)
        point(&b->views[i], base);
    return 0;
}

static int begin(loader *l, size_t at)
{
    ds_ipcbatch *b = l->b;
    const int64_t rows = ds_flat_int(l->f, at, LENGTH, 8, 0);
    const size_t packed = ds_flat_table(l->f, at, COMPRESSION);

    b->spool.limit = b->in_memory;
    ds_spool_reset(&b->spool);
    b->nviews = 0;
    free(b->arrays);
    b->narrays = l->s->n;
    b->arrays = calloc(b->narrays, sizeof *b->arrays);
    if (!b->arrays) {
        b->narrays = 0;
        return ds_fail_nomem(l->err);
    }
    l->nodes = ds_flat_vector(l->f, at, NODES, 16);
    l->buffers = ds_flat_vector(l->f, at, BUFFERS, 16);
    l->variadic = ds_flat_vector(l->f, at, VARIADIC, 8);
    l->codec = packed ? (int)ds_flat_int(l->f, packed, 0, 1, 0) : -1;
    b->rows = (uint64_t)rows;
    /* Rows of nothing, and of runs, cost no bytes, but time. */
    const uint64_t ratio = b->max_ratio ? b->max_ratio : UINT64_MAX;
    if (rows < 0 ||
        (b->rows > ROWS_FREE && (b->rows - ROWS_FREE) / 8 / ratio > l->from->body_len)) {
        *l->why = "it has more rows than its bytes can hold";
        return 1;
    }
    return 0;
}

int ds_ipcbatch_read(ds_ipcbatch *b, const ds_ipcschema *s, const ds_ipcwish *w, ds_flat *f,
                     size_t at, const ds_ipcsource *from, const char **why, ds_err *err)
{
    const ds_ipcnode *n = &s->nodes[w->node];
    loader l = {.b = b, .s = s, .w = w, .f = f, .from = from, .why = why, .err = err};

    *why = NULL;
    TRY(begin(&l, at));
    if (w->node == 0)
        TRY(take_children(&l, n, true, w->wanted));
    else
        TRY(take_node(&l, w->node, true, w->decoded));
    if (f->bad)
        return damaged(&l);
    for (size_t i = 0, c = n->children; w->node == 0 && i < n->nchild; i++, c = s->nodes[c].next)
        if (b->arrays[c].n != b->rows)
            return damaged(&l);
    return point_all(b, err);
}

void ds_ipcbatch_fini(ds_ipcbatch *b)
{
    free(b->arrays);
    free(b->views);
    ds_spool_fini(&b->spool);
    *b = (ds_ipcbatch){0};
}
