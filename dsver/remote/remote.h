/* remote.h - a place where packs lie for others: a folder or an object store, behind one interface.
 *
 * Holds files by name ("format", "packs/<hex>.pack", "packs/<hex>.heads"); what lies there never
 * changes once it is whole. Format: docs/store-format.md, "Remotes". Any number of threads at once.
 *
 * Errors: DS_IO network, disk, server; DS_FAIL what the other side refuses; DS_CORRUPT fewer, more
 * or other bytes than there should be. Messages name the remote's place and the file.
 */
#ifndef DS_REMOTE_H
#define DS_REMOTE_H

#include "buf.h"
#include "hash.h"
#include "remoteurl.h"

typedef struct ds_remote ds_remote;

typedef struct ds_remote_opts {
    const char *credentials; /* a file (s3cred.h); NULL: the usual places */
    unsigned tries;          /* of a request; 0: 8 */
} ds_remote_opts;

int ds_remote_open(ds_remote **out, const ds_remote_url *u, const ds_remote_opts *o, ds_err *err);
void ds_remote_close(ds_remote *r);              /* NULL is fine */
const char *ds_remote_place(const ds_remote *r); /* "/path/" or "s3://bucket/prefix/" */
unsigned ds_remote_tries(const ds_remote *r);    /* of what may go well later */

/* Every file in a folder ("packs/"), in any order. None when it is not there. */
typedef struct ds_remote_file {
    const char *name; /* without the folder's */
    uint64_t size;
    int64_t time; /* seconds since 1970, by the remote's clock: when it came to be there; INT64_MAX
                     when that is not known */
} ds_remote_file;
typedef int (*ds_remote_list_fn)(void *ctx, const ds_remote_file *f, ds_err *err);
int ds_remote_list(ds_remote *r, const char *folder, ds_remote_list_fn fn, void *ctx, ds_err *err);

/* n bytes from off, exactly, in order; a file that is not there is DS_CORRUPT. */
typedef int (*ds_remote_sink_fn)(void *ctx, const void *data, size_t len, ds_err *err);
int ds_remote_get(ds_remote *r, const char *name, uint64_t off, uint64_t n, ds_remote_sink_fn sink,
                  void *ctx, ds_err *err);
/* The same, replacing out's content. */
int ds_remote_get_buf(ds_remote *r, const char *name, uint64_t off, uint64_t n, ds_buf *out,
                      ds_err *err);

/* Its length: 1, 0 when it is not there, < 0. */
int ds_remote_stat(ds_remote *r, const char *name, uint64_t *size, ds_err *err);

/* Stores a file that appears whole or not at all. data, or n bytes of fd. Nothing is replaced: 1
 * stored, 0 one of that name was there, < 0 error. `sum`: its SHA-256. */
typedef struct ds_remote_body {
    const void *data;
    int fd;
    uint64_t n;
    ds_sha sum;
} ds_remote_body;
int ds_remote_put(ds_remote *r, const char *name, const ds_remote_body *b, ds_err *err);

int ds_remote_delete(ds_remote *r, const char *name, ds_err *err); /* fine when it is not there */

/* Ends what was begun in a folder ("packs/") at `before` or earlier, by the remote's clock, and has
 * no name yet: parts that a process left that died. What a server does not let us see or end is
 * warned of. */
typedef struct ds_remote_uploads {
    uint64_t ended; /* dry_run: that would be */
    uint64_t open;  /* begun later: somebody may be at them, or go on with them */
} ds_remote_uploads;
int ds_remote_end_uploads(ds_remote *r, const char *folder, int64_t before, bool dry_run,
                          ds_remote_uploads *n, ds_err *err);

/* ---- for implementations ---- */
typedef struct ds_remote_ops {
    int (*list)(void *self, const char *folder, ds_remote_list_fn fn, void *ctx, ds_err *err);
    int (*get)(void *self, const char *name, uint64_t off, uint64_t n, ds_remote_sink_fn sink,
               void *ctx, ds_err *err);
    int (*stat)(void *self, const char *name, uint64_t *size, ds_err *err);
    int (*put)(void *self, const char *name, const ds_remote_body *b, ds_err *err);
    int (*del)(void *self, const char *name, ds_err *err);
    /* NULL: it leaves nothing of the kind */
    int (*end_uploads)(void *self, const char *folder, int64_t before, bool dry_run,
                       ds_remote_uploads *n, ds_err *err);
    void (*close)(void *self);
} ds_remote_ops;
struct ds_remote {
    const ds_remote_ops *ops;
    void *self;
    char *place;
    unsigned tries;
};
int ds_remotedir_open(ds_remote *r, const char *path, ds_err *err);
int ds_remotes3_open(ds_remote *r, const ds_remote_url *u, const ds_remote_opts *o, ds_err *err);

#endif
