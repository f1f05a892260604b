/* keycheck.h - are the explicit keys of a stream unique? In bounded memory, whatever the number of
 * records.
 *
 * Each key is remembered as the first 16 bytes of SHA-256("ds.keyhash\0" || key) and the record's
 * number: 24 bytes in memory, sorted runs in unnamed files of the given folder when they exceed 24
 * MiB, one merge at the end. SHA-256 because keys come from strangers: a collision made on purpose
 * would refuse good data. One thread, except for ds_keyhash.
 */
#ifndef DS_KEYCHECK_H
#define DS_KEYCHECK_H

#include "buf.h"
#include "hash.h"

typedef struct ds_keyhash {
    uint8_t b[16];
} ds_keyhash;
int ds_keyhash_make(ds_keyhash *out, ds_hasher *h, const void *key, size_t len, ds_err *err);

typedef struct ds_keycheck ds_keycheck;
/* `limit`: bytes kept in memory, 0 = 24 MiB. `dir` is for runs. */
int ds_keycheck_new(ds_keycheck **out, const char *dir, size_t limit, ds_err *err);
/* The next record's key: records count up from 0 with the calls. */
int ds_keycheck_add(ds_keycheck *k, const ds_keyhash *h, ds_err *err);
/* 1: all different. 0: records *a < *b share a key; of all such pairs, the one with the smallest b.
 * < 0: error. */
int ds_keycheck_end(ds_keycheck *k, uint64_t *a, uint64_t *b, ds_err *err);
void ds_keycheck_free(ds_keycheck *k); /* NULL is fine */

#endif
