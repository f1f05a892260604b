/* cuda_twin.h - the same memory on the CPU and on the device, and whether both made the same of it.
 */
#ifndef DS_CUDA_TWIN_H
#define DS_CUDA_TWIN_H

#include <math.h>

#include "cuda_help.h"

/* The same memory on both sides. */
typedef struct twin {
    void *at[2];
    int64_t n;
    enum ds_kfmt f;
} twin;

static inline size_t bytes_of(const twin *b)
{
    return (size_t)b->n * ds_kfmt_size(b->f);
}

static inline void load(twin *b, const void *host)
{
    ds_err err = {0};

    for (int s = 0; s < 2; s++)
        ok(K[s]->upload(K[s], b->at[s], host, bytes_of(b), &err), &err, "upload");
}

/* Fewer bytes than it has room for. */
static inline void twin_put(twin *b, const void *host, size_t bytes)
{
    ds_err err = {0};

    for (int s = 0; s < 2; s++)
        ok(K[s]->upload(K[s], b->at[s], host, bytes, &err), &err, "upload");
}

static inline twin twin_new(enum ds_kfmt f, int64_t n)
{
    twin b = {.n = n, .f = f};
    ds_err err = {0};
    void *nan = malloc(bytes_of(&b) + 1);

    assert_non_null(nan);
    memset(nan, 0xff, bytes_of(&b));
    for (int s = 0; s < 2; s++)
        ok(K[s]->alloc(K[s], &b.at[s], bytes_of(&b), &err), &err, "alloc");
    load(&b, nan);
    free(nan);
    return b;
}

/* Numbers in [-size, size). */
static inline twin twin_of(enum ds_kfmt f, int64_t n, uint64_t seed, float size)
{
    twin b = twin_new(f, n);
    float *x = kh_fill(seed, n);

    for (int64_t i = 0; i < n; i++)
        x[i] *= size;
    uint16_t *half = kh_half(f, x, n);
    load(&b, f == DS_KF32 ? (const void *)x : half);
    free(half);
    free(x);
    return b;
}

static inline twin twin_zero(int64_t n)
{
    twin b = twin_new(DS_KF32, n);
    float *x = kh_zeros(n);

    load(&b, x);
    free(x);
    return b;
}

static inline void *fetch(const twin *b, int s)
{
    ds_err err = {0};
    void *p = malloc(bytes_of(b) + 1);

    assert_non_null(p);
    ok(K[s]->download(K[s], p, b->at[s], bytes_of(b), &err), &err, "download");
    return p;
}

static inline float value(const twin *b, const void *p, int64_t i)
{
    return b->f == DS_KF32 ? ((const float *)p)[i] : ds_half_to(b->f, ((const uint16_t *)p)[i]);
}

static const enum ds_kfmt ALL_F[] = {DS_KF32, DS_KBF16, DS_KF16};
static const char *const NAME_OF[] = {"f32", "bf16", "f16"};

/* tol 0: the same bits. Results of two bytes may differ by one rounding more. */
static inline void agree(const twin *b, double tol, const char *what)
{
    void *want = fetch(b, 0), *got = fetch(b, 1);

    if (tol > 0 && b->f != DS_KF32)
        tol = fmax(tol, b->f == DS_KBF16 ? 0.01 : 0.002);
    for (int64_t i = 0; i < b->n; i++) {
        const double x = (double)value(b, want, i), y = (double)value(b, got, i);
        if (tol == 0 ? memcmp(&(float){(float)x}, &(float){(float)y}, 4) != 0
                     : !(fabs(x - y) <= tol * (1 + fabs(x))))
            fail_msg("%s, %s[%lld]: %.9g, the CPU has %.9g", what, NAME_OF[b->f], (long long)i, y,
                     x);
    }
    free(want);
    free(got);
}

/* Two of one side have the same bits, on both sides. */
static inline void same(const twin *a, const twin *b, const char *what)
{
    for (int s = 0; s < 2; s++) {
        void *x = fetch(a, s), *y = fetch(b, s);
        if (memcmp(x, y, bytes_of(a)) != 0)
            fail_msg("%s: not the bits of its parts, side %d", what, s);
        free(x);
        free(y);
    }
}

static inline void twin_free(twin *b)
{
    for (int s = 0; s < 2; s++)
        K[s]->free(K[s], b->at[s]);
}

/* Runs CALL for both, with k the backend and s its side. */
#define BOTH(what, call)                                                                           \
    do {                                                                                           \
        ds_err err = {0};                                                                          \
        for (int s = 0; s < 2; s++) {                                                              \
            ds_kernels *k = K[s];                                                                  \
            ok(call, &err, what);                                                                  \
        }                                                                                          \
    } while (0)

/* The device once more: the same bits. */
#define AGAIN(what, out, call)                                                                     \
    do {                                                                                           \
        ds_err err = {0};                                                                          \
        const int s = 1;                                                                           \
        ds_kernels *k = K[1];                                                                      \
        void *first = fetch(&(out), 1);                                                            \
        ok(call, &err, what);                                                                      \
        void *second = fetch(&(out), 1);                                                           \
        assert_memory_equal(first, second, bytes_of(&(out)));                                      \
        free(first);                                                                               \
        free(second);                                                                              \
    } while (0)

#endif
