/* recblock.c - see recblock.h. */
#include "recblock.h"

#include <stdlib.h>

/* ---- a version ---- */

static int read_lines(ds_verside *v, bool (*skip)(void *, const git_oid *), void *ctx, ds_err *err)
{
    ds_manscan s = {0};
    ds_manline l = {0};
    ds_sha origin;
    size_t lines = 0, files = 0, was = 0; /* how many there is room for */
    int rc = ds_manscan_open(&s, v->store->cat, &v->version.tree, "blocks", err);

    s.skip = skip;
    s.skip_ctx = ctx;
    while (!rc) {
        rc = ds_manscan_next(&s, &l, err);
        if (rc <= 0)
            break;
        rc = 0;
        if (l.nchunks != v->schema.n + 1)
            rc = ds_fail(err, DS_CORRUPT, "a block of %zu chunks for %zu columns", l.nchunks,
                         v->schema.n);
        if (!rc && (ds_grow(&v->lines, &lines, v->n, sizeof *v->lines) ||
                    ds_grow(&v->files, &files, v->n, sizeof *v->files) ||
                    ds_grow(&v->was, &was, v->n, sizeof *v->was)))
            rc = ds_fail_nomem(err);
        if (!rc)
            rc = ds_manscan_addr(&s, &l, &v->was[v->n], &origin, err);
        if (!rc) {
            v->erased += s.erased;
            v->files[v->n] = s.file;
            v->lines[v->n++] = l;
            l = (ds_manline){0};
        }
    }
    ds_manscan_close(&s);
    ds_manline_fini(&l);
    return rc;
}

int ds_verside_open_raw(ds_verside *v, ds_store *s, const git_oid *commit,
                        bool (*skip)(void *ctx, const git_oid *file), void *ctx, ds_err *err)
{
    *v = (ds_verside){.store = s};
    ds_schema_init(&v->schema);
    int rc = ds_version_get(&v->version, s->cat, commit, err);
    rc = rc ? rc : ds_version_schema(&v->schema, s->cat, &v->version.tree, err);
    rc = rc ? rc : read_lines(v, skip, ctx, err);
    if (rc)
        ds_verside_fini(v);
    return rc;
}

int ds_verside_open(ds_verside *v, ds_store *s, const git_oid *commit,
                    bool (*skip)(void *ctx, const git_oid *file), void *ctx, ds_err *err)
{
    int rc = ds_verside_open_raw(v, s, commit, skip, ctx, err);
    rc = rc ? rc : ds_version_meta(NULL, s->cat, &v->version, err);
    if (rc)
        ds_verside_fini(v);
    return rc;
}

void ds_verside_fini(ds_verside *v)
{
    for (size_t i = 0; i < v->n; i++)
        ds_manline_fini(&v->lines[i]);
    free(v->lines);
    free(v->files);
    free(v->was);
    ds_schema_fini(&v->schema);
    ds_version_fini(&v->version);
    *v = (ds_verside){0};
}

/* ---- a block ---- */

void ds_recblock_fini(ds_recblock *b)
{
    for (size_t i = 0; b->bufs && i < b->lent.nchunks; i++)
        ds_buf_fini(&b->bufs[i]);
    free(b->bufs);
    free(b->views);
    free(b->values);
    free(b->lent.chunks);
    *b = (ds_recblock){0};
}

static int ready(ds_recblock *b, const ds_verside *v, ds_err *err)
{
    const bool *only = b->only;
    if (b->side == v)
        return 0;
    ds_recblock_fini(b);
    b->only = only;
    b->lent.nchunks = v->schema.n + 1;
    b->bufs = calloc(b->lent.nchunks, sizeof *b->bufs);
    b->views = calloc(b->lent.nchunks, sizeof *b->views);
    b->values = calloc(b->lent.nchunks, sizeof *b->values);
    b->lent.chunks = calloc(b->lent.nchunks, sizeof *b->lent.chunks);
    if (!b->bufs || !b->views || !b->values || !b->lent.chunks) {
        ds_recblock_fini(b);
        return ds_fail_nomem(err);
    }
    b->side = v;
    return 0;
}

