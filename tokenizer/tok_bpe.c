/* tok_bpe.c - one pretoken to ids: look-up in the cache, else merge.
 *
 * Always the pair of lowest rank is merged, of equal ones the leftmost. Short pretokens search for
 * it; long ones keep the candidates in a heap of (rank, position), where an entry is stale when the
 * pair at its position has another rank by now (ranks belong to one pair each, so nothing else
 * needs to be compared): O(n log n).
 */
#include "tok_priv.h"

#include <stdlib.h>
#include <string.h>

#define FEW 96
#define RUN_MAX ((size_t)1 << 31) /* positions are 32 bits */

/* Ids of single bytes; bytes that the vocabulary lacks are dropped, as the reference does. */
static size_t first_ids(const ds_tok *t, const uint8_t *p, size_t len, uint32_t *ids)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        uint32_t id = t->byte_id[p[i]];
        if (id != DS_TOK_NONE)
            ids[n++] = id;
    }
    return n;
}

static size_t merge_short(const ds_tok *t, const uint8_t *p, size_t len, uint32_t *ids)
{
    uint64_t val[FEW];
    size_t n = first_ids(t, p, len, ids);
    if (n < 2)
        return n;
    if (n == len)
        for (size_t i = 0; i + 1 < n; i++)
            val[i] = t->byte_pair[p[i] << 8 | p[i + 1]];
    else
        for (size_t i = 0; i + 1 < n; i++)
            val[i] = ds_tok_merge_get(t, ids[i], ids[i + 1]);
    while (n > 1) {
        uint64_t best = TOK_NO_MERGE;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            if (val[i] < best) {
                best = val[i];
                at = i;
            }
        }
        if (best == TOK_NO_MERGE)
            break;
        ids[at] = (uint32_t)best;
        memmove(ids + at + 1, ids + at + 2, (n - at - 2) * sizeof *ids);
        n--;
        if (at + 1 < n) {
            memmove(val + at + 1, val + at + 2, (n - at - 2) * sizeof *val);
            val[at] = ds_tok_merge_get(t, ids[at], ids[at + 1]);
        }
        if (at > 0)
            val[at - 1] = ds_tok_merge_get(t, ids[at - 1], ids[at]);
    }
    return n;
}

static void sift_down(uint64_t *h, size_t n, size_t i)
{
    uint64_t v = h[i];
    for (size_t c; (c = 4 * i + 1) < n; i = c) {
        size_t best = c, end = c + 4 < n ? c + 4 : n;
        for (size_t k = c + 1; k < end; k++)
            if (h[k] < h[best])
                best = k;
        if (h[best] >= v)
            break;
        h[i] = h[best];
        c = best;
    }
    h[i] = v;
}

static int heap_push(ds_tok_state *st, uint64_t v)
{
    if (st->heap_n == st->heap_cap) {
        size_t cap = st->heap_cap ? st->heap_cap + st->heap_cap / 2 : 1024, bytes;
        uint64_t *h = ds_mul_size(cap, sizeof *h, &bytes) ? realloc(st->heap, bytes) : NULL;
        if (h == NULL)
            return ds_fail_nomem(st->err);
        st->heap = h;
        st->heap_cap = cap;
    }
    size_t i = st->heap_n++;
    while (i > 0 && st->heap[(i - 1) / 4] > v) {
        st->heap[i] = st->heap[(i - 1) / 4];
        i = (i - 1) / 4;
    }
    st->heap[i] = v;
    return 0;
}

static int room(ds_tok_state *st, size_t len)
{
    if (len >= RUN_MAX)
        return ds_fail(st->err, DS_FAIL, "a run of %zu bytes without any word boundary is too long",
                       len);
    if (len * 3 > st->link_cap) {
        free(st->link);
        st->link_cap = 0;
        st->link = malloc(len * 3 * sizeof *st->link);
        if (st->link == NULL)
            return ds_fail_nomem(st->err);
        st->link_cap = len * 3;
    }
    if (len > st->heap_cap) {
        free(st->heap);
        st->heap_cap = 0;
        st->heap = malloc(len * sizeof *st->heap);
        if (st->heap == NULL)
            return ds_fail_nomem(st->err);
        st->heap_cap = len;
    }
    st->heap_n = 0;
    return 0;
}

/* The links of a long pretoken are given back so that one huge run does not stay with the thread.
 */
static void give_back(ds_tok_state *st)
{
    if (st->link_cap > 3 << 20) {
        free(st->link);
        st->link = NULL;
        st->link_cap = 0;
    }
    if (st->heap_cap > 1 << 20) {
        free(st->heap);
        st->heap = NULL;
        st->heap_cap = 0;
    }
}

#define END UINT32_MAX

