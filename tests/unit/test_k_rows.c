/* RMSNorm, rotary positions, SwiGLU, bias, embedding, dropout, conversions: references in double,
 * finite differences, equal bits. */
#include <math.h>

#include "kern_help.h"
#include "philox.h"

#define T 37
#define D 70

static double norm_ref(double *y, const double *x, const float *g, const float *w, float eps)
{
    double total = 0;
    for (int t = 0; t < T; t++) {
        double s = 0;
        for (int i = 0; i < D; i++)
            s += x[t * D + i] * x[t * D + i];
        const double r = 1 / sqrt(s / D + (double)eps);
        for (int i = 0; i < D; i++) {
            y[t * D + i] = x[t * D + i] * r * (double)g[i];
            total += y[t * D + i] * (double)w[t * D + i];
        }
    }
    return total;
}

static void rmsnorm_and_its_gradient(void **state)
{
    ds_kernels *k[KH_MAX];
    const int n = kh_open(k);
    float *x = kh_fill(1, T * D), *g = kh_fill(2, D), *w = kh_fill(3, T * D), *y = kh_zeros(T * D),
          *r = kh_zeros(T);
    float *dx = kh_zeros(T * D), *dg = kh_zeros(D), *keep = kh_zeros(T * D + D);
    double *xd = malloc(T * D * sizeof *xd), *yd = malloc(T * D * sizeof *yd);
    ds_err err = {0};

    (void)state;
    for (int i = 0; i < T * D; i++)
        xd[i] = (double)x[i];
    norm_ref(yd, xd, g, w, 1e-5f);
    for (int b = 0; b < n; b++) {
        assert_int_equal(k[b]->rmsnorm(k[b], y, r, x, g, DS_KF32, T, D, 1e-5f, &err), 0);
        kh_close_to(y, yd, T * D, 1e-5, "y");
        memset(dg, 0, D * sizeof *dg);
        for (int i = 0; i < T * D; i++)
            dx[i] = 1.0f;
        assert_int_equal(k[b]->rmsnorm_back(k[b], dx, dg, w, x, g, r, DS_KF32, T, D, true, &err),
                         0);
        if (b == 0) {
            memcpy(keep, dx, T * D * sizeof *dx);
            memcpy(keep + T * D, dg, D * sizeof *dg);
        }
        assert_memory_equal(keep, dx, T * D * sizeof *dx);
        assert_memory_equal(keep + T * D, dg, D * sizeof *dg);
    }
    for (int i = 3; i < T * D; i += 97) {
        const double was = xd[i], h = 1e-5;
        xd[i] = was + h;
        const double up = norm_ref(yd, xd, g, w, 1e-5f);
        xd[i] = was - h;
        const double down = norm_ref(yd, xd, g, w, 1e-5f);
        xd[i] = was;
        const double want = 1.0 + (up - down) / (2 * h); /* accumulated onto 1 */
        kh_close_to(&dx[i], &want, 1, 1e-4, "dx");
    }
    void *all[] = {x, g, w, y, r, dx, dg, keep, xd, yd};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    kh_close(k, n);
}

static void swiglu_and_its_gradient(void **state)
{
    ds_kernels *k[KH_MAX];
    const int n = kh_open(k), len = 1000;
    float *a = kh_fill(1, len), *b = kh_fill(2, len), *w = kh_fill(3, len), *y = kh_zeros(len),
          *da = kh_zeros(len), *db = kh_zeros(len);
    double *want = malloc((size_t)len * 3 * sizeof *want);
    float *keep = kh_zeros(3 * len);
    ds_err err = {0};

    (void)state;
    for (int i = 0; i < len; i++) {
        a[i] *= 20;
        const double x = (double)a[i], u = (double)b[i], s = 1 / (1 + exp(-x)), d = (double)w[i];
        want[i] = x * s * u;
        want[len + i] = d * u * (s + x * s * (1 - s));
        want[2 * len + i] = d * x * s;
    }
    for (int q = 0; q < n; q++) {
        assert_int_equal(k[q]->swiglu(k[q], y, a, b, DS_KF32, len, &err), 0);
        assert_int_equal(k[q]->swiglu_back(k[q], da, db, w, a, b, DS_KF32, len, &err), 0);
        kh_close_to(y, want, len, 2e-6, "y");
        kh_close_to(da, want + len, len, 2e-6, "da");
        kh_close_to(db, want + 2 * len, len, 2e-6, "db");
        if (q == 0) {
            memcpy(keep, y, (size_t)len * 4);
            memcpy(keep + len, da, (size_t)len * 4);
        }
        assert_memory_equal(keep, y, (size_t)len * 4);
        assert_memory_equal(keep + len, da, (size_t)len * 4);
    }
    void *all[] = {a, b, w, y, da, db, want, keep};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    kh_close(k, n);
}

