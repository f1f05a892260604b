/* objindex.c - see objindex.h. */
#include "objindex_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"
    "INSERT OR IGNORE INTO meta VALUES('objects','1');"
    "CREATE TABLE IF NOT EXISTS packs(n INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, size "
    "INTEGER NOT NULL,"
    " objects INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS pieces(n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, pack "
    "INTEGER NOT NULL,"
    " off INTEGER NOT NULL, stored INTEGER NOT NULL, raw INTEGER NOT NULL, kind INTEGER NOT NULL, "
    "base BLOB,"
    " chain INTEGER NOT NULL, sketch BLOB);"
    "CREATE INDEX IF NOT EXISTS pieces_pack ON pieces(pack, off);"
    "CREATE TABLE IF NOT EXISTS minhash(hash INTEGER, piece INTEGER, PRIMARY KEY(hash, piece)) "
    "WITHOUT ROWID;"
    "COMMIT";

/* Packs of which pieces were left out because what these are built on lies in no pack yet. A cache
 * from before there was such a list is begun anew. */
static const char afar_schema[] =
    "BEGIN IMMEDIATE;"
    "DELETE FROM pieces WHERE NOT EXISTS(SELECT 1 FROM sqlite_master WHERE name = 'waiting');"
    "DELETE FROM packs WHERE NOT EXISTS(SELECT 1 FROM sqlite_master WHERE name = 'waiting');"
    "CREATE TABLE IF NOT EXISTS waiting(pack INTEGER PRIMARY KEY);"
    "CREATE TRIGGER IF NOT EXISTS gone AFTER DELETE ON packs"
    " BEGIN DELETE FROM waiting WHERE pack = old.n; END;"
    "COMMIT";

/* Whoever fails throws the file away. Rows come in no order of the pages: with 64 MiB of these
 * fewer are written again and again. */
static const char building[] = "PRAGMA journal_mode=OFF; PRAGMA cache_size=-65536";

static const char *const text[DS_IX_STATEMENTS] = {
    [DS_IX_FIND] =
        "SELECT " DS_LOC_COLUMNS " FROM pieces p JOIN packs k ON k.n = p.pack WHERE p.id = ?1",
    [DS_IX_AT] =
        "SELECT " DS_LOC_COLUMNS " FROM pieces p JOIN packs k ON k.n = p.pack WHERE p.n = ?1",
    [DS_IX_ROW] = "SELECT n FROM pieces WHERE id = ?1",
    [DS_IX_SHARING] = "SELECT piece FROM minhash WHERE hash = ?1 ORDER BY piece DESC LIMIT ?2",
    [DS_IX_LAST] = "SELECT coalesce(max(n), 0) FROM pieces",
    [DS_IX_PACK_ADD] = "INSERT OR IGNORE INTO packs(name, size, objects) VALUES(?1, ?2, ?3)",
    [DS_IX_PACK_OF] = "SELECT n FROM packs WHERE name = ?1",
    [DS_IX_PIECE_ADD] =
        "INSERT OR IGNORE INTO pieces(id, pack, off, stored, raw, kind, base, chain, sketch)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [DS_IX_HASH_ADD] = "INSERT OR IGNORE INTO minhash VALUES(?1, ?2)",
    [DS_IX_HASH_DEL] = "DELETE FROM minhash WHERE hash = ?1 AND piece = ?2",
    [DS_IX_PIECE_DEL] = "DELETE FROM pieces WHERE n = ?1",
    [DS_IX_PIECE_MOVE] = "UPDATE pieces SET pack = ?2, off = ?3 WHERE n = ?1",
    [DS_IX_PACK_DEL] = "DELETE FROM packs WHERE n = ?1",
    [DS_IX_PACK_SET] = "UPDATE packs SET size = ?2, objects = ?3 WHERE n = ?1",
    [DS_IX_SKETCH_OF] = "SELECT sketch FROM pieces WHERE n = ?1",
    [DS_IX_CAND_ADD] = "INSERT INTO temp.cand VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [DS_IX_BEGIN_READ] = "BEGIN",
    [DS_IX_END_READ] = "COMMIT",
};

int ds_index_fail(ds_objindex *ix, int rc, const char *doing, ds_err *err)
{
    return ds_sumdb_fail(ix->db, rc, ix->path, doing, err);
}

/* A statement ready to be bound; compiled at first use. */
int ds_index_stmt(ds_objindex *ix, enum ds_indexstmt k, sqlite3_stmt **out, ds_err *err)
{
    if (!ix->st[k]) {
        int rc =
            sqlite3_prepare_v3(ix->db, text[k], -1, SQLITE_PREPARE_PERSISTENT, &ix->st[k], NULL);
        if (rc != SQLITE_OK)
            return ds_index_fail(ix, rc, "preparing", err);
    }
    *out = ix->st[k];
    return 0;
}

