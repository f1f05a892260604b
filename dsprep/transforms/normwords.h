/* normwords.h - the words of a text in normal form, as 64-bit hashes: what near duplicates and
 * overlaps are found by.
 *
 * Words are what wordfold.h says, with numbers as they are or every run of digits 0. The same on
 * every machine. Text must be valid UTF-8.
 */
#ifndef DS_NORMWORDS_H
#define DS_NORMWORDS_H

#include "wordfold.h"

#define DS_NORM_PRIME UINT64_C(0x9e3779b97f4a7c15)

/* Appends the hash of each word (uint64_t, in memory's order) and, where `places` is not NULL,
 * where it begins and ends (uint32_t pairs; texts of less than 4 GiB). 0 or DS_NOMEM. */
int ds_normwords(ds_buf *hashes, ds_buf *places, const ds_wordfold *fold, bool zero,
                 const uint8_t *p, size_t len);

static inline uint64_t ds_norm_mix(uint64_t h)
{
    h = (h ^ h >> 33) * UINT64_C(0xff51afd7ed558ccd);
    h = (h ^ h >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return h ^ h >> 33;
}

/* The hash of a run of words, to be mixed: sum of word i of n times PRIME^(n - i), i from 0. */
static inline uint64_t ds_norm_run(const uint64_t *words, size_t n)
{
    uint64_t h = 0;
    for (size_t i = 0; i < n; i++)
        h = (h + words[i]) * DS_NORM_PRIME;
    return h;
}

/* The run of n words one further on: power is PRIME^n. */
static inline uint64_t ds_norm_roll(uint64_t h, uint64_t power, uint64_t first, uint64_t next)
{
    return (h - first * power + next) * DS_NORM_PRIME;
}

static inline uint64_t ds_norm_power(size_t n)
{
    uint64_t p = 1;
    while (n--)
        p *= DS_NORM_PRIME;
    return p;
}

#endif
