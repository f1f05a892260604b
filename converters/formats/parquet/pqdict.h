/* pqdict.h - the dictionary of a column of a group that is written: its values once each, in the
 * order in which they came, and the numbers that stand for them.
 *
 * It is given up where it does not pay: where a page brings more new values than half of what it
 * holds, or all of them take more than DS_PQDICT_BYTES. Pages before that stay. One thread. A
 * zeroed object is valid.
 */
#ifndef DS_PQDICT_H
#define DS_PQDICT_H

#include "pqfile.h"

#define DS_PQDICT_BYTES ((size_t)1 << 20)

typedef struct ds_pqdict {
    ds_buf values;   /* plain */
    ds_buf starts;   /* u32: where each begins */
    uint32_t *slots; /* number + 1; 0: free */
    size_t nslots;   /* a power of two, at most half of them taken */
    bool given_up;
} ds_pqdict;

static inline uint32_t ds_pqdict_size(const ds_pqdict *d)
{
    return (uint32_t)(d->starts.len / 4);
}
/* The numbers (u32) of a page's plain values, or *given_up. DS_NOMEM. */
int ds_pqdict_take(ds_pqdict *d, const ds_pqnode *leaf, const ds_buf *values, ds_buf *numbers);
/* Do the first of plain values come again often enough for a dictionary? */
bool ds_pqdict_pays(const ds_pqnode *leaf, const ds_buf *values);
void ds_pqdict_reset(ds_pqdict *d);
void ds_pqdict_fini(ds_pqdict *d);

#endif
