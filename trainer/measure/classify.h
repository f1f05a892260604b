/* classify.h - which of several labels a model finds the likeliest after a text.
 *
 * Text and label are tokenized together, as they would be in training data, so that a token may
 * span the seam. What all labels' sequences have in common is the prompt; a label's score is the
 * log-likelihood of what is left of its sequence, summed over its tokens. Labels are sequences of
 * one packed batch. A sequence that is longer than the model's context loses tokens at its
 * beginning. One thread a classifier.
 */
#ifndef DS_CLASSIFY_H
#define DS_CLASSIFY_H

#include "net.h"
#include "tok.h"

typedef struct ds_classifier ds_classifier;

typedef struct ds_classify_conf {
    ds_net *net;
    const ds_tok *tok;
    const char *const *labels;
    size_t nlabels;
    const char *before, *after; /* text between prompt and label, and after the label */
    int32_t positions;          /* longest sequence of the net, virtual tokens included */
} ds_classify_conf;

/* conf's pointers are borrowed. */
int ds_classifier_new(ds_classifier **out, const ds_classify_conf *c, ds_err *err);
/* log_likelihood[nlabels]; *cut = whether tokens were left out. DS_FAIL when the tokens of one
 * label's sequence are the beginning of another's: their sums could not be compared. */
int ds_classify(ds_classifier *l, const void *text, size_t len, double *log_likelihood, bool *cut,
                ds_err *err);
void ds_classifier_free(ds_classifier *l); /* NULL is fine */

/* Softmax over k log-likelihoods; returns the first of the largest. */
size_t ds_label_odds(double *odds, const double *log_likelihood, size_t k);

#endif
