/* recblock.h - the blocks of a version with all of their columns, record by record, in any order.
 *
 * A ds_verside is a version's schema and its blocks' places; read only once open, and shared by
 * threads. A ds_recblock holds one block in memory; one thread.
 */
#ifndef DS_RECBLOCK_H
#define DS_RECBLOCK_H

#include "manifest.h"
#include "store.h"

typedef struct ds_verside {
    ds_store *store; /* borrowed */
    ds_version version;
    ds_schema schema;
    size_t n;
    ds_manline *lines; /* of the blocks */
    git_oid *files;    /* the file of the manifest that each stands in */
    ds_sha *was;       /* the address that each was committed with */
    size_t erased;     /* blocks that something was erased from */
} ds_verside;
/* For whoever hands out what the version holds: DS_CORRUPT when its message, which is what is
 * signed, tells of another root or number of records (ds_version_meta). skip: whether a file of the
 * manifest is left out; may be NULL. Zeroed or fini'd before. */
int ds_verside_open(ds_verside *v, ds_store *s, const git_oid *commit,
                    bool (*skip)(void *ctx, const git_oid *file), void *ctx, ds_err *err);
/* For whoever tidies up, which a false message is not to stop: it is not looked at. */
int ds_verside_open_raw(ds_verside *v, ds_store *s, const git_oid *commit,
                        bool (*skip)(void *ctx, const git_oid *file), void *ctx, ds_err *err);
void ds_verside_fini(ds_verside *v);

typedef struct ds_recblock {
    const ds_verside *side;
    size_t block; /* the one that is loaded */
    bool loaded;
    const bool *only; /* borrowed: the columns that are fetched; NULL = all. Set before a load; the
                         others' views and values mean nothing */
    ds_block lent;    /* as a reader would lend it */
    ds_buf *bufs;     /* of the chunks */
    ds_colview *views;
    ds_value *values; /* of the record that ds_recblock_next came to */
    uint64_t at;      /* records passed */
} ds_recblock;        /* a zeroed object is valid */

/* Fetches a block and opens it; nothing is done when it is there, but that it begins anew. Every
 * piece's address is checked. `origin`: also the origin chunk, which is empty otherwise. */
int ds_recblock_load(ds_recblock *b, const ds_verside *v, size_t block, bool origin, ds_err *err);
/* Says that a block will be loaded, with the columns of `only` (ds_objstore_expect). */
void ds_recblock_expect(const bool *only, const ds_verside *v, size_t block, bool origin);
/* The next record's values; false past the last. */
bool ds_recblock_next(ds_recblock *b);
/* The values of one record of a block, `row` from 0; whoever asks in order passes each once. */
int ds_recblock_at(ds_recblock *b, const ds_verside *v, size_t block, uint64_t row, ds_err *err);
void ds_recblock_fini(ds_recblock *b);

#endif
