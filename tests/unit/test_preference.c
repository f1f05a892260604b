/* Preference tuning: losses of pairs and their slopes, the network's gradients of them against
 * finite differences, and the model that its adapters were put on. */
#include <math.h>
#include <string.h>

#include "loader.h"
#include "net_help.h"
#include "pairpass.h"

/* ---- losses ---- */

static double loss_of(const ds_pref_conf *c, const ds_pref_answer a[2])
{
    double sums[DS_PREF_SUMS] = {0}, slope[2];

    ds_pref_pair(c, a, sums, slope);
    return sums[DS_PREF_LOSS];
}

static void near(double a, double b, double within)
{
    if (!(fabs(a - b) <= within))
        fail_msg("%.17g and %.17g", a, b);
}

static void losses_are_those_of_the_papers(void **state)
{
    const ds_pref_answer same[2] = {{-8, -8, 4}, {-9, -9, 5}}, won[2] = {{-5, -8, 4}, {-11, -9, 5}};
    ds_pref_conf c = {.kind = DS_PREF_DPO, .beta = 0.1};
    double sums[DS_PREF_SUMS] = {0}, slope[2];

    (void)state;
    near(loss_of(&c, same), log(2.0), 1e-15);
    near(loss_of(&c, won), log(1 + exp(-0.5)), 1e-15);
    c.smoothing = 0.2;
    near(loss_of(&c, won), 0.8 * log(1 + exp(-0.5)) + 0.2 * log(1 + exp(0.5)), 1e-15);
    c = (ds_pref_conf){.kind = DS_PREF_HINGE, .beta = 0.1};
    near(loss_of(&c, won), 0.5, 1e-15);
    c.beta = 0.2;
    near(loss_of(&c, won), 0, 0);
    c = (ds_pref_conf){.kind = DS_PREF_IPO, .beta = 0.5};
    near(loss_of(&c, won), (0.75 + 0.4 - 1) * (0.75 + 0.4 - 1), 1e-15);
    c.alpha = 0.5;
    near(loss_of(&c, won), (0.75 + 0.4 - 1) * (0.75 + 0.4 - 1) + 0.5 * 1.25, 1e-15);
    c.alpha = 0;
    ds_pref_pair(&c, won, sums, slope);
    ds_pref_pair(&c, same, sums, slope);
    near(sums[DS_PREF_CHOSEN], 1.5, 1e-15);
    near(sums[DS_PREF_REJECTED], -1, 1e-15);
    near(sums[DS_PREF_RIGHT], 1, 0); /* alike is not right */
    near(sums[DS_PREF_LOGP_CHOSEN], -13, 1e-15);
    near(sums[DS_PREF_LOGP_REJECTED], -20, 1e-15);
}

static void losses_without_a_model_before(void **state)
{
    const ds_pref_answer a[2] = {{-5, 0, 4}, {-11, 0, 5}};
    const ds_pref_answer sure[2] = {{-1e-300, 0, 4}, {-800, 0, 1}};
    const double odds[2] = {exp(-1.25) / (1 - exp(-1.25)), exp(-2.2) / (1 - exp(-2.2))};
    ds_pref_conf c = {.kind = DS_PREF_SIMPO, .beta = 2, .gamma = 0.5};
    double sums[DS_PREF_SUMS] = {0}, slope[2];

    (void)state;
    near(loss_of(&c, a), log(1 + exp(-(2 * (2.2 - 1.25) - 0.5))), 1e-15);
    c = (ds_pref_conf){.kind = DS_PREF_ORPO, .beta = 0.1};
    ds_pref_pair(&c, a, sums, slope);
    near(sums[DS_PREF_LOSS], 1.25 + 0.1 * log(1 + odds[1] / odds[0]), 1e-15);
    near(sums[DS_PREF_NLL], 1.25, 0);
    near(sums[DS_PREF_ODDS], log(odds[0] / odds[1]), 1e-14);
    near(sums[DS_PREF_RATIO], -log(1 + odds[1] / odds[0]), 1e-15);
    near(sums[DS_PREF_CHOSEN], -0.125, 1e-15);
    near(sums[DS_PREF_LOGP_REJECTED], -2.2, 1e-15);
    /* an answer that is certain, and one that is impossible */
    ds_pref_pair(&c, sure, sums, slope);
    assert_true(isfinite(sums[DS_PREF_LOSS]) && isfinite(slope[0]) && isfinite(slope[1]));
    /* f32 has no loss for what is nearer to 1 than 2^-25: it is 0 */
    for (int i = 0; i < 9; i++) {
        const ds_pref_answer certain[2] = {{i / 3 - 2, 0, 1}, {i % 3 - 2, 0, 1}};
        ds_pref_pair(&c, certain, sums, slope);
        for (int j = 0; j < DS_PREF_SUMS; j++)
            assert_true(isfinite(sums[j]));
        assert_true(slope[0] >= 1 && slope[1] < 0 && slope[0] - slope[1] < 1e7);
    }
    near(loss_of(&c, (ds_pref_answer[2]){{0, 0, 1}, {0, 0, 1}}), 0.1 * log(2.0), 1e-15);
    near(loss_of(&c, (ds_pref_answer[2]){{-1, 0, 1}, {0, 0, 1}}),
         1 + 0.1 * (1 + 25 * log(2.0) + log(1 - exp(-1.0))), 1e-7);
}

