/* workpool.h - work on files in lasting processes, so that a crash, a hang or a flood costs the
 * file that it met and nothing else.
 *
 * One process a worker, forked by a process of one thread; each serves many jobs, two of which may
 * wait in its socket. A job is a descriptor to read and a name; what comes of it is a descriptor
 * that the work wrote to: memory (a memfd, used again), or whatever the work put in its place. Only
 * these two are lent to the process, with no other descriptor of the parent. Results come back in
 * the order of submission.
 *
 * A job that ends its process is tried once more in a fresh one, where it answers for itself alone:
 * what came before it cannot change what becomes of it. A process is replaced after `jobs` jobs or
 * when it has grown by `growth` bytes. Time is the processor's, and ten times as much by the clock
 * for what sleeps.
 */
#ifndef DS_WORKPOOL_H
#define DS_WORKPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

typedef struct ds_work_job {
    int in;            /* to read with pread: what it stands at is shared */
    uint64_t at, size; /* the bytes of it that are meant */
    const char *name;
    uint8_t ask; /* means what the work says */
} ds_work_job;

/* Runs in the worker: reads `in`, writes what came of it to *out from the start. It may put another
 * descriptor in place of *out, its own to make: what is long belongs into a file. Negative: it
 * could not even say what went wrong. */
typedef int ds_work_fn(void *ctx, const ds_work_job *job, int *out);

typedef struct ds_work_opts {
    ds_work_fn *fn;
    void *ctx;
    unsigned workers, seconds; /* seconds: 0 for no limit */
    unsigned jobs;             /* 0: as many as come */
    uint64_t memory;           /* address space; 0: no limit */
    uint64_t growth;           /* 0: any */
} ds_work_opts;

enum ds_work_end { DS_WORK_DONE, DS_WORK_FAILED, DS_WORK_CRASHED, DS_WORK_TIMEOUT };

typedef struct ds_workpool ds_workpool;
int ds_workpool_new(ds_workpool **p, const ds_work_opts *o, ds_err *err);
bool ds_workpool_full(const ds_workpool *p);
/* Borrows descriptor and name until the job has come back. Not when full. */
int ds_workpool_submit(ds_workpool *p, const ds_work_job *job, ds_err *err);
/* Waits for the oldest job. *out is lent until the next call, and makes sense after DS_WORK_DONE
 * alone; what stands behind the result's own end is of no meaning. */
int ds_workpool_next(ds_workpool *p, enum ds_work_end *how, int *out, ds_err *err);
void ds_workpool_free(ds_workpool *p); /* ends all processes */

#endif
