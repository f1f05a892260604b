/* gitpack.c - see gitpack.h. */
#include "gitpack.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "catalog.h"
#include "io.h"

enum { SHA1_LEN = 20, CHUNK = 1 << 16 };

typedef struct entry {
    git_oid id;
    uint32_t crc;
    uint64_t offset; /* in the object area: behind the 12 bytes of the pack's header */
} entry;

struct ds_gitpack {
    git_odb *odb;
    char *dir;
    ds_spool objects;
    entry *entries;
    size_t n, cap;
    uint32_t *slots; /* open addressing by id: entry number + 1 */
    size_t nslots;   /* a power of two */
    uint64_t published;
    bool keep_all;
    char name[5 + 2 * SHA1_LEN + 1];
};

int ds_gitpack_new(ds_gitpack **out, git_odb *odb, const char *pack_dir, ds_err *err)
{
    ds_gitpack *p = calloc(1, sizeof *p);
    if (!p || !(p->dir = strdup(pack_dir))) {
        free(p);
        return ds_fail_nomem(err);
    }
    p->odb = odb;
    *out = p;
    return 0;
}

void ds_gitpack_free(ds_gitpack *p)
{
    if (!p)
        return;
    ds_spool_fini(&p->objects);
    free(p->entries);
    free(p->slots);
    free(p->dir);
    free(p);
}

uint64_t ds_gitpack_bytes(const ds_gitpack *p)
{
    return p->published;
}

void ds_gitpack_keep_all(ds_gitpack *p)
{
    p->keep_all = true;
}

const char *ds_gitpack_name(const ds_gitpack *p)
{
    return p->name;
}

static size_t slot_of(const ds_gitpack *p, const git_oid *id)
{
    size_t i = ds_get_u32(id->id) & (p->nslots - 1);
    while (p->slots[i] && git_oid_cmp(&p->entries[p->slots[i] - 1].id, id) != 0)
        i = (i + 1) & (p->nslots - 1);
    return i;
}

static int grow(ds_gitpack *p, ds_err *err)
{
    if (p->n >= UINT32_MAX / 2 || ds_grow(&p->entries, &p->cap, p->n, sizeof *p->entries))
        return ds_fail_nomem(err);
    if (p->nslots >= 2 * (p->n + 1))
        return 0;
    size_t nslots = p->nslots ? p->nslots * 2 : 256;
    uint32_t *slots = calloc(nslots, sizeof *slots);
    if (!slots)
        return ds_fail_nomem(err);
    free(p->slots);
    p->slots = slots;
    p->nslots = nslots;
    for (size_t i = 0; i < p->n; i++)
        p->slots[slot_of(p, &p->entries[i].id)] = (uint32_t)(i + 1);
    return 0;
}

/* Compresses into the spool; *crc is that of the bytes added. */
static int spool_object(ds_spool *s, git_object_t type, const void *data, size_t len, uint32_t *crc,
                        ds_err *err)
{
    uint8_t out[CHUNK];
    size_t n = 0, left = len >> 4;
    uint8_t c = (uint8_t)((unsigned)type << 4 | (len & 15));
    for (; left; left >>= 7) {
        out[n++] = c | 0x80;
        c = left & 0x7f;
    }
    out[n++] = c;
    *crc = (uint32_t)crc32(0, out, (uInt)n);
    int rc = ds_spool_put(s, out, n, err);
    if (rc)
        return rc;

    z_stream z = {0};
    if (len > UINT32_MAX)
        return ds_fail(err, DS_FAIL, "a catalog object of %zu bytes is too large", len);
    if (deflateInit(&z, Z_DEFAULT_COMPRESSION) != Z_OK)
        return ds_fail_nomem(err);
    union {
        const void *c;
        void *v;
    } in = {data}; /* zlib's field lacks the const */
    z.next_in = in.v;
    z.avail_in = (uInt)len;
    int zrc;
    do {
        z.next_out = out;
        z.avail_out = sizeof out;
        zrc = deflate(&z, Z_FINISH);
        size_t got = sizeof out - z.avail_out;
        *crc = (uint32_t)crc32(*crc, out, (uInt)got);
        rc = ds_spool_put(s, out, got, err);
    } while (!rc && zrc == Z_OK);
    deflateEnd(&z);
    if (!rc && zrc != Z_STREAM_END)
        rc = ds_fail(err, DS_FAIL, "cannot compress a catalog object");
    return rc;
}