/* Also where one answer is all but certain, and nothing overflows. */
static void slopes_are_differences_of_losses(void **state)
{
    static const ds_pref_conf confs[] = {
        {DS_PREF_DPO, 0.1, 0, 0, 0},   {DS_PREF_DPO, 2, 0.3, 0, 0.5},
        {DS_PREF_IPO, 0.1, 0, 0, 0},   {DS_PREF_HINGE, 0.05, 0, 0, 2},
        {DS_PREF_SIMPO, 2, 0, 0.5, 0}, {DS_PREF_SIMPO, 2, 0.1, 1, 1},
        {DS_PREF_ORPO, 0.1, 0, 0, 0},  {DS_PREF_ORPO, 2, 0, 0, 0}};
    static const double gains[][2] = {{0, 0}, {3, -2}, {-400, 500}, {800, -700}, {1e-9, 2e-9}};

    (void)state;
    for (size_t i = 0; i < sizeof confs / sizeof *confs; i++)
        for (size_t g = 0; g < sizeof gains / sizeof *gains; g++)
            for (int side = 0; side < 2; side++) {
                ds_pref_answer a[2] = {{gains[g][0] - 50, -50, 7}, {gains[g][1] - 60, -60, 9}};
                if (!ds_pref_compares(&confs[i])) /* a logarithm is below 0 */
                    for (int j = 0; j < 2; j++)
                        a[j].logp = -fabs(a[j].logp) / 100;
                double sums[DS_PREF_SUMS] = {0}, slope[2];
                ds_pref_pair(&confs[i], a, sums, slope);
                assert_true(isfinite(sums[DS_PREF_LOSS]));
                const double was = a[side].logp, h = 1e-4;
                a[side].logp = was - h;
                const double up = loss_of(&confs[i], a);
                a[side].logp = was + h;
                near(slope[side], (up - loss_of(&confs[i], a)) / (2 * h), 1e-6 * (1 + fabs(up)));
            }
}

static void no_number_is_told(void **state)
{
    static const enum ds_pref_kind kinds[] = {DS_PREF_DPO, DS_PREF_IPO, DS_PREF_HINGE,
                                              DS_PREF_SIMPO, DS_PREF_ORPO};
    const ds_pref_answer a[2] = {{(double)NAN, -1, 1}, {-1, -1, 1}};

    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        assert_false(isfinite(loss_of(&(ds_pref_conf){.kind = kinds[i], .beta = 0.1}, a)));
}

static void described_and_back(void **state)
{
    const ds_pref_conf c = {DS_PREF_SIMPO, 0.25, 0.125, 0.75, 2};
    json_t *o = json_object(), *bad;
    ds_pref_conf back;
    ds_err err = {0};

    (void)state;
    assert_int_equal(ds_pref_described(&back, o, &err), 0);
    assert_int_equal(back.kind, DS_PREF_NONE);
    assert_int_equal(ds_pref_describe(o, &c, &err), 0);
    assert_int_equal(ds_pref_described(&back, o, &err), 0);
    assert_true(back.kind == c.kind && back.beta == c.beta && back.smoothing == c.smoothing);
    assert_true(back.gamma == c.gamma && back.alpha == c.alpha);
    json_decref(o);
    bad = json_pack("{s:{s:s, s:f}}", "preference", "loss", "kto", "beta", 0.1);
    assert_int_equal(ds_pref_described(&back, bad, &err), DS_CORRUPT);
    json_decref(bad);
}

/* ---- through a network ---- */

/* Two pairs and what is none. */
static const int32_t SEQS[] = {0, 7, 12, 16, 21, 24};
static const uint8_t SIDE[] = {DS_SIDE_CHOSEN, DS_SIDE_REJECTED, DS_SIDE_CHOSEN, DS_SIDE_REJECTED,
                               DS_SIDE_NONE};

static void fill_pairs(fixture *f)
{
    fill(f, 53);
    for (int s = 0; s < 5; s++)
        for (int i = SEQS[s]; i < SEQS[s + 1]; i++)
            f->pos[i] = i - SEQS[s];
    f->b.seqs = (ds_kseqs){SEQS, 5};
}

static ds_kernels *cpu(void)
{
    ds_kernels *k;
    ds_err err = {0};

    assert_int_equal(ds_kernels_cpu(&k, 2, NULL, &err), 0);
    return k;
}

