/* streamfeed.h - a stream that one thread writes and this one reads, through a pipe.
 *
 * A reader that stops early ends the writer with an error, not the process with SIGPIPE.
 */
#ifndef DS_STREAMFEED_H
#define DS_STREAMFEED_H

#include <pthread.h>
#include <stdbool.h>

#include "error.h"

typedef int (*ds_feed_fn)(void *ctx, int fd, ds_err *err); /* writes; need not close */

typedef struct ds_feed {
    int fd; /* to read from */
    int to;
    ds_feed_fn fn;
    void *ctx;
    pthread_t thread;
    bool left; /* the writer met a pipe that nobody reads any more */
    ds_err err;
} ds_feed;

int ds_feed_begin(ds_feed *f, ds_feed_fn fn, void *ctx, ds_err *err);
/* What was begun. rc: the reader's; when it failed because the writer did, the writer's error is
 * the one that is told. */
int ds_feed_end(ds_feed *f, int rc, ds_err *err);

#endif
