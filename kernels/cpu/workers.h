/* workers.h - threads that split one loop: run calls fn(arg, i) for every i in [0, n), in no fixed
 * order, and returns when all are done. Used by one thread at a time. What fn computes must not
 * depend on who runs it. */
#ifndef DS_WORKERS_H
#define DS_WORKERS_H

#include <stdint.h>

#include "error.h"

typedef struct ds_workers ds_workers;
typedef void (*ds_work_fn)(void *arg, int64_t i);
int ds_workers_new(ds_workers **w, int threads, ds_err *err);
int ds_workers_count(const ds_workers *w);
void ds_workers_run(ds_workers *w, int64_t n, ds_work_fn fn, void *arg);
void ds_workers_free(ds_workers *w);

#endif