static int fetch(const ds_verside *v, const ds_manline *l, size_t i, const ds_sha *ids, ds_buf *out,
                 ds_err *err)
{
    int rc = ds_objstore_get_all(v->store->objs, ids, ds_manline_npieces(l, i), out, err);
    if (!rc && out->len != ds_manline_len(l, i))
        rc = ds_fail(err, DS_CORRUPT, "version %s: a chunk of %zu bytes instead of %llu",
                     git_oid_tostr_s(&v->version.id), out->len,
                     (unsigned long long)ds_manline_len(l, i));
    return rc;
}

static bool wanted(const ds_recblock *b, size_t column)
{
    return !b->only || b->only[column];
}

static int rewind_views(ds_recblock *b)
{
    for (size_t i = 0; i + 1 < b->lent.nchunks; i++)
        if (wanted(b, i))
            ds_colview_rewind(&b->views[i]);
    b->at = 0;
    return 0;
}

int ds_recblock_load(ds_recblock *b, const ds_verside *v, size_t block, bool origin, ds_err *err)
{
    if (b->side == v && b->loaded && b->block == block &&
        (!origin || b->lent.chunks[v->schema.n].body_len))
        return rewind_views(b);
    int rc = ready(b, v, err);
    if (rc)
        return rc;
    const ds_manline *l = &v->lines[block];
    const ds_sha *ids = ds_manline_pieces(l);
    b->loaded = false;
    b->lent.rows = l->rows;
    for (size_t i = 0; !rc && i < l->nchunks; i++) {
        if (i < v->schema.n ? wanted(b, i) : origin)
            rc = fetch(v, l, i, ids, &b->bufs[i], err);
        else
            ds_buf_reset(&b->bufs[i]);
        b->lent.chunks[i] = (ds_chunk){.body = b->bufs[i].data, .body_len = b->bufs[i].len};
        ids += ds_manline_npieces(l, i);
    }
    for (size_t i = 0; !rc && i < v->schema.n; i++)
        if (wanted(b, i))
            rc = ds_colview_open(&b->views[i], &v->schema.cols[i], b->bufs[i].data, b->bufs[i].len,
                                 l->rows, err);
    b->block = block;
    b->loaded = !rc;
    return rc ? rc : rewind_views(b);
}

void ds_recblock_expect(const bool *only, const ds_verside *v, size_t block, bool origin)
{
    const ds_manline *l = &v->lines[block];
    const ds_sha *ids = ds_manline_pieces(l);
    for (size_t i = 0; i < l->nchunks; i++) {
        const size_t n = ds_manline_npieces(l, i);
        if (i < v->schema.n ? !only || only[i] : origin)
            (void)ds_objstore_expect(v->store->objs, ids, n);
        ids += n;
    }
}

bool ds_recblock_next(ds_recblock *b)
{
    if (b->at == b->lent.rows)
        return false;
    b->at++;
    for (size_t i = 0; i + 1 < b->lent.nchunks; i++)
        if (wanted(b, i))
            ds_colview_next(&b->views[i], &b->values[i]);
    return true;
}

int ds_recblock_at(ds_recblock *b, const ds_verside *v, size_t block, uint64_t row, ds_err *err)
{
    const bool there = b->side == v && b->loaded && b->block == block;
    const int rc = there ? 0 : ds_recblock_load(b, v, block, false, err);
    if (rc)
        return rc;
    if (row >= b->lent.rows)
        return ds_fail(err, DS_FAIL, "there is no record %llu in the block",
                       (unsigned long long)row);
    if (b->at > row + 1)
        rewind_views(b);
    while (b->at <= row)
        ds_recblock_next(b);
    return 0;
}
