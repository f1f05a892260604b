/* AdamW with moments of 8 bits: its table of values, against a plain reference, the same bits on
 * every instruction set and thread count, and as good as moments in f32 on a problem that both can
 * solve. */
#include <math.h>

#include "kern_help.h"
#include "philox.h"

#define N 5000 /* not a multiple of a block */
#define BLOCKS ((N + DS_BLOCK8 - 1) / DS_BLOCK8)

static const ds_kadamw STEP = {.lr = 1e-2f,
                               .beta1 = 0.9f,
                               .beta2 = 0.99f,
                               .eps = 1e-8f,
                               .decay = 0.1f,
                               .corr1 = 0.3f,
                               .corr2 = 0.2f,
                               .gscale = 0.5f};

static void tables_are_those_of_the_paper(void **state)
{
    float m[256];

    (void)state;
    for (int sign = 0; sign < 2; sign++) {
        ds_dynamic_map(m, sign);
        for (int i = 1; i < 256; i++)
            assert_true(m[i] > m[i - 1]);
        assert_true(m[255] == 1.0f);
        assert_true(m[sign ? 127 : 0] == 0.0f);
        if (sign) /* 0 and 1 apart, values come in pairs */
            for (int i = 0; i < 127; i++)
                assert_true(m[i] == -m[254 - i]);
        /* the largest fraction: 64 or 128 steps between 0.1 and 1 */
        const double step = 0.9 / (sign ? 64 : 128);
        assert_true(fabs((double)m[254] - (1 - step / 2)) < 1e-6);
        assert_true(fabs((double)m[253] - (1 - 3 * step / 2)) < 1e-6);
        /* the smallest: between a millionth and a tenth of it */
        const float least = m[sign ? 128 : 1];
        assert_true(least > 1e-7f && least < 1e-6f);
    }
}

/* The nearest value, by looking at all. A v that is not 0 has another code than 0. */
static uint8_t nearest(const float *map, float x, bool keep)
{
    int best = keep && x > 0 ? 1 : 0;

    for (int c = best + 1; c < 256; c++)
        if (fabs((double)x - (double)map[c]) < fabs((double)x - (double)map[best]))
            best = c;
    return (uint8_t)best;
}

static void code_block(uint8_t *q, float *scale, const float *x, int64_t n, const float *map,
                       bool keep)
{
    *scale = 0;
    for (int64_t i = 0; i < n; i++)
        *scale = fabsf(x[i]) > *scale ? fabsf(x[i]) : *scale;
    for (int64_t i = 0; i < n; i++)
        q[i] = nearest(map, *scale > 0 ? x[i] * (1.0f / *scale) : 0.0f, keep);
}

typedef struct eight {
    float *w, *ms, *vs;
    uint8_t *m, *v;
} eight;

static eight eight_new(void)
{
    eight e = {.w = kh_fill(1, N), .ms = kh_zeros(BLOCKS), .vs = kh_zeros(BLOCKS)};

    e.m = calloc(N, 1);
    e.v = calloc(N, 1);
    assert_true(e.m && e.v);
    return e;
}

static void eight_free(eight *e)
{
    free(e->w);
    free(e->ms);
    free(e->vs);
    free(e->m);
    free(e->v);
}

/* One step as the definition says it: decode, AdamW in f32 as the kernel without 8 bits has it,
 * encode. */
static void plain_step(ds_kernels *k, eight *e, const float *g)
{
    float map[2][256], *m = kh_zeros(N), *v = kh_zeros(N);
    ds_err err = {0};

    ds_dynamic_map(map[0], true);
    ds_dynamic_map(map[1], false);
    for (int i = 0; i < N; i++) {
        m[i] = map[0][e->m[i]] * e->ms[i / DS_BLOCK8];
        v[i] = map[1][e->v[i]] * e->vs[i / DS_BLOCK8];
    }
    assert_int_equal(k->adamw(k, e->w, DS_KF32, NULL, m, v, g, N, &STEP, &err), 0);
    for (int b = 0; b < BLOCKS; b++) {
        const int64_t at = b * DS_BLOCK8, n = N - at < DS_BLOCK8 ? N - at : DS_BLOCK8;
        code_block(e->m + at, &e->ms[b], m + at, n, map[0], false);
        code_block(e->v + at, &e->vs[b], v + at, n, map[1], true);
    }
    free(m);
    free(v);
}

