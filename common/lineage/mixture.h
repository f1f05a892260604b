/* mixture.h - the order of records where data sets have weights: shares of the tokens
 * (docs/lineage-format.md, "Mixture").
 *
 * The next record comes from the data set that is furthest behind its share; within it from its own
 * permutation, epoch after epoch. Integers only. One thread.
 */
#ifndef DS_MIXTURE_H
#define DS_MIXTURE_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

typedef struct ds_mixpart {
    uint64_t records, weight; /* at least 1 each */
} ds_mixpart;

#define DS_WEIGHT_MAX UINT64_C(1000000000)

/* "0.7,0.3" as the least integers of the same shares: 7, 3. DS_USAGE for another number than n,
 * for what is no positive decimal number, and for shares that need integers over DS_WEIGHT_MAX. */
int ds_weights_parse(uint64_t *out, size_t n, const char *text, ds_err *err);

typedef struct ds_mixture ds_mixture;
int ds_mixture_new(ds_mixture **m, uint64_t seed, const ds_mixpart *parts, size_t n, ds_err *err);
/* The next record, numbered through. */
uint64_t ds_mixture_next(ds_mixture *m);
/* How many tokens of it the run takes: said before the next one is asked for. */
void ds_mixture_took(ds_mixture *m, uint64_t tokens);
void ds_mixture_free(ds_mixture *m); /* NULL is fine */

#endif
