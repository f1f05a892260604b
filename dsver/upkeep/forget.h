/* forget.h - records are erased from every version and every pack; history stays as it is.
 *
 * With nobody else writing: the records are found in all versions that anything leads to; the
 * blocks that hold them are stored once more with tombstones in their place (tombstone.h), and the
 * pages of sources that were about them alone; the overlay and a statement are published
 * (overlay.h), which is the one point at which readers see tombstones; then everything that no
 * version needs any more goes from the packs (collect.h). Killed before that point nothing has
 * happened; after it, the next gc carries it through.
 */
#ifndef DS_FORGET_H
#define DS_FORGET_H

#include "collect.h"
#include "fieldvalue.h"
#include "sign.h"
#include "strlist.h"

typedef struct ds_forget_opts {
    const ds_buf *keys;          /* NUL-terminated, one after the other; or: */
    const ds_fieldvalue *where;  /* records with the value */
    const char *dataset;         /* only of this one; NULL: of all */
    const char *reason, *author; /* author: as in person.h */
    enum ds_signing sign;        /* the statement */
    int threads;
    bool wait, dry_run;
} ds_forget_opts;

typedef struct ds_taint { /* a run that consumed an erased record */
    char *run, *digest;
    char *absent;       /* a dataset of the run that is not in the store: what it consumed of that
                           is not known, and nothing below is said; NULL: none */
    uint64_t step;      /* at which it first did; 0: its data holds the record, but it did not */
    uint64_t abandoned; /* the same of what the run went back from */
    ds_buf checkpoints; /* uint64_t: those that have seen it */
} ds_taint;

typedef struct ds_forgotten {
    uint64_t records;         /* different ones, by key */
    uint64_t rows;            /* in all versions together */
    uint64_t versions;        /* that held one */
    uint64_t blocks, sources; /* rewritten; emptied */
    bool inner;          /* some records have objects or arrays where the value is looked for */
    ds_buf touched;      /* git_oid: of those versions */
    ds_strlist datasets; /* whose version each of them is */
    ds_strlist unmet;    /* keys that no version has */
    ds_taint *taints;
    size_t ntaints, cap_taints;
    ds_sha statement; /* SHA-256 of its text */
    ds_collected gone;
} ds_forgotten;

/* DS_FAIL when no version holds such a record. The store is open for writing.
 * gone.objs.bytes_before is what the packs took before anything was stored for it. */
int ds_forget_run(ds_forgotten *out, ds_store *s, const ds_forget_opts *o, ds_err *err);
void ds_forgotten_fini(ds_forgotten *f);

/* Which runs consumed records of a version. dataset: that alone is looked at; NULL: all are.
 * ordinals: ascending (uint64_t). */
int ds_taint_find(ds_forgotten *out, ds_store *s, const char *dataset,
                  const ds_buf *(*ordinals)(void *ctx, const git_oid *version), void *ctx,
                  ds_err *err);

#endif
