/* A mixture of experts on the CUDA backend beside the CPU's, as test_cuda.c: gates, the sort, rows
 * that go to experts and back, products over experts' rows.
 */
#include "choice_help.h"
#include "cuda_twin.h"

/* Choices on both sides, sorted by each; `drawn` is freed. */
static void choices_new(ds_kchoices c[2], ds_kchoices drawn)
{
    const size_t bytes = ds_kchoices_bytes(drawn.t, drawn.e, drawn.kk);
    int32_t *got[2];
    ds_err err = {0};
    void *p;

    memset(drawn.sorted, 0xff, bytes - (size_t)(drawn.t * drawn.kk) * sizeof *drawn.expert);
    for (int s = 0; s < 2; s++) {
        ok(K[s]->alloc(K[s], &p, bytes, &err), &err, "alloc");
        ok(K[s]->upload(K[s], p, drawn.expert, bytes, &err), &err, "upload");
        c[s] = ds_kchoices_at(p, drawn.t, drawn.e, drawn.kk);
        ok(K[s]->sort_choices(K[s], &c[s], &err), &err, "sort_choices");
        assert_non_null(got[s] = malloc(bytes));
        ok(K[s]->download(K[s], got[s], p, bytes, &err), &err, "download");
    }
    assert_memory_equal(got[0], got[1], bytes);
    free(got[0]);
    free(got[1]);
    free(drawn.expert);
}

static void choices_free(ds_kchoices c[2])
{
    for (int s = 0; s < 2; s++)
        K[s]->free(K[s], c[s].expert);
}

/* Choices of one place a token, so that expert e has length[e] rows. */
static ds_kchoices choices_of(const int64_t *length, int32_t e)
{
    int64_t all = 0, left[8];

    for (int32_t x = 0; x < e; x++)
        all += left[x] = length[x];
    ds_kchoices c = choice_room(all, e, 1);
    for (int64_t i = 0, x = 0; i < all; i++) { /* in turns */
        while (left[x % e] == 0)
            x++;
        c.expert[i] = (int32_t)(x % e);
        left[x++ % e]--;
    }
    return c;
}

static void choices(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < CHOICE_SHAPES; i++) {
        const enum ds_kfmt f = ALL_F[i % 3];
        const int64_t d = i % 2 ? 264 : 37;
        ds_kchoices c[2];
        choices_new(c, choices_drawn(i));
        const int64_t t = c->t, n = c->t * c->kk;
        twin x = twin_of(f, t * d, 1, 2.0f), w = twin_of(DS_KF32, n, 2, 1.0f);
        twin out = twin_new(f, n * d), y = twin_of(f, t * d, 3, 1.0f);
        BOTH("dispatch", k->dispatch(k, out.at[s], x.at[s], f, &c[s], NULL, d, &err));
        agree(&out, 0, "dispatch");
        BOTH("combine", k->combine(k, y.at[s], out.at[s], f, &c[s], w.at[s], d, &err));
        BOTH("dispatch, weighted", k->dispatch(k, out.at[s], x.at[s], f, &c[s], w.at[s], d, &err));
        agree(&out, 0, "dispatch, weighted");
        BOTH("combine", k->combine(k, y.at[s], out.at[s], f, &c[s], NULL, d, &err));
        agree(&y, f ? 0.05 : 0, "combine");
        twin *all[] = {&x, &w, &out, &y};
        for (int j = 0; j < 4; j++)
            twin_free(all[j]);
        choices_free(c);
    }
}

