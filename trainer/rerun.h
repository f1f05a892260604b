/* rerun.h - a stretch of a run once more, and whether it gives the same bits. */
#ifndef DS_RERUN_H
#define DS_RERUN_H

#include "finetune.h"

typedef struct ds_replay_conf {
    const char *checkpoint; /* RUN/step-NNNNNN: the end of the stretch */
    uint64_t from; /* start at the run's last checkpoint at or before this step; 0: the beginning */
    const char *model; /* NULL: what the run's `base` leads to */
    const char *store;
    const char *const
        *data; /* instead of the datasets that the lineage names, in their order; may be NULL */
    size_t ndata;
    const char *scratch; /* folder for what is computed, made and removed by the caller */
    const char *device;  /* NULL: the CPU */
    bool eager;          /* there: no step is captured */
    int threads;
    bool quiet;
} ds_replay_conf;

typedef struct ds_replay_result {
    bool same;
    uint64_t first, last; /* steps replayed */
    uint64_t differs;     /* the first step whose loss, norm or rate differs; 0 = none */
    char why[512];        /* what differs, in words */
} ds_replay_result;

/* 0 when the replay itself ran: see result->same. */
int ds_replay(ds_replay_result *out, const ds_replay_conf *c, ds_step_fn fn, void *ctx,
              ds_err *err);

#endif