int ds_gitpack_put(ds_gitpack *p, git_oid *id, git_object_t type, const void *data, size_t len,
                   ds_err *err)
{
    if (git_odb_hash(id, data, len, type) < 0)
        return ds_fail(err, DS_FAIL, "cannot hash a catalog object");
    int rc = grow(p, err);
    if (rc)
        return rc;
    size_t slot = slot_of(p, id);
    /* No refresh: an object that somebody else wrote just now is merely written twice. */
    if (p->slots[slot] ||
        (!p->keep_all && git_odb_exists_ext(p->odb, id, GIT_ODB_LOOKUP_NO_REFRESH)))
        return 0;
    entry *e = &p->entries[p->n];
    e->id = *id;
    e->offset = ds_spool_len(&p->objects);
    rc = spool_object(&p->objects, type, data, len, &e->crc, err);
    if (!rc)
        p->slots[slot] = (uint32_t)++p->n;
    return rc;
}

int ds_gitpack_copy(ds_gitpack *p, const git_oid *id, ds_err *err)
{
    git_odb_object *o = NULL;
    git_oid got;
    if (git_odb_read(&o, p->odb, id) < 0)
        return ds_fail_git_read(err, "catalog object %s", git_oid_tostr_s(id));
    int rc = ds_gitpack_put(p, &got, git_odb_object_type(o), git_odb_object_data(o),
                            git_odb_object_size(o), err);
    git_odb_object_free(o);
    if (!rc && !git_oid_equal(&got, id))
        rc = ds_fail(err, DS_CORRUPT, "catalog object %s is another", git_oid_tostr_s(id));
    return rc;
}

/* ---- files: written, hashed, synced under a temporary name ---- */

typedef struct hashfile {
    int fd;
    EVP_MD_CTX *sha1;
    uint64_t len;
    char *tmp;
} hashfile;

static void hashfile_fini(hashfile *f)
{
    if (f->fd >= 0)
        ds_close(&f->fd, f->tmp, NULL);
    if (f->tmp)
        ds_io_active->unlink(f->tmp);
    EVP_MD_CTX_free(f->sha1);
    free(f->tmp);
    *f = (hashfile){.fd = -1};
}

static int hashfile_open(hashfile *f, const char *dir, const char *kind, ds_err *err)
{
    char *before = NULL;
    *f = (hashfile){.fd = -1};
    f->sha1 = EVP_MD_CTX_new();
    if (!f->sha1 || EVP_DigestInit_ex(f->sha1, EVP_sha1(), NULL) != 1)
        return ds_fail(err, DS_FAIL, "SHA-1 is not to be had from libcrypto");
    if (asprintf(&before, "%s/tmp_%s_", dir, kind) < 0)
        return ds_fail_nomem(err);
    int rc = ds_open_unique(&f->fd, &f->tmp, before, "", O_WRONLY, 0444, err);
    free(before);
    return rc;
}

static int hashfile_put(hashfile *f, const void *p, size_t len, ds_err *err)
{
    if (EVP_DigestUpdate(f->sha1, p, len) != 1)
        return ds_fail(err, DS_FAIL, "SHA-1 failed");
    f->len += len;
    return ds_write_full(f->fd, f->tmp, p, len, err);
}

/* Appends the sum, gives it back, syncs and closes. */
static int hashfile_seal(hashfile *f, uint8_t sum[SHA1_LEN], ds_err *err)
{
    if (EVP_DigestFinal_ex(f->sha1, sum, NULL) != 1)
        return ds_fail(err, DS_FAIL, "SHA-1 failed");
    int rc = ds_write_full(f->fd, f->tmp, sum, SHA1_LEN, err);
    f->len += SHA1_LEN;
    if (!rc)
        rc = ds_fsync(f->fd, f->tmp, err);
    if (!rc)
        rc = ds_close(&f->fd, f->tmp, err);
    return rc;
}