/* An expert's rows lose what they would lose among all tokens, by its own module. */
static void dropped_rows(void **state)
{
    static const ds_kstep at = {.seed = 7, .step = 1, .first = 16};
    static const int64_t length[] = {4, 0, 3};
    enum { ALL = 7, D = 12 };

    (void)state;
    for (int i = 0; i < 3; i++) {
        const enum ds_kfmt f = ALL_F[i];
        const size_t row = D * ds_kfmt_size(f);
        twin x = twin_of(f, (ALL + 1) * D, 1, 2.0f), rows = twin_new(f, ALL * D),
             whole = twin_new(f, (ALL + 1) * D), out = twin_new(f, ALL * D),
             want = twin_new(f, ALL * D);
        ds_kchoices c[2];
        choices_new(c, choices_of(length, 3));
        BOTH("dispatch", k->dispatch(k, rows.at[s], x.at[s], f, &c[s], NULL, D, &err));
        for (uint32_t e = 0; e < 3; e += 2) { /* module 9 and 13: rows 0..3, and 4..6 */
            const int64_t from = e ? 4 : 0, n = length[e];
            twin part = twin_new(f, ALL * D);
            BOTH("dropout",
                 k->dropout(k, whole.at[s], x.at[s], f, ALL + 1, D, 0.4f, &at, 9 + 2 * e, &err));
            BOTH("dispatch", k->dispatch(k, part.at[s], whole.at[s], f, &c[s], NULL, D, &err));
            BOTH("convert", k->convert(k, (char *)want.at[s] + (size_t)from * row, f,
                                       (char *)part.at[s] + (size_t)from * row, f, n * D, &err));
            twin_free(&part);
        }
        BOTH("dropout_chosen",
             k->dropout_chosen(k, out.at[s], rows.at[s], f, &c[s], D, 0.4f, &at, 9, 2, &err));
        same(&out, &want, "dropout_chosen");
        agree(&out, 0, "dropout_chosen");
        BOTH("dropout_chosen, elsewhere", /* at no multiple of 16 bytes */
             k->dropout_chosen(k, (char *)whole.at[s] + row / 6, (char *)x.at[s] + row / 6, f,
                               &c[s], D, 0.4f, &at, 9, 2, &err));
        agree(&whole, 0, "dropout_chosen elsewhere");
        ds_err err = {0};
        for (int s = 0; s < 2; s++) {
            assert_int_equal(K[s]->dropout_chosen(K[s], out.at[s], rows.at[s], f, &c[s], 6, 0.4f,
                                                  &at, 9, 2, &err),
                             DS_FAIL);
            ds_err_clear(&err);
        }
        twin *made[] = {&x, &rows, &whole, &out, &want};
        for (int j = 0; j < 5; j++)
            twin_free(made[j]);
        choices_free(c);
    }
}

/* Factors of columns by expert are those of the expert's rows alone; one has none. */
static void factors_by_expert(void **state)
{
    enum { FEW = 5, MANY = 300, ROWS = 400, WIDE = 264 };

    (void)state;
    for (int i = 0; i < 3 * 4; i++) {
        const enum ds_kfmt f = ALL_F[i % 3];
        const int32_t e = i < 6 ? FEW : MANY;
        const int64_t n = i % 2 ? WIDE : 37;
        ds_kchoices c[2], drawn = choice_room(ROWS, e, 1);
        for (int64_t j = 0; j < ROWS; j++) /* most rows are the second one's */
            drawn.expert[j] = j % 3 ? 1 : (int32_t)(j % e);
        choices_new(c, drawn);
        twin x = twin_of(f, ROWS * n, 1, 2.0f), y = twin_of(f, ROWS * n, 2, 2.0f);
        twin z = twin_of(f, ROWS * n, 2, 2.0f), g = twin_of(DS_KF32, e * n, 3, 2.0f);
        twin sum = twin_of(DS_KF32, e * n, 4, 1.0f);
        const float *by[2][MANY];
        float *to[2][MANY];
        for (int s = 0; s < 2; s++)
            for (int32_t j = 0; j < e; j++) {
                by[s][j] = j == 3 ? NULL : (float *)g.at[s] + j * n;
                to[s][j] = j == 3 ? NULL : (float *)sum.at[s] + j * n;
            }
        BOTH("scale_cols_chosen",
             k->scale_cols_chosen(k, y.at[s], x.at[s], by[s], f, &c[s], n, false, &err));
        BOTH("scale_cols_chosen, added",
             k->scale_cols_chosen(k, z.at[s], x.at[s], by[s], f, &c[s], n, true, &err));
        agree(&y, 0, "scale_cols_chosen");
        agree(&z, 0, "scale_cols_chosen, added");
        BOTH("col_dot_chosen",
             k->col_dot_chosen(k, to[s], x.at[s], y.at[s], by[s], f, &c[s], n, &err));
        agree(&sum, 2e-3, "col_dot_chosen");
        twin *made[] = {&x, &y, &z, &g, &sum};
        for (int j = 0; j < 5; j++)
            twin_free(made[j]);
        choices_free(c);
    }
}

