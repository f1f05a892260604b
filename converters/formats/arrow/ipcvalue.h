/* ipcvalue.h - one value of an Arrow array: which it is, behind dictionaries, runs and unions, and
 * what it says.
 *
 * A step into a list or a struct, and every value, checks what it reads against the array's
 * buffers: 1, and *why (static), where these do not hold it. One thread.
 */
#ifndef DS_IPCVALUE_H
#define DS_IPCVALUE_H

#include "ipcbatch.h"
#include "pqcode.h"

/* A dictionary's values, as batches that follow one another. */
typedef struct ds_ipcdictionary {
    int64_t id;
    size_t node; /* the first that is of it: says the type */
    ds_ipcbatch *parts;
    size_t n, cap;
    bool damaged; /* a part could not be read: its numbers say nothing */
} ds_ipcdictionary;

typedef struct ds_ipcdictionaries {
    ds_ipcdictionary *v;
    size_t n, cap;
} ds_ipcdictionaries;
ds_ipcdictionary *ds_ipcdictionary_find(const ds_ipcdictionaries *d, int64_t id);
void ds_ipcdictionaries_fini(ds_ipcdictionaries *d);

/* Where a value is: at `i` of the array of `node`. */
typedef struct ds_ipcat {
    const ds_ipcschema *schema;
    const ds_ipcdictionaries *dictionaries;
    const ds_ipcbatch *batch;
    size_t node;
    uint64_t i;
    bool decoded; /* the array is a dictionary's own */
    bool null;    /* there is no value */
} ds_ipcat;

/* Goes to the value itself, or finds that there is none: `at` is then of a layout with values. */
int ds_ipc_settle(ds_ipcat *at, const char **why);
/* Of a settled one that is a leaf. scratch: 32 bytes for what is not as it lies. */
int ds_ipc_value(const ds_ipcat *at, uint8_t *scratch, ds_pqvalue *x, const char **why);
/* Of one that is a list or a map: items [*from, *from + *n) of the child. */
int ds_ipc_items(const ds_ipcat *at, uint64_t *from, uint64_t *n, const char **why);
/* Item or field i of child `node`, not settled. */
ds_ipcat ds_ipc_below(const ds_ipcat *at, size_t node, uint64_t i);

#endif
