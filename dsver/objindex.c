/* objindex.c - see objindex.h. */
#include "objindex.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "sumvfs.h"

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

#define LOC_COLUMNS                                                                                \
    "p.id, p.base, k.name, p.off, p.stored, p.raw, p.chain, p.kind, p.n, p.pack, p.sketch"

enum statement {
    FIND,
    AT,
    ROW,
    SHARING,
    LAST,
    PACK_ADD,
    PACK_OF,
    PIECE_ADD,
    HASH_ADD,
    HASH_DEL,
    PIECE_DEL,
    PIECE_MOVE,
    PACK_DEL,
    PACK_SET,
    SKETCH_OF,
    CAND_ADD,
    BEGIN_READ,
    END_READ,
    STATEMENTS
};

static const char *const text[STATEMENTS] = {
    [FIND] = "SELECT " LOC_COLUMNS " FROM pieces p JOIN packs k ON k.n = p.pack WHERE p.id = ?1",
    [AT] = "SELECT " LOC_COLUMNS " FROM pieces p JOIN packs k ON k.n = p.pack WHERE p.n = ?1",
    [ROW] = "SELECT n FROM pieces WHERE id = ?1",
    [SHARING] = "SELECT piece FROM minhash WHERE hash = ?1 ORDER BY piece DESC LIMIT ?2",
    [LAST] = "SELECT coalesce(max(n), 0) FROM pieces",
    [PACK_ADD] = "INSERT OR IGNORE INTO packs(name, size, objects) VALUES(?1, ?2, ?3)",
    [PACK_OF] = "SELECT n FROM packs WHERE name = ?1",
    [PIECE_ADD] =
        "INSERT OR IGNORE INTO pieces(id, pack, off, stored, raw, kind, base, chain, sketch)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [HASH_ADD] = "INSERT OR IGNORE INTO minhash VALUES(?1, ?2)",
    [HASH_DEL] = "DELETE FROM minhash WHERE hash = ?1 AND piece = ?2",
    [PIECE_DEL] = "DELETE FROM pieces WHERE n = ?1",
    [PIECE_MOVE] = "UPDATE pieces SET pack = ?2, off = ?3 WHERE n = ?1",
    [PACK_DEL] = "DELETE FROM packs WHERE n = ?1",
    [PACK_SET] = "UPDATE packs SET size = ?2, objects = ?3 WHERE n = ?1",
    [SKETCH_OF] = "SELECT sketch FROM pieces WHERE n = ?1",
    [CAND_ADD] = "INSERT INTO temp.cand VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [BEGIN_READ] = "BEGIN",
    [END_READ] = "COMMIT",
};

struct ds_objindex {
    sqlite3 *db;
    char *path;
    pthread_mutex_t lock; /* recursive */
    bool frozen;          /* by a transaction of its own */
    sqlite3_stmt *st[STATEMENTS];
    bool cand; /* the temporary table exists */
    bool afar; /* no sketches */
};

static int fail(ds_objindex *ix, int rc, const char *doing, ds_err *err)
{
    return ds_sumdb_fail(ix->db, rc, ix->path, doing, err);
}

/* A statement ready to be bound; compiled at first use. */
static int stmt(ds_objindex *ix, enum statement k, sqlite3_stmt **out, ds_err *err)
{
    if (!ix->st[k]) {
        int rc =
            sqlite3_prepare_v3(ix->db, text[k], -1, SQLITE_PREPARE_PERSISTENT, &ix->st[k], NULL);
        if (rc != SQLITE_OK)
            return fail(ix, rc, "preparing", err);
    }
    *out = ix->st[k];
    return 0;
}

static void bind_sha(sqlite3_stmt *st, int i, const ds_sha *s)
{
    sqlite3_bind_blob(st, i, s->b, 32, SQLITE_STATIC);
}

