/* mergewrite.c - the stream that a merge makes; see merge.h. */
#include "merge_priv.h"

#include <stdlib.h>
#include <string.h>

#include "dsr_origin.h"
#include "dsr_rowcopy.h"
#include "sig.h"

enum { JUMPS = 4 }; /* for each block of theirs: with more the order is another one */

typedef struct pen {
    ds_merge *m;
    ds_rows *rows;
    ds_recblock ours, theirs;
    size_t jumps; /* from one block of theirs to another */
    ds_mergekept kept;
    ds_buf scratch, one;
    ds_origin_state st;
} pen;

static int put_ranges(pen *p, const ds_range *r, size_t n, const ds_buf *map, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < n; i++) {
        uint64_t source = r[i].source;
        if (map && source >= map->len / sizeof source)
            return ds_fail(err, DS_CORRUPT, "a record comes from a source that is not there");
        if (map)
            source = ((const uint64_t *)(const void *)map->data)[source];
        rc = ds_rows_origin(p->rows, source, r[i].offset, r[i].len, err);
    }
    return rc;
}

static int put_ours(pen *p, ds_err *err)
{
    const ds_verside *v = ds_verdiff_side(p->m->ours.diff, true);
    int rc = ds_rows_begin(p->rows, err);
    rc = rc ? rc : ds_rows_copy(p->rows, &v->schema, p->ours.views, p->ours.values, err);
    rc = rc ? rc
            : put_ranges(p, (const ds_range *)(const void *)p->one.data,
                         p->one.len / sizeof(ds_range), NULL, err);
    return rc ? rc : ds_rows_end(p->rows, err);
}

/* Their record as it is; where ours are in another order, no block of theirs is read for each. */
static int copy_theirs(pen *p, const ds_mergeorigin *w, ds_err *err)
{
    const ds_verside *v = ds_verdiff_side(p->m->theirs.diff, true);
    int rc = 0;
    p->jumps += !p->theirs.loaded || p->theirs.block != w->at.block;
    if (!p->kept.at && p->jumps > JUMPS * (v->n + 1))
        rc = ds_mergekept_open(&p->kept, p->m, err);
    if (!rc && p->kept.at)
        rc = ds_mergekept_get(&p->kept, p->m, (size_t)(w - p->m->want), err);
    if (rc > 0)
        return ds_rows_copy(p->rows, &v->schema, p->kept.views, p->kept.values, err);
    rc = rc ? rc : ds_recblock_at(&p->theirs, v, w->at.block, w->at.row, err);
    return rc ? rc : ds_rows_copy(p->rows, &v->schema, p->theirs.views, p->theirs.values, err);
}

static int put_theirs(pen *p, ds_recplace at, ds_err *err)
{
    const ds_mergeorigin key = {.at = at}, *w = bsearch(&key, p->m->want, p->m->nwant, sizeof key,
                                                        ds_mergeorigin_cmp);
    int rc = w ? 0 : ds_fail(err, DS_FAIL, "a record's origin was not read");
    rc = rc ? rc : ds_rows_begin(p->rows, err);
    rc = rc ? rc : copy_theirs(p, w, err);
    rc = rc ? rc
            : put_ranges(p, (const ds_range *)(const void *)p->m->ranges.data + w->first, w->n,
                         &p->m->map, err);
    return rc ? rc : ds_rows_end(p->rows, err);
}

