/* recut.c - see recut.h. */
#include "recut.h"

#include "dsr_rowcopy.h"
#include "overlay.h"
#include "recblock.h"
#include "sig.h"
#include "sourcescan.h"

static int any_erased(bool *erased, ds_store *s, const git_oid *tree, const char *what, ds_err *err)
{
    ds_manscan at = {0};
    ds_manline line = {0};
    int rc = ds_manscan_open(&at, s->cat, tree, what, err);
    while (!rc && !*erased && (rc = ds_manscan_next(&at, &line, err)) > 0) {
        *erased = at.erased;
        rc = 0;
    }
    ds_manscan_close(&at);
    ds_manline_fini(&line);
    return rc;
}

int ds_recut_needed(bool *erased, ds_store *s, const git_oid *commit, ds_err *err)
{
    const ds_overlay *o = NULL;
    ds_version v = {0};
    *erased = false;
    int rc = ds_catalog_overlay(&o, s->cat, false, err);
    if (rc || !o)
        return rc;
    rc = ds_version_get(&v, s->cat, commit, err);
    rc = rc ? rc : any_erased(erased, s, &v.tree, "blocks", err);
    rc = rc ? rc : any_erased(erased, s, &v.tree, "sources", err);
    ds_version_fini(&v);
    return rc;
}

typedef struct pen {
    const bool *only; /* of each block; NULL: all, and sources */
    ds_verside side;
    ds_recblock rec;
    ds_rows *rows;
    ds_origin_state st;
    ds_buf ranges;
    ds_sourcescan sources;
    ds_source source;
    bool has_source;
} pen;

static int check_root(const pen *p, const ds_meta *m, ds_err *err)
{
    ds_rootsum *sum = NULL;
    ds_sha digest, root, origin;
    int rc = ds_rootsum_new(&sum, err);
    for (size_t i = 0; !rc && i < p->side.n; i++)
        rc = ds_rootsum_block(sum, &p->side.was[i], &p->side.was[i], err);
    rc = rc ? rc : ds_schema_digest(&digest, &p->side.schema, err);
    rc = rc ? rc : ds_rootsum_end(sum, &digest, &root, &origin, err);
    if (!rc && (!ds_sha_eq(&root, &m->root) || p->side.n != m->blocks))
        rc =
            ds_fail(err, DS_CORRUPT, "version %s: its blocks do not give the root in its meta.json",
                    git_oid_tostr_s(&p->side.version.id));
    ds_rootsum_free(sum);
    return rc;
}

static int next_source(pen *p, ds_err *err)
{
    int rc = ds_sourcescan_next(&p->sources, &p->source, err);
    p->has_source = rc > 0;
    return rc < 0 ? rc : 0;
}

static int put_sources(pen *p, uint64_t blocks, bool all, ds_err *err)
{
    int rc = 0;
    while (!rc && p->has_source && (all || p->sources.blocks <= blocks)) {
        rc = ds_rows_source(p->rows, &p->source, err);
        rc = rc ? rc : next_source(p, err);
    }
    return rc;
}

static int put_record(pen *p, const ds_chunk *origin, size_t *pos, ds_err *err)
{
    int rc = ds_origin_get(origin->body, origin->body_len, pos, &p->st, &p->ranges, err);
    rc = rc ? rc : ds_rows_begin(p->rows, err);
    rc = rc ? rc : ds_rows_copy(p->rows, &p->side.schema, p->rec.views, p->rec.values, err);
    for (size_t i = 0; !rc && !p->only && i < p->ranges.len / sizeof(ds_range); i++) {
        const ds_range *r = (const ds_range *)(const void *)p->ranges.data + i;
        rc = ds_rows_origin(p->rows, r->source, r->offset, r->len, err);
    }
    return rc ? rc : ds_rows_end(p->rows, err);
}

static int put_blocks(pen *p, ds_err *err)
{
    int rc = p->only ? 0 : next_source(p, err);
    for (size_t i = 0; !rc && i < p->side.n; i++) {
        if (p->only && !p->only[i])
            continue;
        uint64_t rows = 0;
        size_t pos = 0;
        rc = put_sources(p, i, false, err);
        rc = rc ? rc : ds_recblock_load(&p->rec, &p->side, i, true, err);
        const ds_chunk *c = rc ? NULL : &p->rec.lent.chunks[p->side.schema.n];
        if (c && (!ds_varint_get(c->body, c->body_len, &pos, &rows) || rows != p->rec.lent.rows))
            rc = ds_fail(err, DS_CORRUPT, "origins are not of as many records as the block");
        while (!rc && ds_recblock_next(&p->rec))
            rc = put_record(p, c, &pos, err);
        rc = rc ? rc : ds_check_interrupt(err);
    }
    return rc ? rc : put_sources(p, 0, true, err);
}

int ds_recut_write(ds_out *out, ds_store *s, const git_oid *commit, const ds_readback_opts *o,
                   ds_err *err)
{
    pen p = {.only = o->only};
    ds_meta meta = {0};
    ds_buf prov = {0};
    ds_writer *w = NULL;
    int rc = ds_verside_open(&p.side, s, commit, NULL, NULL, err);
    rc = rc ? rc : ds_version_meta(&meta, s->cat, &p.side.version, err);
    rc = rc ? rc : ds_catalog_file(&prov, s->cat, &p.side.version.tree, "provenance.json", err);
    rc = rc ? rc : ds_sourcescan_open(&p.sources, s, &p.side.version.tree, err);
    rc = rc ? rc : check_root(&p, &meta, err);
    rc = rc ? rc : ds_writer_new(&w, out, &p.side.schema, prov.data, prov.len, &o->writer, err);
    rc = rc ? rc : ds_rows_new(&p.rows, w, &p.side.schema, err);
    rc = rc ? rc : put_blocks(&p, err);
    rc = rc ? rc : ds_rows_finish(p.rows, err);
    rc = rc ? rc : ds_writer_end(w, &meta.counts, NULL, err);
    if (rc && w)
        ds_writer_abort(w, "dsver cat failed");
    ds_rows_free(p.rows);
    ds_writer_free(w);
    ds_recblock_fini(&p.rec);
    ds_verside_fini(&p.side);
    ds_sourcescan_close(&p.sources);
    ds_buf_fini(&p.ranges);
    ds_buf_fini(&prov);
    ds_meta_fini(&meta);
    return rc;
}
