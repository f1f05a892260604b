/* dsr_blockcheck.c - what makes a block canonical beyond its checksums; see dsr_io.h and the rules
 * marked (check) in docs/dsr-format.md. */
#include <inttypes.h>
#include <stdlib.h>

#include "dsr_io.h"
#include "dsr_origin.h"

struct ds_blockcheck {
    ds_schema schema;
    ds_cutter cutter;
    ds_rowhash hash;
    ds_origin_state origin;
    ds_colview *views;
    bool open; /* the block before did not end at a cut: it must have been the last */
};

int ds_blockcheck_new(ds_blockcheck **out, const ds_schema *s, ds_err *err)
{
    ds_blockcheck *c = calloc(1, sizeof *c);
    *out = NULL;
    if (!c)
        return ds_fail_nomem(err);
    int rc = ds_schema_copy(&c->schema, s, err);
    if (!rc) {
        ds_cutter_init(&c->cutter, &c->schema);
        c->views = calloc(s->n, sizeof *c->views);
        rc = c->views ? ds_rowhash_init(&c->hash, err) : ds_fail_nomem(err);
    }
    if (rc)
        ds_blockcheck_free(c);
    else
        *out = c;
    return rc;
}

void ds_blockcheck_free(ds_blockcheck *c)
{
    if (!c)
        return;
    ds_schema_fini(&c->schema);
    ds_rowhash_fini(&c->hash);
    free(c->views);
    free(c);
}

void ds_blockcheck_resume(ds_blockcheck *c, const uint64_t *hashes, size_t n,
                          const ds_origin_state *origin)
{
    ds_cutter_resume(&c->cutter, hashes, n);
    c->origin = *origin;
}

static int check_origins(ds_blockcheck *c, const ds_block *b, ds_err *err)
{
    const ds_chunk *o = &b->chunks[c->schema.n];
    uint64_t lowest, highest;
    int rc = ds_origin_scan(o->body, o->body_len, b->rows, &c->origin, &lowest, &highest, err);
    if (!rc && lowest < b->sources)
        rc = ds_fail(err, DS_CORRUPT,
                     "names source %" PRIu64 ", which was told of before this block", lowest);
    return rc;
}

/* What the primary column's rows are said to be, where it is a reference. */
static const ds_rowclaim *claimed(const ds_blockcheck *c, const ds_block *b)
{
    size_t n;
    for (size_t i = 0; i < c->schema.n; i++)
        if (c->schema.primary[i] && b->chunks[i].refs)
            return ds_refs_claims(b->chunks[i].refs, &n);
    return NULL;
}

/* Goes through the primary values row by row. */
static int check_cut(ds_blockcheck *c, const ds_block *b, ds_err *err)
{
    const ds_schema *s = &c->schema;
    const ds_rowclaim *claims = claimed(c, b);
    const uint64_t rows = b->rows;
    bool cut = false;
    uint64_t size, hash, i;
    if (c->open)
        return ds_fail(err, DS_CORRUPT, "the block before it ends where no block may end");
    for (i = 0; i < rows && !cut; i++) {
        ds_rowhash_begin(&c->hash);
        for (size_t k = 0; k < s->n && !claims; k++) {
            ds_value x;
            if (s->primary[k] && ds_colview_next(&c->views[k], &x))
                ds_rowhash_value(&c->hash, &c->views[k], &x);
        }
        hash = ds_rowhash_end(&c->hash, &size);
        if (claims) {
            hash = claims[i].hash;
            size = claims[i].size;
        }
        cut = ds_cutter_record(&c->cutter, hash, size);
    }
    if (i < rows)
        return ds_fail(err, DS_CORRUPT, "it must end after record %" PRIu64 " of %" PRIu64, i - 1,
                       rows);
    c->open = !cut;
    return 0;
}

int ds_blockcheck_block(ds_blockcheck *c, const ds_block *b, ds_err *err)
{
    int rc = ds_block_views(b, &c->schema, c->views, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < c->schema.n && !rc; i++)
        rc = b->chunks[i].refs ? 0 : ds_colview_check(&c->views[i], b->chunks[i].spool, err);
    if (!rc)
        rc = check_origins(c, b, err);
    if (!rc)
        rc = check_cut(c, b, err);
    if (rc)
        ds_err_prefix(err, "%s: block at byte %" PRIu64, b->path ? b->path : "block", b->offset);
    return rc;
}
