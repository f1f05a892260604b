/* objuse.h - how many bytes of the packs are whose.
 *
 * Pieces are noted for one user after another; what a piece is built on counts with it. Takes seven
 * bytes of memory for each piece of the store. What comes or goes meanwhile may be counted or not.
 * One thread.
 */
#ifndef DS_OBJUSE_H
#define DS_OBJUSE_H

#include "objstore.h"

typedef struct ds_objuse ds_objuse;

int ds_objuse_new(ds_objuse **out, ds_objstore *s, ds_err *err); /* for a first user */
/* What is noted from now on is for another one. DS_FAIL past the 65534th. */
int ds_objuse_next(ds_objuse *u, ds_err *err);
/* Adds to *bytes what the packs hold of this piece and of what it is built on, but for what this
 * user had before. 1 known, 0 not, < 0 error. */
int ds_objuse_note(ds_objuse *u, const ds_sha *id, uint64_t *bytes, ds_err *err);
/* alone[i]: of these, what user i alone has, i < n; *idle: what nobody has. */
int ds_objuse_sum(ds_objuse *u, uint64_t *alone, size_t n, uint64_t *idle, ds_err *err);
void ds_objuse_free(ds_objuse *u); /* NULL is fine */

#endif
