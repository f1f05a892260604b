/* Matrix products: against sums in double, for all layouts, odd sizes and formats; the same bits on
 * every instruction set and thread count, and equal to the documented chain of fused multiply-adds.
 */
#include <math.h>

#include "kern_help.h"
#include "philox.h"

typedef struct shape {
    int64_t m, n, k;
} shape;
static const shape SHAPES[] = {{1, 1, 1},       {5, 7, 3},      {13, 33, 65},    {48, 32, 384},
                               {100, 300, 400}, {200, 17, 769}, {100, 40, 1100}, {20, 40, 3400}};

static void layouts_agree_with_double(void **state)
{
    ds_kernels *k[KH_MAX];
    const int backends = kh_open(k);
    ds_err err = {0};

    (void)state;
    for (size_t s = 0; s < sizeof SHAPES / sizeof *SHAPES; s++) {
        const shape z = SHAPES[s];
        float *a = kh_fill(1, z.m * z.k), *b = kh_fill(2, z.k * z.n), *c = kh_zeros(z.m * z.n),
              *first = kh_zeros(z.m * z.n);
        double *want = malloc((size_t)(z.m * z.n) * sizeof *want);
        assert_non_null(want);
        for (int layout = 0; layout < 4; layout++) {
            const bool ta = layout & 1, tb = layout & 2;
            for (int64_t i = 0; i < z.m; i++)
                for (int64_t j = 0; j < z.n; j++) {
                    double sum = 0;
                    for (int64_t p = 0; p < z.k; p++)
                        sum += (double)a[ta ? p * z.m + i : i * z.k + p] *
                               (double)b[tb ? j * z.k + p : p * z.n + j];
                    want[i * z.n + j] = 0.5 * sum;
                }
            for (int x = 0; x < backends; x++) {
                memset(c, 0x7f, (size_t)(z.m * z.n) * sizeof *c);
                assert_int_equal(k[x]->matmul(k[x], c, DS_KF32, a, DS_KF32, ta, b, DS_KF32, tb, z.m,
                                              z.n, z.k, 0.5f, false, &err),
                                 0);
                kh_close_to(c, want, z.m * z.n, 3e-6 * sqrt((double)z.k) + 1e-6, "c");
                if (x == 0)
                    memcpy(first, c, (size_t)(z.m * z.n) * sizeof *c);
                else
                    assert_memory_equal(first, c, (size_t)(z.m * z.n) * sizeof *c);
            }
        }
        free(a);
        free(b);
        free(c);
        free(first);
        free(want);
    }
    kh_close(k, backends);
}

static void an_element_is_one_chain(void **state)
{
    ds_kernels *k[KH_MAX];
    const int backends = kh_open(k);
    const int64_t m = 9, n = 35, depth = 1000;
    float *a = kh_fill(3, m * depth), *b = kh_fill(4, depth * n), *c = kh_fill(5, m * n);
    ds_err err = {0};

    (void)state;
    float *want = malloc((size_t)(m * n) * sizeof *want);
    assert_non_null(want);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            float s = c[i * n + j];
            for (int64_t p = 0; p < depth; p++)
                s = fmaf(a[i * depth + p], b[j * depth + p], s);
            want[i * n + j] = s;
        }
    for (int x = 0; x < backends; x++) {
        float *got = malloc((size_t)(m * n) * sizeof *got);
        assert_non_null(got);
        memcpy(got, c, (size_t)(m * n) * sizeof *got);
        assert_int_equal(k[x]->matmul(k[x], got, DS_KF32, a, DS_KF32, false, b, DS_KF32, true, m, n,
                                      depth, 1.0f, true, &err),
                         0);
        assert_memory_equal(got, want, (size_t)(m * n) * sizeof *got);
        free(got);
    }
    free(a);
    free(b);
    free(c);
    free(want);
    kh_close(k, backends);
}

