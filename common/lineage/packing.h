/* packing.h - records into rows of S tokens: best fit decreasing over a window of the order
 * (docs/lineage-format.md, "Packing").
 *
 * A ds_packing walks the rows of a run from row 0 on; it is a pure function of its description and
 * the records' lengths. Memory: one window.
 */
#ifndef DS_PACKING_H
#define DS_PACKING_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "error.h"
#include "mixture.h"

enum ds_long { DS_LONG_ERROR, DS_LONG_SPLIT, DS_LONG_TRUNCATE };

typedef struct ds_packing_conf {
    uint64_t seed;
    uint64_t records;        /* of all datasets, numbered through */
    const uint32_t *lengths; /* tokens of each; borrowed */
    uint32_t seq_len;        /* S */
    uint32_t window;         /* records packed together */
    enum ds_long longer;
    const ds_mixpart *mix; /* datasets with weights, in order; NULL: none has one. Borrowed until
                            * ds_packing_new is back */
    size_t nmix;
} ds_packing_conf;

typedef struct ds_span {
    uint64_t record; /* numbered through */
    uint32_t offset, len;
} ds_span;

typedef struct ds_packing ds_packing;
int ds_packing_new(ds_packing **p, const ds_packing_conf *c, ds_err *err);
/* The next row's spans, lent until the next call; *row numbers it. DS_FAIL names a record that is
 * too long, or data without tokens. */
int ds_packing_next(ds_packing *p, uint64_t *row, const ds_span **spans, size_t *n, ds_err *err);
/* Of the row last given: as many records as there are were visited before it, so many times. */
uint32_t ds_packing_epoch(const ds_packing *p);
void ds_packing_free(ds_packing *p);

/* Canonical bytes of a row's spans for the ledger. firsts: the number of each dataset's first
 * record, ascending, firsts[0] = 0. */
int ds_spans_encode(ds_buf *out, const ds_span *spans, size_t n, const uint64_t *firsts,
                    size_t datasets, ds_err *err);
/* Back: record numbers through. Appends ds_span objects to out. */
int ds_spans_decode(ds_buf *out, const void *p, size_t len, const uint64_t *firsts, size_t datasets,
                    ds_err *err);

#endif
