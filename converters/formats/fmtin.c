/* fmtin.c - see fmtin.h. */
#include "fmtin.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "utf8.h"

#define STEP ((size_t)256 << 10)

/* Bytes that were read to find out what the file is. */
static int sniff(ds_fmtin *in, const ds_fmtread *o, ds_err *err)
{
    uint8_t head[DS_PACKMARK_SNIFF];
    size_t got = 0;
    const ds_unpack_limits limits = {.max_ratio = o->max_ratio};
    ds_member m;
    struct stat st;
    int rc = ds_read_full(in->fd, in->name, head, sizeof head, &got, err);
    if (rc)
        return rc;
    in->taken = got;
    in->had = in->own && fstat(in->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
    const enum ds_packing p = ds_packmark_sniff(head, got);
    if (p == DS_PACK_NONE || p == DS_PACK_TAR || p == DS_PACK_ZIP || p == DS_PACK_7Z) {
        rc = ds_hasher_put(in->hasher, head, got, err);
        return rc || !ds_buf_put(&in->buf, head, got) ? rc : ds_fail_nomem(err);
    }
    rc = ds_unpack_new(&in->unpack, in->fd, in->name, head, got, p, &limits, err);
    const int more = rc ? 0 : ds_unpack_next(in->unpack, &m, err);
    if (rc == 0 && more < 0)
        rc = more;
    if (rc == 0 && (more == 0 || m.name))
        rc = ds_fail(err, DS_FAIL, "%s: an archive where a file of records is wanted", in->name);
    return rc;
}

int ds_fmtin_open(ds_fmtin *in, const ds_fmtread *o, ds_err *err)
{
    in->name = o->name;
    in->fd = 0;
    int rc = 0;
    if (strcmp(o->path, "-") != 0) {
        in->fd = -1;
        rc = ds_open(&in->fd, o->path, O_RDONLY, 0, err);
        in->own = rc == 0;
    }
    if (rc == 0)
        rc = ds_hasher_new(&in->hasher, err);
    return rc ? rc : sniff(in, o, err);
}

static int fill(ds_fmtin *in, size_t n, ds_err *err)
{
    size_t got = 0;
    if (ds_buf_reserve(&in->buf, n))
        return ds_fail_nomem(err);
    uint8_t *to = in->buf.data + in->buf.len;
    int rc = in->unpack ? ds_unpack_read(in->unpack, to, n, &got, err)
                        : ds_read_full(in->fd, in->name, to, n, &got, err);
    if (rc)
        return rc;
    in->eof = got < n;
    in->taken += got;
    rc = in->eof && !in->unpack ? ds_read_ended(in->fd, in->name, in->had, in->taken, err) : 0;
    rc = rc ? rc : ds_hasher_put(in->hasher, to, got, err);
    in->buf.len += got;
    return rc;
}

int ds_fmtin_want(ds_fmtin *in, size_t n, ds_err *err)
{
    int rc = 0;
    if (ds_fmtin_have(in) >= n || in->eof)
        return 0;
    if (in->at > 0 && in->at >= in->buf.len / 2) {
        memmove(in->buf.data, in->buf.data + in->at, ds_fmtin_have(in));
        in->buf.len -= in->at;
        in->at = 0;
    }
    /* In steps: a length that is a lie costs what the file holds, and no more. */
    while (rc == 0 && ds_fmtin_have(in) < n && !in->eof)
        rc = fill(in, STEP, err);
    return rc;
}

void ds_fmtin_skip(ds_fmtin *in, size_t n)
{
    in->at += n;
    in->pos += n;
}

int ds_fmtin_skip_mark(ds_fmtin *in, ds_err *err)
{
    const int rc = ds_fmtin_want(in, 3, err);
    if (rc == 0)
        ds_fmtin_skip(in, ds_utf8_mark(ds_fmtin_at(in), ds_fmtin_have(in)));
    return rc;
}

int ds_fmtin_pass(ds_fmtin *in, uint64_t n, uint64_t *got, ds_err *err)
{
    *got = 0;
    while (*got < n) {
        int rc = ds_fmtin_want(in, 1, err);
        if (rc || ds_fmtin_have(in) == 0)
            return rc;
        const uint64_t left = n - *got, have = ds_fmtin_have(in);
        const size_t step = (size_t)(left < have ? left : have);
        ds_fmtin_skip(in, step);
        *got += step;
    }
    return 0;
}

int ds_fmtin_end(ds_fmtin *in, const ds_fmtsink *sink, ds_err *err)
{
    uint64_t rest;
    ds_sha sha;
    int rc = ds_fmtin_pass(in, UINT64_MAX, &rest, err);
    if (rc == 0)
        rc = ds_hasher_end(in->hasher, &sha, err);
    return rc ? rc : sink->source(sink->ctx, in->name, in->pos, &sha, err);
}

void ds_fmtin_close(ds_fmtin *in)
{
    ds_unpack_free(in->unpack);
    ds_hasher_free(in->hasher);
    ds_buf_fini(&in->buf);
    if (in->own)
        (void)ds_close(&in->fd, in->name, NULL);
    memset(in, 0, sizeof *in);
}
