/* The network: gradients of every parameter against finite differences, for LLaMA, Qwen2 and
 * DeepSeek-V2 shapes, full, LoRA and prompt tuning; packing and micro-batches that change nothing,
 * bit for bit; saving and loading. */
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hash.h"
#include "net_help.h"
#include "optim.h"
#include "philox.h"
#include "rotary.h"

static double total(ds_net *n, void *batch)
{
    const ds_netbatch *b = batch;
    float loss[T];
    double sum = 0;
    ds_err err = {0};

    if (ds_net_step(n, b, 1.0f, false, DS_AGAIN_NONE, loss, &err))
        fail_msg("%s", err.msg);
    for (int i = 0; i < b->t; i++)
        sum += (double)loss[i];
    return sum;
}

/* Along a random direction the loss must change as the gradient says: one number for each
 * parameter. */
static void check_gradients(ds_net *n, const ds_netbatch *b)
{
    ds_params *s = ds_net_params(n);
    ds_netbatch batch = *b;
    float loss[T];
    ds_err err = {0};
    int trained = 0;

    for (int r = DS_AGAIN_NONE; r <= DS_AGAIN_LAYER; r += DS_AGAIN_LAYER) {
        for (size_t i = 0; i < s->n; i++)
            if (s->p[i]->g)
                s->k->zero(s->k, s->p[i]->g, (size_t)ds_param_count(s->p[i]) * 4, &err);
        assert_int_equal(ds_net_step(n, b, 1.0f, true, (enum ds_recompute)r, loss, &err), 0);
        assert_int_equal(ds_net_finish_grads(n, &err), 0);
        for (size_t i = 0; i < s->n; i++) {
            if (!s->p[i]->train)
                continue;
            check_slope(n, total, &batch, i, 2);
            trained++;
        }
    }
    assert_true(trained > 0);
}

static ds_net *make_of(ds_kernels *k, const ds_modelconf *c)
{
    ds_net *n;
    ds_err err = {0};

    if (ds_modelconf_check(c, &err) || ds_net_new(&n, k, c, DS_KF32, 64, &err) ||
        ds_net_init(n, 3, &err))
        fail_msg("%s", err.msg);
    return n;
}

/* used: experts of a token. All of them where differences are taken: a choice that tips over is a
 * jump. */
static ds_net *make_used(ds_kernels *k, enum ds_arch arch, int32_t used)
{
    ds_modelconf c = small(arch);

    c.experts_used = used;
    return make_of(k, &c);
}

static ds_net *make(ds_kernels *k, enum ds_arch arch)
{
    return make_used(k, arch, 2);
}

static ds_kernels *cpu(void)
{
    ds_kernels *k;
    ds_err err = {0};
    assert_int_equal(ds_kernels_cpu(&k, 2, NULL, &err), 0);
    return k;
}

static void full_gradients(void **state)
{
    ds_kernels *k = cpu();
    ds_err err = {0};
    fixture f;

    (void)state;
    fill(&f, 53);
    for (int arch = 0; arch < 3; arch++) {
        ds_net *n = make_used(k, (enum ds_arch)arch, 5);
        assert_int_equal(ds_net_train_full(n, NULL, &err), 0);
        check_gradients(n, &f.b);
        ds_net_free(n);
    }
    k->close(k);
}

/* Shapes at the edge of what configurations may say. */
enum { ONE_KV_HEAD, ALL_EXPERTS, EVERY_OTHER, NO_LORA, NO_SHARED, NORMALISED, SHAPES };

static ds_modelconf edge_shape(int i)
{
    ds_modelconf c = small(i == ONE_KV_HEAD ? DS_LLAMA : DS_DEEPSEEK_V2);

    c.experts_used = c.experts;
    if (i == ONE_KV_HEAD) {
        c.kv_heads = 1;
        c.qkv_bias = c.o_bias = c.mlp_bias = true;
    } else if (i == ALL_EXPERTS) {
        c.first_dense = 0;
    } else if (i == EVERY_OTHER) {
        c.first_dense = 0;
        c.moe_every = 2;
    } else if (i == NO_LORA) {
        c.q_lora = 0;
        c.tied = true;
    } else if (i == NO_SHARED) {
        c.shared_experts = 0;
    } else {
        c.norm_topk = true;
        c.experts = 1 + c.experts % 2;
        c.experts_used = c.experts;
    }
    return c;
}