void ds_index_bind_sha(sqlite3_stmt *st, int i, const ds_sha *s)
{
    sqlite3_bind_blob(st, i, s->b, 32, SQLITE_STATIC);
}

/* Runs a statement that returns no row. */
int ds_index_run(ds_objindex *ix, sqlite3_stmt *st, const char *doing, ds_err *err)
{
    int rc = sqlite3_step(st);
    int reset = sqlite3_reset(st);
    if (rc == SQLITE_ROW || rc == SQLITE_DONE)
        rc = reset;
    return rc == SQLITE_OK ? 0 : ds_index_fail(ix, rc, doing, err);
}

/* The one integer a query gives: 1, or 0 without a row. */
int ds_index_one(ds_objindex *ix, sqlite3_stmt *st, int64_t *v, ds_err *err)
{
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *v = sqlite3_column_int64(st, 0);
    int reset = sqlite3_reset(st);
    if (rc == SQLITE_ROW)
        return 1;
    return rc == SQLITE_DONE ? 0 : ds_index_fail(ix, reset, "reading", err);
}

int ds_index_exec(ds_objindex *ix, const char *sql, const char *doing, ds_err *err)
{
    int rc = sqlite3_exec(ix->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : ds_index_fail(ix, rc, doing, err);
}

bool ds_index_sha(sqlite3_stmt *st, int i, ds_sha *out)
{
    const void *p = sqlite3_column_blob(st, i);
    if (!p || sqlite3_column_bytes(st, i) != 32)
        return false;
    memcpy(out->b, p, 32);
    return true;
}

/* False when a row of DS_LOC_COLUMNS makes no sense. */
bool ds_index_loc(sqlite3_stmt *st, ds_objloc *out)
{
    memset(out, 0, sizeof *out);
    out->fd = -1;
    sqlite3_int64 off = sqlite3_column_int64(st, 3), size = sqlite3_column_int64(st, 4),
                  raw = sqlite3_column_int64(st, 5);
    int bases = sqlite3_column_bytes(st, 1), sketch = sqlite3_column_bytes(st, 10);
    if (bases % 32 || bases > 32 * DS_BASES_MAX || sketch % 4 || sketch > 4 * DS_SKETCH_MAX)
        return false;
    if ((out->bases.n = (uint8_t)(bases / 32)))
        memcpy(out->bases.id, sqlite3_column_blob(st, 1), (size_t)bases);
    const uint8_t *h = sqlite3_column_blob(st, 10);
    for (out->sketch.n = 0; out->sketch.n < sketch / 4; out->sketch.n++)
        out->sketch.h[out->sketch.n] = ds_get_u32(h + 4 * out->sketch.n);
    if (!ds_index_sha(st, 0, &out->id) || !ds_index_sha(st, 2, &out->pack) || off < 0 ||
        size < DS_OBJHEAD_MIN || size > (int)DS_OBJECT_MAX || raw < 0 || raw > (int)DS_OBJ_MAX)
        return false;
    out->off = (uint64_t)off;
    out->size = (uint32_t)size;
    out->raw = (uint32_t)raw;
    out->chain = (uint16_t)sqlite3_column_int(st, 6);
    out->kind = (uint8_t)sqlite3_column_int(st, 7);
    out->row = sqlite3_column_int64(st, 8);
    out->packrow = sqlite3_column_int64(st, 9);
    return true;
}

int ds_index_bad_row(ds_objindex *ix, ds_err *err)
{
    return ds_fail(err, DS_CORRUPT, "%s: a row makes no sense: run `dsver reindex`", ix->path);
}

/* ---- opening ---- */

static void init_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(lock, &a);
    pthread_mutexattr_destroy(&a);
}

static const int open_flags[] = {
    [DS_INDEX_SHARED] = SQLITE_OPEN_READWRITE,
    [DS_INDEX_CREATE] = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
    [DS_INDEX_BUILD] = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
    [DS_INDEX_STILL] = SQLITE_OPEN_READONLY,
    [DS_INDEX_TEMP] = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
    [DS_INDEX_MEMORY] = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
    [DS_INDEX_AFAR] = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
};

static const char *file_of(const char *path, enum ds_indexmode mode)
{
    return mode == DS_INDEX_TEMP ? "" : mode == DS_INDEX_MEMORY ? ":memory:" : path;
}

