/* pqrow.h - records put together from the leaves of a Parquet file (Melnik et al. 2010, "Dremel",
 * section 4.3): what a column of a record is, as a value for a column of a schema.
 *
 * Numbers of a list are an array, other items a list of values; JSON of a struct has its fields in
 * order, of a map whose keys are text it is an object, of any other map a list of pairs. One
 * thread.
 */
#ifndef DS_PQROW_H
#define DS_PQROW_H

#include "fmtvalue.h"
#include "pqcolumn.h"

typedef struct ds_pqrow {
    const ds_pqfile *file;
    ds_pqsource from;
    ds_pqleaf *leaves;
    ds_pqcolumns cols;
    /* of the record at hand: why a value is none, NULL: all are; and of which column */
    const char *unfit;
    const ds_pqcolumn *of;
    const ds_pqleaf *last; /* the leaf that was read, for messages */
} ds_pqrow;                /* a zeroed object is valid for _fini */

/* only, key: as ds_pqcolumns_of has them. */
int ds_pqrow_init(ds_pqrow *r, const ds_pqfile *f, const ds_pqsource *from, const char *only,
                  const char *key, ds_err *err);
void ds_pqrow_group(ds_pqrow *r, const ds_pqgroup *g);
/* The column's value in the next record, into v until the record after. 1: the file is damaged at
 * r->last->here, *why (static) says how. */
int ds_pqrow_value(ds_pqrow *r, ds_pqcolumn *c, ds_fval *v, const char **why, ds_err *err);
/* Nothing follows the last record of a group. */
int ds_pqrow_end(ds_pqrow *r, const char **why, ds_err *err);
void ds_pqrow_fini(ds_pqrow *r);

#endif
