/* linear.c - a projection with its optional adapter (Hu et al. 2021), and the memory of a step. */
#include <stdlib.h>
#include <string.h>

#include "net_priv.h"

/* ---- memory of a step ---- */

#define BLOCK ((size_t)64 << 20)

static int add_block(ds_net *n, size_t size, ds_err *err)
{
    arena *a = &n->mem;

    if (a->n == a->cap) {
        const size_t cap = a->cap ? a->cap * 2 : 8;
        void **b = realloc(a->block, cap * sizeof *b);
        if (!b)
            return ds_fail_nomem(err);
        a->block = b;
        size_t *z = realloc(a->size, cap * sizeof *z);
        if (!z)
            return ds_fail_nomem(err);
        a->size = z;
        z = realloc(a->left, cap * sizeof *z);
        if (!z)
            return ds_fail_nomem(err);
        a->left = z;
        a->cap = cap;
    }
    TRY(n->k->alloc(n->k, &a->block[a->n], size, err));
    a->size[a->n] = size;
    a->cur = a->n++;
    a->used = 0;
    return 0;
}

int ds_net_reserve(ds_net *n, size_t bytes, ds_err *err)
{
    return n->mem.n ? 0 : add_block(n, bytes, err);
}

/* The next block of at least `bytes` after the current one, allocated when there is none. */
static int next_block(ds_net *n, size_t bytes, ds_err *err)
{
    arena *a = &n->mem;

    if (a->n)
        a->left[a->cur] = a->used;
    for (size_t i = a->n ? a->cur + 1 : 0; i < a->n; i++) {
        if (a->size[i] >= bytes) {
            a->cur = i;
            a->used = 0;
            return 0;
        }
        a->left[i] = 0;
    }
    return add_block(n, bytes > BLOCK ? bytes : BLOCK, err);
}

int arena_get(ds_net *n, void **p, size_t bytes, ds_err *err)
{
    arena *a = &n->mem;

    bytes = (bytes + 63) & ~(size_t)63;
    if (a->n == 0 || a->size[a->cur] - a->used < bytes)
        TRY(next_block(n, bytes, err));
    *p = (char *)a->block[a->cur] + a->used;
    a->used += bytes;
    size_t sum = a->used;
    for (size_t i = 0; i < a->cur; i++)
        sum += a->left[i];
    a->peak = sum > a->peak ? sum : a->peak;
    return 0;
}

size_t arena_mark(const ds_net *n, size_t *block)
{
    *block = n->mem.cur;
    return n->mem.used;
}

void arena_back(ds_net *n, size_t block, size_t used)
{
    n->mem.cur = block;
    n->mem.used = used;
}

void arena_fini(ds_net *n)
{
    while (n->mem.n > 0)
        n->k->free(n->k, n->mem.block[--n->mem.n]);
    free(n->mem.block);
    free(n->mem.size);
    free(n->mem.left);
    memset(&n->mem, 0, sizeof n->mem);
}

/* ---- the projection ---- */

/* y = dropout(x) of t rows. Elements are keyed by their place in the global batch. */
static int drop(ds_net *n, const linear *l, void *y, const void *x, int64_t t, ds_err *err)
{
    return n->k->dropout(n->k, y, x, n->f, t, l->w->cols, l->drop, &n->step, l->id, err);
}

/* dropout(x), or x itself where there is none. */
static int dropped(ds_net *n, const linear *l, const void *x, int64_t t, const void **out,
                   ds_err *err)
{
    void *y;

    *out = x;
    if (!n->dropout || l->drop == 0.0f)
        return 0;
    TRY(act_get(n, &y, t, l->w->cols, err));
    *out = y;
    return drop(n, l, y, x, t, err);
}

/* Is dropout made on the way into the product with A? DoRA needs dropout(x) for W too. */
static bool drops_there(const ds_net *n, const linear *l)
{
    return n->k->dropout_matmul && n->dropout && l->drop > 0.0f && !l->mag && n->f != DS_KF32 &&
           l->w->cols % 8 == 0;
}

