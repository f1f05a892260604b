/* What the CUDA backend does on the host, over an emulated run time (kernels/cuda/emu): every call
 * of it that may fail fails once, and that becomes an error with nothing left behind; a backend
 * goes from thread to thread; memory of the host may be used again when a function returns.
 */
#include <pthread.h>

#include "cuda_help.h"
#include "paper.h"
#include "philox.h"

enum { T = 6, D = 64, V = 11, HEADS = 2 };

/* Of one backend: what a step does, in small. */
typedef struct step {
    ds_kernels *k;
    void *table, *x, *y, *g, *w, *grads, *m8, *v8, *scales, *lse, *chosen;
} step;

static int take(step *s, void **p, size_t n, ds_err *err)
{
    const int rc = s->k->alloc(s->k, p, n * sizeof(float), err);

    return rc ? rc : s->k->zero(s->k, *p, n * sizeof(float), err);
}

static int prepare(step *s, ds_err *err)
{
    const size_t scratch[DS_KSLOTS] = {1 << 16, 1 << 16, 1 << 16, 1 << 16};
    struct {
        void **p;
        size_t n;
    } all[] = {{&s->table, V * D}, {&s->x, T * D},     {&s->y, T * D},         {&s->g, D},
               {&s->w, D * D},     {&s->grads, D * D}, {&s->m8, D * D},        {&s->v8, D * D},
               {&s->scales, D},    {&s->lse, T * D},   {&s->chosen, 3 * T + 3}};
    float *host = kh_fill(1, V * D);
    int rc = s->k->reserve(s->k, 1 << 18, scratch, err);

    for (size_t i = 0; rc == 0 && i < sizeof all / sizeof all[0]; i++)
        rc = take(s, all[i].p, all[i].n, err);
    if (rc == 0)
        rc = s->k->upload(s->k, s->table, host, V * D * sizeof *host, err);
    if (rc == 0)
        rc = s->k->upload(s->k, s->w, host, D * 8 * sizeof *host, err);
    free(host);
    return rc;
}

/* Some of everything: the ring, products in one format and two, shared memory, scratch, results. */
static int run(step *s, ds_err *err)
{
    const ds_kattn heads = {HEADS, HEADS, D / HEADS, D / HEADS, 0.2f};
    const ds_kadamw adam = {.lr = 1e-3f,
                            .beta1 = 0.9f,
                            .beta2 = 0.99f,
                            .eps = 1e-8f,
                            .corr1 = 0.1f,
                            .corr2 = 0.1f,
                            .gscale = 1};
    const int32_t cu[] = {0, 2, T}, ids[T] = {3, 1, 4, 1, 5, 9};
    const ds_kseqs seqs = {cu, 2};
    const int64_t n = D * D;
    const ds_kterm terms[2] = {{s->x, s->w, D}, {.k = 0}};
    const ds_kchoices chosen = ds_kchoices_at(s->chosen, T, 2, 1);
    const ds_kgroup group = {.c = s->y, .term = {terms[0], terms[1]}, .n = D};
    const ds_kgroups groups = {.g = &group,
                               .n = 1,
                               .first = chosen.first,
                               .rows = T,
                               .fc = DS_KF32,
                               .f = DS_KF32,
                               .tb = true,
                               .alpha = 1};
    ds_kernels *k = s->k;
    float out[D];
    double norm;
    int rc;

    if ((rc = k->embed(k, s->x, s->table, DS_KF32, ids, T, D, err)) != 0 ||
        (rc = k->rmsnorm(k, s->y, s->lse, s->x, s->g, DS_KF32, T, D, 1e-5f, err)) != 0 ||
        (rc = k->matmul(k, s->y, DS_KF32, s->x, DS_KF32, false, s->w, DS_KF32, true, T, D, D, 1,
                        false, err)) != 0 ||
        (rc = k->matmul(k, s->y, DS_KBF16, s->x, DS_KBF16, false, s->w, DS_KBF16, true, T, D, D, 1,
                        true, err)) != 0 ||
        (rc = k->matmul(k, s->y, DS_KBF16, s->x, DS_KF32, false, s->w, DS_KBF16, false, T, D, D, 1,
                        false, err)) != 0 ||
        (rc = k->linear(k, s->y, DS_KF32, terms, s->g, T, D, err)) != 0 ||
        (rc = k->linear_back(k, s->grads, s->scales, s->y, s->x, DS_KF32, T, D, D, err)) != 0 ||
        (rc = k->topk(k, s->y, &chosen, s->lse, s->x, DS_KF32, 1, false, err)) != 0 ||
        (rc = k->sort_choices(k, &chosen, err)) != 0 ||
        (rc = k->matmul_groups(k, &groups, err)) != 0 ||
        (rc = k->combine(k, s->y, s->x, DS_KF32, &chosen, NULL, D, err)) != 0 ||
        (rc = k->attention(k, s->y, s->lse, s->x, s->x, s->x, DS_KF32, &heads, &seqs, err)) != 0 ||
        (rc = k->rmsnorm_back(k, s->y, s->scales, s->x, s->x, s->g, s->lse, DS_KF32, T, D, false,
                              err)) != 0 ||
        (rc = k->embed_back(k, s->table, s->x, DS_KF32, ids, T, D, err)) != 0 ||
        (rc = k->norm2(k, &norm, &(const float *){s->grads}, &n, 1, err)) != 0 ||
        (rc = k->adamw8(k, s->w, DS_KF32, NULL, s->m8, s->lse, s->v8, s->scales, s->grads, n, &adam,
                        err)) != 0 ||
        (rc = k->download(k, out, s->y, sizeof out, err)) != 0)
        return rc;
    return k->sync(k, err);
}