static void bf16_operands_and_result(void **state)
{
    ds_kernels *k[KH_MAX];
    const int backends = kh_open(k);
    const int64_t m = 17, n = 40, depth = 130;
    float *a = kh_fill(6, m * depth), *b = kh_fill(7, depth * n);
    uint16_t *ah = kh_half(DS_KBF16, a, m * depth), *bh = kh_half(DS_KBF16, b, depth * n),
             *c = calloc((size_t)(m * n), sizeof *c);
    ds_err err = {0};

    (void)state;
    assert_non_null(c);
    for (int x = 0; x < backends; x++) {
        assert_int_equal(k[x]->matmul(k[x], c, DS_KBF16, ah, DS_KBF16, false, bh, DS_KBF16, true, m,
                                      n, depth, 1.0f, false, &err),
                         0);
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) {
                float s = 0;
                for (int64_t p = 0; p < depth; p++)
                    s = fmaf(ds_bf16_to(ah[i * depth + p]), ds_bf16_to(bh[j * depth + p]), s);
                assert_int_equal(c[i * n + j], ds_bf16_from(s));
            }
    }
    free(a);
    free(b);
    free(ah);
    free(bh);
    free(c);
    kh_close(k, backends);
}

/* Numbers of every size, subnormal ones among them: the product of what they are in f32, rounded
 * where it is put. */
static void f16_products_are_those_of_f32(void **state)
{
    enum { M = 50, N = 70, DEEP = 45, COUNT = DEEP * (M + N) };
    static const enum ds_kfmt to[] = {DS_KF32, DS_KF16, DS_KBF16};
    ds_kernels *k[KH_MAX];
    const int backends = kh_open(k);
    uint16_t x[COUNT], start[M * N];
    float *full = kh_zeros(COUNT), *want = kh_zeros(M * N), *got = kh_zeros(M * N);
    ds_err err = {0};

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        x[i] = (uint16_t)(ds_philox(9, 1, (uint64_t)i) & 0xbfff); /* below 2 */
        full[i] = ds_f16_to(x[i]);
    }
    for (int i = 0; i < M * N; i++)
        start[i] = (uint16_t)(ds_philox(9, 2, (uint64_t)i) & 0xb3ff);
    for (int i = 0; i < 4 * 3 * 4; i++) {
        const enum ds_kfmt f = to[i / 4 % 3], mixed = i / 12 & 1 ? DS_KF32 : DS_KF16;
        const bool ta = i & 1, tb = i & 2, add = i / 24;
        for (int b = 0; b < backends; b++) {
            memcpy(want, start, sizeof start);
            memcpy(got, start, sizeof start);
            if (f == DS_KF32)
                for (int j = 0; j < M * N; j++)
                    want[j] = got[j] = ds_f16_to(start[j]);
            const void *right = mixed == DS_KF32 ? (const void *)(full + M * DEEP) : x + M * DEEP;
            assert_int_equal(k[0]->matmul(k[0], want, f, full, DS_KF32, ta, full + M * DEEP,
                                          DS_KF32, tb, M, N, DEEP, 1.0f, add, &err),
                             0);
            assert_int_equal(k[b]->matmul(k[b], got, f, x, DS_KF16, ta, right, mixed, tb, M, N,
                                          DEEP, 1.0f, add, &err),
                             0);
            assert_memory_equal(want, got, M * N * ds_kfmt_size(f));
        }
    }
    free(full);
    free(want);
    free(got);
    kh_close(k, backends);
}

/* Numbers of every size, subnormal ones among them: what processors do with subnormals off, in the
 * instruction for pairs, in f32 and in plain C, is the same. */
