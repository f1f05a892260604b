/* forget_priv.h - what the files of forget.c share: an erasure at work. */
#ifndef DS_FORGET_PRIV_H
#define DS_FORGET_PRIV_H

#include "forget.h"
#include "oidset.h"
#include "recblock.h"
#include "shaset.h"

typedef struct ds_forgethit {
    ds_sha was;    /* the address that it was committed with */
    size_t row, n; /* its rows: in `rows` */
} ds_forgethit;

/* A source to be emptied. */
typedef struct ds_forgetpage {
    ds_sha was, piece; /* of the page: as committed, and as it is read now */
    uint64_t row, rows;
} ds_forgetpage;

typedef struct ds_forgetin {
    git_oid commit;
    ds_buf ordinals; /* uint64_t */
} ds_forgetin;

typedef struct ds_forgetting {
    ds_store *store;
    const ds_forget_opts *o;
    ds_forgotten *out;
    ds_objtx *tx;
    uint8_t salt[32];
    ds_shaset keys;   /* SHA-256 of the keys that are looked for */
    ds_shaset erased; /* the same, of those found */
    ds_oidset commits, files;
    ds_buf avoid;             /* ds_sha: pieces of the lines that are replaced */
    ds_buf hits, rows;        /* ds_forgethit; uint64_t */
    ds_buf lines, told;       /* of the overlay: lines, and rows */
    ds_buf pages;             /* ds_forgetpage */
    size_t shortest, longest; /* of those found, but for an empty one; longest 0: none is */
    ds_forgetin *versions;
    size_t nversions, versions_cap;
    bool met_dataset, met_field; /* there is one of that name */
    bool met_column, met_member; /* of its name itself; a record has it */
    bool met_files;              /* a version's records are files */
    /* the version at hand */
    ds_verside side;
    ds_sha schema;
} ds_forgetting;

/* ---- forgetfind.c: the records, in all versions that anything leads to ---- */
/* DS_FAIL when there is none. */
int ds_forget_find(ds_forgetting *f, ds_err *err);
/* The block that was committed with this address; NULL: nothing of it goes. */
const ds_forgethit *ds_forget_hit(const ds_forgetting *f, const ds_sha *was);
const uint64_t *ds_forget_rows(const ds_forgetting *f, const ds_forgethit *h);
/* A version's records that go (uint64_t); ctx: the erasure. NULL: none. */
const ds_buf *ds_forget_ordinals(void *ctx, const git_oid *version);

/* ---- forgetsource.c: sources of a version that were about them alone, or name them ---- */
int ds_forget_sources(ds_forgetting *f, const ds_verside *v, ds_err *err);

/* ---- forgetwrite.c: blocks and pages with tombstones, published pieces ---- */
int ds_forget_replace(ds_forgetting *f, ds_err *err);

/* ---- forgetnote.c: the statement and the overlay ---- */
int ds_forget_publish(ds_forgetting *f, ds_err *err);

#endif
