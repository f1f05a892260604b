/* objcore.h - the object store from within: for the files of this folder, and for those of dsver/
 * that handle packs, the index or stored objects themselves (remotes, gc, fsck). Everybody else
 * reads and writes pieces through objstore.h. */
#ifndef DS_OBJCORE_H
#define DS_OBJCORE_H

#include <pthread.h>

#include "codec.h"
#include "objindex.h"
#include "objstore.h"
#include "packread.h"
#include "piececache.h"
#include "proven.h"

/* A base that was decoded on the way and is to be proven. */
typedef struct ds_unproven {
    ds_shared *piece; /* a reference of its own */
    ds_sha id;
    int64_t row;
} ds_unproven;
#define DS_UNPROVEN_MAX 8

typedef struct ds_codecs { /* one thread's scratch space; those not in use form a list */
    ds_codec *c;
    ds_buf object, joined;
    /* those of the pieces at work that are decoded: each is once */
    ds_shared *below[DS_CLOSURE_CAP];
    ds_buf places;                         /* ds_objloc: of the pieces that are read together */
    ds_unproven unproven[DS_UNPROVEN_MAX]; /* hashed together: when it is full, or given back */
    size_t n_unproven;
    struct ds_codecs *next;
} ds_codecs;

struct ds_objstore {
    char *dir;
    enum ds_objmode mode;
    ds_objindex *ix;
    ds_packset *packs;
    ds_piececache *cache;
    ds_objmiss_fn miss; /* NULL: what is not here is unknown */
    ds_objexpect_fn expect;
    void *miss_ctx;
    ds_objexplain_fn explain;
    void *explain_ctx;
    ds_objstore *under; /* asked for what is not here; NULL: nobody */
    /* bases that are decoded are proven too, and noted here; NULL: they are not */
    ds_proven *proven;
    pthread_mutex_t lock; /* of what follows */
    ds_codecs *idle;
    int lock_fd; /* on locks/gc.lock, -1 = not open */
    unsigned holds;
};

int ds_objcore_codec(ds_objstore *s, ds_codecs **c, ds_err *err); /* borrow one */
void ds_objcore_codec_back(ds_objstore *s, ds_codecs *c);         /* NULL is fine */

/* Where pieces are: 1 found, 0 not, < 0 error. */
typedef int (*ds_lookup_fn)(void *ctx, const ds_sha *id, ds_objloc *out, ds_err *err);
/* Adds a piece and all it is built on to v[0..*n), unless there already. 1, 0 when the piece or a
 * base is not known or there are more than `max`: *n is then as it was, *overflow says which. */
int ds_objcore_closure(ds_lookup_fn fn, void *ctx, const ds_sha *id, ds_objloc *v, size_t max,
                       size_t *n, bool *overflow, ds_err *err);
/* The same of the store's index, for a piece alone. */
int ds_objcore_places(ds_objstore *s, const ds_sha *id, ds_objloc v[DS_CLOSURE_CAP], size_t *n,
                      bool *overflow, ds_err *err);
const ds_objloc *ds_objcore_in(const ds_objloc *v, size_t n,
                               const ds_sha *id); /* NULL when not there */
/* Decodes a piece whose closure is v, n at most DS_CLOSURE_CAP: 1, or 0 when a pack is gone, or an
 * error. */
int ds_objcore_decode(ds_objstore *s, ds_codecs *c, const ds_objloc *v, size_t n,
                      const ds_objloc *piece, ds_buf *out, ds_err *err);
/* The prefix that bases make: 1 with the bases held and *p, *len lent until drop or the next use of
 * c. 0, < 0: as above. */
typedef struct ds_prefix {
    ds_shared *held[DS_BASES_MAX];
    const uint8_t *p;
    size_t len;
} ds_prefix;
int ds_objcore_prefix(ds_objstore *s, ds_codecs *c, const ds_objloc *v, size_t n,
                      const ds_bases *bases, ds_prefix *out, ds_err *err);
void ds_objcore_prefix_drop(ds_prefix *p);
/* Recomputes the address: DS_CORRUPT when it is another. match: `got` is what was recomputed. */
int ds_objcore_verify(const ds_sha *id, const void *data, size_t len, ds_err *err);
int ds_objcore_match(const ds_sha *id, const ds_sha *got, ds_err *err);

/* Takes packs that the index does not know into it. Damage in them is passed to `bad` (may be
 * NULL): file, offset... */
int ds_objcore_adopt(ds_objindex *ix, const char *dir, bool all, ds_objproblem_fn bad, void *ctx,
                     ds_scrubstats *stats, ds_err *err);

/* ds_objstore_reindex for who holds both locks alone. in_memory: no temporary file is written. */
int ds_objcore_reindex(const char *dir, bool in_memory, ds_objproblem_fn report, void *ctx,
                       ds_scrubstats *stats, ds_err *err);

/* DS_LOCKED when reindex put another index in the place of ours: what we read there may no longer
 * be so, and what we write nobody will see. Asked once reindex is kept out. */
int ds_objcore_current(ds_objstore *s, ds_err *err);

/* For a message, where somebody of its group may not write a file: ": why"; else "". */
const char *ds_objcore_keptout(const char *path);
/* flock on locks/gc.lock: how = LOCK_SH or LOCK_EX, or'ed with LOCK_NB. DS_LOCKED when held and
 * LOCK_NB. */
int ds_objcore_flock(int *fd, const char *dir, int how, ds_err *err);
/* The same, shared, for a writer: waits while somebody wants to be alone. */
int ds_objcore_enter(int *fd, const char *dir, ds_err *err);
/* The same, exclusive: keeps new writers out while it waits for those inside. */
int ds_objcore_shut(int *fd, const char *dir, bool wait, ds_err *err);
/* flock on locks/collect.lock: one gc, or reindex, at a time. Taken before the other. */
int ds_objcore_alone(int *fd, const char *dir, bool wait, ds_err *err);

#endif