static void bf16_of_any_size(void **state)
{
    ds_kernels *k[KH_MAX];
    const int backends = kh_open(k);
    const int64_t m = 50, n = 70;
    ds_err err = {0};

    (void)state;
    for (int pass = 0; pass < 12; pass++) {
        const int64_t depth = pass < 4 ? 1 + pass : 37 + pass, count = m * depth + depth * n;
        const uint32_t most[] = {254, 8, 130}, lift[] = {0, 60, 0};
        const bool ta = pass & 1, tb = pass & 2;
        uint16_t *x = malloc((size_t)count * sizeof *x);
        float *c0 = kh_zeros(m * n), *first = kh_zeros(m * n), *c = kh_zeros(m * n);
        assert_non_null(x);
        for (int64_t i = 0; i < count; i++) {
            const uint32_t r = ds_philox(9, (uint64_t)pass, (uint64_t)i);
            x[i] = (uint16_t)((r & 0x807f) | ((r >> 16) % most[pass % 3] + lift[pass % 3]) << 7);
        }
        for (int64_t i = 0; i < m * n; i++) {
            const uint32_t r = ds_philox(10, (uint64_t)pass, (uint64_t)i),
                           bits = (r & 0x807fffffu) | (r >> 23) % 4 << 23;
            memcpy(&c0[i], &bits, 4);
        }
        for (int b = 0; b < backends; b++) {
            memcpy(c, c0, (size_t)(m * n) * sizeof *c);
            assert_int_equal(k[b]->matmul(k[b], c, DS_KF32, x, DS_KBF16, ta, x + m * depth,
                                          DS_KBF16, tb, m, n, depth, 1.0f, true, &err),
                             0);
            if (b == 0)
                memcpy(first, c, (size_t)(m * n) * sizeof *c);
            assert_memory_equal(first, c, (size_t)(m * n) * sizeof *c);
        }
        free(x);
        free(c0);
        free(c);
        free(first);
    }
    kh_close(k, backends);
}

/* A product over all rows has the bits of the sum over parts of them, for odd parts too. */
static void bf16_sums_go_on(void **state)
{
    ds_kernels *k[KH_MAX];
    const int backends = kh_open(k);
    const int64_t m = 13, n = 21, depth = 45, cut = 17;
    float *a = kh_fill(6, m * depth), *b = kh_fill(7, depth * n), *c = kh_zeros(m * n),
          *d = kh_zeros(m * n);
    uint16_t *ah = kh_half(DS_KBF16, a, m * depth), *bh = kh_half(DS_KBF16, b, depth * n);
    ds_err err = {0};

    (void)state;
    for (int x = 0; x < backends; x++) {
        memset(d, 0, (size_t)(m * n) * sizeof *d);
        k[x]->matmul(k[x], c, DS_KF32, ah, DS_KBF16, true, bh, DS_KBF16, false, m, n, depth, 1.0f,
                     false, &err);
        k[x]->matmul(k[x], d, DS_KF32, ah, DS_KBF16, true, bh, DS_KBF16, false, m, n, cut, 1.0f,
                     true, &err);
        k[x]->matmul(k[x], d, DS_KF32, ah + cut * m, DS_KBF16, true, bh + cut * n, DS_KBF16, false,
                     m, n, depth - cut, 1.0f, true, &err);
        assert_memory_equal(c, d, (size_t)(m * n) * sizeof *d);
    }
    free(a);
    free(b);
    free(c);
    free(d);
    free(ah);
    free(bh);
    kh_close(k, backends);
}

