/* statcache.c - see statcache.h. */
#include "statcache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "sumvfs.h"

enum { FORM = 4, ID = DS_STATCACHE_ID, HEAD = ID + 1 + 4, BATCH = 64 << 20 };

struct ds_statcache {
    sqlite3 *db;
    char *path;
    sqlite3_stmt *find, *add;
    bool brief;          /* a temporary one */
    ds_statcache *under; /* of the store below; NULL: there is none */
};

static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"
    "INSERT OR IGNORE INTO meta VALUES('stats','4');"
    "CREATE TABLE IF NOT EXISTS stats(n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, whole INTEGER"
    " NOT NULL, data BLOB NOT NULL);"
    "COMMIT";

static int fail(ds_statcache *c, int rc, const char *doing, ds_err *err)
{
    return ds_sumdb_fail(c->db, rc, c->path, doing, err);
}

static int exec(ds_statcache *c, const char *sql, const char *doing, ds_err *err)
{
    const int rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        return 0;
    fail(c, rc, doing, err);
    if (!sqlite3_get_autocommit(c->db))
        sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
    return err ? err->code : DS_IO;
}

static void shut(ds_statcache *c)
{
    sqlite3_finalize(c->find);
    sqlite3_finalize(c->add);
    sqlite3_close(c->db);
    c->find = c->add = NULL;
    c->db = NULL;
}

static int begin(ds_statcache *c, const char *path, ds_err *err)
{
    int rc = ds_sumdb_open(&c->db, path,
                           SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, err);
    rc = rc ? rc : exec(c, "PRAGMA secure_delete=ON", "opening", err);
    rc = rc ? rc : exec(c, schema, "creating", err);
    if (rc)
        return rc;
    int st = sqlite3_prepare_v2(c->db, "SELECT data FROM stats WHERE id=?1", -1, &c->find, NULL);
    if (st == SQLITE_OK)
        st = sqlite3_prepare_v2(c->db,
                                "INSERT OR IGNORE INTO stats(id, whole, data) VALUES(?1, ?2, ?3)",
                                -1, &c->add, NULL);
    if (st != SQLITE_OK)
        return fail(c, (st & 0xff) == SQLITE_ERROR ? SQLITE_CORRUPT : st, "opening", err);
    return 0;
}

/* Other versions' files have another number there, or no such table. */
static int check_form(ds_statcache *c, ds_err *err)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(c->db, "SELECT value FROM meta WHERE key='stats'", -1, &st, NULL);
    const bool mine =
        rc == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW && sqlite3_column_int(st, 0) == FORM;
    const int end = sqlite3_finalize(st);
    if (mine)
        return 0;
    return fail(c, rc == SQLITE_OK && end != SQLITE_OK ? end : SQLITE_CORRUPT, "opening", err);
}

static int begin_file(ds_statcache *c, ds_err *err)
{
    int rc = begin(c, c->path, err);
    rc = rc ? rc : check_form(c, err);
    if (rc)
        shut(c);
    return rc;
}

/* Nothing is lost with it. */
static int anew(ds_statcache *c, ds_err *err)
{
    shut(c);
    ds_sumdb_remove(c->path);
    ds_err_clear(err);
    return begin_file(c, err);
}

static bool bad(int rc)
{
    return rc == DS_CORRUPT;
}

static int without(ds_statcache *c, ds_err *err)
{
    shut(c);
    ds_err_clear(err);
    c->brief = true;
    return begin(c, "", err);
}

/* After a failure: begun anew when it is damaged; and where the disk, or one who keeps it to
 * himself, leaves nothing better, one for the moment. */
static int mend(ds_statcache *c, int rc, ds_err *err)
{
    rc = bad(rc) ? anew(c, err) : rc;
    return rc == 0 || rc == DS_NOMEM || c->brief ? rc : without(c, err);
}

static char *path_of(const char *dir)
{
    char *path = NULL;
    return asprintf(&path, "%s/stats.db", dir) < 0 ? NULL : path;
}

int ds_statcache_open(ds_statcache **out, const char *dir, ds_err *err)
{
    ds_statcache *c = calloc(1, sizeof *c);
    ds_err why = {0};
    *out = NULL;
    if (!c || !(c->path = path_of(dir))) {
        free(c);
        return ds_fail_nomem(err);
    }
    int rc = begin_file(c, &why);
    if (rc)
        rc = mend(c, rc, &why);
    if (rc) {
        ds_statcache_close(c);
        return ds_fail(err, rc, "%s", why.msg);
    }
    *out = c;
    return 0;
}

int ds_statcache_lay_over(ds_statcache *c, const char *dir, ds_err *err)
{
    return dir && ds_statcache_there(dir) ? ds_statcache_open(&c->under, dir, err) : 0;
}

bool ds_statcache_there(const char *dir)
{
    char *path = path_of(dir);
    const bool there = !path || ds_path_exists(path);
    free(path);
    return there;
}

int ds_statcache_drop(const char *dir, ds_err *err)
{
    char *path = path_of(dir);
    if (!path)
        return ds_fail_nomem(err);
    ds_sumdb_remove(path);
    free(path);
    return 0;
}

void ds_statcache_close(ds_statcache *c)
{
    if (!c)
        return;
    ds_statcache_close(c->under);
    shut(c);
    free(c->path);
    free(c);
}

int ds_statcache_id(ds_sha *out, const ds_column *col, bool key, const ds_sha *chunk, ds_err *err)
{
    uint8_t b[3 + sizeof chunk->b] = {(uint8_t)col->type,
                                      (uint8_t)(col->type == DS_LIST ? col->item : col->type), key};
    memcpy(b + 3, chunk->b, sizeof chunk->b);
    return ds_sha_tagged(out, "ds.stat", b, sizeof b, err);
}

