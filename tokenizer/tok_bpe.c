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
enum { CHAR_UNKNOWN, CHAR_MANY, CHAR_ID }; /* of ds_tok_state.char_id; from CHAR_ID on: an id */
#define RUN_MAX ((size_t)1 << 31)          /* positions are 32 bits */

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

/* n <= FEW ids, all merges done in place; returns how many are left. The ranks are those of
 * neighbours. */
static size_t merge_many(const tok_merges *m, uint32_t *ids, uint32_t *rank, size_t n)
{
    while (n > 1) {
        uint32_t best = TOK_NO_MERGE;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            if (rank[i] < best) {
                best = rank[i];
                at = i;
            }
        }
        if (best == TOK_NO_MERGE)
            break;
        ids[at] = m->to[best];
        memmove(ids + at + 1, ids + at + 2, (n - at - 2) * sizeof *ids);
        n--;
        if (at + 1 < n) {
            memmove(rank + at + 1, rank + at + 2, (n - at - 2) * sizeof *rank);
            rank[at] = tok_merges_get(m, ids[at], ids[at + 1]);
        }
        if (at > 0)
            rank[at - 1] = tok_merges_get(m, ids[at - 1], ids[at]);
    }
    return n;
}

#define SMALL 16
/* The same for n <= SMALL: places stay, neighbours are linked, and a number holds rank and place,
 * so that the least of them is the leftmost merge of the lowest rank. */
static size_t merge_few(const tok_merges *m, uint32_t *ids, const uint32_t *rank, size_t n)
{
    uint32_t v[SMALL];
    uint8_t next[SMALL + 1], prev[SMALL + 1];
    for (uint32_t i = 0; i < SMALL; i++) {
        v[i] = i + 1 < n ? rank[i] << 8 | i : UINT32_MAX;
        next[i] = (uint8_t)(i + 1);
        prev[i] = (uint8_t)(i - 1);
    }
    for (;;) {
        uint32_t best = v[0];
        for (size_t i = 1; i + 1 < n; i++)
            best = v[i] < best ? v[i] : best;
        if (best >> 8 == TOK_NO_MERGE)
            break;
        uint32_t i = best & 255, j = next[i], k = next[j];
        ids[i] = m->to[best >> 8];
        ids[j] = UINT32_MAX;
        next[i] = (uint8_t)k;
        prev[k] = (uint8_t)i;
        v[j] = UINT32_MAX;
        v[i] = k < n ? tok_merges_get(m, ids[i], ids[k]) << 8 | i : UINT32_MAX;
        if (i > 0)
            v[prev[i]] = tok_merges_get(m, ids[prev[i]], ids[i]) << 8 | prev[i];
    }
    size_t out = 0;
    for (size_t i = 0; i < n; i = next[i])
        ids[out++] = ids[i];
    return out;
}

static size_t merge_all(const tok_merges *m, uint32_t *ids, uint32_t *rank, size_t n)
{
    if (n < 2)
        return n;
    return n <= SMALL ? merge_few(m, ids, rank, n) : merge_many(m, ids, rank, n);
}

/* Ids of the characters of a pretoken that is not bytes: what the vocabulary lacks falls back to
 * bytes, is unknown, or dropped. */
static uint32_t find_char(ds_tok_state *st, uint32_t c, const uint8_t *p, unsigned n)
{
    uint32_t *known = c <= 0xffff ? &st->char_id[c] : NULL;
    if (known == NULL || *known == CHAR_UNKNOWN) {
        uint32_t id = ds_tok_id(st->tok, (const char *)p, n);
        if (id != DS_TOK_NONE && !(st->tok->entry[id].flags & TOK_MODEL))
            id = DS_TOK_NONE;
        if (known == NULL)
            return id;
        *known = id != DS_TOK_NONE ? id + CHAR_ID : CHAR_MANY;
    }
    return *known == CHAR_MANY ? DS_TOK_NONE : *known - CHAR_ID;
}

static size_t char_ids(ds_tok_state *st, const uint8_t *p, size_t len, uint32_t *ids)
{
    const ds_tok *t = st->tok;
    size_t n = 0;
    bool unknown = false;
    unsigned k;
    for (size_t at = 0; at < len; at += k) {
        uint32_t c = ds_uni_get(p + at, &k), id = find_char(st, c, p + at, k);
        bool was = unknown;
        unknown = false;
        if (id != DS_TOK_NONE) {
            ids[n++] = id;
        } else if (t->byte_fallback) {
            n += first_ids(t, p + at, k, ids + n);
        } else if (t->unk != DS_TOK_NONE) {
            unknown = true;
            if (!was || !t->fuse_unk)
                ids[n++] = t->unk;
        }
    }
    return n;
}