/* Two products in one chain have the bits of one product of operands laid side by side. */
static void two_terms_are_one_chain(void **state)
{
    ds_kernels *k[KH_MAX];
    const int backends = kh_open(k);
    const int64_t m = 29, n = 37, k0 = 51, k1 = 16, both = k0 + k1;
    float *a = kh_fill(6, m * both), *b = kh_fill(7, n * both), *c = kh_fill(8, m * n),
          *d = kh_zeros(m * n), *want = kh_zeros(m * n);
    char *as[] = {(char *)a, (char *)kh_half(DS_KBF16, a, m * both),
                  (char *)kh_half(DS_KF16, a, m * both)},
         *bs[] = {(char *)b, (char *)kh_half(DS_KBF16, b, n * both),
                  (char *)kh_half(DS_KF16, b, n * both)};
    ds_err err = {0};

    (void)state;
    for (int f = 0; f < 3; f++)
        for (int tb = 0; tb < 2; tb++)
            for (int x = 0; x < backends; x++) {
                const enum ds_kfmt fmt = (enum ds_kfmt)f;
                const size_t w = ds_kfmt_size(fmt);
                const char *pa = as[f], *pb = bs[f];
                const ds_kterm term[2] = {
                    {pa, pb, k0}, {pa + (size_t)(m * k0) * w, pb + (size_t)(n * k0) * w, k1}};
                memcpy(want, c, (size_t)(m * n) * 4);
                memcpy(d, c, (size_t)(m * n) * 4);
                for (int e = 0; e < 2; e++)
                    k[0]->matmul(k[0], want, DS_KF32, term[e].a, fmt, false, term[e].b, fmt, tb, m,
                                 n, term[e].k, 1.0f, true, &err);
                assert_int_equal(k[x]->matmul2(k[x], d, DS_KF32, fmt, tb, term, m, n, true, &err),
                                 0);
                assert_memory_equal(want, d, (size_t)(m * n) * 4);
            }
    void *all[] = {c, d, want, as[0], as[1], as[2], bs[0], bs[1], bs[2]};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    kh_close(k, backends);
}

static void a_projection_is_its_parts(void **state)
{
    enum { ROWS = 29, N = 37, K = 51, R = 8 };
    ds_kernels *k[KH_MAX];
    const int backends = kh_open(k);
    float *x[5] = {kh_fill(1, ROWS * K), kh_fill(2, N * K), kh_fill(3, ROWS * R), kh_fill(4, N * R),
                   kh_fill(5, N)};
    uint16_t *half[5] = {kh_half(DS_KBF16, x[0], ROWS * K), kh_half(DS_KBF16, x[1], N * K),
                         kh_half(DS_KBF16, x[2], ROWS * R), kh_half(DS_KBF16, x[3], N * R),
                         kh_half(DS_KBF16, x[4], N)};
    float *got = kh_zeros(ROWS * N + N * K + N), *want = kh_zeros(ROWS * N + N * K + N);
    ds_err err = {0};

    (void)state;
    for (int i = 0; i < 8 * backends; i++) {
        const enum ds_kfmt f = i & 1 ? DS_KBF16 : DS_KF32;
        const int64_t r = i & 2 ? R : 0;
        const void *at[5];
        ds_kernels *one = k[0], *b = k[i / 8];
        for (int j = 0; j < 5; j++)
            at[j] = f ? (const void *)half[j] : x[j];
        const ds_kterm term[2] = {{at[0], at[1], K}, {at[2], at[3], r}};
        assert_int_equal(b->linear(b, got, f, term, i & 4 ? at[4] : NULL, ROWS, N, &err), 0);
        if (r)
            one->matmul2(one, want, f, f, true, term, ROWS, N, false, &err);
        else
            one->matmul(one, want, f, at[0], f, false, at[1], f, true, ROWS, N, K, 1.0f, false,
                        &err);
        if (i & 4)
            one->bias(one, want, at[4], f, ROWS, N, &err);
        float *dw = want + ROWS * N, *db = dw + N * K;
        one->matmul(one, dw, DS_KF32, want, f, true, at[0], f, false, N, K, ROWS, 1.0f, true, &err);
        one->bias_back(one, db, want, f, ROWS, N, &err);
        dw = got + ROWS * N;
        assert_int_equal(b->linear_back(b, dw, dw + N * K, got, at[0], f, ROWS, N, K, &err), 0);
        assert_memory_equal(want, got, (ROWS * N + N * K + N) * sizeof *got);
    }
    for (int j = 0; j < 5; j++) {
        free(x[j]);
        free(half[j]);
    }
    free(got);
    free(want);
    kh_close(k, backends);
}

