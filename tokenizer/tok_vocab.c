/* tok_vocab.c - the byte alphabet, the tables of tokens and merges. */
#include "tok_priv.h"

#include <stdlib.h>
#include <string.h>

/* Bytes that print stand for themselves, the other 68 for U+0100 onwards, in order. */
static bool byte_prints(unsigned b)
{
    return (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
}

uint32_t ds_tok_byte_cp(uint8_t b)
{
    if (byte_prints(b))
        return b;
    uint32_t n = 0;
    for (unsigned i = 0; i < b; i++)
        n += !byte_prints(i);
    return 0x100 + n;
}

int ds_tok_cp_byte(uint32_t cp)
{
    if (cp < 0x100)
        return byte_prints(cp) ? (int)cp : -1;
    if (cp >= 0x100 + 68)
        return -1;
    uint32_t n = cp - 0x100;
    for (int b = 0; b < 256; b++) {
        if (byte_prints((unsigned)b))
            continue;
        if (n-- == 0)
            return b;
    }
    return -1;
}

uint64_t ds_tok_hash(const void *p, size_t n)
{
    return ds_xxh64(p, n);
}

int ds_tok_index_init(tok_index *ix, size_t n, ds_err *err)
{
    size_t cap = 16;
    while (cap < n * 2)
        cap *= 2;
    ix->slot = malloc(cap * sizeof *ix->slot);
    if (ix->slot == NULL)
        return ds_fail_nomem(err);
    memset(ix->slot, 0xff, cap * sizeof *ix->slot);
    ix->mask = cap - 1;
    ix->n = 0;
    return 0;
}

static const uint8_t *key_of(const ds_tok *t, uint32_t id, bool bytes, size_t *len)
{
    const tok_entry *e = &t->entry[id];
    *len = bytes ? e->bytes_len : e->text_len;
    return t->pool.data + (bytes ? e->bytes_at : e->text_at);
}

uint32_t ds_tok_index_put(const ds_tok *t, tok_index *ix, uint32_t id, uint64_t hash, bool bytes)
{
    size_t i = (size_t)hash & ix->mask, len, other;
    const uint8_t *p = key_of(t, id, bytes, &len);
    for (; ix->slot[i] != TOK_EMPTY; i = (i + 1) & ix->mask) {
        if (ix->slot[i] >> 32 != hash >> 32)
            continue;
        const uint8_t *q = key_of(t, (uint32_t)ix->slot[i], bytes, &other);
        if (other == len && memcmp(p, q, len) == 0)
            return (uint32_t)ix->slot[i];
    }
    ix->slot[i] = (hash & ~(uint64_t)UINT32_MAX) | id;
    ix->n++;
    return DS_TOK_NONE;
}

static int index_grow(const ds_tok *t, tok_index *ix, bool bytes, ds_err *err)
{
    tok_index more = {0};
    int rc = ds_tok_index_init(&more, ix->n + 1, err);
    for (size_t i = 0; i <= ix->mask && rc == 0; i++) {
        size_t len;
        if (ix->slot[i] == TOK_EMPTY)
            continue;
        const uint8_t *p = key_of(t, (uint32_t)ix->slot[i], bytes, &len);
        ds_tok_index_put(t, &more, (uint32_t)ix->slot[i], ds_tok_hash(p, len), bytes);
    }
    if (rc == 0) {
        free(ix->slot);
        *ix = more;
    }
    return rc;
}

int ds_tok_index_add(const ds_tok *t, tok_index *ix, uint32_t id, bool bytes, ds_err *err)
{
    size_t len;
    const uint8_t *p = key_of(t, id, bytes, &len);
    int rc = (ix->n + 1) * 2 > ix->mask + 1 ? index_grow(t, ix, bytes, err) : 0;
    if (rc == 0)
        ds_tok_index_put(t, ix, id, ds_tok_hash(p, len), bytes);
    return rc;
}

static uint32_t index_get(const ds_tok *t, const tok_index *ix, const void *p, size_t len,
                          bool bytes)
{
    uint64_t hash = ds_tok_hash(p, len);
    size_t other;
    for (size_t i = (size_t)hash & ix->mask; ix->slot[i] != TOK_EMPTY; i = (i + 1) & ix->mask) {
        if (ix->slot[i] >> 32 != hash >> 32)
            continue;
        const uint8_t *q = key_of(t, (uint32_t)ix->slot[i], bytes, &other);
        if (other == len && memcmp(q, p, len) == 0)
            return (uint32_t)ix->slot[i];
    }
    return DS_TOK_NONE;
}

uint32_t ds_tok_id(const ds_tok *t, const char *text, size_t len)
{
    return index_get(t, &t->by_text, text, len, false);
}
uint32_t ds_tok_by_bytes(const ds_tok *t, const uint8_t *p, size_t len)
{
    return index_get(t, &t->by_bytes, p, len, true);
}

int ds_tok_set_size(ds_tok *t, uint32_t n, ds_err *err)
{
    if (n <= t->n_entries)
        return 0;
    tok_entry *e = realloc(t->entry, n * sizeof *e);
    if (e == NULL)
        return ds_fail_nomem(err);
    memset(e + t->n_entries, 0, (n - t->n_entries) * sizeof *e);
    t->entry = e;
    t->n_entries = n;
    return 0;
}

void ds_tok_entry_fill(ds_tok *t, uint32_t id, size_t at, size_t len)
{
    const uint8_t *p = t->pool.data + at, *end = p + len;
    tok_entry *e = &t->entry[id];
    *e = (tok_entry){.text_at = (uint32_t)at,
                     .text_len = (uint32_t)len,
                     .bytes_at = (uint32_t)at,
                     .bytes_len = (uint32_t)len,
                     .flags = TOK_EXISTS};
    while (p<end && * p> 0x20 && *p < 0x7f)
        p++;
    uint8_t *to = t->pool.data + t->pool.len;
    size_t n = (size_t)(p - (t->pool.data + at));
    memcpy(to, t->pool.data + at, n);
    to += n;
    for (unsigned k; p < end; p += k) {
        uint32_t cp = ds_uni_get(p, &k);
        int b = cp < TOK_ALPHABET ? t->alphabet[cp] : -1;
        if (b < 0)
            break;
        *to++ = (uint8_t)b;
    }
    size_t bytes = (size_t)(to - (t->pool.data + t->pool.len));
    if (p == end) {
        e->flags |= TOK_BYTES;
        if (bytes != len) { /* else they are the text */
            e->bytes_at = (uint32_t)t->pool.len;
            e->bytes_len = (uint32_t)bytes;
            t->pool.len += bytes;
        }
    }
    if (e->bytes_len > t->longest)
        t->longest = e->bytes_len;
}

int ds_tok_add_entry(ds_tok *t, uint32_t id, const char *text, size_t len, ds_err *err)
{
    size_t at = t->pool.len;
    if (len > UINT32_MAX / 4 || at > UINT32_MAX / 4 || ds_buf_reserve(&t->pool, 2 * len + 1) != 0)
        return ds_fail_nomem(err);
    memcpy(t->pool.data + at, text, len);
    t->pool.data[at + len] = 0;
    t->pool.len += len + 1;
    ds_tok_entry_fill(t, id, at, len);
    t->n_tokens++;
    return 0;
}

int ds_tok_respell(ds_tok *t, uint32_t id, const uint8_t *p, size_t len, ds_err *err)
{
    tok_entry *e = &t->entry[id], was = *e;
    size_t at = t->pool.len;
    if (was.text_len == len && memcmp(t->pool.data + was.text_at, p, len) == 0)
        return 0;
    if (len > UINT32_MAX / 4 || at > UINT32_MAX / 4 || ds_buf_reserve(&t->pool, 2 * len) != 0)
        return ds_fail_nomem(err);
    memcpy(t->pool.data + at, p, len);
    t->pool.len += len;
    ds_tok_entry_fill(t, id, at, len);
    if (!t->byte_level) {
        e->bytes_at = (uint32_t)at;
        e->bytes_len = (uint32_t)len;
    }
    e->text_at = was.text_at;
    e->text_len = was.text_len;
    e->flags = was.flags | TOK_RESPELLED;
    return 0;
}

bool ds_tok_add_merge(ds_tok *t, uint32_t a, uint32_t b, uint32_t id)
{
    const tok_entry *x = &t->entry[a], *y = &t->entry[b];
    const uint8_t *p = t->pool.data + x->bytes_at, *q = t->pool.data + y->bytes_at;
    ds_tok_join_add(t->join, p, x->bytes_len, q, y->bytes_len);
    if (x->bytes_len == 1 && y->bytes_len == 1 && (x->flags & y->flags & TOK_BYTES))
        t->merges.byte[*p << 8 | *q] = t->merges.n;
    return ds_tok_merges_push(&t->merges, a, b, id);
}

void ds_tok_join_texts(ds_tok *t)
{
    memset(t->join, 0, sizeof *t->join);
    for (size_t i = 0; i <= t->merges.mask; i++) {
        uint64_t s = t->merges.slot[i];
        if (s == UINT64_MAX)
            continue;
        const tok_entry *x = &t->entry[s >> 44], *y = &t->entry[s >> 24 & TOK_ID_MAX];
        ds_tok_join_add(t->join, t->pool.data + x->text_at, x->text_len, t->pool.data + y->text_at,
                        y->text_len);
    }
}
