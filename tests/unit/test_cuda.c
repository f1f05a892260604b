/* The CUDA backend beside the CPU's, function by function, on small shapes: awkward ones (nothing
 * divides them) and the ones that take the vectorised and the tensor-core paths.
 *
 * Without a device the kernels run on the host, under emulation (kernels/cuda/emu.h); with
 * DS_TEST_DEVICE=cuda the plugin is loaded and the same tests run on the device. Outputs begin as
 * NaN. Everything runs twice: the second time must give the same bits, though fibers run in another
 * order. What works element by element must have the CPU's bits; where sums are made in another
 * order there is a tolerance.
 */
#include "cuda_twin.h"
#include "philox.h"

/* ---- element by element ---- */

static void elements(void **state)
{
    static const int64_t sizes[] = {1, 37, 1024, 2056, 9000};

    (void)state;
    for (int i = 0; i < 15; i += SOME) {
        const enum ds_kfmt f = ALL_F[i % 3];
        const int64_t n = sizes[i / 3];
        twin a = twin_of(f, n, 1, 12.0f), b = twin_of(f, n, 2, 3.0f), dy = twin_of(f, n, 3, 1.0f);
        twin y = twin_new(f, n), da = twin_new(f, n), db = twin_new(f, n);
        twin other = twin_new(ALL_F[(i + 1) % 3], n), third = twin_new(ALL_F[(i + 2) % 3], n);
        BOTH("swiglu", k->swiglu(k, y.at[s], a.at[s], b.at[s], f, n, &err));
        agree(&y, 0, "swiglu");
        BOTH("swiglu_back",
             k->swiglu_back(k, da.at[s], db.at[s], dy.at[s], a.at[s], b.at[s], f, n, &err));
        agree(&da, 0, "swiglu_back a");
        agree(&db, 0, "swiglu_back b");
        BOTH("swiglu_back in place",
             k->swiglu_back(k, a.at[s], b.at[s], dy.at[s], a.at[s], b.at[s], f, n, &err));
        agree(&a, 0, "swiglu_back in place");
        BOTH("add", k->add(k, y.at[s], y.at[s], dy.at[s], 0.3f, f, n, &err));
        agree(&y, 0, "add");
        BOTH("convert", k->convert(k, other.at[s], other.f, y.at[s], f, n, &err));
        agree(&other, 0, "convert");
        BOTH("convert", k->convert(k, third.at[s], third.f, y.at[s], f, n, &err));
        agree(&third, 0, "convert");
        BOTH("convert", k->convert(k, da.at[s], f, y.at[s], f, n, &err));
        agree(&da, 0, "convert to the same");
        BOTH("dropout", k->dropout(k, y.at[s], dy.at[s], f, n, 1, 0.3f,
                                   &(ds_kstep){0x123456789abcdefu, 5, 1u << 20, 0}, 77, &err));
        agree(&y, 0, "dropout");
        twin *all[] = {&a, &b, &dy, &y, &da, &db, &other, &third};
        for (int j = 0; j < 8; j++)
            twin_free(all[j]);
    }
}

/* Dropout on the way into a product: the bits of one after the other, and near the CPU's. */
static void dropout_products(void **state)
{
    static const int64_t shapes[][3] = {
        {1, 4, 8}, {70, 16, 72}, {130, 24, 136}, {65, 70, 64}, {67, 33, 648}};
    const ds_kstep at = {.seed = 0x123456789abcdefu, .step = 3, .first = 1000};

    (void)state;
    for (int i = 0; i < 10; i += SOME) {
        const enum ds_kfmt f = ALL_F[1 + i % 2];
        const int64_t *z = shapes[i / 2], t = z[0], n = z[1], d = z[2];
        twin x = twin_of(f, t * d, 1, 2.0f), b = twin_of(f, n * d, 2, 0.3f);
        twin xd = twin_new(f, t * d), want = twin_new(f, t * n), got = twin_new(f, t * n);
        BOTH("dropout", k->dropout(k, xd.at[s], x.at[s], f, t, d, 0.4f, &at, 9, &err));
        BOTH("dropout, then a product", s ? k->dropout_matmul(k, want.at[s], xd.at[s], b.at[s], f,
                                                              t, n, d, 0.5f, 0.0f, &at, 9, &err)
                                          : k->matmul(k, want.at[s], f, xd.at[s], f, false, b.at[s],
                                                      f, true, t, n, d, 0.5f, false, &err));
        agree(&want, 1e-4, "a product of what was dropped");
        BOTH("dropout_matmul", s ? k->dropout_matmul(k, got.at[s], x.at[s], b.at[s], f, t, n, d,
                                                     0.5f, 0.4f, &at, 9, &err)
                                 : k->matmul(k, got.at[s], f, xd.at[s], f, false, b.at[s], f, true,
                                             t, n, d, 0.5f, false, &err));
        same(&got, &want, "dropout_matmul");
        twin *all[] = {&x, &b, &xd, &want, &got};
        for (int j = 0; j < 5; j++)
            twin_free(all[j]);
    }
}

/* ---- row by row ---- */

