/* net_help.h - what the tests of the network share: a batch of packed sequences, and models of each
 * architecture that are small enough for differences. */
#ifndef DS_NET_HELP_H
#define DS_NET_HELP_H

#include <math.h>

#include "kern_help.h"
#include "net.h"
#include "philox.h"

#define T 24
static const int32_t CU[] = {0, 9, 10, 24};

typedef struct fixture {
    int32_t ids[T], pos[T], target[T];
    float weight[T];
    ds_netbatch b;
} fixture;

static inline void fill(fixture *f, int32_t vocab)
{
    for (int s = 0; s < 3; s++)
        for (int i = CU[s]; i < CU[s + 1]; i++) {
            f->ids[i] = (int32_t)(ds_philox(1, 2, (uint64_t)i) % (uint32_t)vocab);
            f->target[i] = (int32_t)(ds_philox(1, 3, (uint64_t)i) % (uint32_t)vocab);
            f->pos[i] = i - CU[s];
            f->weight[i] = i % 4 == 3 ? 0.0f : 1.0f;
        }
    f->b = (ds_netbatch){.t = T,
                         .ids = f->ids,
                         .pos = f->pos,
                         .target = f->target,
                         .weight = f->weight,
                         .seqs = {CU, 3},
                         .seed = 5,
                         .step = 1};
}

static inline ds_modelconf small(enum ds_arch arch)
{
    ds_modelconf c;
    ds_err err = {0};

    assert_int_equal(ds_modelconf_preset(&c, arch, "tiny", 53, &err), 0);
    c.hidden = 24;
    c.ffn = 40;
    c.layers = 3;
    c.heads = 4;
    c.kv_heads = arch == DS_DEEPSEEK_V2 ? 4 : 2;
    c.head_dim = 6;
    c.init_range = 0.2f;
    if (arch == DS_DEEPSEEK_V2) {
        c.q_lora = 10;
        c.kv_lora = 12;
        c.qk_nope = 6;
        c.qk_rope = 4;
        c.v_dim = 5;
        c.experts = 5;
        c.experts_used = 2;
        c.moe_ffn = 14;
        c.routed_scale = 1.5f;
    }
    return c;
}

/* The loss of a network as it is. */
typedef double (*loss_fn)(ds_net *n, void *ctx);

/* (loss(w + h d) - loss(w - h d)) / 2h, extrapolated over h and h/2: the term in h^2 cancels. */
static inline double slope(ds_net *n, loss_fn total, void *ctx, ds_param *p, const float *w,
                           const float *d)
{
    const int64_t count = ds_param_count(p);
    ds_params *s = ds_net_params(n);
    float *x = kh_zeros(count);
    double at[2];
    ds_err err = {0};

    for (int half = 0; half < 2; half++) {
        const double h = half ? 2e-4 : 4e-4;
        double sum = 0;
        for (int side = -1; side <= 1; side += 2) {
            for (int64_t e = 0; e < count; e++)
                x[e] = w[e] + (float)(side * h) * d[e];
            assert_int_equal(ds_param_set(s, p, x, &err), 0);
            sum += side * total(n, ctx);
        }
        at[half] = sum / (2 * h);
    }
    assert_int_equal(ds_param_set(s, p, w, &err), 0);
    free(x);
    return (4 * at[1] - at[0]) / 3;
}

/* The gradient of parameter i, along a line, against that slope. */
static inline void check_slope(ds_net *n, loss_fn total, void *ctx, size_t i, double slack)
{
    ds_params *s = ds_net_params(n);
    ds_param *p = s->p[i];
    const int64_t count = ds_param_count(p);
    float *w, *d = kh_fill(100 + i, count);
    double want = 0, norm = 0;
    ds_err err = {0};

    assert_int_equal(ds_param_get(s, p, &w, &err), 0);
    for (int64_t e = 0; e < count; e++) {
        want += (double)p->g[e] * (double)d[e];
        norm += (double)p->g[e] * (double)p->g[e];
    }
    const double got = slope(n, total, ctx, p, w, d);
    if (!(fabs(got - want) < 0.02 * (sqrt(norm) + slack)))
        fail_msg("%s: gradient %g (norm %g), difference %g", p->name, want, sqrt(norm), got);
    free(w);
    free(d);
}

#endif
