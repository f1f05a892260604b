/* Taking packs into the index, any number of them, in any order. */
#include "objindex_priv.h"
#include "sig.h"

/* In a file of its own when it grows: memory stays bounded however many packs there are, unless
 * there is no room for files. */
static int make_room_aside(ds_objindex *ix, ds_err *err)
{
    static const char table[] =
        "CREATE TEMP TABLE cand(id BLOB, pack INTEGER, off INTEGER, stored INTEGER, raw INTEGER,"
        " kind INTEGER, base BLOB, chain INTEGER, sketch BLOB)";
    const char *where = ix->in_memory ? "PRAGMA temp_store=MEMORY" : "PRAGMA temp_store=FILE";
    int rc = ds_index_exec(ix, where, "adopting packs", err);
    rc = rc ? rc : ds_index_exec(ix, table, "adopting packs", err);
    ix->cand = rc == 0;
    return rc;
}

int ds_objindex_adopt_begin(ds_objindex *ix, ds_err *err)
{
    pthread_mutex_lock(&ix->lock);
    ds_index_wait(ix); /* the table is none of another's transaction */
    int rc = ix->cand ? 0 : make_room_aside(ix, err);
    if (rc == 0)
        rc = ds_index_begin(ix, err);
    pthread_mutex_unlock(&ix->lock);
    return rc;
}

void ds_objindex_adopt_cancel(ds_objindex *ix)
{
    ds_objindex_rollback(ix);
}

int ds_objindex_adopt_pack(ds_objindex *ix, const ds_packrow *pack, int64_t *n, ds_err *err)
{
    return ds_objindex_add_pack(ix, pack, n, err);
}

int ds_objindex_adopt_sized(ds_objindex *ix, int64_t pack, uint64_t size, uint64_t objects,
                            ds_err *err)
{
    sqlite3_stmt *st = NULL;
    pthread_mutex_lock(&ix->lock);
    int rc = ds_index_stmt(ix, DS_IX_PACK_SET, &st, err);
    if (rc == 0) {
        sqlite3_bind_int64(st, 1, pack);
        sqlite3_bind_int64(st, 2, (int64_t)size);
        sqlite3_bind_int64(st, 3, (int64_t)objects);
        rc = ds_index_run(ix, st, "adopting packs", err);
    }
    pthread_mutex_unlock(&ix->lock);
    return rc;
}

/* Pieces with bases wait for adopt_end. */
static int set_aside(ds_objindex *ix, int64_t pack, const ds_objrow *r, ds_err *err)
{
    uint8_t sketch[4 * DS_SKETCH_MAX];
    sqlite3_stmt *st = NULL;
    int rc = ds_index_stmt(ix, DS_IX_CAND_ADD, &st, err);
    if (rc)
        return rc;
    ds_index_sketch(sketch, &r->sketch);
    ds_index_bind_piece(st, r, pack, sketch);
    return ds_index_run(ix, st, "adopting packs", err);
}

int ds_objindex_adopt_object(ds_objindex *ix, int64_t pack, const ds_objhead *h, uint64_t off,
                             ds_err *err)
{
    ds_objrow r = {.id = h->id,
                   .bases = h->bases,
                   .off = off,
                   .size = (uint32_t)ds_object_size(h),
                   .raw = h->raw,
                   .chain = h->chain,
                   .kind = h->kind,
                   .sketch = h->sketch};
    if (ix->afar)
        r.sketch.n = 0;
    pthread_mutex_lock(&ix->lock);
    int rc = r.bases.n ? set_aside(ix, pack, &r, err) : ds_index_add_piece(ix, &r, pack, err);
    pthread_mutex_unlock(&ix->lock);
    return rc;
}

/* The copies of a piece in several packs differ in their bases. Whole pieces are in, then comes
 * what builds on pieces that are in, round by round: whichever copies win, bases never form a ring.
 */
#define TAKE                                                                                       \
    "INSERT OR IGNORE INTO pieces(id, pack, off, stored, raw, kind, base, chain, sketch)"          \
    " SELECT c.id, c.pack, c.off, c.stored, c.raw, c.kind, c.base, c.chain, c.sketch FROM "        \
    "temp.cand c"                                                                                  \
    " JOIN packs k ON k.n = c.pack WHERE "
/* All of the up to four bases are in. */
#define BASE_IN(at) "substr(c.base," at ",32) IN (SELECT id FROM pieces)"
#define BASES_IN                                                                                   \
    BASE_IN("1")                                                                                   \
    " AND (length(c.base) < 64 OR " BASE_IN("33") ") AND (length(c.base) < 96 OR " BASE_IN(        \
        "65") ") AND (length(c.base) < 128 OR " BASE_IN("97") ")"