int ds_objindex_open(ds_objindex **out, const char *path, enum ds_indexmode mode, ds_err *err)
{
    const int flags = open_flags[mode] | SQLITE_OPEN_NOMUTEX;
    const bool create = flags & SQLITE_OPEN_CREATE;
    ds_objindex *ix = calloc(1, sizeof *ix);
    *out = NULL;
    if (!ix)
        return ds_fail_nomem(err);
    init_lock(&ix->lock);
    pthread_cond_init(&ix->written, NULL);
    ix->afar = mode == DS_INDEX_AFAR;
    ix->building = mode == DS_INDEX_BUILD;
    ix->in_memory = mode == DS_INDEX_MEMORY;
    int rc = 0;
    if (!(ix->path = strdup(path)))
        rc = ds_fail_nomem(err);
    if (rc == 0 && !create && !ds_path_exists(path))
        rc = ds_fail(err, DS_CORRUPT, "%s: the index is missing: run `dsver reindex`", path);
    if (rc == 0)
        rc = ds_sumdb_open(&ix->db, file_of(path, mode), flags, err);
    if (rc == 0 && ix->building)
        rc = ds_index_exec(ix, building, "creating", err);
    if (rc == 0 && create)
        rc = ds_index_exec(ix, schema, "creating", err);
    if (rc == 0 && ix->afar)
        rc = ds_index_exec(ix, afar_schema, "creating", err);
    if (rc == 0) {
        sqlite3_stmt *st = NULL;
        int s =
            sqlite3_prepare_v2(ix->db, "SELECT value FROM meta WHERE key='objects'", -1, &st, NULL);
        bool known =
            s == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW && sqlite3_column_int(st, 0) == 1;
        int f = sqlite3_finalize(st);
        if (s == SQLITE_OK)
            s = f;
        if (!known && (s == SQLITE_OK || (s & 0xff) == SQLITE_ERROR))
            rc = ds_fail(err, DS_CORRUPT, "%s: not an index of this version: run `dsver reindex`",
                         path);
        else if (!known)
            rc = ds_index_fail(ix, s, "opening", err);
    }
    if (rc) {
        ds_objindex_close(ix);
        return rc;
    }
    *out = ix;
    return 0;
}

void ds_objindex_close(ds_objindex *ix)
{
    if (!ix)
        return;
    for (int i = 0; i < DS_IX_STATEMENTS; i++)
        sqlite3_finalize(ix->st[i]);
    sqlite3_close(ix->db);
    pthread_cond_destroy(&ix->written);
    pthread_mutex_destroy(&ix->lock);
    free(ix->path);
    free(ix);
}

