/* pack.c - see pack.h. */
#include "pack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const uint8_t ds_objmagic[4] = {0xf5, 'd', 's', 'o'};
static const char pack_magic[8] = {'d', 's', 'v', 'p', 'a', 'c', 'k', '\n'};
static const char end_magic[8] = {'d', 's', 'v', 'p', 'e', 'n', 'd', '\n'};

static void set_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

/* ---- object heads ---- */

bool ds_bases_eq(const ds_bases *a, const ds_bases *b)
{
    return a->n == b->n && memcmp(a->id, b->id, a->n * sizeof a->id[0]) == 0;
}

size_t ds_objhead_size(const ds_objhead *h)
{
    return DS_OBJHEAD_MIN + 32u * h->bases.n + 4u * h->sketch.n;
}

void ds_objhead_put(uint8_t *dst, const ds_objhead *h)
{
    size_t size = ds_objhead_size(h);
    uint8_t *p = dst + 53;
    memcpy(dst, ds_objmagic, 4);
    dst[4] = (uint8_t)size;
    dst[5] = h->kind;
    dst[6] = h->codec;
    dst[7] = h->filter;
    ds_set_u32(dst + 8, h->stored);
    ds_set_u32(dst + 12, h->raw);
    set_u16(dst + 16, h->chain);
    dst[18] = h->sketch.n;
    dst[19] = h->bases.n;
    dst[20] = 0;
    memcpy(dst + 21, h->id.b, 32);
    for (int i = 0; i < h->bases.n; i++, p += 32)
        memcpy(p, h->bases.id[i].b, 32);
    for (int i = 0; i < h->sketch.n; i++, p += 4)
        ds_set_u32(p, h->sketch.h[i]);
    ds_set_u32(p, (uint32_t)ds_xxh64(dst, size - 4));
}

const char *ds_objhead_get(ds_objhead *h, size_t *size, const uint8_t *p, size_t n)
{
    memset(h, 0, sizeof *h);
    if (n < DS_OBJHEAD_MIN)
        return "object head cut short";
    if (memcmp(p, ds_objmagic, 4) != 0)
        return "no object magic";
    *size = p[4];
    if (*size < DS_OBJHEAD_MIN || *size > DS_OBJHEAD_MAX || *size > n)
        return "length of object head is wrong";
    if (ds_get_u32(p + *size - 4) != (uint32_t)ds_xxh64(p, *size - 4))
        return "checksum of object head is wrong";
    h->kind = p[5];
    h->codec = p[6];
    h->filter = p[7];
    h->stored = ds_get_u32(p + 8);
    h->raw = ds_get_u32(p + 12);
    h->chain = (uint16_t)(p[16] | p[17] << 8);
    h->sketch.n = p[18];
    h->bases.n = p[19];
    memcpy(h->id.b, p + 21, 32);
    if (h->codec > DS_CODEC_DELTA || p[20] != 0)
        return "object of an unknown kind: written by a newer version?";
    if (h->sketch.n > DS_SKETCH_MAX || h->bases.n > DS_BASES_MAX ||
        (h->codec == DS_CODEC_DELTA) != (h->bases.n > 0) || *size != ds_objhead_size(h) ||
        h->raw > DS_OBJ_MAX || h->stored > h->raw ||
        (h->codec == DS_CODEC_RAW && h->stored != h->raw))
        return "object head makes no sense";
    const uint8_t *q = p + 53;
    for (int i = 0; i < h->bases.n; i++, q += 32)
        memcpy(h->bases.id[i].b, q, 32);
    for (int i = 0; i < h->sketch.n; i++, q += 4)
        h->sketch.h[i] = ds_get_u32(q);
    return NULL;
}

const char *ds_object_check(ds_objhead *h, size_t *head_size, const uint8_t *p, size_t n)
{
    const char *bad = ds_objhead_get(h, head_size, p, n);
    if (bad)
        return bad;
    if (n != *head_size + h->stored + DS_OBJSUM)
        return "object has another length than its head says";
    ds_x128 sum = ds_xxh128(p, n - DS_OBJSUM);
    return memcmp(sum.b, p + n - DS_OBJSUM, DS_OBJSUM) == 0 ? NULL : "checksum of object is wrong";
}

/* ---- packs ---- */

