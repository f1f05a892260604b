/* tok_bpe.c - one pretoken to ids: look-up in the cache, else merge.
 *
 * Always the pair of lowest rank is merged, of equal ones the leftmost. Short pretokens search for
 * it; long ones keep the candidates in a heap of (rank, position), where an entry is stale when the
 * pair at its position has another rank by now (ranks belong to one pair each, so nothing else
 * needs to be compared): O(n log n). Before that, a pretoken is cut where nothing can merge
 * (tok_join.h).
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

/* 16 bytes from p on, of which len can be read. */
static void key_copy(uint64_t key[2], const uint8_t *p, size_t len)
{
    uint8_t b[16] = {0};
    memcpy(b, p, len);
    tok_key_load(key, b, len);
}

/* Ids of a part that merges have to themselves, len <= FEW; from the cache when it is there. */
static size_t part_ids(ds_tok_state *st, const uint8_t *p, size_t len, uint32_t *ids)
{
    tok_cache *c = st->of_parts;
    size_t n;
    if (len <= TOK_KEY) {
        uint64_t key[2];
        key_copy(key, p, len);
        const tok_short *e = tok_short_find(c, key, tok_key_slot(c, key));
        if (e != NULL) {
            n = tok_short_n(e);
            memcpy(ids, e->ids, n * sizeof *ids);
            return n;
        }
        n = merge_short(st->tok, p, len, ids);
        if (n <= TOK_VALUE)
            ds_tok_short_put(c, key, ids, n);
        return n;
    }
    const uint32_t *found = ds_tok_long_find(c, p, len, &n);
    if (found != NULL) {
        memcpy(ids, found, n * sizeof *ids);
        return n;
    }
    n = merge_short(st->tok, p, len, ids);
    ds_tok_long_put(c, p, len, ids, n);
    return n;
}

/* Where the first part ends, beyond which nothing merges. ASCII has no such places worth finding. */
static size_t first_part(const ds_tok *t, const uint8_t *p, size_t len)
{
    return p[0] >= 0x80 || p[len - 1] >= 0x80 ? tok_join_part(t->join, p, len) : len;
}

/* A pretoken that is too long for the short cache or, being long, not worth keeping whole. */
static int by_parts(ds_tok_state *st, const uint8_t *p, size_t len)
{
    uint32_t ids[FEW];
    int rc = 0;
    while (len > 0 && rc == 0) {
        size_t part = first_part(st->tok, p, len);
        if (part <= FEW)
            rc = emit_all(st, ids, part_ids(st, p, part, ids));
        else
            rc = merge_long(st, p, part);
        p += part;
        len -= part;
    }
    return rc;
}

int ds_tok_pretoken_new(ds_tok_state *st, const uint8_t *p, size_t len)
{
    const ds_tok *t = st->tok;
    uint32_t ids[FEW], whole = DS_TOK_NONE;
    if (t->ignore_merges && len <= t->longest)
        whole = ds_tok_by_bytes(t, p, len);
    if (len > TOK_KEY)
        return whole != DS_TOK_NONE ? ds_tok_emit(st, whole) : by_parts(st, p, len);
    size_t n = 0;
    if (whole != DS_TOK_NONE)
        ids[n++] = whole;
    for (size_t at = 0; at < len && whole == DS_TOK_NONE;) {
        size_t part = first_part(t, p + at, len - at);
        if (part == len && !t->ignore_merges)
            return emit_all(st, ids, part_ids(st, p, len, ids));
        n += part_ids(st, p + at, part, ids + n);
        at += part;
    }
    if (n <= TOK_VALUE) {
        uint64_t key[2];
        key_copy(key, p, len);
        ds_tok_short_put(&st->cache, key, ids, n);
    }
    return emit_all(st, ids, n);
}

int ds_tok_pretoken(ds_tok_state *st, const uint8_t *p, size_t len)
{
    if (len <= TOK_KEY) {
        uint64_t key[2];
        key_copy(key, p, len);
        const tok_short *e = tok_short_find(&st->cache, key, tok_key_slot(&st->cache, key));
        if (e != NULL)
            return emit_all(st, e->ids, tok_short_n(e));
    }
    return ds_tok_pretoken_new(st, p, len);
}