/* Runs a statement that returns no row. */
static int run(ds_objindex *ix, sqlite3_stmt *st, const char *doing, ds_err *err)
{
    int rc = sqlite3_step(st);
    int reset = sqlite3_reset(st);
    if (rc == SQLITE_ROW || rc == SQLITE_DONE)
        rc = reset;
    return rc == SQLITE_OK ? 0 : fail(ix, rc, doing, err);
}

/* The one integer a query gives: 1, or 0 without a row. */
static int one(ds_objindex *ix, sqlite3_stmt *st, int64_t *v, ds_err *err)
{
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *v = sqlite3_column_int64(st, 0);
    int reset = sqlite3_reset(st);
    if (rc == SQLITE_ROW)
        return 1;
    return rc == SQLITE_DONE ? 0 : fail(ix, reset, "reading", err);
}

static int exec(ds_objindex *ix, const char *sql, const char *doing, ds_err *err)
{
    int rc = sqlite3_exec(ix->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : fail(ix, rc, doing, err);
}

static bool column_sha(sqlite3_stmt *st, int i, ds_sha *out)
{
    const void *p = sqlite3_column_blob(st, i);
    if (!p || sqlite3_column_bytes(st, i) != 32)
        return false;
    memcpy(out->b, p, 32);
    return true;
}

/* False when a row of LOC_COLUMNS makes no sense. */
static bool column_loc(sqlite3_stmt *st, ds_objloc *out)
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
    if (!column_sha(st, 0, &out->id) || !column_sha(st, 2, &out->pack) || off < 0 ||
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

static int bad_row(ds_objindex *ix, ds_err *err)
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
    [DS_INDEX_STILL] = SQLITE_OPEN_READONLY,
    [DS_INDEX_TEMP] = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
    [DS_INDEX_AFAR] = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
};

int ds_objindex_open(ds_objindex **out, const char *path, enum ds_indexmode mode, ds_err *err)
{
    bool create = mode == DS_INDEX_CREATE || mode == DS_INDEX_TEMP || mode == DS_INDEX_AFAR;
    ds_objindex *ix = calloc(1, sizeof *ix);
    *out = NULL;
    if (!ix)
        return ds_fail_nomem(err);
    init_lock(&ix->lock);
    ix->afar = mode == DS_INDEX_AFAR;
    int rc = 0;
    if (!(ix->path = strdup(path)))
        rc = ds_fail_nomem(err);
    int flags = open_flags[mode] | SQLITE_OPEN_NOMUTEX;
    if (rc == 0 && !create && !ds_path_exists(path))
        rc = ds_fail(err, DS_CORRUPT, "%s: the index is missing: run `dsver reindex`", path);
    if (rc == 0)
        rc = ds_sumdb_open(&ix->db, mode == DS_INDEX_TEMP ? "" : path, flags, err);
    if (rc == 0 && create)
        rc = exec(ix, schema, "creating", err);
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
            rc = fail(ix, s, "opening", err);
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
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(ix->st[i]);
    sqlite3_close(ix->db);
    pthread_mutex_destroy(&ix->lock);
    free(ix->path);
    free(ix);
}

/* ---- looking up ---- */

int ds_objindex_freeze(ds_objindex *ix, ds_err *err)
{
    sqlite3_stmt *st = NULL;
    int rc = 0;
    pthread_mutex_lock(&ix->lock);
    if (sqlite3_get_autocommit(ix->db)) { /* else it is frozen already */
        rc = stmt(ix, BEGIN_READ, &st, err);
        if (rc == 0)
            rc = run(ix, st, "reading", err);
        ix->frozen = rc == 0;
    }
    if (rc)
        pthread_mutex_unlock(&ix->lock);
    return rc;
}

void ds_objindex_thaw(ds_objindex *ix)
{
    sqlite3_stmt *st = NULL;
    if (ix->frozen && stmt(ix, END_READ, &st, NULL) == 0)
        (void)run(ix, st, "reading", NULL);
    ix->frozen = false;
    pthread_mutex_unlock(&ix->lock);
}

/* The bound statement's location: 1, 0 or an error. */
static int find(ds_objindex *ix, sqlite3_stmt *st, ds_objloc *out, ds_err *err)
{
    bool good = false;
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        good = column_loc(st, out);
    int reset = sqlite3_reset(st);
    if (rc == SQLITE_ROW)
        return good ? 1 : bad_row(ix, err);
    return rc == SQLITE_DONE ? 0 : fail(ix, reset, "reading", err);
}

int ds_objindex_find(ds_objindex *ix, const ds_sha *id, ds_objloc *out, ds_err *err)
{
    sqlite3_stmt *st = NULL;
    pthread_mutex_lock(&ix->lock);
    int rc = stmt(ix, FIND, &st, err);
    if (rc == 0) {
        bind_sha(st, 1, id);
        rc = find(ix, st, out, err);
    }
    pthread_mutex_unlock(&ix->lock);
    return rc;
}

int ds_objindex_at(ds_objindex *ix, int64_t row, ds_objloc *out, ds_err *err)
{
    sqlite3_stmt *st = NULL;
    pthread_mutex_lock(&ix->lock);
    int rc = stmt(ix, AT, &st, err);
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
    int rc = stmt(ix, ROW, &st, err);
    if (rc == 0) {
        bind_sha(st, 1, id);
        rc = one(ix, st, row, err);
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
    int rc = stmt(ix, SHARING, &st, err);
    if (rc == 0) {
        sqlite3_bind_int64(st, 1, hash);
        sqlite3_bind_int64(st, 2, (int64_t)max);
        int s;
        while ((s = sqlite3_step(st)) == SQLITE_ROW && *n < max)
            rows[(*n)++] = sqlite3_column_int64(st, 0);
        int reset = sqlite3_reset(st);
        if (s != SQLITE_ROW && s != SQLITE_DONE)
            rc = fail(ix, reset, "reading", err);
    }
    pthread_mutex_unlock(&ix->lock);
    return rc;
}

int ds_objindex_last_row(ds_objindex *ix, int64_t *row, ds_err *err)
{
    sqlite3_stmt *st = NULL;
    pthread_mutex_lock(&ix->lock);
    int rc = stmt(ix, LAST, &st, err);
    if (rc == 0)
        rc = one(ix, st, row, err);
    pthread_mutex_unlock(&ix->lock);
    return rc < 0 ? rc : 0;
}

int ds_objindex_totals(ds_objindex *ix, ds_objtotals *out, ds_err *err)
{
    static const char sql[] =
        "SELECT (SELECT count(*) FROM packs), (SELECT coalesce(sum(size), 0) FROM packs),"
        " count(*), coalesce(sum(raw), 0), count(base) FROM pieces";
    sqlite3_stmt *st = NULL;
    memset(out, 0, sizeof *out);
    pthread_mutex_lock(&ix->lock);
    int s = sqlite3_prepare_v2(ix->db, sql, -1, &st, NULL);
    if (s == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW) {
        out->packs = (uint64_t)sqlite3_column_int64(st, 0);
        out->pack_bytes = (uint64_t)sqlite3_column_int64(st, 1);
        out->pieces = (uint64_t)sqlite3_column_int64(st, 2);
        out->raw_bytes = (uint64_t)sqlite3_column_int64(st, 3);
        out->deltas = (uint64_t)sqlite3_column_int64(st, 4);
    }
    int f = sqlite3_finalize(st);
    int rc =
        s == SQLITE_OK && f == SQLITE_OK ? 0 : fail(ix, s == SQLITE_OK ? f : s, "counting", err);
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

/* ---- adding; all with the lock held ---- */

static int add_pack(ds_objindex *ix, const ds_packrow *p, int64_t *n, ds_err *err)
{
    sqlite3_stmt *st = NULL;
    int rc = stmt(ix, PACK_ADD, &st, err);
    if (rc)
        return rc;
    bind_sha(st, 1, &p->name);
    sqlite3_bind_int64(st, 2, (int64_t)p->size);
    sqlite3_bind_int64(st, 3, (int64_t)p->objects);
    rc = run(ix, st, "adding a pack", err);
    if (rc == 0)
        rc = stmt(ix, PACK_OF, &st, err);
    if (rc)
        return rc;
    bind_sha(st, 1, &p->name);
    rc = one(ix, st, n, err);
    return rc == 0 ? bad_row(ix, err) : rc < 0 ? rc : 0;
}

static int add_hashes(ds_objindex *ix, int64_t row, const uint8_t *sketch, size_t n,
                      enum statement k, ds_err *err)
{
    sqlite3_stmt *st = NULL;
    int rc = stmt(ix, k, &st, err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        sqlite3_bind_int64(st, 1, ds_get_u32(sketch + 4 * i));
        sqlite3_bind_int64(st, 2, row);
        rc = run(ix, st, "writing min-hashes", err);
    }
    return rc;
}

static size_t sketch_blob(uint8_t out[4 * DS_SKETCH_MAX], const ds_sketch *s)
{
    for (int i = 0; i < s->n; i++)
        ds_set_u32(out + 4 * i, s->h[i]);
    return s->n;
}

static void bind_piece(sqlite3_stmt *st, const ds_objrow *r, int64_t pack, const uint8_t *sketch)
{
    bind_sha(st, 1, &r->id);
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

static int add_piece(ds_objindex *ix, const ds_objrow *r, int64_t pack, ds_err *err)
{
    uint8_t sketch[4 * DS_SKETCH_MAX];
    sqlite3_stmt *st = NULL;
    int rc = stmt(ix, PIECE_ADD, &st, err);
    if (rc)
        return rc;
    size_t n = sketch_blob(sketch, &r->sketch);
    bind_piece(st, r, pack, sketch);
    rc = run(ix, st, "adding a piece", err);
    if (rc == 0 && sqlite3_changes(ix->db) > 0)
        rc = add_hashes(ix, sqlite3_last_insert_rowid(ix->db), sketch, n, HASH_ADD, err);
    return rc;
}

int ds_objindex_publish(ds_objindex *ix, const ds_packrow *packs, size_t npacks,
                        const ds_objrow *rows, size_t n, ds_err *err)
{
    int64_t *at = calloc(npacks + 1, sizeof *at);
    if (!at)
        return ds_fail_nomem(err);
    pthread_mutex_lock(&ix->lock);
    int rc = exec(ix, "BEGIN IMMEDIATE", "locking", err);
    bool begun = rc == 0;
    for (size_t i = 0; rc == 0 && i < npacks; i++)
        rc = add_pack(ix, &packs[i], &at[i], err);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = add_piece(ix, &rows[i], at[rows[i].pack], err);
    if (rc == 0)
        rc = exec(ix, "COMMIT", "committing", err);
    if (rc && begun)
        (void)sqlite3_exec(ix->db, "ROLLBACK", NULL, NULL, NULL);
    pthread_mutex_unlock(&ix->lock);
    free(at);
    return rc;
}

/* ---- taking in packs ---- */

int ds_objindex_adopt_begin(ds_objindex *ix, ds_err *err)
{
    pthread_mutex_lock(&ix->lock);
    int rc = 0;
    if (!ix->cand) {
        /* In a file of its own when it grows: memory stays bounded however many packs there are. */
        rc = exec(ix,
                  "PRAGMA temp_store=FILE;"
                  "CREATE TEMP TABLE cand(id BLOB, pack INTEGER, off INTEGER, stored INTEGER, raw "
                  "INTEGER,"
                  " kind INTEGER, base BLOB, chain INTEGER, sketch BLOB)",
                  "adopting packs", err);
        ix->cand = rc == 0;
    }
    if (rc == 0)
        rc = exec(ix, "BEGIN IMMEDIATE", "locking", err);
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
    int rc = stmt(ix, PACK_SET, &st, err);
    if (rc == 0) {
        sqlite3_bind_int64(st, 1, pack);
        sqlite3_bind_int64(st, 2, (int64_t)size);
        sqlite3_bind_int64(st, 3, (int64_t)objects);
        rc = run(ix, st, "adopting packs", err);
    }
    pthread_mutex_unlock(&ix->lock);
    return rc;
}

int ds_objindex_adopt_object(ds_objindex *ix, int64_t pack, const ds_objhead *h, uint64_t off,
                             ds_err *err)
{
    uint8_t sketch[4 * DS_SKETCH_MAX];
    sqlite3_stmt *st = NULL;
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
    int rc = stmt(ix, CAND_ADD, &st, err);
    if (rc == 0) {
        sketch_blob(sketch, &r.sketch);
        bind_piece(st, &r, pack, sketch);
        rc = run(ix, st, "adopting packs", err);
    }
    pthread_mutex_unlock(&ix->lock);
    return rc;
}

/* The copies of a piece in several packs differ in their bases. Whole pieces first, then what
 * builds on pieces that are in, round by round: whichever copies win, bases never form a ring.
 * Order of packs does not matter. */
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
    int rc = exec(ix, TAKE "c.base IS NULL ORDER BY k.name, c.off", "adopting packs", err);
    while (rc == 0) {
        rc = exec(ix,
                  TAKE BASES_IN " AND c.id NOT IN (SELECT id FROM pieces)"
                                " ORDER BY c.chain, k.name, c.off",
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
            rc = add_hashes(ix, sqlite3_column_int64(st, 0), sqlite3_column_blob(st, 1),
                            (size_t)sqlite3_column_bytes(st, 1) / 4, HASH_ADD, err);
    }
    if (rc == 0 && s != SQLITE_DONE)
        rc = fail(ix, s, "adopting packs", err);
    sqlite3_finalize(st);
    return rc;
}

static int report_orphans(ds_objindex *ix, const char *sql, ds_objorphan_fn orphan, void *ctx,
                          ds_err *err)
{
    sqlite3_stmt *st = NULL;
    ds_sha id, pack;
    int s = sqlite3_prepare_v2(ix->db, sql, -1, &st, NULL);
    while (s == SQLITE_OK || s == SQLITE_ROW) {
        s = sqlite3_step(st);
        if (s == SQLITE_ROW && column_sha(st, 0, &id) && column_sha(st, 1, &pack))
            orphan(ctx, &id, &pack, (uint64_t)sqlite3_column_int64(st, 2));
    }
    sqlite3_finalize(st);
    return s == SQLITE_DONE ? 0 : fail(ix, s, "looking for bases", err);
}

int ds_objindex_orphans(ds_objindex *ix, ds_objorphan_fn fn, void *ctx, ds_err *err)
{
    pthread_mutex_lock(&ix->lock);
    int rc =
        report_orphans(ix,
                       "SELECT c.id, k.name, c.off FROM pieces c JOIN packs k ON k.n = c.pack"
                       " WHERE c.base IS NOT NULL AND NOT (" BASES_IN ") ORDER BY k.name, c.off",
                       fn, ctx, err);
    pthread_mutex_unlock(&ix->lock);
    return rc;
}

int ds_objindex_adopt_end(ds_objindex *ix, ds_objorphan_fn orphan, void *ctx, ds_err *err)
{
    sqlite3_stmt *st = NULL;
    int64_t last = 0;
    pthread_mutex_lock(&ix->lock);
    int rc = stmt(ix, LAST, &st, err);
    if (rc == 0)
        rc = one(ix, st, &last, err);
    rc = rc < 0 ? rc : take_rounds(ix, err);
    if (rc == 0)
        rc = take_hashes(ix, last, err);
    if (rc == 0 && orphan)
        rc = report_orphans(
            ix,
            "SELECT c.id, k.name, c.off FROM temp.cand c JOIN packs k ON k.n = c.pack"
            " WHERE c.id NOT IN (SELECT id FROM pieces) ORDER BY k.name, c.off",
            orphan, ctx, err);
    if (rc == 0)
        rc = exec(ix, "DELETE FROM temp.cand; COMMIT", "committing", err);
    pthread_mutex_unlock(&ix->lock);
    return rc;
}

/* ---- walks ---- */

int ds_objindex_packs(ds_objindex *ix, ds_packrow_fn fn, void *ctx, ds_err *err)
{
    sqlite3_stmt *st = NULL;
    int rc = 0;
    pthread_mutex_lock(&ix->lock);
    int s = sqlite3_prepare_v2(ix->db, "SELECT n, name, size, objects FROM packs ORDER BY name", -1,
                               &st, NULL);
    while (rc == 0 && s == SQLITE_OK && (s = sqlite3_step(st)) == SQLITE_ROW) {
        ds_packrow p = {.size = (uint64_t)sqlite3_column_int64(st, 2),
                        .objects = (uint64_t)sqlite3_column_int64(st, 3)};
        s = SQLITE_OK;
        rc = column_sha(st, 1, &p.name) ? fn(ctx, sqlite3_column_int64(st, 0), &p)
                                        : bad_row(ix, err);
    }
    if (rc == 0 && s != SQLITE_DONE)
        rc = fail(ix, s, "reading", err);
    sqlite3_finalize(st);
    pthread_mutex_unlock(&ix->lock);
    return rc;
}

int ds_objindex_pieces(ds_objindex *ix, int64_t pack, ds_piecerow_fn fn, void *ctx, ds_err *err)
{
    sqlite3_stmt *st = NULL;
    ds_objloc loc;
    int rc = 0;
    const char *sql = pack ? "SELECT " LOC_COLUMNS " FROM pieces p JOIN packs k ON k.n = p.pack"
                             " WHERE p.pack = ?1 ORDER BY p.off"
                           : "SELECT " LOC_COLUMNS
                             " FROM pieces p JOIN packs k ON k.n = p.pack ORDER BY p.n";
    pthread_mutex_lock(&ix->lock);
    int s = sqlite3_prepare_v2(ix->db, sql, -1, &st, NULL);
    if (s == SQLITE_OK && pack)
        s = sqlite3_bind_int64(st, 1, pack);
    while (rc == 0 && s == SQLITE_OK && (s = sqlite3_step(st)) == SQLITE_ROW) {
        s = SQLITE_OK;
        rc = column_loc(st, &loc) ? fn(ctx, &loc) : bad_row(ix, err);
    }
    if (rc == 0 && s != SQLITE_DONE)
        rc = fail(ix, s, "reading", err);
    sqlite3_finalize(st);
    pthread_mutex_unlock(&ix->lock);
    return rc;
}

/* ---- gc ---- */

static int locked_exec(ds_objindex *ix, const char *sql, const char *doing, ds_err *err)
{
    pthread_mutex_lock(&ix->lock);
    int rc = exec(ix, sql, doing, err);
    pthread_mutex_unlock(&ix->lock);
    return rc;
}

int ds_objindex_begin(ds_objindex *ix, ds_err *err)
{
    return locked_exec(ix, "BEGIN IMMEDIATE", "locking", err);
}
int ds_objindex_commit(ds_objindex *ix, ds_err *err)
{
    return locked_exec(ix, "COMMIT", "committing", err);
}
void ds_objindex_rollback(ds_objindex *ix)
{
    pthread_mutex_lock(&ix->lock);
    if (!sqlite3_get_autocommit(ix->db))
        (void)sqlite3_exec(ix->db, "ROLLBACK", NULL, NULL, NULL);
    if (ix->cand)
        (void)sqlite3_exec(ix->db, "DELETE FROM temp.cand", NULL, NULL, NULL);
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
    int rc = stmt(ix, PIECE_MOVE, &st, err);
    if (rc == 0) {
        sqlite3_bind_int64(st, 1, row);
        sqlite3_bind_int64(st, 2, pack);
        sqlite3_bind_int64(st, 3, (int64_t)off);
        rc = run(ix, st, "moving a piece", err);
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
    int rc = stmt(ix, SKETCH_OF, &st, err);
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
            rc = fail(ix, reset, "reading", err);
    }
    if (rc == 0)
        rc = add_hashes(ix, row, sketch, n, HASH_DEL, err);
    if (rc == 0)
        rc = stmt(ix, PIECE_DEL, &st, err);
    if (rc == 0) {
        sqlite3_bind_int64(st, 1, row);
        rc = run(ix, st, "removing a piece", err);
    }
    pthread_mutex_unlock(&ix->lock);
    return rc;
}

int ds_objindex_remove_pack(ds_objindex *ix, int64_t n, ds_err *err)
{
    sqlite3_stmt *st = NULL;
    pthread_mutex_lock(&ix->lock);
    int rc = stmt(ix, PACK_DEL, &st, err);
    if (rc == 0) {
        sqlite3_bind_int64(st, 1, n);
        rc = run(ix, st, "removing a pack", err);
    }
    pthread_mutex_unlock(&ix->lock);
    return rc;
}

/* ---- dump ---- */

static int dump_hex(sqlite3_stmt *st, int i, ds_buf *out)
{
    const void *p = sqlite3_column_blob(st, i);
    int n = sqlite3_column_bytes(st, i);
    return p && n > 0 ? ds_buf_hex(out, p, (size_t)n) : ds_buf_putc(out, '-');
}

static int dump_pack(sqlite3_stmt *st, bool places, ds_buf *out)
{
    (void)places;
    if (ds_buf_puts(out, "pack ") || dump_hex(st, 0, out))
        return DS_NOMEM;
    return ds_buf_printf(out, " size=%" PRId64 " objects=%" PRId64 "\n",
                         (int64_t)sqlite3_column_int64(st, 1),
                         (int64_t)sqlite3_column_int64(st, 2));
}

static int dump_piece(sqlite3_stmt *st, bool places, ds_buf *out)
{
    int rc = ds_buf_puts(out, "piece ");
    rc = rc ? rc : dump_hex(st, 0, out);
    rc = rc ? rc
            : ds_buf_printf(out, " kind=%d raw=%d sketch=", sqlite3_column_int(st, 1),
                            sqlite3_column_int(st, 2));
    rc = rc ? rc : dump_hex(st, 3, out);
    if (rc == 0 && places) {
        rc = ds_buf_printf(
            out, " off=%" PRId64 " stored=%d chain=%d pack=", (int64_t)sqlite3_column_int64(st, 4),
            sqlite3_column_int(st, 5), sqlite3_column_int(st, 6));
        rc = rc ? rc : dump_hex(st, 7, out);
        rc = rc ? rc : ds_buf_puts(out, " base=");
        rc = rc ? rc : dump_hex(st, 8, out);
    }
    return rc ? rc : ds_buf_putc(out, '\n');
}

static int dump_table(ds_objindex *ix, const char *sql, int (*line)(sqlite3_stmt *, bool, ds_buf *),
                      bool places, ds_buf *out, ds_err *err)
{
    sqlite3_stmt *st = NULL;
    int rc = 0, s = sqlite3_prepare_v2(ix->db, sql, -1, &st, NULL);
    while (rc == 0 && s == SQLITE_OK && (s = sqlite3_step(st)) == SQLITE_ROW) {
        s = SQLITE_OK;
        if (line(st, places, out))
            rc = ds_fail_nomem(err);
    }
    if (rc == 0 && s != SQLITE_DONE)
        rc = fail(ix, s, "reading", err);
    sqlite3_finalize(st);
    return rc;
}

int ds_objindex_dump(ds_objindex *ix, bool places, ds_buf *out, ds_err *err)
{
    pthread_mutex_lock(&ix->lock);
    int rc = dump_table(ix, "SELECT name, size, objects FROM packs ORDER BY name", dump_pack,
                        places, out, err);
    if (rc == 0)
        rc = dump_table(
            ix,
            "SELECT p.id, p.kind, p.raw, p.sketch, p.off, p.stored, p.chain, k.name, p.base"
            " FROM pieces p LEFT JOIN packs k ON k.n = p.pack ORDER BY p.id",
            dump_piece, places, out, err);
    pthread_mutex_unlock(&ix->lock);
    return rc;
}
