/* ipcrow.h - which columns an Arrow schema makes, and what each is in a row.
 *
 * Columns are those that the same data has in Parquet (pqcolumn.h), from where Arrow is written and
 * read most. One thread.
 */
#ifndef DS_IPCROW_H
#define DS_IPCROW_H

#include "fmtcolumns.h"
#include "fmtvalue.h"
#include "ipcvalue.h"
#include "pqcolumn.h"

typedef struct ds_ipccolumn {
    char *name;                          /* first: ds_fmtnamed */
    size_t path[DS_PQ_DEPTH + 2], npath; /* the column's node, and the structs it is a field of */
    size_t node, item;                   /* item: of a list */
    enum ds_pqform form;
    bool nullable;
    long to;     /* column of the schema that records go into */
    ds_buf text; /* of the record at hand: what its value points to */
    ds_buf items;
} ds_ipccolumn;

typedef struct ds_ipcrow {
    const ds_ipcschema *schema;
    const ds_ipcdictionaries *dictionaries;
    const ds_ipcbatch *batch;
    ds_ipccolumn *v;
    size_t n, cap;
    bool *wanted; /* of the schema's nodes: those at the top that a column is of */
    size_t max_record;
    /* of the record at hand: why a value is none, NULL: all are; and of which column */
    const char *unfit;
    const ds_ipccolumn *of;
} ds_ipcrow; /* a zeroed object is valid for _fini */

/* only, key: as ds_fmtcolumns_choose has them, with `input`. */
int ds_ipcrow_init(ds_ipcrow *r, const ds_ipcschema *s, const ds_ipcdictionaries *d,
                   const char *only, const char *key, const char *input, ds_err *err);
/* A column's type, having looked at the beginning of a batch: NULL, there is none. */
void ds_ipcrow_type(const ds_ipcrow *r, const ds_ipccolumn *c, const ds_ipcbatch *b,
                    ds_fmtcolumn *out);
/* What the schema has as JSON is read so, whatever it could be. */
void ds_ipcrow_to(ds_ipccolumn *c, const ds_schema *s, long to);
/* The column's value in row i of the batch, into v until the row after; what cannot be had is told
 * of in `unfit`. DS_NOMEM. */
int ds_ipcrow_value(ds_ipcrow *r, ds_ipccolumn *c, uint64_t i, ds_fval *v, ds_err *err);
void ds_ipcrow_fini(ds_ipcrow *r);

#endif
