/* lineout.c - see lineout.h. */
#include "lineout.h"

#include "blockwalk.h"
#include "jsonrow.h"

typedef struct look {
    ds_blocklook look; /* first: it is the walk's */
    ds_jsonrow row;
} look;

typedef struct lines {
    ds_verside side;
    ds_jsonform form;
    ds_out *out;
    size_t next;
} lines;

static int flush(void *ctx, ds_buf *b, ds_err *err)
{
    int rc = ds_out_put(ctx, b->data, b->len, err);
    ds_buf_reset(b);
    return rc;
}

static bool next_block(void *ctx, ds_blocklook *l)
{
    lines *x = ctx;
    if (x->next == x->side.n)
        return false;
    l->side = &x->side;
    l->block = x->next++;
    return true;
}

static int work(void *ctx, ds_blocklook *l)
{
    const lines *x = ctx;
    ds_jsonrow *row = &((look *)l)->row;
    const ds_origin_state from = {0};
    row->flush = l->alone ? flush : NULL;
    row->flush_ctx = x->out;
    return ds_jsonrow_block(row, &x->form, &l->rec.lent, &from, 0, UINT64_MAX, &l->err);
}

static int done(void *ctx, ds_blocklook *l, ds_err *err)
{
    const lines *x = ctx;
    return flush(x->out, &((look *)l)->row.out, err);
}

static void look_fini(ds_blocklook *l)
{
    ds_jsonrow_fini(&((look *)l)->row);
}

int ds_lineout_write(ds_out *out, ds_store *s, const git_oid *commit, int threads, ds_err *err)
{
    lines x = {.out = out};
    const ds_blockwalk walk = {.size = sizeof(look),
                               .next = next_block,
                               .work = work,
                               .done = done,
                               .fini = look_fini,
                               .ctx = &x};
    int rc = ds_verside_open(&x.side, s, commit, NULL, NULL, err);
    rc = rc ? rc : ds_jsonform_init(&x.form, &x.side.schema, NULL, true, true, false, err);
    rc = rc ? rc : ds_blockwalk_run(&walk, threads, err);
    ds_jsonform_fini(&x.form);
    ds_verside_fini(&x.side);
    return rc;
}