/* Products over experts' rows, of unlike lengths, several an expert: on tensor cores and not. With
 * TIMES of them there are more groups than one launch lays out. */
enum { EXPERTS = 5, TIMES = 11, GROUPS = EXPERTS * TIMES, ALL_ROWS = 170, FORMS = 9 * 4 };
typedef struct group_size {
    int64_t n, k, r;
} group_size;

static void groups_of(const int64_t *length, int32_t times, int i, const group_size *size)
{
    const enum ds_kfmt f = ALL_F[i % 3], fc = ALL_F[i / 3 % 3];
    const bool add = i / 9 & 1, two = i / 9 & 2;
    const int64_t n = size->n, kk = size->k, r = size->r, all = ALL_ROWS;
    const size_t in = ds_kfmt_size(f), to = ds_kfmt_size(fc);
    /* rows of x times weights of each expert; gradients of weights from the same rows */
    twin x = twin_of(f, all * kk, 1, 1.0f), w = twin_of(f, EXPERTS * n * kk, 2, 1.0f),
         xa = twin_of(f, all * r, 3, 1.0f), wa = twin_of(f, EXPERTS * n * r, 4, 1.0f),
         y = twin_of(fc, times * all * n, 5, 1.0f), dx = twin_of(fc, times * all * kk, 6, 1.0f),
         dy = twin_of(f, all * n, 7, 1.0f), dw = twin_of(DS_KF32, EXPERTS * n * kk, 8, 1.0f);
    ds_kgroup g[3][2][GROUPS];
    ds_kchoices c[2];

    choices_new(c, choices_of(length, EXPERTS));
    for (int s = 0; s < 2; s++)
        for (int32_t j = 0; j < EXPERTS * times; j++) {
#define AT(b, i, bytes) ((char *)(b).at[s] + (size_t)(i) * (bytes))
            const int32_t e = j / times, time = j % times;
            const ds_kterm extra = {xa.at[s], AT(wa, e * n * r, in), two ? r : 0};
            g[0][s][j] = (ds_kgroup){
                AT(y, time * all * n, to), {{x.at[s], AT(w, e * n * kk, in), kk}, extra}, 0, n, e};
            g[1][s][j] = (ds_kgroup){AT(dx, time * all * kk, to),
                                     {{dy.at[s], AT(w, e * n * kk, in), n}, {.k = 0}},
                                     0,
                                     kk,
                                     e};
            if (j < EXPERTS)
                g[2][s][j] = (ds_kgroup){
                    AT(dw, j * n * kk, 4), {{dy.at[s], x.at[s], 0}, {.k = 0}}, n, kk, j};
#undef AT
        }
#define GROUPS_OF(i, n, fc, ta, tb, alpha)                                                         \
    k->matmul_groups(                                                                              \
        k, &(ds_kgroups){g[i][s], n, c[s].first, ALL_ROWS, fc, f, ta, tb, add, alpha}, &err)
    BOTH("groups", GROUPS_OF(0, EXPERTS * times, fc, false, true, 1.0f));
    agree(&y, 5e-5, "products of groups");
    if (!add)
        AGAIN("groups", y, GROUPS_OF(0, EXPERTS * times, fc, false, true, 1.0f));
    if (!add && f == fc && f != DS_KF32) { /* they are rounded once, however they are written */
        twin full = twin_new(DS_KF32, times * all * n), z = twin_new(fc, times * all * n);
        for (int s = 0; s < 2; s++)
            for (int32_t j = 0; j < EXPERTS * times; j++)
                g[0][s][j].c = (float *)full.at[s] + j % times * all * n;
        BOTH("groups in f32", GROUPS_OF(0, EXPERTS * times, DS_KF32, false, true, 1.0f));
        BOTH("groups in f32", k->convert(k, z.at[s], fc, full.at[s], DS_KF32, z.n, &err));
        same(&y, &z, "products of groups");
        twin_free(&full);
        twin_free(&z);
    }
    BOTH("groups, back", GROUPS_OF(1, EXPERTS * times, fc, false, false, 0.5f));
    agree(&dx, 5e-5, "products of groups, back");
    BOTH("groups, weights", GROUPS_OF(2, EXPERTS, DS_KF32, true, false, 0.5f));
    agree(&dw, 1e-4, "products of groups, weights");
#undef GROUPS_OF
    twin *made[] = {&x, &w, &xa, &wa, &y, &dx, &dy, &dw};
    for (int j = 0; j < 8; j++)
        twin_free(made[j]);
    choices_free(c);
}