static void gradients_of_edge_shapes(void **state)
{
    ds_kernels *k = cpu();
    ds_err err = {0};
    fixture f;

    (void)state;
    fill(&f, 53);
    for (int i = 0; i < SHAPES; i++) {
        const ds_modelconf c = edge_shape(i);
        ds_net *n = make_of(k, &c);
        assert_int_equal(ds_net_train_full(n, NULL, &err), 0);
        check_gradients(n, &f.b);
        ds_net_free(n);
    }
    k->close(k);
}

/* Losses of a model with so many experts a token. */
static void routed_losses(float loss[T], int32_t used, bool norm, float scale)
{
    ds_modelconf c = small(DS_DEEPSEEK_V2);
    ds_kernels *k = cpu();
    ds_err err = {0};
    fixture f;

    c.experts_used = used;
    c.norm_topk = norm;
    c.routed_scale = scale;
    fill(&f, 53);
    ds_net *n = make_of(k, &c);
    assert_int_equal(ds_net_step(n, &f.b, 1.0f, false, DS_AGAIN_NONE, loss, &err), 0);
    ds_net_free(n);
    k->close(k);
}

/* As DeepSeek-V2 has it: what is normalised is not scaled, and one expert's weight is scaled. */
static void weights_are_normalised_or_scaled(void **state)
{
    float both[T], norm[T], scale[T], neither[T];

    (void)state;
    for (int32_t used = 1; used < 4; used++) {
        routed_losses(both, used, true, 1.5f);
        routed_losses(norm, used, true, 1.0f);
        routed_losses(scale, used, false, 1.5f);
        routed_losses(neither, used, false, 1.0f);
        assert_memory_equal(both, used > 1 ? norm : scale, sizeof both);
        assert_memory_not_equal(norm, scale, sizeof norm);
        assert_memory_not_equal(scale, neither, sizeof scale);
        if (used == 1)
            assert_memory_equal(norm, neither, sizeof norm);
        else
            assert_memory_not_equal(norm, neither, sizeof norm);
    }
}

/* Tokens whose rows are trained. */
static const uint32_t ROWS[] = {17, 2, 3, 40};

static void lora_and_prompt_gradients(void **state)
{
    static const char *const gqa[] = {"q_proj", "v_proj", "*mlp.down_proj", NULL};
    static const char *const mla[] = {"q_a_proj", "kv_b_proj", "o_proj", "*.experts.1.up_proj",
                                      NULL};
    ds_kernels *k = cpu();
    ds_err err = {0};
    fixture f;

    (void)state;
    fill(&f, 53);
    for (int arch = 0; arch < 3; arch++) {
        const ds_lora_conf c = {
            .r = 3, .alpha = 6, .targets = arch == 2 ? mla : gqa, .rows = ROWS, .nrows = 4};
        ds_net *n = make_used(k, (enum ds_arch)arch, 5);
        ds_params *s = ds_net_params(n);
        assert_int_equal(ds_net_add_lora(n, &c, 9, &err), 0);
        assert_int_equal(ds_net_add_prompt(n, 2, &err), 0);
        for (size_t i = 0; i < s->n; i++) /* B begins at zero, where A has no gradient */
            if (strstr(s->p[i]->name, "lora_B") || !strcmp(s->p[i]->name, "prompt_embeddings"))
                assert_int_equal(ds_param_normal(s, s->p[i], 0.2f, 8, &err), 0);
        f.ids[0] = 53;
        f.ids[1] = 54;
        f.ids[9] = 53;
        check_gradients(n, &f.b);
        fill(&f, 53);
        ds_net_free(n);
    }
    k->close(k);
}

