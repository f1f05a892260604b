/* selftest.h - the promises of the training loop, tried on this machine: bits that must not depend
 * on packing, micro-batches, recomputation, interruption, threads or instruction set. */
#ifndef DS_SELFTEST_H
#define DS_SELFTEST_H

#include <stdbool.h>

#include "error.h"

enum ds_selftest_outcome { DS_SELFTEST_OK, DS_SELFTEST_FAILED, DS_SELFTEST_SKIPPED };

/* Called once for each promise; detail is "" or says what was found. */
typedef void (*ds_selftest_fn)(void *ctx, const char *name, enum ds_selftest_outcome outcome,
                               const char *detail);
/* model: folder of weights, or NULL for a small network with random ones. *failed = promises that
 * do not hold. */
int ds_selftest(const char *model, ds_selftest_fn fn, void *ctx, int *failed, ds_err *err);

#endif
