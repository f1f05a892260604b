/* objindex_priv.h - what the files of the index share behind objindex.h. All of these with the lock
 * held. */
#ifndef DS_OBJINDEX_PRIV_H
#define DS_OBJINDEX_PRIV_H

#include <pthread.h>

#include "objindex.h"
#include "sumvfs.h"

#define DS_LOC_COLUMNS                                                                             \
    "p.id, p.base, k.name, p.off, p.stored, p.raw, p.chain, p.kind, p.n, p.pack, p.sketch"

enum ds_indexstmt {
    DS_IX_FIND,
    DS_IX_AT,
    DS_IX_ROW,
    DS_IX_SHARING,
    DS_IX_LAST,
    DS_IX_PACK_ADD,
    DS_IX_PACK_OF,
    DS_IX_PIECE_ADD,
    DS_IX_HASH_ADD,
    DS_IX_HASH_DEL,
    DS_IX_PIECE_DEL,
    DS_IX_PIECE_MOVE,
    DS_IX_PACK_DEL,
    DS_IX_PACK_SET,
    DS_IX_SKETCH_OF,
    DS_IX_CAND_ADD,
    DS_IX_BEGIN_READ,
    DS_IX_END_READ,
    DS_IX_STATEMENTS
};

struct ds_objindex {
    sqlite3 *db;
    char *path;
    pthread_mutex_t lock; /* recursive */
    bool frozen;          /* by a transaction of its own */
    bool writing;         /* a thread has a transaction open, between its calls too */
    pthread_t writer;
    pthread_cond_t written;
    sqlite3_stmt *st[DS_IX_STATEMENTS];
    bool cand;      /* the temporary table exists */
    bool afar;      /* no sketches */
    bool building;  /* without a log so far */
    bool in_memory; /* temporary tables are */
};

int ds_index_fail(ds_objindex *ix, int rc, const char *doing, ds_err *err);
/* A statement ready to be bound; compiled at first use. */
int ds_index_stmt(ds_objindex *ix, enum ds_indexstmt k, sqlite3_stmt **out, ds_err *err);
void ds_index_bind_sha(sqlite3_stmt *st, int i, const ds_sha *s);
/* Runs a statement that returns no row. */
int ds_index_run(ds_objindex *ix, sqlite3_stmt *st, const char *doing, ds_err *err);
/* The one integer a query gives: 1, or 0 without a row. */
int ds_index_one(ds_objindex *ix, sqlite3_stmt *st, int64_t *v, ds_err *err);
int ds_index_exec(ds_objindex *ix, const char *sql, const char *doing, ds_err *err);
bool ds_index_sha(sqlite3_stmt *st, int i, ds_sha *out);
/* False when a row of DS_LOC_COLUMNS makes no sense. */
bool ds_index_loc(sqlite3_stmt *st, ds_objloc *out);
int ds_index_bad_row(ds_objindex *ix, ds_err *err);

/* ---- writing (indexwrite.c) ---- */
/* A transaction of this thread; others that want one wait for its end, which is a commit that
 * succeeded, or a rollback. Rollback of what was not begun does nothing. */
void ds_index_wait(ds_objindex *ix); /* until no other thread has one */
int ds_index_begin(ds_objindex *ix, ds_err *err);
int ds_index_commit(ds_objindex *ix, ds_err *err);
/* With its min-hashes; a piece that is in stays as it is, unless r->anew. */
int ds_index_add_piece(ds_objindex *ix, const ds_objrow *r, int64_t pack, ds_err *err);
/* Min-hashes of a piece: k adds or deletes them. */
int ds_index_hashes(ds_objindex *ix, int64_t row, const uint8_t *sketch, size_t n,
                    enum ds_indexstmt k, ds_err *err);
size_t ds_index_sketch(uint8_t out[4 * DS_SKETCH_MAX], const ds_sketch *s);
void ds_index_bind_piece(sqlite3_stmt *st, const ds_objrow *r, int64_t pack, const uint8_t *sketch);

#endif