static int whole(long *before, ds_err *err)
{
    step s = {0};
    int rc = ds_cuda_open(&s.k, DS_KERNELS_ABI, 0, err);

    if (rc)
        return rc;
    rc = prepare(&s, err);
    if (rc == 0)
        rc = run(&s, err);
    *before = ds_emu_calls();
    s.k->free(s.k, s.x);
    s.k->close(s.k);
    return rc;
}

static void every_call_may_fail(void **state)
{
    (void)state;
    fail_each_call(whole, 60);
}

/* ---- threads ---- */

typedef struct visit {
    ds_kernels *k;
    void *p;
    int rc;
    float got[4];
} visit;

static void *on_another_thread(void *p)
{
    visit *v = p;
    ds_err err = {0};

    v->rc = v->k->zero(v->k, v->p, 4, &err);
    if (v->rc == 0)
        v->rc = v->k->download(v->k, v->got, v->p, sizeof v->got, &err);
    return NULL;
}

static void a_backend_goes_from_thread_to_thread(void **state)
{
    const float ones[4] = {1, 2, 3, 4};
    ds_kernels *k[2];
    visit v[2];
    ds_err err = {0};
    pthread_t id;

    (void)state;
    for (int i = 0; i < 2; i++) { /* two devices in one process */
        ok(ds_cuda_open(&k[i], DS_KERNELS_ABI, 3 + i, &err), &err, "device");
        v[i].k = k[i];
        ok(k[i]->alloc(k[i], &v[i].p, sizeof ones, &err), &err, "alloc");
        ok(k[i]->upload(k[i], v[i].p, ones, sizeof ones, &err), &err, "upload");
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&id, NULL, on_another_thread, &v[i]), 0);
        assert_int_equal(pthread_join(id, NULL), 0);
        ok(v[i].rc, &err, "another thread");
        assert_true(v[i].got[0] == 0.0f && v[i].got[3] == 4.0f);
    }
    for (int i = 0; i < 2; i++)
        k[i]->close(k[i]);
    assert_int_equal(ds_emu_left(), 0);
    assert_int_equal(ds_cuda_open(&k[0], DS_KERNELS_ABI, 99, &err), DS_FAIL);
    assert_non_null(strstr(err.msg, "device 99"));
}