int ds_statcache_get(ds_statcache *c, const ds_sha *id, ds_buf *out, ds_err *err)
{
    ds_err why = {0};
    int rc = 0;
    ds_buf_reset(out);
    sqlite3_bind_blob(c->find, 1, id->b, ID, SQLITE_STATIC);
    const int st = sqlite3_step(c->find);
    if (st == SQLITE_ROW) {
        rc = ds_buf_put(out, sqlite3_column_blob(c->find, 0),
                        (size_t)sqlite3_column_bytes(c->find, 0))
                 ? ds_fail_nomem(&why)
                 : 1;
    } else if (st != SQLITE_DONE)
        rc = fail(c, st, "reading", &why);
    sqlite3_reset(c->find);
    if (rc < 0)
        rc = mend(c, rc, &why);
    if (rc == 0 && c->under)
        return ds_statcache_get(c->under, id, out, err);
    return rc < 0 ? ds_fail(err, rc, "%s", why.msg) : rc;
}

int ds_statcache_entry(ds_buf *entries, const ds_sha *id, bool whole, const ds_buf *data)
{
    return ds_buf_put(entries, id->b, ID) || ds_buf_putc(entries, whole) ||
                   ds_buf_u32(entries, (uint32_t)data->len) ||
                   ds_buf_put(entries, data->data, data->len)
               ? DS_NOMEM
               : 0;
}

static int store_some(ds_statcache *c, const uint8_t *p, size_t len, size_t *pos, ds_err *err)
{
    const size_t from = *pos;
    int rc = exec(c, "BEGIN IMMEDIATE", "writing", err);
    if (rc)
        return rc;
    while (!rc && len - *pos >= HEAD && *pos - from < BATCH) {
        const uint8_t *e = p + *pos;
        const uint32_t n = ds_get_u32(e + ID + 1);
        sqlite3_bind_blob(c->add, 1, e, ID, SQLITE_STATIC);
        sqlite3_bind_int(c->add, 2, e[ID]);
        sqlite3_bind_blob(c->add, 3, e + HEAD, (int)n, SQLITE_STATIC);
        const int st = sqlite3_step(c->add);
        if (st != SQLITE_DONE)
            rc = fail(c, st, "writing", err);
        sqlite3_reset(c->add);
        *pos += HEAD + n;
    }
    if (rc) {
        sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
        return rc;
    }
    return exec(c, "COMMIT", "writing", err);
}

int ds_statcache_store(ds_statcache *c, const uint8_t *entries, size_t len, ds_err *err)
{
    ds_err why = {0};
    int rc = 0, again = 2;
    for (size_t pos = 0; !rc && pos < len;) {
        const size_t from = pos;
        rc = store_some(c, entries, len, &pos, &why);
        if (rc && again-- > 0) {
            pos = from;
            rc = mend(c, rc, &why);
        }
    }
    return rc ? ds_fail(err, rc, "%s", why.msg) : 0;
}

/* ---- removing ---- */

/* Into the table `gone`. */
static int find_gone(ds_statcache *c, const ds_shaset *keep, ds_err *err)
{
    sqlite3_stmt *all = NULL, *note = NULL;
    int st = sqlite3_prepare_v2(c->db, "SELECT n, id FROM stats WHERE whole=0", -1, &all, NULL);
    if (st == SQLITE_OK)
        st = sqlite3_prepare_v2(c->db, "INSERT INTO temp.gone VALUES(?1)", -1, &note, NULL);
    while (st == SQLITE_OK || st == SQLITE_DONE) {
        st = sqlite3_step(all);
        if (st != SQLITE_ROW)
            break;
        ds_sha id = {{0}};
        const void *p = sqlite3_column_blob(all, 1);
        if (p && sqlite3_column_bytes(all, 1) == ID)
            memcpy(id.b, p, ID);
        st = SQLITE_OK;
        if (ds_shaset_has(keep, &id))
            continue;
        sqlite3_bind_int64(note, 1, sqlite3_column_int64(all, 0));
        st = sqlite3_step(note);
        sqlite3_reset(note);
    }
    const int rc = st == SQLITE_DONE ? 0 : fail(c, st, "pruning", err);
    sqlite3_finalize(all);
    sqlite3_finalize(note);
    return rc;
}

static int prune(ds_statcache *c, const ds_shaset *keep, bool wholes, ds_err *err)
{
    int rc =
        exec(c, "CREATE TEMP TABLE IF NOT EXISTS gone(n INTEGER PRIMARY KEY);DELETE FROM temp.gone",
             "pruning", err);
    rc = rc ? rc : find_gone(c, keep, err);
    rc =
        rc ? rc : exec(c, "DELETE FROM stats WHERE n IN (SELECT n FROM temp.gone)", "pruning", err);
    if (!rc && wholes)
        rc = exec(c, "DELETE FROM stats WHERE whole=1", "pruning", err);
    if (!rc) {
        const int st =
            sqlite3_wal_checkpoint_v2(c->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
        rc = st == SQLITE_OK ? 0 : fail(c, st, "pruning", err);
    }
    return rc;
}

static int remove_all(ds_statcache *c, ds_err *err)
{
    shut(c);
    ds_sumdb_remove(c->path);
    return ds_path_exists(c->path) ? ds_fail(err, DS_IO, "%s: cannot be removed", c->path)
                                   : without(c, err);
}

int ds_statcache_prune(ds_statcache *c, const ds_shaset *keep, bool wholes, ds_err *err)
{
    ds_err why = {0};
    int rc = c->brief ? DS_IO : prune(c, keep, wholes, &why);
    if (ds_is_io(rc))
        rc = remove_all(c, &why);
    else if (bad(rc))
        rc = anew(c, &why);
    return rc ? ds_fail(err, rc, "%s", why.msg) : 0;
}