static ds_net *plain(ds_kernels *k, enum ds_arch arch, int32_t used)
{
    ds_modelconf c = small(arch);
    ds_net *n = NULL;
    ds_err err = {0};

    c.experts_used = used;
    if (ds_modelconf_check(&c, &err) || ds_net_new(&n, k, &c, DS_KF32, 32, &err) ||
        ds_net_init(n, 7, &err))
        fail_msg("%s", err.msg);
    return n;
}

/* used: experts of a token. */
static ds_net *make(ds_kernels *k, enum ds_arch arch, int32_t used, bool dora)
{
    static const char *const targets[] = {"q_proj", "o_proj", "kv_b_proj", "up_proj", NULL};
    const ds_lora_conf c = {.r = 3, .alpha = 6, .dora = dora, .dropout = 0.2, .targets = targets};
    ds_net *n = plain(k, arch, used);
    ds_err err = {0};

    assert_int_equal(ds_net_add_lora(n, &c, 9, &err), 0);
    for (size_t i = 0; i < ds_net_params(n)->n; i++)
        if (strstr(ds_net_params(n)->p[i]->name, "lora_B"))
            assert_int_equal(
                ds_param_normal(ds_net_params(n), ds_net_params(n)->p[i], 0.2f, 8, &err), 0);
    return n;
}

typedef struct compared {
    ds_pairpass pass;
    const fixture *f;
    const ds_pref_conf *c;
} compared;

/* As in training, dropout and all, and no way back. */
static double total(ds_net *n, void *ctx)
{
    compared *x = ctx;
    double sums[DS_PREF_SUMS] = {0}, slope[2];
    float base[T], loss[T];
    ds_err err = {0};

    if (ds_net_look(n, &x->f->b, base, &err) ||
        ds_net_ahead(n, &x->f->b, 1.0f, DS_AGAIN_NONE, loss, &err))
        fail_msg("%s", err.msg);
    for (int s = 0; SIDE[s] != DS_SIDE_NONE; s += 2) {
        ds_pref_answer a[2] = {{.logp = 0}, {.logp = 0}};
        for (int i = SEQS[s]; i < SEQS[s + 2]; i++) {
            ds_pref_answer *of = &a[i >= SEQS[s + 1]];
            of->logp -= (double)loss[i];
            of->base -= (double)base[i];
            of->targets += x->f->b.weight[i] != 0.0f;
        }
        ds_pref_pair(x->c, a, sums, slope);
    }
    return sums[DS_PREF_LOSS];
}

/* A step in two parts has the bits of a step that knew the weights, whatever it keeps. */
static void in_two_parts(ds_net *n, const fixture *f, const ds_pref_conf *c, ds_pairpass *pass)
{
    ds_params *s = ds_net_params(n);
    const size_t bytes = s->ngrads * sizeof *s->grads;
    float *parts = malloc(bytes), loss[T], apart[T];
    double sums[DS_PREF_SUMS];
    ds_netbatch b = f->b;
    ds_err err = {0};

    assert_non_null(parts);
    for (int r = 0; r < DS_RECOMPUTES; r++) {
        memset(sums, 0, sizeof sums);
        assert_int_equal(ds_params_zero(s, &err), 0);
        assert_int_equal(
            ds_pairpass_step(pass, n, &b, SIDE, c, 0.25f, (enum ds_recompute)r, sums, &err), 0);
        assert_int_equal(ds_net_finish_grads(n, &err), 0);
        memcpy(parts, s->grads, bytes);
        memcpy(apart, pass->loss, sizeof apart);
        b.weight = pass->weight;
        assert_int_equal(ds_params_zero(s, &err), 0);
        assert_int_equal(ds_net_step(n, &b, 0.25f, true, (enum ds_recompute)r, loss, &err), 0);
        assert_int_equal(ds_net_finish_grads(n, &err), 0);
        assert_memory_equal(parts, s->grads, bytes);
        assert_memory_equal(apart, loss, sizeof loss);
        b.weight = f->b.weight;
    }
    free(parts);
}

/* Dropout and all: the same one in both passes. */
static void gradients_of(ds_net *n, const fixture *f, const ds_pref_conf *c)
{
    ds_params *s = ds_net_params(n);
    compared x = {.f = f, .c = c};
    double sums[DS_PREF_SUMS] = {0};
    int trained = 0;
    ds_err err = {0};

    in_two_parts(n, f, c, &x.pass);
    assert_int_equal(ds_params_zero(s, &err), 0);
    assert_int_equal(ds_pairpass_step(&x.pass, n, &f->b, SIDE, c, 1.0f, DS_AGAIN_MLP, sums, &err),
                     0);
    assert_true(sums[DS_PREF_LOSS] == total(n, &x));
    assert_int_equal(ds_net_finish_grads(n, &err), 0);
    for (size_t i = 0; i < s->n; i++) {
        if (!s->p[i]->train)
            continue;
        check_slope(n, total, &x, i, 0.5);
        trained++;
    }
    assert_true(trained > 0);
    ds_pairpass_fini(&x.pass);
}

