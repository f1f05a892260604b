/* The optimizer on the CUDA backend beside the CPU's, as test_cuda.c: the gradient norm, AdamW, and
 * AdamW with moments of 8 bits. All have the CPU's bits.
 */
#include "cuda_twin.h"

/* A step after `t` of them. */
static ds_kadamw step_of(int t)
{
    return (ds_kadamw){.lr = 1e-2f,
                       .beta1 = 0.9f,
                       .beta2 = 0.95f,
                       .eps = 1e-8f,
                       .decay = 0.1f,
                       .corr1 = 1 - powf(0.9f, (float)(t + 1)),
                       .corr2 = 1 - powf(0.95f, (float)(t + 1)),
                       .gscale = 0.7f};
}

static const ds_kadamw DRAWN = {.lr = 1e-2f,
                                .beta1 = 0.9f,
                                .beta2 = 0.95f,
                                .eps = 1e-8f,
                                .corr1 = 1,
                                .corr2 = 1,
                                .gscale = 1,
                                .stochastic = true,
                                .seed = 0x123456789abcdefu,
                                .stream = UINT64_C(1) << 63 | 7};

/* Element i of memory of numbers of `size` bytes. */
static void *past(const twin *b, int s, int64_t i, size_t size)
{
    return (char *)b->at[s] + (size_t)i * size;
}

/* Both sides have the same bytes there. */
static void alike(const twin *b, const char *what)
{
    uint8_t *want = fetch(b, 0), *got = fetch(b, 1);

    for (size_t i = 0; i < bytes_of(b); i++)
        if (want[i] != got[i])
            fail_msg("%s: byte %zu of %zu is %d, not %d", what, i, bytes_of(b), got[i], want[i]);
    free(want);
    free(got);
}

/* Arrays that end anywhere, lie anywhere, or are empty. */
static void norms(void **state)
{
    static const int64_t sizes[] = {1, 3, 127, 700, 4096, 9001, 17000};

    (void)state;
    for (int i = 0; i < 7; i += SOME) {
        const int64_t n = sizes[i];
        twin g = twin_of(DS_KF32, n + 1, 1, 0.1f), h = twin_of(DS_KF32, 8200, 2, 1e5f);
        double sum[2];
        for (int64_t off = 0; off < 2; off++) {
            BOTH("norm2", k->norm2(k, &sum[s],
                                   (const float *[]){g.at[s], h.at[s], past(&g, s, off, 4),
                                                     past(&h, s, 2, 4), h.at[s]},
                                   (const int64_t[]){n, 0, n, 5, 8200}, 5, &err));
            assert_memory_equal(&sum[0], &sum[1], sizeof *sum);
            assert_true(sum[0] > 0);
        }
        twin_free(&g);
        twin_free(&h);
    }
}

/* Of n weights, which lie `off` numbers after the beginning of their memory. */
static void steps(enum ds_kfmt f, int64_t n, int64_t off)
{
    const int64_t all = n + off, blocks = (n + DS_BLOCK8 - 1) / DS_BLOCK8;
    const size_t each = ds_kfmt_size(f);
    twin g = twin_of(DS_KF32, all, 1, 0.1f), master = twin_of(DS_KF32, all, 2, 1.0f),
         w = twin_of(f, all, 2, 1.0f), m = twin_zero(all), v = twin_zero(all);
    twin m8 = twin_zero((all + 3) / 4), v8 = twin_zero((all + 3) / 4), ms = twin_zero(blocks),
         vs = twin_zero(blocks);
#define AT(b, size) past(&b, s, off, size)
    for (int t = 0; t < 3; t++) {
        const ds_kadamw p = step_of(t);
        BOTH("adamw", k->adamw(k, AT(w, each), f, f ? AT(master, 4) : NULL, AT(m, 4), AT(v, 4),
                               AT(g, 4), n, &p, &err));
        BOTH("adamw8", k->adamw8(k, AT(w, each), f, f ? AT(master, 4) : NULL, AT(m8, 1), ms.at[s],
                                 AT(v8, 1), vs.at[s], AT(g, 4), n, &p, &err));
    }
    if (f == DS_KBF16) {
        BOTH("adamw by chance",
             k->adamw(k, AT(w, 2), f, NULL, AT(m, 4), AT(v, 4), AT(g, 4), n, &DRAWN, &err));
        BOTH("adamw8 by chance", k->adamw8(k, AT(w, 2), f, NULL, AT(m8, 1), ms.at[s], AT(v8, 1),
                                           vs.at[s], AT(g, 4), n, &DRAWN, &err));
    }
#undef AT
    twin *const them[] = {&w, &master, &m, &v, &m8, &v8, &ms, &vs, &g};
    static const char *const names[] = {"w",  "master", "m",        "v",
                                        "m8", "v8",     "m8.scale", "v8.scale"};
    for (int j = 0; j < 8; j++)
        alike(them[j], names[j]);
    for (int j = 0; j < 9; j++)
        twin_free(them[j]);
}

