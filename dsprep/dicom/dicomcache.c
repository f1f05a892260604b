/* dicomcache.c - see dicomcache.h.
 *
 *     8    "DSDICOM1"
 *     16   the store's number
 *     32   the function
 *     records:
 *       1  an answer: 16 name, u64 dev, ino, size, mtime, ctime, u32 length, answer
 *       2  a chunk: 32 digest over its images, varint pieces, for each varint length, 32 address
 *       3  an image: 32 what it was made of, 32 SHA-256 of its bytes
 *     0    the end, and XXH3-128 of everything before the checksum
 *
 * An answer is a frame of zstd; with a key a nonce of 12 bytes, the frame in AES-256-GCM and a tag
 * of 16, the additional data being function, name and stamp. The nonce is a MAC of all that, so
 * that it is another one for everything that is another. */
#include "dicomcache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <openssl/evp.h>
#include <zstd.h>

#include "io.h"
#include "storefind.h"
#include "xxh.h"

#define MAGIC "DSDICOM1"

enum { HEAD = 8 + 16 + 32, TAIL = 1 + 16, NAME = 16, STAMP = 5 * 8, NONCE = 12, TAG = 16 };
enum { END = 0, AN_ANSWER = 1, A_CHUNK = 2, AN_IMAGE = 3 };
enum { ANSWER_MAX = 256 << 20, LEVEL = 1 };

typedef struct slot {
    uint64_t hash;
    size_t at; /* of the record; 0: free */
} slot;

struct ds_dicom_cache {
    ds_dicom_cache_opts o;
    char *path;
    uint8_t secret[32];
    /* what was known */
    const uint8_t *old;
    size_t len; /* up to the end record */
    slot *slots;
    size_t nslots, used;
    /* what is known now */
    bool writing;
    ds_atomic file;
    ds_out out;
    XXH3_state_t *sum;
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
        const uint8_t *p = c->old + s->at;
        if (s->hash == hash && p[0] == kind && memcmp(p + 1, id, n) == 0)
            return p;
    }
    return NULL;
}

/* The length of the record at `at`; 0: it is none. */
static size_t record_len(const ds_dicom_cache *c, size_t at)
{
    const uint8_t *p = c->old + at;
    const size_t left = c->len - at;
    size_t i = 1 + 32;
    uint64_t n = 0, len;

    if (p[0] == AN_ANSWER && left > 1 + NAME + STAMP + 4) {
        const size_t all = 1 + NAME + STAMP + 4 + (size_t)ds_get_u32(p + 1 + NAME + STAMP);
        return all <= left ? all : 0;
    }
    if (p[0] == AN_IMAGE)
        return left >= 1 + 64 ? 1 + 64 : 0;
    if (p[0] != A_CHUNK || left < 1 + 32 || !ds_varint_get(p, left, &i, &n))
        return 0;
    for (; n > 0; n--, i += 32)
        if (!ds_varint_get(p, left, &i, &len) || len > UINT32_MAX || left - i < 32)
            return 0;
    return i;
}

static int count_records(const ds_dicom_cache *c, size_t *n)
{
    *n = 0;
    for (size_t at = HEAD, len; at < c->len; at += len, ++*n)
        if ((len = record_len(c, at)) == 0)
            return -1;
    return 0;
}

static int index_all(ds_dicom_cache *c, ds_err *err)
{
    size_t n;

    if (count_records(c, &n) != 0) {
        c->len = HEAD;
        return 0;
    }
    c->nslots = 16;
    while (c->nslots < 2 * n)
        c->nslots *= 2;
    c->slots = calloc(c->nslots, sizeof *c->slots);
    if (!c->slots)
        return ds_fail_nomem(err);
    for (size_t at = HEAD; at < c->len; at += record_len(c, at)) {
        const uint64_t hash = ds_get_u64(c->old + at + 1);
        size_t i = 0;
        while (slot_of(c, hash, i)->at)
            i++;
        *slot_of(c, hash, i) = (slot){hash, at};
    }
    return 0;
}

