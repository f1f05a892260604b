/* filesink.h - records of files (filerec.h) into a folder, as the files they were.
 *
 * Everything is made in a folder beside, which takes the name at the end: DIR is there with all
 * that belongs in it, or is not there. Rules of treeput.h.
 */
#ifndef DS_FILESINK_H
#define DS_FILESINK_H

#include "dsr_io.h"
#include "treeput.h"

typedef struct ds_filesink ds_filesink;

typedef struct ds_filesink_opts {
    bool setuid, sync; /* keep set-user-id bits; end when everything is on disk */
    int threads;
    void (*progress)(void *ctx, uint64_t bytes); /* of content so far; may be NULL */
    void *ctx;
    /* 1: the file, folder or link is made, by the name and target that f says then, which stay
     * its own; 0: it is not. May be NULL: all are made. */
    int (*pick)(void *pick_ctx, ds_treefile *f, ds_err *err);
    void *pick_ctx;
    bool erased; /* records were erased that are not told of here */
} ds_filesink_opts;

/* DS_FAIL when records of the schema are no files, or when dir is there and is no empty folder. The
 * schema is borrowed. */
int ds_filesink_open(ds_filesink **out, const char *dir, const ds_schema *schema,
                     const ds_filesink_opts *o, ds_err *err);
int ds_filesink_block(ds_filesink *k, const ds_block *b, ds_err *err);
/* One record that has no content. v: of all columns; that of the content is not looked at. */
int ds_filesink_bare(ds_filesink *k, const ds_value *v, ds_err *err);
/* rc, and what stands in err: how the stream ended. 0: the folder gets its name. Else a file that
 * could not be made is what is told, if there was one before. */
int ds_filesink_end(ds_filesink *k, int rc, ds_err *err);
uint64_t ds_filesink_files(const ds_filesink *k);
uint64_t ds_filesink_bytes(const ds_filesink *k);
void ds_filesink_free(ds_filesink *k); /* without an end, nothing stays; NULL is fine */

#endif
