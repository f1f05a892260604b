/* scores.c - see scores.h. */
#include "scores.h"

#include <math.h>
#include <stdlib.h>

#include "philox.h"

#define STREAM UINT64_C(0x626f6f7400000000) /* of the bootstrap; the resample is added */

/* ---- confusion ---- */

static uint64_t row_sum(const uint64_t *confusion, size_t k, size_t truth)
{
    uint64_t n = 0;

    for (size_t a = 0; a < k; a++)
        n += confusion[truth * k + a];
    return n;
}

static uint64_t column_sum(const uint64_t *confusion, size_t k, size_t answer)
{
    uint64_t n = 0;

    for (size_t t = 0; t < k; t++)
        n += confusion[t * k + answer];
    return n;
}

double ds_accuracy(const uint64_t *confusion, size_t k)
{
    uint64_t right = 0, all = 0;

    for (size_t t = 0; t < k; t++) {
        right += confusion[t * k + t];
        all += row_sum(confusion, k, t);
    }
    return all ? (double)right / (double)all : 0;
}

double ds_majority(const uint64_t *confusion, size_t k)
{
    uint64_t most = 0, all = 0;

    for (size_t t = 0; t < k; t++) {
        const uint64_t n = row_sum(confusion, k, t);
        most = n > most ? n : most;
        all += n;
    }
    return all ? (double)most / (double)all : 0;
}

double ds_macro_f1(const uint64_t *confusion, size_t k)
{
    double sum = 0;
    size_t classes = 0;

    for (size_t t = 0; t < k; t++) {
        const uint64_t both = row_sum(confusion, k, t) + column_sum(confusion, k, t);
        if (!both)
            continue;
        sum += 2.0 * (double)confusion[t * k + t] / (double)both;
        classes++;
    }
    return classes ? sum / (double)classes : 0;
}

/* ---- AUC ---- */

typedef struct scored {
    double score;
    bool positive;
} scored;

static int by_score(const void *a, const void *b)
{
    const double x = ((const scored *)a)->score, y = ((const scored *)b)->score;

    return (x > y) - (x < y);
}

/* Twice the number of won pairs, in integers so that the order among ties cannot matter. */
static uint64_t twice_won(const scored *s, size_t n)
{
    uint64_t below = 0, won = 0;

    for (size_t i = 0; i < n;) {
        uint64_t positives = 0, negatives = 0;
        size_t j = i;
        for (; j < n && s[j].score <= s[i].score; j++) {
            positives += s[j].positive;
            negatives += !s[j].positive;
        }
        won += positives * (2 * below + negatives);
        below += negatives;
        i = j;
    }
    return won;
}

int ds_auc(double *auc, const double *score, const bool *positive, size_t n, ds_err *err)
{
    scored *s = calloc(n ? n : 1, sizeof *s);
    uint64_t positives = 0;

    if (!s)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < n; i++) {
        if (isnan(score[i])) {
            free(s);
            return ds_fail(err, DS_FAIL, "score %zu is not a number", i);
        }
        s[i] = (scored){score[i], positive[i]};
        positives += positive[i];
    }
    qsort(s, n, sizeof *s, by_score);
    *auc = !positives || positives == n
               ? (double)NAN
               : (double)twice_won(s, n) / (2.0 * (double)positives * (double)(n - positives));
    free(s);
    return 0;
}

int ds_macro_auc(double *auc, const double *score, const int32_t *truth, size_t n, size_t k,
                 ds_err *err)
{
    double *of = malloc((n ? n : 1) * sizeof *of), sum = 0, one;
    bool *positive = malloc((n ? n : 1) * sizeof *positive);
    size_t classes = 0;
    int rc = of && positive ? 0 : ds_fail_nomem(err);

    for (size_t c = 0; !rc && c < k; c++) {
        for (size_t i = 0; i < n; i++) {
            of[i] = score[i * k + c];
            positive[i] = truth[i] == (int32_t)c;
        }
        rc = ds_auc(&one, of, positive, n, err);
        if (!rc && !isnan(one)) {
            sum += one;
            classes++;
        }
    }
    *auc = classes ? sum / (double)classes : (double)NAN;
    free(of);
    free(positive);
    return rc;
}

/* ---- how sure ---- */

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double ds_quantile(double *v, size_t n, double q)
{
    size_t rank;

    if (!n)
        return (double)NAN;
    qsort(v, n, sizeof *v, by_value);
    rank = (size_t)ceil(q * (double)n);
    return v[rank < 1 ? 0 : rank > n ? n - 1 : rank - 1];
}

int ds_bootstrap(double interval[2], const int8_t *value, size_t n, size_t resamples, uint64_t seed,
                 ds_err *err)
{
    double *mean = malloc((resamples ? resamples : 1) * sizeof *mean);

    if (!mean)
        return ds_fail_nomem(err);
    for (size_t r = 0; r < resamples; r++) {
        int64_t sum = 0;
        for (size_t i = 0; i < n; i++) {
            const uint64_t at = ds_philox(seed, STREAM + r, i) * (uint64_t)n >> 32;
            sum += value[at];
        }
        mean[r] = n ? (double)sum / (double)n : (double)NAN;
    }
    interval[0] = ds_quantile(mean, resamples, 0.025);
    interval[1] = ds_quantile(mean, resamples, 0.975);
    free(mean);
    return 0;
}
