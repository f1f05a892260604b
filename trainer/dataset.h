/* dataset.h - tokens to train on: a version in a store, read in place, or a DSR file.
 *
 * Opening reads the lengths of all records (4 bytes each in memory) and what recfacts.h wants.
 * Tokens are fetched block by block through a cache. The same records give the same tokens wherever
 * they lie. Any number of threads may fetch; opening and closing is for one.
 */
#ifndef DS_DATASET_H
#define DS_DATASET_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "hash.h"
#include "lineage.h"
#include "recfacts.h"

typedef struct ds_dataset ds_dataset;

typedef struct ds_dataset_info {
    const char *name; /* "docs", or the file's name without folders */
    char commit[41];  /* "" for a file */
    ds_sha root;
    const char *tokenizer; /* "sha256:..." of the column, or "" */
    uint64_t records, tokens;
    const uint32_t *lengths;    /* 0 of records that are left out; tokens is their sum */
    const ds_records *left_out; /* since they were erased: ascending and apart */
    size_t nleft_out;
    uint64_t gone;            /* records that were erased and are not left out */
    uint32_t largest;         /* token */
    uint64_t largest_at;      /* record that has it first */
    const char *mask;         /* column that says which tokens are targets, or "" */
    bool paired;              /* records hold a prompt with either of two answers */
    const ds_recfacts *facts; /* the mask, and what is counted */
} ds_dataset_info;

/* spec: DATASET[@REV] of the store (found as dsver finds it; `store` may be NULL), or a path that
 * ends in .dsr. column: "tokens". mask: a column of runs, "none", or NULL: "loss" where there is
 * one. Records that were erased from the store are left out. */
int ds_dataset_open(ds_dataset **d, const char *spec, const char *store, const char *column,
                    const char *mask, ds_err *err);
/* Leaves out these instead (copied): those that a run left out when it began. */
int ds_dataset_leave_out(ds_dataset *d, const ds_records *v, size_t n, ds_err *err);
const ds_dataset_info *ds_dataset_about(const ds_dataset *d);
enum { DS_DIGEST_TEXT = 7 + 64 + 1 }; /* "sha256:..." */
/* Of tokenizer.json in a model's folder; "" where there is none. */
int ds_tokenizer_digest(char out[DS_DIGEST_TEXT], const char *model, ds_err *err);
/* Refuses tokens of another tokenizer, where both are known. */
int ds_dataset_tokenizer(const ds_dataset *d, const char *tokenizer, ds_err *err);
/* Tokens [offset, offset + n) of a record. */
int ds_dataset_tokens(ds_dataset *d, uint64_t record, uint32_t offset, uint32_t n, int32_t *out,
                      ds_err *err);
/* Which of these tokens are targets: learn[i] = 1 where token offset + i is predicted from those
 * before it in the stretch. Any thread. */
void ds_dataset_targets(const ds_dataset *d, uint64_t record, uint32_t offset, uint32_t n,
                        uint8_t *learn);
/* Was it erased? Its tokens are zeros then, and nothing that was its author's. Any thread. */
bool ds_dataset_erased(const ds_dataset *d, uint64_t record);
/* Where the second side of a pair begins, whose first one is the answer that is preferred. False of
 * a record that is none, as it was erased. */
bool ds_dataset_pair(const ds_dataset *d, uint64_t record, uint32_t *at);
/* Refuses pairs where texts are wanted, and texts where pairs are. */
int ds_dataset_want_pairs(const ds_dataset *d, bool pairs, ds_err *err);
void ds_dataset_close(ds_dataset *d); /* NULL is fine */

#endif
