/* dcmids.h - what an id set holds, for the searcher. Internal to dcmids.c and dcmsearch.c. */
#ifndef DS_DCMIDS_H
#define DS_DCMIDS_H

#include "dcmneedle.h"

typedef struct dcm_id {
    uint32_t tag;
    uint8_t kind; /* enum dcm_id_kind */
    bool weak, gone;
    bool alone; /* one word of a name, which others may have too, or which may be a term */
    bool word;  /* and a word of language: it counts where it is written as a name */
    uint32_t words, nwords; /* folded words, a space between two: offset and length in text */
    uint32_t raw, nraw;     /* as it stood; nraw is 0 when it is not for tensors */
} dcm_id;

struct dcm_ids {
    dcm_id *v;
    size_t n, cap;
    uint32_t *table; /* indices + 1 by hash of words; a power of two */
    size_t ntable;
    size_t left_out;
    ds_buf text;
};

/* Adds the ids of another set; dates and weak ones only with `all`. */
int dcm_ids_take(dcm_ids *into, const dcm_ids *from, bool all, ds_err *err);
/* Adds its dates, those that are gone left out, and its single words of names. */
int dcm_ids_take_own(dcm_ids *into, const dcm_ids *from, ds_err *err);
void dcm_ids_clear(dcm_ids *s);
bool dcm_ids_has(const dcm_ids *s, const uint8_t *words, size_t n);

/* Every hit, in the order of the words that gave them away, until fn returns true; that is
 * returned. */
typedef bool dcm_hit_fn(void *ctx, const dcm_hit *hit);
bool dcm_search_each(const dcm_search *s, const uint8_t *p, size_t len, size_t from, dcm_hit_fn *fn,
                     void *ctx);

#endif
