/* pqfooter.h - the footer of a Parquet file, made: its schema, and the groups of rows that were
 * written. One thread.
 */
#ifndef DS_PQFOOTER_H
#define DS_PQFOOTER_H

#include "pqfile.h"

/* A column of a group that was written. */
typedef struct ds_pqdone {
    uint64_t at;         /* of its first page: from the group's beginning */
    uint64_t dictionary; /* bytes of its dictionary's page, which stands first; 0: it has none */
    uint64_t values, nulls, raw, packed;
    bool any; /* the least and the most are known */
    int64_t least, most;
} ds_pqdone;

typedef struct ds_pqgroupdone {
    uint64_t at, rows;
    ds_pqdone *leaves; /* of all leaves; owned by who has it */
} ds_pqgroupdone;

/* Adds a node below `parent` (of the root: 0, which the first call adds). Its levels follow from
 * the parent's. *at may be NULL. DS_NOMEM. */
int ds_pqfile_add(ds_pqfile *f, size_t parent, const ds_pqnode *n, size_t *at);
/* Appends the footer, without its length and the magic. */
int ds_pqfooter_put(ds_buf *out, const ds_pqfile *f, const ds_pqgroupdone *groups, size_t n,
                    int codec);

#endif