/* DoRA's lengths are constants to A and B, so that differences tell of the magnitudes alone. */
static void magnitude_gradients(void **state)
{
    static const char *const targets[] = {"q_proj", "o_proj", "kv_b_proj", "*mlp.down_proj", NULL};
    const ds_lora_conf c = {.r = 3, .alpha = 6, .dora = true, .targets = targets};
    ds_kernels *k = cpu();
    ds_err err = {0};
    fixture f;

    (void)state;
    fill(&f, 53);
    for (int arch = 0; arch < 3; arch++) {
        ds_net *n = make_used(k, (enum ds_arch)arch, 5);
        ds_params *s = ds_net_params(n);
        const double base = total(n, &f.b);
        assert_int_equal(ds_net_add_lora(n, &c, 9, &err), 0);
        assert_true(fabs(total(n, &f.b) - base) < 1e-4); /* magnitudes begin as the lengths */
        for (size_t i = 0; i < s->n; i++)
            if (strstr(s->p[i]->name, "lora_A") || strstr(s->p[i]->name, "lora_B")) {
                assert_int_equal(ds_param_normal(s, s->p[i], 0.2f, 8, &err), 0);
                s->p[i]->train = false;
            }
        check_gradients(n, &f.b);
        ds_net_free(n);
    }
    k->close(k);
}

static void merging_keeps_the_function_of(bool dora)
{
    static const char *const targets[] = {"q_proj", "up_proj", NULL};
    const ds_lora_conf c = {.r = 3, .alpha = 6, .rslora = true, .dora = dora, .targets = targets};
    ds_kernels *k = cpu();
    ds_net *n = make(k, DS_QWEN2);
    ds_params *s = ds_net_params(n);
    ds_err err = {0};
    fixture f;

    fill(&f, 53);
    const double base = total(n, &f.b);
    assert_int_equal(ds_net_add_lora(n, &c, 9, &err), 0);
    assert_true(fabs(total(n, &f.b) - base) <= (dora ? 1e-4 : 0)); /* B is zero */
    for (size_t i = 0; i < s->n; i++)
        if (strstr(s->p[i]->name, "lora_B"))
            assert_int_equal(ds_param_normal(s, s->p[i], 0.2f, 8, &err), 0);
    const double adapted = total(n, &f.b);
    assert_int_equal(ds_net_merge_lora(n, &err), 0);
    assert_true(fabs(total(n, &f.b) - adapted) < 1e-4 && fabs(adapted - base) > 1e-3);
    ds_net_free(n);
    k->close(k);
}

static void merging_keeps_the_function(void **state)
{
    (void)state;
    merging_keeps_the_function_of(false);
    merging_keeps_the_function_of(true);
}

/* The three sequences packed, or one after the other with gradients added up: the same losses and
 * the same gradients, every bit. */
static void micro_batches_change_no_bit(void **state)
{
    static const char *const targets[] = {"q_proj", "o_proj", "gate_proj", NULL};
    ds_lora_conf c = {
        .r = 4, .alpha = 4, .dropout = 0.3, .targets = targets, .rows = ROWS, .nrows = 4};
    ds_kernels *k = cpu();
    ds_err err = {0};
    fixture f;

    (void)state;
    fill(&f, 53);
    for (int arch = 0; arch < 3; arch++)
        for (int lora = 0; lora < 3; lora++) {
            ds_net *a = make(k, (enum ds_arch)arch), *b = make(k, (enum ds_arch)arch);
            ds_net *both[] = {a, b};
            float whole[T], parts[T];
            c.dora = lora == 2;
            for (int i = 0; i < 2; i++) {
                if (lora)
                    assert_int_equal(ds_net_add_lora(both[i], &c, 9, &err), 0);
                else
                    assert_int_equal(ds_net_train_full(both[i], NULL, &err), 0);
            }
            assert_int_equal(ds_net_step(a, &f.b, 0.1f, true, DS_AGAIN_NONE, whole, &err), 0);
            for (int s = 0; s < 3; s++) {
                const int32_t cu[] = {0, CU[s + 1] - CU[s]};
                const int at = CU[s];
                const ds_netbatch one = {.t = cu[1],
                                         .ids = f.ids + at,
                                         .pos = f.pos + at,
                                         .target = f.target + at,
                                         .weight = f.weight + at,
                                         .seqs = {cu, 1},
                                         .seed = 5,
                                         .step = 1,
                                         .first_token = (uint64_t)at};
                assert_int_equal(ds_net_step(b, &one, 0.1f, true, DS_AGAIN_LAYER, parts + at, &err),
                                 0);
            }
            assert_memory_equal(whole, parts, sizeof whole);
            for (int i = 0; i < 2; i++)
                assert_int_equal(ds_net_finish_grads(both[i], &err), 0);
            for (size_t i = 0; i < ds_net_params(a)->n; i++) {
                const ds_param *p = ds_net_params(a)->p[i], *q = ds_net_params(b)->p[i];
                if (p->g && memcmp(p->g, q->g, (size_t)ds_param_count(p) * 4))
                    fail_msg("architecture %d: gradient of %s differs", arch, p->name);
            }
            ds_net_free(a);
            ds_net_free(b);
        }
    k->close(k);
}

