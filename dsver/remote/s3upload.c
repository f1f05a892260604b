/* s3upload.c - see s3upload.h. */
#include "s3upload.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "s3list.h"
#include "sig.h"
#include "term.h"

enum { PARTS_MAX = 10000, MD5_LEN = 16, CHUNK = 1 << 20 };
#define PART_MIN ((uint64_t)16 << 20)

typedef struct part {
    uint64_t size; /* 0: the server does not have it, or does not say what it is */
    uint8_t md5[MD5_LEN];
} part;

typedef struct upload {
    ds_s3 *s;
    const char *name;
    const ds_remote_body *b;
    uint64_t part; /* bytes of one */
    unsigned n;    /* parts */
    char id[1024]; /* "": not begun */
    part *there;   /* n of them */
    ds_buf list;   /* the document that completes it */
    bool gone;     /* the server does not know it any more */
} upload;

/* Once more from its beginning. */
static void renew(upload *u)
{
    u->gone = false;
    *u->id = '\0';
    memset(u->there, 0, u->n * sizeof *u->there);
    ds_buf_reset(&u->list);
}

/* ---- what is there of it ---- */

static int on_part(void *ctx, const ds_s3_key *k, ds_err *err)
{
    upload *u = ctx;
    part p = {.size = k->size};
    (void)err;
    const char *hex = k->etag ? k->etag + (*k->etag == '"') : "";
    if (strlen(hex) < (size_t)2 * MD5_LEN || k->number < 1 || k->number > u->n)
        return 0;
    if (!ds_hex_decode(hex, (size_t)2 * MD5_LEN, p.md5, MD5_LEN))
        return 0; /* another kind of sum: the part is sent once more */
    u->there[k->number - 1] = p;
    return 0;
}

typedef struct finding {
    const upload *u;
    char key[2048], id[1024];
} finding;

static int on_upload(void *ctx, const ds_s3_key *k, ds_err *err)
{
    finding *f = ctx;
    (void)err;
    if (k->upload && strcmp(k->key, f->key) == 0)
        snprintf(f->id, sizeof f->id, "%s", k->upload);
    return 0;
}

/* The youngest upload of this file, if there is one, and its parts. Not every server tells, and not
 * everybody: then another one is begun. */
static int find(upload *u, ds_err *err)
{
    ds_err why = {0};
    finding *f = calloc(1, sizeof *f);
    if (!f)
        return ds_fail_nomem(err);
    snprintf(f->key, sizeof f->key, "%s%s", ds_s3_prefix(u->s), u->name);
    int rc = ds_s3list_uploads(u->s, f->key, on_upload, f, &why);
    if (!rc && *f->id)
        rc = ds_s3list_parts(u->s, u->name, f->id, on_part, u, &why);
    if (!rc) {
        memcpy(u->id, f->id, sizeof u->id);
    } else if (rc == DS_NOMEM || ds_interrupted()) {
        ds_fail_as(err, &why);
    } else {
        ds_info("%s; the upload begins anew", why.msg);
        renew(u); /* some of its parts may be known already */
        rc = 0;
    }
    free(f);
    return rc;
}

static int begin(upload *u, ds_err *err)
{
    ds_s3_pair p[] = {{"uploads", ""}};
    ds_s3_answer a = {.truncated = false};
    ds_s3_call c = {
        .method = "POST", .key = u->name, .params = p, .nparams = 1, .data = "", .n = 0};
    int rc = ds_s3_do(u->s, &c, err);
    if (!rc && !ds_s3_done(&c))
        rc = ds_s3_refused(u->s, &c, err);
    rc = rc ? rc : ds_s3_answer_read(&a, c.body.data, c.body.len, NULL, NULL, err);
    if (!rc && (strcmp(a.root, "InitiateMultipartUploadResult") != 0 || !*a.upload))
        rc = ds_fail(err, DS_CORRUPT, "%s%s: the answer to a new upload is <%s>", ds_s3_name(u->s),
                     u->name, a.root);
    memcpy(u->id, a.upload, sizeof u->id);
    ds_s3_call_fini(&c);
    return rc;
}

/* ---- parts ---- */

/* md5: NULL, or its MD5 as well, all zeros where the library has none. */
static int range_sum(ds_sha *sum, uint8_t *md5, const upload *u, uint64_t off, uint64_t n,
                     ds_err *err)
{
    ds_hasher *h = NULL;
    EVP_MD_CTX *m = md5 ? EVP_MD_CTX_new() : NULL;
    void *buf = malloc(CHUNK);
    int rc = buf && (m || !md5) ? ds_hasher_new(&h, err) : ds_fail_nomem(err);
    bool both = m && EVP_DigestInit_ex(m, EVP_md5(), NULL) == 1;
    while (!rc && n > 0) {
        size_t len = n < CHUNK ? (size_t)n : CHUNK;
        rc = ds_pread_exact(u->b->fd, u->name, buf, len, off, err);
        rc = rc ? rc : ds_hasher_put(h, buf, len, err);
        rc = rc ? rc : ds_check_interrupt(err);
        both = both && EVP_DigestUpdate(m, buf, len) == 1;
        off += len;
        n -= len;
    }
    rc = rc ? rc : ds_hasher_end(h, sum, err);
    if (md5 && !(both && EVP_DigestFinal_ex(m, md5, NULL) == 1))
        memset(md5, 0, MD5_LEN);
    EVP_MD_CTX_free(m);
    ds_hasher_free(h);
    free(buf);
    return rc;
}

