/* mixin.c - see mixin.h. */
#include "mixin.h"

#include <stdlib.h>
#include <string.h>

static int begin(ds_mixin *m, ds_err *err)
{
    m->block = NULL;
    m->base = m->read = 0;
    m->origin = (ds_origin_state){0};
    return ds_operand_open(&m->operand, &m->in, err);
}

int ds_mixin_open(ds_mixin *m, const char *operand, const char *by, bool again, ds_err *err)
{
    size_t len;
    int rc = ds_operand_find(&m->operand, operand, again, err);
    rc = rc ? rc : ds_operand_name(&m->name, &m->operand, err);
    rc = rc ? rc : begin(m, err);
    if (rc)
        return rc;
    const char *prov = ds_reader_provenance(ds_instream_reader(m->in), &len);
    rc = ds_schema_copy(&m->schema, ds_instream_schema(m->in), err);
    m->views = calloc(m->schema.n + 1, sizeof *m->views);
    m->values = calloc(m->schema.n + 1, sizeof *m->values);
    if (rc == 0 && (!m->views || !m->values || ds_buf_put(&m->prov, prov, len)))
        rc = ds_fail_nomem(err);
    if (rc == 0 && by)
        rc = ds_where_new(&m->by, by, strlen(by), &(ds_colnames){.schema = &m->schema, .in = m->in},
                          err);
    if (rc == 0 && by && ds_where_type(m->by) != DS_W_INT && ds_where_type(m->by) != DS_W_ANY)
        rc = ds_fail(err, DS_USAGE, "it is no whole number");
    return rc && by ? ds_err_prefix(err, "--by %s", by) : rc;
}

static int open_block(ds_mixin *m, ds_err *err)
{
    const ds_block *b = ds_reader_block(ds_instream_reader(m->in));
    const ds_chunk *o = &b->chunks[b->nchunks - 1];
    uint64_t rows;
    m->row = m->origin_at = 0;
    int rc = ds_block_texts(b, &m->schema, m->views, err);
    if (rc == 0 && (!ds_varint_get(o->body, o->body_len, &m->origin_at, &rows) || rows != b->rows))
        rc = ds_fail(err, DS_CORRUPT, "origins: not of as many records as the block has");
    if (rc)
        return ds_err_prefix(err, "%s: block at byte %llu", m->name, (unsigned long long)b->offset);
    m->block = b;
    return 0;
}

/* One of its files is read to the end. */
static int end_file(ds_mixin *m, ds_err *err)
{
    const ds_counts *c = ds_reader_counts(ds_instream_reader(m->in));
    int rc = ds_instream_sameprov(m->in, &m->prov, err);
    m->base += c->sources;
    m->origin = (ds_origin_state){0};
    return rc || m->epoch ? rc : ds_counts_join(&m->counts, c, err);
}

static int end_reading(ds_mixin *m, ds_err *err)
{
    ds_instream *in = m->in;
    m->in = NULL;
    if (m->epoch == 0)
        m->records = m->read;
    else if (m->records != m->read)
        (void)ds_fail(err, DS_FAIL, "%s: it changed between two readings", m->operand.text);
    m->epoch++;
    const int rc = ds_operand_close(&m->operand, in, true, err);
    return rc ? rc : err->code;
}

/* Moves on to the next block: 1, or 0 at the end. */
static int next_block(ds_mixin *m, bool look, ds_err *err)
{
    m->block = NULL;
    while (m->in) {
        enum ds_event ev;
        int rc = ds_instream_next(m->in, &ev, err);
        if (rc)
            return rc;
        if (ev == DS_EV_BLOCK) {
            m->read += ds_reader_block(ds_instream_reader(m->in))->rows;
            rc = look ? open_block(m, err) : 0;
            return rc ? rc : 1;
        }
        if (ev == DS_EV_SOURCE && m->epoch == 0)
            rc = ds_sourcelater_put(&m->sources, ds_reader_source(ds_instream_reader(m->in)), err);
        else if (ev == DS_EV_END)
            rc = end_file(m, err);
        if (rc == 0 && ev == DS_EV_END && ds_instream_last(m->in))
            rc = end_reading(m, err);
        if (rc)
            return rc;
    }
    return 0;
}

int ds_mixin_next(ds_mixin *m, ds_err *err)
{
    int rc = 1;
    while (rc == 1 && (!m->block || m->row == m->block->rows))
        rc = next_block(m, true, err);
    if (rc != 1)
        return rc;
    const ds_chunk *o = &m->block->chunks[m->block->nchunks - 1];
    for (size_t i = 0; i < m->schema.n; i++)
        (void)ds_colview_next(&m->views[i], &m->values[i]);
    m->row++;
    rc = ds_origin_get(o->body, o->body_len, &m->origin_at, &m->origin, &m->ranges, err);
    ds_range *g = (ds_range *)(void *)m->ranges.data;
    for (size_t i = 0; i < m->ranges.len / sizeof *g; i++)
        g[i].source += m->base;
    return rc ? rc : 1;
}

int ds_mixin_amount(ds_mixin *m, uint64_t *amount, ds_err *err)
{
    ds_wval v = {.type = DS_W_INT, .i = 1};
    int rc = m->by ? ds_where_eval(m->by, &m->work, m->views, m->values, &v, err) : 0;
    *amount = v.type == DS_W_INT && v.i > 0 ? (uint64_t)v.i : 0;
    return rc;
}

int ds_mixin_again(ds_mixin *m, ds_err *err)
{
    return begin(m, err);
}

int ds_mixin_drain(ds_mixin *m, ds_err *err)
{
    int rc;
    do {
        rc = next_block(m, false, err);
    } while (rc == 1);
    return rc;
}

void ds_mixin_fini(ds_mixin *m)
{
    (void)ds_operand_close(&m->operand, m->in, false, NULL);
    ds_operand_fini(&m->operand);
    ds_sourcelater_fini(&m->sources);
    ds_counts_fini(&m->counts);
    ds_wherework_fini(&m->work);
    ds_where_free(m->by);
    ds_schema_fini(&m->schema);
    ds_buf_fini(&m->prov);
    ds_buf_fini(&m->ranges);
    free(m->name);
    free(m->views);
    free(m->values);
    free(m->column);
    *m = (ds_mixin){0};
}
