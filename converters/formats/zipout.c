/* zipout.c - see zipout.h. */
#include "zipout.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { STEP = 1 << 20 };
#define LIMIT UINT64_C(0xffffffff) /* from here on a field is 64 bits wide, elsewhere */

static int put16(ds_buf *b, unsigned v)
{
    const uint8_t p[2] = {(uint8_t)v, (uint8_t)(v >> 8)};
    return ds_buf_put(b, p, sizeof p);
}

static int put32(ds_buf *b, uint64_t v)
{
    uint8_t p[4];
    ds_set_u32(p, v < LIMIT ? (uint32_t)v : UINT32_MAX);
    return ds_buf_put(b, p, sizeof p);
}

typedef struct member {
    const char *name;
    size_t name_len;
    uint32_t crc;
    bool deflated;
    uint64_t size, packed, at;
} member;

/* What local head and directory have in common: version needed to name's length. */
static int facts(ds_buf *b, const member *m, bool wide)
{
    bool ascii = true;
    for (size_t i = 0; i < m->name_len; i++)
        ascii = ascii && (uint8_t)m->name[i] < 0x80;
    return put16(b, wide ? 45 : 20) || put16(b, ascii ? 0 : 0x800) || /* the name is UTF-8 */
           put16(b, m->deflated ? 8 : 0) || put16(b, 0) || put16(b, 0x21) || put32(b, m->crc);
}

/* Behind the name: fields that 32 bits do not hold, in their order. */
static int extra(ds_buf *b, const uint64_t *v, size_t n)
{
    if (n && (put16(b, 1) || put16(b, (unsigned)(8 * n))))
        return DS_NOMEM;
    for (size_t i = 0; i < n; i++)
        if (ds_buf_u64(b, v[i]))
            return DS_NOMEM;
    return 0;
}

static int local_head(ds_buf *b, const member *m)
{
    /* Both sizes or none of them. */
    const bool wide = m->size >= LIMIT || m->packed >= LIMIT;
    const uint64_t v[] = {m->size, m->packed};
    return ds_buf_put(b, "PK\3\4", 4) || facts(b, m, wide) || put32(b, wide ? LIMIT : m->packed) ||
           put32(b, wide ? LIMIT : m->size) || put16(b, (unsigned)m->name_len) ||
           put16(b, wide ? 20 : 0) || ds_buf_put(b, m->name, m->name_len) ||
           extra(b, v, wide ? 2 : 0);
}

static int directory(ds_buf *b, const member *m)
{
    uint64_t v[3];
    size_t n = 0;
    if (m->size >= LIMIT)
        v[n++] = m->size;
    if (m->packed >= LIMIT)
        v[n++] = m->packed;
    if (m->at >= LIMIT)
        v[n++] = m->at;
    return ds_buf_put(b, "PK\1\2", 4) || put16(b, 3 << 8 | (n ? 45 : 20)) || facts(b, m, n > 0) ||
           put32(b, m->packed) || put32(b, m->size) || put16(b, (unsigned)m->name_len) ||
           put16(b, n ? (unsigned)(4 + 8 * n) : 0) || put16(b, 0) || put16(b, 0) || put16(b, 0) ||
           put32(b, UINT32_C(0100600) << 16) || put32(b, m->at) ||
           ds_buf_put(b, m->name, m->name_len) || extra(b, v, n);
}

/* ---- data ---- */

/* Hands all bytes of the parts to fn, step by step. */
typedef int (*step_fn)(void *ctx, const uint8_t *p, size_t len, bool last, ds_err *err);

static int each(const ds_zippart *parts, size_t n, step_fn fn, void *ctx, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        size_t at = 0;
        do {
            const size_t left = parts[i].len - at, len = left < STEP ? left : STEP;
            rc = fn(ctx, parts[i].p + at, len, i + 1 == n && len == left, err);
            at += len;
            if (parts[i].spool)
                ds_spool_release(parts[i].spool, at);
        } while (rc == 0 && at < parts[i].len);
    }
    return rc;
}

static int add_crc(void *ctx, const uint8_t *p, size_t len, bool last, ds_err *err)
{
    uint32_t *crc = ctx;
    (void)last, (void)err;
    if (len) /* zlib takes NULL for the beginning */
        *crc = (uint32_t)crc32_z(*crc, p, len);
    return 0;
}