/* What is computed again on the way back has the bits that were not kept: the same losses and
 * gradients at every level, with dropout, of experts and of dense layers, also where the way back
 * ends above the lowest layer. */
static void recomputation_changes_no_bit(void **state)
{
    static const char *const targets[] = {"q_proj", "kv_b_proj", "o_proj", "gate_proj", NULL},
                             *const above[] = {"model.layers.1.*", "model.layers.2.mlp.*", NULL};
    ds_lora_conf c = {.r = 4, .alpha = 4, .dropout = 0.3, .targets = targets};
    ds_kernels *k = cpu();
    ds_err err = {0};
    fixture f;

    (void)state;
    fill(&f, 53);
    for (int i = 0; i < 3 * 4; i++) {
        ds_net *n[DS_RECOMPUTES];
        float loss[DS_RECOMPUTES][T];
        for (int r = 0; r < DS_RECOMPUTES; r++) {
            n[r] = make(k, (enum ds_arch)(i / 4));
            c.dora = i % 4 == 3;
            assert_int_equal(i % 4 < 2 ? ds_net_train_full(n[r], i % 4 ? above : NULL, &err)
                                       : ds_net_add_lora(n[r], &c, 9, &err),
                             0);
            if (ds_net_step(n[r], &f.b, 0.1f, true, (enum ds_recompute)r, loss[r], &err) ||
                ds_net_finish_grads(n[r], &err))
                fail_msg("%s", err.msg);
        }
        for (int r = 1; r < DS_RECOMPUTES; r++) {
            assert_memory_equal(loss[0], loss[r], sizeof loss[0]);
            for (size_t j = 0; j < ds_net_params(n[0])->n; j++) {
                const ds_param *p = ds_net_params(n[0])->p[j], *q = ds_net_params(n[r])->p[j];
                if (p->g && memcmp(p->g, q->g, (size_t)ds_param_count(p) * 4))
                    fail_msg("case %d: gradient of %s differs with '%s'", i, p->name,
                             ds_recompute_name((enum ds_recompute)r));
            }
            ds_net_free(n[r]);
        }
        ds_net_free(n[0]);
    }
    k->close(k);
}

static void frozen_layers_are_left_alone(void **state)
{
    static const char *const only[] = {"model.layers.2.mlp.*", NULL}, *const none[] = {"nothing*",
                                                                                       NULL};
    ds_kernels *k = cpu();
    ds_net *n = make(k, DS_LLAMA);
    ds_err err = {0};
    int64_t all;
    fixture f;

    (void)state;
    fill(&f, 53);
    assert_int_equal(ds_net_train_full(n, none, &err), DS_USAGE);
    err.code = 0;
    assert_int_equal(ds_net_train_full(n, only, &err), 0);
    assert_int_equal(ds_net_trained(n, &all), 3 * 24 * 40);
    assert_true(all > 3 * 24 * 40);
    check_gradients(n, &f.b);
    ds_net_free(n);
    k->close(k);
}

