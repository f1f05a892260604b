/* scores.h - how good answers are: accuracy, F1, AUC, and how sure that is.
 *
 * confusion[truth * k + answer] counts records of k classes. Nothing here depends on the order of
 * work or on threads; random numbers are Philox (kernels.h).
 */
#ifndef DS_SCORES_H
#define DS_SCORES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* Share of records on the diagonal; 0 of no records. */
double ds_accuracy(const uint64_t *confusion, size_t k);
/* Accuracy of who always answers the most frequent class. */
double ds_majority(const uint64_t *confusion, size_t k);
/* Mean of 2 TP / (2 TP + FP + FN) over the classes that occur as truth or as answer. */
double ds_macro_f1(const uint64_t *confusion, size_t k);
/* Area under the ROC curve: the share of pairs (positive, negative) in which the positive has the
 * higher score, ties counting half (Mann-Whitney). NaN when there is no such pair. */
int ds_auc(double *auc, const double *score, const bool *positive, size_t n, ds_err *err);
/* Mean one-vs-rest AUC over the classes for which it is defined; NaN when there is none.
 * score[n][k]. */
int ds_macro_auc(double *auc, const double *score, const int32_t *truth, size_t n, size_t k,
                 ds_err *err);
/* Percentile bootstrap (Efron 1979): the 2.5 % and 97.5 % quantiles of the mean of n values, over
 * `resamples` samples drawn with replacement. The same seed gives the same interval. */
int ds_bootstrap(double interval[2], const int8_t *value, size_t n, size_t resamples, uint64_t seed,
                 ds_err *err);
/* Quantile q in [0, 1] by nearest rank; sorts v. NaN of no values. */
double ds_quantile(double *v, size_t n, double q);

#endif
