/* cachefile.h - what a run remembers for the next one, a file in the store's folder files/: a head
 * that says of what, records, and a checksum over both (docs/store-format.md, "Files").
 *
 *     head   a magic and what else must be the same for it to be of use
 *     records, each with a byte that is not 0 first
 *     0      the end, and XXH3-128 of everything before the checksum
 *
 * It appears by rename, whole. One that is damaged, missing or with another head is an empty one:
 * nothing depends on its being kept. It is mapped, not read. One thread.
 */
#ifndef DS_CACHEFILE_H
#define DS_CACHEFILE_H

#include "dsr_refs.h"
#include "io.h"

enum { DS_CACHE_HEAD = 64, DS_CACHE_END = 0, DS_CACHE_CHUNK = 2 };

typedef struct ds_cachefile {
    const uint8_t *old; /* what the run before left, with its head; NULL: nothing */
    size_t len;         /* of it, up to the end record */
    bool writing;       /* something was put */
    /* its own */
    char *path;
    uint8_t head[DS_CACHE_HEAD];
    size_t head_len, mapped;
    ds_atomic file;
    ds_out out;
    void *sum; /* XXH3_state_t */
} ds_cachefile;

/* The file for these inputs, whatever the working directory: "-" and pipes have no place. `dir` is
 * the store's folder, which is written to; `prefix` begins the file's name; `kind` tells files of
 * the same inputs apart; the head is of at most DS_CACHE_HEAD bytes. f is valid for _fini in every
 * case. */
typedef struct ds_cachefile_name {
    const char *dir, *prefix, *kind;
    char *const *inputs;
    size_t ninputs;
} ds_cachefile_name;
int ds_cachefile_open(ds_cachefile *f, const ds_cachefile_name *name, const void *head,
                      size_t head_len, ds_err *err);
/* Adds records; the first ones begin the new file. */
int ds_cachefile_put(ds_cachefile *f, const void *p, size_t n, ds_err *err);
/* What was put takes the place of what was known. */
int ds_cachefile_keep(ds_cachefile *f, ds_err *err);
void ds_cachefile_fini(ds_cachefile *f); /* without _keep nothing has changed; zeroed is fine */

/* A record that both kinds of cache have: the pieces of a chunk, by a digest of what it holds.
 *     2      32 digest, varint pieces, for each a varint length and 32 address */
int ds_cachefile_add_chunk(ds_buf *record, const ds_sha *of, const ds_refs *refs); /* DS_NOMEM */
/* That at p[*at], and behind it; refs may be NULL. 1; 0: no such record stands there; DS_NOMEM. */
int ds_cachefile_get_chunk(const uint8_t *p, size_t len, size_t *at, ds_sha *of, ds_refs *refs);

#endif