/* What theirs added after the record with this key; once. */
static int put_insertions(pen *p, const uint8_t after[16], ds_err *err)
{
    ds_merge *m = p->m;
    size_t lo = 0, hi = m->nins;
    int rc = 0;
    if (!ds_mergebits_has(m->anchors, after))
        return 0;
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        if (memcmp(m->ins[mid].after, after, 16) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (; !rc && lo < m->nins && memcmp(m->ins[lo].after, after, 16) == 0; lo++)
        if (m->ins[lo].order != SIZE_MAX) {
            rc = put_theirs(p, m->ins[lo].at, err);
            m->ins[lo].order = SIZE_MAX;
        }
    return rc;
}

static int put_record(pen *p, ds_err *err)
{
    ds_recdigest d;
    int rc = ds_verdiff_digest(&d, p->m->ours.diff, true, &p->ours, &p->scratch)
                 ? ds_fail_nomem(err)
                 : 0;
    ds_mergechange *t = rc ? NULL : ds_mergechange_find(&p->m->theirs, d.key);
    if (t)
        t->used = true;
    if (!rc && (!t || t->what == DS_MERGE_KEEP || t->what == DS_MERGE_INSERT))
        rc = put_ours(p, err);
    else if (!rc && t->what == DS_MERGE_REPLACE)
        rc = put_theirs(p, t->it.b, err);
    return rc ? rc : put_insertions(p, d.key, err);
}

static int put_blocks(pen *p, ds_err *err)
{
    const ds_verside *v = ds_verdiff_side(p->m->ours.diff, true);
    static const uint8_t beginning[16];
    int rc = put_insertions(p, beginning, err);
    for (size_t i = 0; !rc && i < v->n; i++) {
        uint64_t rows;
        size_t pos = 0;
        rc = ds_recblock_load(&p->ours, v, i, true, err);
        const ds_chunk *c = &p->ours.lent.chunks[v->schema.n];
        if (!rc && (!ds_varint_get(c->body, c->body_len, &pos, &rows) || rows != p->ours.lent.rows))
            rc = ds_fail(err, DS_CORRUPT, "origins are not of as many records as the block");
        while (!rc && ds_recblock_next(&p->ours)) {
            rc = ds_origin_get(c->body, c->body_len, &pos, &p->st, &p->one, err);
            rc = rc ? rc : put_record(p, err);
        }
        rc = rc ? rc : ds_check_interrupt(err);
    }
    return rc;
}

static int put_sources(pen *p, ds_err *err)
{
    const ds_sourcelist *l = &p->m->sources;
    ds_source src;
    size_t pos = 0;
    int rc = 0;
    while (!rc && ds_sourcelist_next(l, &pos, &src))
        rc = ds_rows_source(p->rows, &src, err);
    return rc;
}

static int write_stream(void *ctx, int fd, ds_err *err)
{
    ds_merge *m = ctx;
    const ds_verside *v = ds_verdiff_side(m->ours.diff, true);
    pen p = {.m = m};
    ds_out out = {0};
    ds_writer *w = NULL;
    if (m->stats.conflicts)
        return ds_fail(err, DS_FAIL, "%llu conflicts are open",
                       (unsigned long long)m->stats.conflicts);
    for (size_t i = 0; i < m->theirs.n; i++)
        m->theirs.v[i].used = false;
    int rc = ds_out_init(&out, fd, "pipe", err);
    rc = rc ? rc
            : ds_writer_new(&w, &out, &v->schema, m->prov.data, m->prov.len, &(ds_writer_opts){0},
                            err);
    rc = rc ? rc : ds_rows_new(&p.rows, w, &v->schema, err);
    rc = rc ? rc : put_blocks(&p, err);
    rc = rc ? rc : put_sources(&p, err);
    rc = rc ? rc : ds_rows_finish(p.rows, err);
    rc = rc ? rc : ds_writer_end(w, &m->meta.counts, NULL, err);
    rc = rc ? rc : ds_out_flush(&out, err);
    if (rc && w)
        ds_writer_abort(w, "dsver merge failed");
    ds_rows_free(p.rows);
    ds_writer_free(w);
    ds_out_fini(&out);
    ds_recblock_fini(&p.ours);
    ds_recblock_fini(&p.theirs);
    ds_mergekept_fini(&p.kept);
    ds_buf_fini(&p.scratch);
    ds_buf_fini(&p.one);
    return rc;
}

int ds_merge_feed(ds_feed *feed, ds_merge *m, ds_err *err)
{
    return ds_feed_begin(feed, write_stream, m, err);
}
