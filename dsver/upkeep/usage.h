/* usage.h - what takes the room of a store: which datasets, which of their versions.
 *
 * Versions are all that gc would leave but for what readers hold: whatever a ref leads to, with
 * what was left behind and is still kept. A piece counts as it lies in its pack, with what it is
 * built on.
 */
#ifndef DS_USAGE_H
#define DS_USAGE_H

#include "store.h"

typedef struct ds_usage_set {
    char *dataset; /* "": commits that are no version */
    uint64_t versions;
    uint64_t bytes; /* of the packs: what its versions are made of */
    uint64_t alone; /* of these, what no other dataset has */
    uint64_t afar;  /* mentions of pieces that are not here */
} ds_usage_set;

typedef struct ds_usage {
    ds_usage_set *v; /* in the order of their names */
    size_t n;
    uint64_t idle;    /* of the packs: what no version has */
    uint64_t packs;   /* bytes of them, headers and all */
    uint64_t catalog; /* of its files */
    uint64_t index;   /* of index.db */
    uint64_t caches;  /* statistics, and what is known of files: both can go */
} ds_usage;

/* DS_CORRUPT when a version cannot be read. */
int ds_usage_read(ds_usage *out, ds_store *s, ds_err *err);
void ds_usage_fini(ds_usage *u);

/* Versions of one dataset, newest first, with what the packs hold for each that none of those that
 * it goes back to, or came before it in another branch, has. Non-zero from fn stops and is
 * returned. */
typedef int (*ds_usage_fn)(void *ctx, const ds_version *v, uint64_t added, ds_err *err);
int ds_usage_versions(ds_store *s, const char *dataset, ds_usage_fn fn, void *ctx, ds_err *err);

#endif
