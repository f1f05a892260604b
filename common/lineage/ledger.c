/* ledger.c - see ledger.h. */
#include "ledger.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEP, ROW, PIECES, TARGETS, LR, LOSS, NORM, CHAIN, NCOLS };

struct ds_ledger {
    ds_atomic file;
    ds_out out;
    ds_schema schema;
    ds_writer *w;
    ds_rows *rows;
    ds_sha chain;
    uint64_t n;
};

int ds_ledger_first(ds_sha *chain, const ds_sha *run, ds_err *err)
{
    return ds_sha_tagged(chain, "ds.ledger", run->b, sizeof run->b, err);
}

int ds_ledger_next(ds_sha *chain, const ds_ledger_row *r, ds_err *err)
{
    const uint64_t numbers[] = {r->step, r->row, r->targets, r->lr, r->loss, r->norm};
    ds_hasher *h = NULL;
    int rc = ds_hasher_new(&h, err);

    rc = rc ? rc : ds_hasher_put(h, chain->b, sizeof chain->b, err);
    for (size_t i = 0; !rc && i < sizeof numbers / sizeof *numbers; i++)
        rc = ds_hasher_u64(h, numbers[i], err);
    rc = rc ? rc : ds_hasher_put(h, r->pieces, r->pieces_len, err);
    rc = rc ? rc : ds_hasher_end(h, chain, err);
    ds_hasher_free(h);
    return rc;
}

/* ---- writing ---- */

static int make_schema(ds_schema *s, ds_err *err)
{
    static const struct {
        const char *name;
        enum ds_type type;
        bool key;
    } cols[NCOLS] = {[STEP] = {"step", DS_I64, true},        [ROW] = {"row", DS_I64, true},
                     [PIECES] = {"pieces", DS_BYTES, false}, [TARGETS] = {"targets", DS_I64, false},
                     [LR] = {"lr", DS_I64, false},           [LOSS] = {"loss", DS_I64, false},
                     [NORM] = {"norm", DS_I64, false},       [CHAIN] = {"chain", DS_BYTES, false}};
    int rc = 0;

    ds_schema_init(s);
    for (size_t i = 0; !rc && i < NCOLS; i++)
        rc = ds_schema_add(s, NULL, cols[i].name, cols[i].type,
                           (i == STEP ? DS_COL_PRIMARY : 0) | (cols[i].key ? DS_COL_KEYED : 0),
                           NULL, err);
    return rc;
}

int ds_ledger_create(ds_ledger **out, const char *path, const ds_sha *chain, ds_err *err)
{
    ds_ledger *l = calloc(1, sizeof *l);
    const ds_writer_opts o = {.level = 3};
    int rc;

    if (!l)
        return ds_fail_nomem(err);
    l->file.fd = -1;
    l->chain = *chain;
    rc = make_schema(&l->schema, err);
    rc = rc ? rc : ds_atomic_open(&l->file, path, 0644, err);
    rc = rc ? rc : ds_out_init(&l->out, l->file.fd, path, err);
    rc = rc ? rc : ds_writer_new(&l->w, &l->out, &l->schema, "[]", 2, &o, err);
    rc = rc ? rc : ds_rows_new(&l->rows, l->w, &l->schema, err);
    if (rc)
        ds_ledger_drop(l);
    else
        *out = l;
    return rc;
}

int ds_ledger_add(ds_ledger *l, const ds_ledger_row *r, ds_err *err)
{
    const uint64_t numbers[NCOLS] = {[STEP] = r->step, [ROW] = r->row,   [TARGETS] = r->targets,
                                     [LR] = r->lr,     [LOSS] = r->loss, [NORM] = r->norm};
    int rc = ds_ledger_next(&l->chain, r, err);

    rc = rc ? rc : ds_rows_begin(l->rows, err);
    for (size_t i = 0; !rc && i < NCOLS; i++) {
        ds_colbuild *c = ds_rows_col(l->rows, i);
        if (i == PIECES)
            rc = ds_colbuild_bytes(c, r->pieces, r->pieces_len, err);
        else if (i == CHAIN)
            rc = ds_colbuild_bytes(c, l->chain.b, sizeof l->chain.b, err);
        else
            rc = ds_colbuild_i64(c, (int64_t)numbers[i], err);
    }
    rc = rc ? rc : ds_rows_end(l->rows, err);
    l->n += !rc;
    return rc;
}

int ds_ledger_finish(ds_ledger *l, ds_sha *chain, uint64_t *rows, ds_err *err)
{
    int rc = ds_rows_finish(l->rows, err);

    rc = rc ? rc : ds_writer_end(l->w, NULL, NULL, err);
    rc = rc ? rc : ds_out_flush(&l->out, err);
    rc = rc ? rc : ds_atomic_commit(&l->file, err);
    if (!rc) {
        *chain = l->chain;
        *rows = l->n;
    }
    ds_ledger_drop(l);
    return rc;
}

