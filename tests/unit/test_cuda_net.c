/* The whole network on the CUDA backend beside the CPU's: losses, gradients and a text that goes
 * on, for LLaMA, Qwen2 and DeepSeek-V2 shapes, full, LoRA, DoRA and prompt tuning, f32, bf16 and
 * f16.
 * Under emulation the host cannot touch device memory, so a pointer that the trainer follows itself
 * is found here. With DS_TEST_DEVICE=cuda on the device.
 */
#include <math.h>

#include "cuda_help.h"
#include "net_help.h"

static float *gradient(ds_params *s, const ds_param *p)
{
    const size_t bytes = (size_t)ds_param_count(p) * 4;
    float *g = malloc(bytes);
    ds_err err = {0};

    assert_non_null(g);
    ok(s->k->download(s->k, g, p->g, bytes, &err), &err, "download");
    return g;
}

/* Gradients of both, by the length of their difference. */
static void compare_gradients(ds_net *n[2], double tol)
{
    ds_params *s[2] = {ds_net_params(n[0]), ds_net_params(n[1])};
    double largest = 0;
    int trained = 0;

    for (int look = 0; look < 2; look++)
        for (size_t i = 0; i < s[0]->n; i++) {
            const ds_param *p = s[0]->p[i];
            double length = 0, apart = 0;
            if (!p->train)
                continue;
            float *a = gradient(s[0], p), *b = gradient(s[1], s[1]->p[i]);
            for (int64_t e = 0; e < ds_param_count(p); e++) {
                length += (double)a[e] * (double)a[e];
                apart += ((double)a[e] - (double)b[e]) * ((double)a[e] - (double)b[e]);
            }
            largest = sqrt(length) > largest ? sqrt(length) : largest;
            if (look && !(sqrt(apart) <= tol * (sqrt(length) + 0.05 * largest)))
                fail_msg("%s: gradients %g apart, of length %g", p->name, sqrt(apart),
                         sqrt(length));
            trained += look;
            free(a);
            free(b);
        }
    assert_true(trained > 0);
}

static void both_step(ds_net *n[2], const fixture *f, bool recompute, double tol)
{
    float loss[2][T];
    ds_err err = {0};

    for (int s = 0; s < 2; s++) {
        ds_params *all = ds_net_params(n[s]);
        for (size_t i = 0; i < all->n; i++)
            if (all->p[i]->g)
                ok(K[s]->zero(K[s], all->p[i]->g, (size_t)ds_param_count(all->p[i]) * 4, &err),
                   &err, "zero");
        ok(ds_net_step(n[s], &f->b, 0.25f, true, recompute, loss[s], &err), &err, "step");
        ok(ds_net_finish_grads(n[s], &err), &err, "gradients");
    }
    for (int i = 0; i < T; i++)
        if (!(fabsf(loss[0][i] - loss[1][i]) <= (float)tol * (1 + fabsf(loss[0][i]))))
            fail_msg("loss of token %d: %g, the CPU has %g", i, (double)loss[1][i],
                     (double)loss[0][i]);
    compare_gradients(n, 10 * tol);
}

static void make_both(ds_net *n[2], enum ds_arch arch, enum ds_kfmt f)
{
    const ds_modelconf c = small(arch);
    ds_err err = {0};

    for (int s = 0; s < 2; s++) {
        ok(ds_net_new(&n[s], K[s], &c, f, 64, &err), &err, "net");
        ok(ds_net_init(n[s], 3, &err), &err, "init");
    }
}

static void free_both(ds_net *n[2])
{
    ds_net_free(n[0]);
    ds_net_free(n[1]);
}

static void full(void **state)
{
    ds_err err = {0};
    fixture f;

    (void)state;
    fill(&f, 53);
    for (int i = 0; i < 9; i += SOME) {
        static const double tol[] = {2e-5, 0.03, 0.004}; /* of enum ds_kfmt */
        ds_net *n[2];
        make_both(n, (enum ds_arch)(i / 3), (enum ds_kfmt)(i % 3));
        for (int s = 0; s < 2; s++)
            ok(ds_net_train_full(n[s], NULL, &err), &err, "full");
        both_step(n, &f, i % 2, tol[i % 3]);
        free_both(n);
    }
}

static void adapters(void **state)
{
    static const char *const gqa[] = {"q_proj", "v_proj", "*mlp.down_proj", NULL};
    static const char *const mla[] = {"q_a_proj", "kv_b_proj", "o_proj", "*.experts.1.up_proj",
                                      NULL};
    static const uint32_t rows[] = {17, 2, 3, 40};
    ds_err err = {0};
    fixture f;

    (void)state;
    for (int i = 0; i < 9; i += SOME) {
        const enum ds_arch arch = (enum ds_arch)(i / 3);
        const bool half = i % 3 == 2;
        const ds_lora_conf c = {.r = 4,
                                .alpha = 8,
                                .dropout = i % 3 == 1 ? 0 : 0.1,
                                .dora = i % 3 == 1,
                                .targets = arch == DS_DEEPSEEK_V2 ? mla : gqa,
                                .rows = rows,
                                .nrows = 4};
        ds_net *n[2];
        fill(&f, 53);
        make_both(n, arch, half ? DS_KF16 : DS_KF32);
        for (int s = 0; s < 2; s++) {
            ds_params *all = ds_net_params(n[s]);
            ok(ds_net_add_lora(n[s], &c, 9, &err), &err, "lora");
            ok(ds_net_add_prompt(n[s], 2, &err), &err, "prompt");
            for (size_t j = 0; j < all->n; j++)
                if (strstr(all->p[j]->name, "lora_B") ||
                    !strcmp(all->p[j]->name, "prompt_embeddings"))
                    ok(ds_param_normal(all, all->p[j], 0.2f, 8, &err), &err, "normal");
        }
        f.ids[0] = 53;
        f.ids[1] = 54;
        f.ids[9] = 53;
        both_step(n, &f, false, half ? 0.004 : 2e-5);
        free_both(n);
    }
}

static void goes_on(void **state)
{
    ds_err err = {0};
    fixture f;

    (void)state;
    fill(&f, 53);
    for (int arch = 0; arch < 3; arch++) {
        float logits[2][53];
        ds_net *n[2];
        make_both(n, (enum ds_arch)arch, DS_KF32);
        for (int s = 0; s < 2; s++) {
            ds_kvcache *c;
            ok(ds_kvcache_new(&c, n[s], 32, &err), &err, "cache");
            ok(ds_net_next(n[s], c, f.ids, 7, logits[s], &err), &err, "next");
            ok(ds_net_next(n[s], c, f.ids + 7, 1, logits[s], &err), &err, "next");
            ds_kvcache_free(c);
        }
        for (int i = 0; i < 53; i++)
            assert_true(fabsf(logits[0][i] - logits[1][i]) <= 5e-5f * (1 + fabsf(logits[0][i])));
        free_both(n);
    }
}

int main(void)
{
    if (threads_are_watched())
        return 77;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full),
        cmocka_unit_test(adapters),
        cmocka_unit_test(goes_on),
    };
    return cmocka_run_group_tests(tests, open_both, close_both);
}
