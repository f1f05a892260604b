/* A mixture's gates, the sort of what they chose, rows that go there and back: known answers, what
 * a sort is, plain references in double; equal bits everywhere.
 */
#include <math.h>

#include "choice_help.h"

static void gates_choose_the_largest(void **state)
{
    ds_kernels *k[KH_MAX];
    const int n = kh_open(k);
    const float x[2 * 5] = {0, 3, 1, 3, -1, 2, 2, 2, 2, 2};
    float p[10], w[4];
    int32_t room[3 * 4 + 6];
    ds_kchoices c = ds_kchoices_at(room, 2, 5, 2);
    ds_err err = {0};

    (void)state;
    assert_int_equal(ds_kchoices_bytes(2, 5, 2), sizeof room);
    for (int b = 0; b < n; b++) {
        c.kk = 2;
        assert_int_equal(k[b]->topk(k[b], p, &c, w, x, DS_KF32, 1.0f, false, &err), 0);
        assert_int_equal(c.expert[0], 1);
        assert_int_equal(c.expert[1], 3); /* ties: the lower first */
        assert_int_equal(c.expert[2], 0);
        assert_int_equal(c.expert[3], 1);
        assert_true(w[0] == p[1] && w[1] == p[3] && fabsf(w[2] - 0.2f) < 1e-6f);
        assert_int_equal(k[b]->topk(k[b], p, &c, w, x, DS_KF32, 3.0f, true, &err), 0);
        assert_true(fabsf(w[0] - 1.5f) < 1e-6f && fabsf(w[0] + w[1] - 3.0f) < 1e-6f);
        c.kk = 6;
        assert_int_equal(k[b]->topk(k[b], p, &c, w, x, DS_KF32, 1.0f, false, &err), DS_FAIL);
        err.code = 0;
    }
    kh_close(k, n);
}

static void choices_are_sorted_by_expert_token_and_place(void **state)
{
    ds_kernels *k[KH_MAX];
    const int n = kh_open(k);

    (void)state;
    for (uint64_t i = 0; i < CHOICE_SHAPES; i++) {
        ds_kchoices c = choices_drawn(i);
        for (int b = 0; b < n; b++) {
            ds_err err = {0};
            memset(c.sorted, 0xff, (size_t)(2 * c.t * c.kk + c.e + 1) * sizeof *c.sorted);
            assert_int_equal(k[b]->sort_choices(k[b], &c, &err), 0);
            choices_sorted(&c);
        }
        free(c.expert);
    }
    kh_close(k, n);
}

static void rows_go_to_experts_and_back(void **state)
{
    enum { D = 300 };
    ds_kernels *k[KH_MAX];
    const int n = kh_open(k);

    (void)state;
    for (uint64_t i = 0; i < CHOICE_SHAPES; i++) {
        const ds_kchoices c = choices_drawn(i);
        const int64_t total = c.t * c.kk;
        float *x = kh_fill(1, c.t * D), *w = kh_fill(2, total), *out = kh_zeros(total * D + 1),
              *y = kh_zeros(c.t * D), *keep = kh_zeros(c.t * D);
        double *want = calloc((size_t)(c.t * D), sizeof *want);
        ds_err err = {0};
        assert_non_null(want);
        assert_int_equal(k[0]->sort_choices(k[0], &c, &err), 0);
        for (int64_t r = 0; r < total * D; r++) /* y = 1 + the sum of w (w x) and of x */
            want[r / D / c.kk * D + r % D] +=
                (1 + (double)w[r / D] * (double)w[r / D]) * (double)x[r / D / c.kk * D + r % D];
        for (int64_t j = 0; j < c.t * D; j++)
            want[j] += 1;
        for (int b = 0; b < n; b++) {
            for (int64_t j = 0; j < c.t * D; j++)
                y[j] = 1.0f;
            assert_int_equal(k[b]->dispatch(k[b], out, x, DS_KF32, &c, w, D, &err), 0);
            assert_int_equal(k[b]->combine(k[b], y, out, DS_KF32, &c, w, D, &err), 0);
            assert_int_equal(k[b]->dispatch(k[b], out, x, DS_KF32, &c, NULL, D, &err), 0);
            for (int64_t r = 0; r < total; r++)
                assert_memory_equal(out + r * D, x + c.slots[r] / c.kk * D, D * sizeof *x);
            assert_int_equal(k[b]->combine(k[b], y, out, DS_KF32, &c, NULL, D, &err), 0);
            kh_close_to(y, want, c.t * D, 1e-5, "rows that came back");
            if (b == 0)
                memcpy(keep, y, (size_t)(c.t * D) * sizeof *y);
            assert_memory_equal(keep, y, (size_t)(c.t * D) * sizeof *y);
        }
        void *all[] = {x, w, out, y, keep, want, c.expert};
        for (int j = 0; j < 7; j++)
            free(all[j]);
    }
    kh_close(k, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gates_choose_the_largest),
        cmocka_unit_test(choices_are_sorted_by_expert_token_and_place),
        cmocka_unit_test(rows_go_to_experts_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
