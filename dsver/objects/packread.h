/* packread.h - reading pack files: single objects by place, and whole packs in a scan that survives
 * damage. */
#ifndef DS_PACKREAD_H
#define DS_PACKREAD_H

#include "objindex.h"

/* A bounded set of open pack files, for any number of threads. */
typedef struct ds_packset ds_packset;
int ds_packset_new(ds_packset **out, const char *dir, ds_err *err);
void ds_packset_free(ds_packset *p);
/* Forgets the open files: packs may have been deleted. Not while others read. */
void ds_packset_drop(ds_packset *p);
/* Reads the object at loc into obj and checks it: 1 = *h and *payload (in obj) are valid, 0 = the
 * pack is gone, < 0 = error. */
int ds_packset_read(ds_packset *p, const ds_objloc *loc, ds_buf *obj, ds_objhead *h,
                    const uint8_t **payload, ds_err *err);

/* A scan. object: the whole object of n bytes, or NULL when only heads are read. Non-zero stops. */
typedef int (*ds_scanobj_fn)(void *ctx, const ds_objhead *h, uint64_t off, const uint8_t *object,
                             size_t n);
typedef int (*ds_scanbad_fn)(void *ctx, uint64_t off, const ds_sha *id, const char *reason);
typedef struct ds_packscan {
    const char *path;
    bool full; /* payloads are read and their checksums verified */
    ds_scanobj_fn object;
    ds_scanbad_fn bad;
    void *ctx;
    uint64_t size, objects; /* out: of the file; good objects found */
} ds_packscan;
/* After damage it goes on at the next magic that begins a sound object. Returns 0, what a callback
 * returned, or an error of reading (a missing file is one). */
int ds_pack_scan(ds_packscan *scan, ds_err *err);

/* The names of all packs in <dir>/packs, sorted, freed by the caller. Other files there are counted
 * in *strange. */
int ds_pack_list(const char *dir, ds_sha **names, size_t *n, size_t *strange, ds_err *err);

#endif