/* The last size is more than all warps have at a time. */
static void optimizers(void **state)
{
    static const int64_t sizes[] = {1, 4, 255, 256, 700, 9001, 40004};

    (void)state;
    for (int i = 0; i < 21; i += SOME)
        steps(ALL_F[i % 3], sizes[i / 3], 0);
    for (int i = 0; i < 3; i++)
        steps(ALL_F[i], 516, 1);
}

/* Gradients that become moments as they are, of which each block's largest is 1: what a block's
 * second number and the following are coded as. */
typedef struct coded {
    float *g;
    int64_t n;
} coded;

static void add_number(coded *c, float x)
{
    if (c->n % DS_BLOCK8 == 0)
        c->g[c->n++] = 1.0f;
    c->g[c->n++] = x;
}

/* x, its neighbours, and what is opposite. */
static void add_numbers(coded *c, float x)
{
    const float near[] = {x, nextafterf(x, 0.0f), nextafterf(x, 2.0f)};

    for (int i = 0; i < 3; i++) {
        add_number(c, near[i]);
        add_number(c, -near[i]);
    }
}

/* Every edge between two codes, what lies next to it, and all sizes that numbers can have. */
static coded numbers_to_code(void)
{
    coded c = {.g = malloc(16384 * sizeof *c.g)};
    float map[256];

    assert_non_null(c.g);
    for (int sign = 0; sign < 2; sign++) {
        ds_dynamic_map(map, sign);
        for (int e = sign ? 127 : 0; e < 255; e++) {
            const float edge = 0.5f * (map[e] + map[e + 1]);
            add_numbers(&c, sign ? edge : sqrtf(edge)); /* v is made of squares */
        }
    }
    for (int e = -149; e < 0; e++)
        add_numbers(&c, ldexpf(1.0f, e));
    for (uint64_t i = 0; i < 4000; i++)
        add_number(&c, ldexpf(kh_number(5, i), -(int)(i % 24)));
    add_numbers(&c, 0.0f);
    assert_true(c.n < 16384);
    return c;
}

/* The largest steps of keys in adamw8_kernel: no two edges have one. */
static void edges_have_keys_of_their_own(void **state)
{
    float map[256];

    (void)state;
    for (int sign = 0; sign < 2; sign++) {
        uint32_t last = 0;
        ds_dynamic_map(map, sign);
        for (int e = sign ? 127 : 1; e < 255; e++) {
            const float edge = 0.5f * (map[e] + map[e + 1]);
            uint32_t u;
            memcpy(&u, &edge, sizeof u);
            assert_true(edge > 0x1p-22f && edge < 1.0f && u >> 16 > last);
            last = u >> 16;
        }
    }
}

static void codes(void **state)
{
    const ds_kadamw p = {.eps = 1, .corr1 = 1, .corr2 = 1, .gscale = 1};
    const float odd[] = {NAN, INFINITY, -INFINITY, 1e30f, 1e-40f, -0.0f};

    (void)state;
    for (int i = 0; i < 7; i++) { /* in the last ones a number that spoils a block, or is alone */
        coded c = i ? (coded){.g = kh_zeros(600), .n = 600} : numbers_to_code();
        for (int64_t j = 0; i && j < c.n; j++)
            c.g[j] = j == 300 ? odd[i - 1] : j < 256 ? kh_number(1, (uint64_t)j) : 0.0f;
        const int64_t blocks = (c.n + DS_BLOCK8 - 1) / DS_BLOCK8;
        twin g = twin_new(DS_KF32, c.n), w = twin_zero(c.n), m8 = twin_zero((c.n + 3) / 4),
             v8 = twin_zero((c.n + 3) / 4), ms = twin_zero(blocks), vs = twin_zero(blocks);
        load(&g, c.g);
        BOTH("adamw8", k->adamw8(k, w.at[s], DS_KF32, NULL, m8.at[s], ms.at[s], v8.at[s], vs.at[s],
                                 g.at[s], c.n, &p, &err));
        twin *const them[] = {&m8, &v8, &ms, &vs, &w, &g};
        for (int j = 0; j < 4; j++)
            alike(them[j], "codes");
        for (int j = 0; j < 6; j++)
            twin_free(them[j]);
        free(c.g);
    }
}

int main(void)
{
    if (threads_are_watched())
        return 77;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norms),
        cmocka_unit_test(optimizers),
        cmocka_unit_test(edges_have_keys_of_their_own),
        cmocka_unit_test(codes),
    };
    return cmocka_run_group_tests(tests, open_both, close_both);
}