/* Memory that is asked for where the device cannot be chosen would be another one's. */
static void *where_it_cannot_be_chosen(void *p)
{
    visit *v = p;
    ds_err err = {0};
    void *piece;

    ds_emu_fail(1);
    v->rc = v->k->alloc(v->k, &piece, 4, &err);
    ds_emu_fail(0);
    if (v->rc && !strstr(err.msg, "the device cannot be used"))
        v->rc = 0;
    return NULL;
}

static void a_device_that_cannot_be_chosen_is_told_of(void **state)
{
    visit v = {.rc = 0};
    ds_err err = {0};
    pthread_t id;

    (void)state;
    ok(ds_cuda_open(&v.k, DS_KERNELS_ABI, 3, &err), &err, "device");
    assert_int_equal(pthread_create(&id, NULL, where_it_cannot_be_chosen, &v), 0);
    assert_int_equal(pthread_join(id, NULL), 0);
    assert_int_not_equal(v.rc, 0);
    v.k->close(v.k);
    assert_int_equal(ds_emu_left(), 0);
}

/* ---- what is on its way ---- */

/* Rows that are asked for are written over at once; the device has not looked at them yet. */
static void the_hosts_memory_is_free_at_once(void **state)
{
    enum { N = 3000, ROUNDS = SOME > 1 ? 20 : 200 };
    int32_t *rows = malloc(N * sizeof *rows);
    float *x = kh_fill(7, V), *got = malloc(N * sizeof *got);
    void *table, *out[ROUNDS];
    ds_kernels *k;
    ds_err err = {0};

    (void)state;
    assert_true(rows && got);
    ok(ds_cuda_open(&k, DS_KERNELS_ABI, 0, &err), &err, "device");
    ok(k->alloc(k, &table, V * sizeof *x, &err), &err, "alloc");
    ok(k->upload(k, table, x, V * sizeof *x, &err), &err, "upload");
    for (int r = 0; r < ROUNDS; r++) { /* more than the ring holds */
        ok(k->alloc(k, &out[r], N * sizeof *got, &err), &err, "alloc");
        for (int i = 0; i < N; i++)
            rows[i] = (int32_t)(ds_philox(3, (uint64_t)r, (uint64_t)i) % V);
        ok(k->embed(k, out[r], table, DS_KF32, rows, N, 1, &err), &err, "embed");
        memset(rows, 0, N * sizeof *rows);
    }
    for (int r = 0; r < ROUNDS; r++) {
        ok(k->download(k, got, out[r], N * sizeof *got, &err), &err, "download");
        for (int i = 0; i < N; i++)
            if (got[i] != x[ds_philox(3, (uint64_t)r, (uint64_t)i) % V])
                fail_msg("round %d: number %d is another's", r, i);
    }
    k->close(k);
    free(rows);
    free(got);
    free(x);
}

/* ---- which algorithm ---- */

/* C = A B of a few numbers that round, by a backend that prefers the algorithm of that number, or
 * computes as it is told. */
