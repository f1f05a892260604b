/* dcmlookup.h - entries by hash, behind a bitmap that answers for most hashes that none is there.
 * For dcmsearch.c and dcmneedle.c.
 *
 * A zeroed object is valid and empty, but for dcm_lookup_may, which wants room to have been made.
 * Hashes are well mixed in their upper bits; bits 20 and up choose the chain.
 */
#ifndef DS_DCMLOOKUP_H
#define DS_DCMLOOKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

typedef struct dcm_entry {
    uint64_t hash;
    uint32_t id, next; /* next: index + 1 in the chain */
    uint32_t before;   /* of the id, what stands in front of what was hashed: words or bytes */
} dcm_entry;

typedef struct dcm_lookup {
    uint32_t *heads; /* index + 1 */
    size_t nheads;
    dcm_entry *v;
    size_t n, cap;
    uint64_t *bits;
    unsigned shift; /* 64 - log2 of the number of bits */
} dcm_lookup;

int dcm_lookup_room(dcm_lookup *l, size_t more, ds_err *err); /* for so many calls of add */
void dcm_lookup_add(dcm_lookup *l, uint64_t hash, uint32_t id, uint32_t before);
void dcm_lookup_clear(dcm_lookup *l); /* no entries; the memory is kept */
void dcm_lookup_fini(dcm_lookup *l);

static inline bool dcm_lookup_may(const dcm_lookup *l, uint64_t hash)
{
    uint64_t b = hash >> l->shift;
    return l->bits[b >> 6] >> (b & 63) & 1;
}

/* The chain that a hash is in: index + 1 into v, then v[i - 1].next; 0 ends it. */
static inline uint32_t dcm_lookup_chain(const dcm_lookup *l, uint64_t hash)
{
    return l->heads[hash >> 20 & (l->nheads - 1)];
}

#endif
