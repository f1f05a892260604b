/* objindex.h - index.db: where every piece is, and which pieces hold which min-hashes
 * (docs/store-format.md, "Index").
 *
 * Nothing here is authoritative: packs hold it all. One connection behind a mutex, so every call
 * may come from any thread; other processes see each publish whole or not at all. Rows are inserted
 * so that a piece's bases are there before the piece: following bases always ends.
 */
#ifndef DS_OBJINDEX_H
#define DS_OBJINDEX_H

#include "pack.h"

/* Where a piece is. fd >= 0: in a pack of a running transaction, not yet named. */
typedef struct ds_objloc {
    ds_sha id, pack;
    ds_bases bases;
    ds_sketch sketch;
    uint64_t off;
    uint32_t size, raw; /* size: of the whole object */
    uint16_t chain;
    uint8_t kind;
    int fd;
    int64_t row, packrow; /* in the index */
} ds_objloc;

/* A row to publish. pack: index into the packs published with it. */
typedef struct ds_objrow {
    ds_sha id;
    ds_bases bases;
    uint64_t off;
    uint32_t size, raw, pack;
    uint16_t chain;
    uint8_t kind;
    bool anew; /* takes the place of the row that the id has */
    ds_sketch sketch;
} ds_objrow;

typedef struct ds_packrow {
    ds_sha name;
    uint64_t size, objects;
} ds_packrow;

typedef struct ds_objindex ds_objindex;

enum ds_indexmode {
    DS_INDEX_SHARED, /* it is there; others may write it meanwhile */
    DS_INDEX_CREATE, /* and is made when it is not */
    DS_INDEX_BUILD,  /* a new one that nobody sees before it was flushed: it keeps no log */
    DS_INDEX_STILL,  /* only to be read, and nobody writes it: nothing appears beside the file */
    DS_INDEX_TEMP,   /* a new one in a temporary file; path is what messages say */
    DS_INDEX_MEMORY, /* the same without a file */
    DS_INDEX_AFAR, /* as CREATE, of packs that lie elsewhere: packs taken in leave no sketches, and
                      it is known of which of them rows were left out */
};
int ds_objindex_open(ds_objindex **out, const char *path, enum ds_indexmode mode, ds_err *err);
void ds_objindex_close(ds_objindex *ix);
/* Another file has its name: reindex put it there, and what is written here nobody will see. */
bool ds_objindex_moved(ds_objindex *ix);
/* Puts what was written into its place, as closing does: for who has more time now than then. */
void ds_objindex_settle(ds_objindex *ix);
/* The same, for who wants the file alone: no log is left beside it. From then on others may open
 * one that was built. */
int ds_objindex_flush(ds_objindex *ix, ds_err *err);

/* 1 found, 0 not, < 0 error */
int ds_objindex_find(ds_objindex *ix, const ds_sha *id, ds_objloc *out, ds_err *err);
int ds_objindex_at(ds_objindex *ix, int64_t row, ds_objloc *out, ds_err *err);
int ds_objindex_row(ds_objindex *ix, const ds_sha *id, int64_t *row, ds_err *err);
/* Rows of up to `max` newest pieces with this min-hash, newest first. */
int ds_objindex_sharing(ds_objindex *ix, uint32_t hash, int64_t *rows, size_t max, size_t *n,
                        ds_err *err);
/* Between the two, what this thread reads is of one moment, and other threads wait: for look-ups
 * that belong together, which cost less than each on its own. Thaw only what was frozen; not
 * nested. */
int ds_objindex_freeze(ds_objindex *ix, ds_err *err);
void ds_objindex_thaw(ds_objindex *ix);
int ds_objindex_totals(ds_objindex *ix, ds_objtotals *out, ds_err *err);
int ds_objindex_last_row(ds_objindex *ix, int64_t *row, ds_err *err);
int ds_objindex_dump(ds_objindex *ix, bool places, ds_buf *out, ds_err *err);
int ds_objindex_check(ds_objindex *ix, uint64_t *bad, ds_err *err); /* ds_sumdb_check */

