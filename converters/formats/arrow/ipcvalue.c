/* ipcvalue.c - see ipcvalue.h. */
#include "ipcvalue.h"

#include <stdlib.h>
#include <string.h>

static const char SHORT[] = "its buffers hold less than it says";

enum { INLINE = 12, TURNS = 64 }; /* bytes of a short view; one in the other */

ds_ipcdictionary *ds_ipcdictionary_find(const ds_ipcdictionaries *d, int64_t id)
{
    for (size_t i = 0; i < d->n; i++)
        if (d->v[i].id == id)
            return &d->v[i];
    return NULL;
}

void ds_ipcdictionaries_fini(ds_ipcdictionaries *d)
{
    for (size_t i = 0; i < d->n; i++) {
        for (size_t k = 0; k < d->v[i].n; k++)
            ds_ipcbatch_fini(&d->v[i].parts[k]);
        free(d->v[i].parts);
    }
    free(d->v);
    *d = (ds_ipcdictionaries){0};
}

static int fails(const char **why, const char *text)
{
    *why = text;
    return 1;
}

static const ds_ipcarray *array_of(const ds_ipcat *at)
{
    return &at->batch->arrays[at->node];
}

/* Element i, of `width` bytes. */
static const uint8_t *element(const ds_ipcbytes *b, uint64_t i, size_t width)
{
    return i < b->len / width ? b->p + (size_t)i * width : NULL;
}

static int64_t number(const uint8_t *p, int width)
{
    switch (width) {
    case 1:
        return (int8_t)*p;
    case 2:
        return (int16_t)(uint16_t)(p[0] | p[1] << 8);
    case 4:
        return (int32_t)ds_get_u32(p);
    default:
        return (int64_t)ds_get_u64(p);
    }
}

/* 1 it is there, 0 it is null, -1 the bitmap does not say. */
static int is_valid(const ds_ipcarray *a, uint64_t i)
{
    if (a->valid.len == 0)
        return a->nulls == 0 ? 1 : -1;
    return i / 8 < a->valid.len ? a->valid.p[i / 8] >> i % 8 & 1 : -1;
}

/* ---- to the value itself ---- */

static int decode(ds_ipcat *at, const char **why)
{
    const ds_ipcnode *n = &at->schema->nodes[at->node];
    const uint8_t *p = element(&array_of(at)->data, at->i, (size_t)n->code_width);
    const ds_ipcdictionary *d = ds_ipcdictionary_find(at->dictionaries, n->dictionary);

    if (!p)
        return fails(why, SHORT);
    if (!d)
        return fails(why, "its dictionary is not there");
    if (d->damaged)
        return fails(why, "its dictionary is damaged");
    const int64_t code = number(p, n->code_width);
    const uint64_t mask = n->code_width == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * n->code_width) - 1;
    uint64_t i = (uint64_t)code & mask;
    for (size_t k = 0; k < d->n; k++) {
        const uint64_t have = d->parts[k].arrays[d->node].n;
        if (i < have) {
            at->batch = &d->parts[k];
            at->node = d->node;
            at->i = i;
            at->decoded = true;
            return 0;
        }
        i -= have;
    }
    return fails(why, "its number is in no dictionary");
}

/* The run that holds the value: the first that ends behind it. */
static int find_run(ds_ipcat *at, const char **why)
{
    const size_t ends = ds_ipc_child(at->schema, at->node, 0);
    const ds_ipcarray *a = &at->batch->arrays[ends];
    const int width = at->schema->nodes[ends].width;
    uint64_t from = 0, to = a->n;

    if (a->n > a->data.len / (size_t)width)
        return fails(why, SHORT);
    while (from < to) {
        const uint64_t mid = from + (to - from) / 2;
        const int64_t end = number(a->data.p + (size_t)mid * (size_t)width, width);
        if (end >= 0 && (uint64_t)end > at->i)
            to = mid;
        else
            from = mid + 1;
    }
    if (from == a->n)
        return fails(why, "its runs end before it");
    *at = ds_ipc_below(at, ds_ipc_child(at->schema, at->node, 1), from);
    return 0;
}

static int choose(ds_ipcat *at, const char **why)
{
    const ds_ipcnode *n = &at->schema->nodes[at->node];
    const ds_ipcarray *a = array_of(at);
    const uint8_t *id = element(&a->where, at->i, 1);
    uint64_t i = at->i;

    if (!id)
        return fails(why, SHORT);
    if (n->layout == DS_IPC_DENSE_UNION) {
        const uint8_t *p = element(&a->data, i, 4);
        if (!p || (int32_t)ds_get_u32(p) < 0)
            return fails(why, SHORT);
        i = ds_get_u32(p);
    }
    for (size_t k = 0; k < n->nchild; k++)
        if (n->ids[k] == (int8_t)*id) {
            *at = ds_ipc_below(at, ds_ipc_child(at->schema, at->node, k), i);
            return 0;
        }
    return fails(why, "a union has no such type");
}

int ds_ipc_settle(ds_ipcat *at, const char **why)
{
    for (int turns = 0; turns < TURNS; turns++) {
        const ds_ipcnode *n = &at->schema->nodes[at->node];
        const ds_ipcarray *a = array_of(at);
        const bool coded = n->coded && !at->decoded;
        const int valid = n->layout == DS_IPC_NULL ? 0 : is_valid(a, at->i);
        if (at->i >= a->n || valid < 0)
            return fails(why, SHORT);
        at->null = !valid;
        if (at->null)
            return 0;
        int rc = 0;
        if (coded)
            rc = decode(at, why);
        else if (n->layout == DS_IPC_RUNS)
            rc = find_run(at, why);
        else if (n->layout == DS_IPC_SPARSE_UNION || n->layout == DS_IPC_DENSE_UNION)
            rc = choose(at, why);
        else
            return 0;
        if (rc)
            return rc;
    }
    return fails(why, "its dictionaries lead to one another");
}