/* A text fed in pieces has the logits of the whole, bit for bit. */
static void a_text_goes_on(void **state)
{
    enum { LEN = 53 }; /* longer than a strip of queries */
    ds_err err = {0};

    (void)state;
    for (int arch = 0; arch < 3; arch++)
        for (int f = 0; f < 3; f++) {
            static const float tol[] = {1e-5f, 0.05f, 0.01f}; /* of enum ds_kfmt */
            const ds_modelconf c = small((enum ds_arch)arch);
            ds_kernels *k;
            ds_net *n;
            ds_kvcache *cache;
            int32_t ids[LEN], pos[LEN], zero[LEN] = {0};
            float weight[LEN] = {0}, whole[53], next[53];
            static const int cut[] = {5, 6, 7, 30, 31, 50, 53};
            assert_int_equal(ds_kernels_cpu(&k, 2, NULL, &err), 0);
            assert_int_equal(ds_net_new(&n, k, &c, (enum ds_kfmt)f, 64, &err), 0);
            assert_int_equal(ds_net_init(n, 3, &err), 0);
            assert_int_equal(ds_kvcache_new(&cache, n, LEN, &err), 0);
            for (int i = 0; i < LEN; i++) {
                ids[i] = (int32_t)(ds_philox(4, 5, (uint64_t)i) % 53);
                pos[i] = i;
            }
            for (int i = 0, from = 0; i < 7; from = cut[i++]) {
                const int32_t cu[2] = {0, cut[i]}, last = cut[i] - 1;
                const ds_netbatch b = {.t = cut[i],
                                       .ids = ids,
                                       .pos = pos,
                                       .target = zero,
                                       .weight = weight,
                                       .seqs = {cu, 1}};
                assert_int_equal(ds_net_logits(n, &b, &last, 1, whole, &err), 0);
                if (ds_net_next(n, cache, ids + from, cut[i] - from, next, &err))
                    fail_msg("%s", err.msg);
                float off = 0, most = 0;
                for (int v = 0; v < 53; v++) {
                    off = fmaxf(off, fabsf(whole[v] - next[v]));
                    most = fmaxf(most, fabsf(whole[v]));
                }
                if (arch == DS_DEEPSEEK_V2 && i > 0) /* other sums: net.h */
                    assert_true(off <= tol[f] * most);
                else
                    assert_memory_equal(whole, next, sizeof whole);
            }
            assert_int_equal(ds_net_next(n, cache, ids, 1, next, &err), DS_FAIL); /* full */
            ds_kvcache_free(cache);
            ds_net_free(n);
            k->close(k);
        }
}

/* All weights after the gradients became an update, and its norm; 0 or what went wrong. */
static int updated(ds_net *n, const ds_lossscale *scale, double *norm, ds_sha *sum, ds_err *err)
{
    const ds_optim_conf c = {.lr = 1e-2,
                             .steps = 9,
                             .beta1 = 0.9,
                             .beta2 = 0.99,
                             .eps = 1e-8,
                             .decay = 0.1,
                             .clip = 0.05};
    ds_params *s = ds_net_params(n);
    ds_buf all = {0};
    const int rc = ds_optim_step(s, &c, 3, scale, norm, err);

    for (size_t i = 0; i < s->n; i++) {
        float *x;
        assert_int_equal(ds_param_get(s, s->p[i], &x, err), 0);
        assert_int_equal(ds_buf_put(&all, x, (size_t)ds_param_count(s->p[i]) * sizeof *x), 0);
        free(x);
    }
    assert_int_equal(ds_sha_bytes(sum, all.data, all.len, err), 0);
    ds_buf_fini(&all);
    return rc;
}

/* Gradients of a loss times a power of two, divided by it, are those of the loss; in f32 to the
 * bit. Those that are no numbers change nothing. */
