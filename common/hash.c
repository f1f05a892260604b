/* hash.c - see hash.h. SHA-256 is FIPS 180-4: of messages that are there as a whole by shalanes.h
 * where the processor can, else by libcrypto; XXH3 is by libxxhash. */
#include "hash.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "io.h"
#include "shalanes.h"
#include "xxh.h"

struct ds_hasher {
    EVP_MD_CTX *ctx;
};

/* Finding the algorithm costs more than hashing a small piece, so it is found once and kept. */
static pthread_once_t sha_once = PTHREAD_ONCE_INIT;
static const EVP_MD *sha_md;
static bool sha_lanes;

static void sha_find(void)
{
    sha_lanes = ds_shalanes_here();
    sha_md = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!sha_md)
        sha_md = EVP_sha256();
}

static int crypto_fail(ds_err *err)
{
    return ds_fail(err, DS_FAIL, "libcrypto: SHA-256 failed");
}

int ds_hasher_reset(ds_hasher *h, ds_err *err)
{
    pthread_once(&sha_once, sha_find);
    return EVP_DigestInit_ex2(h->ctx, sha_md, NULL) == 1 ? 0 : crypto_fail(err);
}

int ds_hasher_new(ds_hasher **out, ds_err *err)
{
    *out = NULL;
    ds_hasher *h = calloc(1, sizeof *h);
    if (!h)
        return ds_fail_nomem(err);
    h->ctx = EVP_MD_CTX_new();
    int rc = h->ctx ? ds_hasher_reset(h, err) : ds_fail_nomem(err);
    if (rc)
        ds_hasher_free(h);
    else
        *out = h;
    return rc;
}

int ds_hasher_put(ds_hasher *h, const void *data, size_t len, ds_err *err)
{
    if (len == 0)
        return 0;
    return EVP_DigestUpdate(h->ctx, data, len) == 1 ? 0 : crypto_fail(err);
}

int ds_hasher_u64(ds_hasher *h, uint64_t v, ds_err *err)
{
    uint8_t p[8];
    ds_set_u64(p, v);
    return ds_hasher_put(h, p, sizeof p, err);
}

int ds_hasher_end(ds_hasher *h, ds_sha *out, ds_err *err)
{
    unsigned n = sizeof out->b;
    return EVP_DigestFinal_ex(h->ctx, out->b, &n) == 1 && n == sizeof out->b ? 0 : crypto_fail(err);
}

int ds_hasher_peek(ds_hasher *h, ds_sha *out, ds_err *err)
{
    ds_hasher copy = {.ctx = EVP_MD_CTX_new()};
    int rc = !copy.ctx                                   ? ds_fail_nomem(err)
             : EVP_MD_CTX_copy_ex(copy.ctx, h->ctx) != 1 ? crypto_fail(err)
                                                         : ds_hasher_end(&copy, out, err);
    EVP_MD_CTX_free(copy.ctx);
    return rc;
}

void ds_hasher_free(ds_hasher *h)
{
    if (h) {
        EVP_MD_CTX_free(h->ctx);
        free(h);
    }
}

static int each_by_crypto(ds_sha *out, const void *tag, size_t tag_len, const ds_bytes *v, size_t n,
                          ds_err *err)
{
    ds_hasher h = {.ctx = EVP_MD_CTX_new()};
    int rc = h.ctx ? 0 : ds_fail_nomem(err);
    for (size_t i = 0; i < n && !rc; i++) {
        rc = ds_hasher_reset(&h, err);
        rc = rc ? rc : ds_hasher_put(&h, tag, tag_len, err);
        rc = rc ? rc : ds_hasher_put(&h, v[i].p, v[i].len, err);
        rc = rc ? rc : ds_hasher_end(&h, &out[i], err);
    }
    EVP_MD_CTX_free(h.ctx);
    return rc;
}

int ds_sha_each(ds_sha *out, const char *tag, const ds_bytes *v, size_t n, ds_err *err)
{
    const size_t tag_len = tag ? strlen(tag) + 1 : 0;
    pthread_once(&sha_once, sha_find);
    if (!sha_lanes || tag_len > DS_SHALANES_TAG)
        return each_by_crypto(out, tag, tag_len, v, n, err);
    ds_shalanes(out, tag, tag_len, v, n);
    return 0;
}

int ds_sha_tagged(ds_sha *out, const char *tag, const void *data, size_t len, ds_err *err)
{
    return ds_sha_each(out, tag, &(ds_bytes){data, len}, 1, err);
}

