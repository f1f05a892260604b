/* pqpage.h - a page of a Parquet column, made: levels in runs, values plain, packed by zstd, with a
 * checksum. Pure functions of their input; any thread, with a press of its own.
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
void ds_pqpart_reset(ds_pqpart *p); /* memory is kept, but not what one large value took */
void ds_pqpart_fini(ds_pqpart *p);

/* What pages are made with, from one to the next: zstd's tables, and memory. A zeroed object is
 * valid. */
typedef struct ds_pqpress {
    struct ZSTD_CCtx_s *zstd;
    ds_buf body, packed;
    ds_buf page;  /* the last one, head first */
    uint64_t raw; /* its bytes unpacked, with the head */
} ds_pqpress;
void ds_pqpress_reset(ds_pqpress *x); /* as ds_pqpart_reset */
void ds_pqpress_fini(ds_pqpress *x);

/* Makes x->page; level 0 leaves it unpacked. numbers: u32, of a dictionary, which stand for the
 * values; NULL: these are plain. DS_FAIL where it is larger than any page can be. */
int ds_pqpage_make(ds_pqpress *x, const ds_pqpart *p, const ds_pqnode *leaf, const ds_buf *numbers,
                   int level, ds_err *err);
/* The page of a dictionary. */
int ds_pqpage_make_dictionary(ds_pqpress *x, const ds_pqdict *d, int level, ds_err *err);

#endif
