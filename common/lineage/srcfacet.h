/* srcfacet.h - which source each record came from, as a facet (docs/lineage-format.md, "Consumed").
 *
 * Blocks say sources by number, and what a source is called stands after the last block that needs
 * it: both are kept until the end, when records get the names in their order. One thread.
 */
#ifndef DS_SRCFACET_H
#define DS_SRCFACET_H

#include "dsr_io.h"
#include "dsr_origin.h"
#include "facet.h"

/* Zeroed is valid. */
typedef struct ds_srcfacet {
    ds_origin_state state;
    ds_buf ranges; /* of one record */
    ds_buf first;  /* uint64_t of each record: the source of its first range, UINT64_MAX for none */
    ds_buf names;  /* one after the other */
    ds_buf ends;   /* uint64_t of each */
} ds_srcfacet;

/* The next block's origin chunk. */
int ds_srcfacet_block(ds_srcfacet *s, const uint8_t *p, size_t len, uint64_t rows, ds_err *err);
/* The next source. */
int ds_srcfacet_source(ds_srcfacet *s, const ds_source *x, ds_err *err);
/* A value for each record so far, and nothing is kept. */
int ds_srcfacet_end(ds_srcfacet *s, ds_facet *f, ds_err *err);
void ds_srcfacet_fini(ds_srcfacet *s);

#endif
