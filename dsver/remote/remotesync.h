/* remotesync.h - versions to a remote and from one: catalog and pieces together.
 *
 * Pieces first, refs last and by compare-and-swap, on either side: a ref never leads to what is not
 * there. Killed at any point and begun again, it goes on. docs/store-format.md, "Remotes".
 */
#ifndef DS_REMOTESYNC_H
#define DS_REMOTESYNC_H

#include "gitrun.h"
#include "needed.h"
#include "remoteconf.h"
#include "transfer.h"

/* A remote in use. */
typedef struct ds_link {
    ds_store *store;
    ds_remoteconf conf;
    ds_remote *remote;
    ds_remoteindex *index;
    struct ds_glance *glance;
    ds_ahead *ahead;  /* packs that are on their way; NULL: none */
    ds_gitrefs there; /* its refs, as the last fetch found them */
} ds_link;
/* name NULL: as in ds_remoteconf_get. Zeroed may be closed. */
int ds_link_open(ds_link *l, ds_store *s, const char *name, ds_err *err);
void ds_link_close(ds_link *l);
/* Begins to bring what is known of the remote's packs up to date, and then the packs, in threads of
 * their own: nothing else may be done with l->index until ds_link_looked, which waits for the
 * first. 1 when that has been done, and well; 0 when it is still to be done. */
void ds_link_look(ds_link *l);
int ds_link_looked(ds_link *l, ds_remotestate *state);

/* Whether a remote can lie there at all: DS_FAIL where a path holds none, or is a store. */
int ds_sync_check_url(const char *url, const char *catalog, ds_err *err);

/* What becomes of a ref. */
enum ds_syncdid {
    DS_SYNC_SAME,
    DS_SYNC_NEW,
    DS_SYNC_MOVED,
    DS_SYNC_FORCED,
    DS_SYNC_BEHIND,   /* the other side is further: nothing to do */
    DS_SYNC_REJECTED, /* both have gone on */
    DS_SYNC_DELETED,
};
extern const char *const ds_syncdid_name[];
typedef struct ds_syncref {
    const char *ref;     /* "refs/heads/docs/main" */
    const git_oid *from; /* NULL: it was not there */
    const git_oid *to;   /* NULL: it is not there any more */
    enum ds_syncdid did;
} ds_syncref;
typedef void (*ds_sync_fn)(void *ctx, const ds_syncref *r);

typedef struct ds_sync_opts {
    char *const *what; /* DATASET or DATASET@BRANCH; n = 0: all */
    size_t n;
    bool force;
    bool dry_run; /* push, delete: only tell */
    bool prune;   /* fetch: forget branches that the remote has no more */
    bool reread;  /* push: read back what lies there, and send anew what is damaged; wants all */
    bool all;     /* look at every piece of every version, not only at those of new ones */
    bool lazy;    /* fetch: leave the pieces where they are */
    bool anew;    /* fetch: nothing is here yet, so that pieces will be wanted in any case */
    ds_sync_fn fn;
    void *ctx;
} ds_sync_opts;

typedef struct ds_synced {
    ds_moved moved;
    uint64_t versions; /* whose pieces were looked at */
    uint64_t refs;     /* that were moved; would be, of a dry run */
    uint64_t rejected;
    uint64_t reread, damaged; /* packs of the remote: read back; of these not what they were */
    uint64_t purged;          /* packs of the remote that held what was erased, and are gone */
} ds_synced;

/* DS_FAIL, with nothing sent, when a ref would not go on from where it is there. */
int ds_sync_push(ds_synced *out, ds_link *l, const ds_sync_opts *o, ds_err *err);
/* Deletes the branches and tags at the remote that o->what names (DATASET@NAME), all or none, each
 * only from where it was last seen, and not the last branch of a dataset, unless o->force. DS_FAIL
 * when one is not there. */
int ds_sync_delete(ds_synced *out, ds_link *l, const ds_sync_opts *o, ds_err *err);
/* Branches come to refs/remotes/NAME/, tags and runs to their own places. DS_FAIL after all else is
 * done when one of these is another here. */
int ds_sync_fetch(ds_synced *out, ds_link *l, const ds_sync_opts *o, ds_err *err);
/* Moves local branches on to where the remote's were when this link fetched; makes those that are
 * not here. DS_FAIL after all others are moved when one has gone on in another way. */
int ds_sync_branches(ds_synced *out, ds_link *l, const ds_sync_opts *o, ds_err *err);
/* Takes in what was erased at the remote, and nothing else. */
int ds_sync_erasures(ds_link *l, ds_err *err);
/* Fetches pieces that are not here, as ds_transfer_fetch, and looks again at what the remote has:
 * for stores that are lazy. DS_CORRUPT when it lacks some, after all others have come. */
int ds_sync_pieces(ds_moved *out, ds_link *l, const ds_shaset *want, ds_err *err);

/* ---- shared by its files ---- */
bool ds_sync_picks(const ds_sync_opts *o, const char *ref);
/* DS_FAIL when one that was asked for is not among refs, nor among more (NULL: none). where: "here"
 * or "there". */
int ds_sync_check_names(const ds_sync_opts *o, const ds_gitrefs *refs, const ds_gitrefs *more,
                        const char *where, ds_err *err);
/* Where a branch of the remote ("refs/heads/docs/main") stands here: "refs/remotes/NAME/docs/main";
 * false for other refs. */
enum { DS_SYNC_TRACKING_MAX = 640 };
bool ds_sync_tracking(char out[DS_SYNC_TRACKING_MAX], const ds_link *l, const char *ref);
/* The other way round: its "docs/main"; NULL for other refs. */
const char *ds_sync_tracked(const ds_link *l, const char *ref);
/* 1 when `b` is `a` or leads to it through its parents. */
int ds_sync_goes_on(ds_store *s, const git_oid *a, const git_oid *b, ds_err *err);
bool ds_sync_has_object(ds_store *s, const git_oid *id);
/* Brings objects of the remote's catalog (git_oid) that are not here. */
int ds_sync_objects(ds_link *l, const ds_buf *ids, ds_err *err);
/* The commits (git_oid) that all of its refs lead to, and brings them. */
int ds_sync_commits(ds_buf *commits, ds_link *l, const ds_gitrefs *there, ds_err *err);
/* ds_transfer_fetch, by what was known of the remote (ds_remoteindex_avoid); once more when it
 * lacks some by that, or packs have gone there: others push and collect meanwhile. */
int ds_sync_get(ds_moved *out, ds_remotestate *state, ds_link *l, const ds_transfer *t,
                const ds_shaset *want, ds_err *err);
/* The commit that an object is or, for a tag, leads to: 1, 0 none, < 0. */
int ds_sync_commit(ds_store *s, const git_oid *id, git_oid *commit, ds_err *err);

#endif
