/* objcore.h - what the files of the object layer share behind objstore.h. */
#ifndef DS_OBJCORE_H
#define DS_OBJCORE_H

#include <pthread.h>

#include "codec.h"
#include "objindex.h"
#include "objstore.h"
#include "packread.h"
#include "piececache.h"

/* Longest chain of bases that is followed: a longer one is damage. New deltas stay far below (delta.h). */
#define DS_CHAIN_CAP 40

typedef struct ds_codecs { /* scratch spaces not in use, for any thread */
    ds_codec *c;
    struct ds_codecs *next;
} ds_codecs;

struct ds_objstore {
    char *dir;
    enum ds_objmode mode;
    ds_objindex *ix;
    ds_packset *packs;
    ds_piececache *cache;
    pthread_mutex_t lock; /* of what follows */
    ds_codecs *idle;
    int lock_fd; /* on locks/gc.lock, -1 = not open */
    unsigned holds;
};

int ds_objcore_codec(ds_objstore *s, ds_codecs **c, ds_err *err); /* borrow one */
void ds_objcore_codec_back(ds_objstore *s, ds_codecs *c);         /* NULL is fine */

/* A piece and its bases, down to a whole one. *n = 0: not known. */
int ds_objcore_resolve(ds_objstore *s, const ds_sha *id, ds_objloc chain[DS_CHAIN_CAP], size_t *n, ds_err *err);
/* Decodes chain[0]: 1, or 0 when a pack is gone, or an error. chain[1..] go through the cache. */
int ds_objcore_decode(ds_objstore *s, ds_codec *c, const ds_objloc *chain, size_t n, ds_buf *out, ds_err *err);
/* The same for a piece that serves as base: shared, cached. */
int ds_objcore_base(ds_objstore *s, ds_codec *c, const ds_objloc *chain, size_t n, ds_shared **out, ds_err *err);
/* Recomputes the address: DS_CORRUPT when it is another. */
int ds_objcore_verify(const ds_sha *id, const void *data, size_t len, ds_err *err);

/* Takes packs that the index does not know into it. Damage in them is passed to `bad` (may be NULL): file, offset... */
int ds_objcore_adopt(ds_objindex *ix, const char *dir, bool all, ds_objproblem_fn bad, void *ctx,
                     ds_scrubstats *stats, ds_err *err);

/* flock on locks/gc.lock: how = LOCK_SH or LOCK_EX, or'ed with LOCK_NB. DS_LOCKED when held and LOCK_NB. */
int ds_objcore_flock(int *fd, const char *dir, int how, ds_err *err);

#endif
