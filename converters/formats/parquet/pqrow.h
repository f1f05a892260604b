/* pqrow.h - records put together from the leaves of a Parquet file (Melnik et al. 2010, "Dremel",
 * section 4.3): what a column of a record is, as a value for a column of a schema.
 *
 *   of the file                                   of the record
 *   a leaf that is not repeated                   its value (pqvalue.h)
 *   a list of leaves                              an array of numbers, or a list
 *   a group of dtype, shape and data              a tensor
 *   a group that holds bytes                      its fields, each a column: image.bytes,
 * image.path any other group, list or map                  JSON; a map whose keys are text is an
 * object
 *
 * Lists are known as LogicalTypes.md has it, old ones too. One thread.
 */
#ifndef DS_PQROW_H
#define DS_PQROW_H

#include "fmtvalue.h"
#include "pqleaf.h"

enum ds_pqform { DS_PQ_AS_VALUE, DS_PQ_AS_LIST, DS_PQ_AS_TENSOR, DS_PQ_AS_JSON };

typedef struct ds_pqcolumn {
    char *name;
    const ds_pqnode *node;
    enum ds_pqform form;
    const ds_pqnode *repeated, *item; /* of a list */
    bool nullable;
    long to;     /* column of the schema */
    ds_buf text; /* of the record at hand: what its value points to */
    ds_buf items;
} ds_pqcolumn;

typedef struct ds_pqrow {
    const ds_pqfile *file;
    ds_pqsource from;
    ds_pqleaf *leaves;
    ds_pqcolumn *cols;
    size_t ncols, cap_cols;
    /* of the record at hand: why a value is none, NULL: all are; and of which column */
    const char *unfit;
    const ds_pqcolumn *of;
    const ds_pqleaf *last; /* the leaf that was read, for messages */
} ds_pqrow;                /* a zeroed object is valid for _fini */

/* only: names of the columns to read, separated by commas, or of groups that become several; NULL:
 * all. `key` is read, too. */
int ds_pqrow_init(ds_pqrow *r, const ds_pqfile *f, const ds_pqsource *from, const char *only,
                  const char *key, ds_err *err);
/* The column's type, having looked at the beginning of its first group: *item of a list. A list
 * with items that are null, and numbers that pass 63 bits, are JSON. DS_NOMEM, DS_IO. */
int ds_pqrow_type(ds_pqrow *r, size_t column, enum ds_type *t, enum ds_type *item, ds_err *err);
void ds_pqrow_group(ds_pqrow *r, const ds_pqgroup *g);
/* The column's value in the next record, into v until the record after. 1: the file is damaged at
 * r->last->here, *why (static) says how. */
int ds_pqrow_value(ds_pqrow *r, ds_pqcolumn *c, ds_fval *v, const char **why, ds_err *err);
/* Nothing follows the last record of a group. */
int ds_pqrow_end(ds_pqrow *r, const char **why, ds_err *err);
void ds_pqrow_fini(ds_pqrow *r);

#endif
