/* mixin.h - one of the streams that dsprep mix reads: its records one by one, its sources, counts
 * and columns.
 *
 * A zeroed object is valid. Memory: a block, and 48 bytes and the name of each source. One thread.
 */
#ifndef DS_MIXIN_H
#define DS_MIXIN_H

#include "operand.h"
#include "sourcelater.h"
#include "where.h"

typedef struct ds_mixin {
    ds_operand operand;
    char *name;
    uint64_t records, epoch; /* of the first reading; readings that were ended */
    uint64_t taken;          /* records that went out */
    ds_counts counts;        /* held and failed of the first reading */
    ds_sourcelater sources;  /* of the first reading */
    ds_schema schema;
    ds_buf prov;
    /* the record that ds_mixin_next gave */
    ds_colview *views;
    ds_value *values;
    ds_buf ranges; /* of ds_range; sources numbered through all shards */
    /* what it is reading */
    ds_instream *in;
    ds_where *by; /* what shares are of; NULL: records */
    ds_wherework work;
    const ds_block *block; /* NULL: the next one is wanted */
    uint64_t row, base, read;
    size_t origin_at;
    ds_origin_state origin;
    int *column; /* by column of the output: its own; -1: it has none. Owned */
} ds_mixin;

/* Opens it, and reads its schema. again: readings may follow. */
int ds_mixin_open(ds_mixin *m, const char *operand, const char *by, bool again, ds_err *err);
/* 1: a record, lent until the next call; 0: this reading is at its end; < 0: an error. */
int ds_mixin_next(ds_mixin *m, ds_err *err);
/* What it counts as in its share. */
int ds_mixin_amount(ds_mixin *m, uint64_t *amount, ds_err *err);
/* From the beginning again. */
int ds_mixin_again(ds_mixin *m, ds_err *err);
/* Reads the rest without looking at records: counted in `records`, its end is checked. */
int ds_mixin_drain(ds_mixin *m, ds_err *err);
void ds_mixin_fini(ds_mixin *m);

#endif
