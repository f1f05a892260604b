/* fmtout.h - where the bytes of a format go: standard output, a file, or files in a folder; nothing
 * of it is seen before all of it is whole.
 *
 * A folder is written under another name beside, and renamed at the end: it must not be there, or
 * be empty. ds_fmtout is for formats whose file is a row of records; ds_fmtdir for those that name
 * their files themselves. Zeroed objects are valid for _abort. One thread, but for ds_fmtdir_write.
 */
#ifndef DS_FMTOUT_H
#define DS_FMTOUT_H

#include "format.h"
#include "io.h"

typedef struct ds_fmtdir {
    char *path, *tmp;
} ds_fmtdir;
int ds_fmtdir_open(ds_fmtdir *d, const char *path, ds_err *err);
/* Writes a whole file of the folder, synced. Any thread. */
int ds_fmtdir_write(const ds_fmtdir *d, const char *name, const void *p, size_t len, ds_err *err);
/* A new file of the folder to write to. */
int ds_fmtdir_create(const ds_fmtdir *d, const char *name, int *fd, ds_err *err);
int ds_fmtdir_commit(ds_fmtdir *d, ds_err *err);
void ds_fmtdir_abort(ds_fmtdir *d); /* removes what was written, unless it was committed */

typedef struct ds_fmtout ds_fmtout;
/* What a file has before its first record and behind its last. Either may be NULL. `out` stands at
 * the end; a tail may write to the beginning of a file that is no pipe, through fd. */
typedef struct ds_fmtends {
    int (*head)(void *ctx, ds_out *out, ds_err *err);
    int (*tail)(void *ctx, ds_out *out, int fd, ds_err *err);
    void *ctx;
} ds_fmtends;

struct ds_fmtout {
    ds_fmtends ends;
    const char *ext; /* of files in a folder */
    uint64_t shard_size;
    uint64_t files, bytes;
    /* the rest belongs to fmtout.c */
    ds_fmtdir dir;
    ds_atomic file;
    bool folder, open, regular;
    uint64_t inside; /* records of the file that is open */
    int fd;
    ds_out out;
};

/* path NULL or "-": standard output, which must be no terminal unless `text`. */
int ds_fmtout_open(ds_fmtout *o, const char *path, bool folder, bool text, ds_err *err);
/* Bytes of one record: in one file. */
int ds_fmtout_put(ds_fmtout *o, const void *p, size_t len, ds_err *err);
int ds_fmtout_finish(ds_fmtout *o, ds_err *err);
void ds_fmtout_abort(ds_fmtout *o);

/* put and finish of a format whose writer begins with its ds_fmtout, and does no more in them. */
int ds_fmtwriter_put(void *w, const uint8_t *p, size_t len, ds_err *err);
int ds_fmtwriter_finish(void *w, ds_fmtwritten *done, ds_err *err);

#endif