static int list_part(upload *u, unsigned no, const char *etag, ds_err *err)
{
    return ds_buf_printf(&u->list, "<Part><PartNumber>%u</PartNumber><ETag>%s</ETag></Part>", no,
                         etag)
               ? ds_fail_nomem(err)
               : 0;
}

static int send_part(upload *u, unsigned no, uint64_t n, const ds_sha *sum, ds_err *err)
{
    char number[16];
    snprintf(number, sizeof number, "%u", no);
    ds_s3_pair p[] = {{"partNumber", number}, {"uploadId", u->id}};
    ds_s3_call c = {.method = "PUT",
                    .key = u->name,
                    .params = p,
                    .nparams = 2,
                    .fd = u->b->fd,
                    .off = (no - 1) * u->part,
                    .n = n,
                    .sum = sum};
    int rc = ds_s3_do(u->s, &c, err);
    if (!rc && !ds_s3_done(&c))
        rc = ds_s3_refused(u->s, &c, err);
    u->gone = rc && c.status == 404;
    if (!rc && (!*c.etag || strpbrk(c.etag, "<>&")))
        rc = ds_fail(err, DS_CORRUPT, "%s%s: a part without an ETag", ds_s3_name(u->s), u->name);
    rc = rc ? rc : list_part(u, no, c.etag, err);
    ds_s3_call_fini(&c);
    return rc;
}

static int put_part(upload *u, unsigned no, ds_err *err)
{
    const part *there = &u->there[no - 1];
    const uint64_t off = (no - 1) * u->part, left = u->b->n - off;
    const uint64_t n = left < u->part ? left : u->part;
    const bool look = there->size == n;
    char etag[2 * MD5_LEN + 3] = "\"";
    uint8_t md5[MD5_LEN];
    ds_sha sum;
    int rc = range_sum(&sum, look ? md5 : NULL, u, off, n, err);
    if (rc || !look || memcmp(md5, there->md5, MD5_LEN) != 0)
        return rc ? rc : send_part(u, no, n, &sum, err);
    for (size_t i = 0; i < MD5_LEN; i++)
        snprintf(etag + 1 + 2 * i, 3, "%02x", md5[i]);
    etag[2 * MD5_LEN + 1] = '"';
    return list_part(u, no, etag, err);
}

/* 1 stored, 0 there already. The answer may be 200 and an error. */
static int complete(upload *u, ds_err *err)
{
    ds_s3_pair p[] = {{"uploadId", u->id}};
    ds_sha sum;
    ds_s3_answer a;
    ds_s3_call c = {.method = "POST",
                    .key = u->name,
                    .params = p,
                    .nparams = 1,
                    .data = u->list.data,
                    .n = u->list.len,
                    .sum = &sum,
                    .condition = DS_S3_ONLY_NEW};
    int rc = ds_sha_bytes(&sum, u->list.data, u->list.len, err);
    rc = rc ? rc : ds_s3_do(u->s, &c, err);
    if (!rc && c.status == 501) {
        c.condition = (ds_s3_pair){NULL, NULL};
        rc = ds_s3_do(u->s, &c, err);
    }
    u->gone = rc ? c.status == 404 : c.status == 409; /* another is at its end this moment */
    if (!rc && !ds_s3_done(&c) && c.status != 412)
        rc = ds_s3_refused(u->s, &c, err);
    if (!rc && ds_s3_done(&c)) {
        rc = ds_s3_answer_read(&a, c.body.data, c.body.len, NULL, NULL, err);
        if (!rc && strcmp(a.root, "CompleteMultipartUploadResult") != 0)
            rc = ds_fail(err, DS_IO, "%s%s: the upload is not completed: %s %s", ds_s3_name(u->s),
                         u->name, a.code, a.message);
    }
    ds_s3_call_fini(&c);
    return rc ? rc : ds_s3_done(&c);
}

static int abort_upload(ds_s3 *s, const char *name, const char *id, ds_err *err)
{
    ds_s3_pair p[] = {{"uploadId", id}};
    ds_s3_call c = {.method = "DELETE", .key = name, .params = p, .nparams = 1};
    int rc = ds_s3_do(s, &c, err);
    if (!rc && !ds_s3_done(&c) && c.status != 404)
        rc = ds_s3_refused(s, &c, err);
    ds_s3_call_fini(&c);
    return rc;
}

