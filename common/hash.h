/* hash.h - SHA-256 for identity, XXH3 for scrubbing and tables.
 *
 * xxHash is never an identity here: collisions can be made on demand, and training data is supplied
 * by strangers.
 */
#ifndef DS_HASH_H
#define DS_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ds_sha {
    uint8_t b[32];
} ds_sha; /* a SHA-256 */
typedef struct ds_x128 {
    uint8_t b[16];
} ds_x128; /* an XXH3-128 in canonical (big endian) form */

typedef struct ds_hasher ds_hasher; /* a running SHA-256 */
int ds_hasher_new(ds_hasher **out, ds_err *err);
int ds_hasher_reset(ds_hasher *h, ds_err *err); /* begins anew */
int ds_hasher_put(ds_hasher *h, const void *data, size_t len, ds_err *err);
int ds_hasher_u64(ds_hasher *h, uint64_t v, ds_err *err);   /* 8 bytes, little endian */
int ds_hasher_end(ds_hasher *h, ds_sha *out, ds_err *err);  /* call reset before the next use */
int ds_hasher_peek(ds_hasher *h, ds_sha *out, ds_err *err); /* of the bytes so far; goes on */
void ds_hasher_free(ds_hasher *h);

/* SHA-256(tag including its final NUL || data): domain-separated address. No tag: NULL. */
int ds_sha_tagged(ds_sha *out, const char *tag, const void *data, size_t len, ds_err *err);
int ds_sha_bytes(ds_sha *out, const void *data, size_t len, ds_err *err); /* plain SHA-256 */
/* The same of each of n messages. With SHA instructions in the processor two together take little
 * longer than one: who has several hands them over at once, long ones most of all. */
typedef struct ds_bytes {
    const void *p; /* may be NULL when len is 0 */
    size_t len;
} ds_bytes;
int ds_sha_each(ds_sha *out, const char *tag, const ds_bytes *v, size_t n, ds_err *err);
int ds_sha_file(ds_sha *out, uint64_t *size, const char *path, ds_err *err);
/* The same; once another thread has set *stop (__atomic_store_n) it ends soon, and fails. */
int ds_sha_file_until(ds_sha *out, uint64_t *size, const char *path, const int *stop, ds_err *err);
int ds_xxh128_file(ds_x128 *out, const char *path, ds_err *err);
void ds_sha_hex(char out[65], const ds_sha *s);
/* 64 hex digits in lower case: what is written has one form. */
bool ds_sha_parse(ds_sha *out, const char *hex, size_t len);
bool ds_sha_eq(const ds_sha *a, const ds_sha *b);
int ds_sha_cmp(const void *a, const void *b); /* for qsort and bsearch: of what begins with one */

typedef struct ds_xxhasher ds_xxhasher; /* a running XXH3-128 */
int ds_xxhasher_new(ds_xxhasher **out, ds_err *err);
void ds_xxhasher_put(ds_xxhasher *h, const void *data, size_t len);
ds_x128 ds_xxhasher_end(const ds_xxhasher *h); /* of the bytes so far */
void ds_xxhasher_free(ds_xxhasher *h);

ds_x128 ds_xxh128(const void *data, size_t len);
uint64_t ds_xxh64(const void *data, size_t len); /* XXH3-64 */

#ifdef __cplusplus
}
#endif

#endif
