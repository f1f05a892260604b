/* drift.h - how far one column's distribution is from another's, from their statistics alone.
 *
 * With shares p (before) and q (after) of k bins, each count plus one half so that none is zero:
 *
 *     PSI = sum (q - p) ln(q / p)     population stability index; Siddiqi, "Credit Risk
 * Scorecards", 2006. Below 0.1 is taken for stable, above 0.25 for a shift KL  = sum q ln(q / p)
 * Kullback, Leibler, 1951: of after from before, in nats JS  = (KL(p|m) + KL(q|m)) / 2   with m =
 * (p + q) / 2, in bits: 0 to 1; Lin, 1991 KS  = max |F(x) - G(x)|         Kolmogorov, Smirnov: of
 * numbers and lengths, from counts as they are, at the borders of buckets (an octave has 32)
 *
 * Bins of numbers and lengths: the ten tenths of the column before, and one for what is below and
 * one for what is above all of it; of values: each value; of words and tokens: 128 hashed buckets.
 * Where one side has none at all, two bins: the records that have one, and those that have not.
 * Noise is what PSI is expected to be between two samples of one distribution, (k - 1) (1/A + 1/B)
 * of A and B counted (Yurdakul, "Statistical Properties of Population Stability Index", 2018).
 */
#ifndef DS_DRIFT_H
#define DS_DRIFT_H

#include "colstat.h"

enum ds_driftpart_kind {
    DS_DRIFT_LENGTHS,
    DS_DRIFT_NUMBERS,
    DS_DRIFT_VALUES,
    DS_DRIFT_WORDS,
    DS_DRIFT_PARTS
};

typedef struct ds_driftpart {
    bool there; /* a side has something to compare */
    size_t bins;
    double psi, kl, js, ks, noise;
} ds_driftpart;

typedef struct ds_drift {
    ds_driftpart parts[DS_DRIFT_PARTS];
    double nulls[2]; /* shares of rows, before and after */
    double nans[2];  /* the same, of numbers that are none */
    bool profiled;
    double similarity;  /* of the sets of values: |both| / |either|, from the min-hashes; +- 6 % */
    ds_buf fresh, gone; /* const ds_named *: values that only after, only before has; most frequent
                           first; of after's and before's tables */
} ds_drift;

const char *
ds_driftpart_name(enum ds_driftpart_kind k); /* "lengths", "numbers", "values", "words" */
/* Of columns of one type. Zeroed or fini'd before; borrows from both. DS_NOMEM. */
int ds_drift_make(ds_drift *d, const ds_colstat *before, const ds_colstat *after, ds_err *err);
void ds_drift_fini(ds_drift *d);

/* PSI, KL, JS and noise of n bins' counts. */
void ds_drift_bins(ds_driftpart *p, const double *before, const double *after, size_t n);

#endif
