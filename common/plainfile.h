/* plainfile.h - plain files made below a folder that is open: one that is written bit by bit, and
 * small ones, gathered so that a thread makes many at a time.
 *
 * Nothing that is there is written over and no link is followed. Messages name ROOT/NAME. One
 * thread at a time for an object.
 */
#ifndef DS_PLAINFILE_H
#define DS_PLAINFILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "buf.h"

typedef struct ds_plainfile {
    const char *root, *name; /* borrowed */
    mode_t mode;             /* permission bits, whatever the umask */
    bool has_mtime;
    int64_t mtime; /* ns */
    int fd;        /* -1: it is not open */
} ds_plainfile;

/* Creates it as `last` in the open folder `at`. */
int ds_plainfile_open(ds_plainfile *p, int at, const char *last, ds_err *err);
int ds_plainfile_write(ds_plainfile *p, const void *data, size_t len, ds_err *err);
int ds_plainfile_close(ds_plainfile *p, ds_err *err); /* permissions and time as they are to be */
/* For utimensat: `ns` as the time of the content, the last access as it is. */
void ds_mtime_set(struct timespec times[2], int64_t ns);

/* Files that wait to be made, each with its content. Zeroed is valid and empty. */
typedef struct ds_filebatch {
    const char *root; /* borrowed */
    struct ds_batched *files;
    size_t n, cap;
    int folders[16]; /* that they go into; owned */
    size_t nfolders;
    ds_buf bytes; /* names and contents */
    ds_err err;   /* of the first, in order, that could not be made: those behind it were not */
} ds_filebatch;

/* Whether it should be made before a file of `len` bytes is put; `anew`: into another folder than
 * the last one. Most files of a folder come into one batch: threads that create in the same folder
 * wait for each other. */
bool ds_filebatch_full(const ds_filebatch *b, size_t len, bool anew);
/* Copies all. `last`: where in p->name the name in the folder `at` begins. */
int ds_filebatch_put(ds_filebatch *b, const ds_plainfile *p, size_t last, int at, bool anew,
                     const void *data, size_t len, ds_err *err);
void ds_filebatch_make(ds_filebatch *b); /* all that are in it; failures stand in b->err */
void ds_filebatch_reset(ds_filebatch *b);
void ds_filebatch_fini(ds_filebatch *b);

#endif
