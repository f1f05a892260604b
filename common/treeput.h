/* treeput.h - a folder restored from records of files (filerec.h), given one after the other.
 *
 * Hostile names are expected: nothing is made outside of the folder, no symbolic link is followed
 * below it, nothing that is there is written over. A folder that a name needs and that has no
 * record before it is made. Permissions and times of folders are set at the end, so that one
 * without write permission can be filled. Set-user-id bits are kept only when asked for.
 *
 * One thread gives the records. Small files are copied and made by others, at most about 2 MiB a
 * thread at a time. What a name clashes with is waited for, and of several failures the first in
 * the order of the records is told, so that threads change no outcome.
 */
#ifndef DS_TREEPUT_H
#define DS_TREEPUT_H

#include "filerec.h"

typedef struct ds_treeput ds_treeput;
/* The folder must not be there, or be empty. `path` is borrowed. */
int ds_treeput_open(ds_treeput **t, const char *path, bool setuid, int threads, ds_err *err);

typedef struct ds_treefile {
    const char *name; /* its bytes, NUL-terminated, without NUL */
    enum ds_filekind kind;
    int64_t mode;
    const char *target; /* of a link */
    bool has_mtime;
    int64_t mtime; /* ns */
} ds_treefile;
/* Whether a file or symbolic link of this name has been made. Negative: it cannot be told. */
int ds_treeput_has(ds_treeput *t, const char *name, ds_err *err);
/* Makes it. Of a plain file, the content follows in ds_treeput_write calls, then ds_treeput_close.
 */
int ds_treeput_add(ds_treeput *t, const ds_treefile *f, ds_err *err);
int ds_treeput_write(ds_treeput *t, const void *p, size_t len, ds_err *err);
int ds_treeput_close(ds_treeput *t, ds_err *err);
/* A plain file with all of its content, of at most DS_TREEPUT_SMALL bytes: by another thread, some
 * time before the end. */
#define DS_TREEPUT_SMALL ((size_t)256 << 10)
int ds_treeput_small(ds_treeput *t, const ds_treefile *f, const void *p, size_t len, ds_err *err);
/* Waits for the other threads. A file that they could not make came before anything that failed
 * here: whoever met that asks this first. */
int ds_treeput_settle(ds_treeput *t, ds_err *err);
/* Folders' permissions and times; `sync`: everything on disk. */
int ds_treeput_end(ds_treeput *t, bool sync, ds_err *err);
void ds_treeput_free(ds_treeput *t);

#endif
