/* tok_cache.c - see tok_cache.h. Without memory for a larger table the small one goes on. */
#include "tok_cache.h"

#include <stdlib.h>

#include "hash.h"
#include "tok_table.h"

#define FIRST_BITS 11
#define FIRST_ARENA ((size_t)256 << 10)

void ds_tok_cache_init(tok_cache *c, size_t bytes)
{
    memset(c, 0, sizeof *c);
    c->limit = bytes / 2;
}

void ds_tok_cache_fini(tok_cache *c)
{
    free(c->entry);
    free(c->index);
    free(c->arena);
    memset(c, 0, sizeof *c);
}

static size_t short_bytes(unsigned bits)
{
    return ((size_t)2 << bits) * sizeof(tok_short);
}

static tok_short *short_table(unsigned bits)
{
    tok_short *t = ds_tok_table(short_bytes(bits));
    if (t != NULL)
        memset(t, 0, short_bytes(bits));
    return t;
}

bool ds_tok_cache_start(tok_cache *c)
{
    if (c->entry != NULL)
        return true;
    c->bits = FIRST_BITS;
    while (c->bits > 1 && short_bytes(c->bits) > c->limit)
        c->bits--;
    c->entry = short_table(c->bits);
    return c->entry != NULL;
}

static void place(tok_cache *c, const tok_short *e)
{
    uint64_t key[2] = {e->key[0], e->key[1] & ~((uint64_t)0xf << 60)};
    tok_short *t = c->entry + tok_key_slot(c, key);
    if (t->key[1] != 0) {
        if (t[1].key[1] != 0)
            c->lost++;
        t[1] = t[0]; /* the older of the two goes */
    }
    t[0] = *e;
}

static void grow(tok_cache *c)
{
    tok_cache old = *c;
    unsigned bits = c->bits + 2;
    while (bits > c->bits && short_bytes(bits) > c->limit)
        bits--;
    c->lost = 0;
    tok_short *t = bits > c->bits ? short_table(bits) : NULL;
    if (t == NULL)
        return;
    c->entry = t;
    c->bits = bits;
    for (size_t i = (size_t)2 << old.bits; i-- > 0;)
        if (old.entry[i].key[1] != 0)
            place(c, &old.entry[i]);
    free(old.entry);
    c->lost = 0;
}

void ds_tok_short_put(tok_cache *c, const uint64_t key[2], const uint32_t *ids, size_t n)
{
    tok_short e = {.key = {key[0], key[1] | (uint64_t)n << 60}};
    memcpy(e.ids, ids, n * sizeof *ids);
    place(c, &e);
    if (c->lost > (uint32_t)1 << (c->bits - 1))
        grow(c);
}

/* A record of the arena: length and number in two bytes each, the bytes, padding, the ids. */
static size_t record_bytes(size_t len, size_t n)
{
    return (((4 + len + 3) & ~(size_t)3) + 4 * n + 7) & ~(size_t)7;
}

const uint32_t *ds_tok_long_find(const tok_cache *c, const uint8_t *p, size_t len, size_t *n)
{
    if (c->index == NULL)
        return NULL;
    size_t i = (size_t)ds_xxh64(p, len) & c->index_mask;
    for (; c->index[i] != 0; i = (i + 1) & c->index_mask) {
        const uint8_t *r = c->arena + (size_t)(c->index[i] - 1) * 8;
        uint16_t head[2];
        memcpy(head, r, sizeof head);
        if (head[0] == len && memcmp(r + 4, p, len) == 0) {
            *n = head[1];
            return (const uint32_t *)(const void *)(r + ((4 + len + 3) & ~(size_t)3));
        }
    }
    return NULL;
}

/* A slot of the index for 16 bytes of the arena: two thirds full at most, as records take 24 bytes
 * or more. */
static bool arena_grow(tok_cache *c)
{
    size_t most = c->limit / 2 & ~(size_t)63;
    size_t cap = c->arena_cap ? c->arena_cap * 2 : FIRST_ARENA;
    cap = cap > most ? most : cap;
    if (cap <= c->arena_cap || cap < 4096) {
        if (c->arena == NULL)
            return false;
        memset(c->index, 0, (c->index_mask + 1) * sizeof *c->index);
        c->arena_n = 0;
        return true;
    }
    size_t slots = 64;
    while (slots < cap / 16)
        slots *= 2;
    uint8_t *arena = realloc(c->arena, cap);
    if (arena == NULL)
        return false;
    c->arena = arena;
    uint32_t *index = calloc(slots, sizeof *index);
    if (index == NULL)
        return false;
    free(c->index);
    c->index = index;
    c->index_mask = slots - 1;
    c->arena_cap = cap;
    for (size_t at = 0; at < c->arena_n;) {
        uint16_t head[2];
        memcpy(head, c->arena + at, sizeof head);
        size_t i = (size_t)ds_xxh64(c->arena + at + 4, head[0]) & c->index_mask;
        while (c->index[i] != 0)
            i = (i + 1) & c->index_mask;
        c->index[i] = (uint32_t)(at / 8 + 1);
        at += record_bytes(head[0], head[1]);
    }
    return true;
}

void ds_tok_long_put(tok_cache *c, const uint8_t *p, size_t len, const uint32_t *ids, size_t n)
{
    size_t need = record_bytes(len, n);
    if (c->arena_n + need > c->arena_cap && !arena_grow(c))
        return;
    if (c->arena_n + need > c->arena_cap)
        return;
    uint8_t *r = c->arena + c->arena_n;
    uint16_t head[2] = {(uint16_t)len, (uint16_t)n};
    size_t i = (size_t)ds_xxh64(p, len) & c->index_mask;
    while (c->index[i] != 0)
        i = (i + 1) & c->index_mask;
    memcpy(r, head, sizeof head);
    memcpy(r + 4, p, len);
    memcpy(r + ((4 + len + 3) & ~(size_t)3), ids, n * sizeof *ids);
    c->index[i] = (uint32_t)(c->arena_n / 8 + 1);
    c->arena_n += need;
}
