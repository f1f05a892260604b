/* dsr_rows.c - see dsr_rows.h. */
#include "dsr_rows.h"

#include <stdlib.h>
#include <string.h>

#include "dsr_sources.h"

struct ds_rows {
    ds_writer *w;
    const ds_schema *s;
    ds_colbuild *cols;
    ds_buf *heads; /* of the chunks while they are written */
    ds_chunk *chunks;
    size_t *primary, nprimary; /* columns that decide about cuts */
    ds_cutter cutter;
    ds_rowhash hash;
    uint64_t rows; /* whole records in the builders */
    uint64_t last_hash, last_size;
    ds_rows_late late;
    bool has_late;
    bool open; /* a record has begun */
    ds_origin_state origin;
    ds_buf ranges;  /* of the open record */
    ds_buf origins; /* of the records of this block, without the number of rows */
    ds_buf origin_head;
    ds_buf sources; /* told of, waiting for the block they may be named in; as in S frames */
};

int ds_rows_new(ds_rows **out, ds_writer *w, const ds_schema *s, ds_err *err)
{
    ds_rows *r = calloc(1, sizeof *r);
    *out = NULL;
    if (!r)
        return ds_fail_nomem(err);
    r->w = w;
    r->s = s;
    r->cols = calloc(s->n + 1, sizeof *r->cols);
    r->heads = calloc(s->n + 1, sizeof *r->heads);
    r->chunks = calloc(s->n + 1, sizeof *r->chunks);
    r->primary = calloc(s->n + 1, sizeof *r->primary);
    int rc = r->cols && r->heads && r->chunks && r->primary ? ds_rowhash_init(&r->hash, err)
                                                            : ds_fail_nomem(err);
    if (rc) {
        ds_rows_free(r);
        return rc;
    }
    ds_cutter_init(&r->cutter, s);
    for (size_t i = 0; i < s->n; i++) {
        if (s->primary[i])
            r->primary[r->nprimary++] = i;
        ds_colbuild_init(&r->cols[i], s->cols[i].type, s->cols[i].item, s->cols[i].nullable);
    }
    *out = r;
    return 0;
}

void ds_rows_free(ds_rows *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->s->n; i++) {
        if (r->cols)
            ds_colbuild_fini(&r->cols[i]);
        if (r->heads)
            ds_buf_fini(&r->heads[i]);
    }
    free(r->cols);
    free(r->heads);
    free(r->chunks);
    free(r->primary);
    ds_rowhash_fini(&r->hash);
    ds_buf_fini(&r->ranges);
    ds_buf_fini(&r->origins);
    ds_buf_fini(&r->origin_head);
    ds_buf_fini(&r->sources);
    free(r);
}

int ds_rows_begin(ds_rows *r, ds_err *err)
{
    if (r->open)
        return ds_fail(err, DS_FAIL, "a record begins before the last has ended");
    r->open = true;
    ds_buf_reset(&r->ranges);
    return 0;
}

ds_colbuild *ds_rows_col(ds_rows *r, size_t column)
{
    return &r->cols[column];
}

int ds_rows_origin(ds_rows *r, uint64_t source, uint64_t offset, uint64_t len, ds_err *err)
{
    ds_range range = {source, offset, len};
    return ds_buf_put(&r->ranges, &range, sizeof range) ? ds_fail_nomem(err) : 0;
}

/* ---- blocks ---- */

static int write_sources(ds_rows *r, ds_err *err)
{
    size_t pos = 0;
    int rc = 0;
    ds_source s;
    while (pos < r->sources.len && !rc)
        rc = ds_source_get(r->sources.data, r->sources.len, &pos, &s)
                 ? ds_writer_source(r->w, &s, err)
                 : ds_fail(err, DS_FAIL, "bad source");
    ds_buf_reset(&r->sources);
    return rc;
}

/* The chunk of a column, whose values may still be to come, or be known by their addresses. */
static int take_chunk(ds_rows *r, size_t i, ds_err *err)
{
    const bool late = r->has_late && i == r->late.column;
    const ds_refs *refs = NULL;
    int rc = 0;
    if (late && r->cols[i].rows < r->rows)
        rc = r->late.fill(r->late.ctx, &r->cols[i], r->rows, &refs, err);
    if (!rc && !refs && r->cols[i].rows != r->rows)
        rc = ds_fail(err, DS_FAIL, "column \"%s\" has no value for a record", r->s->cols[i].name);
    if (!rc && refs)
        r->chunks[i] = (ds_chunk){.refs = refs};
    else if (!rc)
        rc = ds_colbuild_chunk(&r->cols[i], &r->heads[i], &r->chunks[i], err);
    if (!rc && late && r->late.wrote)
        rc = r->late.wrote(r->late.ctx, r->rows, &r->chunks[i], err);
    return rc;
}