static void norms(void **state)
{
    static const int64_t shapes[][2] = {{1, 5}, {67, 37}, {40, 64}, {5, 2304}};

    (void)state;
    for (int i = 0; i < 12; i += SOME) {
        const enum ds_kfmt f = ALL_F[i % 3];
        const int64_t t = shapes[i / 3][0], d = shapes[i / 3][1];
        twin x = twin_of(f, t * d, 1, 2.0f), g = twin_of(f, d, 2, 1.0f),
             dy = twin_of(f, t * d, 3, 1.0f);
        twin y = twin_new(f, t * d), r = twin_new(DS_KF32, t), dx = twin_new(f, t * d),
             dg = twin_zero(d), dots = twin_new(DS_KF32, t);
        BOTH("rmsnorm", k->rmsnorm(k, y.at[s], r.at[s], x.at[s], g.at[s], f, t, d, 1e-5f, &err));
        agree(&y, 2e-5, "rmsnorm");
        agree(&r, 2e-6, "rstd");
        AGAIN("rmsnorm", y,
              k->rmsnorm(k, y.at[s], r.at[s], x.at[s], g.at[s], f, t, d, 1e-5f, &err));
        twin sum = twin_new(f, t * d), both = twin_new(f, t * d), rb = twin_new(DS_KF32, t);
        BOTH("add_rmsnorm", k->add_rmsnorm(k, sum.at[s], both.at[s], rb.at[s], x.at[s], dy.at[s],
                                           g.at[s], f, t, d, 1e-5f, &err));
        BOTH("add", k->add(k, y.at[s], x.at[s], dy.at[s], 1.0f, f, t * d, &err));
        same(&sum, &y, "add_rmsnorm's sum");
        BOTH("rmsnorm",
             k->rmsnorm(k, sum.at[s], dots.at[s], y.at[s], g.at[s], f, t, d, 1e-5f, &err));
        same(&both, &sum, "add_rmsnorm");
        same(&rb, &dots, "add_rmsnorm's rstd");
        BOTH("add_rmsnorm in place", k->add_rmsnorm(k, y.at[s], both.at[s], rb.at[s], y.at[s],
                                                    dy.at[s], g.at[s], f, t, d, 1e-5f, &err));
        agree(&y, 0, "add_rmsnorm's sum");
        agree(&both, 2e-5, "add_rmsnorm");
        twin_free(&sum);
        twin_free(&both);
        twin_free(&rb);
        for (int add = 0; add < 2; add++) {
            BOTH("rmsnorm_back", k->rmsnorm_back(k, dx.at[s], dg.at[s], dy.at[s], x.at[s], g.at[s],
                                                 r.at[s], f, t, d, add, &err));
            agree(&dx, 5e-5, "rmsnorm_back");
            agree(&dg, 1e-4, "gain of rmsnorm_back");
        }
        BOTH("rmsnorm_back without gain", k->rmsnorm_back(k, dx.at[s], NULL, dy.at[s], x.at[s],
                                                          g.at[s], r.at[s], f, t, d, false, &err));
        AGAIN("rmsnorm_back", dx,
              k->rmsnorm_back(k, dx.at[s], NULL, dy.at[s], x.at[s], g.at[s], r.at[s], f, t, d,
                              false, &err));
        BOTH("row_dot", k->row_dot(k, dots.at[s], x.at[s], dy.at[s], f, t, d, &err));
        agree(&dots, 2e-4, "row_dot");
        twin *all[] = {&x, &g, &dy, &y, &r, &dx, &dg, &dots};
        for (int j = 0; j < 8; j++)
            twin_free(all[j]);
    }
}

static void columns(void **state)
{
    static const int64_t shapes[][2] = {{1, 3}, {70, 37}, {33, 64}, {65, 520}};

    (void)state;
    for (int i = 0; i < 12; i += SOME) {
        const enum ds_kfmt f = ALL_F[i % 3];
        const int64_t t = shapes[i / 3][0], n = shapes[i / 3][1];
        twin x = twin_of(f, t * n, 1, 2.0f), y = twin_of(f, t * n, 2, 2.0f),
             b = twin_of(f, n, 3, 1.0f);
        twin db = twin_zero(n), dg = twin_zero(n), g = twin_of(DS_KF32, n, 4, 1.0f);
        twin part = twin_new(f, t * (n + 16)), norm = twin_new(DS_KF32, t),
             gain = twin_new(DS_KF32, t);
        twin v = twin_of(DS_KF32, t * n, 6, 1.0f), m = twin_of(DS_KF32, t, 7, 1.0f);
        float *nothing = calloc((size_t)(t * (n + 16)), 4);
        assert_non_null(nothing);
        load(&part, nothing);
        free(nothing);
        BOTH("bias", k->bias(k, y.at[s], b.at[s], f, t, n, &err));
        agree(&y, 0, "bias");
        BOTH("bias_back", k->bias_back(k, db.at[s], x.at[s], f, t, n, &err));
        agree(&db, 1e-4, "bias_back");
        BOTH("scale_cols", k->scale_cols(k, y.at[s], x.at[s], g.at[s], f, t, n, true, &err));
        BOTH("scale_cols", k->scale_cols(k, x.at[s], x.at[s], g.at[s], f, t, n, false, &err));
        agree(&y, 0, "scale_cols, added");
        agree(&x, 0, "scale_cols");
        BOTH("col_dot", k->col_dot(k, dg.at[s], x.at[s], y.at[s], g.at[s], f, t, n, &err));
        agree(&dg, 1e-3, "col_dot");
        for (int add = 0; add < 2; add++)
            BOTH("copy_cols", k->copy_cols(k, (char *)part.at[s] + 8 * (f ? 2 : 4), n + 16, x.at[s],
                                           n, f, t, n, add, &err));
        agree(&part, 0, "copy_cols");
        BOTH("row_norm", k->row_norm(k, norm.at[s], gain.at[s], m.at[s], v.at[s], t, n, &err));
        agree(&norm, 1e-5, "row_norm");
        agree(&gain, 1e-4, "row_norm's gain");
        twin *all[] = {&x, &y, &b, &db, &dg, &g, &part, &norm, &gain, &v, &m};
        for (int j = 0; j < 11; j++)
            twin_free(all[j]);
    }
}

