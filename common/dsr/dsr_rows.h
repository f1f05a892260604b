/* dsr_rows.h - rows in, canonical blocks out: what a producer of records uses.
 *
 * For each record: ds_rows_begin, one ds_colbuild_* call for every column (ds_rows_col lends its
 * builder), ds_rows_origin as often as there are ranges, ds_rows_end. A record that failed half
 * way: ds_rows_drop. Blocks are cut and written as they fill.
 */
#ifndef DS_DSR_ROWS_H
#define DS_DSR_ROWS_H

#include "dsr_io.h"
#include "dsr_origin.h"

typedef struct ds_rows ds_rows;
int ds_rows_new(ds_rows **r, ds_writer *w, const ds_schema *s, ds_err *err); /* borrows both */
int ds_rows_begin(ds_rows *r, ds_err *err);
ds_colbuild *ds_rows_col(ds_rows *r, size_t column);
int ds_rows_origin(ds_rows *r, uint64_t source, uint64_t offset, uint64_t len, ds_err *err);
int ds_rows_end(ds_rows *r, ds_err *err);
int ds_rows_drop(ds_rows *r, ds_err *err);
/* Hash and size of the record that ended last (dsr_cut.h). */
void ds_rows_last(const ds_rows *r, uint64_t *hash, uint64_t *size);

/* One column's values may come late: records end by ds_rows_end_late, with what is known to be
 * their hash and size, and before their block is written `fill` puts the values of all `rows` of
 * its records that lack one into the builder, or gives *refs, which tell of the whole chunk (lent
 * until the next call). Before a record ends by ds_rows_end all before it in its block must have
 * their value. A column that is not primary has no part in hash and size: its value may be missing
 * at ds_rows_end just as well. `wrote`, where not NULL, is told of that column's chunk of every
 * block, before it is written. Both return 0 or a negative code. */
typedef struct ds_rows_late {
    size_t column;
    int (*fill)(void *ctx, ds_colbuild *b, uint64_t rows, const ds_refs **refs, ds_err *err);
    int (*wrote)(void *ctx, uint64_t rows, const ds_chunk *chunk, ds_err *err);
    void *ctx;
} ds_rows_late;
void ds_rows_set_late(ds_rows *r, const ds_rows_late *late);
int ds_rows_end_late(ds_rows *r, uint64_t hash, uint64_t size, ds_err *err);
/* A source is told of when it has been read to its end; it is written after the last block that
 * refers to it. Ordinals count up from 0 in the order of these calls and must be used in that
 * order. */
int ds_rows_source(ds_rows *r, const ds_source *s, ds_err *err);
/* Before the first record: the blocks go on others, which are written already. As ds_cutter_resume
 * wants it; origin: as it is behind them. */
void ds_rows_resume(ds_rows *r, const uint64_t *hashes, size_t n, const ds_origin_state *origin);
/* The last block and the sources left; ds_writer_end is the caller's. */
int ds_rows_finish(ds_rows *r, ds_err *err);
void ds_rows_free(ds_rows *r);

#endif
