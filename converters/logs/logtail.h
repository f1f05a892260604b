/* logtail.h - the bytes of a log that grows, through its rotation; or of a pipe.
 *
 * A log is followed by its path. The file there is read on as it grows; it is left when it was
 * renamed and somebody has begun to write another in its place, or when it was cut (copytruncate),
 * after what it still had was read: from the open file, or, when that was cut, from the copy. Files
 * are known by what they hold: one that begins with the bytes that were taken already is gone on
 * with behind them, whether it was renamed, copied or compressed since. Rotated files are looked
 * for beside the log, by its name with a dot, a dash or an underscore and a digit.
 *
 * Events of ds_logtail_read: DS_TAIL_BYTES, more was appended; DS_TAIL_NOTHING, there is no more
 * now; DS_TAIL_PART, the file is over: take what is left, then ds_logtail_part; DS_TAIL_OVER, the
 * pipe is.
 *
 * What was taken is hashed: its number of bytes and its digest are what a restart goes on from. The
 * book holds that for all logs of a run. One thread.
 */
#ifndef DS_LOGTAIL_H
#define DS_LOGTAIL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "buf.h"
#include "hash.h"
#include "unpack.h"

#define DS_TAIL_ENDS 64  /* bytes before the place reached that must still be there */
#define DS_TAIL_SURE 256 /* that so many bytes are the same is no accident */
#define DS_TAIL_KEPT 64  /* finished files that a state remembers */

/* A file of a log, as far as it was taken. */
typedef struct ds_logpart {
    char *log; /* path of the log that it was read as */
    uint64_t taken;
    ds_sha sha; /* of these bytes */
    bool done;  /* it was left */
    bool open;  /* it is being read: taken and sha are those of the last mark */
    bool pipe;
    uint64_t dev, ino; /* 0: not known (the book of a version) */
    uint8_t first[64]; /* its first bytes, when it was begun in this run */
    size_t nfirst;
    int year, month; /* of its last record whose time had no year; 0: none (the caller's) */
} ds_logpart;

typedef struct ds_logbook {
    ds_logpart *v;
    size_t n, cap;
} ds_logbook;                                                      /* a zeroed object is empty */
int ds_logbook_put(ds_buf *out, const ds_logbook *b, ds_err *err); /* as JSON */
int ds_logbook_read(ds_logbook *b, const void *p, size_t len, const char *path, ds_err *err);
void ds_logbook_fini(ds_logbook *b);

enum ds_tail_event { DS_TAIL_BYTES, DS_TAIL_NOTHING, DS_TAIL_PART, DS_TAIL_OVER };

/* A file, plain or packed, from some place on. */
typedef struct ds_logfile {
    int fd;
    ds_unpack *unpack;
    uint64_t dev, ino, size;
    int64_t mtime; /* ns */
} ds_logfile;

typedef struct ds_logtail {
    const char *path; /* borrowed */
    ds_logbook *book; /* borrowed */
    bool pipe, over;
    ds_logfile file;    /* fd -1: none */
    bool fresh;         /* it has just been opened; the caller's to clear */
    bool queued;        /* it comes from the queue */
    bool left;          /* it is no longer what stands at the path */
    size_t part;        /* in the book */
    uint64_t at, taken; /* bytes handed out, and taken */
    uint64_t passed;    /* inode of a file at the path that another log has */
    ds_hasher *sum;
    uint8_t ends[DS_TAIL_ENDS]; /* the bytes before `at` */
    size_t nends;
    /* Of a part that is gone on with: its beginning, up to 64 KiB, and what of it names the fields
     * of a table (ds_logtable_pass). */
    ds_buf head, heads;
    char **queue; /* rotated files that come first */
    size_t nqueue;
} ds_logtail;

/* path "-" is standard input; one that is no file is a pipe; one where nothing is yet is waited
 * for. Borrows path and book. */
int ds_logtail_open(ds_logtail *t, const char *path, ds_logbook *book, ds_err *err);
/* Appends at most 256 KiB to out. */
int ds_logtail_read(ds_logtail *t, ds_buf *out, enum ds_tail_event *ev, ds_err *err);
/* The next n bytes of those that were handed out were dealt with. */
int ds_logtail_take(ds_logtail *t, const uint8_t *p, size_t n, ds_err *err);
/* Enters in the book how far it is; the part, or NULL when there is none. */
int ds_logtail_mark(ds_logtail *t, ds_logpart **part, ds_err *err);
/* The part is over and all of it taken. */
int ds_logtail_part(ds_logtail *t, ds_err *err);
void ds_logtail_fini(ds_logtail *t);

#endif
