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
    return 0;
}

int ds_tok_set_size(ds_tok *t, uint32_t n, ds_err *err)
{
    t->entry = calloc(n ? n : 1, sizeof *t->entry);
    if (t->entry == NULL)
        return ds_fail_nomem(err);
    t->n_entries = n;
    return 0;
}

/* The bytes of a token: the byte alphabet undone, or, when a character is not in it, the text
 * itself. */
static int put_bytes(ds_tok *t, tok_entry *e, const char *text, size_t len)
{
    const uint8_t *p = (const uint8_t *)text, *end = p + len;
    e->bytes_at = t->pool.len;
    while (p < end) {
        unsigned n;
        int b = ds_tok_cp_byte(ds_uni_get(p, &n));
        if (b < 0)
            break;
        if (ds_buf_putc(&t->pool, (uint8_t)b) != 0)
            return DS_NOMEM;
        p += n;
    }
    if (p == end) {
        e->flags |= TOK_BYTES;
    } else {
        t->pool.len = e->bytes_at;
        if (ds_buf_put(&t->pool, text, len) != 0)
            return DS_NOMEM;
    }
    e->bytes_len = (uint32_t)(t->pool.len - e->bytes_at);
    return 0;
}

int ds_tok_add_entry(ds_tok *t, uint32_t id, const char *text, size_t len, ds_err *err)
{
    tok_entry *e = &t->entry[id];
    e->text_at = t->pool.len;
    e->text_len = (uint32_t)len;
    e->flags = TOK_EXISTS;
    if (ds_buf_put(&t->pool, text, len) != 0 || ds_buf_putc(&t->pool, 0) != 0 ||
        put_bytes(t, e, text, len) != 0)
        return ds_fail_nomem(err);
    t->n_tokens++;
    if (e->bytes_len > t->longest)
        t->longest = e->bytes_len;
    return 0;
}

static void index_put(const ds_tok *t, tok_index *ix, uint32_t id, bool bytes)
{
    const tok_entry *e = &t->entry[id];
    const uint8_t *p = t->pool.data + (bytes ? e->bytes_at : e->text_at);
    size_t i = (size_t)ds_tok_hash(p, bytes ? e->bytes_len : e->text_len) & ix->mask;
    while (ix->slot[i] != DS_TOK_NONE)
        i = (i + 1) & ix->mask;
    ix->slot[i] = id;
    ix->n++;
}

void ds_tok_index_text(ds_tok *t, uint32_t id)
{
    index_put(t, &t->by_text, id, false);
}
void ds_tok_index_bytes(ds_tok *t, uint32_t id)
{
    index_put(t, &t->by_bytes, id, true);
}

uint32_t ds_tok_id(const ds_tok *t, const char *text, size_t len)
{
    for (size_t i = (size_t)ds_tok_hash(text, len) & t->by_text.mask;;
         i = (i + 1) & t->by_text.mask) {
        uint32_t id = t->by_text.slot[i];
        if (id == DS_TOK_NONE)
            return DS_TOK_NONE;
        const tok_entry *e = &t->entry[id];
        if (e->text_len == len && memcmp(t->pool.data + e->text_at, text, len) == 0)
            return id;
    }
}

uint32_t ds_tok_by_bytes(const ds_tok *t, const uint8_t *p, size_t len)
{
    for (size_t i = (size_t)ds_tok_hash(p, len) & t->by_bytes.mask;;
         i = (i + 1) & t->by_bytes.mask) {
        uint32_t id = t->by_bytes.slot[i];
        if (id == DS_TOK_NONE)
            return DS_TOK_NONE;
        const tok_entry *e = &t->entry[id];
        if (e->bytes_len == len && memcmp(t->pool.data + e->bytes_at, p, len) == 0)
            return id;
    }
}