static size_t merge_bytes(const ds_tok *t, const uint8_t *p, size_t len, uint32_t *ids)
{
    uint32_t rank[FEW];
    size_t n = first_ids(t, p, len, ids);
    if (n == len)
        for (size_t i = 0; i + 1 < n; i++)
            rank[i] = t->merges.byte[p[i] << 8 | p[i + 1]];
    else
        for (size_t i = 0; i + 1 < n; i++)
            rank[i] = tok_merges_get(&t->merges, ids[i], ids[i + 1]);
    return merge_all(&t->merges, ids, rank, n);
}

/* The token that the n bytes of a character merge into, DS_TOK_NONE when it is more than one. */
static uint32_t char_token(ds_tok_state *st, uint32_t c, const uint8_t *p, unsigned n)
{
    if (n == 1)
        return st->tok->byte_id[*p];
    if (c > 0xffff)
        return DS_TOK_NONE;
    uint32_t *known = &st->char_id[c];
    if (*known == CHAR_UNKNOWN) {
        uint32_t ids[4];
        *known = merge_bytes(st->tok, p, n, ids) == 1 ? ids[0] + CHAR_ID : CHAR_MANY;
    }
    return *known == CHAR_MANY ? DS_TOK_NONE : *known - CHAR_ID;
}

/* Where no merge joins a part of a character to its neighbour, each character is merged by itself
 * before anything else can be, so that one may begin with characters. Returns 0 where that does not
 * hold. */
static size_t first_chars(ds_tok_state *st, const uint8_t *p, size_t len, uint32_t *ids)
{
    const tok_join *j = st->tok->join;
    size_t n = 0;
    for (size_t at = 0; at < len;) {
        unsigned k;
        uint32_t c = ds_uni_get(p + at, &k);
        if (at > 0 && tok_join_part_may(j, p[at - 1], p[at]))
            return 0;
        uint32_t id = char_token(st, c, p + at, k);
        if (id != DS_TOK_NONE)
            ids[n++] = id;
        else
            n += first_ids(st->tok, p + at, k, ids + n);
        at += k;
    }
    return n;
}

static size_t merge_short(ds_tok_state *st, const uint8_t *p, size_t len, uint32_t *ids)
{
    uint32_t rank[FEW];
    size_t n = 0;
    if (!st->tok->byte_level)
        n = char_ids(st, p, len, ids);
    else if (st->tok->in_parts && (p[0] >= 0x80 || p[len - 1] >= 0x80))
        n = first_chars(st, p, len, ids);
    if (n == 0)
        return st->tok->byte_level ? merge_bytes(st->tok, p, len, ids) : 0;
    for (size_t i = 0; i + 1 < n; i++)
        rank[i] = tok_merges_get(&st->tok->merges, ids[i], ids[i + 1]);
    return merge_all(&st->tok->merges, ids, rank, n);
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
    if (ds_grow(&st->heap, &st->heap_cap, st->heap_n, sizeof *st->heap))
        return ds_fail_nomem(st->err);
    size_t i = st->heap_n++;
    while (i > 0 && st->heap[(i - 1) / 4] > v) {
        st->heap[i] = st->heap[(i - 1) / 4];
        i = (i - 1) / 4;
    }
    st->heap[i] = v;
    return 0;
}

