/* Rows in and out of the index: what a transaction publishes, what gc moves and removes. */
#include <stdlib.h>
#include <string.h>

#include "objindex_priv.h"

static int add_pack(ds_objindex *ix, const ds_packrow *p, int64_t *n, ds_err *err)
{
    sqlite3_stmt *st = NULL;
    int rc = ds_index_stmt(ix, DS_IX_PACK_ADD, &st, err);
    if (rc)
        return rc;
    ds_index_bind_sha(st, 1, &p->name);
    sqlite3_bind_int64(st, 2, (int64_t)p->size);
    sqlite3_bind_int64(st, 3, (int64_t)p->objects);
    rc = ds_index_run(ix, st, "adding a pack", err);
    if (rc == 0)
        rc = ds_index_stmt(ix, DS_IX_PACK_OF, &st, err);
    if (rc)
        return rc;
    ds_index_bind_sha(st, 1, &p->name);
    rc = ds_index_one(ix, st, n, err);
    return rc == 0 ? ds_index_bad_row(ix, err) : rc < 0 ? rc : 0;
}

int ds_index_hashes(ds_objindex *ix, int64_t row, const uint8_t *sketch, size_t n,
                    enum ds_indexstmt k, ds_err *err)
{
    sqlite3_stmt *st = NULL;
    int rc = ds_index_stmt(ix, k, &st, err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        sqlite3_bind_int64(st, 1, ds_get_u32(sketch + 4 * i));
        sqlite3_bind_int64(st, 2, row);
        rc = ds_index_run(ix, st, "writing min-hashes", err);
    }
    return rc;
}

size_t ds_index_sketch(uint8_t out[4 * DS_SKETCH_MAX], const ds_sketch *s)
{
    for (int i = 0; i < s->n; i++)
        ds_set_u32(out + 4 * i, s->h[i]);
    return s->n;
}

void ds_index_bind_piece(sqlite3_stmt *st, const ds_objrow *r, int64_t pack, const uint8_t *sketch)
{
    ds_index_bind_sha(st, 1, &r->id);
    sqlite3_bind_int64(st, 2, pack);
    sqlite3_bind_int64(st, 3, (int64_t)r->off);
    sqlite3_bind_int64(st, 4, r->size);
    sqlite3_bind_int64(st, 5, r->raw);
    sqlite3_bind_int(st, 6, r->kind);
    if (r->bases.n)
        sqlite3_bind_blob(st, 7, r->bases.id, 32 * r->bases.n, SQLITE_STATIC);
    else
        sqlite3_bind_null(st, 7);
    sqlite3_bind_int(st, 8, r->chain);
    if (r->sketch.n)
        sqlite3_bind_blob(st, 9, sketch, 4 * r->sketch.n, SQLITE_STATIC);
    else
        sqlite3_bind_null(st, 9);
}

int ds_index_add_piece(ds_objindex *ix, const ds_objrow *r, int64_t pack, ds_err *err)
{
    uint8_t sketch[4 * DS_SKETCH_MAX];
    sqlite3_stmt *st = NULL;
    int64_t old = 0;
    int rc = r->anew ? ds_objindex_row(ix, &r->id, &old, err) : 0;
    if (rc > 0)
        rc = ds_objindex_remove(ix, old, err);
    if (rc == 0)
        rc = ds_index_stmt(ix, DS_IX_PIECE_ADD, &st, err);
    if (rc)
        return rc;
    size_t n = ds_index_sketch(sketch, &r->sketch);
    ds_index_bind_piece(st, r, pack, sketch);
    rc = ds_index_run(ix, st, "adding a piece", err);
    if (rc == 0 && sqlite3_changes(ix->db) > 0)
        rc = ds_index_hashes(ix, sqlite3_last_insert_rowid(ix->db), sketch, n, DS_IX_HASH_ADD, err);
    return rc;
}

/* ---- transactions ---- */

static bool mine(const ds_objindex *ix)
{
    return ix->writing && pthread_equal(ix->writer, pthread_self());
}

void ds_index_wait(ds_objindex *ix)
{
    while (ix->writing && !mine(ix))
        pthread_cond_wait(&ix->written, &ix->lock);
}

int ds_index_begin(ds_objindex *ix, ds_err *err)
{
    ds_index_wait(ix);
    int rc = ds_index_exec(ix, "BEGIN IMMEDIATE", "locking", err);
    if (rc == 0) {
        ix->writing = true;
        ix->writer = pthread_self();
    }
    return rc;
}

static void ended(ds_objindex *ix)
{
    ix->writing = false;
    pthread_cond_broadcast(&ix->written);
}

int ds_index_commit(ds_objindex *ix, ds_err *err)
{
    int rc = ds_index_exec(ix, "COMMIT", "committing", err);
    if (rc == 0)
        ended(ix);
    return rc;
}