static void product_of(float c[4], ds_kplan *chosen, const char *ranking, const ds_kplan *told)
{
    const ds_kplan *list;
    void *a, *b, *to;
    float *x = kh_fill(5, D * 2), *y = kh_fill(6, D * 2);
    ds_kernels *k;
    ds_err err = {0};

    assert_int_equal(setenv("DS_EMU_RANKING", ranking, 1), 0);
    ok(ds_cuda_open(&k, DS_KERNELS_ABI, 0, &err), &err, "device");
    if (told)
        ok(k->plans_again(k, told, 1, &err), &err, "told");
    ok(k->alloc(k, &a, D * 2 * sizeof *x, &err), &err, "alloc");
    ok(k->alloc(k, &b, D * 2 * sizeof *x, &err), &err, "alloc");
    ok(k->alloc(k, &to, 4 * sizeof *x, &err), &err, "alloc");
    ok(k->upload(k, a, x, D * 2 * sizeof *x, &err), &err, "upload");
    ok(k->upload(k, b, y, D * 2 * sizeof *x, &err), &err, "upload");
    for (int i = 0; i < 3; i++) { /* looked at; then twice */
        k->unlisted = i == 0;
        ok(k->matmul(k, to, DS_KF32, a, DS_KF32, false, b, DS_KF32, true, 2, 2, D, 1.0f, false,
                     &err),
           &err, "product");
        assert_int_equal(k->plans(k, &list), i > 0 || told ? 1 : 0);
    }
    *chosen = list[0];
    ds_kplan same = list[0], unlike = same;
    ok(k->plans_again(k, &same, 1, &err), &err, "the same once more");
    unlike.algorithm[0] ^= 1;
    assert_int_equal(k->plans_again(k, &unlike, 1, &err), DS_FAIL);
    assert_non_null(strstr(err.msg, "2 x 2 x "));
    assert_int_equal(k->plans(k, &list), 1);
    ok(k->download(k, c, to, 4 * sizeof *c, &err), &err, "download");
    k->close(k);
    free(x);
    free(y);
}

static void an_algorithm_is_told_and_taken_again(void **state)
{
    float first[4], other[4], again[4];
    ds_kplan of[3];

    (void)state;
    product_of(first, &of[0], "0", NULL);
    product_of(other, &of[1], "1", NULL);
    assert_memory_not_equal(first, other, sizeof first);
    product_of(again, &of[2], "1", &of[0]);
    assert_memory_equal(first, again, sizeof first);
    assert_memory_equal(of[0].algorithm, of[2].algorithm, DS_KALGORITHM);
    assert_int_equal(unsetenv("DS_EMU_RANKING"), 0);
    assert_int_equal(ds_emu_left(), 0);
}

/* A sum over many rows with a narrow side, of bf16; as `told`, if at all. What it takes was
 * reserved: as much as the backend of paper says. */
static void thin_product_of(float *c, size_t chosen, const ds_kplan *told)
{
    enum { M = 16, N = 72, ROWS = 1100 };
    size_t scratch[DS_KSLOTS];
    void *at[3];
    float *x = kh_fill(5, ROWS * N);
    uint16_t *half = kh_half(DS_KBF16, x, ROWS * N);
    const ds_kplan *list;
    ds_kernels *k, *paper;
    ds_kmem before, after;
    ds_err err = {0};

    ok(ds_kernels_paper(&paper, &err), &err, "paper");
    ok(ds_cuda_open(&k, DS_KERNELS_ABI, 0, &err), &err, "device");
    for (int i = 0; i < 3; i++)
        ok(paper->alloc(paper, &at[i], ROWS * N * 2, &err), &err, "alloc");
    ok(paper->matmul(paper, at[2], DS_KF32, at[0], DS_KBF16, true, at[1], DS_KBF16, false, M, N,
                     ROWS, 1.0f, false, &err),
       &err, "on paper");
    const size_t bytes = (size_t)ds_paper_room(paper, scratch);
    assert_true(scratch[0] > 0);
    ok(k->reserve(k, bytes, scratch, &err), &err, "reserve");
    k->memory(k, &before);
    if (told)
        ok(k->plans_again(k, told, 1, &err), &err, "told");
    for (int i = 0; i < 3; i++)
        ok(k->alloc(k, &at[i], ROWS * N * 2, &err), &err, "alloc");
    for (int i = 0; i < 2; i++)
        ok(k->upload(k, at[i], half, ROWS * N * 2, &err), &err, "upload");
    ok(k->matmul(k, at[2], DS_KF32, at[0], DS_KBF16, true, at[1], DS_KBF16, false, M, N, ROWS, 1.0f,
                 false, &err),
       &err, "product");
    assert_int_equal(k->plans(k, &list), chosen);
    k->memory(k, &after);
    assert_int_equal(after.peak, before.peak);
    ok(k->download(k, c, at[2], M * N * sizeof *c, &err), &err, "download");
    k->close(k);
    paper->close(paper);
    free(half);
    free(x);
}

