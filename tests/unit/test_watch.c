/* What a run watches: losses that stand out, and evaluations that do not improve. */
#include "unit.h"

#include <math.h>

#include "ledger.h"
#include "recall.h"
#include "spike.h"
#include "watch.h"

static ds_spike guard(uint32_t window, double factor)
{
    const ds_spike_conf c = {DS_SPIKE_SKIP, window, factor};
    ds_spike s;
    assert_int_equal(ds_spike_init(&s, &c, NULL), 0);
    return s;
}

static void a_spike_is_above_median_and_spread(void **state)
{
    (void)state;
    ds_spike s = guard(5, 2);
    const double first[] = {4, 1, 3, 2, 5};
    double limit;
    for (int i = 0; i < 5; i++) {
        assert_false(ds_spike_see(&s, first[i], &limit));
        assert_true(isinf(limit));
    }
    /* median 3, distances 1 2 0 1 2: 1 */
    assert_false(ds_spike_see(&s, 3 + 2 * 1.4826, &limit));
    assert_true(fabs(limit - (3 + 2 * 1.4826)) < 1e-12);
    /* 1 3 2 5 5.9652: median 3, distances 2 0 1 2 2.9652: 2 */
    assert_true(ds_spike_see(&s, 9, &limit));
    assert_true(fabs(limit - (3 + 2 * 1.4826 * 2)) < 1e-12);
    ds_spike_fini(&s);
}

static void losses_that_hardly_move_leave_a_hundredth(void **state)
{
    (void)state;
    ds_spike s = guard(4, 3);
    double limit;
    for (int i = 0; i < 4; i++)
        ds_spike_see(&s, 2, &limit);
    assert_false(ds_spike_see(&s, 2.06, &limit));
    assert_float_equal(limit, 2.06, 1e-12);
    assert_true(ds_spike_see(&s, 2.07, &limit));
    ds_spike_fini(&s);
}

/* A level that stays is normal after half a window. */
static void a_new_level_is_accepted(void **state)
{
    (void)state;
    ds_spike s = guard(8, 4);
    double limit;
    int spikes = 0;
    for (int i = 0; i < 8; i++)
        ds_spike_see(&s, 1, &limit);
    for (int i = 0; i < 20; i++)
        spikes += ds_spike_see(&s, 2, &limit);
    assert_in_range(spikes, 3, 5);
    ds_spike_fini(&s);
}

static void off_sees_nothing(void **state)
{
    (void)state;
    const ds_spike_conf c = {DS_SPIKE_OFF, 0, 0};
    ds_spike s;
    double limit;
    assert_int_equal(ds_spike_init(&s, &c, NULL), 0);
    for (int i = 0; i < 10; i++)
        assert_false(ds_spike_see(&s, i < 9 ? 1 : 1e9, &limit));
    assert_int_equal(ds_spike_recall(&s, unit_path("nowhere"), 5, NULL), 0);
    ds_spike_fini(&s);
}

static double loss_at(uint64_t step)
{
    return (double)(step * 7 % 11);
}

/* Two rows a step: the last has the loss. */
static void write_segment(const char *path, uint64_t first, uint64_t last)
{
    const ds_sha zero = {{0}};
    ds_sha head;
    ds_ledger *l;
    uint64_t rows;
    assert_int_equal(ds_ledger_create(&l, path, &zero, NULL), 0);
    for (uint64_t step = first; step <= last; step++)
        for (uint64_t i = 0; i < 2; i++) {
            const double loss = i ? loss_at(step) : 0;
            ds_ledger_row r = {
                .step = step, .row = 2 * (step - 1) + i, .pieces = "\0", .pieces_len = 1};
            memcpy(&r.loss, &loss, sizeof r.loss);
            assert_int_equal(ds_ledger_add(l, &r, NULL), 0);
        }
    assert_int_equal(ds_ledger_finish(l, &head, &rows, NULL), 0);
}

static void a_ledger_brings_the_window_back(void **state)
{
    (void)state;
    ds_err e = {0};
    double want, got;
    assert_int_equal(ds_mkdirs(unit_path("c/ledger"), NULL), 0);
    write_segment(unit_path("c/ledger/ledger-000001-000006.dsr"), 1, 6);
    write_segment(unit_path("c/ledger/ledger-000007-000009.dsr"), 7, 9);
    write_segment(unit_path("c/ledger/ledger-000010-000013.dsr"), 10, 13);
    for (uint32_t window = 4; window <= 13; window++) {
        ds_spike a = guard(window, 1), b = guard(window, 1);
        for (uint64_t step = 1; step <= 13; step++)
            ds_spike_see(&a, loss_at(step), &want);
        assert_int_equal(ds_spike_recall(&b, unit_path("c"), 13, &e), 0);
        for (uint64_t step = 14; step < 40; step++) {
            assert_int_equal(ds_spike_see(&a, loss_at(step), &want),
                             ds_spike_see(&b, loss_at(step), &got));
            assert_true(want == got);
        }
        ds_spike_fini(&a);
        ds_spike_fini(&b);
    }
    ds_spike s = guard(4, 1);
    assert_int_equal(ds_spike_recall(&s, unit_path("c"), 14, &e), DS_CORRUPT);
    ds_spike_fini(&s);
}

static void patience_counts_from_the_last_better_one(void **state)
{
    (void)state;
    const double loss[] = {3, 2.9, 2.5, 2.45, 2.6, 2.41};
    const bool best[] = {true, true, true, true, false, true};
    const uint64_t waited[] = {0, 1, 0, 1, 2, 3};
    ds_watch w = {0};
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(ds_watch_see(&w, 10 * (i + 1), loss[i], 0.1), best[i]);
        assert_int_equal(w.waited, waited[i]);
    }
    assert_int_equal(w.best_step, 60);
    assert_int_equal(w.evaluated, 60);
    assert_true(w.best == 2.41 && w.mark == 2.5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_spike_is_above_median_and_spread),
        cmocka_unit_test(losses_that_hardly_move_leave_a_hundredth),
        cmocka_unit_test(a_new_level_is_accepted),
        cmocka_unit_test(off_sees_nothing),
        cmocka_unit_test(a_ledger_brings_the_window_back),
        cmocka_unit_test(patience_counts_from_the_last_better_one),
    };
    return cmocka_run_group_tests(tests, NULL, unit_dir_remove);
}
