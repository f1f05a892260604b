/* publish.h - a stream becomes a version: pass, durable pieces, durable catalog objects, and then
 * the ref.
 *
 * The order is what makes it safe to be killed at any point: until the ref has moved the old state
 * stands, and what was written is garbage for gc; after it, everything it leads to is on disk. When
 * another writer moved the branch meanwhile, its version becomes the parent: a version is the whole
 * dataset, so nothing is lost by that.
 */
#ifndef DS_PUBLISH_H
#define DS_PUBLISH_H

#include "commitpass.h"
#include "sign.h"

typedef struct ds_publish_opts {
    const char *dataset, *branch; /* checked names */
    const char *message;          /* NULL: "N records" */
    const char *author;  /* "Name <mail>"; NULL: environment, configuration, or dsver itself */
    int64_t time;        /* 0: now */
    const git_oid *head; /* the branch must be there, else DS_LOCKED; NULL: wherever it is */
    bool fresh;          /* fail when the branch is there */
    enum ds_signing sign;
    const git_oid *merged; /* a second parent: a version is made even when it is as the first */
    ds_pass_opts pass;
} ds_publish_opts;

typedef struct ds_published {
    git_oid id; /* of the new version, or of the one that is the same */
    bool unchanged;
    bool joined; /* packs of the catalog were joined on the way (packjoin.h) */
    ds_objstats objs;
    uint64_t catalog_bytes;
    ds_pass pass;
    ds_buf gone; /* columns of the version before that this one has not: names, each with a NUL */
} ds_published;

/* Refuses, before a stream is read, what no stream mends: a branch that is not at o->head
 * (DS_LOCKED), or a new one of a name that it cannot have. */
int ds_publish_check(ds_store *s, const ds_publish_opts *o, ds_err *err);
/* Reads fd to its end, once it is checked. The store is open for writing. */
int ds_publish_stream(ds_published *out, ds_store *s, int fd, const char *path,
                      const ds_publish_opts *o, ds_err *err);
void ds_published_fini(ds_published *p);

#endif