static void gradients_are_those_of_the_loss(void **state)
{
    static const ds_pref_conf confs[] = {
        {DS_PREF_DPO, 0.5, 0.1, 0, 0.5}, {DS_PREF_IPO, 0.5, 0, 0, 0}, {DS_PREF_ORPO, 0.5, 0, 0, 0}};
    ds_kernels *k = cpu();
    fixture f;

    (void)state;
    fill_pairs(&f);
    for (int arch = 0; arch < 3; arch++) {
        ds_net *n = make(k, (enum ds_arch)arch, 5, false);
        gradients_of(n, &f, &confs[arch]);
        ds_net_free(n);
    }
    k->close(k);
}

/* Full fine-tuning: to the weights that were kept, to the bit, and by them to the gradients. */
static void kept_weights_are_the_model_before(void **state)
{
    static const ds_pref_conf dpo = {DS_PREF_DPO, 0.5, 0, 0, 0};
    ds_kernels *k = cpu();
    float base[T], was[T], now[T];
    ds_err err = {0};
    fixture f;

    (void)state;
    fill_pairs(&f);
    for (int arch = 0; arch < 3; arch++) {
        ds_net *n = plain(k, (enum ds_arch)arch, 5);
        ds_params *s = ds_net_params(n);
        assert_int_equal(ds_net_train_full(n, NULL, &err), 0);
        assert_int_equal(ds_net_keep_before(n, false, &err), 0);
        assert_int_equal(ds_net_step(n, &f.b, 1.0f, false, DS_AGAIN_NONE, was, &err), 0);
        for (size_t i = 0; i < s->n; i++) {
            float *w, *d = kh_fill(300 + i, ds_param_count(s->p[i]));
            assert_int_equal(ds_param_get(s, s->p[i], &w, &err), 0);
            for (int64_t e = 0; e < ds_param_count(s->p[i]); e++)
                w[e] += 0.02f * d[e];
            assert_int_equal(ds_param_set(s, s->p[i], w, &err), 0);
            free(w);
            free(d);
        }
        assert_int_equal(ds_net_ahead(n, &f.b, 1.0f, DS_AGAIN_NONE, now, &err), 0);
        assert_int_equal(ds_net_look(n, &f.b, base, &err), 0);
        assert_memory_equal(base, was, sizeof base);
        assert_memory_not_equal(base, now, sizeof base);
        gradients_of(n, &f, &dpo);
        ds_net_free(n);
    }
    k->close(k);
}

/* To the bit, experts and magnitudes included, and the adapters are in their places afterwards. */
static void without_adapters_it_is_the_model_before(void **state)
{
    ds_kernels *k = cpu();
    float base[T], alone[T], before[T], after[T];
    ds_err err = {0};
    fixture f;

    (void)state;
    fill_pairs(&f);
    for (int arch = 0; arch < 3; arch++)
        for (int dora = 0; dora < 2; dora++) {
            ds_net *n = make(k, (enum ds_arch)arch, 2, dora),
                   *old = plain(k, (enum ds_arch)arch, 2);
            assert_int_equal(ds_net_step(old, &f.b, 1.0f, false, DS_AGAIN_NONE, alone, &err), 0);
            assert_int_equal(ds_net_ahead(n, &f.b, 1.0f, DS_AGAIN_NONE, before, &err), 0);
            assert_int_equal(ds_net_look(n, &f.b, base, &err), 0);
            assert_int_equal(ds_net_ahead(n, &f.b, 1.0f, DS_AGAIN_NONE, after, &err), 0);
            assert_memory_equal(base, alone, sizeof base);
            assert_memory_equal(before, after, sizeof before);
            assert_memory_not_equal(base, before, sizeof base);
            /* what a step with gradients computes of it */
            assert_int_equal(ds_net_step(n, &f.b, 1.0f, true, DS_AGAIN_LAYER, after, &err), 0);
            assert_memory_equal(before, after, sizeof before);
            ds_net_free(old);
            ds_net_free(n);
        }
    k->close(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_are_those_of_the_papers),
        cmocka_unit_test(losses_without_a_model_before),
        cmocka_unit_test(slopes_are_differences_of_losses),
        cmocka_unit_test(no_number_is_told),
        cmocka_unit_test(described_and_back),
        cmocka_unit_test(gradients_are_those_of_the_loss),
        cmocka_unit_test(kept_weights_are_the_model_before),
        cmocka_unit_test(without_adapters_it_is_the_model_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