void ds_pack_header(uint8_t out[DS_PACK_HEADER])
{
    memcpy(out, pack_magic, 8);
    ds_set_u32(out + 8, 1);
    ds_set_u32(out + 12, 0);
}

bool ds_pack_trailer_get(uint64_t *objects, uint64_t *end, const uint8_t p[DS_PACK_TRAILER])
{
    *objects = ds_get_u64(p + 8);
    *end = ds_get_u64(p + 16);
    return memcmp(p, end_magic, 8) == 0 && ds_get_u64(p + 24) == ds_xxh64(p, 24);
}

void ds_pack_path(char *out, size_t cap, const char *dir, const ds_sha *name)
{
    char hex[65];
    ds_sha_hex(hex, name);
    snprintf(out, cap, "%s/packs/%s.pack", dir, hex);
}

int ds_pack_new(int *fd, char **path, const char *dir, ds_err *err)
{
    char *before = NULL;
    *path = NULL;
    if (asprintf(&before, "%s/tmp/", dir) < 0)
        return ds_fail_nomem(err);
    /* Read as well: a piece put early may be the base of a later one. 0444: nobody edits a pack. */
    int rc = ds_open_unique(fd, path, before, ".pack", O_RDWR, 0444, err);
    free(before);
    return rc;
}

int ds_packw_open(ds_packw *w, const char *dir, ds_err *err)
{
    uint8_t header[DS_PACK_HEADER];
    memset(w, 0, sizeof *w);
    w->fd = -1;
    int rc = ds_pack_new(&w->fd, &w->path, dir, err);
    if (rc == 0) {
        w->open = true;
        rc = ds_out_init(&w->out, w->fd, w->path, err);
    }
    if (rc == 0)
        rc = ds_hasher_new(&w->hash, err);
    ds_pack_header(header);
    if (rc == 0)
        rc = ds_packw_put(w, header, sizeof header, NULL, err);
    w->objects = 0;
    if (rc)
        ds_packw_fini(w);
    return rc;
}

int ds_packw_put(ds_packw *w, const void *object, size_t n, uint64_t *off, ds_err *err)
{
    int rc = ds_hasher_put(w->hash, object, n, err);
    if (rc == 0)
        rc = ds_out_put(&w->out, object, n, err);
    if (rc)
        return rc;
    if (off)
        *off = w->size;
    w->size += n;
    w->objects++;
    return 0;
}

int ds_packw_flush(ds_packw *w, ds_err *err)
{
    return ds_out_flush(&w->out, err);
}

int ds_packw_end(ds_packw *w, ds_err *err)
{
    uint8_t t[DS_PACK_TRAILER];
    uint64_t objects = w->objects;
    memcpy(t, end_magic, 8);
    ds_set_u64(t + 8, objects);
    ds_set_u64(t + 16, w->size);
    ds_set_u64(t + 24, ds_xxh64(t, 24));
    int rc = ds_packw_put(w, t, sizeof t, NULL, err);
    w->objects = objects;
    if (rc == 0)
        rc = ds_packw_flush(w, err);
    if (rc == 0)
        rc = ds_hasher_end(w->hash, &w->name, err);
    ds_hasher_free(w->hash);
    w->hash = NULL;
    ds_out_fini(&w->out);
    memset(&w->out, 0, sizeof w->out);
    return rc;
}

int ds_packw_sync(ds_packw *w, ds_err *err)
{
    return ds_fsync(w->fd, w->path, err);
}

int ds_packw_publish(ds_packw *w, const char *dir, ds_err *err)
{
    size_t cap = strlen(dir) + 80;
    char *to = malloc(cap);
    if (!to)
        return ds_fail_nomem(err);
    ds_pack_path(to, cap, dir, &w->name);
    /* The same name means the same bytes: replacing one by the other is no change. */
    int rc = 0;
    if (ds_io_active->rename(w->path, to) != 0)
        rc = ds_fail_errno(err, errno, "%s: cannot be renamed to %s", w->path, to);
    else
        w->published = true;
    free(to);
    return rc;
}

void ds_packw_fini(ds_packw *w)
{
    if (w->open) {
        if (!w->published)
            (void)ds_io_active->unlink(w->path);
        (void)ds_close(&w->fd, w->path, NULL);
    }
    ds_out_fini(&w->out);
    ds_hasher_free(w->hash);
    free(w->path);
    memset(w, 0, sizeof *w);
    w->fd = -1;
}