static void empty_products(void **state)
{
    ds_kernels *k[KH_MAX];
    const int backends = kh_open(k);
    float c[4] = {1, 2, 3, 4}, a[1] = {1};
    ds_err err = {0};

    (void)state;
    assert_int_equal(k[0]->matmul(k[0], c, DS_KF32, a, DS_KF32, false, a, DS_KF32, false, 2, 2, 0,
                                  1, true, &err),
                     0);
    assert_true(c[0] == 1 && c[3] == 4);
    assert_int_equal(k[0]->matmul(k[0], c, DS_KF32, a, DS_KF32, false, a, DS_KF32, false, 2, 2, 0,
                                  1, false, &err),
                     0);
    assert_true(c[0] == 0 && c[3] == 0);
    assert_int_equal(k[0]->matmul(k[0], c, DS_KF32, a, DS_KF32, false, a, DS_KF32, false, 0, 2, 5,
                                  1, false, &err),
                     0);
    kh_close(k, backends);
}

static void unknown_instructions_are_refused(void **state)
{
    ds_kernels *k;
    ds_err err = {0};

    (void)state;
    assert_int_equal(ds_kernels_cpu(&k, 1, "abacus", &err), DS_FAIL);
    assert_non_null(strstr(err.msg, "abacus"));
}

/* What is held is packed once, for products of its own and as a term among two; once it is
 * released, what lies there is read anew. */
static void held_operands_change_no_bit(void **state)
{
    enum { M = 37, N = 45, K = 70, R = 9, MOST = 6 };
    ds_kernels *k[KH_MAX];
    const int backends = kh_open(k);
    float *many[MOST], *b = kh_fill(2, N * K), *low = kh_fill(3, M * R), *up = kh_fill(4, N * R),
                       *want = kh_zeros(M * N), *got = kh_zeros(M * N);
    ds_err err = {0};

    (void)state;
    for (int i = 0; i < MOST; i++)
        many[i] = kh_fill((uint64_t)i + 5, M * K);
    for (int x = 0; x < backends; x++) {
        for (int round = 0; round < 2; round++) {
            for (int i = 0; i < MOST; i++) /* more than it can hold */
                k[x]->hold(k[x], many[i]);
            for (int i = 0; i < 3 * MOST; i++) {
                const ds_kterm held[2] = {{many[i % MOST], b, K}, {low, up, R}};
                assert_int_equal(
                    k[x]->matmul2(k[x], got, DS_KF32, DS_KF32, true, held, M, N, false, &err), 0);
                float *copy = malloc(M * K * sizeof *copy);
                assert_non_null(copy);
                memcpy(copy, many[i % MOST], M * K * sizeof *copy);
                const ds_kterm plain[2] = {{copy, b, K}, {low, up, R}};
                assert_int_equal(
                    k[0]->matmul2(k[0], want, DS_KF32, DS_KF32, true, plain, M, N, false, &err), 0);
                free(copy);
                assert_memory_equal(want, got, M * N * sizeof *got);
            }
            k[x]->release(k[x], NULL);
            for (int i = 0; i < MOST; i++)
                many[i][7] += 1.0f;
        }
    }
    for (int i = 0; i < MOST; i++)
        free(many[i]);
    free(b);
    free(low);
    free(up);
    free(want);
    free(got);
    kh_close(k, backends);
}

/* Products of a few rows go another way than those of many. */
typedef struct fewcase {
    int64_t m, n, k;
    enum ds_kfmt fa, fb, fc;
    bool accumulate;
} fewcase;

enum { FEW_TALL = 20, FEW_N = 70, FEW_K = 70 };

