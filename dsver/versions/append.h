/* append.h - streams that follow each other, as one that goes on a version.
 *
 * The records of the version's last block come first, then those of the streams, and blocks are cut
 * as if all that the version holds had come before: committed with ds_pass_opts.after the result
 * has the root that one stream of all records has. Origins count on behind the version's sources.
 * The input is read stream by stream; what is written ends behind one of them. One thread.
 */
#ifndef DS_APPEND_H
#define DS_APPEND_H

#include "sourceend.h"
#include "strlist.h"
#include "tail.h"

typedef struct ds_append {
    /* The caller's, before each ds_append_write. */
    const ds_tail *tail; /* NULL: nothing comes before */
    int64_t seconds;     /* how long streams are gathered from the first record on; 0: no limit */
    uint64_t records, bytes; /* behind the stream that reaches so many it ends; 0: no limit */
    ds_sourceend *after; /* the first stream must go on where these sources end; NULL: anywhere */
    const ds_strlist *files; /* whose streams follow those of the input; NULL: there are none */
    size_t next;             /* the one that is opened next */
    /* Zeroed at first, then append.c's. */
    ds_reader *in;       /* the stream that is read next */
    int own;             /* the file that it is in, + 1; 0: the input */
    bool over;           /* there is none */
    uint64_t got, taken; /* records of the last write, bytes of its input */
    bool empty;          /* and nothing was held, failed or read either */
} ds_append;

/* Opens the input. */
int ds_append_open(ds_append *a, int fd, const char *path, ds_err *err);
/* Writes one stream to fd. Returns when the input is over, a limit is reached, or the next stream
 * was made in another way (its provenance differs). Waits for the first record as long as it takes.
 */
int ds_append_write(ds_append *a, int fd, ds_err *err);
void ds_append_fini(ds_append *a);

#endif
