/* recfacts.h - what a run wants to know of a data set's records beside their tokens: the loss mask,
 * and the facets that it counts (docs/lineage-format.md, "Targets" and "Consumed").
 *
 * From the schema it says which columns it wants; their blocks are then given to it in order,
 * column by column or all of a block, the tokens' lengths before them; then all origins and all
 * sources, and ds_recfacts_end. One thread.
 */
#ifndef DS_RECFACTS_H
#define DS_RECFACTS_H

#include "dsr_io.h"
#include "facet.h"
#include "lossmask.h"
#include "srcfacet.h"

#define DS_RECFACTS_COLUMNS 8

typedef struct ds_factcol {
    size_t column; /* in the schema */
    bool mask, sides;
    size_t facet, nfacets; /* the first of it, and how many */
    uint64_t records;      /* taken so far */
} ds_factcol;

/* Zeroed is valid. */
typedef struct ds_recfacts {
    bool masked;
    ds_lossmask mask;
    bool paired;
    ds_lossmask sides; /* of two answers: 0 the one that is preferred, 1 the other */
    ds_facet *facets[16];
    size_t nfacets;
    ds_factcol cols[DS_RECFACTS_COLUMNS];
    size_t ncols;
    ds_srcfacet origins;
} ds_recfacts;

/* "loss" where the schema has such a column over `tokens`, else "". */
const char *ds_recfacts_mask(const ds_schema *s, const char *tokens);
/* mask: name of a column, or "" for none. DS_FAIL when it is not there or no mask of `tokens`. */
int ds_recfacts_init(ds_recfacts *f, const ds_schema *s, const char *tokens, const char *mask,
                     ds_err *err);
void ds_recfacts_fini(ds_recfacts *f);
/* Is there a column `sides` over `tokens`: does a record hold two answers? */
bool ds_recfacts_paired(const ds_schema *s, const char *tokens);
/* Wants it, too. After ds_recfacts_init. */
int ds_recfacts_sides(ds_recfacts *f, const ds_schema *s, const char *tokens, ds_err *err);
/* The next block of wanted column i. lengths: tokens of each record from the first on. */
int ds_recfacts_take(ds_recfacts *f, size_t i, ds_colview *v, const uint32_t *lengths, ds_err *err);
/* The next block of a stream: all wanted columns of it, and its origins. */
int ds_recfacts_block(ds_recfacts *f, const ds_block *b, const ds_schema *s,
                      const uint32_t *lengths, ds_err *err);
/* After all blocks and sources: which source each record is from is the last facet. */
int ds_recfacts_end(ds_recfacts *f, ds_err *err);
/* The mask, or NULL. */
const ds_lossmask *ds_recfacts_lossmask(const ds_recfacts *f);

#endif