static int put_out(void *ctx, const uint8_t *p, size_t len, bool last, ds_err *err)
{
    (void)last;
    return ds_out_put(ctx, p, len, err);
}

typedef struct packer {
    z_stream z;
    ds_spool *to;
    uint8_t *room;
} packer;

static int pack(void *ctx, const uint8_t *p, size_t len, bool last, ds_err *err)
{
    packer *k = ctx;
    int rc = 0, done = Z_OK;
    k->z.next_in = (Bytef *)(uintptr_t)p; /* only read */
    k->z.avail_in = (uInt)len;
    do {
        k->z.next_out = k->room;
        k->z.avail_out = STEP;
        done = deflate(&k->z, last ? Z_FINISH : Z_NO_FLUSH);
        rc = ds_spool_put(k->to, k->room, STEP - k->z.avail_out, err);
    } while (rc == 0 && (k->z.avail_out == 0 || (last && done != Z_STREAM_END)));
    return rc;
}

static int deflate_all(ds_zipout *z, const ds_zippart *parts, size_t n, int level, ds_err *err)
{
    packer k = {.to = &z->packed, .room = malloc(STEP)};
    ds_spool_reset(&z->packed);
    if (!k.room || deflateInit2(&k.z, level, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(k.room);
        return ds_fail_nomem(err);
    }
    const int rc = each(parts, n, pack, &k, err);
    (void)deflateEnd(&k.z);
    free(k.room);
    return rc;
}

int ds_zipout_put(ds_zipout *z, ds_out *out, const char *name, const ds_zippart *parts, size_t n,
                  int level, ds_err *err)
{
    member m = {.name = name, .name_len = strlen(name), .deflated = level > 0, .at = out->pos};
    ds_zippart packed = {.spool = &z->packed};
    ds_buf head = {0};
    int rc = m.name_len > UINT16_MAX ? ds_fail(err, DS_FAIL, "a name is too long for a zip") : 0;
    for (size_t i = 0; i < n; i++)
        m.size += parts[i].len;
    rc = rc ? rc : each(parts, n, add_crc, &m.crc, err);
    m.packed = m.size;
    if (rc == 0 && level > 0) {
        rc = deflate_all(z, parts, n, level, err);
        rc = rc ? rc : ds_spool_view(&z->packed, &packed.p, &packed.len, err);
        m.packed = packed.len;
    }
    if (rc == 0 && (local_head(&head, &m) || directory(&z->central, &m)))
        rc = ds_fail_nomem(err);
    rc = rc ? rc : ds_out_put(out, head.data, head.len, err);
    rc = rc          ? rc
         : level > 0 ? each(&packed, 1, put_out, out, err)
                     : each(parts, n, put_out, out, err);
    z->members += rc == 0;
    ds_buf_fini(&head);
    return rc;
}

int ds_zipout_end(ds_zipout *z, ds_out *out, ds_err *err)
{
    const uint64_t at = out->pos, size = z->central.len;
    const bool wide = z->members >= UINT16_MAX || at >= LIMIT || size >= LIMIT;
    const unsigned members = wide ? UINT16_MAX : (unsigned)z->members;
    ds_buf b = {0};
    bool bad = wide && (ds_buf_put(&b, "PK\6\6", 4) || ds_buf_u64(&b, 44) ||
                        put16(&b, 3 << 8 | 45) || put16(&b, 45) || put32(&b, 0) || put32(&b, 0) ||
                        ds_buf_u64(&b, z->members) || ds_buf_u64(&b, z->members) ||
                        ds_buf_u64(&b, size) || ds_buf_u64(&b, at) || ds_buf_put(&b, "PK\6\7", 4) ||
                        put32(&b, 0) || ds_buf_u64(&b, at + size) || put32(&b, 1));
    bad = bad || ds_buf_put(&b, "PK\5\6", 4) || put32(&b, 0) || put16(&b, members) ||
          put16(&b, members) || put32(&b, wide ? LIMIT : size) || put32(&b, wide ? LIMIT : at) ||
          put16(&b, 0);
    int rc = bad ? ds_fail_nomem(err) : ds_out_put(out, z->central.data, z->central.len, err);
    rc = rc ? rc : ds_out_put(out, b.data, b.len, err);
    ds_buf_fini(&b);
    return rc;
}

void ds_zipout_fini(ds_zipout *z)
{
    ds_buf_fini(&z->central);
    ds_spool_fini(&z->packed);
    memset(z, 0, sizeof *z);
}
