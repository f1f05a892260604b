/* tokenrows.c - see tokenrows.h. */
#include "tokenrows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net_priv.h"

#define MARK ".token_adapter.trainable_tokens_delta"

bool ds_is_token_rows(const ds_param *p)
{
    return strstr(p->name, MARK) != NULL;
}

/* ---- rows in a table ---- */

/* How many rows from i on follow each other in the table. */
static int64_t together(const ds_net *n, int64_t i)
{
    const token_rows *t = &n->rows;
    int64_t m = 1;

    while (i + m < t->in->rows && t->ids[i + m] == t->ids[i] + (uint32_t)m)
        m++;
    return m;
}

/* Between a table and the rows of it, in f32: there, or back. */
static int copy_rows(ds_net *n, const ds_param *table, void *rows, bool there, ds_err *err)
{
    const int64_t d = n->c.hidden;

    for (int64_t i = 0, m; i < n->rows.in->rows; i += m) {
        char *of = (char *)table->w + (size_t)(n->rows.ids[i] * d) * ds_kfmt_size(table->f);
        float *own = (float *)rows + i * d;
        m = together(n, i);
        TRY(there ? n->k->convert(n->k, of, table->f, own, DS_KF32, m * d, err)
                  : n->k->convert(n->k, own, DS_KF32, of, table->f, m * d, err));
    }
    return 0;
}

int token_rows_refresh(ds_net *n, ds_err *err)
{
    const token_rows *t = &n->rows;

    if (t->in)
        TRY(copy_rows(n, n->embed, t->in->w, true, err));
    return t->out ? copy_rows(n, n->head, t->out->w, true, err) : 0;
}

static int keep(ds_net *n, const ds_param *table, ds_param *rows, ds_err *err)
{
    if (!rows || rows->before)
        return 0;
    TRY(n->k->alloc(n->k, &rows->before, (size_t)ds_param_count(rows) * sizeof(float), err));
    return copy_rows(n, table, rows->before, false, err);
}

int token_rows_keep(ds_net *n, ds_err *err)
{
    TRY(keep(n, n->embed, n->rows.in, err));
    return keep(n, n->head, n->rows.out, err);
}

/* ---- adding ---- */

static int number(ds_net *n, const ds_lora_conf *c, ds_err *err)
{
    token_rows *t = &n->rows;

    t->ids = malloc(c->nrows * sizeof *t->ids);
    t->row = malloc((size_t)n->c.vocab * sizeof *t->row);
    if (!t->ids || !t->row)
        return ds_fail_nomem(err);
    memset(t->row, -1, (size_t)n->c.vocab * sizeof *t->row);
    for (size_t i = 0; i < c->nrows; i++) {
        if (c->rows[i] >= (uint32_t)n->c.vocab)
            return ds_fail(err, DS_FAIL,
                           "a trained token: id %" PRIu32 " is not in the model's vocabulary of %d",
                           c->rows[i], (int)n->c.vocab);
        if (t->row[c->rows[i]] >= 0)
            return ds_fail(err, DS_USAGE, "a trained token: id %" PRIu32 " is there twice",
                           c->rows[i]);
        t->row[c->rows[i]] = (int32_t)i;
        t->ids[i] = c->rows[i];
    }
    return 0;
}

static int add_param(ds_net *n, ds_param **p, const char *module, const ds_param *table,
                     const ds_lora_conf *c, ds_err *err)
{
    char name[128];

    snprintf(name, sizeof name, "%s" MARK, module);
    TRY(ds_params_add(&n->params, p, name, (int64_t)c->nrows, n->c.hidden, false, DS_KF32, err));
    TRY(copy_rows(n, table, (*p)->w, false, err));
    return c->rows_fixed ? 0 : ds_param_train(&n->params, *p, err);
}

static int set_ones(ds_net *n, size_t rows, ds_err *err)
{
    const size_t size = ds_kfmt_size(n->f), v = (size_t)n->c.vocab;
    const float whole = 1.0f;
    const uint16_t half = n->f == DS_KF32 ? 0 : ds_half_from(n->f, whole);
    const void *one = n->f == DS_KF32 ? (const void *)&whole : &half;
    token_rows *t = &n->rows;
    size_t count, bytes;

    if (!ds_mul_size(rows, v, &count) || !ds_mul_size(count, size, &bytes))
        return ds_fail_nomem(err);
    TRY(n->k->alloc(n->k, &t->ones, bytes, err));
    for (size_t i = 0; !n->k->paper && i < rows; i++)
        TRY(n->k->upload(n->k, (char *)t->ones + (i * v + t->ids[i]) * size, one, size, err));
    return 0;
}

int token_rows_add(ds_net *n, const ds_lora_conf *c, ds_err *err)
{
    token_rows *t = &n->rows;
    const bool tied = n->head == n->embed;

    if (!c->nrows || t->ids)
        return 0;
    TRY(number(n, c, err));
    TRY(add_param(n, &t->in, "model.embed_tokens", n->embed, c, err));
    if (!tied && !c->rows_in_only)
        TRY(add_param(n, &t->out, "lm_head", n->head, c, err));
    if (c->rows_fixed)
        return 0;
    if (tied)
        TRY(n->k->alloc(n->k, (void **)&t->looked_up, (size_t)ds_param_count(t->in) * 4, err));
    return tied || t->out ? set_ones(n, c->nrows, err) : 0;
}

void token_rows_fini(ds_net *n)
{
    token_rows *t = &n->rows;

    free(t->ids);
    free(t->row);
    if (t->ones)
        n->k->free(n->k, t->ones);
    if (t->looked_up)
        n->k->free(n->k, t->looked_up);
    memset(t, 0, sizeof *t);
}

/* ---- gradients ---- */

int token_rows_embed_back(ds_net *n, const void *dh, const int32_t *rows, int64_t t, ds_err *err)
{
    const token_rows *r = &n->rows;

    if (!r->in || !r->in->train)
        return 0;
    return n->k->embed_back(n->k, r->looked_up ? r->looked_up : r->in->g, dh, n->f, rows, t,
                            n->c.hidden, err);
}

int token_rows_head_back(ds_net *n, const void *dlogits, const void *y, int64_t m, ds_err *err)
{
    const token_rows *r = &n->rows;
    const ds_param *p = r->looked_up ? r->in : r->out;
    const int64_t d = n->c.hidden, v = n->c.vocab;
    size_t block, used = arena_mark(n, &block);
    ds_kernels *k = n->k;
    void *some;

    if (!p || !p->train)
        return 0;
    TRY(act_get(n, &some, m, p->rows, err));
    TRY(k->matmul(k, some, n->f, dlogits, n->f, false, r->ones, n->f, true, m, p->rows, v, 1.0f,
                  false, err));
    TRY(k->matmul(k, p->g, DS_KF32, some, n->f, true, y, n->f, false, p->rows, d, m, 1.0f, true,
                  err));
    arena_back(n, block, used);
    return 0;
}

int64_t token_rows_apart(const ds_net *n)
{
    return n->rows.looked_up ? ds_param_count(n->rows.in) * 4 : 0;
}

int token_rows_finish(ds_net *n, ds_err *err)
{
    const token_rows *r = &n->rows;

    if (!r->looked_up || !r->in->train)
        return 0;
    TRY(n->k->add(n->k, r->in->g, r->in->g, r->looked_up, 1.0f, DS_KF32, ds_param_count(r->in),
                  err));
    return n->k->zero(n->k, r->looked_up, (size_t)token_rows_apart(n), err);
}
