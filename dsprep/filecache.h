/* filecache.h - what is known of files since they were last read: a file in the store, for each set
 * of inputs (docs/store-format.md, "Files"), read along with a walk and written anew beside it.
 *
 * A fact holds for a file whose stamp is the same: size, nanoseconds of its last change and of its
 * inode's, device, inode. What had changed less than two seconds before it was read is not
 * remembered, as it may change once more without another stamp (git's rule for its index, with room
 * for file systems that count seconds). A damaged or missing file is an empty one. It is a cache:
 * nothing depends on its being kept.
 *
 * Names come in the order of a walk (treewalk.h), and are looked up in that order; memory does not
 * depend on how many there are. One thread.
 */
#ifndef DS_FILECACHE_H
#define DS_FILECACHE_H

#include "dsr_refs.h"
#include "treewalk.h"

/* Of a file's content: its SHA-256, and the hash of it as the only primary value of a record. */
typedef struct ds_filefact {
    ds_sha sha;
    uint64_t hash;
} ds_filefact;

typedef struct ds_filecache ds_filecache;
/* `dir` is the store's folder, which is written to. */
int ds_filecache_open(ds_filecache **c, const char *dir, const ds_storeid *store,
                      char *const *inputs, size_t n, ds_err *err);
bool ds_filecache_empty(const ds_filecache *c); /* nothing was known when it was opened */
/* Whether the file `name` of input number `input` is known with this stamp. */
bool ds_filecache_find(ds_filecache *c, uint64_t input, const char *name, const ds_filestamp *is,
                       ds_filefact *fact);
int ds_filecache_put(ds_filecache *c, uint64_t input, const char *name, const ds_filestamp *is,
                     const ds_filefact *fact, ds_err *err);
/* The chunk of a block's contents, by a digest over them: 1 and its pieces, 0 not known, < 0 error.
 */
int ds_filecache_chunk(ds_filecache *c, const ds_sha *contents, ds_refs *out, ds_err *err);
int ds_filecache_put_chunk(ds_filecache *c, const ds_sha *contents, const ds_refs *refs,
                           ds_err *err);
/* What was put takes the place of what was known. */
int ds_filecache_keep(ds_filecache *c, ds_err *err);
void ds_filecache_free(ds_filecache *c); /* NULL is fine */

/* Whether a stamp says enough about a file that begins to be read at `now` (nanoseconds since
 * 1970).
 */
bool ds_filestamp_settled(const ds_filestamp *is, int64_t now);

#endif
