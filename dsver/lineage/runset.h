/* runset.h - the datasets that a run consumed, found again: in the store by commit, else by root,
 * or in DSR files. What audit, seen and batch read.
 *
 * Opening finds; ds_runset_load reads the lengths of a dataset's records (4 bytes each in memory)
 * and what recfacts.h wants.
 * One thread.
 */
#ifndef DS_RUNSET_H
#define DS_RUNSET_H

#include "factread.h"
#include "lineage.h"

enum ds_runset_where { DS_SET_ABSENT, DS_SET_COMMIT, DS_SET_ROOT, DS_SET_FILE };

typedef struct ds_runset_part {
    const ds_run_dataset *want;
    enum ds_runset_where where;
    git_oid commit;   /* where it is in the store */
    const char *path; /* where it is a file; borrowed */
    /* After ds_runset_load: */
    bool loaded;
    ds_sha root; /* recomputed: from the manifest, or the file */
    uint64_t records;
    uint64_t erased;   /* blocks of it that hold tombstones */
    char *tokenizer;   /* that the column names, "" for none */
    ds_recfacts facts; /* loss mask and facets */
    ds_colread *col;
    ds_buf lengths;     /* uint32_t */
    ds_buf starts, ids; /* of a file: uint64_t, uint32_t */
    /* the block last fetched */
    ds_buf block;
    ds_buf block_ids, block_starts;
    size_t block_at;
    bool block_have;
} ds_runset_part;

typedef struct ds_runset {
    ds_store *store; /* may be NULL */
    const ds_run *run;
    ds_runset_part *parts; /* one for each of the run's datasets */
    uint64_t *firsts;      /* ds_run_firsts */
    uint64_t records;
} ds_runset;

/* files: DSR files for datasets that are not in the store, taken by their names or their places:
 * the k-th file for the k-th dataset that has no other. Zeroed or fini'd before; borrows all. */
int ds_runset_open(ds_runset *s, ds_store *store, const ds_run *run, const char *const *files,
                   size_t nfiles, ds_err *err);
void ds_runset_fini(ds_runset *s);
int ds_runset_load(ds_runset *s, size_t part, ds_err *err);
/* Lengths of all records of all datasets, as the packing wants them. DS_FAIL when one is not loaded
 * or has another number of records than the run says. */
int ds_runset_lengths(ds_runset *s, ds_buf *out, ds_err *err);
/* Tokens [offset, offset + n) of a record, into out (uint32_t, appended). */
int ds_runset_tokens(ds_runset *s, size_t part, uint64_t record, uint32_t offset, uint32_t n,
                     ds_buf *out, ds_err *err);
/* Targets of a piece, by the run's loss mask. The dataset is loaded and holds the record. */
uint64_t ds_runset_targets(const ds_runset *s, const ds_span *span);
/* "docs:12[0+128] docs:7[128+5]", at most a few of them. */
int ds_runset_text(const ds_runset *s, ds_buf *out, const ds_span *spans, size_t n, ds_err *err);
/* The dataset of a record that is numbered through. */
size_t ds_runset_part_of(const ds_runset *s, uint64_t record);

#endif