static void roll_back(ds_objindex *ix)
{
    if (!mine(ix))
        return;
    if (!sqlite3_get_autocommit(ix->db))
        (void)sqlite3_exec(ix->db, "ROLLBACK", NULL, NULL, NULL);
    if (ix->cand)
        (void)sqlite3_exec(ix->db, "DELETE FROM temp.cand", NULL, NULL, NULL);
    ended(ix);
}

int ds_objindex_publish(ds_objindex *ix, const ds_packrow *packs, size_t npacks,
                        const ds_objrow *rows, size_t n, ds_err *err)
{
    int64_t *at = calloc(npacks + 1, sizeof *at);
    if (!at)
        return ds_fail_nomem(err);
    pthread_mutex_lock(&ix->lock);
    int rc = ds_index_begin(ix, err);
    bool begun = rc == 0;
    for (size_t i = 0; rc == 0 && i < npacks; i++)
        rc = add_pack(ix, &packs[i], &at[i], err);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = ds_index_add_piece(ix, &rows[i], at[rows[i].pack], err);
    if (rc == 0)
        rc = ds_index_commit(ix, err);
    if (rc && begun)
        roll_back(ix);
    pthread_mutex_unlock(&ix->lock);
    free(at);
    return rc;
}

/* ---- gc ---- */

int ds_objindex_begin(ds_objindex *ix, ds_err *err)
{
    pthread_mutex_lock(&ix->lock);
    int rc = ds_index_begin(ix, err);
    pthread_mutex_unlock(&ix->lock);
    return rc;
}
int ds_objindex_commit(ds_objindex *ix, ds_err *err)
{
    pthread_mutex_lock(&ix->lock);
    int rc = ds_index_commit(ix, err);
    pthread_mutex_unlock(&ix->lock);
    return rc;
}
void ds_objindex_rollback(ds_objindex *ix)
{
    pthread_mutex_lock(&ix->lock);
    roll_back(ix);
    pthread_mutex_unlock(&ix->lock);
}

int ds_objindex_add_pack(ds_objindex *ix, const ds_packrow *pack, int64_t *n, ds_err *err)
{
    pthread_mutex_lock(&ix->lock);
    int rc = add_pack(ix, pack, n, err);
    pthread_mutex_unlock(&ix->lock);
    return rc;
}

int ds_objindex_move(ds_objindex *ix, int64_t row, int64_t pack, uint64_t off, ds_err *err)
{
    sqlite3_stmt *st = NULL;
    pthread_mutex_lock(&ix->lock);
    int rc = ds_index_stmt(ix, DS_IX_PIECE_MOVE, &st, err);
    if (rc == 0) {
        sqlite3_bind_int64(st, 1, row);
        sqlite3_bind_int64(st, 2, pack);
        sqlite3_bind_int64(st, 3, (int64_t)off);
        rc = ds_index_run(ix, st, "moving a piece", err);
    }
    pthread_mutex_unlock(&ix->lock);
    return rc;
}

int ds_objindex_remove(ds_objindex *ix, int64_t row, ds_err *err)
{
    uint8_t sketch[4 * DS_SKETCH_MAX];
    size_t n = 0;
    sqlite3_stmt *st = NULL;
    pthread_mutex_lock(&ix->lock);
    int rc = ds_index_stmt(ix, DS_IX_SKETCH_OF, &st, err);
    if (rc == 0) {
        sqlite3_bind_int64(st, 1, row);
        int s = sqlite3_step(st);
        if (s == SQLITE_ROW && (n = (size_t)sqlite3_column_bytes(st, 0) / 4) > 0 &&
            n <= DS_SKETCH_MAX)
            memcpy(sketch, sqlite3_column_blob(st, 0), 4 * n);
        else
            n = 0;
        int reset = sqlite3_reset(st);
        if (s != SQLITE_ROW && s != SQLITE_DONE)
            rc = ds_index_fail(ix, reset, "reading", err);
    }
    if (rc == 0)
        rc = ds_index_hashes(ix, row, sketch, n, DS_IX_HASH_DEL, err);
    if (rc == 0)
        rc = ds_index_stmt(ix, DS_IX_PIECE_DEL, &st, err);
    if (rc == 0) {
        sqlite3_bind_int64(st, 1, row);
        rc = ds_index_run(ix, st, "removing a piece", err);
    }
    pthread_mutex_unlock(&ix->lock);
    return rc;
}

int ds_objindex_remove_pack(ds_objindex *ix, int64_t n, ds_err *err)
{
    sqlite3_stmt *st = NULL;
    pthread_mutex_lock(&ix->lock);
    int rc = ds_index_stmt(ix, DS_IX_PACK_DEL, &st, err);
    if (rc == 0) {
        sqlite3_bind_int64(st, 1, n);
        rc = ds_index_run(ix, st, "removing a pack", err);
    }
    pthread_mutex_unlock(&ix->lock);
    return rc;
}
