/* verdiff.h - what differs between two versions of a dataset, record by record.
 *
 * Records are the same when they have the same key (the n-th with it) and the same values in all
 * columns that both versions have with the same type. Files of the manifest and blocks that both
 * have are not read, so the time follows the change. Records stream through a table in which equal
 * ones cancel out; past its limit it goes to an external sort: memory is bounded. Digests are
 * XXH3-128 under a seed drawn for the run, which nobody can have prepared a collision for. The
 * result is the same for any number of threads.
 */
#ifndef DS_VERDIFF_H
#define DS_VERDIFF_H

#include "recblock.h"

enum ds_change { DS_REMOVED, DS_CHANGED, DS_ADDED };

typedef struct ds_recplace {
    uint32_t block, row; /* block: an index into the side's lines */
} ds_recplace;

/* Of one run, or of runs with the same seed: equal for equal keys, or values. */
typedef struct ds_recdigest {
    uint8_t key[16], value[16];
} ds_recdigest;

typedef struct ds_diffitem {
    enum ds_change change;
    ds_recdigest digest; /* of the record after, or of the one removed */
    ds_recplace a, b;    /* before (not of an added one) and after (not of a removed one) */
} ds_diffitem;

typedef struct ds_diffstats {
    uint64_t removed, changed, added;
    uint64_t records_a, records_b; /* of the versions */
    uint64_t blocks_read;          /* of both */
    bool same_schema;
    bool reordered; /* nothing removed, changed or added, and yet not the same root */
} ds_diffstats;

typedef struct ds_verdiff_opts {
    int threads;
    size_t limit;  /* entries kept in memory; 0 = 1 Mi */
    uint64_t seed; /* of digests; 0 = drawn */
    bool whole;    /* the sides list all blocks of their versions, in order (for places that mean
                      something) */
} ds_verdiff_opts;

typedef struct ds_verdiff ds_verdiff;
int ds_verdiff_new(ds_verdiff **out, ds_store *s, const git_oid *a, const git_oid *b,
                   const ds_verdiff_opts *o, ds_err *err);
const ds_diffstats *ds_verdiff_stats(const ds_verdiff *d);
const ds_verside *ds_verdiff_side(const ds_verdiff *d, bool after);
/* For each column of the version after: its column number before, or -1. */
const long *ds_verdiff_columns(const ds_verdiff *d);
/* First what was removed, in the order of the version before; then what was changed or added, in
 * the order of the one after. 1 an item, 0 the end, < 0 error. */
int ds_verdiff_next(ds_verdiff *d, ds_diffitem *item, ds_err *err);
void ds_verdiff_free(ds_verdiff *d); /* NULL is fine */

uint64_t ds_verdiff_seed(const ds_verdiff *d);
/* The digests of a record of one side, or of its key alone; scratch is the caller's. DS_NOMEM. */
int ds_verdiff_key(uint8_t out[16], const ds_verdiff *d, bool after, const ds_recblock *rec,
                   ds_buf *scratch);
int ds_verdiff_digest(ds_recdigest *out, const ds_verdiff *d, bool after, const ds_recblock *rec,
                      ds_buf *scratch);
/* Of one record's value: a digest that tells equal ones from others. Canonical: NaN, runs and lists
 * too. */
ds_x128 ds_value_digest(const ds_colview *v, const ds_value *x, uint64_t seed);

#endif
