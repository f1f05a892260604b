/* filepart.h - the part of a version of files that patterns choose (filechoice.h).
 *
 * To find it, keys are read; of blocks with a record that is chosen also the columns beside them,
 * and the content only where a file or hard link is. Memory: the chosen files' folders and links.
 * One thread.
 */
#ifndef DS_FILEPART_H
#define DS_FILEPART_H

#include "filesink.h"
#include "store.h"

typedef struct ds_filepart ds_filepart;
/* DS_FAIL when a pattern matches nothing. */
int ds_filepart_open(ds_filepart **out, ds_store *s, const git_oid *commit,
                     const char *const *patterns, size_t n, ds_err *err);
/* Of each block whether its content is needed: for ds_readback_opts. */
const bool *ds_filepart_blocks(const ds_filepart *p);
/* What the sink picks by. */
void ds_filepart_pick(ds_filepart *p, ds_filesink_opts *o);
/* Folders and symbolic links into the sink, before any block. */
int ds_filepart_bare(ds_filepart *p, ds_filesink *k, ds_err *err);
void ds_filepart_close(ds_filepart *p); /* NULL is fine */

#endif
