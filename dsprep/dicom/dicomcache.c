/* dicomcache.c - see dicomcache.h.
 *
 * A cache file (cachefile.h) whose head is "DSDICOM1", the 16 bytes of the store's number and the
 * 32 of the function, with records 1  an answer: 16 name, u64 dev, ino, size, mtime, ctime, u32
 * length, answer 2  a chunk, by a digest over its images 3  an image: 32 what it was made of, 32
 * SHA-256 of its bytes
 *
 * An answer is a frame of zstd; with a key a nonce of 12 bytes, the frame in AES-256-GCM and a tag
 * of 16, the additional data being function, name and stamp. The nonce is a MAC of all that, so
 * that it is another one for everything that is another. */
#include "dicomcache.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <zstd.h>

#include "cachefile.h"

#define MAGIC "DSDICOM1"

enum { HEAD = 8 + 16 + 32, NAME = 16, STAMP = 5 * 8, NONCE = 12, TAG = 16 };
enum { AN_ANSWER = 1, AN_IMAGE = 3 };
enum { ANSWER_MAX = 256 << 20, LEVEL = 1 };

typedef struct slot {
    uint64_t hash;
    size_t at; /* of the record; 0: free */
} slot;

struct ds_dicom_cache {
    ds_dicom_cache_opts o;
    uint8_t secret[32];
    ds_cachefile file;
    slot *slots; /* of what was known */
    size_t nslots;
    ZSTD_CCtx *pack;
    ZSTD_DCtx *unpack;
    EVP_CIPHER_CTX *cipher;
    ds_buf rec, plain, bound;
};

/* ---- what was known ---- */

static slot *slot_of(const ds_dicom_cache *c, uint64_t hash, size_t i)
{
    return &c->slots[(hash + i) & (c->nslots - 1)];
}

/* Names, digests: the first bytes of each are as good as random. */
static const uint8_t *lookup(const ds_dicom_cache *c, uint8_t kind, const uint8_t *id, size_t n)
{
    const uint64_t hash = ds_get_u64(id);

    for (size_t i = 0; c->nslots && slot_of(c, hash, i)->at; i++) {
        const slot *s = slot_of(c, hash, i);
        const uint8_t *p = c->file.old + s->at;
        if (s->hash == hash && p[0] == kind && memcmp(p + 1, id, n) == 0)
            return p;
    }
    return NULL;
}

/* The length of the record at `at`; 0: it is none. */
static size_t record_len(const ds_dicom_cache *c, size_t at)
{
    const uint8_t *p = c->file.old + at;
    const size_t left = c->file.len - at;
    size_t i = 0;
    ds_sha images;

    if (p[0] == AN_ANSWER && left > 1 + NAME + STAMP + 4) {
        const size_t all = 1 + NAME + STAMP + 4 + (size_t)ds_get_u32(p + 1 + NAME + STAMP);
        return all <= left ? all : 0;
    }
    if (p[0] == AN_IMAGE)
        return left >= 1 + 64 ? 1 + 64 : 0;
    return ds_cachefile_get_chunk(p, left, &i, &images, NULL) == 1 ? i : 0;
}

static int count_records(const ds_dicom_cache *c, size_t *n)
{
    *n = 0;
    for (size_t at = HEAD, len; at < c->file.len; at += len, ++*n)
        if ((len = record_len(c, at)) == 0)
            return -1;
    return 0;
}

static int index_all(ds_dicom_cache *c, ds_err *err)
{
    size_t n;

    if (count_records(c, &n) != 0)
        return 0;
    c->nslots = 16;
    while (c->nslots < 2 * n)
        c->nslots *= 2;
    c->slots = calloc(c->nslots, sizeof *c->slots);
    if (!c->slots)
        return ds_fail_nomem(err);
    for (size_t at = HEAD; at < c->file.len; at += record_len(c, at)) {
        const uint64_t hash = ds_get_u64(c->file.old + at + 1);
        size_t i = 0;
        while (slot_of(c, hash, i)->at)
            i++;
        *slot_of(c, hash, i) = (slot){hash, at};
    }
    return 0;
}

