/* oidset.h - a set of git object ids: what a walk over the catalog has seen. Zeroed is valid and
 * empty. */
#ifndef DS_OIDSET_H
#define DS_OIDSET_H

#include <git2.h>
#include <stdbool.h>

#include "error.h"

typedef struct ds_oidset {
    git_oid *ids;
    unsigned char *used;
    size_t n, cap; /* cap: a power of two */
} ds_oidset;

int ds_oidset_add(ds_oidset *s, const git_oid *id, bool *fresh, ds_err *err);
bool ds_oidset_has(const ds_oidset *s, const git_oid *id);
void ds_oidset_fini(ds_oidset *s);

#endif