/* So many that a part of a sum has several rows, and a warp or a block's shared memory more than it
 * takes at once. */
static void sums_of_many_rows(void **state)
{
    static const int64_t shapes[][2] = {{519, 11}, {2306, 24}, {16650, 8}};

    (void)state;
    /* in all formats what is short, for emulation is slow */
    for (int i = 0; i < (SOME > 1 ? 3 : 5); i++) {
        const enum ds_kfmt f = ALL_F[i % 3];
        const int64_t *shape = shapes[i < 3 ? 0 : i - 2], t = shape[0], d = shape[1];
        twin x = twin_of(f, t * d, 1, 2.0f), y = twin_of(f, t * d, 2, 1.0f),
             g = twin_of(f, d, 3, 1.0f), c = twin_of(DS_KF32, d, 4, 1.0f),
             r = twin_of(DS_KF32, t, 5, 1.0f);
        twin dx = twin_of(f, t * d, 6, 1.0f), dg = twin_zero(d), db = twin_zero(d),
             dot = twin_zero(d);
        for (int again = 0; again < (i < 3 ? 2 : 1); again++) {
            BOTH("bias_back", k->bias_back(k, db.at[s], x.at[s], f, t, d, &err));
            BOTH("col_dot", k->col_dot(k, dot.at[s], x.at[s], y.at[s], c.at[s], f, t, d, &err));
        }
        agree(&db, 1e-3, "bias_back of many rows");
        agree(&dot, 1e-3, "col_dot of many rows");
        for (int add = 0; add < 2 && t < 3000; add++) {
            BOTH("rmsnorm_back", k->rmsnorm_back(k, dx.at[s], dg.at[s], y.at[s], x.at[s], g.at[s],
                                                 r.at[s], f, t, d, add, &err));
            agree(&dx, 5e-5, "rmsnorm_back of many rows");
            agree(&dg, 1e-3, "gain of rmsnorm_back of many rows");
        }
        twin *all[] = {&x, &y, &g, &c, &r, &dx, &dg, &db, &dot};
        for (int j = 0; j < 9; j++)
            twin_free(all[j]);
    }
}

static void rows_by_number(void **state)
{
    static const int32_t rows[] = {4, 0, -1, 4, 4, 2, 0, 9, 4, -1, 1, 9, 9};
    const int64_t n = 13;

    (void)state;
    for (int i = 0; i < 9; i += SOME) {
        const enum ds_kfmt f = ALL_F[i % 3];
        const int64_t d = i < 3 ? 37 : i < 6 ? 2064 : 1;
        twin table = twin_of(f, 10 * d, 1, 2.0f), x = twin_of(f, n * d, 2, 1.0f);
        twin out = twin_of(f, n * d, 4, 1.0f), sum = twin_of(DS_KF32, 10 * d, 3, 1.0f);
        BOTH("embed", k->embed(k, out.at[s], table.at[s], f, rows, n, d, &err));
        agree(&out, 0, "embed");
        BOTH("embed_back", k->embed_back(k, sum.at[s], x.at[s], f, rows, n, d, &err));
        agree(&sum, 0, "embed_back");
        twin *all[] = {&table, &x, &out, &sum};
        for (int j = 0; j < 4; j++)
            twin_free(all[j]);
    }
}

/* Numbers of one to three digits of the sort, and one that comes again and again. */
static void rows_of_large_tables(void **state)
{
    static const int32_t most[] = {1, 2048, 5000, 4300000};
    enum { COUNT = 700 };
    int32_t rows[COUNT];

    (void)state;
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < COUNT; j++)
            rows[j] = (int32_t)(ds_philox(3, 1, (uint64_t)j) % (uint32_t)most[i]);
        for (int j = 0; j < COUNT; j += 3)
            rows[j] = most[i] / 2 - j % 2;
        rows[COUNT / 2] = most[i] - 1;
        twin x = twin_of(DS_KBF16, COUNT, 2, 1.0f), sum = twin_zero(most[i]);
        BOTH("embed_back", k->embed_back(k, sum.at[s], x.at[s], DS_KBF16, rows, COUNT, 1, &err));
        agree(&sum, 0, "embed_back");
        twin_free(&x);
        twin_free(&sum);
    }
}

