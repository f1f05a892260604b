/* packing.c - see packing.h. Rows with room are kept in one list for each amount of free space,
 * with a bitmap over the amounts: the least that fits is found in a few words. */
#include "packing.h"

#include <stdlib.h>
#include <string.h>

#include "order.h"

typedef struct bin {
    uint32_t free;
    /* bin + 1 of the next with the same space; 0 = none. Lists are in order of opening */
    uint32_t next;
    uint32_t first, last; /* chain of its spans: index + 1 into placed */
    uint32_t count;
} bin;

typedef struct placed {
    ds_span s;
    uint32_t next;
} placed;

struct ds_packing {
    ds_packing_conf c;
    ds_mixture *mixture; /* NULL: no dataset has a weight */
    uint32_t epoch;
    uint64_t at;     /* records of the epoch already taken */
    uint64_t window; /* number within the epoch */
    uint64_t row;
    uint64_t tokens; /* of the epoch so far: an epoch without any would never end */
    ds_buf spans;    /* ds_span: pieces of the window */
    placed *items;
    size_t items_cap;
    bin *bins;
    size_t nbins, bins_cap, next_bin;
    uint32_t *head; /* for each amount of free space: bin + 1 */
    uint64_t *bits;
    ds_buf out;
};

/* A dataset that has a weight has a token to give: else it would be asked for ever. */
static int check_mix(const ds_packing_conf *c, ds_err *err)
{
    uint64_t at = 0;

    for (size_t d = 0; d < c->nmix; d++) {
        const uint64_t end = at + c->mix[d].records;
        bool any = false;
        for (; at < end; at++)
            any |= c->lengths[at] != 0;
        if (!any || !c->mix[d].weight)
            return ds_fail(err, DS_FAIL, "dataset number %zu has %s", d,
                           any ? "no weight, others have one" : "a weight, but no token");
    }
    return 0;
}

int ds_packing_new(ds_packing **out, const ds_packing_conf *c, ds_err *err)
{
    ds_packing *p;

    if (c->seq_len < 2 || c->seq_len > (1u << 24) || c->window < 1)
        return ds_fail(err, DS_USAGE, "rows of %u tokens packed from %u records", c->seq_len,
                       c->window);
    if (c->records < 1)
        return ds_fail(err, DS_FAIL, "there are no records to train on");
    if (c->mix && check_mix(c, err))
        return DS_FAIL;
    p = calloc(1, sizeof *p);
    if (!p)
        return ds_fail_nomem(err);
    p->c = *c;
    p->c.mix = NULL;
    if (c->mix && ds_mixture_new(&p->mixture, c->seed, c->mix, c->nmix, err)) {
        ds_packing_free(p);
        return DS_NOMEM;
    }
    p->head = calloc((size_t)c->seq_len + 1, sizeof *p->head);
    p->bits = calloc((size_t)c->seq_len / 64 + 1, sizeof *p->bits);
    if (!p->head || !p->bits) {
        ds_packing_free(p);
        return ds_fail_nomem(err);
    }
    *out = p;
    return 0;
}

void ds_packing_free(ds_packing *p)
{
    if (!p)
        return;
    ds_mixture_free(p->mixture);
    ds_buf_fini(&p->spans);
    ds_buf_fini(&p->out);
    free(p->items);
    free(p->bins);
    free(p->head);
    free(p->bits);
    free(p);
}

/* ---- the pieces of a window ---- */

static int add_piece(ds_packing *p, uint64_t record, uint32_t offset, uint32_t len, ds_err *err)
{
    const ds_span s = {record, offset, len};

    p->tokens += len;
    return ds_buf_put(&p->spans, &s, sizeof s) ? ds_fail_nomem(err) : 0;
}

static int add_record(ds_packing *p, uint64_t record, ds_err *err)
{
    const uint32_t len = p->c.lengths[record], size = p->c.seq_len;
    int rc = 0;

    if (len == 0)
        return 0;
    if (len <= size)
        return add_piece(p, record, 0, len, err);
    if (p->c.longer == DS_LONG_ERROR)
        return ds_fail(
            err, DS_FAIL,
            "record %llu has %u tokens, a row holds %u (--long split or truncate takes it)",
            (unsigned long long)record, len, size);
    if (p->c.longer == DS_LONG_TRUNCATE)
        return add_piece(p, record, 0, size, err);
    for (uint64_t off = 0; !rc && off < len; off += size)
        rc =
            add_piece(p, record, (uint32_t)off, len - off < size ? len - (uint32_t)off : size, err);
    return rc;
}