/* Bytes that follow from the key. */
static int derive(const ds_dicom_cache *c, const char *what, const void *p, size_t len,
                  uint8_t *out, size_t n, ds_err *err)
{
    char hex[65];
    int rc = dcm_pseudonym(hex, n, c->o.key, what, p, len, err);

    if (!rc && !ds_hex_decode(hex, 2 * n, out, n))
        rc = ds_fail(err, DS_FAIL, "a digest that is none");
    explicit_bzero(hex, sizeof hex);
    return rc;
}

int ds_dicom_cache_open(ds_dicom_cache **out, const ds_dicom_cache_opts *o, ds_err *err)
{
    const ds_cachefile_name name = {.dir = o->dir,
                                    .prefix = "dicom-",
                                    .kind = o->kind,
                                    .inputs = o->inputs,
                                    .ninputs = o->ninputs};
    ds_dicom_cache *c = calloc(1, sizeof *c);
    uint8_t head[HEAD];

    *out = NULL;
    if (!c)
        return ds_fail_nomem(err);
    c->o = *o;
    memcpy(head, MAGIC, 8);
    memcpy(head + 8, o->store.b, sizeof o->store.b);
    memcpy(head + 24, o->function.b, sizeof o->function.b);
    c->pack = ZSTD_createCCtx();
    c->unpack = ZSTD_createDCtx();
    c->cipher = EVP_CIPHER_CTX_new();
    int rc = c->pack && c->unpack && c->cipher ? 0 : ds_fail_nomem(err);
    if (!rc && o->key)
        rc = derive(c, "cache-key", "", 0, c->secret, sizeof c->secret, err);
    rc = rc ? rc : ds_cachefile_open(&c->file, &name, head, HEAD, err);
    rc = rc || !c->file.old ? rc : index_all(c, err);
    if (rc)
        ds_dicom_cache_free(c);
    else
        *out = c;
    return rc;
}

void ds_dicom_cache_free(ds_dicom_cache *c)
{
    if (!c)
        return;
    ds_cachefile_fini(&c->file);
    ZSTD_freeCCtx(c->pack);
    ZSTD_freeDCtx(c->unpack);
    EVP_CIPHER_CTX_free(c->cipher);
    ds_buf_fini(&c->rec);
    if (c->plain.data)
        explicit_bzero(c->plain.data, c->plain.cap);
    ds_buf_fini(&c->plain);
    ds_buf_fini(&c->bound);
    free(c->slots);
    explicit_bzero(c->secret, sizeof c->secret);
    free(c);
}

/* ---- answers ---- */

static int name_of(const ds_dicom_cache *c, uint8_t ask, const char *name, uint8_t out[NAME],
                   ds_err *err)
{
    ds_buf b = {0};
    ds_sha sha;
    int rc = ds_buf_putc(&b, ask) || ds_buf_puts(&b, name) ? ds_fail_nomem(err) : 0;

    if (!rc && c->o.key)
        rc = derive(c, "cache-name", b.data, b.len, out, NAME, err);
    else if (!rc && (rc = ds_sha_bytes(&sha, b.data, b.len, err)) == 0)
        memcpy(out, sha.b, NAME);
    ds_buf_fini(&b);
    return rc;
}

/* c->bound: what an answer is bound to. */
static int bind(ds_dicom_cache *c, const uint8_t name[NAME], const ds_filestamp *is, ds_err *err)
{
    const uint64_t words[] = {is->dev, is->ino, is->size, (uint64_t)is->mtime, (uint64_t)is->ctime};
    int bad;

    ds_buf_reset(&c->bound);
    bad = ds_buf_put(&c->bound, c->o.function.b, 32) | ds_buf_put(&c->bound, name, NAME);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        bad |= ds_buf_u64(&c->bound, words[i]);
    return bad ? ds_fail_nomem(err) : 0;
}