/* Memory for n ids that are to be linked, the first *keep of which stay. */
static int room(ds_tok_state *st, size_t n, size_t keep)
{
    if (n > st->link_cap) {
        uint32_t *v = malloc(n * sizeof *v);
        if (v == NULL)
            return ds_fail_nomem(st->err);
        if (keep > 0)
            memcpy(v, st->link, keep * sizeof *v);
        free(st->link);
        st->link = v;
        st->link_cap = n;
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

/* The least rank of neighbours, and how often it is there. */
static uint32_t least_rank(const tok_merges *m, const uint32_t *id, size_t n, size_t *times)
{
    uint32_t best = TOK_NO_MERGE, rank = TOK_NO_MERGE, a = END, b = END;
    *times = 0;
    for (size_t i = 0; i + 1 < n; i++) {
        if (id[i] != a || id[i + 1] != b)
            rank = tok_merges_get(m, a = id[i], b = id[i + 1]);
        if (rank < best) {
            best = rank;
            *times = 0;
        }
        *times += rank == best;
    }
    return best;
}

/* Merges one pair wherever it stands, from the left; returns the new number of ids. */
static size_t merge_everywhere(const tok_merges *m, uint32_t *id, size_t n, uint32_t rank)
{
    size_t out = 0, i = 0;
    for (; i + 1 < n; out++) {
        bool is = tok_merges_get(m, id[i], id[i + 1]) == rank;
        id[out] = is ? m->to[rank] : id[i];
        i += is ? 2 : 1;
    }
    if (i < n)
        id[out++] = id[i];
    return out;
}

/* While the first merge in order is nearly everywhere, as in one character said a million times, it
 * is made everywhere at once. That is in order as long as no merge of its result comes before it.
 */
static size_t merge_repeats(const tok_merges *m, uint32_t *id, size_t n)
{
    size_t times;
    while (n >= 4096) {
        uint32_t rank = least_rank(m, id, n, &times);
        if (rank == TOK_NO_MERGE || times < n / 16 ||
            ds_tok_merges_first_use(m, m->to[rank]) < rank)
            break;
        n = merge_everywhere(m, id, n, rank);
    }
    return n;
}

static int merge_heap(ds_tok_state *st, uint32_t *id, size_t n)
{
    const tok_merges *m = &st->tok->merges;
    uint32_t *next = id + n, *prev = next + n;
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        next[i] = i + 1 < n ? (uint32_t)(i + 1) : END;
        prev[i] = i > 0 ? (uint32_t)(i - 1) : END;
        uint32_t v = i + 1 < n ? tok_merges_get(m, id[i], id[i + 1]) : TOK_NO_MERGE;
        if (v != TOK_NO_MERGE)
            rc = heap_push(st, (uint64_t)v << 32 | i);
    }
    while (st->heap_n > 0 && rc == 0) {
        uint64_t top = st->heap[0];
        st->heap[0] = st->heap[--st->heap_n];
        if (st->heap_n > 0)
            sift_down(st->heap, st->heap_n, 0);
        uint32_t at = (uint32_t)top, right = id[at] == DS_TOK_NONE ? END : next[at];
        if (right == END)
            continue;
        uint32_t v = tok_merges_get(m, id[at], id[right]);
        if (v == TOK_NO_MERGE || v != top >> 32)
            continue;
        id[at] = m->to[v];
        id[right] = DS_TOK_NONE;
        next[at] = next[right];
        if (next[at] != END) {
            prev[next[at]] = at;
            v = tok_merges_get(m, id[at], id[next[at]]);
            if (v != TOK_NO_MERGE)
                rc = heap_push(st, (uint64_t)v << 32 | at);
        }
        if (prev[at] != END && rc == 0) {
            v = tok_merges_get(m, id[prev[at]], id[at]);
            if (v != TOK_NO_MERGE)
                rc = heap_push(st, (uint64_t)v << 32 | prev[at]);
        }
    }
    for (size_t i = 0; i < n && i != END && rc == 0; i = next[i])
        rc = ds_tok_emit(st, id[i]);
    return rc;
}

static int merge_long(ds_tok_state *st, const uint8_t *p, size_t len)
{
    const ds_tok *t = st->tok;
    if (len >= RUN_MAX)
        return ds_fail(st->err, DS_FAIL, "a run of %zu bytes without any word boundary is too long",
                       len);
    int rc = room(st, len, 0);
    if (rc != 0)
        return rc;
    size_t n = t->byte_level ? first_ids(t, p, len, st->link) : char_ids(st, p, len, st->link);
    n = merge_repeats(&t->merges, st->link, n);
    rc = room(st, n * 3, n);
    if (rc == 0)
        rc = merge_heap(st, st->link, n);
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
        n = merge_short(st, p, len, ids);
        if (n <= TOK_VALUE)
            ds_tok_short_put(c, key, ids, n);
        return n;
    }
    const uint32_t *found = ds_tok_long_find(c, p, len, &n);
    if (found != NULL) {
        memcpy(ids, found, n * sizeof *ids);
        return n;
    }
    n = merge_short(st, p, len, ids);
    ds_tok_long_put(c, p, len, ids, n);
    return n;
}