static void rotations(void **state)
{
    static const int32_t pos[] = {0, 1, 2, 7, 0, 15};
    float cs[16 * 32] = {0};

    (void)state;
    for (int i = 0; i < 36; i += SOME) {
        const enum ds_kfmt f = ALL_F[i % 3];
        const int32_t rot = i / 12 == 0 ? 24 : i / 12 == 1 ? 32 : 10;
        for (int p = 0; p < 16; p++)
            for (int j = 0; j < rot / 2; j++) {
                const double angle = p * pow(100.0, -2.0 * j / rot);
                cs[p * rot + 2 * j] = (float)cos(angle);
                cs[p * rot + 2 * j + 1] = (float)sin(angle);
            }
        twin x = twin_of(f, 6 * 200, 5, 1.0f), table = twin_new(DS_KF32, 16 * 32);
        load(&table, cs);
        BOTH("rope", k->rope(k, x.at[s], f, pos, table.at[s], 6, 200, 8, 5, 32, rot, i / 3 & 1,
                             i / 6 & 1, &err));
        agree(&x, 0, "rope");
        twin_free(&x);
        twin_free(&table);
    }
}

/* ---- products ---- */

static void products(void **state)
{
    static const int64_t shapes[][3] = {{1, 1, 1}, {7, 33, 19}, {32, 24, 40}};

    (void)state;
    for (int i = 0; i < 3 * 8 * 27; i += SOME) {
        const enum ds_kfmt fa = ALL_F[i % 3], fb = ALL_F[i / 3 % 3], fc = ALL_F[i / 9 % 3];
        const int form = i / 27;
        const bool ta = form & 1, tb = form & 2, add = form & 4;
        const int64_t *z = shapes[form / 8], m = z[0], n = z[1], kk = z[2];
        twin a = twin_of(fa, m * kk, 1, 1.0f), b = twin_of(fb, kk * n, 2, 1.0f),
             c = twin_of(fc, m * n, 3, 1.0f);
        BOTH("matmul", k->matmul(k, c.at[s], fc, a.at[s], fa, ta, b.at[s], fb, tb, m, n, kk, 0.5f,
                                 add, &err));
        agree(&c, 2e-5, "matmul");
        if (!ta && fa == fb) {
            const ds_kterm cpu[2] = {{a.at[0], b.at[0], kk}, {a.at[0], b.at[0], kk}};
            const ds_kterm dev[2] = {{a.at[1], b.at[1], kk}, {a.at[1], b.at[1], kk}};
            BOTH("matmul2", k->matmul2(k, c.at[s], fc, fa, tb, s ? dev : cpu, m, n, add, &err));
            agree(&c, 5e-5, "matmul2");
        }
        twin_free(&a);
        twin_free(&b);
        twin_free(&c);
    }
}

/* Gradients of adapters: sums over many rows with a narrow side, in chunks. Operands at an odd
 * address are as good. */
static void products_of_many_rows(void **state)
{
    static const int64_t shapes[][4] = {{16, 72, 1100, 0},  {136, 8, 1024, 0},  {64, 64, 1025, 0},
                                        {24, 264, 1031, 0}, {200, 40, 1056, 0}, {8, 64, 1024, 1}};

    (void)state;
    for (int i = 0; i < 6 * 4; i += SOME) {
        const enum ds_kfmt f = ALL_F[1 + i % 2];
        const bool add = i / 2 & 1;
        const int64_t *z = shapes[i / 4], m = z[0], n = z[1], kk = z[2], odd = z[3];
        twin a = twin_of(f, m * kk + odd, 1, 1.0f), b = twin_of(f, kk * n, 2, 1.0f),
             c = twin_of(DS_KF32, m * n, 3, 1.0f);
        for (int again = 0; again < 2; again++) {
            BOTH("matmul", k->matmul(k, c.at[s], DS_KF32, (uint16_t *)a.at[s] + odd, f, true,
                                     b.at[s], f, false, m, n, kk, add ? 1.0f : 0.5f, add, &err));
            agree(&c, 1e-4, "matmul of many rows");
        }
        twin_free(&a);
        twin_free(&b);
        twin_free(&c);
    }
}

/* Operands at any address, as columns of a checkpoint may lie: 2 bytes are all that bf16 and f16
 * have. */
static void products_anywhere(void **state)
{
    enum { M = 9, N = 7, KK = 5 };

    (void)state;
    for (int i = 0; i < 18; i += SOME) {
        const enum ds_kfmt f = ALL_F[i % 3], fc = ALL_F[i / 3 % 3];
        const bool add = i / 9;
        const size_t one = ds_kfmt_size(f);
        twin a = twin_of(f, M * KK + 1, 1, 1.0f), b = twin_of(f, N * KK + 1, 2, 1.0f),
             c = twin_of(fc, M * N + 1, 3, 1.0f);
        BOTH("matmul",
             k->matmul(k, (char *)c.at[s] + ds_kfmt_size(fc), fc, (char *)a.at[s] + one, f, false,
                       (char *)b.at[s] + one, f, true, M, N, KK, 1.0f, add, &err));
        agree(&c, 2e-5, "matmul at an odd address");
        twin_free(&a);
        twin_free(&b);
        twin_free(&c);
    }
}