/* p of n bytes to `to`, one way or the other; the tag behind p is checked, or made. */
static bool crypt(ds_dicom_cache *c, bool seal, const uint8_t nonce[NONCE], const uint8_t *p,
                  size_t n, uint8_t *to, uint8_t tag[TAG])
{
    EVP_CIPHER_CTX *x = c->cipher;
    int len = 0, last = 0;

    if (n > ANSWER_MAX ||
        EVP_CipherInit_ex2(x, EVP_aes_256_gcm(), c->secret, nonce, seal, NULL) != 1 ||
        EVP_CipherUpdate(x, NULL, &len, c->bound.data, (int)c->bound.len) != 1 ||
        EVP_CipherUpdate(x, to, &len, p, (int)n) != 1)
        return false;
    if (!seal && EVP_CIPHER_CTX_ctrl(x, EVP_CTRL_AEAD_SET_TAG, TAG, tag) != 1)
        return false;
    return EVP_CipherFinal_ex(x, to + len, &last) == 1 && (size_t)len + (size_t)last == n &&
           (!seal || EVP_CIPHER_CTX_ctrl(x, EVP_CTRL_AEAD_GET_TAG, TAG, tag) == 1);
}

/* 1: *answer is what was put; 0: it is not what this program and key wrote. */
static int unseal(ds_dicom_cache *c, const uint8_t *p, size_t n, ds_buf *answer, ds_err *err)
{
    uint8_t tag[TAG];

    ds_buf_reset(&c->plain);
    if (c->o.key) {
        if (n < NONCE + TAG)
            return 0;
        n -= NONCE + TAG;
        if (ds_buf_reserve(&c->plain, n + 1))
            return ds_fail_nomem(err);
        memcpy(tag, p + NONCE + n, TAG);
        if (!crypt(c, false, p, p + NONCE, n, c->plain.data, tag))
            return 0;
        p = c->plain.data;
    }
    const unsigned long long size = ZSTD_getFrameContentSize(p, n);
    ds_buf_reset(answer);
    if (size == 0 || size > ANSWER_MAX)
        return 0;
    if (ds_buf_reserve(answer, (size_t)size))
        return ds_fail_nomem(err);
    if (ZSTD_decompressDCtx(c->unpack, answer->data, (size_t)size, p, n) != size)
        return 0;
    answer->len = (size_t)size;
    return 1;
}

int ds_dicom_cache_find(ds_dicom_cache *c, const char *name, uint8_t ask, const ds_filestamp *is,
                        ds_buf *answer, size_t *at, ds_err *err)
{
    uint8_t id[NAME];
    int rc = c->nslots ? name_of(c, ask, name, id, err) : 0;

    if (rc || !c->nslots)
        return rc;
    rc = bind(c, id, is, err);
    const uint8_t *p = rc ? NULL : lookup(c, AN_ANSWER, c->bound.data + 32, NAME + STAMP);
    if (!p)
        return rc;
    p += 1 + NAME + STAMP;
    *at = (size_t)(p - c->file.old) - (1 + NAME + STAMP);
    return unseal(c, p + 4, ds_get_u32(p), answer, err);
}

/* ---- writing ---- */

/* c->rec gets the frame that is in c->plain, as it is or sealed. */
static int seal(ds_dicom_cache *c, ds_err *err)
{
    ds_buf *r = &c->rec;
    uint8_t nonce[NONCE], tag[TAG];
    const size_t n = c->plain.len;

    if (!c->o.key)
        return ds_buf_u32(r, (uint32_t)n) || ds_buf_put(r, c->plain.data, n) ? ds_fail_nomem(err)
                                                                             : 0;
    int rc = ds_buf_put(&c->bound, c->plain.data, n) ? ds_fail_nomem(err) : 0;
    rc = rc ? rc : derive(c, "cache-nonce", c->bound.data, c->bound.len, nonce, NONCE, err);
    c->bound.len -= rc ? 0 : n;
    if (!rc && (ds_buf_u32(r, (uint32_t)(NONCE + n + TAG)) || ds_buf_put(r, nonce, NONCE) ||
                ds_buf_reserve(r, n + TAG)))
        rc = ds_fail_nomem(err);
    if (!rc && !crypt(c, true, nonce, c->plain.data, n, r->data + r->len, tag))
        rc = ds_fail(err, DS_FAIL, "libcrypto refuses AES-256-GCM");
    r->len += rc ? 0 : n;
    return rc ? rc : ds_buf_put(r, tag, TAG) ? ds_fail_nomem(err) : 0;
}

