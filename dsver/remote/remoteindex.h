/* remoteindex.h - which pieces lie at a remote, and where: an index as the store's own, made from
 * the heads beside the remote's packs.
 *
 * Which pieces are in it depends on which packs were listed, not on when each was first seen: one
 * whose bases come in a later pack counts from then on.
 *
 * Kept in the store's remotes/NAME/index.db and brought up to date by what the remote lists; a mere
 * cache, which is begun anew when packs went, and in a temporary file while other processes use it.
 * A pack counts when its heads are there and agree with its length; a pack that lost its end, or
 * whose heads have not come yet, holds nothing for us, and is counted.
 *
 * A piece may lie in several packs, and the index knows one of them: of those that come together
 * the largest that holds it, so that what was joined is read instead of what it was joined from.
 *
 * One thread at a time for refresh; look-ups from any (objindex.h).
 */
#ifndef DS_REMOTEINDEX_H
#define DS_REMOTEINDEX_H

#include "objindex.h"
#include "packheads.h"
#include "remote.h"
#include "shaset.h"

typedef struct ds_remoteindex ds_remoteindex;

typedef struct ds_remotestate {
    uint64_t packs;   /* that count */
    uint64_t bare;    /* without heads: a push that died or is under way */
    uint64_t damaged; /* heads and pack do not agree */
    bool gone;        /* some that were known are there no more */
    char first[160];  /* of those: the pack's name and what is wrong */
} ds_remotestate;

/* dir: the store's; name: the remote's. Borrows the remote. */
int ds_remoteindex_open(ds_remoteindex **out, const char *dir, const char *name, ds_remote *r,
                        ds_err *err);
void ds_remoteindex_close(ds_remoteindex *x); /* NULL is fine */
/* Lists the remote and takes in what is new; and these two, one after the other. */
int ds_remoteindex_refresh(ds_remoteindex *x, ds_remotestate *state, ds_err *err);
int ds_remoteindex_list(ds_remoteindex *x, ds_err *err);
int ds_remoteindex_take(ds_remoteindex *x, ds_remotestate *state, ds_err *err);
/* Lent until the next refresh; not before the first. */
ds_objindex *ds_remoteindex_get(ds_remoteindex *x);
/* From the next refresh on packs that a gc has condemned are as if they were not there: what they
 * hold mostly lies in others too. Who misses something looks again with all. Returns what was so
 * before. */
enum ds_avoid {
    DS_AVOID_NONE,
    DS_AVOID_NEW, /* those that are not known yet */
    DS_AVOID_ALL, /* what is known is begun anew, when some of it is in such packs */
};
enum ds_avoid ds_remoteindex_avoid(ds_remoteindex *x, enum ds_avoid condemned);
/* From the next refresh on these packs count for nothing; borrowed, NULL: none. */
void ds_remoteindex_skip(ds_remoteindex *x, const ds_shaset *packs);
/* The i-th pack of what the last refresh listed, with or without heads: false past the last. */
typedef struct ds_listed {
    ds_sha name;
    uint64_t pack, heads; /* lengths; UINT64_MAX: not there */
} ds_listed;
bool ds_remoteindex_entry(const ds_remoteindex *x, size_t i, ds_listed *out);
/* Reads a pack's heads again: pieces that other packs hold as well are in the index once only. */
int ds_remoteindex_heads(ds_remoteindex *x, const ds_sha *pack, ds_packheads_fn fn, void *ctx,
                         ds_err *err);
/* The heads of pieces that were left out because a base lies in no pack that counts; and others of
 * the same packs. */
int ds_remoteindex_waiting(ds_remoteindex *x, ds_packheads_fn fn, void *ctx, ds_err *err);
/* The length of a pack that was listed by the last refresh: false when it was not there. */
bool ds_remoteindex_listed(const ds_remoteindex *x, const ds_sha *pack, uint64_t *size);

/* "packs/<hex>.pack", or with another ending. */
void ds_remote_pack_name(char out[80], const ds_sha *pack, const char *ending);

#endif
