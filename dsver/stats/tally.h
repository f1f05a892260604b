/* tally.h - how often each of many numbers, or of many short byte strings, came.
 *
 * Adding commutes: the same sums in any order, as long as a table of names is not full. Zeroed is
 * empty and valid. Sums saturate. One thread.
 */
#ifndef DS_TALLY_H
#define DS_TALLY_H

#include <stdbool.h>

#include "buf.h"
#include "error.h"

/* ---- numbers ---- */

typedef struct ds_tallied {
    int64_t key;
    uint64_t n; /* 0: an empty slot */
} ds_tallied;

typedef struct ds_tally {
    ds_tallied *slots;
    size_t used, cap;
} ds_tally;

int ds_tally_add(ds_tally *t, int64_t key, uint64_t n); /* DS_NOMEM */
void ds_tally_reset(ds_tally *t);
void ds_tally_fini(ds_tally *t);
/* ds_tallied, ascending by key; out is replaced. DS_NOMEM. */
int ds_tally_sorted(ds_buf *out, const ds_tally *t);
/* varint n; n times: varint zigzag(key - key before), varint count. Appended. DS_NOMEM. */
int ds_tally_put(ds_buf *out, const ds_tally *t);
/* Adds what was put; false when it is malformed or there is no memory. */
bool ds_tally_get(ds_tally *t, const uint8_t *p, size_t len, size_t *pos);

/* ---- names ---- */

typedef struct ds_named {
    uint64_t hash, n;
    uint32_t at, len; /* in bytes */
} ds_named;

typedef struct ds_names {
    ds_named *named; /* in the order in which they came; room for half of cap */
    uint32_t *index; /* a hash table: 1 + where it is in named, or 0 */
    size_t used, cap;
    ds_buf bytes;
    size_t most; /* different ones that are taken; set before the first */
    bool full;   /* one was refused */
} ds_names;

/* Its bytes; NULL of an empty name. */
static inline const uint8_t *ds_named_bytes(const ds_names *t, const ds_named *s)
{
    return s->len ? t->bytes.data + s->at : NULL;
}

/* hash: any function of the bytes, the same one for all of a table. DS_NOMEM. */
int ds_names_add(ds_names *t, uint64_t hash, const void *p, size_t len, uint64_t n);
void ds_names_reset(ds_names *t);
void ds_names_fini(ds_names *t);
enum ds_nameorder { DS_BY_BYTES, DS_BY_COUNT /* most first, then by bytes */ };
/* const ds_named *, in order; out is replaced. DS_NOMEM. */
int ds_names_sorted(ds_buf *out, const ds_names *t, enum ds_nameorder order);
/* The `keep` that came most often stay; it is no more full. DS_NOMEM. */
int ds_names_prune(ds_names *t, size_t keep);
/* varint n; n times: varint length, bytes, varint count. The first `most`. DS_NOMEM. */
int ds_names_put(ds_buf *out, const ds_names *t, enum ds_nameorder order, size_t most);
bool ds_names_get(ds_names *t, const uint8_t *p, size_t len, size_t *pos); /* hashes: XXH3-64 */
/* How often; 0: not there. hash: as it was added. */
uint64_t ds_names_of(const ds_names *t, uint64_t hash, const void *p, size_t len);

#endif