/* s * A x, rounded to the adapter's format; drop: of dropout(x), where drops_there. */
static int lora_down(ds_net *n, const linear *l, const void *x, bool drop, int64_t t, void **xa,
                     ds_err *err)
{
    const int64_t r = l->la->rows, in = l->w->cols;

    TRY(arena_get(n, xa, (size_t)(t * r) * ds_kfmt_size(l->la->f), err));
    if (drops_there(n, l))
        return n->k->dropout_matmul(n->k, *xa, x, l->la->w, n->f, t, r, in, l->s,
                                    drop ? l->drop : 0.0f, &n->step, l->id, err);
    return n->k->matmul(n->k, *xa, l->la->f, x, n->f, false, l->la->w, l->la->f, true, t, r, in,
                        l->s, false, err);
}

/* y = W xd + B xa (+ b) in one chain. */
static int lora_up(ds_net *n, const linear *l, const void *xd, const void *xa, const ds_param *b,
                   int64_t t, void *y, ds_err *err)
{
    const ds_kterm term[2] = {{xd, l->w->w, l->w->cols}, {xa, l->lb->w, l->la->rows}};

    return n->k->linear(n->k, y, n->f, term, b ? b->w : NULL, t, l->w->rows, err);
}

/* DoRA: y = gain . (W xd + B xa), plus W (x - xd) where dropout took something away. */
static int dora_fwd(ds_net *n, const linear *l, const void *x, const void *xd, const void *xa,
                    int64_t t, void *y, ds_err *err)
{
    ds_kernels *k = n->k;
    const int64_t in = l->w->cols, out = l->w->rows;
    void *z, *lost;

    if (xd == x) {
        TRY(lora_up(n, l, x, xa, NULL, t, y, err));
        return k->scale_cols(k, y, y, l->gain, n->f, t, out, false, err);
    }
    TRY(act_get(n, &lost, t, in, err));
    TRY(act_get(n, &z, t, out, err));
    TRY(k->add(k, lost, x, xd, -1.0f, n->f, t * in, err));
    TRY(k->matmul(k, y, n->f, lost, n->f, false, l->w->w, l->w->f, true, t, out, in, 1.0f, false,
                  err));
    TRY(lora_up(n, l, xd, xa, NULL, t, z, err));
    return k->scale_cols(k, y, z, l->gain, n->f, t, out, true, err);
}

int lin_fwd(ds_net *n, const linear *l, const void *x, int64_t t, void *y, ds_err *err)
{
    const ds_kterm plain[2] = {{x, l->w->w, l->w->cols}, {.k = 0}};
    const int64_t out = l->w->rows;
    size_t block, used = arena_mark(n, &block);
    ds_kernels *k = n->k;
    const bool there = drops_there(n, l);
    const void *xd = x;
    void *xa;

    if (!l->la)
        return k->linear(k, y, n->f, plain, l->b ? l->b->w : NULL, t, out, err);
    if (!there)
        TRY(dropped(n, l, x, t, &xd, err));
    k->hold(k, xd);
    TRY(lora_down(n, l, xd, there, t, &xa, err));
    TRY(l->mag ? dora_fwd(n, l, x, xd, xa, t, y, err) : lora_up(n, l, x, xa, l->b, t, y, err));
    k->release(k, xd);
    arena_back(n, block, used);
    return l->mag && l->b ? k->bias(k, y, l->b->w, n->f, t, out, err) : 0;
}

/* What goes back through the dropout of x: dx += dropout'(dz W + da A [- dy W]). dy NULL: W saw x
 * itself, and that part is in dx already, as da A alone is what is left. */
static int back_dropped(ds_net *n, const linear *l, const void *dy, const void *dz, const void *da,
                        int64_t t, void *dx, ds_err *err)
{
    ds_kernels *k = n->k;
    const int64_t in = l->w->cols, out = l->w->rows, r = l->la->rows;
    void *dxd, *whole;

    TRY(act_get(n, &dxd, t, in, err));
    if (!dy) {
        TRY(k->matmul(k, dxd, n->f, da, l->la->f, false, l->la->w, l->la->f, false, t, in, r, 1.0f,
                      false, err));
    } else {
        const ds_kterm term[2] = {{dz, l->w->w, out}, {da, l->la->w, r}};
        TRY(act_get(n, &whole, t, in, err));
        TRY(k->matmul(k, whole, n->f, dy, n->f, false, l->w->w, l->w->f, false, t, in, out, 1.0f,
                      false, err));
        TRY(k->matmul2(k, dxd, n->f, n->f, false, term, t, in, false, err));
        TRY(k->add(k, dxd, dxd, whole, -1.0f, n->f, t * in, err));
    }
    TRY(drop(n, l, dxd, dxd, t, err));
    return k->add(k, dx, dx, dxd, 1.0f, n->f, t * in, err);
}