/* With an adapter and without, with a bias and without: where the library has the bias beside the
 * product, and where it has not. */
static void projections(void **state)
{
    static const int64_t shapes[][4] = {{1, 1, 1, 1}, {7, 33, 19, 3}, {32, 24, 40, 8}};

    (void)state;
    for (int i = 0; i < 3 * 12; i += SOME) {
        const enum ds_kfmt f = ALL_F[i % 3];
        const bool two = i / 3 & 1, bias = i / 6 & 1;
        const int64_t *z = shapes[i / 12], t = z[0], n = z[1], kk = z[2], r = two ? z[3] : 0;
        twin x = twin_of(f, t * kk, 1, 1.0f), w = twin_of(f, n * kk, 2, 1.0f),
             xa = twin_of(f, t * z[3], 3, 1.0f), wa = twin_of(f, n * z[3], 4, 1.0f),
             b = twin_of(f, n, 5, 3.0f), y = twin_new(f, t * n), dy = twin_of(f, t * n, 8, 1.0f);
        twin dw = twin_of(DS_KF32, n * kk, 6, 1.0f), db = twin_of(DS_KF32, n, 7, 1.0f);
        BOTH("linear",
             k->linear(k, y.at[s], f,
                       (const ds_kterm[2]){{x.at[s], w.at[s], kk}, {xa.at[s], wa.at[s], r}},
                       bias ? b.at[s] : NULL, t, n, &err));
        /* a sum up to 4 may be rounded the other way before the bias is added to it */
        agree(&y, f == DS_KBF16 ? 0.02 : f ? 0.0025 : 2e-5, "linear");
        BOTH("linear_back",
             k->linear_back(k, dw.at[s], db.at[s], dy.at[s], x.at[s], f, t, n, kk, &err));
        agree(&dw, 1e-4, "gradient of a projection");
        agree(&db, 1e-4, "gradient of its bias");
        twin *all[] = {&x, &w, &xa, &wa, &b, &y, &dy, &dw, &db};
        for (int j = 0; j < 9; j++)
            twin_free(all[j]);
    }
}

/* ---- attention ---- */

static void attention_of(enum ds_kfmt f, const ds_kattn *p, const ds_kseqs *seqs)
{
    const int64_t t = seqs->cu[seqs->n], nq = t * p->heads * p->qk_dim,
                  no = t * p->heads * p->v_dim, nk = t * p->kv_heads * p->qk_dim,
                  nv = t * p->kv_heads * p->v_dim;
    twin q = twin_of(f, nq, 1, 2.0f), kk = twin_of(f, nk, 2, 2.0f), v = twin_of(f, nv, 3, 1.0f),
         dout = twin_of(f, no, 4, 1.0f);
    twin o = twin_new(f, no), lse = twin_new(DS_KF32, t * p->heads), dq = twin_new(f, nq),
         dk = twin_new(f, nk), dv = twin_new(f, nv);

    BOTH("attention",
         k->attention(k, o.at[s], lse.at[s], q.at[s], kk.at[s], v.at[s], f, p, seqs, &err));
    agree(&o, 2e-5, "attention");
    agree(&lse, f ? 1e-3 : 2e-5, "lse");
    AGAIN("attention", o,
          k->attention(k, o.at[s], lse.at[s], q.at[s], kk.at[s], v.at[s], f, p, seqs, &err));
    BOTH("attention_back",
         k->attention_back(k, dq.at[s], dk.at[s], dv.at[s], dout.at[s], q.at[s], kk.at[s], v.at[s],
                           o.at[s], lse.at[s], f, p, seqs, &err));
    agree(&dq, f ? 0.03 : 1e-4, "dq");
    agree(&dk, f ? 0.03 : 1e-4, "dk");
    agree(&dv, f ? 0.03 : 1e-4, "dv");
    AGAIN("attention_back", dk,
          k->attention_back(k, dq.at[s], dk.at[s], dv.at[s], dout.at[s], q.at[s], kk.at[s], v.at[s],
                            o.at[s], lse.at[s], f, p, seqs, &err));
    twin *all[] = {&q, &kk, &v, &dout, &o, &lse, &dq, &dk, &dv};
    for (int j = 0; j < 9; j++)
        twin_free(all[j]);
}

/* By products of a warp, as devices before 9.0 have them; elsewhere of a warpgroup. */
static void attention_both(enum ds_kfmt f, const ds_kattn *p, const ds_kseqs *seqs)
{
    attention_of(f, p, seqs);
    ds_kernels *newer = older_begin();
    attention_of(f, p, seqs);
    older_end(newer);
}