/* Everything there is to be known when it is sound and of this function; else nothing. */
static int load(ds_dicom_cache *c, ds_err *err)
{
    struct stat st;
    int fd = ds_io_active->open(c->path, O_RDONLY | O_CLOEXEC, 0);

    if (fd < 0)
        return 0;
    if (ds_io_active->fstat(fd, &st) == 0 && st.st_size >= HEAD + TAIL) {
        const size_t len = (size_t)st.st_size;
        void *p = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p != MAP_FAILED) {
            const uint8_t *b = p;
            const ds_x128 is = ds_xxh128(b, len - 16);
            c->old = b;
            c->used = len;
            c->len = memcmp(b, MAGIC, 8) == 0 && memcmp(b + 8, c->o.store.b, 16) == 0 &&
                             memcmp(b + 24, c->o.function.b, 32) == 0 && b[len - TAIL] == END &&
                             memcmp(b + len - 16, is.b, 16) == 0
                         ? len - TAIL
                         : HEAD;
        }
    }
    (void)ds_close(&fd, c->path, NULL);
    return c->old ? index_all(c, err) : 0;
}

/* One for these inputs, whatever the working directory, and kind of run. */
static int path_of(ds_dicom_cache *c, ds_err *err)
{
    ds_buf names = {0};
    int rc = 0;

    for (size_t i = 0; !rc && i < c->o.ninputs; i++) {
        struct stat st;
        const char *input = c->o.inputs[i];
        char *full = strcmp(input, "-") == 0 ? NULL : realpath(input, NULL);
        if (!full && (strcmp(input, "-") == 0 || (stat(input, &st) == 0 && S_ISFIFO(st.st_mode))))
            full = strdup("-"); /* a pipe has no place */
        if (!full)
            rc = ds_fail_errno(err, errno, "%s", input);
        else if (ds_buf_put(&names, full, strlen(full) + 1))
            rc = ds_fail_nomem(err);
        free(full);
    }
    if (!rc && ds_buf_puts(&names, c->o.kind))
        rc = ds_fail_nomem(err);
    const ds_x128 h = ds_xxh128(names.data, names.len);
    ds_buf_reset(&names);
    if (!rc && (ds_buf_printf(&names, "%s/" DS_STORE_FILES "/dicom-", c->o.dir) ||
                ds_buf_hex(&names, h.b, sizeof h.b) || !ds_buf_cstr(&names) ||
                !(c->path = strdup((const char *)names.data))))
        rc = ds_fail_nomem(err);
    ds_buf_fini(&names);
    return rc;
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
    ds_dicom_cache *c = calloc(1, sizeof *c);
    char *folder = NULL;
    int rc = c ? 0 : ds_fail_nomem(err);

    *out = NULL;
    if (rc)
        return rc;
    c->o = *o;
    c->file.fd = -1;
    c->sum = XXH3_createState();
    c->pack = ZSTD_createCCtx();
    c->unpack = ZSTD_createDCtx();
    c->cipher = EVP_CIPHER_CTX_new();
    rc = c->sum && c->pack && c->unpack && c->cipher ? path_of(c, err) : ds_fail_nomem(err);
    if (!rc && o->key)
        rc = derive(c, "cache-key", "", 0, c->secret, sizeof c->secret, err);
    rc = rc ? rc : ds_store_path(&folder, o->dir, DS_STORE_FILES, err);
    rc = rc ? rc : ds_mkdirs(folder, err);
    free(folder);
    rc = rc ? rc : load(c, err);
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
    if (c->old)
        munmap((void *)(uintptr_t)c->old, c->used);
    ds_out_fini(&c->out);
    if (c->writing)
        ds_atomic_abort(&c->file);
    XXH3_freeState(c->sum);
    ZSTD_freeCCtx(c->pack);
    ZSTD_freeDCtx(c->unpack);
    EVP_CIPHER_CTX_free(c->cipher);
    ds_buf_fini(&c->rec);
    if (c->plain.data)
        explicit_bzero(c->plain.data, c->plain.cap);
    ds_buf_fini(&c->plain);
    ds_buf_fini(&c->bound);
    free(c->slots);
    free(c->path);
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
    *at = (size_t)(p - c->old) - (1 + NAME + STAMP);
    return unseal(c, p + 4, ds_get_u32(p), answer, err);
}

