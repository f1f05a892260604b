/* streamfeed.c - see streamfeed.h. */
#include "streamfeed.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "io.h"
#include "pool.h"

static void *write_it(void *p)
{
    ds_feed *f = p;
    sigset_t pipe_only;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_only, NULL);
    (void)f->fn(f->ctx, f->to, &f->err);
    f->left = sigpending(&pipe_only) == 0 && sigismember(&pipe_only, SIGPIPE) == 1;
    (void)ds_close(&f->to, "pipe", NULL);
    return NULL;
}

int ds_feed_begin(ds_feed *f, ds_feed_fn fn, void *ctx, ds_err *err)
{
    int ends[2];
    *f = (ds_feed){.fd = -1, .to = -1, .fn = fn, .ctx = ctx};
    if (pipe2(ends, O_CLOEXEC) != 0)
        return ds_fail_errno(err, errno, "pipe");
    f->fd = ends[0];
    f->to = ends[1];
    if (ds_thread_begin(&f->thread, write_it, f))
        return 0;
    (void)ds_close(&f->fd, "pipe", NULL);
    (void)ds_close(&f->to, "pipe", NULL);
    return ds_fail(err, DS_NOMEM, "no thread to write a stream");
}

int ds_feed_end(ds_feed *f, int rc, ds_err *err)
{
    (void)ds_close(&f->fd, "pipe", NULL);
    pthread_join(f->thread, NULL);
    if (rc && f->err.code && !f->left && err) { /* the reader only knows that it was broken off */
        ds_err_clear(err);
        return ds_fail_as(err, &f->err);
    }
    return rc;
}