static void steps_follow_a_plain_reference(void **state)
{
    ds_kernels *k[KH_MAX];
    const int n = kh_open(k);
    eight want = eight_new(), first = eight_new();
    ds_err err = {0};

    (void)state;
    for (int b = 0; b < n; b++) {
        eight e = eight_new();
        for (uint64_t t = 0; t < 4; t++) {
            float *g = kh_fill(20 + t, N);
            for (int i = 0; i < N; i++) /* of many sizes, and rows that nothing reaches */
                g[i] = i % 3 == 0 ? 0 : ldexpf(g[i], -(i % 17));
            if (b == 0)
                plain_step(k[0], &want, g);
            assert_int_equal(
                k[b]->adamw8(k[b], e.w, DS_KF32, NULL, e.m, e.ms, e.v, e.vs, g, N, &STEP, &err), 0);
            free(g);
        }
        if (b == 0) {
            /* an edge between codes is rounded in f32 here, in double there */
            int other = 0;
            for (int i = 0; i < N; i++) {
                other += e.m[i] != want.m[i] || e.v[i] != want.v[i];
                assert_true(abs(e.m[i] - want.m[i]) <= 1 && abs(e.v[i] - want.v[i]) <= 1);
                assert_true(fabsf(e.w[i] - want.w[i]) < 1e-3f);
            }
            assert_true(other < N / 500);
            memcpy(first.w, e.w, N * sizeof *e.w);
            memcpy(first.m, e.m, N);
            memcpy(first.v, e.v, N);
        }
        assert_memory_equal(first.w, e.w, N * sizeof *e.w);
        assert_memory_equal(first.m, e.m, N);
        assert_memory_equal(first.v, e.v, N);
        eight_free(&e);
    }
    eight_free(&want);
    eight_free(&first);
    kh_close(k, n);
}

/* Rosenbrock's valleys beside each other, of scales that differ: the loss after 400 steps. */
static double valley(ds_kernels *k, bool small)
{
    enum { PAIRS = 512 };
    float *w = kh_zeros(2 * PAIRS), *g = kh_zeros(2 * PAIRS), *m = kh_zeros(2 * PAIRS),
          *v = kh_zeros(2 * PAIRS), *s = kh_zeros(16);
    uint8_t *q = calloc(4 * PAIRS, 1);
    double loss = 0, b1 = 1, b2 = 1;
    ds_err err = {0};

    assert_non_null(q);
    for (int i = 0; i < 2 * PAIRS; i++)
        w[i] = kh_number(77, (uint64_t)i);
    for (int t = 0; t < 400; t++) {
        loss = 0;
        for (int p = 0; p < PAIRS; p++) {
            const float size = ldexpf(1, -(p % 9)), x = w[2 * p], y = w[2 * p + 1], r = y - x * x;
            g[2 * p] = size * (-2 * (1 - x) - 40 * x * r);
            g[2 * p + 1] = size * 20 * r;
            loss += (double)((1 - x) * (1 - x) + 10 * r * r) / PAIRS;
        }
        ds_kadamw a = STEP;
        b1 *= 0.9;
        b2 *= 0.99;
        a.decay = 0;
        a.gscale = 1;
        a.lr = 0.02f;
        a.corr1 = (float)(1 - b1);
        a.corr2 = (float)(1 - b2);
        if (small)
            k->adamw8(k, w, DS_KF32, NULL, q, s, q + 2 * PAIRS, s + 8, g, 2 * PAIRS, &a, &err);
        else
            k->adamw(k, w, DS_KF32, NULL, m, v, g, 2 * PAIRS, &a, &err);
    }
    void *all[] = {w, g, m, v, s, q};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    return loss;
}

static void as_good_as_f32(void **state)
{
    ds_kernels *k;
    ds_err err = {0};

    (void)state;
    assert_int_equal(ds_kernels_cpu(&k, 1, NULL, &err), 0);
    const double wide = valley(k, false), narrow = valley(k, true);
    if (!(narrow < 0.05 && narrow < 2 * wide + 0.01))
        fail_msg("loss %g with 8 bits, %g with 32", narrow, wide);
    k->close(k);
}

static void bf16_needs_a_master(void **state)
{
    ds_kernels *k;
    eight e = eight_new();
    uint16_t *w = kh_half(DS_KBF16, e.w, N);
    float *g = kh_fill(3, N);
    ds_err err = {0};

    (void)state;
    assert_int_equal(ds_kernels_cpu(&k, 2, NULL, &err), 0);
    assert_int_equal(k->adamw8(k, w, DS_KBF16, e.w, e.m, e.ms, e.v, e.vs, g, N, &STEP, &err), 0);
    for (int i = 0; i < N; i++)
        assert_int_equal(w[i], ds_bf16_from(e.w[i]));
    assert_int_equal(k->adamw8(k, w, DS_KBF16, NULL, e.m, e.ms, e.v, e.vs, g, N, &STEP, &err),
                     DS_FAIL);
    eight_free(&e);
    free(w);
    free(g);
    k->close(k);
}