static void attentions(void **state)
{
    static const int32_t cu[] = {0, 1, 34, 34, 101}; /* one token, two tiles, none, more */
    static const ds_kseqs seqs = {cu, 4};
    static const int32_t cu_longer[] = {0, 40, 340}; /* three tiles of keys, and more */
    static const ds_kseqs longer = {cu_longer, 2};
    static const ds_kattn any[] = {{2, 1, 5, 7, 0.4f}, {4, 2, 16, 16, 0.25f}};
    static const ds_kattn tile[] = {
        {2, 1, 64, 64, 0.125f}, {2, 2, 128, 128, 0.088f}, {1, 1, 192, 128, 0.072f}};

    (void)state;
    for (int i = 0; i < 6; i += SOME)
        attention_of(ALL_F[i % 3], &any[i / 3], &seqs);
    for (int i = 0; i < 6; i += SOME)
        attention_both(ALL_F[1 + i % 2], &tile[i / 2], i / 2 == 0 ? &longer : &seqs);
}

static void attention_goes_on(void **state)
{
    static const ds_kattn shapes[] = {{4, 2, 16, 16, 0.25f}, {2, 1, 64, 64, 0.125f}};

    (void)state;
    for (int i = 0; i < 6; i++) {
        const enum ds_kfmt f = ALL_F[i % 3];
        const ds_kattn *p = &shapes[i / 3];
        const int64_t past = 70, t = 3;
        twin q = twin_of(f, t * p->heads * p->qk_dim, 1, 2.0f);
        twin kk = twin_of(f, (past + t) * p->kv_heads * p->qk_dim, 2, 2.0f);
        twin v = twin_of(f, (past + t) * p->kv_heads * p->v_dim, 3, 1.0f);
        twin o = twin_new(f, t * p->heads * p->v_dim);
        BOTH("attention_past",
             k->attention_past(k, o.at[s], q.at[s], kk.at[s], v.at[s], f, p, past, t, &err));
        agree(&o, 2e-5, "attention_past");
        twin *all[] = {&q, &kk, &v, &o};
        for (int j = 0; j < 4; j++)
            twin_free(all[j]);
    }
}

/* ---- loss and experts ---- */

static void losses(void **state)
{
    enum { MOST = 19 }; /* more than blocks under way */
    static const int32_t target[MOST] = {3, 0, 40, 12, 36, 1,  2,  3,  4, 5,
                                         6, 7, 0,  9,  10, 11, 39, 13, 8};
    static const float weight[MOST] = {1.0f, 0.0f, 0.5f, 1.0f, 2.0f, 1.0f, 1.0f, 0.0f, 0.0f, 0.0f,
                                       1.0f, 1.0f, 3.0f, 1.0f, 1.0f, 0.0f, 1.0f, 1.0f, 1.0f};
    static const ds_kstep at = {.scale = 0.25};

    (void)state;
    for (int i = 0; i < 20; i++) { /* 18: a row is longer than what a block keeps of it */
        const enum ds_kfmt f = ALL_F[i % 3], fg = ALL_F[i / 3 % 3];
        const int64_t t = i % 4 ? 5 : MOST, v = i == 19
                                                    ? 25001 /* much, and no multiple of 16 bytes */
                                                : i == 18 ? 60004
                                                : i / 9   ? 4104
                                                : i % 2   ? 41
                                                          : 64;
        twin z = twin_of(f, t * v, 1, 20.0f), loss = twin_new(DS_KF32, t);
        twin alone = twin_of(f, t * v, 1, 20.0f), other = twin_of(f, t * v, 1, 20.0f);
        twin grad = twin_new(fg, t * v), same = twin_new(DS_KF32, t);
        BOTH("softmax_xent", k->softmax_xent(k, z.at[s], f, loss.at[s], z.at[s], f, target, weight,
                                             t, v, &at, &err));
        agree(&loss, 1e-5, "loss");
        agree(&z, 1e-6, "gradient of logits");
        BOTH("softmax_xent elsewhere", k->softmax_xent(k, grad.at[s], fg, same.at[s], other.at[s],
                                                       f, target, weight, t, v, &at, &err));
        agree(&grad, 1e-6, "gradient of logits elsewhere");
        agree(&same, 1e-5, "loss elsewhere");
        BOTH("softmax_xent alone", k->softmax_xent(k, NULL, f, same.at[s], alone.at[s], f, target,
                                                   weight, t, v, &at, &err));
        agree(&same, 1e-5, "loss alone");
        twin *all[] = {&z, &loss, &alone, &other, &grad, &same};
        for (int j = 0; j < 6; j++)
            twin_free(all[j]);
    }
}

/* ---- images ---- */