static int hashfile_name(hashfile *f, const char *path, ds_err *err)
{
    if (ds_io_active->rename(f->tmp, path))
        return ds_fail_errno(err, errno, "%s: cannot rename to %s", f->tmp, path);
    free(f->tmp);
    f->tmp = NULL;
    return 0;
}

static void be32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

static int by_id(const void *a, const void *b)
{
    return git_oid_cmp(&((const entry *)a)->id, &((const entry *)b)->id);
}

static int write_pack(ds_gitpack *p, hashfile *f, uint8_t sum[SHA1_LEN], ds_err *err)
{
    uint8_t head[12] = {'P', 'A', 'C', 'K', 0, 0, 0, 2};
    be32(head + 8, (uint32_t)p->n);
    int rc = hashfile_put(f, head, sizeof head, err);
    const uint8_t *data;
    size_t len;
    if (!rc)
        rc = ds_spool_view(&p->objects, &data, &len, err);
    for (size_t at = 0; !rc && at < len; at += (size_t)1 << 20) {
        size_t n = len - at < (size_t)1 << 20 ? len - at : (size_t)1 << 20;
        rc = hashfile_put(f, data + at, n, err);
        ds_spool_release(&p->objects, at + n);
    }
    return rc ? rc : hashfile_seal(f, sum, err);
}

/* Index version 2: fan-out, ids, checksums, offsets (31 bits, or a place in the table of 64-bit
 * ones), the pack's sum. */
static int index_tables(ds_buf *b, const entry *e, size_t n)
{
    uint8_t w[8] = {0xff, 't', 'O', 'c', 0, 0, 0, 2};
    int rc = ds_buf_put(b, w, 8);
    for (size_t fan = 0, i = 0; !rc && fan < 256; fan++) {
        while (i < n && e[i].id.id[0] <= fan)
            i++;
        be32(w, (uint32_t)i);
        rc = ds_buf_put(b, w, 4);
    }
    for (size_t i = 0; !rc && i < n; i++)
        rc = ds_buf_put(b, e[i].id.id, SHA1_LEN);
    for (size_t i = 0; !rc && i < n; i++) {
        be32(w, e[i].crc);
        rc = ds_buf_put(b, w, 4);
    }
    uint32_t big = 0;
    for (size_t i = 0; !rc && i < n; i++) {
        uint64_t at = e[i].offset + 12;
        be32(w, at < 0x80000000u ? (uint32_t)at : 0x80000000u | big++);
        rc = ds_buf_put(b, w, 4);
    }
    for (size_t i = 0; !rc && i < n; i++) {
        uint64_t at = e[i].offset + 12;
        if (at < 0x80000000u)
            continue;
        be32(w, (uint32_t)(at >> 32));
        be32(w + 4, (uint32_t)at);
        rc = ds_buf_put(b, w, 8);
    }
    return rc;
}

static int write_index(ds_gitpack *p, hashfile *f, const uint8_t pack_sum[SHA1_LEN], ds_err *err)
{
    ds_buf b = {0};
    uint8_t sum[SHA1_LEN];
    qsort(p->entries, p->n, sizeof *p->entries, by_id);
    int rc = index_tables(&b, p->entries, p->n);
    if (!rc)
        rc = ds_buf_put(&b, pack_sum, SHA1_LEN);
    if (rc)
        ds_fail_nomem(err);
    if (!rc)
        rc = hashfile_put(f, b.data, b.len, err);
    if (!rc)
        rc = hashfile_seal(f, sum, err);
    ds_buf_fini(&b);
    return rc;
}