/* f16 weights are what their master rounds to, and are never rounded by chance. */
static void f16_needs_a_master(void **state)
{
    ds_kadamw chance = STEP;
    ds_kernels *k;
    eight e = eight_new();
    uint16_t *w = kh_half(DS_KF16, e.w, N);
    float *g = kh_fill(3, N), *m = kh_zeros(N), *v = kh_zeros(N);
    ds_err err = {0};

    (void)state;
    chance.stochastic = true;
    assert_int_equal(ds_kernels_cpu(&k, 2, NULL, &err), 0);
    assert_int_equal(k->adamw8(k, w, DS_KF16, e.w, e.m, e.ms, e.v, e.vs, g, N, &STEP, &err), 0);
    for (int i = 0; i < N; i++)
        assert_int_equal(w[i], ds_f16_from(e.w[i]));
    assert_int_equal(k->adamw(k, w, DS_KF16, e.w, m, v, g, N, &STEP, &err), 0);
    for (int i = 0; i < N; i++)
        assert_int_equal(w[i], ds_f16_from(e.w[i]));
    assert_int_equal(k->adamw(k, w, DS_KF16, NULL, m, v, g, N, &chance, &err), DS_FAIL);
    assert_int_equal(k->adamw8(k, w, DS_KF16, NULL, e.m, e.ms, e.v, e.vs, g, N, &chance, &err),
                     DS_FAIL);
    eight_free(&e);
    free(w);
    free(g);
    free(m);
    free(v);
    k->close(k);
}

/* Weights of bf16 alone: rounded by chance they follow steps that are far below the last bit, which
 * rounding to the nearest would lose; by the words that the header says, whatever the instructions.
 */
static void rounding_by_chance_loses_nothing(void **state)
{
    const ds_kadamw p = {.lr = 1.0f / 4096,
                         .beta1 = 0,
                         .beta2 = 0,
                         .eps = 0,
                         .corr1 = 1,
                         .corr2 = 1,
                         .gscale = 1,
                         .stochastic = true,
                         .seed = 77,
                         .stream = 5};
    ds_kernels *k[KH_MAX];
    const int n = kh_open(k);
    uint16_t *w = malloc(N * sizeof *w), *first = malloc(N * sizeof *first);
    float *m = kh_zeros(N), *v = kh_zeros(N), *g = kh_zeros(N), *x = kh_zeros(N);
    ds_err err = {0};

    (void)state;
    assert_true(w && first);
    for (int b = 0; b < n; b++) {
        double sum = 0;
        for (int i = 0; i < N; i++) {
            w[i] = ds_bf16_from(-1.0f); /* whose neighbours are 2^-7 and 2^-8 away */
            x[i] = -1.0f;
            g[i] = 1.0f;
        }
        memset(m, 0, N * sizeof *m);
        memset(v, 0, N * sizeof *v);
        assert_int_equal(k[b]->adamw(k[b], w, DS_KBF16, NULL, m, v, g, N, &p, &err), 0);
        memset(m, 0, N * sizeof *m);
        memset(v, 0, N * sizeof *v);
        assert_int_equal(k[0]->adamw(k[0], x, DS_KF32, NULL, m, v, g, N, &p, &err), 0);
        for (int i = 0; i < N; i++) {
            const uint32_t r = ds_philox(p.seed, p.stream, (uint64_t)i) >> 16;
            assert_int_equal(w[i], ds_bf16_stochastic(x[i], r));
            sum += (double)ds_bf16_to(w[i]);
        }
        assert_true(ds_bf16_from(x[0]) == ds_bf16_from(-1.0f));
        /* a part of 2^-5 of them moved by 2^-7: the mean is right within 5 deviations */
        assert_true(fabs(sum / N - (double)x[0]) < 5 * 0.175 / 128 / sqrt(N));
        assert_true(fabs(sum / N + 1) > 1e-4);
        if (b == 0)
            memcpy(first, w, N * sizeof *w);
        assert_memory_equal(first, w, N * sizeof *w);
    }
    const ds_kadamw nearest_one = {.corr1 = 1, .corr2 = 1};
    assert_int_equal(k[0]->adamw(k[0], w, DS_KBF16, NULL, m, v, g, N, &nearest_one, &err), DS_FAIL);
    assert_non_null(strstr(err.msg, "master"));
    assert_int_equal(ds_bf16_stochastic(INFINITY, 0xffff), 0x7f80);
    assert_true(isnan(ds_bf16_to(ds_bf16_stochastic(NAN, 0xffff))));
    free(w);
    free(first);
    free(m);
    free(v);
    free(g);
    free(x);
    kh_close(k, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_are_those_of_the_paper),
        cmocka_unit_test(steps_follow_a_plain_reference),
        cmocka_unit_test(rounding_by_chance_loses_nothing),
        cmocka_unit_test(as_good_as_f32),
        cmocka_unit_test(bf16_needs_a_master),
        cmocka_unit_test(f16_needs_a_master),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
