/* remotes3.c - a remote in an S3-compatible object store.
 *
 * Files go up in one request up to 16 MiB and in parts beyond it (s3upload.h). Nothing is replaced:
 * If-None-Match: *, where the server knows it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "remote.h"
#include "s3list.h"
#include "s3upload.h"

#define ONE_MAX ((uint64_t)16 << 20)

/* ---- listing ---- */

typedef struct listing {
    const char *prefix;
    size_t len;
    ds_remote_list_fn fn;
    void *ctx;
} listing;

static int on_key(void *ctx, const ds_s3_key *k, ds_err *err)
{
    listing *l = ctx;
    const char *name = k->key ? k->key + l->len : "";
    /* keys of other places are none of ours, whatever the server says */
    if (!k->key || strncmp(k->key, l->prefix, l->len) != 0 || strchr(name, '/') || !*name)
        return 0;
    const ds_remote_file f = {.name = name, .size = k->size, .time = k->time};
    return l->fn(l->ctx, &f, err);
}

static int s3_list(void *self, const char *folder, ds_remote_list_fn fn, void *ctx, ds_err *err)
{
    ds_s3 *s = self;
    char *prefix = NULL;
    if (asprintf(&prefix, "%s%s", ds_s3_prefix(s), folder) < 0)
        return ds_fail_nomem(err);
    listing l = {.prefix = prefix, .len = strlen(prefix), .fn = fn, .ctx = ctx};
    int rc = ds_s3list_objects(s, prefix, on_key, &l, err);
    if (rc)
        ds_err_prefix(err, "%s%s", ds_s3_name(s), folder);
    free(prefix);
    return rc;
}

/* ---- reading ---- */

static int s3_get(void *self, const char *name, uint64_t off, uint64_t n, ds_remote_sink_fn sink,
                  void *ctx, ds_err *err)
{
    ds_s3_call c = {.method = "GET",
                    .key = name,
                    .ranged = true,
                    .range = off,
                    .range_n = n,
                    .sink = sink,
                    .ctx = ctx};
    int rc = ds_s3_do(self, &c, err);
    if (!rc && !ds_s3_done(&c))
        rc = ds_s3_refused(self, &c, err);
    ds_s3_call_fini(&c);
    return rc;
}

static int s3_stat(void *self, const char *name, uint64_t *size, ds_err *err)
{
    return ds_s3_stat(self, name, size, err);
}

/* ---- writing ---- */

static int put_one(ds_s3 *s, const char *name, const ds_remote_body *b, ds_err *err)
{
    ds_s3_call c = {.method = "PUT",
                    .key = name,
                    .data = b->data,
                    .fd = b->fd,
                    .n = b->n,
                    .sum = &b->sum,
                    .condition = DS_S3_ONLY_NEW};
    int rc = ds_s3_do(s, &c, err);
    if (!rc && c.status == 501) { /* this server does not know conditions */
        c.condition = (ds_s3_pair){NULL, NULL};
        rc = ds_s3_do(s, &c, err);
    }
    if (!rc && !ds_s3_done(&c) && c.status != 412 && c.status != 409)
        rc = ds_s3_refused(s, &c, err);
    ds_s3_call_fini(&c);
    return rc ? rc : ds_s3_done(&c);
}

static int s3_put(void *self, const char *name, const ds_remote_body *b, ds_err *err)
{
    uint64_t size = 0;
    if (b->data || b->n <= ONE_MAX)
        return put_one(self, name, b, err);
    int rc = ds_s3_stat(self, name, &size, err);
    if (rc < 0 || (rc == 1 && size == b->n))
        return rc < 0 ? rc : 0;
    return ds_s3upload_put(self, name, b, err);
}

static int s3_end_uploads(void *self, const char *folder, int64_t before, bool dry_run,
                          ds_remote_uploads *n, ds_err *err)
{
    return ds_s3upload_end(self, folder, before, dry_run, n, err);
}

static int s3_del(void *self, const char *name, ds_err *err)
{
    ds_s3_call c = {.method = "DELETE", .key = name};
    int rc = ds_s3_do(self, &c, err);
    if (!rc && !ds_s3_done(&c) && c.status != 404)
        rc = ds_s3_refused(self, &c, err);
    ds_s3_call_fini(&c);
    return rc;
}

static void s3_close(void *self)
{
    ds_s3_close(self);
}

int ds_remotes3_open(ds_remote *r, const ds_remote_url *u, const ds_remote_opts *o, ds_err *err)
{
    static const ds_remote_ops ops = {.list = s3_list,
                                      .get = s3_get,
                                      .stat = s3_stat,
                                      .put = s3_put,
                                      .del = s3_del,
                                      .end_uploads = s3_end_uploads,
                                      .close = s3_close};
    ds_s3_cred cred = {.key = NULL};
    ds_s3 *s = NULL;
    int rc = ds_s3_cred_find(&cred, o->credentials, u->profile, err);
    rc = rc ? rc : ds_s3_open(&s, u, &cred, o->tries, err);
    ds_s3_cred_fini(&cred);
    if (rc)
        return rc;
    r->ops = &ops;
    r->self = s;
    r->place = strdup(ds_s3_name(s));
    return r->place ? 0 : ds_fail_nomem(err);
}
