/* tok_cache.h - ids of pretokens seen before, bounded in memory.
 *
 * Two tables: pretokens of up to 15 bytes with up to 4 ids lie in the table itself, two entries a
 * cache line; longer ones lie in an arena behind an index. Hits are decided by comparing bytes.
 * Both tables begin small and grow while they lose entries that are still wanted, up to the limit;
 * a full arena is emptied. One thread owns a cache.
 */
#ifndef DS_TOK_CACHE_H
#define DS_TOK_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TOK_KEY 15   /* longest short pretoken */
#define TOK_VALUE 4  /* most ids of one */
#define TOK_LONG 255 /* longest pretoken that is kept at all, and the most ids */

typedef struct tok_short {
    uint64_t key[2]; /* bytes, zeros; the last byte: length, and << 4 the number of ids */
    uint32_t ids[TOK_VALUE];
} tok_short;

typedef struct tok_cache {
    tok_short *entry; /* pairs; NULL until first used */
    unsigned bits;    /* log2 of the pairs */
    uint32_t lost;    /* entries overwritten since the table has this size */
    uint32_t *index;  /* of long ones: 1 + offset / 8 into the arena; 0 is empty */
    uint8_t *arena;
    size_t index_mask, arena_n, arena_cap;
    size_t limit; /* bytes for each of the two tables */
} tok_cache;

#define TOK_CACHE_DEFAULT ((size_t)64 << 20)

void ds_tok_cache_init(tok_cache *c, size_t bytes); /* allocates nothing */
void ds_tok_cache_fini(tok_cache *c);
/* Makes the short table; false without memory. */
bool ds_tok_cache_start(tok_cache *c);

static inline void tok_key_load(uint64_t key[2], const uint8_t *p, size_t len)
{
    /* 16 bytes can be read at p, len <= 15 */
    static const uint8_t ones[32] = {255, 255, 255, 255, 255, 255, 255, 255,
                                     255, 255, 255, 255, 255, 255, 255, 255};
    uint64_t k[2], m[2];
    memcpy(k, p, 16);
    memcpy(m, ones + 16 - len, 16);
    key[0] = k[0] & m[0];
    key[1] = (k[1] & m[1]) | (uint64_t)len << 56;
}

static inline size_t tok_key_slot(const tok_cache *c, const uint64_t key[2])
{
    uint64_t h = key[0] * 0x9e3779b97f4a7c15u + key[1] * 0xc2b2ae3d27d4eb4fu;
    return (size_t)(h >> (64 - c->bits)) * 2;
}

/* The entry of a key, or NULL. */
static inline const tok_short *tok_short_find(const tok_cache *c, const uint64_t key[2],
                                              size_t slot)
{
    const uint64_t same = ~((uint64_t)0xf << 60);
    const tok_short *e = c->entry + slot;
    if (__builtin_expect(((e->key[0] ^ key[0]) | ((e->key[1] ^ key[1]) & same)) == 0, 1))
        return e;
    e++;
    if (__builtin_expect(((e->key[0] ^ key[0]) | ((e->key[1] ^ key[1]) & same)) == 0, 1))
        return e;
    return NULL;
}
static inline size_t tok_short_n(const tok_short *e)
{
    return (size_t)(e->key[1] >> 60);
}
void ds_tok_short_put(tok_cache *c, const uint64_t key[2], const uint32_t *ids, size_t n);

/* 16 <= len <= TOK_LONG. Lends the ids, NULL when they are not there. */
const uint32_t *ds_tok_long_find(const tok_cache *c, const uint8_t *p, size_t len, size_t *n);
void ds_tok_long_put(tok_cache *c, const uint8_t *p, size_t len, const uint32_t *ids, size_t n);

#endif
