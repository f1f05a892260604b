/* minhash.h - MinHash signatures of texts, in bands: texts that share a band are near duplicates.
 *
 * A text becomes words as wordfold.h says, with every number 0. Its shingles are runs of 5 words
 * (of all of them when there are fewer). 14 bands of 8 minima each, as FineWeb has it: two texts
 * whose shingles have Jaccard similarity s share a band with probability 1 - (1 - s^8)^14, which is
 * 1/2 near s = 0.70 and 0.92 at 0.80 (Broder 1997; Leskovec, Rajaraman, Ullman, ch. 3). A minimum
 * is that of (a x + b) mod 2^32 over the 32-bit hashes x of the shingles, with odd a from
 * SplitMix64 of the seed.
 *
 * The same on every machine. The tables are read only once made; a ds_minwork (zeroed at first)
 * belongs to one thread. Text must be valid UTF-8.
 */
#ifndef DS_MINHASH_H
#define DS_MINHASH_H

#include "wordfold.h"

enum {
    DS_MIN_BANDS = 14,
    DS_MIN_ROWS = 8,
    DS_MIN_HASHES = DS_MIN_BANDS * DS_MIN_ROWS,
    DS_MIN_WORDS = 5
};

typedef struct ds_minhash {
    uint32_t a[DS_MIN_HASHES], b[DS_MIN_HASHES];
    const ds_wordfold *fold; /* borrowed */
} ds_minhash;

void ds_minhash_init(ds_minhash *m, const ds_wordfold *fold, uint64_t seed);

typedef struct ds_minwork {
    ds_buf x, words; /* u32: hashes of shingles; u64: of words */
    uint32_t least[DS_MIN_HASHES];
} ds_minwork;

/* The bands' hashes; false for a text without words, which is like no other. */
int ds_minhash_text(const ds_minhash *m, ds_minwork *w, const uint8_t *p, size_t len,
                    uint64_t bands[DS_MIN_BANDS], bool *any, ds_err *err);
void ds_minwork_fini(ds_minwork *w);

#endif