static int merge_long(ds_tok_state *st, const uint8_t *p, size_t len)
{
    const ds_tok *t = st->tok;
    int rc = room(st, len);
    if (rc != 0)
        return rc;
    uint32_t *id = st->link, *next = id + len, *prev = next + len;
    size_t n = first_ids(t, p, len, id);
    for (size_t i = 0; i < n; i++) {
        next[i] = i + 1 < n ? (uint32_t)(i + 1) : END;
        prev[i] = i > 0 ? (uint32_t)(i - 1) : END;
        uint64_t v = i + 1 < n ? ds_tok_merge_get(t, id[i], id[i + 1]) : TOK_NO_MERGE;
        if (v != TOK_NO_MERGE)
            st->heap[st->heap_n++] = (v & ~(uint64_t)UINT32_MAX) | i;
    }
    for (size_t i = st->heap_n / 4 + 1; i-- > 0;)
        if (i < st->heap_n)
            sift_down(st->heap, st->heap_n, i);
    while (st->heap_n > 0 && rc == 0) {
        uint64_t top = st->heap[0];
        st->heap[0] = st->heap[--st->heap_n];
        if (st->heap_n > 0)
            sift_down(st->heap, st->heap_n, 0);
        uint32_t at = (uint32_t)top, right = id[at] == DS_TOK_NONE ? END : next[at];
        if (right == END)
            continue;
        uint64_t v = ds_tok_merge_get(t, id[at], id[right]);
        if (v == TOK_NO_MERGE || v >> 32 != top >> 32)
            continue;
        id[at] = (uint32_t)v;
        id[right] = DS_TOK_NONE;
        next[at] = next[right];
        if (next[at] != END) {
            prev[next[at]] = at;
            v = ds_tok_merge_get(t, id[at], id[next[at]]);
            if (v != TOK_NO_MERGE)
                rc = heap_push(st, (v & ~(uint64_t)UINT32_MAX) | at);
        }
        if (prev[at] != END && rc == 0) {
            v = ds_tok_merge_get(t, id[prev[at]], id[at]);
            if (v != TOK_NO_MERGE)
                rc = heap_push(st, (v & ~(uint64_t)UINT32_MAX) | prev[at]);
        }
    }
    for (size_t i = 0; i < n && i != END && rc == 0; i = next[i])
        rc = ds_tok_emit(st, id[i]);
    give_back(st);
    return rc;
}

static int emit_all(ds_tok_state *st, const uint32_t *ids, size_t n)
{
    if (st->out_n + n <= TOK_OUT) {
        memcpy(st->out + st->out_n, ids, n * sizeof *ids);
        st->out_n += n;
        return 0;
    }
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = ds_tok_emit(st, ids[i]);
    return rc;
}

static inline tok_cached *cache_slot(ds_tok_state *st, const uint8_t key[32], size_t len)
{
    uint64_t w[4];
    memcpy(w, key, 32);
    uint64_t h = (w[0] ^ (uint64_t)len << 56) * 0x9e3779b97f4a7c15u;
    h = (h ^ h >> 32 ^ w[1]) * 0xc2b2ae3d27d4eb4fu;
    h = (h ^ h >> 29 ^ w[2] ^ w[3] * 0x165667b19e3779f9u) * 0x9e3779b97f4a7c15u;
    return &st->cache[h >> (64 - TOK_CACHE_BITS)];
}

int ds_tok_pretoken(ds_tok_state *st, const uint8_t *p, size_t len)
{
    const ds_tok *t = st->tok;
    if (len == 1 && t->byte_id[*p] != DS_TOK_NONE)
        return ds_tok_emit(st, t->byte_id[*p]);
    tok_cached *slot = NULL;
    uint8_t key[32] = {0};
    if (len <= TOK_KEY) {
        memcpy(key, p, len);
        slot = cache_slot(st, key, len);
        if (slot->len == len && memcmp(slot->key, key, TOK_KEY) == 0)
            return emit_all(st, slot->ids, slot->n);
    }
    uint32_t ids[FEW];
    size_t n = 0;
    uint32_t whole = t->ignore_merges ? ds_tok_by_bytes(t, p, len) : DS_TOK_NONE;
    if (whole != DS_TOK_NONE)
        ids[n++] = whole;
    else if (len <= FEW)
        n = merge_short(t, p, len, ids);
    else
        return merge_long(st, p, len);
    if (slot != NULL && n <= TOK_VALUE) {
        slot->len = (uint8_t)len;
        slot->n = (uint8_t)n;
        memcpy(slot->key, key, TOK_KEY);
        memcpy(slot->ids, ids, n * sizeof *ids);
    }
    return emit_all(st, ids, n);
}