static void rope_turns_pairs_and_back(void **state)
{
    ds_kernels *k[KH_MAX];
    const int n = kh_open(k);
    const int heads = 2, hd = 8, rot = 6, stride = 20, first = 3;
    float *x = kh_fill(1, T * stride), *y = kh_zeros(T * stride);
    float cs[T * 6];
    int32_t pos[T];
    ds_err err = {0};

    (void)state;
    for (int t = 0; t < T; t++) {
        pos[t] = (t * 7) % T;
        for (int p = 0; p < rot / 2; p++) {
            cs[(t * rot / 2 + p) * 2] = cosf((float)t * powf(10, -(float)p));
            cs[(t * rot / 2 + p) * 2 + 1] = sinf((float)t * powf(10, -(float)p));
        }
    }
    for (int inter = 0; inter < 2; inter++)
        for (int b = 0; b < n; b++) {
            memcpy(y, x, (size_t)T * stride * sizeof *x);
            assert_int_equal(k[b]->rope(k[b], y, DS_KF32, pos, cs, T, stride, first, heads, hd, rot,
                                        inter, false, &err),
                             0);
            for (int t = 0; t < T; t++)
                for (int h = 0; h < heads; h++)
                    for (int p = 0; p < rot / 2; p++) {
                        const int o = t * stride + first + h * hd;
                        const int i = o + (inter ? 2 * p : p),
                                  j = o + (inter ? 2 * p + 1 : p + rot / 2);
                        const double c = (double)cs[(pos[t] * rot / 2 + p) * 2],
                                     s = (double)cs[(pos[t] * rot / 2 + p) * 2 + 1];
                        const double want[2] = {(double)x[i] * c - (double)x[j] * s,
                                                (double)x[j] * c + (double)x[i] * s};
                        kh_close_to(&y[i], &want[0], 1, 1e-6, "rotated");
                        kh_close_to(&y[j], &want[1], 1, 1e-6, "rotated");
                    }
            for (int t = 0; t < T; t++) /* what lies outside the rotated columns is untouched */
                assert_memory_equal(y + t * stride, x + t * stride, first * sizeof *x);
            assert_int_equal(k[b]->rope(k[b], y, DS_KF32, pos, cs, T, stride, first, heads, hd, rot,
                                        inter, true, &err),
                             0);
            for (int i = 0; i < T * stride; i++)
                assert_true(fabsf(y[i] - x[i]) < 1e-6f);
        }
    free(x);
    free(y);
    kh_close(k, n);
}

static void embedding_and_bias(void **state)
{
    ds_kernels *k[KH_MAX];
    const int n = kh_open(k);
    float *table = kh_fill(1, 11 * D), *y = kh_zeros(T * D), *g = kh_fill(2, T * D),
          *dt = kh_zeros(11 * D), *db = kh_zeros(D);
    int32_t ids[T];
    ds_err err = {0};

    (void)state;
    for (int t = 0; t < T; t++)
        ids[t] = t % 4 == 3 ? -1 : (t * 5) % 11;
    for (int b = 0; b < n; b++) {
        float want[11 * D] = {0}, sum[D] = {0}, before[D];
        for (int i = 0; i < T * D; i++)
            y[i] = before[i % D] = (float)(i % D);
        memset(dt, 0, 11 * D * sizeof *dt);
        memset(db, 0, D * sizeof *db);
        assert_int_equal(k[b]->embed(k[b], y, table, DS_KF32, ids, T, D, &err), 0);
        assert_int_equal(k[b]->embed_back(k[b], dt, g, DS_KF32, ids, T, D, &err), 0);
        assert_int_equal(k[b]->bias_back(k[b], db, g, DS_KF32, T, D, &err), 0);
        for (int t = 0; t < T; t++) {
            const float *row = ids[t] < 0 ? before : table + ids[t] * D;
            assert_memory_equal(y + t * D, row, D * sizeof *y);
            for (int i = 0; i < D; i++) {
                if (ids[t] >= 0)
                    want[ids[t] * D + i] += g[t * D + i];
                sum[i] += g[t * D + i];
            }
        }
        assert_memory_equal(dt, want, sizeof want);
        assert_memory_equal(db, sum, sizeof sum);
        assert_int_equal(k[b]->bias(k[b], y, table, DS_KF32, T, D, &err), 0);
        for (int t = 0; t < T; t++)
            for (int i = 0; i < D; i++)
                assert_true(y[t * D + i] ==
                            (ids[t] < 0 ? before[i] : table[ids[t] * D + i]) + table[i]);
    }
    void *all[] = {table, y, g, dt, db};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    kh_close(k, n);
}