void ds_ledger_drop(ds_ledger *l)
{
    if (!l)
        return;
    ds_rows_free(l->rows);
    ds_writer_free(l->w);
    ds_out_fini(&l->out);
    ds_atomic_abort(&l->file);
    ds_schema_fini(&l->schema);
    free(l);
}

/* ---- reading ---- */

static int read_row(const ds_value v[NCOLS], const char *path, ds_ledger_fn fn, void *ctx,
                    ds_err *err)
{
    const ds_ledger_row r = {.step = (uint64_t)v[STEP].i,
                             .row = (uint64_t)v[ROW].i,
                             .targets = (uint64_t)v[TARGETS].i,
                             .lr = (uint64_t)v[LR].i,
                             .loss = (uint64_t)v[LOSS].i,
                             .norm = (uint64_t)v[NORM].i,
                             .pieces = v[PIECES].p,
                             .pieces_len = v[PIECES].len,
                             .chain = v[CHAIN].p};

    if (v[CHAIN].len != sizeof(ds_sha))
        return ds_fail(err, DS_CORRUPT,
                       "%s: step %" PRIu64 ", row %" PRIu64 ": a chain value of %zu bytes", path,
                       r.step, r.row, v[CHAIN].len);
    return fn(ctx, &r, err);
}

static int read_block(const ds_block *b, const ds_schema *s, const char *path, ds_ledger_fn fn,
                      void *ctx, ds_err *err)
{
    ds_colview view[NCOLS];
    ds_value v[NCOLS];
    int rc = ds_block_views(b, s, view, err);

    for (uint64_t i = 0; !rc && i < b->rows; i++) {
        for (size_t c = 0; c < NCOLS; c++)
            if (!ds_colview_next(&view[c], &v[c]))
                return ds_fail(err, DS_CORRUPT, "%s: a column ends early", path);
        rc = read_row(v, path, fn, ctx, err);
    }
    return rc;
}

/* The schema is the one that we write, byte for byte. */
static int check_schema(const ds_schema *got, const char *path, ds_err *err)
{
    ds_schema want;
    ds_buf a = {0}, b = {0};
    int rc = make_schema(&want, err);

    rc = rc ? rc : ds_schema_dump(&a, &want, err);
    rc = rc ? rc : ds_schema_dump(&b, got, err);
    if (!rc && (a.len != b.len || memcmp(a.data, b.data, a.len)))
        rc = ds_fail(err, DS_CORRUPT, "%s: its columns are not those of a ledger", path);
    ds_buf_fini(&a);
    ds_buf_fini(&b);
    ds_schema_fini(&want);
    return rc;
}

int ds_ledger_scan(int fd, const char *path, ds_ledger_fn fn, void *ctx, ds_err *err)
{
    ds_blockcheck *check = NULL;
    ds_reader *r = NULL;
    enum ds_event ev = DS_EV_BLOCK;
    int rc = ds_reader_new(&r, fd, path, err);

    rc = rc ? rc : check_schema(ds_reader_schema(r), path, err);
    rc = rc ? rc : ds_blockcheck_new(&check, ds_reader_schema(r), err);
    while (!rc && ev != DS_EV_END) {
        rc = ds_reader_next(r, &ev, err);
        if (rc || ev != DS_EV_BLOCK)
            continue;
        rc = ds_blockcheck_block(check, ds_reader_block(r), err);
        rc = rc ? rc : read_block(ds_reader_block(r), ds_reader_schema(r), path, fn, ctx, err);
    }
    ds_blockcheck_free(check);
    ds_reader_free(r);
    return rc;
}

typedef struct follow {
    ds_sha *chain;
    const char *path;
    ds_ledger_fn fn;
    void *ctx;
} follow;

static int follow_row(void *ctx, const ds_ledger_row *r, ds_err *err)
{
    follow *f = ctx;
    int rc = ds_ledger_next(f->chain, r, err);

    if (!rc && memcmp(r->chain, f->chain->b, sizeof f->chain->b) != 0)
        rc = ds_fail(err, DS_CORRUPT,
                     "%s: step %" PRIu64 ", row %" PRIu64
                     ": the row does not follow from those before it",
                     f->path, r->step, r->row);
    return rc ? rc : f->fn(f->ctx, r, err);
}

int ds_ledger_read(const char *path, ds_sha *chain, ds_ledger_fn fn, void *ctx, ds_err *err)
{
    follow f = {chain, path, fn, ctx};
    int fd = -1;
    int rc = ds_open(&fd, path, O_RDONLY, 0, err);

    rc = rc ? rc : ds_ledger_scan(fd, path, follow_row, &f, err);
    ds_close(&fd, path, NULL);
    return rc;
}