bool ds_objindex_moved(ds_objindex *ix)
{
    int moved = 0;
    pthread_mutex_lock(&ix->lock);
    const int s = sqlite3_file_control(ix->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    pthread_mutex_unlock(&ix->lock);
    return s == SQLITE_OK && moved;
}

void ds_objindex_in_memory(ds_objindex *ix)
{
    ix->in_memory = true;
}

void ds_objindex_settle(ds_objindex *ix)
{
    pthread_mutex_lock(&ix->lock);
    (void)sqlite3_wal_checkpoint_v2(ix->db, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    pthread_mutex_unlock(&ix->lock);
}

int ds_objindex_flush(ds_objindex *ix, ds_err *err)
{
    pthread_mutex_lock(&ix->lock);
    int rc = ix->building ? ds_index_exec(ix, "PRAGMA journal_mode=WAL", "writing", err) : 0;
    int st = SQLITE_OK;
    if (rc == 0)
        st = sqlite3_wal_checkpoint_v2(ix->db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    if (st != SQLITE_OK)
        rc = ds_index_fail(ix, st, "writing", err);
    ix->building = ix->building && rc;
    pthread_mutex_unlock(&ix->lock);
    return rc;
}

/* ---- looking up ---- */

int ds_objindex_freeze(ds_objindex *ix, ds_err *err)
{
    sqlite3_stmt *st = NULL;
    int rc = 0;
    pthread_mutex_lock(&ix->lock);
    if (sqlite3_get_autocommit(ix->db)) { /* else it is frozen already */
        rc = ds_index_stmt(ix, DS_IX_BEGIN_READ, &st, err);
        if (rc == 0)
            rc = ds_index_run(ix, st, "reading", err);
        ix->frozen = rc == 0;
    }
    if (rc)
        pthread_mutex_unlock(&ix->lock);
    return rc;
}

void ds_objindex_thaw(ds_objindex *ix)
{
    sqlite3_stmt *st = NULL;
    if (ix->frozen && ds_index_stmt(ix, DS_IX_END_READ, &st, NULL) == 0)
        (void)ds_index_run(ix, st, "reading", NULL);
    ix->frozen = false;
    pthread_mutex_unlock(&ix->lock);
}

/* The bound statement's location: 1, 0 or an error. */
static int find(ds_objindex *ix, sqlite3_stmt *st, ds_objloc *out, ds_err *err)
{
    bool good = false;
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        good = ds_index_loc(st, out);
    int reset = sqlite3_reset(st);
    if (rc == SQLITE_ROW)
        return good ? 1 : ds_index_bad_row(ix, err);
    return rc == SQLITE_DONE ? 0 : ds_index_fail(ix, reset, "reading", err);
}

int ds_objindex_find(ds_objindex *ix, const ds_sha *id, ds_objloc *out, ds_err *err)
{
    sqlite3_stmt *st = NULL;
    pthread_mutex_lock(&ix->lock);
    int rc = ds_index_stmt(ix, DS_IX_FIND, &st, err);
    if (rc == 0) {
        ds_index_bind_sha(st, 1, id);
        rc = find(ix, st, out, err);
    }
    pthread_mutex_unlock(&ix->lock);
    return rc;
}

int ds_objindex_at(ds_objindex *ix, int64_t row, ds_objloc *out, ds_err *err)
{
    sqlite3_stmt *st = NULL;
    pthread_mutex_lock(&ix->lock);
    int rc = ds_index_stmt(ix, DS_IX_AT, &st, err);
    if (rc == 0) {
        sqlite3_bind_int64(st, 1, row);
        rc = find(ix, st, out, err);
    }
    pthread_mutex_unlock(&ix->lock);
    return rc;
}

int ds_objindex_row(ds_objindex *ix, const ds_sha *id, int64_t *row, ds_err *err)
{
    sqlite3_stmt *st = NULL;
    pthread_mutex_lock(&ix->lock);
    int rc = ds_index_stmt(ix, DS_IX_ROW, &st, err);
    if (rc == 0) {
        ds_index_bind_sha(st, 1, id);
        rc = ds_index_one(ix, st, row, err);
    }
    pthread_mutex_unlock(&ix->lock);
    return rc;
}

int ds_objindex_sharing(ds_objindex *ix, uint32_t hash, int64_t *rows, size_t max, size_t *n,
                        ds_err *err)
{
    sqlite3_stmt *st = NULL;
    *n = 0;
    pthread_mutex_lock(&ix->lock);
    int rc = ds_index_stmt(ix, DS_IX_SHARING, &st, err);
    if (rc == 0) {
        sqlite3_bind_int64(st, 1, hash);
        sqlite3_bind_int64(st, 2, (int64_t)max);
        int s;
        while ((s = sqlite3_step(st)) == SQLITE_ROW && *n < max)
            rows[(*n)++] = sqlite3_column_int64(st, 0);
        int reset = sqlite3_reset(st);
        if (s != SQLITE_ROW && s != SQLITE_DONE)
            rc = ds_index_fail(ix, reset, "reading", err);
    }
    pthread_mutex_unlock(&ix->lock);
    return rc;
}

int ds_objindex_last_row(ds_objindex *ix, int64_t *row, ds_err *err)
{
    sqlite3_stmt *st = NULL;
    pthread_mutex_lock(&ix->lock);
    int rc = ds_index_stmt(ix, DS_IX_LAST, &st, err);
    if (rc == 0)
        rc = ds_index_one(ix, st, row, err);
    pthread_mutex_unlock(&ix->lock);
    return rc < 0 ? rc : 0;
}

int ds_objindex_totals(ds_objindex *ix, ds_objtotals *out, ds_err *err)
{
    static const char sql[] =
        "SELECT (SELECT count(*) FROM packs), (SELECT coalesce(sum(size), 0) FROM packs),"
        " count(*), count(base) FROM pieces";
    sqlite3_stmt *st = NULL;
    memset(out, 0, sizeof *out);
    pthread_mutex_lock(&ix->lock);
    int s = sqlite3_prepare_v2(ix->db, sql, -1, &st, NULL);
    if (s == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW) {
        out->packs = (uint64_t)sqlite3_column_int64(st, 0);
        out->pack_bytes = (uint64_t)sqlite3_column_int64(st, 1);
        out->pieces = (uint64_t)sqlite3_column_int64(st, 2);
        out->deltas = (uint64_t)sqlite3_column_int64(st, 3);
    }
    int f = sqlite3_finalize(st);
    int rc = s == SQLITE_OK && f == SQLITE_OK
                 ? 0
                 : ds_index_fail(ix, s == SQLITE_OK ? f : s, "counting", err);
    pthread_mutex_unlock(&ix->lock);
    return rc;
}

int ds_objindex_check(ds_objindex *ix, uint64_t *bad, ds_err *err)
{
    pthread_mutex_lock(&ix->lock);
    int rc = ds_sumdb_check(ix->db, ix->path, bad, err);
    pthread_mutex_unlock(&ix->lock);
    return rc;
}