static int write_block(ds_rows *r, ds_err *err)
{
    ds_chunk origin;
    int rc = 0;
    for (size_t i = 0; i < r->s->n && !rc; i++)
        rc = take_chunk(r, i, err);
    ds_buf_reset(&r->origin_head);
    if (!rc && ds_buf_varint(&r->origin_head, r->rows))
        rc = ds_fail_nomem(err);
    if (rc)
        return rc;
    origin = (ds_chunk){.head = r->origin_head.data,
                        .head_len = r->origin_head.len,
                        .body = r->origins.data,
                        .body_len = r->origins.len};
    rc = ds_writer_block(r->w, r->rows, r->chunks, &origin, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < r->s->n; i++)
        ds_colbuild_reset(&r->cols[i]);
    ds_buf_reset(&r->origins);
    r->rows = 0;
    return write_sources(r, err);
}

/* ---- records ---- */

/* The hash of the primary values of the record that was just put. */
static int hash_record(ds_rows *r, uint64_t *hash, uint64_t *size, ds_err *err)
{
    ds_rowhash_begin(&r->hash);
    for (size_t i = 0; i < r->nprimary; i++) {
        ds_colbuild *b = &r->cols[r->primary[i]];
        ds_value x;
        int rc = ds_colbuild_last(b, &x, err);
        if (rc)
            return rc;
        /* As a view over the builder's data would look, so that a large value is released behind
         * the hash. */
        ds_colview v = {
            .type = b->type, .p = x.p ? x.p - b->mark.data : NULL, .spool = x.p ? &b->data : NULL};
        ds_rowhash_value(&r->hash, &v, &x);
    }
    *hash = ds_rowhash_end(&r->hash, size);
    return 0;
}

/* Whether a column's value of the open record may still come. */
static bool lacks(const ds_rows *r, size_t i)
{
    return r->has_late && i == r->late.column && r->cols[i].rows <= r->rows;
}

/* Every column but the late one has this record's value. */
static int whole(const ds_rows *r, bool late, ds_err *err)
{
    if (!r->open)
        return ds_fail(err, DS_FAIL, "a record ends that has not begun");
    for (size_t i = 0; i < r->s->n; i++)
        if (r->cols[i].open || (!(late && lacks(r, i)) && r->cols[i].rows != r->rows + 1))
            return ds_fail(err, DS_FAIL,
                           "column \"%s\" has no value, or more than one, for a record",
                           r->s->cols[i].name);
    return 0;
}

static int end_record(ds_rows *r, uint64_t hash, uint64_t size, ds_err *err)
{
    int rc = ds_origin_put(&r->origins, &r->origin, (const ds_range *)(const void *)r->ranges.data,
                           r->ranges.len / sizeof(ds_range), err);
    if (rc)
        return rc;
    r->rows++;
    r->open = false;
    r->last_hash = hash;
    r->last_size = size;
    return ds_cutter_record(&r->cutter, hash, size) ? write_block(r, err) : 0;
}

int ds_rows_end(ds_rows *r, ds_err *err)
{
    uint64_t hash, size;
    int rc = whole(r, r->has_late && !r->s->primary[r->late.column], err);
    if (!rc)
        rc = hash_record(r, &hash, &size, err);
    return rc ? rc : end_record(r, hash, size, err);
}

void ds_rows_last(const ds_rows *r, uint64_t *hash, uint64_t *size)
{
    *hash = r->last_hash;
    *size = r->last_size;
}

void ds_rows_set_late(ds_rows *r, const ds_rows_late *late)
{
    r->late = *late;
    r->has_late = true;
}

int ds_rows_end_late(ds_rows *r, uint64_t hash, uint64_t size, ds_err *err)
{
    int rc = r->has_late ? whole(r, true, err) : ds_fail(err, DS_FAIL, "no column comes late");
    return rc ? rc : end_record(r, hash, size, err);
}

int ds_rows_drop(ds_rows *r, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; i < r->s->n; i++) {
        int e = ds_colbuild_drop_open(&r->cols[i], r->rows, err);
        if (!rc)
            rc = e;
    }
    r->open = false;
    return rc;
}

int ds_rows_source(ds_rows *r, const ds_source *s, ds_err *err)
{
    if (r->open)
        return ds_fail(err, DS_FAIL, "a source is told of within a record");
    if (r->rows == 0)
        return ds_writer_source(r->w, s, err);
    if (!ds_source_name_ok(s->name, s->len))
        return ds_fail(err, DS_FAIL, "source \"%.*s\": a name is UTF-8 of 1 to %d bytes",
                       s->len > 200 ? 200 : (int)s->len, s->name, DS_SOURCE_NAME_MAX);
    return ds_source_put(&r->sources, s) ? ds_fail_nomem(err) : 0;
}

void ds_rows_resume(ds_rows *r, const uint64_t *hashes, size_t n, const ds_origin_state *origin)
{
    ds_cutter_resume(&r->cutter, hashes, n);
    r->origin = *origin;
}

int ds_rows_finish(ds_rows *r, ds_err *err)
{
    if (r->open)
        return ds_fail(err, DS_FAIL, "the last record has not ended");
    return r->rows ? write_block(r, err) : write_sources(r, err);
}
