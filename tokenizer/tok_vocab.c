/* tok_vocab.c - the byte alphabet, the tables of tokens and merges. */
#include "tok_priv.h"
#include "tok_table.h"

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

uint32_t ds_tok_hash_long(const void *p, size_t n)
{
    return (uint32_t)(ds_xxh64(p, n) >> 32);
}

int ds_tok_index_init(tok_index *ix, size_t n, ds_err *err)
{
    unsigned bits = 4;
    while (((size_t)1 << bits) < n * 2)
        bits++;
    const size_t cap = (size_t)1 << bits;
    ix->slot = ds_tok_table(cap * sizeof *ix->slot);
    if (ix->slot == NULL)
        return ds_fail_nomem(err);
    memset(ix->slot, 0xff, cap * sizeof *ix->slot);
    ix->mask = cap - 1;
    ix->shift = 32 - bits; /* there are fewer than 2^20 tokens */
    ix->n = 0;
    return 0;
}

static const uint8_t *key_of(const ds_tok *t, uint32_t id, bool bytes, size_t *len)
{
    const tok_entry *e = &t->entry[id];
    *len = bytes ? e->bytes_len : e->text_len;
    return t->pool.data + (bytes ? e->bytes_at : e->text_at);
}

uint32_t ds_tok_index_put(const ds_tok *t, tok_index *ix, uint32_t id, uint32_t hash, bool bytes)
{
    size_t i = ds_tok_index_first(ix, hash), len, other;
    const uint8_t *p = key_of(t, id, bytes, &len);
    for (; ix->slot[i] != TOK_EMPTY; i = (i + 1) & ix->mask) {
        if (ix->slot[i] >> 32 != hash)
            continue;
        const uint8_t *q = key_of(t, (uint32_t)ix->slot[i], bytes, &other);
        if (other == len && ds_tok_same(p, q, len))
            return (uint32_t)ix->slot[i];
    }
    ix->slot[i] = (uint64_t)hash << 32 | id;
    ix->n++;
    return DS_TOK_NONE;
}

static int index_grow(const ds_tok *t, tok_index *ix, bool bytes, ds_err *err)
{
    tok_index more = {0};
    int rc = ds_tok_index_init(&more, ix->n + 1, err);
    for (size_t i = 0; i <= ix->mask && rc == 0; i++) {
        if (ix->slot[i] == TOK_EMPTY)
            continue;
        ds_tok_index_put(t, &more, (uint32_t)ix->slot[i], (uint32_t)(ix->slot[i] >> 32), bytes);
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
    const uint32_t hash = ds_tok_hash(p, len);
    size_t other;
    for (size_t i = ds_tok_index_first(ix, hash); ix->slot[i] != TOK_EMPTY;
         i = (i + 1) & ix->mask) {
        if (ix->slot[i] >> 32 != hash)
            continue;
        const uint8_t *q = key_of(t, (uint32_t)ix->slot[i], bytes, &other);
        if (other == len && ds_tok_same(q, p, len))
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

/* The bytes that a text stands for in the byte alphabet; false when it is spelled otherwise. */
static bool bytes_of(const ds_tok *t, const uint8_t *p, size_t len, uint8_t *to, size_t *n)
{
    const uint8_t *end = p + len, *from = to;
    while (p < end) {
        const bool two = *p >= 0xc2 && *p < 0xc6;
        int b = *p < 0x80 ? t->alphabet[*p]
                : two     ? t->alphabet[(*p & 0x1f) << 6 | (p[1] & 0x3f)]
                          : -1;
        if (b < 0)
            return false;
        *to++ = (uint8_t)b;
        p += 1 + two;
    }
    *n = (size_t)(to - from);
    return true;
}

void ds_tok_entry_fill(ds_tok *t, uint32_t id, size_t at, size_t len, enum tok_spelling how)
{
    const uint8_t *p = t->pool.data + at;
    uint8_t *to = t->pool.data + t->pool.len;
    size_t n = len;
    bool known = true;
    if (how == TOK_SPACE_ASCII) {
        *to = ' ';
        n = len - 1;
        memcpy(to + 1, p + 2, n - 1);
    } else if (how == TOK_ANYHOW) {
        known = bytes_of(t, p, len, to, &n);
    }
    const bool apart = known && n != len; /* else the bytes are the text */
    t->entry[id] = (tok_entry){.text_at = (uint32_t)at,
                               .text_len = (uint32_t)len,
                               .bytes_at = (uint32_t)(apart ? t->pool.len : at),
                               .bytes_len = (uint32_t)(apart ? n : len),
                               .flags = TOK_EXISTS | (known ? TOK_BYTES : 0)};
    if (apart)
        t->pool.len += n;
    if (t->entry[id].bytes_len > t->longest)
        t->longest = t->entry[id].bytes_len;
}

int ds_tok_add_entry(ds_tok *t, uint32_t id, const char *text, size_t len, ds_err *err)
{
    size_t at = t->pool.len;
    if (len > UINT32_MAX / 4 || at > UINT32_MAX / 4 || ds_buf_reserve(&t->pool, 2 * len + 1) != 0)
        return ds_fail_nomem(err);
    memcpy(t->pool.data + at, text, len);
    t->pool.data[at + len] = 0;
    t->pool.len += len + 1;
    ds_tok_entry_fill(t, id, at, len, TOK_ANYHOW);
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
    ds_tok_entry_fill(t, id, at, len, TOK_ANYHOW);
    if (!t->byte_level) {
        e->bytes_at = (uint32_t)at;
        e->bytes_len = (uint32_t)len;
    }
    e->text_at = was.text_at;
    e->text_len = was.text_len;
    e->flags = was.flags | TOK_RESPELLED;
    return 0;
}

bool ds_tok_join_tokens(tok_join *join, const ds_tok *t, uint32_t a, uint32_t b)
{
    const tok_entry *x = &t->entry[a], *y = &t->entry[b];
    ds_tok_join_add(join, t->pool.data + x->bytes_at, x->bytes_len, t->pool.data + y->bytes_at,
                    y->bytes_len);
    return x->bytes_len == 1 && y->bytes_len == 1 && (x->flags & y->flags & TOK_BYTES);
}

void ds_tok_merge_bytes(ds_tok *t, uint32_t a, uint32_t b)
{
    const uint8_t *p = t->pool.data + t->entry[a].bytes_at,
                  *q = t->pool.data + t->entry[b].bytes_at;
    t->merges.byte[*p << 8 | *q] = t->merges.n;
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
