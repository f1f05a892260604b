/* pqcolumn.h - which columns the schema of a Parquet file makes, and of which types.
 *
 *   of the file                          column
 *   a leaf that is not repeated          of its value (pqvalue.h)
 *   a list of leaves                     a list
 *   a group of dtype, shape and data     a tensor
 *   a group that holds bytes             its fields, each a column: image.bytes, image.path
 *   any other group, list or map         JSON
 *
 * Lists are known as LogicalTypes.md has it, old ones too. One thread.
 */
#ifndef DS_PQCOLUMN_H
#define DS_PQCOLUMN_H

#include "dsr_schema.h"
#include "pqleaf.h"

enum ds_pqform { DS_PQ_AS_VALUE, DS_PQ_AS_LIST, DS_PQ_AS_TENSOR, DS_PQ_AS_JSON };

typedef struct ds_pqcolumn {
    char *name;            /* first: ds_fmtnamed */
    const ds_pqnode *node; /* the file's */
    enum ds_pqform form;
    const ds_pqnode *repeated, *item; /* of a list */
    bool nullable;
    long to;     /* column of the schema that records go into */
    ds_buf text; /* of the record at hand: what its value points to */
    ds_buf items;
} ds_pqcolumn;

typedef struct ds_pqcolumns {
    ds_pqcolumn *v;
    size_t n, cap;
} ds_pqcolumns; /* a zeroed object is valid for _fini */

/* only: names of the columns to read, separated by commas, or of groups that become several; NULL:
 * all. `key` is read, too. Points into f. */
int ds_pqcolumns_of(ds_pqcolumns *c, const ds_pqfile *f, const char *name, const char *only,
                    const char *key, ds_err *err);
void ds_pqcolumns_fini(ds_pqcolumns *c);
/* A column's type, having looked at the beginning of its first group: *item of a list. A list with
 * items that are null, and numbers that pass 63 bits, are JSON. DS_NOMEM, DS_IO. */
int ds_pqcolumn_type(const ds_pqcolumn *c, const ds_pqfile *f, const ds_pqsource *from,
                     enum ds_type *t, enum ds_type *item, ds_err *err);

/* What the schema has as JSON is read so, whatever it could be. */
enum ds_pqform ds_pqform_for(enum ds_pqform f, enum ds_type to);

const ds_pqnode *ds_pq_child(const ds_pqfile *f, const ds_pqnode *n, size_t i);
/* What a list's items are, and which of its nodes is repeated. NULL: it is no list. */
const ds_pqnode *ds_pq_item_of(const ds_pqfile *f, const ds_pqnode *list);
const ds_pqnode *ds_pq_repeated_of(const ds_pqfile *f, const ds_pqnode *list);

static inline bool ds_pq_is_leaf(const ds_pqnode *n)
{
    return n->type != DS_PQ_GROUP;
}

#endif
