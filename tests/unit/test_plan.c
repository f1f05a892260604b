/* The plan of a run against the run: bytes of weights, gradients, moments and masters are those of
 * a network that was made so; the memory of a step is what a step took, within 5 %. */
#include "net_help.h"
#include "net_priv.h"
#include "optim.h"
#include "plan.h"

enum { TOKENS = 512 };

static ds_modelconf shape_of(enum ds_arch arch)
{
    ds_modelconf c = small(arch);

    c.hidden = 64;
    c.ffn = 176;
    c.head_dim = 16;
    c.vocab = 300;
    c.tied = arch == DS_QWEN2;
    if (arch == DS_DEEPSEEK_V2)
        c.moe_ffn = 48;
    return c;
}

/* One step over one sequence; what it took at most. */
static int64_t step(ds_net *n, bool recompute)
{
    static const int32_t cu[] = {0, TOKENS};
    static int32_t ids[TOKENS], pos[TOKENS], target[TOKENS];
    static float weight[TOKENS], loss[TOKENS];
    ds_err err = {0};

    for (int i = 0; i < TOKENS; i++) {
        ids[i] = (int32_t)(ds_philox(1, 2, (uint64_t)i) % 300);
        target[i] = (int32_t)(ds_philox(1, 3, (uint64_t)i) % 300);
        pos[i] = i;
        weight[i] = 1;
    }
    const ds_netbatch b = {.t = TOKENS,
                           .ids = ids,
                           .pos = pos,
                           .target = target,
                           .weight = weight,
                           .seqs = {cu, 1},
                           .seed = 5,
                           .step = 1};
    if (ds_net_step(n, &b, 1.0f, true, recompute, loss, &err))
        fail_msg("%s", err.msg);
    return (int64_t)n->mem.peak;
}

static ds_plan_need made(ds_kernels *k, const ds_modelconf *m, enum ds_method method,
                         const ds_plan_conf *c)
{
    static const char *const targets[] = {"*", NULL};
    const ds_lora_conf lora = {
        .r = (int32_t)c->rank, .alpha = 8, .dora = c->dora, .targets = targets};
    ds_plan_need out = {0};
    ds_err err = {0};
    ds_net *n;

    assert_int_equal(ds_net_new(&n, k, m, c->format, TOKENS, &err), 0);
    assert_int_equal(ds_net_init(n, 1, &err), 0);
    int rc = method == DS_METHOD_FULL   ? ds_net_train_full(n, NULL, &err)
             : method == DS_METHOD_LORA ? ds_net_add_lora(n, &lora, 1, &err)
                                        : ds_net_add_prompt(n, (int32_t)c->prompt, &err);
    rc = rc ? rc : ds_optim_prepare(ds_net_params(n), c->optim, &err);
    if (rc)
        fail_msg("%s", err.msg);
    out.acts = step(n, c->recompute);
    for (size_t i = 0; i < n->params.n; i++) {
        const ds_param *p = n->params.p[i];
        const int64_t count = ds_param_count(p), blocks = (count + DS_BLOCK8 - 1) / DS_BLOCK8;
        out.weights += count * (p->f == DS_KF32 ? 4 : 2) +
                       (strstr(p->name, "magnitude") ? count * 8 : 0); /* lengths beside */
        out.trained += p->train ? count : 0;
        out.grads += p->g ? count * 4 : 0;
        out.masters += p->master ? count * 4 : 0;
        out.moments += p->m ? count * 8 : p->m8 ? 2 * count + 8 * blocks : 0;
    }
    out.grads += n->embed_g ? ds_param_count(n->embed) * 4 : 0;
    ds_net_free(n);
    return out;
}

static void a_plan_is_what_is_made(void **state)
{
    static const enum ds_method methods[] = {DS_METHOD_FULL, DS_METHOD_LORA, DS_METHOD_LORA,
                                             DS_METHOD_PROMPT};
    ds_kernels *k;
    ds_err err = {0};

    (void)state;
    assert_int_equal(ds_kernels_cpu(&k, 1, NULL, &err), 0);
    for (int arch = 0; arch < 3; arch++)
        for (int i = 0; i < 4 * 8; i++) {
            const ds_modelconf m = shape_of((enum ds_arch)arch);
            const ds_plan_conf c = {.tokens = TOKENS,
                                    .format = i & 4 ? DS_KBF16 : DS_KF32,
                                    .recompute = i & 8,
                                    .dora = i % 4 == 2,
                                    .optim = i & 16 ? DS_ADAMW8 : DS_ADAMW,
                                    .rank = 8,
                                    .prompt = 70};
            ds_plan_need want;
            const ds_plan_need got = made(k, &m, methods[i % 4], &c);
            ds_plan_count(&want, &m, methods[i % 4], &c);
            assert_int_equal(want.trained, got.trained);
            assert_int_equal(want.weights, got.weights);
            assert_int_equal(want.grads, got.grads);
            assert_int_equal(want.masters, got.masters);
            assert_int_equal(want.moments, got.moments);
            const double off = (double)got.acts / (double)want.acts - 1;
            if (off > 0.05 || off < -0.05)
                fail_msg("arch %d, case %d: a step took %lld bytes, planned were %lld", arch, i,
                         (long long)got.acts, (long long)want.acts);
        }
    k->close(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_plan_is_what_is_made)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
