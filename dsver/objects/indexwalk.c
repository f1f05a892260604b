/* Going over the index: its packs, its pieces, and all of it as text. */
#include <inttypes.h>

#include "objindex_priv.h"

/* What a function that has no place for words gives back, with them. */
static int in_words(int rc, ds_err *err)
{
    return rc == DS_NOMEM ? ds_fail_nomem(err) : rc;
}

static int walk_packs(ds_objindex *ix, const char *sql, ds_packrow_fn fn, void *ctx, ds_err *err)
{
    sqlite3_stmt *st = NULL;
    int rc = 0;
    pthread_mutex_lock(&ix->lock);
    int s = sqlite3_prepare_v2(ix->db, sql, -1, &st, NULL);
    while (rc == 0 && s == SQLITE_OK && (s = sqlite3_step(st)) == SQLITE_ROW) {
        ds_packrow p = {.size = (uint64_t)sqlite3_column_int64(st, 2),
                        .objects = (uint64_t)sqlite3_column_int64(st, 3)};
        s = SQLITE_OK;
        rc = ds_index_sha(st, 1, &p.name) ? in_words(fn(ctx, sqlite3_column_int64(st, 0), &p), err)
                                          : ds_index_bad_row(ix, err);
    }
    if (rc == 0 && s != SQLITE_DONE)
        rc = ds_index_fail(ix, s, "reading", err);
    sqlite3_finalize(st);
    pthread_mutex_unlock(&ix->lock);
    return rc;
}

int ds_objindex_packs(ds_objindex *ix, ds_packrow_fn fn, void *ctx, ds_err *err)
{
    return walk_packs(ix, "SELECT n, name, size, objects FROM packs ORDER BY name", fn, ctx, err);
}

int ds_objindex_waiting(ds_objindex *ix, ds_packrow_fn fn, void *ctx, ds_err *err)
{
    return walk_packs(ix,
                      "SELECT n, name, size, objects FROM packs WHERE n IN waiting ORDER BY name",
                      fn, ctx, err);
}

static int walk(ds_objindex *ix, const char *sql, int64_t arg, ds_piecerow_fn fn, void *ctx,
                ds_err *err)
{
    sqlite3_stmt *st = NULL;
    ds_objloc loc;
    int rc = 0;
    pthread_mutex_lock(&ix->lock);
    int s = sqlite3_prepare_v2(ix->db, sql, -1, &st, NULL);
    if (s == SQLITE_OK)
        s = sqlite3_bind_int64(st, 1, arg);
    while (rc == 0 && s == SQLITE_OK && (s = sqlite3_step(st)) == SQLITE_ROW) {
        s = SQLITE_OK;
        rc = ds_index_loc(st, &loc) ? in_words(fn(ctx, &loc), err) : ds_index_bad_row(ix, err);
    }
    if (rc == 0 && s != SQLITE_DONE)
        rc = ds_index_fail(ix, s, "reading", err);
    sqlite3_finalize(st);
    pthread_mutex_unlock(&ix->lock);
    return rc;
}

#define WALK "SELECT " DS_LOC_COLUMNS " FROM pieces p JOIN packs k ON k.n = p.pack"

int ds_objindex_newer(ds_objindex *ix, int64_t row, ds_piecerow_fn fn, void *ctx, ds_err *err)
{
    return walk(ix, WALK " WHERE p.n > ?1 ORDER BY p.n", row, fn, ctx, err);
}

int ds_objindex_pieces(ds_objindex *ix, int64_t pack, ds_piecerow_fn fn, void *ctx, ds_err *err)
{
    return pack ? walk(ix, WALK " WHERE p.pack = ?1 ORDER BY p.off", pack, fn, ctx, err)
                : ds_objindex_newer(ix, INT64_MIN, fn, ctx, err);
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
        rc = ds_index_fail(ix, s, "reading", err);
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