/* One SQLite transaction: packs, then rows in the order given; ids known already keep their old
 * row. */
int ds_objindex_publish(ds_objindex *ix, const ds_packrow *packs, size_t npacks,
                        const ds_objrow *rows, size_t n, ds_err *err);

/* Most pieces that one piece may be built on, directly or not: more is damage. New deltas stay far
 * below (delta.h). */
#define DS_CLOSURE_CAP 64
/* What is wrong with a piece. */
#define DS_OBJ_TOO_DEEP "it is built on more than 64 others"
#define DS_OBJ_NO_BASE "a piece that it is a delta against is lost"

/* Taking in packs from the folder, any number of them: begin, add every object of a pack, pack by
 * pack, end. The order of packs decides which copy of a piece is used: by name, to be the same
 * everywhere. Rows with a base that is in no pack are left out and reported, as are those of bases
 * upon bases, more than DS_CLOSURE_CAP deep. One SQLite transaction; cancel rolls it back. */
typedef void (*ds_objorphan_fn)(void *ctx, const ds_sha *id, const ds_sha *pack, uint64_t off,
                                const char *why);
/* Before begin: what is set aside stays in memory, some 200 bytes a piece that has bases. Else it
 * may go to a temporary file. */
void ds_objindex_in_memory(ds_objindex *ix);
int ds_objindex_adopt_begin(ds_objindex *ix, ds_err *err);
int ds_objindex_adopt_pack(ds_objindex *ix, const ds_packrow *pack, int64_t *n, ds_err *err);
int ds_objindex_adopt_sized(ds_objindex *ix, int64_t pack, uint64_t size, uint64_t objects,
                            ds_err *err);
int ds_objindex_adopt_object(ds_objindex *ix, int64_t pack, const ds_objhead *h, uint64_t off,
                             ds_err *err);
int ds_objindex_adopt_end(ds_objindex *ix, ds_objorphan_fn orphan, void *ctx, ds_err *err);
void ds_objindex_adopt_cancel(ds_objindex *ix);

/* Walks: fn returns non-zero to stop, which is returned, DS_NOMEM with words. The index is locked
 * meanwhile: fn must not call it. */
typedef int (*ds_packrow_fn)(void *ctx, int64_t n, const ds_packrow *pack);
int ds_objindex_packs(ds_objindex *ix, ds_packrow_fn fn, void *ctx, ds_err *err);
/* Of an index of packs elsewhere: those of which rows were left out, as a base is in no pack that
 * was taken in so far. Adopting all of such a pack again takes in what can be by then. */
int ds_objindex_waiting(ds_objindex *ix, ds_packrow_fn fn, void *ctx, ds_err *err);
typedef int (*ds_piecerow_fn)(void *ctx, const ds_objloc *loc);
/* Pieces of one pack in order of offset; pack 0 = all pieces, in order of row. */
int ds_objindex_pieces(ds_objindex *ix, int64_t pack, ds_piecerow_fn fn, void *ctx, ds_err *err);

/* Pieces whose row comes after `row`. */
int ds_objindex_newer(ds_objindex *ix, int64_t row, ds_piecerow_fn fn, void *ctx, ds_err *err);

/* Pieces with a base that is not in the index. */
int ds_objindex_orphans(ds_objindex *ix, ds_objorphan_fn fn, void *ctx, ds_err *err);

/* gc: moves, removals and pack rows in one transaction. */
int ds_objindex_begin(ds_objindex *ix, ds_err *err);
int ds_objindex_commit(ds_objindex *ix, ds_err *err);
void ds_objindex_rollback(ds_objindex *ix);
int ds_objindex_add_pack(ds_objindex *ix, const ds_packrow *pack, int64_t *n, ds_err *err);
int ds_objindex_move(ds_objindex *ix, int64_t row, int64_t pack, uint64_t off, ds_err *err);
int ds_objindex_remove(ds_objindex *ix, int64_t row, ds_err *err);
int ds_objindex_remove_pack(ds_objindex *ix, int64_t n, ds_err *err);

#endif
