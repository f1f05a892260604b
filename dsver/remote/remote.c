/* remote.c - see remote.h. */
#include "remote.h"

#include <stdlib.h>

enum { TRIES = 8 };

int ds_remote_open(ds_remote **out, const ds_remote_url *u, const ds_remote_opts *o, ds_err *err)
{
    ds_remote_opts opts = *o;
    ds_remote *r = calloc(1, sizeof *r);
    *out = NULL;
    if (!r)
        return ds_fail_nomem(err);
    if (!opts.tries)
        opts.tries = TRIES;
    r->tries = opts.tries;
    int rc = u->s3 ? ds_remotes3_open(r, u, &opts, err) : ds_remotedir_open(r, u->path, err);
    if (rc) {
        ds_remote_close(r);
        return rc;
    }
    *out = r;
    return 0;
}

void ds_remote_close(ds_remote *r)
{
    if (!r)
        return;
    if (r->self)
        r->ops->close(r->self);
    free(r->place);
    free(r);
}

const char *ds_remote_place(const ds_remote *r)
{
    return r->place;
}

unsigned ds_remote_tries(const ds_remote *r)
{
    return r->tries;
}

int ds_remote_list(ds_remote *r, const char *folder, ds_remote_list_fn fn, void *ctx, ds_err *err)
{
    return r->ops->list(r->self, folder, fn, ctx, err);
}

int ds_remote_get(ds_remote *r, const char *name, uint64_t off, uint64_t n, ds_remote_sink_fn sink,
                  void *ctx, ds_err *err)
{
    return n ? r->ops->get(r->self, name, off, n, sink, ctx, err) : 0;
}

static int into_buf(void *ctx, const void *data, size_t len, ds_err *err)
{
    return ds_buf_put(ctx, data, len) ? ds_fail_nomem(err) : 0;
}

int ds_remote_get_buf(ds_remote *r, const char *name, uint64_t off, uint64_t n, ds_buf *out,
                      ds_err *err)
{
    ds_buf_reset(out);
    if (n > SIZE_MAX / 2 || ds_buf_reserve(out, (size_t)n))
        return ds_fail_nomem(err);
    return ds_remote_get(r, name, off, n, into_buf, out, err);
}

int ds_remote_stat(ds_remote *r, const char *name, uint64_t *size, ds_err *err)
{
    return r->ops->stat(r->self, name, size, err);
}

int ds_remote_put(ds_remote *r, const char *name, const ds_remote_body *b, ds_err *err)
{
    return r->ops->put(r->self, name, b, err);
}

int ds_remote_delete(ds_remote *r, const char *name, ds_err *err)
{
    return r->ops->del(r->self, name, err);
}

int ds_remote_end_uploads(ds_remote *r, const char *folder, int64_t before, bool dry_run,
                          ds_remote_uploads *n, ds_err *err)
{
    *n = (ds_remote_uploads){0};
    return r->ops->end_uploads ? r->ops->end_uploads(r->self, folder, before, dry_run, n, err) : 0;
}