/* ---- writing ---- */

static int write(ds_dicom_cache *c, const void *p, size_t n, ds_err *err)
{
    ds_xxh3_128_put(c->sum, p, n);
    return ds_out_put(&c->out, p, n, err);
}

static int begin(ds_dicom_cache *c, ds_err *err)
{
    int rc = ds_atomic_open(&c->file, c->path, 0666, err);

    if (rc)
        return rc;
    c->writing = true;
    XXH3_128bits_reset(c->sum);
    rc = ds_out_init(&c->out, c->file.fd, c->path, err);
    rc = rc ? rc : write(c, MAGIC, 8, err);
    rc = rc ? rc : write(c, c->o.store.b, sizeof c->o.store.b, err);
    return rc ? rc : write(c, c->o.function.b, sizeof c->o.function.b, err);
}

static int put(ds_dicom_cache *c, const void *p, size_t n, ds_err *err)
{
    const int rc = c->writing ? 0 : begin(c, err);
    return rc ? rc : write(c, p, n, err);
}

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
    return rc ? rc : put(c, c->rec.data, c->rec.len, err);
}

int ds_dicom_cache_again(ds_dicom_cache *c, size_t at, ds_err *err)
{
    return put(c, c->old + at, record_len(c, at), err);
}

/* ---- chunks and images ---- */

int ds_dicom_cache_chunk(const ds_dicom_cache *c, const ds_sha *images, ds_refs *out, ds_err *err)
{
    const uint8_t *p = lookup(c, A_CHUNK, images->b, sizeof images->b);
    size_t at = 0, end;
    uint64_t n = 0, len = 0;
    ds_sha id;

    if (!p)
        return 0;
    end = record_len(c, (size_t)(p - c->old)); /* which was looked through when it was indexed */
    at = 1 + 32;
    ds_refs_reset(out);
    ds_varint_get(p, end, &at, &n);
    for (; n > 0; n--, at += sizeof id) {
        ds_varint_get(p, end, &at, &len);
        memcpy(&id, p + at, sizeof id);
        if (ds_refs_piece(out, &id, (uint32_t)len))
            return ds_fail_nomem(err);
    }
    return 1;
}

int ds_dicom_cache_put_chunk(ds_dicom_cache *c, const ds_sha *images, const ds_refs *refs,
                             ds_err *err)
{
    size_t n;
    const ds_pieceref *p = ds_refs_pieces(refs, &n);
    int bad;

    ds_buf_reset(&c->rec);
    bad = ds_buf_putc(&c->rec, A_CHUNK) | ds_buf_put(&c->rec, images, sizeof *images) |
          ds_buf_varint(&c->rec, n);
    for (size_t i = 0; !bad && i < n; i++)
        bad = ds_buf_varint(&c->rec, p[i].len) | ds_buf_put(&c->rec, &p[i].id, sizeof p[i].id);
    return bad ? ds_fail_nomem(err) : put(c, c->rec.data, c->rec.len, err);
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
    return put(c, c->rec.data, c->rec.len, err);
}

int ds_dicom_cache_keep(ds_dicom_cache *c, ds_err *err)
{
    static const uint8_t end = END;
    int rc = c->writing ? 0 : begin(c, err);

    rc = rc ? rc : write(c, &end, 1, err);
    if (!rc) {
        XXH128_canonical_t sum;
        XXH128_canonicalFromHash(&sum, XXH3_128bits_digest(c->sum));
        rc = ds_out_put(&c->out, sum.digest, sizeof sum.digest, err);
    }
    rc = rc ? rc : ds_out_flush(&c->out, err);
    rc = rc ? rc : ds_atomic_commit(&c->file, err);
    c->writing = rc != 0;
    return rc;
}