/* It is the backend's own, and none of the library's; but a run that once had it from the library
 * has it from there. */
static void a_thin_product_is_told_of(void **state)
{
    const ds_kplan told = {.m = 16,
                           .n = 72,
                           .k = 1100,
                           .in = DS_KBF16,
                           .out = DS_KF32,
                           .ta = true,
                           .align = 256,
                           .none = true};
    float own[16 * 72], again[16 * 72], library[16 * 72];

    (void)state;
    thin_product_of(own, 0, NULL);
    thin_product_of(again, 0, NULL);
    thin_product_of(library, 1, &told);
    assert_memory_equal(own, again, sizeof own);
    assert_memory_not_equal(own, library, sizeof own);
    for (int i = 0; i < 16 * 72; i++)
        assert_float_equal(own[i], library[i], 1e-3f);
    assert_int_equal(ds_emu_left(), 0);
}

static void send(ds_kernels *k, const int32_t *rows, size_t bytes)
{
    const ds_kpiece piece = {rows, bytes};
    const ds_kwork w = {.numbers = &piece, .n = 1};
    ds_err err = {0};

    ok(k->work_ahead(k, &w, &err), &err, "ahead");
}

/* Rows are sent before they are asked for, beside work that asks for others: some never are asked
 * for, some only after the ring has come round. */
static void what_is_sent_ahead_arrives(void **state)
{
    enum { N = 4000, ROUNDS = SOME > 1 ? 15 : 120 };
    static int32_t rows[ROUNDS + 1][N];
    float *x = kh_fill(7, V), *got = malloc(N * sizeof *got);
    void *table, *out[ROUNDS];
    ds_kernels *k;
    ds_err err = {0};

    (void)state;
    assert_non_null(got);
    for (int r = 0; r <= ROUNDS; r++)
        for (int i = 0; i < N; i++)
            rows[r][i] = (int32_t)(ds_philox(5, (uint64_t)r, (uint64_t)i) % V);
    ok(ds_cuda_open(&k, DS_KERNELS_ABI, 0, &err), &err, "device");
    ok(k->alloc(k, &table, V * sizeof *x, &err), &err, "alloc");
    ok(k->upload(k, table, x, V * sizeof *x, &err), &err, "upload");
    for (int r = 0; r < ROUNDS; r++)
        ok(k->alloc(k, &out[r], N * sizeof *got, &err), &err, "alloc");
    send(k, rows[0], sizeof rows[0]);
    for (int r = 0; r < ROUNDS; r++) {
        ok(k->embed(k, out[r], table, DS_KF32, rows[r], N, 1, &err), &err, "embed");
        send(k, rows[r + 1], sizeof rows[0]);
        if (r % 3 == 0)
            send(k, rows[r / 2], sizeof rows[0] - 4);
    }
    for (int r = 0; r < ROUNDS; r++) {
        ok(k->download(k, got, out[r], N * sizeof *got, &err), &err, "download");
        for (int i = 0; i < N; i++)
            if (got[i] != x[rows[r][i]])
                fail_msg("round %d: number %d is another's", r, i);
    }
    k->close(k);
    free(got);
    free(x);
}

int main(void)
{
    if (threads_are_watched())
        return 77;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_may_fail),
        cmocka_unit_test(a_backend_goes_from_thread_to_thread),
        cmocka_unit_test(a_device_that_cannot_be_chosen_is_told_of),
        cmocka_unit_test(the_hosts_memory_is_free_at_once),
        cmocka_unit_test(an_algorithm_is_told_and_taken_again),
        cmocka_unit_test(a_thin_product_is_told_of),
        cmocka_unit_test(what_is_sent_ahead_arrives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