int ds_sha_bytes(ds_sha *out, const void *data, size_t len, ds_err *err)
{
    return ds_sha_tagged(out, NULL, data, len, err);
}

/* Passes a file's bytes to `put`. */
static int each_part(const char *path, uint64_t *size,
                     int (*put)(void *ctx, const void *p, size_t n, ds_err *err), void *ctx,
                     ds_err *err)
{
    enum { STEP = 256 << 10 };
    int fd = -1;
    size_t got = STEP;
    uint8_t *buf = malloc(STEP);
    int rc = buf ? ds_open(&fd, path, O_RDONLY, 0, err) : ds_fail_nomem(err);
    *size = 0;
    while (!rc && got == STEP) {
        rc = ds_read_full(fd, path, buf, STEP, &got, err);
        rc = rc ? rc : put(ctx, buf, got, err);
        *size += got;
    }
    ds_close(&fd, path, NULL);
    free(buf);
    return rc;
}

typedef struct summing {
    ds_hasher *h;
    const int *stop;
} summing;

static int put_sha(void *ctx, const void *p, size_t n, ds_err *err)
{
    const summing *s = ctx;

    if (s->stop && __atomic_load_n(s->stop, __ATOMIC_RELAXED))
        return ds_fail(err, DS_FAIL, "stopped");
    return ds_hasher_put(s->h, p, n, err);
}

int ds_sha_file_until(ds_sha *out, uint64_t *size, const char *path, const int *stop, ds_err *err)
{
    summing s = {.stop = stop};
    uint64_t total;
    int rc = ds_hasher_new(&s.h, err);
    rc = rc ? rc : each_part(path, &total, put_sha, &s, err);
    rc = rc ? rc : ds_hasher_end(s.h, out, err);
    if (!rc && size)
        *size = total;
    ds_hasher_free(s.h);
    return rc;
}

int ds_sha_file(ds_sha *out, uint64_t *size, const char *path, ds_err *err)
{
    return ds_sha_file_until(out, size, path, NULL, err);
}

void ds_sha_hex(char out[65], const ds_sha *s)
{
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof s->b; i++) {
        out[2 * i] = digit[s->b[i] >> 4];
        out[2 * i + 1] = digit[s->b[i] & 15];
    }
    out[64] = '\0';
}

bool ds_sha_parse(ds_sha *out, const char *hex, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (hex[i] >= 'A' && hex[i] <= 'F')
            return false;
    return ds_hex_decode(hex, len, out->b, sizeof out->b);
}

bool ds_sha_eq(const ds_sha *a, const ds_sha *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

int ds_sha_cmp(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(ds_sha));
}

struct ds_xxhasher {
    XXH3_state_t *x;
};

int ds_xxhasher_new(ds_xxhasher **out, ds_err *err)
{
    ds_xxhasher *h = calloc(1, sizeof *h);
    *out = NULL;
    if (!h || !(h->x = XXH3_createState())) {
        free(h);
        return ds_fail_nomem(err);
    }
    XXH3_128bits_reset(h->x);
    *out = h;
    return 0;
}

void ds_xxhasher_put(ds_xxhasher *h, const void *data, size_t len)
{
    if (len)
        ds_xxh3_128_put(h->x, data, len);
}

static ds_x128 canonical(XXH128_hash_t x)
{
    XXH128_canonical_t c;
    ds_x128 r;
    XXH128_canonicalFromHash(&c, x);
    memcpy(r.b, c.digest, sizeof r.b);
    return r;
}

ds_x128 ds_xxhasher_end(const ds_xxhasher *h)
{
    return canonical(XXH3_128bits_digest(h->x));
}

void ds_xxhasher_free(ds_xxhasher *h)
{
    if (h)
        XXH3_freeState(h->x);
    free(h);
}

static int put_xxh(void *ctx, const void *p, size_t n, ds_err *err)
{
    (void)err;
    ds_xxhasher_put(ctx, p, n);
    return 0;
}

int ds_xxh128_file(ds_x128 *out, const char *path, ds_err *err)
{
    ds_xxhasher *h = NULL;
    uint64_t size;
    int rc = ds_xxhasher_new(&h, err);
    if (!h)
        return rc;
    rc = each_part(path, &size, put_xxh, h, err);
    if (!rc)
        *out = ds_xxhasher_end(h);
    ds_xxhasher_free(h);
    return rc;
}

ds_x128 ds_xxh128(const void *data, size_t len)
{
    return canonical(ds_xxh3_128(len ? data : "", len));
}

uint64_t ds_xxh64(const void *data, size_t len)
{
    return ds_xxh3_64(len ? data : "", len);
}