static int put_parts(upload *u, ds_err *err)
{
    int rc = *u->id ? 0 : begin(u, err);
    if (!rc && ds_buf_puts(&u->list, "<CompleteMultipartUpload>"))
        rc = ds_fail_nomem(err);
    for (unsigned no = 1; !rc && no <= u->n; no++)
        rc = put_part(u, no, err);
    if (!rc && ds_buf_puts(&u->list, "</CompleteMultipartUpload>"))
        rc = ds_fail_nomem(err);
    rc = rc ? rc : complete(u, err);
    /* the next one goes on with what a connection or a signal ended, not with what is refused */
    if (*u->id && !u->gone && !ds_interrupted() && (rc == 0 || rc == DS_FAIL || rc == DS_CORRUPT))
        (void)abort_upload(u->s, u->name, u->id, NULL);
    return rc;
}

/* An upload is gone when somebody else has completed it, or we have and the answer was lost: then
 * the file is there. Or when somebody has aborted it: then it begins once more. */
static int put(upload *u, ds_err *err)
{
    ds_err why = {0};
    uint64_t size = 0;
    int rc = find(u, &why);
    for (int again = 1; !rc; again--) {
        rc = put_parts(u, &why);
        if (rc >= 0 || !u->gone)
            break;
        const int there = ds_s3_stat(u->s, u->name, &size, NULL);
        if (there == 1 && size == u->b->n)
            return 1;
        if (there != 0 || !again)
            break;
        renew(u);
        ds_err_clear(&why);
        rc = 0;
    }
    return rc < 0 ? ds_fail_as(err, &why) : rc;
}

int ds_s3upload_put(ds_s3 *s, const char *name, const ds_remote_body *b, ds_err *err)
{
    upload *u = calloc(1, sizeof *u);
    if (!u)
        return ds_fail_nomem(err);
    *u = (upload){.s = s, .name = name, .b = b, .part = PART_MIN};
    while (b->n / u->part >= PARTS_MAX)
        u->part *= 2;
    u->n = (unsigned)((b->n + u->part - 1) / u->part);
    u->there = calloc(u->n, sizeof *u->there);
    int rc = u->there ? put(u, err) : ds_fail_nomem(err);
    ds_buf_fini(&u->list);
    free(u->there);
    free(u);
    return rc;
}

/* ---- uploads that nobody will complete ---- */

typedef struct ending {
    const char *prefix;
    size_t own; /* length of the place's prefix */
    int64_t before;
    uint64_t open;
    ds_buf old; /* a key without the place's prefix and an id, each with its NUL, again and again */
} ending;

static int on_ending(void *ctx, const ds_s3_key *k, ds_err *err)
{
    ending *e = ctx;
    if (!k->upload || strncmp(k->key, e->prefix, strlen(e->prefix)) != 0)
        return 0;
    if (k->time > e->before) {
        e->open++;
        return 0;
    }
    return ds_buf_put(&e->old, k->key + e->own, strlen(k->key + e->own) + 1) ||
                   ds_buf_put(&e->old, k->upload, strlen(k->upload) + 1)
               ? ds_fail_nomem(err)
               : 0;
}

static int end_old(ds_s3 *s, const ending *e, bool dry_run, uint64_t *n, ds_err *err)
{
    int rc = 0;
    for (size_t at = 0; !rc && at < e->old.len; *n += rc == 0) {
        const char *key = (const char *)e->old.data + at, *id = key + strlen(key) + 1;
        rc = dry_run ? 0 : abort_upload(s, key, id, err);
        rc = rc ? rc : ds_check_interrupt(err);
        at += strlen(key) + strlen(id) + 2;
    }
    return rc;
}

int ds_s3upload_end(ds_s3 *s, const char *folder, int64_t before, bool dry_run,
                    ds_remote_uploads *n, ds_err *err)
{
    ending e = {.own = strlen(ds_s3_prefix(s)), .before = before};
    ds_err why = {0};
    char *prefix = NULL;
    if (asprintf(&prefix, "%s%s", ds_s3_prefix(s), folder) < 0)
        return ds_fail_nomem(err);
    e.prefix = prefix;
    int rc = ds_s3list_uploads(s, prefix, on_ending, &e, &why);
    rc = rc ? rc : end_old(s, &e, dry_run, &n->ended, &why);
    n->open = e.open;
    if (rc && rc != DS_NOMEM && !ds_interrupted()) { /* not every server tells, and not everybody */
        ds_warn("%s%s: uploads that died are left: %s", ds_s3_name(s), folder, why.msg);
        rc = 0;
    } else if (rc) {
        ds_fail_as(err, &why);
    }
    ds_buf_fini(&e.old);
    free(prefix);
    return rc;
}
