/* s3list.c - see s3list.h. */
#include "s3list.h"

#include <stdlib.h>
#include <string.h>

enum { PARAMS = 5 };

typedef struct listing {
    ds_s3 *s;
    const char *key;           /* NULL: the bucket */
    const char *root;          /* of the answer */
    ds_s3_pair params[PARAMS]; /* of every page; name NULL: no more */
    const char *marker, *more; /* what the next page's place is called; more: NULL, or its id */
    ds_s3_key_fn fn;
    void *ctx;
} listing;

/* From where *at says; *at: where the next one begins, and whether there is one. */
static int list_page(const listing *l, ds_s3_answer *at, ds_err *err)
{
    char next[sizeof at->next], upload[sizeof at->next_upload];
    ds_s3_pair p[PARAMS + 2];
    size_t n = 0;
    memcpy(next, at->next, sizeof next);
    memcpy(upload, at->next_upload, sizeof upload);
    for (; n < PARAMS && l->params[n].name; n++)
        p[n] = l->params[n];
    if (*next)
        p[n++] = (ds_s3_pair){l->marker, next};
    if (*next && l->more)
        p[n++] = (ds_s3_pair){l->more, upload};
    ds_s3_call c = {.method = "GET", .key = l->key, .params = p, .nparams = n, .root = l->root};
    int rc = ds_s3_do(l->s, &c, err);
    if (!rc && !ds_s3_done(&c))
        rc = ds_s3_refused(l->s, &c, err);
    rc = rc ? rc : ds_s3_answer_read(at, c.body.data, c.body.len, l->fn, l->ctx, err);
    if (!rc && at->truncated &&
        (!*at->next || (strcmp(at->next, next) == 0 && strcmp(at->next_upload, upload) == 0)))
        rc = ds_fail(err, DS_CORRUPT, "a listing does not go on where it says so");
    ds_s3_call_fini(&c);
    return rc;
}

static int list_all(const listing *l, ds_err *err)
{
    ds_s3_answer *at = calloc(1, sizeof *at);
    int rc = at ? 0 : ds_fail_nomem(err);
    do
        rc = rc ? rc : list_page(l, at, err);
    while (!rc && at->truncated);
    free(at);
    return rc;
}

int ds_s3list_objects(ds_s3 *s, const char *prefix, ds_s3_key_fn fn, void *ctx, ds_err *err)
{
    const listing l = {.s = s,
                       .root = "ListBucketResult",
                       .params = {{"list-type", "2"}, {"prefix", prefix}, {"delimiter", "/"}},
                       .marker = "continuation-token",
                       .fn = fn,
                       .ctx = ctx};
    return list_all(&l, err);
}

int ds_s3list_uploads(ds_s3 *s, const char *prefix, ds_s3_key_fn fn, void *ctx, ds_err *err)
{
    const listing l = {.s = s,
                       .root = "ListMultipartUploadsResult",
                       .params = {{"prefix", prefix}, {"uploads", ""}},
                       .marker = "key-marker",
                       .more = "upload-id-marker",
                       .fn = fn,
                       .ctx = ctx};
    return list_all(&l, err);
}

int ds_s3list_parts(ds_s3 *s, const char *key, const char *upload, ds_s3_key_fn fn, void *ctx,
                    ds_err *err)
{
    const listing l = {.s = s,
                       .key = key,
                       .root = "ListPartsResult",
                       .params = {{"uploadId", upload}},
                       .marker = "part-number-marker",
                       .fn = fn,
                       .ctx = ctx};
    return list_all(&l, err);
}
