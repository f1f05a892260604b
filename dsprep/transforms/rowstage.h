/* rowstage.h - a stage that decides record by record: the frame that all transforms share
 * (docs/transforms.md).
 *
 * A worker looks at a block, gives each row a verdict (an output, or a reason to drop it) and makes
 * the columns that are new; rows then go, in stream order and on one thread, to the outputs and
 * the rejects, whose blocks are cut anew. Origins and sources travel with them; the input's counts
 * of what was held and failed are kept, and what is dropped is added to them by reason. The outcome
 * is the same for any number of threads.
 *
 * Several input files are one stream when they are shards of one: sources are numbered on. Memory:
 * a few blocks a thread, and what the stage itself keeps. A plan is made by one thread and then
 * only read; a ds_rowblock belongs to one worker.
 */
#ifndef DS_ROWSTAGE_H
#define DS_ROWSTAGE_H

#include <jansson.h>

#include "colname.h"
#include "instream.h"
#include "options.h"

/* ---- options that all of these commands have ---- */

typedef struct ds_rowopts {
    const char *output, *rejects;
    int64_t level, threads;
    bool quiet, json;
} ds_rowopts;

#define DS_ROWOPTS_REJECTS(o)                                                                      \
    OPT_STR(0, "rejects", (o).rejects, "FILE",                                                     \
            "write what is dropped as a stream of its own, with columns reason and note")
#define DS_ROWOPTS_MARKED "--rejects is of what is dropped, and with --mark nothing is"
#define DS_ROWOPTS_REST(o) DSPREP_LEVEL((o).level), DSPREP_SUMMARY((o).json, (o).quiet)
#define DS_ROWOPTS_COMMON(o) DSPREP_THREADS((o).threads), DS_ROWOPTS_REST(o)

/* ---- columns that a worker makes ---- */

typedef struct ds_cell {
    bool null;
    int64_t i; /* bool, i64, timestamp */
    double f;
    uint64_t at, len; /* bytes kinds: in data */
} ds_cell;

typedef struct ds_madecol {
    enum ds_type type;
    ds_spool data;
    ds_buf cells; /* of ds_cell, one a row */
} ds_madecol;

/* One call a row, in order. Bytes in parts: put to `data`, then ds_made_end with where it began. */
int ds_made_null(ds_madecol *m, ds_err *err);
int ds_made_bytes(ds_madecol *m, const void *p, size_t len, ds_err *err);
int ds_made_i64(ds_madecol *m, int64_t v, ds_err *err);
int ds_made_f64(ds_madecol *m, double v, ds_err *err);
int ds_made_end(ds_madecol *m, uint64_t began, ds_err *err);

/* ---- a block and its verdicts ---- */

#define DS_VERDICT_DROP 0x80000000u /* | reason; else the number of the output */

typedef struct ds_rowblock {
    const ds_schema *schema; /* of the input */
    const ds_block *block;
    ds_colview *views;    /* of all columns, rewound; utf8 and json values are well formed */
    uint64_t first;       /* which row of the input its first row is */
    uint32_t *verdict;    /* by row; zeroed: output 0 */
    ds_madecol *made;     /* as many as the plan demands; one value a row, dropped rows too */
    bool notes;           /* somebody reads them */
    ds_buf note, note_at; /* texts; u64 pairs: row, end in note */
} ds_rowblock;

/* Drops a row. `note` says what was found; NULL or "" when there is nothing to say. */
int ds_rowblock_drop(ds_rowblock *b, uint64_t row, uint32_t reason, const char *note, ds_err *err);

/* ---- a stage ---- */

typedef struct ds_rowops {
    size_t state_size; /* of a worker's memory: zeroed at first, kept from block to block */
    /* Any thread; ctx is only read. */
    int (*work)(const void *ctx, void *state, ds_rowblock *b, ds_err *err);
    /* In stream order on one thread, before the rows go out: may change verdicts. May be NULL. */
    int (*done)(void *ctx, void *state, ds_rowblock *b, ds_err *err);
    void (*fini)(void *state);
} ds_rowops;

enum { DS_ROWPLAN_MADE = 256 }; /* as many as a schema has */

/* Where a column of an output comes from: column i of the input, or made column -1 - k. */
typedef struct ds_rowplan {
    const char *tool; /* "dsprep filter" */
    ds_schema schema; /* of the outputs */
    int *from;
    size_t nmade;
    enum ds_type made[DS_ROWPLAN_MADE];
    const char *const *reasons; /* by number */
    size_t nreasons;
    json_t *options, *digests;  /* of the provenance step; owned, may be NULL */
    const char *const *outputs; /* paths; NULL: one, which opts name */
    size_t noutputs;
} ds_rowplan;

/* The plan's schema is the input's. */
int ds_rowplan_init(ds_rowplan *p, const ds_schema *in, ds_err *err);
/* A column more, at the end; its made column is the next one. */
int ds_rowplan_add(ds_rowplan *p, const char *name, enum ds_type type, bool nullable,
                   const char *attrs, ds_err *err);
/* Column `column` of the input is made anew: *made is its number. */
int ds_rowplan_replace(ds_rowplan *p, size_t column, size_t *made, ds_err *err);
/* Column `name` of the result is made as this type, where it stands or at the end; *made is its
 * number. DS_USAGE when it is the key, or made already. */
int ds_rowplan_make(ds_rowplan *p, const char *name, enum ds_type type, size_t *made, ds_err *err);
void ds_rowplan_drop(ds_rowplan *p, size_t column); /* of the result */

typedef struct ds_rowresult {
    uint64_t input, output, held; /* records; held: dropped here */
    uint64_t *dropped;            /* by reason; owned */
    uint64_t *routed;             /* by output; owned */
} ds_rowresult;
void ds_rowresult_fini(ds_rowresult *r);

/* Runs it: outputs and rejects appear when all is well, and say why when it is not. */
int ds_rowstage_run(ds_rowresult *res, ds_instream *in, const ds_rowplan *p, const ds_rowops *ops,
                    void *ctx, const ds_rowopts *o, ds_err *err);
/* "dsprep filter: 5 input = 3 output + 2 held: 2 where", as commands print it. */
void ds_rowresult_text(ds_buf *out, const ds_rowresult *r, const ds_rowplan *p);

/* What a command holds while its stage runs, and gives back at once; zeroed at first. */
typedef struct ds_rowjob {
    ds_instream *in;
    ds_rowplan plan;
    ds_rowresult result;
} ds_rowjob;
void ds_rowjob_fini(ds_rowjob *j);

/* The column of text that an option names; any of `types` (bits 1 << enum ds_type). */
int ds_rowcolumn_find(size_t *column, ds_instream *in, const char *name, unsigned types,
                      ds_err *err);

/* What was read of large values of a row need not stay in memory. */
void ds_block_release(const ds_block *b, const ds_colview *views, const ds_value *values, size_t n);

#endif
