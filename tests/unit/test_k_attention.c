/* Causal attention on packed sequences: against a plain reference in double, its gradient against
 * finite differences of that reference, and the same bits on every instruction set and thread
 * count. */
#include <math.h>

#include "kern_help.h"

#define T 131
static const int32_t CU[] = {
    0, 1, 50, 50, 131}; /* one of a single token, an empty one, one longer than a strip */
static const ds_kseqs SEQS = {CU, 4};

/* o in double; returns sum(o * w) */
static double reference(double *o, const double *q, const double *k, const double *v,
                        const double *w, const ds_kattn *p)
{
    const int64_t qw = p->heads * p->qk_dim, kw = p->kv_heads * p->qk_dim,
                  vw = p->kv_heads * p->v_dim, ow = p->heads * p->v_dim;
    double total = 0, s[T];

    for (int32_t n = 0; n < SEQS.n; n++)
        for (int64_t t = CU[n]; t < CU[n + 1]; t++)
            for (int32_t h = 0; h < p->heads; h++) {
                const int32_t g = h / (p->heads / p->kv_heads);
                double top = -1e300, sum = 0;
                for (int64_t u = CU[n]; u <= t; u++) {
                    s[u] = 0;
                    for (int32_t i = 0; i < p->qk_dim; i++)
                        s[u] += q[t * qw + h * p->qk_dim + i] * k[u * kw + g * p->qk_dim + i];
                    s[u] *= (double)p->scale;
                    top = s[u] > top ? s[u] : top;
                }
                for (int64_t u = CU[n]; u <= t; u++)
                    sum += s[u] = exp(s[u] - top);
                for (int32_t i = 0; i < p->v_dim; i++) {
                    double x = 0;
                    for (int64_t u = CU[n]; u <= t; u++)
                        x += s[u] / sum * v[u * vw + g * p->v_dim + i];
                    o[t * ow + h * p->v_dim + i] = x;
                    total += x * w[t * ow + h * p->v_dim + i];
                }
            }
    return total;
}

static double *widen(const float *x, int64_t n)
{
    double *d = malloc((size_t)n * sizeof *d);
    assert_non_null(d);
    for (int64_t i = 0; i < n; i++)
        d[i] = (double)x[i];
    return d;
}

static void one_shape(const ds_kattn *p)
{
    ds_kernels *kern[KH_MAX];
    const int backends = kh_open(kern);
    const int64_t nq = (int64_t)T * p->heads * p->qk_dim, nk = (int64_t)T * p->kv_heads * p->qk_dim;
    const int64_t nv = (int64_t)T * p->kv_heads * p->v_dim, no = (int64_t)T * p->heads * p->v_dim;
    float *q = kh_fill(1, nq), *k = kh_fill(2, nk), *v = kh_fill(3, nv), *w = kh_fill(4, no);
    float *o = kh_zeros(no), *lse = kh_zeros((int64_t)T * p->heads), *dq = kh_zeros(nq),
          *dk = kh_zeros(nk), *dv = kh_zeros(nv);
    float *o0 = kh_zeros(no), *dq0 = kh_zeros(nq), *dk0 = kh_zeros(nk), *dv0 = kh_zeros(nv);
    double *qd = widen(q, nq), *kd = widen(k, nk), *vd = widen(v, nv), *wd = widen(w, no),
           *od = widen(o, no);
    ds_err err = {0};

    reference(od, qd, kd, vd, wd, p);
    for (int x = 0; x < backends; x++) {
        assert_int_equal(kern[x]->attention(kern[x], o, lse, q, k, v, DS_KF32, p, &SEQS, &err), 0);
        kh_close_to(o, od, no, 2e-5, "o");
        assert_int_equal(kern[x]->attention_back(kern[x], dq, dk, dv, w, q, k, v, o, lse, DS_KF32,
                                                 p, &SEQS, &err),
                         0);
        if (x == 0) {
            memcpy(o0, o, (size_t)no * 4);
            memcpy(dq0, dq, (size_t)nq * 4);
            memcpy(dk0, dk, (size_t)nk * 4);
            memcpy(dv0, dv, (size_t)nv * 4);
        }
        assert_memory_equal(o, o0, (size_t)no * 4);
        assert_memory_equal(dq, dq0, (size_t)nq * 4);
        assert_memory_equal(dk, dk0, (size_t)nk * 4);
        assert_memory_equal(dv, dv0, (size_t)nv * 4);
    }
    struct {
        double *x;
        const float *g;
        int64_t n;
    } parts[] = {{qd, dq, nq}, {kd, dk, nk}, {vd, dv, nv}};
    for (int part = 0; part < 3; part++)
        for (int64_t i = 5; i < parts[part].n; i += parts[part].n / 11) {
            const double keep = parts[part].x[i], h = 1e-5;
            parts[part].x[i] = keep + h;
            const double up = reference(od, qd, kd, vd, wd, p);
            parts[part].x[i] = keep - h;
            const double down = reference(od, qd, kd, vd, wd, p);
            parts[part].x[i] = keep;
            const double want = (up - down) / (2 * h);
            kh_close_to(&parts[part].g[i], &want, 1, 3e-4,
                        part == 0   ? "dq"
                        : part == 1 ? "dk"
                                    : "dv");
        }
    void *all[] = {q, k, v, w, o, lse, dq, dk, dv, o0, dq0, dk0, dv0, qd, kd, vd, wd, od};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    kh_close(kern, backends);
}