static void dropout_is_a_function_of_its_counter(void **state)
{
    ds_kernels *k[KH_MAX];
    const int n = kh_open(k), len = 100000;
    float *x = kh_fill(1, len), *y = kh_zeros(len), *z = kh_zeros(len);
    ds_kstep at = {.seed = 7, .step = 3};
    ds_err err = {0};
    int dropped = 0;

    (void)state;
    assert_int_equal(k[0]->dropout(k[0], y, x, DS_KF32, len / 8, 8, 0.25f, &at, 9, &err), 0);
    for (int i = 0; i < len; i++) {
        const bool keep = ds_philox(7, 3 << 16 | 9, (uint64_t)i) >= 0x40000000u;
        assert_true(y[i] == (keep ? x[i] * (1.0f / 0.75f) : 0.0f));
        dropped += !keep;
    }
    assert_in_range(dropped, len / 4 - 600, len / 4 + 600);
    for (int b = 1; b < n; b++) {
        assert_int_equal(k[b]->dropout(k[b], z, x, DS_KF32, len / 8, 8, 0.25f, &at, 9, &err), 0);
        assert_memory_equal(z, y, (size_t)len * sizeof *z);
    }
    assert_int_equal(k[0]->dropout(k[0], z, x, DS_KF32, len / 8, 8, 0.25f, &at, 10, &err), 0);
    assert_memory_not_equal(z, y, (size_t)len * sizeof *z);
    at.first = 50;
    assert_int_equal(k[0]->dropout(k[0], z, x + 400, DS_KF32, len / 8 - 50, 8, 0.25f, &at, 9, &err),
                     0);
    assert_memory_equal(z, y + 400,
                        (size_t)(len - 400) * sizeof *z); /* a part is a part of the whole */
    assert_int_equal(k[0]->dropout(k[0], z, x, DS_KF32, len / 8, 8, 1.0f, &at, 10, &err), DS_FAIL);
    ds_err_clear(&err);
    assert_int_equal(k[0]->dropout(k[0], z, x, DS_KF32, len, 1, 0.25f, &at, 10, &err), DS_FAIL);
    assert_non_null(strstr(err.msg, "multiple of 4"));
    free(x);
    free(y);
    free(z);
    kh_close(k, n);
}

static void bf16_rounds_to_nearest_even(void **state)
{
    (void)state;
    assert_int_equal(ds_bf16_from(1.0f), 0x3f80);
    assert_int_equal(ds_bf16_from(1.00390625f), 0x3f80); /* half way to 0x3f81: to even */
    assert_int_equal(ds_bf16_from(1.01171875f), 0x3f82); /* half way from 0x3f81: to even */
    assert_int_equal(ds_bf16_from(INFINITY), 0x7f80);
    assert_true(isnan(ds_bf16_to(ds_bf16_from(NAN))));
    assert_int_equal(ds_bf16_from(3.3961775e38f), 0x7f80); /* rounds up past the largest */
    for (uint32_t h = 0; h < 0x7f80; h++)
        assert_int_equal(ds_bf16_from(ds_bf16_to((uint16_t)h)), h);
}

/* A number of the format, from its definition. */
static float f16_value(uint32_t h)
{
    const int e = (int)(h >> 10 & 31);
    const double m = h & 1023;
    const double x = e == 31 ? (h & 1023 ? NAN : INFINITY)
                     : e     ? ldexp(1024 + m, e - 25)
                             : ldexp(m, -24);

    return (float)(h & 0x8000 ? -x : x);
}

/* All 65536 of them, and what lies between two neighbours: half way, to the even one, and on either
 * side of that. */