/* Values of samples 1 .. 200 that no simple function has, NaN among them. */
static void images(void **state)
{
    static const ds_kimage made[] = {
        {DS_PX_U8, DS_PX_F32, 7, 5, 1, 7, 5, NULL, 1, 0, 0, 0},
        {DS_PX_U8, DS_PX_U8, 9, 13, 1, 4, 20, NULL, 1, 255.0, 0, 0},
        {DS_PX_I8, DS_PX_I16, 9, 13, 1, 9, 13, NULL, -100, 65535.0, -32768.0, 4},
        {DS_PX_U16, DS_PX_F32, 17, 16, 1, 33, 5, NULL, 1, 0, 0, 8},
        {DS_PX_I16, DS_PX_F64, 12, 12, 3, 5, 7, NULL, -100, 0, 0, 3},
        {DS_PX_I16, DS_PX_I32, 6, 6, 3, 6, 6, NULL, -100, 4294967295.0, -2147483648.0, 16},
        {DS_PX_U8, DS_PX_U32, 3, 3, 1, 1, 1, NULL, 1, 4294967295.0, 0, 2},
        {DS_PX_U8, DS_PX_I8, 3, 3, 2, 9, 2, NULL, 1, 0, 0, 0},
        {DS_PX_U16, DS_PX_U16, 3, 40, 1, 3, 39, NULL, 1, 0, 0, 14},
    };
    double table[200];

    (void)state;
    for (int i = 0; i < 200; i++)
        table[i] = i % 67 == 5 ? (double)NAN : i % 50 == 7 ? -0.0 : 1.0 / (i + 1) + i % 3 - 1;
    for (size_t j = 0; j < sizeof made / sizeof *made; j++) {
        ds_kimage p[2] = {made[j], made[j]};
        const int64_t n = p->rows * p->cols * p->samples, wide = p->from > DS_PX_I8;
        const int64_t bytes = (int64_t)ds_kimage_bytes(p);
        int16_t two[2048];
        uint8_t one[2048];
        for (int64_t i = 0; i < n; i++) {
            two[i] = (int16_t)(p->low + (int)(ds_philox(9, j, (uint64_t)i) % 200));
            one[i] = (uint8_t)two[i];
        }
        twin t = twin_new(DS_KF32, 400), in = twin_new(DS_KF32, 1024),
             out = twin_new(DS_KF32, (bytes + 3) / 4);
        load(&t, table);
        twin_put(&in, wide ? (const void *)two : one, (size_t)n * (wide ? 2 : 1));
        for (int s = 0; s < 2; s++)
            p[s].table = t.at[s];
        BOTH("image", k->image(k, out.at[s], in.at[s], &p[s], &err));
        void *want = fetch(&out, 0), *got = fetch(&out, 1);
        for (int64_t i = 0; i < bytes; i++)
            if (((uint8_t *)want)[i] != ((uint8_t *)got)[i])
                fail_msg("image %zu: byte %lld of %lld differs", j, (long long)i, (long long)bytes);
        free(want);
        free(got);
        AGAIN("image", out, k->image(k, out.at[s], in.at[s], &p[s], &err));
        twin *all[] = {&t, &in, &out};
        for (int i = 0; i < 3; i++)
            twin_free(all[i]);
    }
}

/* ---- memory ---- */

/* Shared memory up to what needs no asking, and beyond it; rows that are copied ahead of those a
 * block works on. */
static void a_block_holds_wide_rows(void **state)
{
    static const int64_t shapes[][2] = {{2, 12032}, {2, 12288}, {2, 16384}, {1030, 2304}};

    (void)state;
    for (int i = 0; i < 4; i++) {
        const int64_t t = shapes[i][0], d = shapes[i][1];
        twin x = twin_of(DS_KF32, t * d, 1, 2.0f), g = twin_of(DS_KF32, d, 2, 1.0f),
             dy = twin_of(DS_KF32, t * d, 3, 1.0f), r = twin_of(DS_KF32, t, 4, 1.0f);
        twin dx = twin_new(DS_KF32, t * d), dg = twin_zero(d);
        BOTH("rmsnorm_back", k->rmsnorm_back(k, dx.at[s], dg.at[s], dy.at[s], x.at[s], g.at[s],
                                             r.at[s], DS_KF32, t, d, false, &err));
        agree(&dx, 1e-4, "rmsnorm_back of a wide row");
        agree(&dg, 1e-4, "rmsnorm_back of a wide row, gain");
        twin *all[] = {&x, &g, &dy, &r, &dx, &dg};
        for (int j = 0; j < 6; j++)
            twin_free(all[j]);
    }
}

/* Numbers of the host on their way: more than the ring holds, and the same ones again. */
static void numbers_come_again_and_again(void **state)
{
    enum { M = 64 };
    const int rounds = real ? 250 : 10;
    const int64_t n = real ? 40000 : 4000;
    int32_t *rows = malloc((size_t)n * sizeof *rows);
    twin x = twin_of(DS_KF32, M, 1, 1.0f), out = twin_new(DS_KF32, n), keep = twin_new(DS_KF32, n);

    (void)state;
    assert_non_null(rows);
    for (int r = 0; r < rounds; r++) {
        for (int64_t i = 0; i < n; i++)
            rows[i] = (int32_t)(ds_philox(3, (uint64_t)(r / 2), (uint64_t)i) % M);
        BOTH("embed",
             k->embed(k, r % 2 ? out.at[s] : keep.at[s], x.at[s], DS_KF32, rows, n, 1, &err));
        agree(r % 2 ? &out : &keep, 0, "what numbers chose");
    }
    free(rows);
    twin_free(&x);
    twin_free(&out);
    twin_free(&keep);
}