static void few_product(ds_kernels *k, const fewcase *z, int64_t m, void *c, const void *a,
                        const void *b)
{
    const int64_t r = z->k / 2;
    const ds_kterm term[2] = {{a, b, z->k}, {a, b, r}};
    ds_err err = {0};

    assert_int_equal(k->matmul(k, c, z->fc, a, z->fa, false, b, z->fb, true, m, z->n, z->k,
                               z->k % 3 ? 1.0f : 0.5f, z->accumulate, &err),
                     0);
    if (z->fa == z->fb)
        assert_int_equal(k->matmul2(k, c, z->fc, z->fa, true, term, m, z->n, true, &err), 0);
}

static void few_rows_have_the_bits_of_many(void **state)
{
    static const int64_t ns[] = {1, 15, 16, 33, 70}, ks[] = {1, 2, 16, 31, 34, 70};
    ds_kernels *k[KH_MAX];
    const int backends = kh_open(k);
    float *a = kh_fill(1, FEW_TALL * FEW_K), *b = kh_fill(2, FEW_N * FEW_K);
    float *start = kh_fill(3, FEW_TALL * FEW_N), *want = kh_zeros(FEW_TALL * FEW_N),
          *got = kh_zeros(FEW_TALL * FEW_N);

    (void)state;
    for (int i = 0; i < FEW_TALL * FEW_K; i += 5) /* products of these are subnormal */
        a[i] *= 1e-30f;
    for (int i = 0; i < FEW_N * FEW_K; i += 3)
        b[i] *= 1e-8f;
    const void *pas[] = {a, kh_half(DS_KBF16, a, FEW_TALL * FEW_K),
                         kh_half(DS_KF16, a, FEW_TALL * FEW_K)},
               *pbs[] = {b, kh_half(DS_KBF16, b, FEW_N * FEW_K),
                         kh_half(DS_KF16, b, FEW_N * FEW_K)};
    for (int i = 0; i < 5 * 6 * 27; i++) {
        fewcase z = {.n = ns[i % 5],
                     .k = ks[i / 5 % 6],
                     .fa = (enum ds_kfmt)(i / 30 % 3),
                     .fb = (enum ds_kfmt)(i / 90 % 3),
                     .fc = (enum ds_kfmt)(i / 270),
                     .accumulate = i & 1};
        const size_t row = (size_t)z.n * ds_kfmt_size(z.fc);
        const void *pa = pas[z.fa], *pb = pbs[z.fb];
        memcpy(want, start, FEW_TALL * FEW_N * sizeof *want);
        few_product(k[0], &z, FEW_TALL, want, pa, pb);
        for (int x = 0; x < backends; x++)
            for (z.m = 1; z.m <= 5; z.m++) {
                memcpy(got, start, FEW_TALL * FEW_N * sizeof *got);
                few_product(k[x], &z, z.m, got, pa, pb);
                assert_memory_equal(want, got, (size_t)z.m * row);
                assert_memory_equal((char *)got + (size_t)z.m * row,
                                    (char *)start + (size_t)z.m * row,
                                    FEW_TALL * FEW_N * sizeof *got - (size_t)z.m * row);
            }
    }
    for (int f = 0; f < 3; f++) {
        free((void *)(uintptr_t)pas[f]);
        free((void *)(uintptr_t)pbs[f]);
    }
    free(start);
    free(want);
    free(got);
    kh_close(k, backends);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layouts_agree_with_double),
        cmocka_unit_test(an_element_is_one_chain),
        cmocka_unit_test(bf16_operands_and_result),
        cmocka_unit_test(f16_products_are_those_of_f32),
        cmocka_unit_test(bf16_of_any_size),
        cmocka_unit_test(bf16_sums_go_on),
        cmocka_unit_test(two_terms_are_one_chain),
        cmocka_unit_test(a_projection_is_its_parts),
        cmocka_unit_test(held_operands_change_no_bit),
        cmocka_unit_test(few_rows_have_the_bits_of_many),
        cmocka_unit_test(empty_products),
        cmocka_unit_test(unknown_instructions_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