static void f16_conversions_are_exact(void **state)
{
    enum { ALL = 65536, BETWEEN = 4 };
    ds_kernels *k[KH_MAX];
    ds_err err = {0};
    const int n = kh_open(k);
    uint16_t *h = malloc(ALL * BETWEEN * sizeof *h), *want = malloc(ALL * BETWEEN * sizeof *h),
             *got = malloc(ALL * BETWEEN * sizeof *h);
    float *x = kh_zeros(ALL * BETWEEN);

    (void)state;
    assert_true(h && want && got);
    for (uint32_t i = 0; i < ALL; i++)
        h[i] = (uint16_t)i;
    for (int b = 0; b < n; b++) {
        assert_int_equal(k[b]->convert(k[b], x, DS_KF32, h, DS_KF16, ALL, &err), 0);
        for (uint32_t i = 0; i < ALL; i++) {
            const float one = f16_value(i), inlined = ds_f16_to((uint16_t)i);
            if (isnan(one))
                assert_true(isnan(x[i]) && isnan(inlined) && !signbit(x[i]) == (i < 0x8000));
            else
                assert_true(memcmp(&one, &x[i], 4) == 0 && memcmp(&one, &inlined, 4) == 0);
        }
    }
    for (uint32_t i = 0; i < ALL; i++) {
        const uint32_t size = i & 0x7fff;
        const float low = f16_value(i);
        const float high = size < 0x7bff ? f16_value(i + 1) : copysignf(65536.0f, low);
        const float middle = 0.5f * (low + high); /* exact: f32 has 13 more bits */
        const bool finite = size < 0x7c00;
        const uint32_t next = finite ? i + 1 : i;
        const uint32_t to[BETWEEN] = {i, i & 1 ? next : i, i, next};
        const float from[BETWEEN] = {low, middle, nextafterf(middle, low),
                                     nextafterf(middle, high)};
        for (int j = 0; j < BETWEEN; j++) {
            x[i * BETWEEN + (uint32_t)j] = finite ? from[j] : low;
            want[i * BETWEEN + (uint32_t)j] = (uint16_t)(finite ? to[j] : i);
        }
    }
    for (int b = 0; b < n; b++) {
        memset(got, 0xee, ALL * BETWEEN * sizeof *got);
        assert_int_equal(k[b]->convert(k[b], got, DS_KF16, x, DS_KF32, ALL * BETWEEN, &err), 0);
        for (int i = 0; i < ALL * BETWEEN; i++)
            if (isnan(x[i]) ? !isnan(ds_f16_to(got[i])) : got[i] != want[i])
                fail_msg("%s: %a is %04x, expected %04x", k[b]->detail, (double)x[i], got[i],
                         want[i]);
    }
    free(h);
    free(want);
    free(got);
    free(x);
    kh_close(k, n);
}

/* Every exponent, and around each the patterns that round, tie and carry; subnormals and NaN
 * between ordinary numbers. */
static void every_backend_rounds_alike(void **state)
{
    static const uint32_t low[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff, 0x18000, 0x7fffff};
    enum { N = 512 * 8 + 5 };
    float x[N];
    uint16_t y[N];
    ds_kernels *k[KH_MAX];
    ds_err err = {0};
    const int n = kh_open(k);

    (void)state;
    for (uint32_t i = 0; i < N; i++) {
        const uint32_t u = (i * 37 % 512) << 23 | low[i % 8];
        memcpy(&x[i], &u, sizeof u);
    }
    for (int b = 0; b < n; b++) {
        memset(y, 0xee, sizeof y);
        assert_int_equal(k[b]->convert(k[b], y, DS_KBF16, x, DS_KF32, N, &err), 0);
        for (int i = 0; i < N; i++)
            assert_int_equal(y[i], ds_bf16_from(x[i]));
        assert_int_equal(k[b]->convert(k[b], y, DS_KF16, x, DS_KF32, N, &err), 0);
        for (int i = 0; i < N; i++)
            assert_int_equal(y[i], ds_f16_from(x[i]));
    }
    kh_close(k, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rmsnorm_and_its_gradient),
        cmocka_unit_test(swiglu_and_its_gradient),
        cmocka_unit_test(rope_turns_pairs_and_back),
        cmocka_unit_test(embedding_and_bias),
        cmocka_unit_test(dropout_is_a_function_of_its_counter),
        cmocka_unit_test(bf16_rounds_to_nearest_even),
        cmocka_unit_test(f16_conversions_are_exact),
        cmocka_unit_test(every_backend_rounds_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
