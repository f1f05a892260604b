/* remotes3.c - a remote in an S3-compatible object store.
 *
 * Files go up in one request up to 16 MiB and in parts beyond it; a multipart upload that fails is
 * aborted. Nothing is replaced: If-None-Match: *, where the server knows it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "remote.h"
#include "s3client.h"
#include "sig.h"
#include "term.h"

enum { PARTS_MAX = 10000, PAGES_MAX = 1000 };
#define ONE_MAX ((uint64_t)16 << 20)
#define PART_MIN ((uint64_t)16 << 20)

static int refused(ds_s3 *s, const ds_s3_call *c, ds_err *err)
{
    return ds_fail(err, c->status == 404 ? DS_CORRUPT : DS_FAIL, "%s%s: %s (%ld)", ds_s3_name(s),
                   c->key ? c->key : "",
                   c->status == 404 ? "the remote lacks this file" : "the server refuses it",
                   c->status);
}

static bool done(const ds_s3_call *c)
{
    return c->status >= 200 && c->status < 300;
}

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
    const char *name = k->key + l->len;
    /* keys of other places are none of ours, whatever the server says */
    if (strncmp(k->key, l->prefix, l->len) != 0 || strchr(name, '/') || !*name)
        return 0;
    const ds_remote_file f = {.name = name, .size = k->size, .time = k->time};
    return l->fn(l->ctx, &f, err);
}

static int list_page(ds_s3 *s, listing *l, ds_s3_answer *a, ds_err *err)
{
    char token[sizeof a->next];
    memcpy(token, a->next, sizeof token);
    ds_s3_pair p[4] = {{"list-type", "2"}, {"prefix", l->prefix}, {"delimiter", "/"}};
    ds_s3_call c = {.method = "GET", .params = p, .nparams = 3, .root = "ListBucketResult"};
    if (*token)
        p[c.nparams++] = (ds_s3_pair){"continuation-token", token};
    int rc = ds_s3_do(s, &c, err);
    if (!rc)
        rc = ds_s3_answer_read(a, c.body.data, c.body.len, on_key, l, err);
    if (!rc && a->truncated && (!*a->next || strcmp(a->next, token) == 0))
        rc = ds_fail(err, DS_CORRUPT, "a listing does not go on where it says so");
    ds_s3_call_fini(&c);
    return rc;
}

static const char *s3_prefix(const ds_s3 *s)
{
    return strchr(ds_s3_name(s) + 5, '/') + 1;
}

static int s3_list(void *self, const char *folder, ds_remote_list_fn fn, void *ctx, ds_err *err)
{
    ds_s3 *s = self;
    char *prefix = NULL;
    ds_s3_answer *a = calloc(1, sizeof *a);
    int rc = a && asprintf(&prefix, "%s%s", s3_prefix(s), folder) >= 0 ? 0 : ds_fail_nomem(err);
    listing l = {.prefix = prefix, .len = rc ? 0 : strlen(prefix), .fn = fn, .ctx = ctx};
    do
        rc = rc ? rc : list_page(s, &l, a, err);
    while (!rc && a->truncated);
    if (rc)
        ds_err_prefix(err, "%s%s", ds_s3_name(s), folder);
    free(prefix);
    free(a);
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
    if (!rc && !done(&c))
        rc = refused(self, &c, err);
    ds_s3_call_fini(&c);
    return rc;
}

static int s3_stat(void *self, const char *name, uint64_t *size, ds_err *err)
{
    ds_s3_call c = {.method = "HEAD", .key = name};
    int rc = ds_s3_do(self, &c, err);
    if (!rc && !done(&c) && c.status != 404)
        rc = refused(self, &c, err);
    *size = c.length;
    ds_s3_call_fini(&c);
    return rc ? rc : c.status != 404;
}

/* ---- writing ---- */

static const ds_s3_pair only_new = {"if-none-match", "*"};

static int put_one(ds_s3 *s, const char *name, const ds_remote_body *b, ds_err *err)
{
    ds_s3_call c = {.method = "PUT",
                    .key = name,
                    .data = b->data,
                    .fd = b->fd,
                    .n = b->n,
                    .sum = &b->sum,
                    .condition = only_new};
    int rc = ds_s3_do(s, &c, err);
    if (!rc && c.status == 501) { /* this server does not know conditions */
        c.condition = (ds_s3_pair){NULL, NULL};
        rc = ds_s3_do(s, &c, err);
    }
    if (!rc && !done(&c) && c.status != 412 && c.status != 409)
        rc = refused(s, &c, err);
    ds_s3_call_fini(&c);
    return rc ? rc : done(&c);
}

