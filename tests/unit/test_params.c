/* Weights from a tensor's bytes: whichever format a file has and the memory is of, numbers are the
 * same, and one that is not finite is found wherever it lies. */
#include "params.h"

#include "kern_help.h"

#define N 37 /* no multiple of what is looked at together */

static const enum ds_kfmt FORMATS[] = {DS_KF32, DS_KBF16, DS_KF16};
static const enum ds_st_dtype FILES[] = {DS_ST_F32, DS_ST_BF16, DS_ST_F16};

typedef struct fixture {
    ds_kernels *k;
    ds_params s;
    ds_param *p[3]; /* of each format */
    uint8_t room[N * 4 + 1];
    ds_st_tensor t;
} fixture;

static fixture *F;

static int set_up(void **state)
{
    ds_err err = {0};

    (void)state;
    F = calloc(1, sizeof *F);
    assert_non_null(F);
    assert_int_equal(ds_kernels_cpu(&F->k, 1, NULL, &err), 0);
    F->s.k = F->k;
    for (int i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof name, "w%d", i);
        assert_int_equal(ds_params_add(&F->s, &F->p[i], name, 1, N, true, FORMATS[i], &err), 0);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ds_params_fini(&F->s);
    F->k->close(F->k);
    free(F);
    return 0;
}

/* A tensor of these numbers, at an odd address. */
static void file_of(int as, const float *x)
{
    uint8_t *to = F->room + 1;

    for (int i = 0; i < N; i++) {
        const uint16_t h = as ? ds_half_from(FORMATS[as], x[i]) : 0;
        memcpy(to + (size_t)i * (as ? 2 : 4), as ? (const void *)&h : &x[i], as ? 2 : 4);
    }
    F->t = (ds_st_tensor){.name = (char *)(uintptr_t) "w",
                          .dtype = FILES[as],
                          .ndim = 1,
                          .dims = {N},
                          .data = to,
                          .bytes = (size_t)N * (as ? 2 : 4)};
}

static void numbers_are_the_same(void **state)
{
    float x[N], *got;
    ds_err err = {0};

    (void)state;
    for (int i = 0; i < N; i++) /* in all formats: eight bits, normal and subnormal in f16 */
        x[i] = (float)(i - N / 2) * (i % 3 ? 0.5f : 0x1p-24f);
    for (int as = 0; as < 3; as++)
        for (int to = 0; to < 3; to++) {
            file_of(as, x);
            assert_int_equal(ds_param_load(&F->s, F->p[to], &F->t, "a file", &err), 0);
            assert_int_equal(ds_param_get(&F->s, F->p[to], &got, &err), 0);
            assert_memory_equal(got, x, sizeof x);
            free(got);
        }
}

static void what_is_not_finite_is_named(void **state)
{
    static const float BAD[] = {INFINITY, -INFINITY, NAN};
    float x[N];

    (void)state;
    for (int i = 0; i < N; i++)
        x[i] = i % 2 ? -65504.0f : 65504.0f; /* of which bf16 makes 65536 */
    for (int as = 0; as < 3; as++)
        for (int to = 0; to < 3; to++)
            for (int at = 0; at < N; at++) {
                ds_err err = {0};
                char want[64];
                const float was = x[at];
                x[at] = BAD[at % 3];
                file_of(as, x);
                x[at] = was;
                const int rc = ds_param_load(&F->s, F->p[to], &F->t, "a file", &err);
                if (as == 1 && to == 2 && at > 0) { /* the first one is too large for f16 */
                    assert_int_equal(rc, DS_FAIL);
                    assert_non_null(strstr(err.msg, "element 0 is 65536, and f16 ends at 65504"));
                    continue;
                }
                assert_int_equal(rc, DS_CORRUPT);
                snprintf(want, sizeof want, "a file: tensor 'w': element %d is not a finite", at);
                assert_non_null(strstr(err.msg, want));
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_the_same),
        cmocka_unit_test(what_is_not_finite_is_named),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
