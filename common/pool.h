/* pool.h - a thread pool whose results come back in the order of submission (after htslib's).
 *
 * One producer thread submits jobs and takes results; at most `window` jobs are in flight, so
 * memory is bounded. A job's function runs on a worker and keeps its own ds_err inside its own
 * argument. With threads <= 1 no thread is made: ds_pool_submit runs the job at once. Same results
 * for any thread count.
 */
#ifndef DS_POOL_H
#define DS_POOL_H

#include <pthread.h>
#include <stdbool.h>

#include "error.h"

typedef struct ds_pool ds_pool;
typedef void (*ds_job_fn)(void *job, void *ctx); /* ctx: as given to ds_pool_new */

int ds_pool_new(ds_pool **out, int threads, int window, ds_job_fn fn, void *ctx, ds_err *err);
/* Submits; the pool borrows `job` until ds_pool_next returns it. Call only when !ds_pool_full. */
int ds_pool_submit(ds_pool *p, void *job, ds_err *err);
bool ds_pool_full(const ds_pool *p);  /* window jobs are in flight */
bool ds_pool_empty(const ds_pool *p); /* none is in flight */
void *ds_pool_next(ds_pool *p);       /* waits for the oldest job; NULL when none is in flight */
void ds_pool_free(ds_pool *p);        /* waits for all; jobs not taken stay the caller's */

/* A thread that signals do not reach: they stay with the one that began the program. False: the
 * system gives none. */
bool ds_thread_begin(pthread_t *thread, void *(*fn)(void *), void *arg);

/* One thing done beside another: on a thread where one is wanted and to be had, or else here, when
 * its end is waited for. fn keeps its own error. The struct stays where it is until then. */
typedef struct ds_beside {
    pthread_t thread;
    bool begun; /* by a thread */
    void (*fn)(void *arg);
    void *arg;
} ds_beside;

void ds_beside_begin(ds_beside *b, bool thread, void (*fn)(void *arg), void *arg);
/* Waits for it. What no thread began is done now if `still` and left undone otherwise; a second
 * call, and one with a zeroed struct, does nothing. */
void ds_beside_end(ds_beside *b, bool still);

int ds_cpu_count(void); /* processors this process may run on, at least 1 */

#endif