static void round_all(float *x, uint16_t *h, enum ds_kfmt f, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        h[i] = ds_half_from(f, x[i]);
        x[i] = ds_half_to(f, h[i]);
    }
}

static void near(const uint16_t *h, enum ds_kfmt f, const float *want, int64_t n, const char *what)
{
    const float tol = f == DS_KBF16 ? 0.02f : 0.0025f;

    for (int64_t i = 0; i < n; i++) {
        const float x = ds_half_to(f, h[i]);
        if (!(fabsf(x - want[i]) < tol + tol * fabsf(want[i])))
            fail_msg("%s[%lld]: %g, in f32 %g", what, (long long)i, (double)x, (double)want[i]);
    }
}

/* bf16 and f16: near f32 on the same numbers, and the same bits everywhere. */
static void half_width_of(enum ds_kfmt f)
{
    const ds_kattn p = {.heads = 4, .kv_heads = 2, .qk_dim = 24, .v_dim = 17, .scale = 0.3f};
    const int64_t n[] = {T * 96, T * 48, T * 34, T * 68, T * 68, T * 96, T * 48, T * 34};
    ds_kernels *kern[KH_MAX];
    const int backends = kh_open(kern);
    float *x[8], *lse = kh_zeros(T * 4); /* q, k, v, dout, o, dq, dk, dv */
    uint16_t *h[8], *first[8];
    ds_err err = {0};

    for (int i = 0; i < 8; i++) {
        x[i] = kh_fill((uint64_t)i + 20, n[i]);
        h[i] = calloc((size_t)n[i], 2);
        first[i] = calloc((size_t)n[i], 2);
        assert_true(h[i] && first[i]);
        if (i < 4)
            round_all(x[i], h[i], f, n[i]);
    }
    kern[0]->attention(kern[0], x[4], lse, x[0], x[1], x[2], DS_KF32, &p, &SEQS, &err);
    kern[0]->attention_back(kern[0], x[5], x[6], x[7], x[3], x[0], x[1], x[2], x[4], lse, DS_KF32,
                            &p, &SEQS, &err);
    for (int b = 0; b < backends; b++) {
        kern[b]->attention(kern[b], h[4], lse, h[0], h[1], h[2], f, &p, &SEQS, &err);
        kern[b]->attention_back(kern[b], h[5], h[6], h[7], h[3], h[0], h[1], h[2], h[4], lse, f, &p,
                                &SEQS, &err);
        for (int i = 4; i < 8; i++) {
            near(h[i], f, x[i], n[i], (const char *const[]){"o", "dq", "dk", "dv"}[i - 4]);
            if (b == 0)
                memcpy(first[i], h[i], (size_t)n[i] * 2);
            assert_memory_equal(first[i], h[i], (size_t)n[i] * 2);
        }
    }
    for (int i = 0; i < 8; i++) {
        free(x[i]);
        free(h[i]);
        free(first[i]);
    }
    free(lse);
    kh_close(kern, backends);
}

static void half_width(void **state)
{
    (void)state;
    half_width_of(DS_KBF16);
    half_width_of(DS_KF16);
}

static void plain_heads(void **state)
{
    (void)state;
    one_shape(&(ds_kattn){.heads = 2, .kv_heads = 2, .qk_dim = 16, .v_dim = 16, .scale = 0.25f});
}

static void grouped_heads(void **state)
{
    (void)state;
    one_shape(&(ds_kattn){.heads = 4, .kv_heads = 2, .qk_dim = 8, .v_dim = 8, .scale = 0.35f});
}

