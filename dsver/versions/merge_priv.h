/* merge_priv.h - what the files of a merge share behind merge.h: what is to be done (merge.c),
 * whether files that come of it can be (mergetree.c), and the stream (mergewrite.c, mergekept.c).
 */
#ifndef DS_MERGE_PRIV_H
#define DS_MERGE_PRIV_H

#include "merge.h"
#include "sourcelist.h"
#include "spool.h"

enum ds_mergewhat { DS_MERGE_KEEP, DS_MERGE_DROP, DS_MERGE_REPLACE, DS_MERGE_INSERT };

/* A change of one side; sorted by key, then as it came. */
typedef struct ds_mergechange {
    ds_diffitem it;
    size_t order;
    enum ds_mergewhat what; /* of theirs: what it does to ours */
    bool used;              /* done already: the next with this key is meant */
} ds_mergechange;

typedef struct ds_mergechanges {
    ds_verdiff *diff;
    ds_mergechange *v;
    size_t n;
    uint8_t *seen; /* a bit for each hash of a key: most records have none */
} ds_mergechanges;

/* A record of theirs that goes in after a record of ours. */
typedef struct ds_insertion {
    uint8_t after[16]; /* a key's digest; zero: at the beginning */
    size_t order;
    ds_recplace at;
} ds_insertion;

/* Where a record of theirs came from: ranges in `ranges`. */
typedef struct ds_mergeorigin {
    ds_recplace at;
    size_t first, n;
} ds_mergeorigin;

struct ds_merge {
    ds_store *store;
    ds_merge_opts o;
    ds_mergechanges ours, theirs;
    ds_mergechanges as; /* from ours to the version that decides; none: no diff */
    ds_insertion *ins;
    size_t nins;
    uint8_t *anchors; /* bits as in changes */
    ds_mergeorigin *want;
    size_t nwant;
    ds_buf ranges;   /* ds_range */
    ds_recblock rec; /* of the conflict at hand */
    ds_conflict *conflicts;
    size_t nconflicts, cap_conflicts;
    ds_merge_stats stats;
    ds_sourcelist sources; /* of both: ours, then what theirs has besides */
    ds_buf map;            /* uint64_t: the merged number of each of theirs' sources */
    ds_buf prov;
    ds_meta meta; /* of ours: its counts go on */
    ds_hasher *hasher;
};

/* The first change of a key that is not used up; NULL for none. */
ds_mergechange *ds_mergechange_find(const ds_mergechanges *c, const uint8_t key[16]);
bool ds_mergebits_has(const uint8_t *bits, const uint8_t key[16]);
int ds_mergeorigin_cmp(const void *a, const void *b); /* for bsearch in `want` */
/* DS_FAIL where records are files, and a name would lie in what is no folder, or be a hard link to
 * what is no file. Once all is decided. */
int ds_merge_check_tree(ds_merge *m, ds_err *err);

/* Records of `want` that are asked for in another order than theirs: read once in that order, and
 * kept in a spool, lest a block be read for each. */
typedef struct ds_mergekept {
    ds_spool bytes;
    uint64_t *at; /* by number in `want`: where it is; NULL: nothing is kept */
    ds_colview *views;
    ds_value *values; /* of the record that was asked for last */
} ds_mergekept;       /* a zeroed object is valid */
int ds_mergekept_open(ds_mergekept *k, const ds_merge *m, ds_err *err);
/* 1 and views and values; 0: it is not kept. */
int ds_mergekept_get(ds_mergekept *k, const ds_merge *m, size_t want, ds_err *err);
void ds_mergekept_fini(ds_mergekept *k);

#endif
