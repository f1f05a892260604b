/* lineage.h - lineage.json of a checkpoint and the description of a run (docs/lineage-format.md).
 *
 * Both are canonical JSON: the same facts give the same bytes. What is read is checked in full;
 * DS_CORRUPT names the member. A zeroed object is valid; _fini frees what it owns.
 */
#ifndef DS_LINEAGE_H
#define DS_LINEAGE_H

#include "filesum.h"
#include "hash.h"
#include "json.h"
#include "packing.h"

extern const char *const ds_long_names[3]; /* by enum ds_long */

/* Records of a dataset, by their place in it. */
typedef struct ds_records {
    uint64_t first, n;
} ds_records;
#define DS_ERASED_MAX 65536 /* in a description */

typedef struct ds_run_dataset {
    char *name;      /* of the dataset, or of the file */
    char *column;    /* "tokens" */
    char *tokenizer; /* "sha256:..." or "" */
    ds_sha root;
    uint64_t records;
    char *mask;         /* column of the loss mask; NULL or "": none */
    uint64_t weight;    /* share of the tokens, against the other datasets'; 0: they have none */
    ds_records *erased; /* before the run, so left out of it: ascending and apart */
    size_t nerased;
    char commit[41]; /* "" for a file; in lineage.json only, not in the run description */
} ds_run_dataset;

/* What a run is a function of. Nothing else may change its bits, and nothing here says how it was
 * split into micro-batches or threads. */
typedef struct ds_run {
    ds_run_dataset *datasets;
    size_t ndatasets;
    uint64_t seed, steps, rows; /* rows a step */
    uint32_t seq_len, window;
    enum ds_long longer;
    ds_sha model; /* ds_filesum_dir of the base model's config.json and weights: see ds_model_sum */
    /* canonical JSON object: method, optimizer, schedule, dtype: the trainer's own */
    char *training;
    char *trainer; /* version */
} ds_run;
/* {"version":1,"trainer":..,"datasets":[{"name","column","tokenizer","root","records"[,"mask"]
 * [,"weight"][,"erased"]}..],"seed","steps","rows","seq_len","window","long","model","training"} */
int ds_run_dump(ds_buf *out, const ds_run *r, ds_err *err);
int ds_run_digest(ds_sha *out, const ds_run *r, ds_err *err); /* SHA-256("ds.run\0" || dump) */
/* The packing of the run's rows; lengths of all datasets' records, one after the other, borrowed.
 */
int ds_run_packing(ds_packing **p, const ds_run *r, const uint32_t *lengths, ds_err *err);
/* A dataset's lengths as its run packs them: records that it leaves out have none. DS_FAIL where
 * there are no such records. */
int ds_run_leave_out(uint32_t *lengths, uint64_t records, const ds_records *left_out, size_t n,
                     ds_err *err);
/* firsts[i] = number of dataset i's first record; returns the number of all. */
uint64_t ds_run_firsts(const ds_run *r, uint64_t *firsts);

typedef struct ds_lineage {
    char *name;   /* of the checkpoint's folder: "step-000300" */
    ds_sha files; /* ds_filesum_dir(dir, "lineage.json") */
    ds_run run;
    char *environment;   /* canonical JSON object: backend, instructions, compiler ... */
    char *model_name;    /* last part of the base model's path */
    ds_sha binary;       /* of the trainer */
    uint64_t step, rows; /* rows in the ledger up to here */
    ds_sha head;         /* last chain value */
    char *consumed;      /* ds_consumed_dump of the steps of the last segment; NULL: not told */
} ds_lineage;
void ds_lineage_fini(ds_lineage *l);
int ds_lineage_dump(ds_buf *out, const ds_lineage *l, ds_err *err);
int ds_lineage_parse(ds_lineage *l, const void *json, size_t len, const char *what, ds_err *err);
int ds_lineage_read(ds_lineage *l, const char *checkpoint_dir, ds_err *err); /* DIR/lineage.json */

#endif