int ds_gitpack_publish(ds_gitpack *p, ds_err *err)
{
    if (p->n == 0)
        return 0;
    hashfile pack = {.fd = -1}, idx = {.fd = -1};
    uint8_t sum[SHA1_LEN];
    ds_buf path = {0};
    int rc = hashfile_open(&pack, p->dir, "pack", err);
    if (!rc)
        rc = write_pack(p, &pack, sum, err);
    if (!rc)
        rc = hashfile_open(&idx, p->dir, "idx", err);
    if (!rc)
        rc = write_index(p, &idx, sum, err);
    if (rc)
        goto out;
    /* The pack first: git finds packs by their indexes. */
    const char *const ext[2] = {"pack", "idx"};
    hashfile *const file[2] = {&pack, &idx};
    size_t len = (size_t)snprintf(p->name, sizeof p->name, "pack-");
    for (int i = 0; i < SHA1_LEN; i++)
        len += (size_t)snprintf(p->name + len, sizeof p->name - len, "%02x", sum[i]);
    for (int i = 0; i < 2 && !rc; i++) {
        ds_buf_reset(&path);
        rc = ds_buf_printf(&path, "%s/%s.%s", p->dir, p->name, ext[i]);
        const char *name = rc ? NULL : ds_buf_cstr(&path);
        rc = name ? hashfile_name(file[i], name, err) : ds_fail_nomem(err);
    }
    if (!rc)
        rc = ds_fsync_parent(ds_buf_cstr(&path), err);
    if (rc)
        goto out;
    p->published += pack.len + idx.len;
    p->n = 0;
    ds_spool_reset(&p->objects);
    memset(p->slots, 0, p->nslots * sizeof *p->slots);
    if (git_odb_refresh(p->odb) < 0)
        rc = ds_fail(err, DS_IO, "%s: cannot look at the new pack", p->dir);
out:
    hashfile_fini(&pack);
    hashfile_fini(&idx);
    ds_buf_fini(&path);
    return rc;
}

int ds_gittree_put(ds_buf *tree, bool folder, const char *name, const git_oid *id)
{
    int rc = ds_buf_printf(tree, "%s %s", folder ? "40000" : "100644", name);
    if (!rc)
        rc = ds_buf_putc(tree, 0);
    return rc ? rc : ds_buf_put(tree, id->id, SHA1_LEN);
}

int ds_gitpack_verify(const char *path, ds_err *err)
{
    int fd = -1;
    uint8_t *buf = malloc(CHUNK + SHA1_LEN), sum[SHA1_LEN];
    EVP_MD_CTX *sha1 = EVP_MD_CTX_new();
    size_t have = 0, got = 0;
    int rc = 0;
    if (!buf || !sha1 || EVP_DigestInit_ex(sha1, EVP_sha1(), NULL) != 1)
        rc = ds_fail_nomem(err);
    if (!rc)
        rc = ds_open(&fd, path, O_RDONLY, 0, err);
    while (!rc) { /* the last 20 bytes seen are held back: they may be the sum */
        rc = ds_read_full(fd, path, buf + have, CHUNK, &got, err);
        if (rc)
            break;
        have += got;
        if (have < SHA1_LEN)
            rc = ds_fail(err, DS_CORRUPT, "%s: too short for a git pack file", path);
        else if (EVP_DigestUpdate(sha1, buf, have - SHA1_LEN) != 1)
            rc = ds_fail(err, DS_FAIL, "SHA-1 failed");
        if (rc || got < CHUNK)
            break;
        memmove(buf, buf + have - SHA1_LEN, SHA1_LEN);
        have = SHA1_LEN;
    }
    if (!rc && EVP_DigestFinal_ex(sha1, sum, NULL) != 1)
        rc = ds_fail(err, DS_FAIL, "SHA-1 failed");
    if (!rc && memcmp(sum, buf + have - SHA1_LEN, SHA1_LEN) != 0)
        rc = ds_fail(err, DS_CORRUPT, "%s: its checksum does not match: bytes were changed", path);
    ds_close(&fd, path, NULL);
    EVP_MD_CTX_free(sha1);
    free(buf);
    return rc;
}
