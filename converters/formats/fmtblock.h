/* fmtblock.h - a block of records on its way into a format: the values, row by row, and the bytes
 * that they become.
 *
 * The driver steps; a format's `row` reads b->row.values and appends to b->out. Bytes lie in a
 * spool, so that a value of any size passes in constant memory. One thread each.
 */
#ifndef DS_FMTBLOCK_H
#define DS_FMTBLOCK_H

#include "fmtloss.h"
#include "jsonrow.h"

typedef struct ds_fmtblock {
    const ds_schema *schema;
    const ds_block *block;
    const ds_jsonform *form; /* all columns, tensors with their data */
    ds_jsonrow row;          /* views and values; the JSON of a value goes to row.out */
    uint64_t number;         /* of the record in the stream, from 0 */
    ds_spool out;
    ds_buf ends;    /* u64: where each record ends in out */
    ds_buf scratch; /* the format's own */
    uint64_t *lost; /* by number of a loss */
    size_t nlost;
} ds_fmtblock; /* a zeroed object is valid */

int ds_fmtblock_put(ds_fmtblock *b, const void *p, size_t len, ds_err *err);
int ds_fmtblock_u32(ds_fmtblock *b, uint32_t v, ds_err *err);
int ds_fmtblock_u64(ds_fmtblock *b, uint64_t v, ds_err *err);
/* The value of a column as JSON text, in b->row.out, in place of what was there. */
int ds_fmtblock_json(ds_fmtblock *b, size_t column, ds_err *err);
/* That text does not say what the value is: see ds_fmtloss_json. */
bool ds_fmtblock_json_loses(const ds_fmtblock *b, size_t column);
/* Turns a block into bytes by the format's functions. */
struct ds_format;
int ds_fmtblock_encode(ds_fmtblock *b, const struct ds_format *f, const void *writer,
                       const ds_block *block, uint64_t first, ds_err *err);
void ds_fmtblock_fini(ds_fmtblock *b);

#endif