ds_ipcat ds_ipc_below(const ds_ipcat *at, size_t node, uint64_t i)
{
    ds_ipcat a = *at;

    a.node = node;
    a.i = i;
    a.decoded = false;
    a.null = false;
    return a;
}

/* ---- what it says ---- */

static int bytes(const ds_ipcat *at, ds_pqvalue *x, const char **why)
{
    const ds_ipcnode *n = &at->schema->nodes[at->node];
    const ds_ipcarray *a = array_of(at);
    const uint8_t *p = element(&a->where, at->i, (size_t)n->width),
                  *q = element(&a->where, at->i + 1, (size_t)n->width);

    if (!p || !q)
        return fails(why, SHORT);
    const int64_t from = number(p, n->width), to = number(q, n->width);
    if (from < 0 || to < from || (uint64_t)to > a->data.len)
        return fails(why, "its offsets do not fit its bytes");
    x->p = a->data.p + from;
    x->len = (size_t)(to - from);
    return 0;
}

/* i32 length; up to 12 bytes themselves, or else four of them, the buffer's number, the offset. */
static int view(const ds_ipcat *at, ds_pqvalue *x, const char **why)
{
    const ds_ipcarray *a = array_of(at);
    const uint8_t *p = element(&a->where, at->i, 16);

    if (!p || (int32_t)ds_get_u32(p) < 0)
        return fails(why, SHORT);
    x->len = ds_get_u32(p);
    x->p = p + 4;
    if (x->len <= INLINE)
        return 0;
    const uint32_t buffer = ds_get_u32(p + 8), from = ds_get_u32(p + 12);
    if (buffer >= a->nviews)
        return fails(why, SHORT);
    const ds_ipcbytes *b = &at->batch->views[a->views + buffer];
    if (from > b->len || x->len > b->len - from)
        return fails(why, "its view does not fit its bytes");
    x->p = b->p + from;
    return 0;
}

static int fixed(const ds_ipcat *at, uint8_t *scratch, ds_pqvalue *x, const char **why)
{
    const ds_ipcnode *n = &at->schema->nodes[at->node];
    const ds_ipcarray *a = array_of(at);
    const uint8_t *p = n->width ? element(&a->data, at->i, (size_t)n->width) : a->data.p;
    float f;

    if (!p)
        return fails(why, SHORT);
    x->p = p;
    x->len = (size_t)n->width;
    switch (n->what.type) {
    case DS_PQ_FLOAT:
        memcpy(&f, p, sizeof f);
        x->f = (double)f;
        return 0;
    case DS_PQ_DOUBLE:
        memcpy(&x->f, p, sizeof x->f);
        return 0;
    case DS_PQ_FIXED: /* decimals lie the other way round */
        for (size_t k = 0; n->what.meaning == DS_PQ_DECIMAL && k < x->len; k++)
            scratch[k] = p[x->len - 1 - k];
        x->p = n->what.meaning == DS_PQ_DECIMAL ? scratch : p;
        return 0;
    default:
        break;
    }
    x->i = number(p, n->width);
    if (n->what.is_unsigned && n->width < 8)
        x->i &= (INT64_C(1) << 8 * n->width) - 1;
    if (n->per_day)
        x->i = x->i / n->per_day - (x->i % n->per_day < 0);
    if (n->what.meaning == DS_PQ_DATE && x->i != (int32_t)x->i)
        return fails(why, "the date is out of range");
    return 0;
}

int ds_ipc_value(const ds_ipcat *at, uint8_t *scratch, ds_pqvalue *x, const char **why)
{
    const ds_ipcarray *a = array_of(at);

    *x = (ds_pqvalue){0};
    switch (at->schema->nodes[at->node].layout) {
    case DS_IPC_BITS:
        if (at->i / 8 >= a->data.len)
            return fails(why, SHORT);
        x->i = a->data.p[at->i / 8] >> at->i % 8 & 1;
        return 0;
    case DS_IPC_BYTES:
        return bytes(at, x, why);
    case DS_IPC_VIEWS:
        return view(at, x, why);
    default:
        return fixed(at, scratch, x, why);
    }
}

/* ---- lists ---- */

int ds_ipc_items(const ds_ipcat *at, uint64_t *from, uint64_t *n, const char **why)
{
    const ds_ipcnode *node = &at->schema->nodes[at->node];
    const ds_ipcarray *a = array_of(at), *items = &at->batch->arrays[node->children];
    const size_t width = (size_t)node->width;
    int64_t first, count;

    if (node->layout == DS_IPC_FIXED_LIST) {
        count = node->size;
        if (__builtin_mul_overflow((int64_t)at->i, count, &first))
            return fails(why, SHORT);
    } else {
        const bool views = node->layout == DS_IPC_LIST_VIEWS;
        const uint8_t *p = element(&a->where, at->i, width),
                      *q = views ? element(&a->data, at->i, width)
                                 : element(&a->where, at->i + 1, width);
        if (!p || !q)
            return fails(why, SHORT);
        first = number(p, node->width);
        count = number(q, node->width);
        if (!views && __builtin_sub_overflow(count, first, &count))
            return fails(why, SHORT);
    }
    if (first < 0 || count < 0 || (uint64_t)first > items->n ||
        (uint64_t)count > items->n - (uint64_t)first)
        return fails(why, "its offsets do not fit its items");
    *from = (uint64_t)first;
    *n = (uint64_t)count;
    return 0;
}
