/* gather.h - streams that come one behind the other, into versions of a dataset that go on each
 * other.
 *
 * Every version is the whole dataset: what came before, and what was gathered since. It has the
 * root that one stream of all of these records has, its accounts are their sum, and making it costs
 * what is new. What is gathered waits in an unlinked temporary file of the store, so that nothing
 * is held there meanwhile; killed at any time, the versions that were told of are there, and what
 * was being gathered is lost. One thread besides those of commits.
 */
#ifndef DS_GATHER_H
#define DS_GATHER_H

#include "publish.h"
#include "strlist.h"

typedef struct ds_gather_opts {
    bool append;  /* the first goes on the branch's head, too */
    bool gapless; /* and its sources where that one's end (sourceend.h) */
    bool retry;   /* of append, without limits: a branch that moves is gone on where it is then */
    int64_t seconds; /* limits as in ds_append; all 0: one version, when the input ends */
    uint64_t records, bytes;
    const ds_strlist *files; /* read behind the input; NULL: none */
} ds_gather_opts;

/* Told of every version, in order. */
typedef void (*ds_gather_fn)(void *ctx, const ds_published *p);

/* Reads fd to its end, and then the files. o: pass.after is set here, and head but for the first
 * version of those that do not go on the branch's. A branch that somebody else moves
 * meanwhile: DS_LOCKED. */
int ds_gather_run(ds_store *s, int fd, const char *path, const ds_publish_opts *o,
                  const ds_gather_opts *g, ds_gather_fn tell, void *ctx, ds_err *err);

#endif
