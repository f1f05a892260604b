/* The plan of a run against the run: bytes of weights, gradients, moments, masters and of a step at
 * each level of recomputation are those of a network that was made so; where experts choose, those
 * of a step within 5 %. */
#include "net_help.h"
#include "net_priv.h"
#include "optim.h"
#include "philox.h"
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
static int64_t step(ds_net *n, enum ds_recompute r)
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
    n->mem.peak = 0;
    if (ds_net_step(n, &b, 1.0f, true, r, loss, &err))
        fail_msg("%s", err.msg);
    return (int64_t)n->mem.peak;
}

static ds_plan_need made(ds_kernels *k, const ds_modelconf *m, enum ds_method method,
                         const ds_plan_conf *c)
{
    static const char *const all[] = {"*", NULL};
    ds_lora_conf lora = c->lora;
    ds_plan_need out = {0};
    ds_err err = {0};
    ds_net *n;

    lora.alpha = 8;
    lora.targets = lora.targets ? lora.targets : all;
    assert_int_equal(ds_net_new(&n, k, m, c->format, TOKENS, &err), 0);
    assert_int_equal(ds_net_init(n, 1, &err), 0);
    int rc = method == DS_METHOD_FULL   ? ds_net_train_full(n, c->only, &err)
             : method == DS_METHOD_LORA ? ds_net_add_lora(n, &lora, 1, &err)
                                        : ds_net_add_prompt(n, (int32_t)c->prompt, &err);
    rc = rc ? rc : ds_optim_prepare(ds_net_params(n), c->optim, &err);
    if (rc)
        fail_msg("%s", err.msg);
    for (int r = 0; r < DS_RECOMPUTES; r++)
        out.acts[r] = step(n, (enum ds_recompute)r);
    out.weights =
        (int64_t)n->positions * (n->c.arch == DS_DEEPSEEK_V2 ? n->c.qk_rope : n->c.head_dim) * 4;
    for (size_t i = 0; i < n->params.n; i++) {
        const ds_param *p = n->params.p[i];
        const int64_t count = ds_param_count(p), blocks = (count + DS_BLOCK8 - 1) / DS_BLOCK8;
        out.weights += count * (p->f == DS_KF32 ? 4 : 2) +
                       (strstr(p->name, "magnitude") ? count * 8 : 0); /* lengths beside */
        out.trained += p->train ? count : 0;
        out.grads +=
            p->train ? (count + 63) / 64 * 64 * 4 : 0; /* each from a multiple of 256 bytes on */
        out.masters += p->master ? count * 4 : 0;
        out.moments += p->m ? count * 8 : p->m8 ? 2 * count + 8 * blocks : 0;
    }
    out.grads += n->embed_g ? ds_param_count(n->embed) * 4 : 0;
    ds_net_free(n);
    return out;
}

static void check(const ds_modelconf *m, const ds_plan_need *want, const ds_plan_need *got, int i)
{
    assert_int_equal(want->trained, got->trained);
    assert_int_equal(want->weights, got->weights);
    assert_int_equal(want->grads, got->grads);
    assert_int_equal(want->masters, got->masters);
    assert_int_equal(want->moments, got->moments);
    for (int r = 0; r < DS_RECOMPUTES; r++) {
        const double off = (double)got->acts[r] / (double)want->acts[r] - 1;
        if (off > 0.05 || off < -0.05 ||
            (m->arch != DS_DEEPSEEK_V2 && got->acts[r] != want->acts[r]))
            fail_msg("arch %d, case %d, level %d: a step took %lld bytes, planned were %lld",
                     (int)m->arch, i, r, (long long)got->acts[r], (long long)want->acts[r]);
    }
}

/* Each level of recomputation takes less than the one that costs less time. */
static void check_levels(const ds_plan_need *n)
{
    for (int r = 1; r < DS_RECOMPUTES; r++)
        assert_true(n->acts[r] < n->acts[0]);
    assert_true(n->acts[DS_AGAIN_LAYER] < n->acts[DS_AGAIN_ATTENTION] &&
                n->acts[DS_AGAIN_LAYER] < n->acts[DS_AGAIN_MLP]);
}

