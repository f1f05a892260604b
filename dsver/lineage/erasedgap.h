/* erasedgap.h - what a run told of what it consumed, against what can still be counted once records
 * of a dataset were erased (docs/lineage-format.md, "Consumed"). One thread.
 */
#ifndef DS_ERASEDGAP_H
#define DS_ERASEDGAP_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

/* told, now: canonical JSON of ds_consumed_dump. erased[i]: records of dataset i were. Sequences,
 * tokens, targets and lengths must be equal, and so must the facets of other datasets; of an erased
 * one no value may have become more but those that stand in a tombstone. DS_FAIL says what differs;
 * DS_NOMEM. */
int ds_erasedgap_check(const char *told, const char *now, const bool *erased, size_t n,
                       ds_err *err);

#endif
