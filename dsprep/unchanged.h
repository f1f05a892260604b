/* unchanged.h - files whose content need not be read, because a store has it: records of `dsprep
 * files --store`.
 *
 * A file that the cache knows by its stamp (filecache.h) gives a record whose content is still to
 * come. When all of a block's records are such, and the store has the chunk of their contents, the
 * block refers to that; else these files are read after all, and the stream is what it would have
 * been. gc is kept out of the store meanwhile. One thread.
 */
#ifndef DS_UNCHANGED_H
#define DS_UNCHANGED_H

#include "shardout.h"
#include "treewalk.h"

typedef struct ds_unchanged ds_unchanged;
/* `store` as for dsver --store, never NULL. */
int ds_unchanged_open(ds_unchanged **u, const char *store, char *const *inputs, size_t n,
                      ds_err *err);
/* The stream, and which of its columns is the content: the only primary one. Borrowed. */
int ds_unchanged_stream(ds_unchanged *u, ds_shardout *out, size_t column, ds_err *err);
/* The next input; borrowed until _input_end or _keep. */
int ds_unchanged_input(ds_unchanged *u, ds_treewalk *w, ds_err *err);
int ds_unchanged_input_end(ds_unchanged *u, ds_err *err);
/* The open record, all of whose other columns are put, is of this entry. 1: it has ended, and *s
 * has size and digest of its content; tell of it. 0: put the content, and call _read. */
int ds_unchanged_row(ds_unchanged *u, const ds_treeentry *e, ds_source *s, ds_err *err);
/* Ends the record whose content was put. Its source has name and size, and when it is `summed` its
 * digest, which otherwise is made with those of all of the block; then it is told of. */
int ds_unchanged_read(ds_unchanged *u, const ds_treeentry *e, const ds_source *s, bool summed,
                      ds_err *err);
/* When the stream has ended: remembers what was seen. */
int ds_unchanged_keep(ds_unchanged *u, ds_err *err);
uint64_t ds_unchanged_count(const ds_unchanged *u); /* records whose content was not read */
uint64_t ds_unchanged_bytes(const ds_unchanged *u); /* of contents that were read after all */
void ds_unchanged_free(ds_unchanged *u);            /* NULL is fine */

#endif