static int take_rounds(ds_objindex *ix, ds_err *err)
{
    int rc = 0;
    /* nobody could read what comes after that, and each round looks at all of them */
    for (int round = 0; rc == 0 && round < DS_CLOSURE_CAP; round++) {
        rc = ds_check_interrupt(err);
        rc = rc ? rc
                : ds_index_exec(ix,
                                TAKE BASES_IN " AND c.id NOT IN (SELECT id FROM pieces)"
                                              " ORDER BY c.chain, k.size DESC, k.name, c.off",
                                "adopting packs", err);
        if (rc == 0 && sqlite3_changes(ix->db) == 0)
            break;
    }
    return rc;
}

static int take_hashes(ds_objindex *ix, int64_t after, ds_err *err)
{
    sqlite3_stmt *st = NULL;
    int rc = 0, s = sqlite3_prepare_v2(
                    ix->db, "SELECT n, sketch FROM pieces WHERE n > ?1 AND sketch IS NOT NULL", -1,
                    &st, NULL);
    if (s == SQLITE_OK) {
        sqlite3_bind_int64(st, 1, after);
        while (rc == 0 && (s = sqlite3_step(st)) == SQLITE_ROW)
            rc = ds_index_hashes(ix, sqlite3_column_int64(st, 0), sqlite3_column_blob(st, 1),
                                 (size_t)sqlite3_column_bytes(st, 1) / 4, DS_IX_HASH_ADD, err);
    }
    if (rc == 0 && s != SQLITE_DONE)
        rc = ds_index_fail(ix, s, "adopting packs", err);
    sqlite3_finalize(st);
    return rc;
}

static int each_orphan(ds_objindex *ix, const char *sql, ds_objorphan_fn orphan, void *ctx,
                       ds_err *err)
{
    sqlite3_stmt *st = NULL;
    ds_sha id, pack;
    int s = sqlite3_prepare_v2(ix->db, sql, -1, &st, NULL);
    while (s == SQLITE_OK || s == SQLITE_ROW) {
        s = sqlite3_step(st);
        if (s == SQLITE_ROW && ds_index_sha(st, 0, &id) && ds_index_sha(st, 1, &pack))
            orphan(ctx, &id, &pack, (uint64_t)sqlite3_column_int64(st, 2),
                   sqlite3_column_int(st, 3) ? DS_OBJ_TOO_DEEP : DS_OBJ_NO_BASE);
    }
    sqlite3_finalize(st);
    return s == SQLITE_DONE ? 0 : ds_index_fail(ix, s, "looking for bases", err);
}

int ds_objindex_orphans(ds_objindex *ix, ds_objorphan_fn fn, void *ctx, ds_err *err)
{
    pthread_mutex_lock(&ix->lock);
    int rc = each_orphan(ix,
                         "SELECT c.id, k.name, c.off, 0 FROM pieces c JOIN packs k ON k.n = c.pack"
                         " WHERE c.base IS NOT NULL AND NOT (" BASES_IN ") ORDER BY k.name, c.off",
                         fn, ctx, err);
    pthread_mutex_unlock(&ix->lock);
    return rc;
}

/* Who waits for bases from now on. */
static int note_waiting(ds_objindex *ix, ds_err *err)
{
    int rc = ds_index_exec(ix, "DELETE FROM waiting WHERE pack IN (SELECT pack FROM temp.cand)",
                           "adopting packs", err);
    return rc ? rc
              : ds_index_exec(ix,
                              "INSERT OR IGNORE INTO waiting SELECT pack FROM temp.cand"
                              " WHERE id NOT IN (SELECT id FROM pieces)",
                              "adopting packs", err);
}

int ds_objindex_adopt_end(ds_objindex *ix, ds_objorphan_fn orphan, void *ctx, ds_err *err)
{
    sqlite3_stmt *st = NULL;
    int64_t last = 0;
    pthread_mutex_lock(&ix->lock);
    int rc = ds_index_stmt(ix, DS_IX_LAST, &st, err);
    if (rc == 0)
        rc = ds_index_one(ix, st, &last, err);
    rc = rc < 0 ? rc : take_rounds(ix, err);
    if (rc == 0)
        rc = take_hashes(ix, last, err);
    if (rc == 0 && ix->afar)
        rc = note_waiting(ix, err);
    if (rc == 0 && orphan)
        rc = each_orphan(ix,
                         "SELECT c.id, k.name, c.off, " BASES_IN
                         " FROM temp.cand c JOIN packs k ON k.n = c.pack WHERE c.id NOT IN (SELECT "
                         "id FROM pieces) ORDER BY k.name, c.off",
                         orphan, ctx, err);
    if (rc == 0)
        rc = ds_index_exec(ix, "DELETE FROM temp.cand", "committing", err);
    if (rc == 0)
        rc = ds_index_commit(ix, err);
    pthread_mutex_unlock(&ix->lock);
    return rc;
}
