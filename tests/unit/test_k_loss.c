/* Cross entropy, AdamW, gradient norm, Philox: known answers and plain references;
 * equal bits everywhere. */
#include <math.h>

#include "kern_help.h"
#include "philox.h"

#define T 21
#define V 301

static void cross_entropy_and_its_gradient(void **state)
{
    ds_kernels *k[KH_MAX];
    const int n = kh_open(k);
    float *x = kh_fill(1, T * V), *g = kh_zeros(T * V), *keep = kh_zeros(T * V), loss[T], weight[T];
    int32_t target[T];
    double *want = malloc(T * V * sizeof *want), wl[T];
    ds_err err = {0};

    (void)state;
    for (int t = 0; t < T; t++) {
        double top = -1e300, sum = 0;
        target[t] = (t * 37) % V;
        weight[t] = t % 5 == 0 ? 0.0f : (float)(t % 3 + 1) / 2;
        for (int i = 0; i < V; i++) {
            x[t * V + i] *= 8;
            top = fmax(top, (double)x[t * V + i]);
        }
        for (int i = 0; i < V; i++)
            sum += exp((double)x[t * V + i] - top);
        wl[t] = (double)weight[t] * (log(sum) - ((double)x[t * V + target[t]] - top));
        for (int i = 0; i < V; i++)
            want[t * V + i] = 0.125 * (double)weight[t] *
                              (exp((double)x[t * V + i] - top) / sum - (i == target[t]));
    }
    for (int b = 0; b < n; b++) {
        memcpy(g, x, T * V * sizeof *g);
        assert_int_equal(k[b]->softmax_xent(k[b], g, DS_KF32, loss, g, DS_KF32, target, weight, T,
                                            V, &(ds_kstep){.scale = 0.125}, &err),
                         0);
        kh_close_to(loss, wl, T, 2e-6, "loss");
        kh_close_to(g, want, T * V, 1e-6, "gradient");
        if (b == 0)
            memcpy(keep, g, T * V * sizeof *g);
        assert_memory_equal(keep, g, T * V * sizeof *g);
    }
    free(x);
    free(g);
    free(keep);
    free(want);
    kh_close(k, n);
}

static void adamw_follows_the_paper(void **state)
{
    ds_kernels *k[KH_MAX];
    const int n = kh_open(k), len = 5000;
    float *keep = NULL;
    ds_err err = {0};

    (void)state;
    for (int b = 0; b < n; b++) {
        float *w = kh_fill(1, len), *m = kh_zeros(len), *v = kh_zeros(len);
        double wd = (double)w[4321], md = 0, vd = 0;
        for (int t = 1; t <= 5; t++) {
            float *g = kh_fill(10 + (uint64_t)t, len);
            const ds_kadamw p = {.lr = 1e-2f,
                                 .beta1 = 0.9f,
                                 .beta2 = 0.99f,
                                 .eps = 1e-8f,
                                 .decay = 0.1f,
                                 .corr1 = 1 - powf(0.9f, (float)t),
                                 .corr2 = 1 - powf(0.99f, (float)t),
                                 .gscale = 0.5f};
            assert_int_equal(k[b]->adamw(k[b], w, DS_KF32, NULL, m, v, g, len, &p, &err), 0);
            const double gd = 0.5 * (double)g[4321];
            md = 0.9 * md + 0.1 * gd;
            vd = 0.99 * vd + 0.01 * gd * gd;
            wd = wd * (1 - 1e-2 * 0.1) -
                 1e-2 * (md / (1 - pow(0.9, t))) / (sqrt(vd / (1 - pow(0.99, t))) + 1e-8);
            free(g);
        }
        kh_close_to(&w[4321], &wd, 1, 1e-5, "w");
        if (!keep) {
            keep = w;
            w = NULL;
        } else {
            assert_memory_equal(keep, w, (size_t)len * sizeof *w);
        }
        free(w);
        free(m);
        free(v);
    }
    free(keep);
    kh_close(k, n);
}

static void bf16_weights_keep_a_master(void **state)
{
    ds_kernels *k[KH_MAX];
    const int n = kh_open(k), len = 100;
    float *master = kh_fill(1, len), *m = kh_zeros(len), *v = kh_zeros(len), *g = kh_fill(2, len);
    uint16_t *w = kh_half(DS_KBF16, master, len);
    const ds_kadamw p = {.lr = 1e-3f,
                         .beta1 = 0.9f,
                         .beta2 = 0.99f,
                         .eps = 1e-8f,
                         .corr1 = 0.1f,
                         .corr2 = 0.01f,
                         .gscale = 1};
    ds_err err = {0};

    (void)state;
    assert_int_equal(k[0]->adamw(k[0], w, DS_KBF16, master, m, v, g, len, &p, &err), 0);
    for (int i = 0; i < len; i++)
        assert_int_equal(w[i], ds_bf16_from(master[i]));
    assert_int_equal(k[0]->adamw(k[0], w, DS_KBF16, NULL, m, v, g, len, &p, &err), DS_FAIL);
    void *all[] = {master, m, v, g, w};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    kh_close(k, n);
}

static void norm_is_the_same_for_any_thread_count(void **state)
{
    ds_kernels *k[KH_MAX];
    const int n = kh_open(k), len = 100001;
    float *x = kh_fill(1, len);
    double want = 0, first = 0;
    ds_err err = {0};

    (void)state;
    for (int i = 0; i < len; i++)
        want += (double)x[i] * (double)x[i];
    for (int b = 0; b < n; b++) {
        double got;
        assert_int_equal(
            k[b]->norm2(k[b], &got, &(const float *){x}, &(const int64_t){len}, 1, &err), 0);
        assert_true(fabs(got - want) < 1e-9 * want);
        if (b == 0)
            first = got;
        assert_memory_equal(&first, &got, sizeof got);
    }
    free(x);
    kh_close(k, n);
}

/* Known answers published with Random123 (kat_vectors, philox4x32 10 rounds). */
static void philox_known_answers(void **state)
{
    static const struct {
        uint32_t ctr[4], key[2], out[4];
    } kat[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof kat / sizeof *kat; i++) {
        uint32_t out[4];
        ds_philox_block(out, (uint64_t)kat[i].key[0] | (uint64_t)kat[i].key[1] << 32, kat[i].ctr);
        assert_memory_equal(out, kat[i].out, sizeof out);
    }
    assert_int_equal(ds_philox(0, 0, 2), 0xbc57ac4c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cross_entropy_and_its_gradient),
        cmocka_unit_test(adamw_follows_the_paper),
        cmocka_unit_test(bf16_weights_keep_a_master),
        cmocka_unit_test(norm_is_the_same_for_any_thread_count),
        cmocka_unit_test(philox_known_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