static void unequal_widths(void **state)
{
    (void)state;
    one_shape(&(ds_kattn){.heads = 3, .kv_heads = 3, .qk_dim = 24, .v_dim = 13, .scale = 0.2f});
}

static void sequences_do_not_see_each_other(void **state)
{
    ds_kernels *kern[KH_MAX];
    const int backends = kh_open(kern);
    const ds_kattn p = {.heads = 2, .kv_heads = 1, .qk_dim = 16, .v_dim = 16, .scale = 0.25f};
    float *q = kh_fill(1, T * 32), *k = kh_fill(2, T * 16), *v = kh_fill(3, T * 16),
          *o = kh_zeros(T * 32), *alone = kh_zeros(T * 32);
    float *lse = kh_zeros(T * 2);
    const int32_t cu[] = {0, 81};
    const ds_kseqs one = {cu, 1};
    ds_err err = {0};

    (void)state;
    assert_int_equal(kern[0]->attention(kern[0], o, lse, q, k, v, DS_KF32, &p, &SEQS, &err), 0);
    assert_int_equal(kern[0]->attention(kern[0], alone, lse, q + 50 * 32, k + 50 * 16, v + 50 * 16,
                                        DS_KF32, &p, &one, &err),
                     0);
    assert_memory_equal(o + 50 * 32, alone, 81 * 32 * sizeof *o);
    void *all[] = {q, k, v, o, alone, lse};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    kh_close(kern, backends);
}

static void wrong_shapes_are_refused(void **state)
{
    ds_kernels *kern[KH_MAX];
    const int backends = kh_open(kern);
    const ds_kattn p = {.heads = 3, .kv_heads = 2, .qk_dim = 4, .v_dim = 4, .scale = 1};
    ds_err err = {0};

    (void)state;
    assert_int_equal(
        kern[0]->attention(kern[0], NULL, NULL, NULL, NULL, NULL, DS_KF32, &p, &SEQS, &err),
        DS_FAIL);
    kh_close(kern, backends);
}

/* The last queries of a text whose beginning lies behind: as if it were there. */
static void tokens_after_a_past(void **state)
{
    static const ds_kattn shapes[] = {
        {4, 2, 16, 16, 0.25f}, {3, 3, 7, 5, 0.4f}, {2, 1, 24, 40, 0.2f}};
    enum { LEN = 61 };
    static const int32_t cu[] = {0, LEN};
    const ds_kseqs one = {cu, 1};
    ds_kernels *k[KH_MAX];
    const int backends = kh_open(k);
    ds_err err = {0};

    (void)state;
    for (int i = 0; i < 9; i++) {
        const ds_kattn *p = &shapes[i / 3];
        const enum ds_kfmt f = (enum ds_kfmt)(i % 3);
        const size_t size = ds_kfmt_size(f);
        const int64_t qw = p->heads * p->qk_dim, ow = p->heads * p->v_dim;
        void *x[3], *o = kh_zeros(LEN * ow), *part = kh_zeros(LEN * ow);
        float *lse = kh_zeros(LEN * p->heads);
        const int64_t n[3] = {LEN * qw, LEN * p->kv_heads * p->qk_dim,
                              LEN * p->kv_heads * p->v_dim};
        for (int j = 0; j < 3; j++) {
            float *full = kh_fill((uint64_t)j + 1, n[j]);
            x[j] = f ? (void *)kh_half(f, full, n[j]) : full;
            if (f)
                free(full);
        }
        assert_int_equal(k[0]->attention(k[0], o, lse, x[0], x[1], x[2], f, p, &one, &err), 0);
        for (int b = 0; b < backends; b++)
            for (int64_t t = 1; t <= 6; t++) {
                const int64_t past = LEN - t;
                assert_int_equal(k[b]->attention_past(k[b], part,
                                                      (char *)x[0] + (size_t)(past * qw) * size,
                                                      x[1], x[2], f, p, past, t, &err),
                                 0);
                assert_memory_equal((char *)o + (size_t)(past * ow) * size, part,
                                    (size_t)(t * ow) * size);
            }
        for (int j = 0; j < 3; j++)
            free(x[j]);
        free(o);
        free(part);
        free(lse);
    }
    kh_close(k, backends);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_heads),
        cmocka_unit_test(grouped_heads),
        cmocka_unit_test(unequal_widths),
        cmocka_unit_test(half_width),
        cmocka_unit_test(sequences_do_not_see_each_other),
        cmocka_unit_test(tokens_after_a_past),
        cmocka_unit_test(wrong_shapes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