static int range_sum(ds_sha *sum, int fd, const char *name, uint64_t off, uint64_t n, ds_err *err)
{
    enum { CHUNK = 1 << 20 };
    ds_hasher *h = NULL;
    void *buf = malloc(CHUNK);
    int rc = buf ? ds_hasher_new(&h, err) : ds_fail_nomem(err);
    while (!rc && n > 0) {
        size_t part = n < CHUNK ? (size_t)n : CHUNK;
        rc = ds_pread_exact(fd, name, buf, part, off, err);
        rc = rc ? rc : ds_hasher_put(h, buf, part, err);
        off += part;
        n -= part;
    }
    rc = rc ? rc : ds_hasher_end(h, sum, err);
    ds_hasher_free(h);
    free(buf);
    return rc;
}

static int put_part(ds_s3 *s, const char *name, const char *upload, unsigned no,
                    const ds_remote_body *b, uint64_t off, uint64_t n, ds_buf *list, ds_err *err)
{
    char number[16];
    ds_sha sum;
    snprintf(number, sizeof number, "%u", no);
    ds_s3_pair p[] = {{"partNumber", number}, {"uploadId", upload}};
    ds_s3_call c = {.method = "PUT",
                    .key = name,
                    .params = p,
                    .nparams = 2,
                    .fd = b->fd,
                    .off = off,
                    .n = n,
                    .sum = &sum};
    int rc = range_sum(&sum, b->fd, name, off, n, err);
    rc = rc ? rc : ds_s3_do(s, &c, err);
    if (!rc && !done(&c))
        rc = refused(s, &c, err);
    if (!rc && (!*c.etag || strpbrk(c.etag, "<>&")))
        rc = ds_fail(err, DS_CORRUPT, "%s%s: a part without an ETag", ds_s3_name(s), name);
    if (!rc &&
        ds_buf_printf(list, "<Part><PartNumber>%u</PartNumber><ETag>%s</ETag></Part>", no, c.etag))
        rc = ds_fail_nomem(err);
    ds_s3_call_fini(&c);
    return rc;
}

/* Asked again after an answer that was lost, a server knows the upload no more: 1 when that is so
 * and the file lies there whole, else what it was asked for failed. */
static int stored_unheard(ds_s3 *s, const ds_s3_call *c, uint64_t n)
{
    uint64_t size = 0;
    return c->status == 404 && s3_stat(s, c->key, &size, NULL) == 1 && size == n;
}

/* The end of a multipart upload of n bytes: 1 stored, 0 there already. The answer may be 200 and an
 * error. */
static int complete(ds_s3 *s, const char *name, const char *upload, const ds_buf *list, uint64_t n,
                    ds_err *err)
{
    ds_s3_pair p[] = {{"uploadId", upload}};
    ds_sha sum;
    ds_s3_answer a;
    ds_s3_call c = {.method = "POST",
                    .key = name,
                    .params = p,
                    .nparams = 1,
                    .data = list->data,
                    .n = list->len,
                    .sum = &sum,
                    .condition = only_new};
    int rc = ds_sha_bytes(&sum, list->data, list->len, err);
    rc = rc ? rc : ds_s3_do(s, &c, err);
    if (!rc && c.status == 501) {
        c.condition = (ds_s3_pair){NULL, NULL};
        rc = ds_s3_do(s, &c, err);
    }
    if (rc && stored_unheard(s, &c, n)) {
        ds_s3_call_fini(&c);
        return 1;
    }
    if (!rc && !done(&c) && c.status != 412)
        rc = refused(s, &c, err);
    if (!rc && done(&c)) {
        rc = ds_s3_answer_read(&a, c.body.data, c.body.len, NULL, NULL, err);
        if (!rc && strcmp(a.root, "CompleteMultipartUploadResult") != 0)
            rc = ds_fail(err, DS_IO, "%s%s: the upload is not completed: %s %s", ds_s3_name(s),
                         name, a.code, a.message);
    }
    ds_s3_call_fini(&c);
    return rc ? rc : done(&c);
}

static int abort_upload(ds_s3 *s, const char *name, const char *upload, ds_err *err)
{
    ds_s3_pair p[] = {{"uploadId", upload}};
    ds_s3_call c = {.method = "DELETE", .key = name, .params = p, .nparams = 1};
    int rc = ds_s3_do(s, &c, err);
    if (!rc && !done(&c) && c.status != 404)
        rc = refused(s, &c, err);
    ds_s3_call_fini(&c);
    return rc;
}

/* ---- uploads that nobody will complete ---- */

typedef struct ending {
    ds_s3 *s;
    const char *prefix;
    int64_t before;
    ds_buf old; /* a key without the place's prefix and an id, each with its NUL, again and again */
} ending;

static int on_upload(void *ctx, const ds_s3_key *k, ds_err *err)
{
    ending *e = ctx;
    const size_t all = strlen(e->prefix), own = strlen(s3_prefix(e->s));
    if (!k->upload || k->time > e->before || strncmp(k->key, e->prefix, all) != 0)
        return 0;
    return ds_buf_put(&e->old, k->key + own, strlen(k->key + own) + 1) ||
                   ds_buf_put(&e->old, k->upload, strlen(k->upload) + 1)
               ? ds_fail_nomem(err)
               : 0;
}

