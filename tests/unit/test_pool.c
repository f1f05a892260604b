/* The thread pool: results in the order of submission, a bounded window, any number of threads. */
#include "unit.h"

#include <sched.h>
#include <stdatomic.h>

#include "pool.h"

struct job {
    unsigned in, out;
};

static atomic_uint running, most;

static void work(void *arg, void *ctx)
{
    struct job *j = arg;
    unsigned now = atomic_fetch_add(&running, 1) + 1, seen = atomic_load(&most);
    while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now)) {
    }
    unsigned v = j->in;
    for (unsigned i = 0; i < (j->in * 2654435761u >> 22); i++) /* jobs of uneven length */
        v = v * 1664525u + 1013904223u;
    if (j->in % 7 == 0)
        sched_yield();
    j->out = v + *(const unsigned *)ctx;
    atomic_fetch_sub(&running, 1);
}

static void run_all(int threads, int window, unsigned n, unsigned *sum)
{
    unsigned base = 5, sent = 0, got = 0;
    struct job *jobs = calloc(n, sizeof *jobs);
    ds_pool *p;
    assert_non_null(jobs);
    atomic_store(&most, 0);
    assert_int_equal(ds_pool_new(&p, threads, window, work, &base, NULL), 0);
    assert_true(ds_pool_empty(p));
    assert_null(ds_pool_next(p));
    *sum = 0;
    while (got < n) {
        while (sent < n && !ds_pool_full(p)) {
            jobs[sent].in = sent;
            assert_int_equal(ds_pool_submit(p, &jobs[sent], NULL), 0);
            sent++;
        }
        assert_true(sent - got <= (unsigned)window);
        struct job *j = ds_pool_next(p);
        assert_ptr_equal(j, &jobs[got]); /* the oldest, always */
        *sum = *sum * 31 + j->out;
        got++;
    }
    assert_true(ds_pool_empty(p));
    assert_true(atomic_load(&most) <= (unsigned)(threads > 1 ? threads : 1));
    ds_pool_free(p);
    free(jobs);
}

static void same_for_any_thread_count(void **state)
{
    (void)state;
    static const int counts[][2] = {{0, 1}, {1, 4}, {2, 1}, {2, 3}, {4, 16}, {13, 5}};
    unsigned want;
    run_all(1, 1, 3000, &want);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        unsigned sum;
        run_all(counts[i][0], counts[i][1], 3000, &sum);
        assert_int_equal(sum, want);
    }
}

static void full_window_refuses(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 2; threads++) {
        unsigned base = 0;
        struct job a = {1, 0}, b = {2, 0}, c = {3, 0};
        ds_err e = {0};
        ds_pool *p;
        assert_int_equal(ds_pool_new(&p, threads, 2, work, &base, NULL), 0);
        assert_int_equal(ds_pool_submit(p, &a, &e), 0);
        assert_int_equal(ds_pool_submit(p, &b, &e), 0);
        assert_true(ds_pool_full(p));
        assert_int_equal(ds_pool_submit(p, &c, &e), DS_FAIL);
        assert_ptr_equal(ds_pool_next(p), &a);
        assert_false(ds_pool_full(p));
        ds_pool_free(p); /* waits for b, which stays ours */
        assert_true(b.out != 0);
    }
    ds_pool_free(NULL);
}

static void free_runs_what_was_submitted(void **state)
{
    (void)state;
    unsigned base = 1;
    struct job jobs[64] = {{0, 0}};
    ds_pool *p;
    assert_int_equal(ds_pool_new(&p, 3, 64, work, &base, NULL), 0);
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(ds_pool_submit(p, &jobs[i], NULL), 0);
    ds_pool_free(p);
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(jobs[i].out, 1);
}

struct beside_job {
    int runs;
    pthread_t by;
};

static void beside_work(void *arg)
{
    struct beside_job *j = arg;
    j->runs++;
    j->by = pthread_self();
}

static void beside_is_done_once_by_a_thread_or_at_its_end(void **state)
{
    (void)state;
    ds_beside b = {.begun = false};
    ds_beside_end(&b, true); /* nothing was begun */
    for (int thread = 0; thread < 2; thread++)
        for (int still = 0; still < 2; still++) {
            struct beside_job j = {.runs = 0};
            ds_beside_begin(&b, thread, beside_work, &j);
            assert_int_equal(b.begun, thread);
            ds_beside_end(&b, still);
            ds_beside_end(&b, true);
            assert_int_equal(j.runs, thread || still);
            assert_true(!j.runs || pthread_equal(j.by, pthread_self()) == !thread);
        }
}

static void processors(void **state)
{
    (void)state;
    assert_true(ds_cpu_count() >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_for_any_thread_count),
        cmocka_unit_test(full_window_refuses),
        cmocka_unit_test(free_runs_what_was_submitted),
        cmocka_unit_test(beside_is_done_once_by_a_thread_or_at_its_end),
        cmocka_unit_test(processors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
