/* fuzz_pack.c - packs and the heads beside them, as a remote or a bad disk may give them. The first
 * byte of the input says what the rest is: an odd number that heads and sums are to be made right
 * first, so that what lies behind them is reached. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "codec.h"
#include "packheads.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(int ok)
{
    if (!ok)
        abort();
}

/* ---- one object ---- */

/* What deltas are made against; whatever the bases are called. */
static const uint8_t *prefix(size_t *n)
{
    static uint8_t text[4096];

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i * i >> 3);
    *n = sizeof text;
    return text;
}

static void unpack(const ds_objhead *h, const uint8_t *payload)
{
    size_t nbase;
    const uint8_t *base = prefix(&nbase);
    ds_codec *c = NULL;
    ds_buf raw = {0};

    require(ds_codec_new(&c, NULL) == 0);
    if (!ds_codec_unpack(c, h, payload, base, nbase, &raw))
        require(raw.len == h->raw);
    ds_buf_fini(&raw);
    ds_codec_free(c);
}

/* A head that was taken is written as it was. */
static void same_head(const ds_objhead *h, const uint8_t *p)
{
    uint8_t again[DS_OBJHEAD_MAX];

    require(ds_objhead_size(h) <= sizeof again);
    ds_objhead_put(again, h);
    require(memcmp(again, p, ds_objhead_size(h)) == 0);
}

/* ---- packs ---- */

typedef struct seen {
    uint64_t end; /* of the object before */
    uint64_t objects, bad;
} seen;

static int on_object(void *ctx, const ds_objhead *h, uint64_t off, const uint8_t *p, size_t n)
{
    seen *s = ctx;

    require(off >= s->end && n == ds_object_size(h));
    s->end = off + n;
    s->objects++;
    if (p) {
        same_head(h, p);
        unpack(h, p + ds_objhead_size(h));
    }
    return 0;
}

static int on_bad(void *ctx, uint64_t off, const ds_sha *id, const char *reason)
{
    seen *s = ctx;

    (void)off, (void)id;
    require(reason && *reason);
    s->bad++;
    return 0;
}

static void pack(const uint8_t *p, size_t n)
{
    char path[64];
    const int fd = memfd_create("pack", MFD_CLOEXEC);

    require(fd >= 0 && write(fd, p, n) == (ssize_t)n);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    for (int full = 0; full < 2; full++) {
        ds_err err = {0};
        seen s = {0};
        ds_packscan scan = {
            .path = path, .full = full, .object = on_object, .bad = on_bad, .ctx = &s};
        const int rc = ds_pack_scan(&scan, &err);
        require(rc == 0 || (rc == err.code && *err.msg));
        require(rc != 0 || (scan.objects == s.objects && scan.size == n));
    }
    close(fd);
}

/* ---- heads ---- */

static int on_head(void *ctx, const ds_objhead *h, uint64_t off, ds_err *err)
{
    uint64_t *end = ctx;

    (void)err;
    require(off == *end);
    *end = off + ds_object_size(h);
    return 0;
}

static void heads(const uint8_t *p, size_t n)
{
    const uint64_t size = n >= 16 ? ds_get_u64(p + n - 16) : 0;
    uint64_t objects, end = DS_PACK_HEADER;
    ds_err err = {0};

    if (ds_packheads_each(p, n, size, &objects, on_head, &end, &err))
        require(err.code == DS_CORRUPT && *err.msg);
}

/* ---- sums made right ---- */

/* Of the head at p; its length, 0 when it has none that could be. */
static size_t mend_head(uint8_t *p, size_t n)
{
    const size_t len = n > DS_OBJHEAD_MIN ? p[4] : 0;

    if (len < DS_OBJHEAD_MIN || len > n)
        return 0;
    memcpy(p, ds_objmagic, sizeof ds_objmagic);
    ds_set_u32(p + len - 4, (uint32_t)ds_xxh64(p, len - 4));
    return len;
}

static void mend_pack(uint8_t *p, size_t n)
{
    size_t at = DS_PACK_HEADER, head;

    if (n < DS_PACK_HEADER)
        return;
    ds_pack_header(p);
    while (at < n && (head = mend_head(p + at, n - at))) {
        const size_t stored = ds_get_u32(p + at + 8);
        if (stored > n - at - head || n - at - head - stored < DS_OBJSUM)
            break;
        const ds_x128 sum = ds_xxh128(p + at, head + stored);
        memcpy(p + at + head + stored, sum.b, DS_OBJSUM);
        at += head + stored + DS_OBJSUM;
    }
}

static void mend_heads(uint8_t *p, size_t n)
{
    static const uint8_t begin[DS_HEADS_HEADER] = "dsvhead\n\1";
    size_t at = DS_HEADS_HEADER, head;

    if (n < DS_HEADS_HEADER + DS_HEADS_TRAILER)
        return;
    memcpy(p, begin, sizeof begin);
    while (at < n - DS_HEADS_TRAILER && (head = mend_head(p + at, n - DS_HEADS_TRAILER - at)))
        at += head;
    memcpy(p + n - DS_HEADS_TRAILER, "dsvhend\n", 8);
    ds_set_u64(p + n - 8, ds_xxh64(p, n - 8));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 1)
        return 0;
    uint8_t *p = malloc(len);
    const size_t n = len - 1;

    require(p != NULL);
    memcpy(p, data + 1, n);
    switch (data[0] % 4) {
    case 0:
        pack(p, n);
        break;
    case 1:
        mend_pack(p, n);
        pack(p, n);
        break;
    case 2:
        heads(p, n);
        break;
    default:
        mend_heads(p, n);
        heads(p, n);
    }
    free(p);
    return 0;
}
