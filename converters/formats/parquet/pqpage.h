/* pqpage.h - a page of a Parquet column, made: levels in runs, values plain, packed by zstd, with a
 * checksum. Pure functions of their input; any thread.
 */
#ifndef DS_PQPAGE_H
#define DS_PQPAGE_H

#include "pqdict.h"
#include "thrift.h"

/* Values of a leaf with their levels, on their way into a page. A zeroed object is valid. */
typedef struct ds_pqpart {
    ds_buf reps, defs; /* a byte each; where the leaf's most is 0, none */
    ds_buf values;     /* plain, but truths a byte each */
    uint64_t n;        /* levels */
    uint64_t nulls;    /* of them without a value */
    bool any;          /* of a leaf of INT64: the least and the most of its values */
    int64_t least, most;
} ds_pqpart;

/* Adds a level, with a value behind it in `values` or not. DS_NOMEM. */
int ds_pqpart_level(ds_pqpart *p, const ds_pqnode *leaf, int rep, int def);
void ds_pqpart_range(ds_pqpart *p, int64_t least, int64_t most);
void ds_pqpart_reset(ds_pqpart *p);
void ds_pqpart_fini(ds_pqpart *p);

/* Appends the page, head first; level 0 leaves it unpacked. *raw: its bytes unpacked, with the
 * head. numbers: u32, of a dictionary, which stand for the values; NULL: these are plain. DS_FAIL
 * where it is larger than any page can be. */
int ds_pqpage_put(ds_buf *out, const ds_pqpart *p, const ds_pqnode *leaf, const ds_buf *numbers,
                  int level, uint64_t *raw, ds_err *err);
/* Appends the page of a dictionary. */
int ds_pqpage_put_dictionary(ds_buf *out, const ds_pqdict *d, int level, uint64_t *raw,
                             ds_err *err);

#endif
