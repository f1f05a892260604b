/* consumed.h - what the rows of some steps were made of, in numbers (docs/lineage-format.md,
 * "Consumed"): sequences, tokens and targets of each data set, their lengths, and the labels,
 * languages and sources that they have. A function of the ledger's rows and the records' facts:
 * whoever has both gets the same bytes.
 */
#ifndef DS_CONSUMED_H
#define DS_CONSUMED_H

#include "lineage.h"
#include "recfacts.h"

typedef struct ds_consumed ds_consumed;

/* facts: of each data set; borrowed, they may grow no more. */
int ds_consumed_new(ds_consumed **c, const ds_recfacts *const *facts, size_t datasets, ds_err *err);
void ds_consumed_free(ds_consumed *c); /* NULL is fine */
void ds_consumed_reset(ds_consumed *c);
/* A row's pieces, their records numbered through. DS_FAIL: a record that there is not. */
int ds_consumed_add(ds_consumed *c, const ds_span *spans, size_t n, const uint64_t *firsts,
                    ds_err *err);
/* Canonical JSON for steps first to last. */
int ds_consumed_dump(ds_buf *out, const ds_consumed *c, uint64_t first, uint64_t last, ds_err *err);

/* For people: "docs 1813 tokens in 91 sequences, 546 targets; ..." */
int ds_consumed_text(ds_buf *out, const ds_consumed *c, const ds_run *run, ds_err *err);

#endif
