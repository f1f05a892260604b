/* hashcount.h - how often hashes came, for as many as are known beforehand.
 *
 * A slot holds 40 bits of a hash, not zero, and how often it came, up to 2^24 - 1; the other bits
 * chose the slot. The table's memory is the caller's buffer, used again and again.
 */
#ifndef DS_HASHCOUNT_H
#define DS_HASHCOUNT_H

#include <string.h>

#include "buf.h"

#define DS_HASHCOUNT_MAX 0xffffffu

typedef struct ds_hashcount {
    uint64_t *slot;
    size_t mask;
} ds_hashcount;

/* Empty, with room for n hashes, at most half full. */
static inline int ds_hashcount_begin(ds_hashcount *t, ds_buf *memory, size_t n, ds_err *err)
{
    size_t cap = 64, bytes;
    *t = (ds_hashcount){0};
    while (cap < 2 * n)
        cap *= 2;
    ds_buf_reset(memory);
    if (!ds_mul_size(cap, sizeof *t->slot, &bytes) || ds_buf_reserve(memory, bytes))
        return ds_fail_nomem(err);
    memset(memory->data, 0, bytes);
    *t = (ds_hashcount){.slot = (void *)memory->data, .mask = cap - 1};
    return 0;
}

/* Counts a hash: how often it came, this time included. */
static inline uint32_t ds_hashcount_put(ds_hashcount *t, uint64_t h)
{
    const uint64_t tag = (h | 1u << 24) & ~(uint64_t)DS_HASHCOUNT_MAX;
    size_t i = (size_t)(h * 0x9e3779b97f4a7c15u >> 32) & t->mask;
    while (t->slot[i] != 0 && (t->slot[i] & ~(uint64_t)DS_HASHCOUNT_MAX) != tag)
        i = (i + 1) & t->mask;
    const uint32_t n = (uint32_t)(t->slot[i] & DS_HASHCOUNT_MAX);
    t->slot[i] = tag | (n < DS_HASHCOUNT_MAX ? n + 1 : n);
    return n + 1;
}

#endif
