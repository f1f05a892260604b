/* pqleaf.h - the values of one column of one group of rows of a Parquet file, one after the other,
 * with their levels.
 *
 * One page is in memory at a time, and the column's dictionary. Pages' checksums are checked where
 * they have one. A zeroed object is valid for _fini. One thread.
 */
#ifndef DS_PQLEAF_H
#define DS_PQLEAF_H

#include "pqcode.h"

typedef struct ds_pqsource {
    int fd;
    const char *name;
    uint64_t size, max_ratio;
    size_t max_record;
} ds_pqsource;

typedef struct ds_pqleaf {
    const ds_pqsource *from;
    const ds_pqnode *node;
    int codec;
    uint64_t at;     /* where the next page begins */
    uint64_t unread; /* levels in pages that have not been read */
    uint64_t here;   /* where the page in memory begins, for messages */
    ds_buf packed, page, dictionary;
    ds_pqvalue *entries;
    size_t nentries;
    bool has_dictionary;
    /* of the page in memory */
    ds_pqrle reps, defs;
    bool no_reps, no_defs; /* all are 0 */
    ds_pqvalues values;
    uint32_t left;
    /* what comes next, where `ready`; else nothing does */
    bool ready;
    int rep, def;
} ds_pqleaf;

/* Begins with a column's pages. */
void ds_pqleaf_begin(ds_pqleaf *l, const ds_pqsource *from, const ds_pqnode *n,
                     const ds_pqchunk *c);
/* Sees to it that rep and def are those of what comes next; !ready: nothing does. Errors of these
 * two: DS_IO, DS_NOMEM, or 1: what is at l->here is damaged, *why (static) says how. */
int ds_pqleaf_look(ds_pqleaf *l, const char **why, ds_err *err);
/* Takes what was looked at; x is its value where def is the node's (then *there). What x points to
 * stays until the next look. */
int ds_pqleaf_take(ds_pqleaf *l, ds_pqvalue *x, bool *there, const char **why, ds_err *err);
void ds_pqleaf_fini(ds_pqleaf *l);

#endif