static int list_uploads(ending *e, bool *more, ds_err *err)
{
    ds_s3_pair p[] = {{"prefix", e->prefix}, {"uploads", ""}};
    ds_s3_call c = {
        .method = "GET", .params = p, .nparams = 2, .root = "ListMultipartUploadsResult"};
    ds_s3_answer a = {.truncated = false};
    ds_buf_reset(&e->old);
    int rc = ds_s3_do(e->s, &c, err);
    rc = rc ? rc : ds_s3_answer_read(&a, c.body.data, c.body.len, on_upload, e, err);
    *more = a.truncated;
    ds_s3_call_fini(&c);
    return rc;
}

static int s3_end_uploads(void *self, const char *folder, int64_t before, uint64_t *n, ds_err *err)
{
    ending e = {.s = self, .before = before};
    ds_err why = {0};
    char *prefix = NULL;
    bool more = true;
    if (asprintf(&prefix, "%s%s", s3_prefix(e.s), folder) < 0)
        return ds_fail_nomem(err);
    e.prefix = prefix;
    int rc = 0;
    /* Those that are over leave the listing, so that its first page is all that is asked for. */
    for (int page = 0; !rc && more && page < PAGES_MAX; page++) {
        rc = list_uploads(&e, &more, &why);
        more = more && e.old.len;
        for (size_t at = 0; !rc && at < e.old.len; *n += rc == 0) {
            const char *key = (const char *)e.old.data + at, *id = key + strlen(key) + 1;
            rc = abort_upload(e.s, key, id, &why);
            at += strlen(key) + strlen(id) + 2;
        }
        rc = rc ? rc : ds_check_interrupt(err);
    }
    if (why.code && why.code != DS_NOMEM) { /* not every server tells, and not everybody */
        ds_warn("%s%s: uploads that died are left: %s", ds_s3_name(e.s), folder, why.msg);
        rc = 0;
    } else if (why.code) {
        ds_fail(err, why.code, "%s", why.msg);
    }
    ds_buf_fini(&e.old);
    free(prefix);
    return rc;
}

static int begin_upload(ds_s3 *s, const char *name, ds_s3_answer *a, ds_err *err)
{
    ds_s3_pair p[] = {{"uploads", ""}};
    ds_s3_call c = {.method = "POST", .key = name, .params = p, .nparams = 1, .data = "", .n = 0};
    int rc = ds_s3_do(s, &c, err);
    if (!rc && !done(&c))
        rc = refused(s, &c, err);
    rc = rc ? rc : ds_s3_answer_read(a, c.body.data, c.body.len, NULL, NULL, err);
    if (!rc && (strcmp(a->root, "InitiateMultipartUploadResult") != 0 || !*a->upload))
        rc = ds_fail(err, DS_CORRUPT, "%s%s: the answer to a new upload is <%s>", ds_s3_name(s),
                     name, a->root);
    ds_s3_call_fini(&c);
    return rc;
}

static int put_parts(ds_s3 *s, const char *name, const ds_remote_body *b, ds_err *err)
{
    ds_buf list = {0};
    ds_s3_answer a = {.truncated = false};
    uint64_t part = PART_MIN;
    unsigned no = 0;
    while (b->n / part >= PARTS_MAX)
        part *= 2;
    int rc = begin_upload(s, name, &a, err);
    if (rc)
        return rc;
    if (ds_buf_puts(&list, "<CompleteMultipartUpload>"))
        rc = ds_fail_nomem(err);
    for (uint64_t off = 0; !rc && off < b->n; off += part)
        rc = put_part(s, name, a.upload, ++no, b, off, b->n - off < part ? b->n - off : part, &list,
                      err);
    if (!rc && ds_buf_puts(&list, "</CompleteMultipartUpload>"))
        rc = ds_fail_nomem(err);
    rc = rc ? rc : complete(s, name, a.upload, &list, b->n, err);
    if (rc <= 0)
        (void)abort_upload(s, name, a.upload, NULL);
    ds_buf_fini(&list);
    return rc;
}

static int s3_put(void *self, const char *name, const ds_remote_body *b, ds_err *err)
{
    uint64_t size = 0;
    if (b->data || b->n <= ONE_MAX)
        return put_one(self, name, b, err);
    int rc = s3_stat(self, name, &size, err);
    if (rc < 0 || (rc == 1 && size == b->n))
        return rc < 0 ? rc : 0;
    return put_parts(self, name, b, err);
}

static int s3_del(void *self, const char *name, ds_err *err)
{
    ds_s3_call c = {.method = "DELETE", .key = name};
    int rc = ds_s3_do(self, &c, err);
    if (!rc && !done(&c) && c.status != 404)
        rc = refused(self, &c, err);
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