static void a_plan_is_what_is_made(void **state)
{
    static const enum ds_method methods[] = {DS_METHOD_FULL, DS_METHOD_LORA, DS_METHOD_LORA,
                                             DS_METHOD_PROMPT};
    static const char *const some[] = {"o_proj", "*.1.*.down_proj", NULL};
    ds_kernels *k;
    ds_err err = {0};

    (void)state;
    assert_int_equal(ds_kernels_cpu(&k, 1, NULL, &err), 0);
    for (int arch = 0; arch < 3; arch++)
        for (int i = 0; i < 4 * 4; i++) {
            const ds_modelconf m = shape_of((enum ds_arch)arch);
            const ds_plan_conf c = {.rows = 1,
                                    .seq_len = TOKENS,
                                    .format = i & 4 ? DS_KBF16 : DS_KF32,
                                    .optim = !(i & 4) == !(i & 8) ? DS_ADAMW8 : DS_ADAMW,
                                    .lora = {.r = 8,
                                             .dora = i % 4 == 2,
                                             .dropout = i & 8 ? 0.1 : 0,
                                             .targets = i & 8 ? some : NULL},
                                    .prompt = 70};
            ds_plan_need want;
            const ds_plan_need got = made(k, &m, methods[i % 4], &c);
            assert_int_equal(ds_plan_count(&want, &m, methods[i % 4], &c, &err), 0);
            check(&m, &want, &got, i);
            check_levels(&want);
        }
    k->close(k);
}

/* Layers below the lowest that is trained keep nothing. */
static void what_is_not_gone_back_through_is_not_kept(void **state)
{
    static const char *const top[] = {"model.layers.7.*", NULL};
    ds_modelconf m = shape_of(DS_LLAMA);
    const ds_plan_conf c = {.rows = 1, .seq_len = TOKENS, .only = top},
                       all = {.rows = 1, .seq_len = TOKENS};
    ds_plan_need want, whole;
    ds_kernels *k;
    ds_err err = {0};

    (void)state;
    m.layers = 8;
    assert_int_equal(ds_kernels_cpu(&k, 1, NULL, &err), 0);
    const ds_plan_need got = made(k, &m, DS_METHOD_FULL, &c);
    assert_int_equal(ds_plan_count(&want, &m, DS_METHOD_FULL, &c, &err), 0);
    assert_int_equal(ds_plan_count(&whole, &m, DS_METHOD_FULL, &all, &err), 0);
    check(&m, &want, &got, 0);
    assert_true(want.acts[0] < whole.acts[0] / 2 && want.grads < whole.grads / 2);
    k->close(k);
}

/* The cheapest level at which a run fits is taken, and a higher rank where one fits at all. */
static void the_cheapest_level_that_fits(void **state)
{
    const ds_modelconf m = shape_of(DS_LLAMA);
    ds_plan_conf c = {
        .rows = 1, .seq_len = TOKENS, .prompt = 8, .auto_recompute = true, .lora = {.r = 8}};
    ds_plan_need n;
    ds_plan_advice v;
    ds_err err = {0};

    (void)state;
    assert_int_equal(ds_plan_count(&n, &m, DS_METHOD_LORA, &c, &err), 0);
    for (int r = 0; r < DS_RECOMPUTES; r++) {
        const int64_t memory = (ds_plan_sum(&n, (enum ds_recompute)r) + 16) * 10 / 9;
        enum ds_recompute got;
        assert_true(ds_plan_fits(&n, &c, memory, &got));
        assert_int_equal(got, r);
        assert_int_equal(ds_plan_advise(&v, &m, &c, 1000, memory, &err), 0);
        assert_int_equal(v.method, DS_METHOD_LORA);
        assert_int_equal(v.recompute, r);
    }
    c.auto_recompute = false; /* none, then: and nothing is recomputed to make it fit */
    assert_int_not_equal(
        ds_plan_advise(&v, &m, &c, 1000, ds_plan_sum(&n, DS_AGAIN_LAYER) * 10 / 9, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_is_what_is_made),
        cmocka_unit_test(what_is_not_gone_back_through_is_not_kept),
        cmocka_unit_test(the_cheapest_level_that_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