/* Stable counting sort by falling length into items. */
static int sort_pieces(ds_packing *p, ds_err *err)
{
    const size_t n = p->spans.len / sizeof(ds_span);
    const ds_span *s = (const ds_span *)(const void *)p->spans.data;
    uint32_t *at = calloc((size_t)p->c.seq_len + 2, sizeof *at);

    if (!at)
        return ds_fail_nomem(err);
    if (p->items_cap < n) {
        placed *grown = realloc(p->items, n * sizeof *grown);
        if (!grown) {
            free(at);
            return ds_fail_nomem(err);
        }
        p->items = grown;
        p->items_cap = n;
    }
    for (size_t i = 0; i < n; i++)
        at[p->c.seq_len - s[i].len + 1]++;
    for (uint32_t l = 0; l < p->c.seq_len; l++)
        at[l + 1] += at[l];
    for (size_t i = 0; i < n; i++)
        p->items[at[p->c.seq_len - s[i].len]++] = (placed){.s = s[i]};
    free(at);
    return 0;
}

/* ---- bins ---- */

static void list_put(ds_packing *p, uint32_t b)
{
    const uint32_t space = p->bins[b].free;

    p->bins[b].next = 0;
    if (p->head[space]) {
        /* lists are in order of opening: a bin that comes from another list is put where it belongs
         */
        uint32_t *link = &p->head[space];
        while (*link && *link - 1 < b)
            link = &p->bins[*link - 1].next;
        p->bins[b].next = *link;
        *link = b + 1;
    } else {
        p->head[space] = b + 1;
        p->bits[space / 64] |= (uint64_t)1 << space % 64;
    }
}

static uint32_t list_take(ds_packing *p, uint32_t space)
{
    const uint32_t b = p->head[space] - 1;

    p->head[space] = p->bins[b].next;
    if (!p->head[space])
        p->bits[space / 64] &= ~((uint64_t)1 << space % 64);
    return b;
}

/* The least space >= len that some bin has; 0 = none. */
static uint32_t least_space(const ds_packing *p, uint32_t len)
{
    uint32_t w = len / 64;
    uint64_t word = p->bits[w] & ~(uint64_t)0 << len % 64;

    while (!word) {
        if (++w > p->c.seq_len / 64)
            return 0;
        word = p->bits[w];
    }
    return w * 64 + (uint32_t)__builtin_ctzll(word);
}

static int open_bin(ds_packing *p, uint32_t *b, ds_err *err)
{
    if (ds_grow(&p->bins, &p->bins_cap, p->nbins, sizeof *p->bins))
        return ds_fail_nomem(err);
    *b = (uint32_t)p->nbins++;
    p->bins[*b] = (bin){.free = p->c.seq_len};
    return 0;
}

static int place_all(ds_packing *p, ds_err *err)
{
    const size_t n = p->spans.len / sizeof(ds_span);
    int rc = 0;

    p->nbins = p->next_bin = 0;
    for (size_t i = 0; !rc && i < n; i++) {
        const uint32_t len = p->items[i].s.len, space = least_space(p, len);
        uint32_t b = 0;
        if (space)
            b = list_take(p, space);
        else
            rc = open_bin(p, &b, err);
        if (rc)
            break;
        bin *to = &p->bins[b];
        if (to->last)
            p->items[to->last - 1].next = (uint32_t)i + 1;
        else
            to->first = (uint32_t)i + 1;
        to->last = (uint32_t)i + 1;
        to->count++;
        to->free -= len;
        if (to->free)
            list_put(p, b);
    }
    memset(p->head, 0, ((size_t)p->c.seq_len + 1) * sizeof *p->head);
    memset(p->bits, 0, ((size_t)p->c.seq_len / 64 + 1) * sizeof *p->bits);
    return rc;
}

