/* minhash.h - MinHash signatures of texts, in bands: texts that share a band are near duplicates.
 *
 * A text becomes words as wordfold.h says, with every number 0. Its shingles are runs of 5 words
 * (of all of them when there are fewer). Two texts whose shingles have Jaccard similarity s share
 * one of b bands of r minima each with probability 1 - (1 - s^r)^b (Broder 1997; Leskovec,
 * Rajaraman, Ullman, ch. 3): with 14 bands of 8, as FineWeb has it, 1/2 near s = 0.70 and 0.92 at
 * 0.80. A minimum
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
    DS_MIN_BANDS = 14, /* unless something else is said */
    DS_MIN_ROWS = 8,
    DS_MIN_WORDS = 5,
    DS_MIN_MOST = 16384 /* minima */
};

typedef struct ds_minhash {
    unsigned bands, rows, words;
    size_t n;                /* minima, and up to a whole vector */
    uint32_t *a, *b;         /* one after the other */
    const ds_wordfold *fold; /* borrowed */
} ds_minhash;

/* bands * rows is at most DS_MIN_MOST. */
int ds_minhash_init(ds_minhash *m, const ds_wordfold *fold, uint64_t seed, unsigned bands,
                    unsigned rows, unsigned words, ds_err *err);
void ds_minhash_fini(ds_minhash *m);

typedef struct ds_minwork {
    ds_buf x, words;   /* u32: hashes of shingles; u64: of words */
    ds_buf least, row; /* u32: minima; bytes of one band's */
} ds_minwork;

/* The bands' hashes, m->bands of them; false for a text without words, which is like no other. */
int ds_minhash_text(const ds_minhash *m, ds_minwork *w, const uint8_t *p, size_t len,
                    uint64_t *bands, bool *any, ds_err *err);
void ds_minwork_fini(ds_minwork *w);

#endif
