/* io.h - every system call on files goes through here, behind a table that tests replace.
 *
 * ds_io_active points at the table in use: the system's own by default. A test installs another to
 * make the n-th call fail, to shorten writes, or to lose what was not synced. The helpers below
 * retry EINTR and short transfers, and report with path and offset. Nothing here is buffered except
 * ds_out (a writer with a buffer) and ds_in (a reader with one).
 */
#ifndef DS_IO_H
#define DS_IO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "buf.h"
#include "error.h"

typedef struct ds_io_ops {
    int (*open)(const char *path, int flags, mode_t mode);
    ssize_t (*read)(int fd, void *buf, size_t n);
    ssize_t (*pread)(int fd, void *buf, size_t n, off_t off);
    ssize_t (*write)(int fd, const void *buf, size_t n);
    int (*fsync)(int fd);
    int (*close)(int fd);
    int (*rename)(const char *from, const char *to);
    int (*exchange)(const char *a, const char *b); /* both are there, and change places */
    int (*unlink)(const char *path);
    int (*mkdir)(const char *path, mode_t mode);
    int (*fstat)(int fd, struct stat *st);
} ds_io_ops;

extern const ds_io_ops ds_io_system;
extern const ds_io_ops *ds_io_active;

int ds_open(int *fd, const char *path, int flags, mode_t mode, ds_err *err); /* adds O_CLOEXEC */
/* Opens a new file that is nobody else's: 16 random digits between `before` and `after`. Process
 * numbers would not do: containers that share a folder have the same ones. *path is malloc'd. */
int ds_open_unique(int *fd, char **path, const char *before, const char *after, int flags,
                   mode_t mode, ds_err *err);         /* adds O_CREAT | O_EXCL | O_CLOEXEC */
int ds_random(void *out, size_t n, ds_err *err);      /* n up to 256 */
int ds_close(int *fd, const char *path, ds_err *err); /* sets *fd = -1; fd < 0 is fine */
/* Reads up to n bytes, *got < n only at the end of the file. */
int ds_read_full(int fd, const char *path, void *buf, size_t n, size_t *got, ds_err *err);
/* At the end of a file that had `had` bytes when it was opened, `taken` of which were there to be
 * read: DS_IO when it was cut meanwhile. Files of the kernel that say more than they hold are none
 * of these. */
int ds_read_ended(int fd, const char *path, uint64_t had, uint64_t taken, ds_err *err);
int ds_pread_exact(int fd, const char *path, void *buf, size_t n, uint64_t off,
                   ds_err *err); /* short = DS_CORRUPT */
int ds_write_full(int fd, const char *path, const void *buf, size_t n, ds_err *err);
int ds_fsync(int fd, const char *path, ds_err *err);
/* The disk begins with what was written behind *sent, once that is 8 MiB: less is left for fsync to
 * wait for. */
void ds_write_behind(int fd, uint64_t *sent, uint64_t written);
int ds_fsync_parent(const char *path, ds_err *err); /* fsyncs the folder that holds path */
int ds_read_file(ds_buf *out, const char *path, size_t max,
                 ds_err *err);                /* whole small file; larger than max fails */
int ds_mkdirs(const char *path, ds_err *err); /* mkdir -p */
bool ds_path_exists(const char *path);
/* Whether `name` in the open folder `at` is a store of dsver: what was made of the files beside it,
 * and grows with each version of them. */
bool ds_path_is_store(int at, const char *name);
/* "DIR/NAME"; DS_FAIL where that is longer than any path. */
#define DS_PATH 4096
size_t ds_path_len(const char *path); /* without the slashes at its end; "/" is 1 long */
/* What one calls it: of "runs/7/" it is "7", of "." the name of the folder that this is. malloc'd.
 */
int ds_path_name(char **out, const char *path, ds_err *err);
int ds_path_join(char out[DS_PATH], const char *dir, const char *name, ds_err *err);

/* A file that appears whole or not at all: written to a temporary beside `path`, then fsync,
 * rename, fsync of the folder. ds_atomic_abort removes the temporary and accepts a zeroed or
 * finished object. */
typedef struct ds_atomic {
    int fd;
    char *path, *tmp;
} ds_atomic;
int ds_atomic_open(ds_atomic *a, const char *path, mode_t mode, ds_err *err);
int ds_atomic_commit(ds_atomic *a, ds_err *err);
void ds_atomic_abort(ds_atomic *a);
int ds_atomic_write(const char *path, mode_t mode, const void *data, size_t len, ds_err *err);
/* A file of any size, in bounded memory. */
int ds_copy_file(const char *from, const char *to, mode_t mode, ds_err *err);

/* Buffered output with a fixed 256 KiB buffer. Position counts bytes accepted. `tap`, if set, sees
 * all that is written, in order, just before it is. */
typedef struct ds_out {
    int fd;
    char *path; /* for messages; owned */
    uint8_t *buf;
    size_t len;
    uint64_t pos;
    int (*tap)(void *ctx, const void *p, size_t n, ds_err *err);
    void *tap_ctx;
} ds_out;
int ds_out_init(ds_out *o, int fd, const char *path, ds_err *err);
int ds_out_put(ds_out *o, const void *data, size_t len, ds_err *err);
int ds_out_flush(ds_out *o, ds_err *err);
void ds_out_fini(ds_out *o); /* drops what was not flushed; does not close fd */

/* Buffered input: peek, then skip what was used. ds_in_peek lends exactly n bytes (n <= 2 MiB) or,
 * at the end of input, fewer (*got < n); they hold until the next call. ds_in_take copies instead.
 */
typedef struct ds_in {
    int fd;
    char *path;
    uint8_t *buf;
    size_t start, len, cap;
    uint64_t pos; /* offset of buf[start] in the input */
    size_t step;  /* a peek reads no more than this beyond what it must; begins as all there is room
                     for */
    bool eof;
} ds_in;
int ds_in_init(ds_in *in, int fd, const char *path, ds_err *err);
/* Bytes that somebody read of it before: they come first. Before the first peek, n <= 64 KiB. */
void ds_in_before(ds_in *in, const void *p, size_t n);
int ds_in_peek(ds_in *in, size_t n, const uint8_t **p, size_t *got, ds_err *err);
void ds_in_skip(ds_in *in, size_t n); /* n <= what the last peek lent */
/* The next n bytes into `to`, those that are not buffered without passing through the buffer. *got
 * < n only at the end of input. */
int ds_in_take(ds_in *in, void *to, size_t n, size_t *got, ds_err *err);
void ds_in_fini(ds_in *in);

#endif