int ds_dicom_cache_put(ds_dicom_cache *c, const char *name, uint8_t ask, const ds_filestamp *is,
                       const void *answer, size_t len, ds_err *err)
{
    uint8_t id[NAME];
    const size_t room = ZSTD_compressBound(len);
    int rc = name_of(c, ask, name, id, err);

    if (len > ANSWER_MAX / 2)
        return 0;
    rc = rc ? rc : bind(c, id, is, err);
    ds_buf_reset(&c->plain);
    if (!rc && ds_buf_reserve(&c->plain, room))
        rc = ds_fail_nomem(err);
    if (rc)
        return rc;
    c->plain.len = ZSTD_compressCCtx(c->pack, c->plain.data, room, answer, len, LEVEL);
    if (ZSTD_isError(c->plain.len))
        return ds_fail(err, DS_FAIL, "zstd: %s", ZSTD_getErrorName(c->plain.len));
    ds_buf_reset(&c->rec);
    if (ds_buf_putc(&c->rec, AN_ANSWER) || ds_buf_put(&c->rec, id, NAME) ||
        ds_buf_put(&c->rec, c->bound.data + 32 + NAME, STAMP))
        return ds_fail_nomem(err);
    rc = seal(c, err);
    return rc ? rc : ds_cachefile_put(&c->file, c->rec.data, c->rec.len, err);
}

int ds_dicom_cache_again(ds_dicom_cache *c, size_t at, ds_err *err)
{
    return ds_cachefile_put(&c->file, c->file.old + at, record_len(c, at), err);
}

/* ---- chunks and images ---- */

int ds_dicom_cache_chunk(const ds_dicom_cache *c, const ds_sha *images, ds_refs *out, ds_err *err)
{
    const uint8_t *p = lookup(c, DS_CACHE_CHUNK, images->b, sizeof images->b);
    size_t at = 0;
    ds_sha is;

    if (!p)
        return 0;
    ds_refs_reset(out);
    const int rc =
        ds_cachefile_get_chunk(p, (size_t)(c->file.old + c->file.len - p), &at, &is, out);
    return rc < 0 ? ds_fail_nomem(err) : rc;
}

int ds_dicom_cache_put_chunk(ds_dicom_cache *c, const ds_sha *images, const ds_refs *refs,
                             ds_err *err)
{
    ds_buf_reset(&c->rec);
    if (ds_cachefile_add_chunk(&c->rec, images, refs))
        return ds_fail_nomem(err);
    return ds_cachefile_put(&c->file, c->rec.data, c->rec.len, err);
}

bool ds_dicom_cache_digest(const ds_dicom_cache *c, const ds_sha *image, ds_sha *digest)
{
    const uint8_t *p = lookup(c, AN_IMAGE, image->b, sizeof image->b);

    if (p)
        memcpy(digest, p + 1 + 32, sizeof *digest);
    return p != NULL;
}

int ds_dicom_cache_put_digest(ds_dicom_cache *c, const ds_sha *image, const ds_sha *digest,
                              ds_err *err)
{
    ds_buf_reset(&c->rec);
    if (ds_buf_putc(&c->rec, AN_IMAGE) || ds_buf_put(&c->rec, image, sizeof *image) ||
        ds_buf_put(&c->rec, digest, sizeof *digest))
        return ds_fail_nomem(err);
    return ds_cachefile_put(&c->file, c->rec.data, c->rec.len, err);
}

int ds_dicom_cache_keep(ds_dicom_cache *c, ds_err *err)
{
    return ds_cachefile_keep(&c->file, err);
}
