/* packheads.c - see packheads.h. */
#include "packheads.h"

#include <string.h>

static const uint8_t first[DS_HEADS_HEADER] = {'d', 's', 'v', 'h', 'e', 'a', 'd', '\n', 1};
static const uint8_t last[8] = {'d', 's', 'v', 'h', 'e', 'n', 'd', '\n'};

typedef struct making {
    ds_buf *out;
    const char *path;
    ds_err *err;
} making;

static int add_head(void *ctx, const ds_objhead *h, uint64_t off, const uint8_t *object, size_t n)
{
    const making *m = ctx;
    size_t size = ds_objhead_size(h);
    (void)off;
    (void)object;
    (void)n;
    if (ds_buf_reserve(m->out, size))
        return ds_fail_nomem(m->err);
    ds_objhead_put(m->out->data + m->out->len, h);
    m->out->len += size;
    return 0;
}

static int on_bad(void *ctx, uint64_t off, const ds_sha *id, const char *reason)
{
    const making *m = ctx;
    (void)id;
    return ds_fail(m->err, DS_CORRUPT, "%s: offset %llu: %s", m->path, (unsigned long long)off,
                   reason);
}

int ds_packheads_make(ds_buf *out, const char *path, ds_err *err)
{
    making m = {.out = out, .path = path, .err = err};
    ds_packscan s = {.path = path, .object = add_head, .bad = on_bad, .ctx = &m};
    ds_buf_reset(out);
    if (ds_buf_put(out, first, sizeof first))
        return ds_fail_nomem(err);
    int rc = ds_pack_scan(&s, err);
    if (!rc && (ds_buf_put(out, last, sizeof last) || ds_buf_u64(out, s.objects) ||
                ds_buf_u64(out, s.size) || ds_buf_u64(out, ds_xxh64(out->data, out->len))))
        rc = ds_fail_nomem(err);
    return rc;
}

int ds_packheads_each(const uint8_t *p, size_t len, uint64_t pack_size, uint64_t *objects,
                      ds_packheads_fn fn, void *ctx, ds_err *err)
{
    uint64_t off = DS_PACK_HEADER, n = 0;
    ds_objhead h;
    int rc = 0;
    if (len < DS_HEADS_HEADER + DS_HEADS_TRAILER || memcmp(p, first, sizeof first) != 0)
        return ds_fail(err, DS_CORRUPT, "not the heads of a pack");
    const size_t end = len - DS_HEADS_TRAILER;
    if (memcmp(p + end, last, sizeof last) != 0 || ds_get_u64(p + len - 8) != ds_xxh64(p, len - 8))
        return ds_fail(err, DS_CORRUPT, "the checksum is wrong");
    *objects = ds_get_u64(p + end + 8);
    if (ds_get_u64(p + end + 16) != pack_size || pack_size < DS_PACK_HEADER + DS_PACK_TRAILER)
        return ds_fail(err, DS_CORRUPT, "the pack is %llu bytes long, it should be %llu",
                       (unsigned long long)pack_size, (unsigned long long)ds_get_u64(p + end + 16));
    for (size_t at = DS_HEADS_HEADER; !rc && at < end; n++) {
        size_t size = 0;
        const char *bad = ds_objhead_get(&h, &size, p + at, end - at);
        if (bad)
            return ds_fail(err, DS_CORRUPT, "byte %zu: %s", at, bad);
        at += size;
        if (ds_object_size(&h) > pack_size - off)
            return ds_fail(err, DS_CORRUPT, "an object reaches past the end of the pack");
        rc = fn(ctx, &h, off, err);
        off += ds_object_size(&h);
    }
    if (!rc && (n != *objects || off + DS_PACK_TRAILER != pack_size))
        rc = ds_fail(err, DS_CORRUPT, "its heads do not add up to the pack");
    return rc;
}
