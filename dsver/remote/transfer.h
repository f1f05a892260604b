/* transfer.h - pieces to a remote, and pieces from one: only those that the other side lacks.
 *
 * Pieces are what is compared, packs are what is moved: a pack goes as it is, under its own name,
 * when all that is in it is wanted; of others the wanted objects are put into new packs, or read by
 * ranges. So a store that was repacked sends nothing again, and nothing goes that was not asked
 * for.
 *
 * Both can be killed at any point and begun again: what has arrived counts. The caller holds the
 * store's gc lock (ds_objstore_hold) from before he decides what is wanted until the refs moved.
 */
#ifndef DS_TRANSFER_H
#define DS_TRANSFER_H

#include "ahead.h"
#include "remoteindex.h"
#include "shaset.h"

typedef struct ds_moved {
    uint64_t pieces, packs; /* that were moved */
    uint64_t bytes;         /* of packs and ranges */
    uint64_t missing;       /* pieces that neither side has */
    ds_sha first_missing;
} ds_moved;

typedef struct ds_transfer {
    ds_objstore *objs;
    ds_remote *remote;
    ds_remoteindex *index;    /* refreshed by the caller */
    bool quiet;               /* no progress is shown */
    const ds_shaset *leaving; /* packs of the remote that are about to go: their pieces are sent
                                 anew. NULL: none */
    ds_ahead *ahead;          /* packs that are on their way; used up. NULL: none */
} ds_transfer;

/* Sends `want` and what they are built on, as far as the remote lacks them; on success the remote
 * was listed again and holds them all, in packs that no gc is about to remove (relied.h).
 * DS_CORRUPT when this store lacks some. */
int ds_transfer_send(ds_moved *out, const ds_transfer *t, const ds_shaset *want, ds_err *err);
/* Fetches `want` and what they are built on, as far as this store lacks them. Those that the remote
 * lacks too are counted in out->missing: the rest is fetched all the same. DS_IO when some are
 * missing and no remote is there at all. Every pack is checked against its name, every piece that
 * came by a range against its address. */
int ds_transfer_fetch(ds_moved *out, const ds_transfer *t, const ds_shaset *want, ds_err *err);

/* ---- what both sides of it share (transfer.c) ---- */
typedef struct ds_place { /* of an object: rows of an index */
    int64_t row, pack;
    uint64_t off;
    uint32_t size;
} ds_place;
typedef struct ds_haul { /* a pack, and which of its objects are wanted */
    int64_t row;
    ds_packrow pack;
    size_t first, n; /* places, in order of their offsets */
    uint64_t bytes;  /* of those objects */
    bool whole;      /* all that is in the pack */
    bool ahead;      /* it began to come before */
} ds_haul;
typedef struct ds_hauls {
    ds_buf places, hauls; /* ds_place, ds_haul */
} ds_hauls;
static inline const ds_place *ds_hauls_place(const ds_hauls *h, size_t i)
{
    return (const ds_place *)(const void *)h->places.data + i;
}
static inline ds_haul *ds_hauls_at(const ds_hauls *h)
{
    return (ds_haul *)(void *)h->hauls.data;
}
static inline size_t ds_hauls_n(const ds_hauls *h)
{
    return h->hauls.len / sizeof(ds_haul);
}
void ds_hauls_fini(ds_hauls *h);
/* Everything in `want`, and what it is built on, that `from` holds and `to` lacks, pack by pack.
 * What both lack is counted in out. */
typedef struct ds_way {
    ds_objindex *from, *to;
    const ds_shaset *leaving; /* packs of `to` that count for nothing; NULL: none */
} ds_way;
int ds_hauls_plan(ds_hauls *h, ds_moved *out, const ds_way *way, const ds_shaset *want,
                  ds_err *err);

#endif