/* Where the first part ends, beyond which nothing merges. ASCII has no such places worth finding.
 */
static size_t first_part(const ds_tok *t, const uint8_t *p, size_t len)
{
    return t->in_parts && (!t->byte_level || p[0] >= 0x80 || p[len - 1] >= 0x80)
               ? tok_join_part(t->join, p, len)
               : len;
}

#define BATCH 64
/* Ends of the first parts of (p, len), as many as 64 characters have; returns their number. None,
 * when there is no end among those. The tests are made without branches: whether two characters
 * join is as good as random. */
static size_t part_ends(const tok_join *j, const uint8_t *p, size_t len, uint16_t end[BATCH])
{
    uint64_t cut = 0;
    uint16_t to[BATCH];
    unsigned n;
    uint32_t c = ds_uni_get(p, &n);
    size_t at = n, k = 0, parts = 0;
    for (; k < BATCH && at < len; k++) {
        uint32_t d = ds_uni_get(p + at, &n);
        to[k] = (uint16_t)at;
        cut |= (uint64_t)!tok_join_may(j, c, p[at - 1], d, p[at]) << k;
        c = d;
        at += n;
    }
    if (at >= len && k < BATCH) {
        to[k] = (uint16_t)len;
        cut |= (uint64_t)1 << k;
    }
    for (; cut != 0; cut &= cut - 1)
        end[parts++] = to[__builtin_ctzll(cut)];
    return parts;
}

/* Parts that are in the cache, as most are, in one go: lines are asked for before they are used. */
static int known_parts(ds_tok_state *st, const uint8_t *p, const uint16_t *end, size_t n)
{
    struct {
        uint64_t key[2];
        size_t slot;
    } w[BATCH];
    const tok_cache *c = st->of_parts;
    uint32_t ids[FEW];
    unsigned bits = c->bits;
    int rc = 0;
    for (size_t i = 0, at = 0; i < n; at = end[i++]) {
        size_t len = end[i] - at;
        if (len > TOK_KEY)
            continue;
        if (at + 16 <= end[n - 1])
            tok_key_load(w[i].key, p + at, len);
        else
            key_copy(w[i].key, p + at, len);
        w[i].slot = tok_key_slot(c, w[i].key);
        __builtin_prefetch(c->entry + w[i].slot);
    }
    if (st->out_n > TOK_OUT - BATCH * TOK_VALUE)
        rc = ds_tok_flush(st);
    for (size_t i = 0, at = 0; i < n && rc == 0; at = end[i++]) {
        size_t len = end[i] - at;
        const tok_short *e = NULL;
        if (len <= TOK_KEY && bits == c->bits)
            e = tok_short_find(c, w[i].key, w[i].slot);
        if (e != NULL) { /* four ids are written whatever there are */
            memcpy(st->out + st->out_n, e->ids, sizeof e->ids);
            st->out_n += tok_short_n(e);
        } else if (len <= FEW) {
            rc = emit_all(st, ids, part_ids(st, p + at, len, ids));
        } else {
            rc = merge_long(st, p + at, len);
        }
    }
    return rc;
}

/* A pretoken that is too long for the short cache. */
static int by_parts(ds_tok_state *st, const uint8_t *p, size_t len)
{
    uint32_t ids[FEW];
    uint16_t end[BATCH];
    int rc = 0;
    while (len > 0 && rc == 0) {
        const ds_tok *t = st->tok;
        bool wide = t->in_parts && (!t->byte_level || p[0] >= 0x80 || p[len - 1] >= 0x80);
        size_t part, n = wide ? part_ends(st->tok->join, p, len, end) : 0;
        if (n > 0) {
            part = end[n - 1];
            rc = known_parts(st, p, end, n);
        } else {
            part = first_part(st->tok, p, len);
            if (part <= FEW)
                rc = emit_all(st, ids, part_ids(st, p, part, ids));
            else
                rc = merge_long(st, p, part);
        }
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
    if (st->word != NULL)
        return st->word(st->word_ctx, p, len, st->err);
    if (len <= TOK_KEY) {
        uint64_t key[2];
        key_copy(key, p, len);
        const tok_short *e = tok_short_find(&st->cache, key, tok_key_slot(&st->cache, key));
        if (e != NULL)
            return emit_all(st, e->ids, tok_short_n(e));
    }
    return ds_tok_pretoken_new(st, p, len);
}