static void groups(void **state)
{
    static const int64_t length[][EXPERTS] = {{5, 0, 1, 140, 24}, {0, 0, ALL_ROWS, 0, 0}};
    static const group_size wide = {136, 72, 8}, odd = {13, 11, 3}, uneven = {141, 72, 8},
                            many = {336, 328, 24}; /* tiles abreast, and steps */

    (void)state;
    for (int i = 0; i<FORMS; i += SOME> 1 ? 7 : 1) {
        const int32_t times = i % 9 ? 2 : TIMES;
        groups_of(length[i % 5 == 4], times, i, &wide);
        groups_of(length[i % 5 == 4], times, i, &odd);
        if (ALL_F[i % 3] == DS_KF32 || i < FORMS / 2)
            continue;
        ds_kernels *newer = older_begin();
        groups_of(length[i % 5 == 4], times, i, &wide);
        older_end(newer);
    }
    for (int i = 1; i < FORMS; i += 7 * SOME) { /* of all pairs of formats */
        groups_of(length[0], 1, i, &many);
        groups_of(length[0], 1, i, &uneven);
    }
}

/* More blocks of choices than a block sums at a time. */
static void many_choices(void **state)
{
    static const int64_t length[] = {40001, 0, 300, 27000};
    ds_kchoices c[2];

    (void)state;
    choices_new(c, choices_of(length, 4));
    choices_free(c);
}

static void gates(void **state)
{
    (void)state;
    for (int i = 0; i < 18; i++) {
        const enum ds_kfmt f = ALL_F[i % 3];
        const int64_t t = 9;
        const int32_t e = i / 3 & 1 ? 64 : 5, kk = i / 3 & 1 ? 6 : 2;
        const bool normalise = i / 6 & 1, ties = i / 12;
        twin z = twin_of(f, t * e, 1, ties ? 0.0f : 3.0f), prob = twin_new(DS_KF32, t * e),
             w = twin_new(DS_KF32, t * kk), dw = twin_of(DS_KF32, t * kk, 2, 1.0f),
             dz = twin_new(f, t * e);
        int32_t got[2][9 * 6];
        ds_kchoices drawn = ds_kchoices_at(calloc(1, ds_kchoices_bytes(t, e, kk)), t, e, kk), c[2];
        assert_non_null(drawn.expert);
        choices_new(c, drawn);
        BOTH("topk", k->topk(k, prob.at[s], &c[s], w.at[s], z.at[s], f, 1.5f, normalise, &err));
        BOTH("sort_choices", k->sort_choices(k, &c[s], &err));
        BOTH("choices", k->download(k, got[s], c[s].expert, (size_t)(t * kk) * sizeof **got, &err));
        assert_memory_equal(got[0], got[1], (size_t)(t * kk) * sizeof **got);
        agree(&prob, 1e-6, "prob");
        agree(&w, 1e-6, "weights of experts");
        BOTH("topk_back",
             k->topk_back(k, dz.at[s], f, prob.at[s], &c[s], dw.at[s], 1.5f, normalise, &err));
        agree(&dz, 1e-5, "gradient of the gate");
        twin *all[] = {&z, &prob, &w, &dw, &dz};
        for (int j = 0; j < 5; j++)
            twin_free(all[j]);
        choices_free(c);
    }
}

int main(void)
{
    if (threads_are_watched())
        return 77;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gates),
        cmocka_unit_test(choices),
        cmocka_unit_test(many_choices),
        cmocka_unit_test(dropped_rows),
        cmocka_unit_test(factors_by_expert),
        cmocka_unit_test(groups),
    };
    return cmocka_run_group_tests(tests, open_both, close_both);
}
