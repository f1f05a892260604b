/* net_help.h - what the tests of the network share: a batch of packed sequences, and models of each
 * architecture that are small enough for differences. */
#ifndef DS_NET_HELP_H
#define DS_NET_HELP_H

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

#endif