static int next_record(ds_packing *p, ds_err *err)
{
    const uint64_t before = p->tokens, at = p->at++;
    int rc;

    if (!p->mixture)
        return add_record(p, ds_order_at(p->c.seed, p->epoch, p->c.records, at), err);
    rc = add_record(p, ds_mixture_next(p->mixture), err);
    ds_mixture_took(p->mixture, p->tokens - before);
    return rc;
}

static int next_window(ds_packing *p, ds_err *err)
{
    int rc = 0;

    if (p->at == p->c.records) {
        if (p->tokens == 0 && !p->mixture)
            return ds_fail(err, DS_FAIL, "none of the %llu records has a token",
                           (unsigned long long)p->c.records);
        p->at = p->window = p->tokens = 0;
        p->epoch++;
    }
    ds_buf_reset(&p->spans);
    for (uint32_t i = 0; !rc && i < p->c.window && p->at < p->c.records; i++)
        rc = next_record(p, err);
    p->window++;
    rc = rc ? rc : sort_pieces(p, err);
    return rc ? rc : place_all(p, err);
}

int ds_packing_next(ds_packing *p, uint64_t *row, const ds_span **spans, size_t *n, ds_err *err)
{
    int rc = 0;

    while (!rc && p->next_bin == p->nbins)
        rc = next_window(p, err);
    if (rc)
        return rc;
    const uint64_t seed = p->c.seed ^ UINT64_C(0x9e3779b97f4a7c15) * p->window;
    const bin *b = &p->bins[ds_order_at(seed, p->epoch, p->nbins, p->next_bin++)];
    ds_buf_reset(&p->out);
    for (uint32_t i = b->first; !rc && i; i = p->items[i - 1].next)
        rc = ds_buf_put(&p->out, &p->items[i - 1].s, sizeof(ds_span));
    if (rc)
        return ds_fail_nomem(err);
    *row = p->row++;
    *spans = (const ds_span *)(const void *)p->out.data;
    *n = b->count;
    return 0;
}

uint32_t ds_packing_epoch(const ds_packing *p)
{
    return p->epoch;
}

/* ---- spans in the ledger ---- */

int ds_spans_encode(ds_buf *out, const ds_span *spans, size_t n, const uint64_t *firsts,
                    size_t datasets, ds_err *err)
{
    int rc = ds_buf_varint(out, n);

    for (size_t i = 0; !rc && i < n; i++) {
        size_t d = datasets - 1;
        while (d > 0 && firsts[d] > spans[i].record)
            d--;
        rc = ds_buf_varint(out, d);
        rc = rc ? rc : ds_buf_varint(out, spans[i].record - firsts[d]);
        rc = rc ? rc : ds_buf_varint(out, spans[i].offset);
        rc = rc ? rc : ds_buf_varint(out, spans[i].len);
    }
    return rc ? ds_fail_nomem(err) : 0;
}

int ds_spans_decode(ds_buf *out, const void *p, size_t len, const uint64_t *firsts, size_t datasets,
                    ds_err *err)
{
    size_t pos = 0;
    uint64_t n;

    if (!ds_varint_get(p, len, &pos, &n) || n > len)
        return ds_fail(err, DS_CORRUPT,
                       "ledger row: %zu bytes of pieces do not begin with their number", len);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t d, record, offset, size;
        if (!ds_varint_get(p, len, &pos, &d) || !ds_varint_get(p, len, &pos, &record) ||
            !ds_varint_get(p, len, &pos, &offset) || !ds_varint_get(p, len, &pos, &size) ||
            d >= datasets || offset > UINT32_MAX || size > UINT32_MAX ||
            record > UINT64_MAX - firsts[d])
            return ds_fail(err, DS_CORRUPT, "ledger row: piece %llu is not well formed",
                           (unsigned long long)i);
        const ds_span s = {firsts[d] + record, (uint32_t)offset, (uint32_t)size};
        if (ds_buf_put(out, &s, sizeof s))
            return ds_fail_nomem(err);
    }
    return pos == len
               ? 0
               : ds_fail(err, DS_CORRUPT, "ledger row: %zu bytes after its last piece", len - pos);
}
