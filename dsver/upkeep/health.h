/* health.h - is everything there, and is it what it was? fsck's work.
 *
 * Always: the chain of the operation log, and refs against it; every git object re-hashed, every
 * git pack and index re-summed, every ref and version readable, every run's ledger followed to its
 * head, the structure of data packs and index, every piece of every version known. With read_data
 * also every byte of every piece, and the roots of every version recomputed from its manifest.
 */
#ifndef DS_HEALTH_H
#define DS_HEALTH_H

#include "store.h"

typedef struct ds_trouble {
    bool note;        /* nothing is damaged: not counted */
    const char *file; /* in the store: "packs/<sha>.pack", "catalog.git/...", or "" */
    uint64_t offset;  /* in the file; 0 for files as a whole */
    const char *id;   /* of a piece or git object, hex, or "" */
    const char *reason;
    const char *versions; /* that it touches, as "name@commit", separated by blanks; "" when none is
                             known */
    uint64_t more;        /* versions that it touches too */
} ds_trouble;
typedef void (*ds_trouble_fn)(void *ctx, const ds_trouble *t);

typedef struct ds_health {
    ds_scrubstats objs;
    uint64_t git_objects, versions, blocks,
        pieces; /* blocks and pieces: lines and addresses in manifests looked at */
    uint64_t problems;
    uint64_t afar;       /* pieces that are not here, of a store that fetches what it reads */
    uint64_t operations; /* entries of the log */
    uint64_t unlogged;   /* refs that are not where the log leaves them */
    uint64_t undone;     /* refs that are where they were before the last entry about them */
    uint64_t erased;     /* blocks, and pages of sources, that something was erased from */
} ds_health;

typedef struct ds_health_opts {
    bool read_data;
    const ds_sha *since;  /* an entry of the operation log that must be there, and behind which refs
                             moved by something other than dsver are problems; NULL: none */
    unsigned part, parts; /* only of every parts-th pack, from 0; parts 0: of all */
    int threads;
} ds_health_opts;

/* 0 when the check itself ran: see problems. */
int ds_health_check(ds_health *out, ds_store *s, const ds_health_opts *o, ds_trouble_fn fn,
                    void *ctx, ds_err *err);

#endif
