/* packedrefs.h - packed-refs of a git repository: many refs in one file, each as good as one in a
 * file of its own, which goes before it.
 *
 * Format: a first line "# pack-refs with: " and traits; for each ref, in byte order of the names,
 * 40 hex digits, a blank, the name; behind an annotated tag "^" and what it leads to
 * (refs/packed-backend.c of git). One thread.
 */
#ifndef DS_PACKEDREFS_H
#define DS_PACKEDREFS_H

#include "refs.h"
#include "strlist.h"

/* Appends the names in `dir`/packed-refs; none when it is not there. DS_CORRUPT. */
int ds_packedrefs_list(ds_strlist *l, const char *dir, ds_err *err);
/* Adds those of v[0..n) that are `made`, which are not there yet, durably and all at once. 1 added,
 * 0 another process is at the file, or it has not the traits that adding to it takes. */
int ds_packedrefs_add(ds_catalog *c, const ds_newref *v, size_t n, ds_err *err);

#endif