static void a_loss_scale_changes_no_bit(void **state)
{
    const ds_lossscale much = {.scale = 65536};
    ds_kernels *k = cpu();
    ds_err err = {0};
    ds_sha sum[4];
    double norm[4];
    float loss[T];
    fixture f;

    (void)state;
    fill(&f, 53);
    for (int arch = 0; arch < 3; arch++) {
        ds_net *n[2];
        for (int i = 0; i < 2; i++) {
            n[i] = make(k, (enum ds_arch)arch);
            assert_int_equal(ds_net_train_full(n[i], NULL, &err), 0);
            assert_int_equal(ds_optim_prepare(ds_net_params(n[i]), DS_ADAMW, &err), 0);
            assert_int_equal(ds_net_step(n[i], &f.b, i ? 0.125f * 65536 : 0.125f, true,
                                         DS_AGAIN_NONE, loss, &err),
                             0);
            assert_int_equal(ds_net_finish_grads(n[i], &err), 0);
            assert_int_equal(updated(n[i], i ? &much : NULL, &norm[i], &sum[i], &err), 0);
        }
        assert_true(norm[0] > 0.05 && norm[0] == norm[1]); /* it was clipped */
        assert_true(ds_sha_eq(&sum[0], &sum[1]));
        ds_params_zero(ds_net_params(n[0]), &err);
        for (int i = 2; i < 4; i++) {
            ds_net_params(n[0])->p[1]->g[5] = NAN;
            assert_int_equal(updated(n[0], i > 2 ? &much : NULL, &norm[i], &sum[i], &err), 0);
            assert_true(isinf(norm[i]) && ds_sha_eq(&sum[0], &sum[i]));
            assert_true(ds_net_params(n[0])->p[1]->g[5] == 0.0f);
        }
        for (int i = 0; i < 2; i++)
            ds_net_free(n[i]);
    }
    k->close(k);
}

static void saved_and_loaded(void **state)
{
    char dir[] = "/tmp/ds-net-XXXXXX", path[64];
    ds_kernels *k = cpu();
    ds_err err = {0};
    fixture f;

    (void)state;
    fill(&f, 53);
    assert_non_null(mkdtemp(dir));
    for (int arch = 0; arch < 3; arch++) {
        ds_net *n = make(k, (enum ds_arch)arch), *m;
        ds_modelconf c;
        if (ds_net_save(n, dir, &err) || ds_modelconf_read(&c, dir, &err) ||
            ds_net_new(&m, k, &c, DS_KF32, 64, &err) || ds_net_load(m, dir, &err))
            fail_msg("%s", err.msg);
        assert_true(total(n, &f.b) == total(m, &f.b));
        ds_modelconf_fini(&c);
        ds_net_free(n);
        ds_net_free(m);
    }
    snprintf(path, sizeof path, "%s/config.json", dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    unlink(path);
    rmdir(dir);
    k->close(k);
}

/* Shapes that the arithmetic has no room for, and scalings without a frequency. */
static void configurations_that_are_refused(void **state)
{
    ds_modelconf c = small(DS_DEEPSEEK_V2);
    float cs[8];
    ds_err err = {0};

    (void)state;
    assert_int_equal(ds_modelconf_check(&c, &err), 0);
    c.kv_heads = 1;
    assert_int_equal(ds_modelconf_check(&c, &err), DS_FAIL);
    assert_non_null(strstr(err.msg, "1 kv heads of 4: latent attention"));
    c = small(DS_LLAMA);
    c.rope = DS_ROPE_LINEAR;
    c.rope_factor = 4;
    err.code = 0;
    assert_int_equal(ds_rope_table(cs, &c, 4, 2, &err), 0);
    c.rope_factor = 1e-40; /* of which no f32 has the inverse */
    assert_int_equal(ds_rope_table(cs, &c, 4, 2, &err), DS_FAIL);
    assert_non_null(strstr(err.msg, "leave no frequency for pair 0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_gradients),
        cmocka_unit_test(gradients_of_edge_shapes),
        cmocka_unit_test(weights_are_normalised_or_scaled),
        cmocka_unit_test(lora_and_prompt_gradients),
        cmocka_unit_test(magnitude_gradients),
        cmocka_unit_test(merging_keeps_the_function),
        cmocka_unit_test(micro_batches_change_no_bit),
        cmocka_unit_test(recomputation_changes_no_bit),
        cmocka_unit_test(frozen_layers_are_left_alone),
        cmocka_unit_test(a_text_goes_on),
        cmocka_unit_test(a_loss_scale_changes_no_bit),
        cmocka_unit_test(saved_and_loaded),
        cmocka_unit_test(configurations_that_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
