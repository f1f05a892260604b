/* loader.h - rows of a run, as micro-batches of tokens: fetched by threads of their own while the
 * backend computes.
 *
 * Which tokens lie in which row is a pure function of the run's description (packing.h); the loader
 * only fetches them. One thread fetches at first; whenever the backend had to wait, one more does,
 * and one less when the queue has been full for long. Micro-batches come in order, whatever thread
 * fetched them. A row is padded to seq_len with tokens that nothing learns from, except for
 * prompt tuning, where every piece is preceded by the virtual tokens and rows are as long as they
 * are; their micro-batches are padded, where that is asked for, to one of few lengths.
 */
#ifndef DS_LOADER_H
#define DS_LOADER_H

#include "dataset.h"
#include "lineage.h"
#include "net.h"

typedef struct ds_loader ds_loader;

/* A record that is a pair becomes two sequences, the one that is preferred and then the other. */
enum ds_side { DS_SIDE_NONE, DS_SIDE_CHOSEN, DS_SIDE_REJECTED };

/* One micro-batch of whole rows. Lent until given back. */
typedef struct ds_minibatch {
    uint64_t row, rows; /* its first row, and how many */
    int64_t t;
    int32_t *ids, *pos, *target, *cu;
    float *weight;
    uint8_t *learn; /* of the sequence added last: which of its tokens are targets */
    int32_t nseqs;
    uint8_t *side;     /* of each sequence, enum ds_side */
    uint64_t pairs;    /* of all rows, but for erased ones */
    uint64_t *targets; /* of each row */
    uint64_t learnt;   /* of the targets of all rows; those of erased records are not */
    ds_buf *pieces;    /* of each row: ds_spans_encode */
    uint64_t tokens;   /* without padding */
} ds_minibatch;

/* Rows `first` on, `rows` of them a micro-batch, `count` in all. virtual_ids: vocab and number of
 * virtual tokens (0: none). */
typedef struct ds_loader_conf {
    const ds_run *run;
    ds_dataset **datasets;
    uint64_t first, rows, count;
    int32_t vocab, virtual_tokens;
    int depth;   /* micro-batches prepared ahead */
    int threads; /* that fetch at most; 0: as many as there are processors, up to 8 */
    bool even;   /* micro-batches of prompt tuning have few lengths: eight from one power of two to
                    the next, and multiples of 8, so that shapes of work come again */
} ds_loader_conf;
int ds_loader_new(ds_loader **l, const ds_loader_conf *c,
                  ds_err *err); /* conf's pointers are borrowed */
/* The next micro-batch; 1, or 0 after the last. */
int ds_loader_next(ds_loader *l, ds_minibatch **m, ds_err *err);
/* The micro-batch `after` places behind the next one where it is fetched already, else NULL: to be
 * looked at until ds_loader_next gives it out. */
const ds_minibatch *ds_loader_peek(ds_loader *l, uint64_t after);
void ds_loader_give_back(ds_loader *l, ds_minibatch *m);
void ds_loader_free(ds_loader *l); /* NULL is fine */

typedef struct ds_loader_stats {
    uint64_t waits; /* how often ds_loader_next had to wait */
    double waited;  /* seconds, together */
    int threads;    /* that fetch now */
    int most;       /* and at most at one time */
} ds_loader_stats;
ds_loader_stats ds_loader_about(ds_loader *l);

/* Can the run's data be trained on? DS_FAIL names a record that is too long for a row when the run
 * refuses those, or has a token that is not in the vocabulary: before anything is computed. */
int ds_loader_check(const ds_run *run, ds_dataset **datasets, int32_t vocab, ds_err *err);
/* Tokens of the longest micro-batch that a loader would give out; none is fetched. */
int ds_loader_longest(int64_t *tokens, const ds_loader_conf *c, ds_err *err);
/* Rows of `epochs` whole epochs of the run. */
int ds_loader_count(uint64_t *rows, const ds_run *run, ds_dataset **datasets, uint32_t epochs,
                    ds_err *err);

#endif