static int64_t asked(ds_kernels *k)
{
    ds_kmem m;

    k->memory(k, &m);
    assert_true(m.total > 0 && m.free > 0 && m.held > 0 && m.peak >= m.held);
    return m.allocations;
}

static void what_is_reserved_is_asked_for_once(void **state)
{
    const size_t scratch[DS_KSLOTS] = {5000, 0, 700, 0};
    const float ones[4] = {1, 2, 3, 4};
    float got[4];
    void *p[7];
    ds_kernels *k;
    ds_err err = {0};

    (void)state;
    ok(real ? ds_kernels_open(&k, getenv("DS_TEST_DEVICE"), 0, &err)
            : ds_cuda_open(&k, DS_KERNELS_ABI, 0, &err),
       &err, "a second one");
    const int64_t before = asked(k);
    ok(k->reserve(k, 4 * 1024, scratch, &err), &err, "reserve");
    assert_int_equal(asked(k), before + 1);
    for (int i = 0; i < 4; i++) {
        ok(k->alloc(k, &p[i], 1024 - 255, &err), &err, "alloc");
        ok(k->download(k, got, p[i], sizeof got, &err), &err, "download");
        assert_true(got[0] == 0.0f && got[3] == 0.0f && (uintptr_t)p[i] % 64 == 0);
        ok(k->upload(k, p[i], ones, sizeof ones, &err), &err, "upload");
    }
    assert_int_equal(asked(k), before + 1);
    ok(k->alloc(k, &p[4], 1, &err), &err, "alloc past it");
    assert_int_equal(asked(k), before + 2);
    for (int i = 5; i < 7; i++)
        ok(k->alloc(k, &p[i], 2000 * sizeof(float), &err), &err, "alloc");
    ok(k->bias_back(k, p[5], p[6], DS_KF32, 1, 2000, &err), &err, "more scratch than was reserved");
    assert_int_equal(asked(k), before + 5);
    for (int i = 0; i < 4; i++) {
        ok(k->download(k, got, p[i], sizeof got, &err), &err, "what was reserved stays");
        assert_memory_equal(got, ones, sizeof ones);
    }
    for (int i = 0; i < 7; i++)
        k->free(k, p[i]);
    assert_int_equal(k->reserve(k, 1, scratch, &err), DS_FAIL);
    ds_err_clear(&err);
    assert_int_equal(k->alloc(k, &p[0], (size_t)1 << 50, &err), DS_NOMEM);
    k->close(k);
}

static void refusals(void **state)
{
    const ds_kattn wide = {1, 1, 300, 64, 1.0f};
    const int32_t cu[] = {0, 1};
    const ds_kseqs one = {cu, 1};
    ds_kernels *k = NULL;
    ds_err err = {0};

    (void)state;
    if (!real) {
        assert_int_equal(ds_cuda_open(&k, DS_KERNELS_ABI + 1, 0, &err), DS_FAIL);
        assert_non_null(strstr(err.msg, "of two builds"));
        ds_err_clear(&err);
    }
    assert_int_equal(
        K[1]->attention(K[1], NULL, NULL, NULL, NULL, NULL, DS_KF32, &wide, &one, &err), DS_FAIL);
    assert_non_null(strstr(err.msg, "300"));
    ds_err_clear(&err);
    assert_int_equal(K[1]->rmsnorm_back(K[1], NULL, (float *)64, NULL, NULL, NULL, NULL, DS_KF32, 1,
                                        100000, false, &err),
                     DS_FAIL);
    assert_non_null(strstr(err.msg, "100000"));
    ds_err_clear(&err);
    assert_int_equal(ds_kernels_open(&k, "gpu", 1, &err), DS_USAGE);
    ds_err_clear(&err);
    assert_int_equal(ds_kernels_open(&k, "cuda:x", 1, &err), DS_USAGE);
    ds_err_clear(&err);
    if (!real) {
        assert_int_equal(setenv("DS_CUDA_PLUGIN", "/nonexistent/plugin.so", 1), 0);
        assert_int_equal(ds_kernels_open(&k, "cuda", 1, &err), DS_FAIL);
        assert_non_null(strstr(err.msg, "/nonexistent/plugin.so"));
    }
}

int main(void)
{
    if (threads_are_watched())
        return 77;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements),
        cmocka_unit_test(dropout_products),
        cmocka_unit_test(norms),
        cmocka_unit_test(columns),
        cmocka_unit_test(sums_of_many_rows),
        cmocka_unit_test(rows_by_number),
        cmocka_unit_test(rows_of_large_tables),
        cmocka_unit_test(rotations),
        cmocka_unit_test(products),
        cmocka_unit_test(products_of_many_rows),
        cmocka_unit_test(products_anywhere),
        cmocka_unit_test(projections),
        cmocka_unit_test(a_block_holds_wide_rows),
        cmocka_unit_test(attentions),
        cmocka_unit_test(attention_goes_on),
        cmocka_unit_test(losses),
        cmocka_unit_test(images),
        cmocka_unit_test(numbers_come_again_and_again),
        cmocka_unit_test(what_is_reserved_is_asked_for_once),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, open_both, close_both);
}
