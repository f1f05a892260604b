/* treewalk.h - everything below a folder, or in an archive, as it is: files with their content,
 * folders, links, permissions, times, and names of any bytes.
 *
 * Below a folder the order is that of the names' bytes, a folder before what is in it, and nothing
 * is followed; of a file with several names the first is the file and the others are hard links to
 * it. Of an archive (tar, zip, 7z, by its first bytes) the order is its own. Pipes, sockets and
 * devices are left out and counted, and so is a store of dsver below a folder. One thread.
 */
#ifndef DS_TREEWALK_H
#define DS_TREEWALK_H

#include "filerec.h"
#include "unpack.h"

/* What tells that a file is the one it was: size, the nanoseconds of its last change and of its
 * inode's, and which inode it is. */
typedef struct ds_filestamp {
    uint64_t dev, ino, size;
    int64_t mtime, ctime;
} ds_filestamp;
struct stat;
ds_filestamp ds_filestamp_of(const struct stat *st);
bool ds_filestamp_eq(const ds_filestamp *a, const ds_filestamp *b);

typedef struct ds_treeentry {
    enum ds_filekind kind;
    const char *name;   /* lent until the next call, as all of this; any bytes but NUL */
    const char *target; /* of a link: what it says; of a hard link the other name */
    int64_t mode, mtime;
    bool untimely;      /* mtime is 0: ns since 1970 cannot tell it in 64 bits */
    uint64_t size;      /* of a plain file in a folder; 0 in an archive, where it is not known */
    ds_filestamp stamp; /* of a plain file in a folder, or of one that is all of the input */
    bool stamped;
    const char *reason; /* a slug: this one cannot be had, and why */
    const char *why;
    bool lost; /* nobody knows how much is missing */
} ds_treeentry;

typedef struct ds_treewalk ds_treewalk;
/* `path`: a folder; an archive, unless `as_is`; any other file, which is one entry. */
int ds_treewalk_new(ds_treewalk **w, const char *path, bool as_is, const ds_unpack_limits *limits,
                    ds_err *err);
/* 1 and the next entry; 0 at the end; negative when memory fails. */
int ds_treewalk_next(ds_treewalk *w, ds_treeentry *e, ds_err *err);
/* Reads the plain file that was told of last; *got < n only at its end. DS_FAIL: it changed while
 * it was read, or its archive is broken. */
int ds_treewalk_read(ds_treewalk *w, void *buf, size_t n, size_t *got, ds_err *err);
/* From now on files are opened by the first read of them; that one cannot be opened, or is another
 * one by then, is told by it. Before the first _next. */
int ds_treewalk_lazy(ds_treewalk *w, ds_err *err);
/* A plain file that was told of before, to be read by ds_treewalk_reread. DS_FAIL: its stamp is not
 * this one any more. Does not disturb the reading of the present one. */
int ds_treewalk_again(ds_treewalk *w, const char *name, const ds_filestamp *was, ds_err *err);
int ds_treewalk_reread(ds_treewalk *w, void *buf, size_t n, size_t *got, ds_err *err);
/* The plain file that was told of last gets no record: another of its names is to be the file. */
void ds_treewalk_pass_over(ds_treewalk *w);
void ds_treewalk_left_out(const ds_treewalk *w, uint64_t *special, uint64_t *stores);
void ds_treewalk_free(ds_treewalk *w);

#endif
