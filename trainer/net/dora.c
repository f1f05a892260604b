/* dora.c - weights by direction and magnitude (Liu et al. 2024), as peft computes them: the lengths
 * of the rows of W + s B A are constants of a pass. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net_priv.h"

/* W + s B A in f32, in the step's memory. */
static int whole(ds_net *n, const linear *l, float **v, ds_err *err)
{
    ds_kernels *k = n->k;
    const int64_t out = l->w->rows, in = l->w->cols;

    TRY(arena_get(n, (void **)v, (size_t)(out * in) * 4, err));
    TRY(k->convert(k, *v, DS_KF32, l->w->w, l->w->f, out * in, err));
    return k->matmul(k, *v, DS_KF32, l->lb->w, l->lb->f, false, l->la->w, l->la->f, false, out, in,
                     l->la->rows, l->s, true, err);
}

static int measure(ds_net *n, const linear *l, ds_err *err)
{
    size_t block, used = arena_mark(n, &block);
    float *v;
    int rc = whole(n, l, &v, err);

    rc =
        rc ? rc : n->k->row_norm(n->k, l->norm, l->gain, l->mag->w, v, l->w->rows, l->w->cols, err);
    arena_back(n, block, used);
    return rc;
}

int dora_add(ds_net *n, linear *l, ds_err *err)
{
    const int64_t out = l->w->rows;
    const int base = (int)(strlen(l->w->name) - strlen(".weight"));
    char name[224];
    float *host;
    int rc;

    snprintf(name, sizeof name, "%.*s.lora_magnitude_vector", base, l->w->name);
    TRY(ds_params_add(&n->params, &l->mag, name, 1, out, true, DS_KF32, err));
    TRY(n->k->alloc(n->k, (void **)&l->norm, (size_t)out * 4, err));
    TRY(n->k->alloc(n->k, (void **)&l->gain, (size_t)out * 4, err));
    n->dora = true;
    TRY(measure(n, l, err));
    host = malloc((size_t)out * sizeof *host);
    rc = host ? n->k->download(n->k, host, l->norm, (size_t)out * 4, err) : ds_fail_nomem(err);
    rc = rc ? rc : ds_param_set(&n->params, l->mag, host, err);
    free(host);
    return rc ? rc : ds_param_train(&n->params, l->mag, err);
}

int dora_refresh(ds_net *n, ds_err *err)
{
    linear *l;

    for (int32_t i = 0; n->dora && i < n->c.layers; i++)
        for (int32_t j = 0; (l = net_linear(n, &n->layers[i], j)); j++)
            if (l->mag)
                TRY(measure(n, l, err));
    return 0;
}

void dora_fini(ds_net *n)
{
    linear *l;

    for (int32_t i = 0; n->dora && i < n->c.layers; i++)
        for (int32_t j = 0; (l = net_linear(n, &n->layers[i], j)); j++) {
            n->k->free(n->k, l->norm);
            n->k->free(n->k, l->gain);
        }
}
