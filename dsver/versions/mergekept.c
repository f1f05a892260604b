/* mergekept.c - records of theirs that are put in another order than theirs; see merge_priv.h. */
#include <stdlib.h>
#include <string.h>

#include "dsr_rowcopy.h"
#include "merge_priv.h"
#include "sig.h"

/* A block of so few records is not kept: it is read for each. */
enum { FEW = 8 };
#define NOT_KEPT UINT64_MAX

static int put_chunk(ds_mergekept *k, const ds_chunk *c, ds_err *err)
{
    const uint64_t len = c->head_len + c->body_len;
    int rc = ds_spool_put(&k->bytes, &len, sizeof len, err);
    rc = rc ? rc : ds_spool_put(&k->bytes, c->head, c->head_len, err);
    return rc ? rc : ds_spool_put(&k->bytes, c->body, c->body_len, err);
}

/* Each column is a chunk of one row. */
static int keep(ds_mergekept *k, const ds_recblock *rec, ds_colbuild *cols, ds_buf *head,
                ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < rec->side->schema.n; i++) {
        ds_chunk c;
        ds_colbuild_reset(&cols[i]);
        rc = ds_colbuild_value(&cols[i], &rec->views[i], &rec->values[i], err);
        ds_buf_reset(head);
        rc = rc ? rc : ds_colbuild_chunk(&cols[i], head, &c, err);
        rc = rc ? rc : put_chunk(k, &c, err);
    }
    return rc;
}

static int keep_all(ds_mergekept *k, const ds_merge *m, ds_colbuild *cols, ds_err *err)
{
    const ds_verside *v = ds_verdiff_side(m->theirs.diff, true);
    ds_recblock rec = {.side = NULL};
    ds_buf head = {0};
    int rc = 0;
    for (size_t i = 0; !rc && i < m->nwant; i++) {
        const ds_recplace at = m->want[i].at;
        k->at[i] = NOT_KEPT;
        if (v->lines[at.block].rows <= FEW)
            continue;
        k->at[i] = ds_spool_len(&k->bytes);
        rc = ds_recblock_at(&rec, v, at.block, at.row, err);
        rc = rc ? rc : keep(k, &rec, cols, &head, err);
        rc = rc ? rc : ds_check_interrupt(err);
    }
    ds_recblock_fini(&rec);
    ds_buf_fini(&head);
    return rc;
}

int ds_mergekept_open(ds_mergekept *k, const ds_merge *m, ds_err *err)
{
    const ds_schema *s = &ds_verdiff_side(m->theirs.diff, true)->schema;
    ds_colbuild *cols = calloc(s->n + 1, sizeof *cols);
    k->at = calloc(m->nwant + 1, sizeof *k->at);
    k->views = calloc(s->n + 1, sizeof *k->views);
    k->values = calloc(s->n + 1, sizeof *k->values);
    int rc = cols && k->at && k->views && k->values ? 0 : ds_fail_nomem(err);
    for (size_t i = 0; !rc && i < s->n; i++)
        ds_colbuild_init(&cols[i], s->cols[i].type, s->cols[i].item, s->cols[i].nullable);
    rc = rc ? rc : keep_all(k, m, cols, err);
    for (size_t i = 0; cols && i < s->n; i++)
        ds_colbuild_fini(&cols[i]);
    free(cols);
    return rc;
}

int ds_mergekept_get(ds_mergekept *k, const ds_merge *m, size_t want, ds_err *err)
{
    const ds_schema *s = &ds_verdiff_side(m->theirs.diff, true)->schema;
    const uint8_t *p;
    size_t len, at = (size_t)k->at[want];
    if (k->at[want] == NOT_KEPT)
        return 0;
    int rc = ds_spool_view(&k->bytes, &p, &len, err);
    for (size_t i = 0; !rc && i < s->n; i++) {
        uint64_t n;
        memcpy(&n, p + at, sizeof n);
        at += sizeof n;
        rc = ds_colview_open(&k->views[i], &s->cols[i], p + at, (size_t)n, 1, err);
        if (!rc)
            ds_colview_next(&k->views[i], &k->values[i]);
        at += (size_t)n;
    }
    return rc ? rc : 1;
}

void ds_mergekept_fini(ds_mergekept *k)
{
    ds_spool_fini(&k->bytes);
    free(k->at);
    free(k->views);
    free(k->values);
    *k = (ds_mergekept){.at = NULL};
}