/* DoRA: the magnitude's gradient; *dz = gain . dy. */
static int dora_back(ds_net *n, const linear *l, const void *dy, const void *xd, const void *xa,
                     int64_t t, void **dz, ds_err *err)
{
    const int64_t out = l->w->rows;
    void *z;

    TRY(act_get(n, dz, t, out, err));
    if (l->mag->train) {
        TRY(act_get(n, &z, t, out, err));
        TRY(lora_up(n, l, xd, xa, NULL, t, z, err));
        TRY(n->k->col_dot(n->k, l->mag->g, dy, z, l->norm, n->f, t, out, err));
    }
    return n->k->scale_cols(n->k, *dz, dy, l->gain, n->f, t, out, false, err);
}

/* Gradients of the adapter, and dx (+)= dz W + dropout'(s dz B A), in one chain where there is no
 * dropout. */
static int lora_back(ds_net *n, const linear *l, const void *dy, const void *x, int64_t t, void *dx,
                     bool accumulate, ds_err *err)
{
    ds_kernels *k = n->k;
    const int64_t in = l->w->cols, out = l->w->rows, r = l->la->rows;
    const enum ds_kfmt fa = l->la->f;
    const void *xd, *dz = dy;
    void *xa, *da, *scaled;

    TRY(dropped(n, l, x, t, &xd, err));
    TRY(lora_down(n, l, xd, false, t, &xa, err));
    if (l->mag) {
        TRY(dora_back(n, l, dy, xd, xa, t, &scaled, err));
        dz = scaled;
    }
    TRY(arena_get(n, &da, (size_t)(t * r) * ds_kfmt_size(fa), err));
    k->hold(k, dz);
    TRY(k->matmul(k, da, fa, dz, n->f, false, l->lb->w, fa, false, t, r, out, l->s, false, err));
    if (l->lb->train)
        TRY(k->matmul(k, l->lb->g, DS_KF32, dz, n->f, true, xa, fa, false, out, r, t, 1.0f, true,
                      err));
    if (l->la->train)
        TRY(k->matmul(k, l->la->g, DS_KF32, da, fa, true, xd, n->f, false, r, in, t, 1.0f, true,
                      err));
    if (dx && xd == x) {
        const ds_kterm term[2] = {{dz, l->w->w, out}, {da, l->la->w, r}};
        TRY(k->matmul2(k, dx, n->f, n->f, false, term, t, in, accumulate, err));
    } else if (dx) {
        TRY(k->matmul(k, dx, n->f, dy, n->f, false, l->w->w, l->w->f, false, t, in, out, 1.0f,
                      accumulate, err));
        TRY(back_dropped(n, l, l->mag ? dy : NULL, dz, da, t, dx, err));
    }
    k->release(k, dz);
    return 0;
}

int lin_back(ds_net *n, const linear *l, const void *dy, const void *x, int64_t t, void *dx,
             bool accumulate, ds_err *err)
{
    ds_kernels *k = n->k;
    const int64_t in = l->w->cols, out = l->w->rows;
    const bool bias = l->b && l->b->train;
    size_t block, used = arena_mark(n, &block);

    if (l->w->train && bias)
        TRY(k->linear_back(k, l->w->g, l->b->g, dy, x, n->f, t, out, in, err));
    else if (l->w->train)
        TRY(k->matmul(k, l->w->g, DS_KF32, dy, n->f, true, x, n->f, false, out, in, t, 1.0f, true,
                      err));
    else if (bias)
        TRY(k->bias_back(k, l->b->g, dy, n->f, t, out, err));
    if (l->la)
        TRY(lora_back(n, l, dy, x, t, dx, accumulate, err));
    else if (dx)
        TRY(k->matmul(k, dx, n->f, dy, n->f, false, l->w->w, l->w->f, false, t, in, out, 1.0f,
                      accumulate, err));
    arena_back(n, block, used);
    return 0;
}
