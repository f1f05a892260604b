/* gemm.c - matrix products: packed panels and a register tile (Goto & van de Geijn 2008).
 *
 * Every element of C is one chain of fused multiply-adds over ascending k, started at zero or, for
 * accumulation into f32, at C itself, whatever the blocking, the thread count or
 * the vector width: the same bits everywhere (vec.h on products of bf16). Threads share packed A
 * and split C into slices of columns.
 *
 * A few rows times a weight take no panels: the weight is read once, as it lies there.
 *
 * Cost: 2MNK FLOPs; A is packed once for each chunk of rows (at most A_CHUNK floats), or once for
 * all products while it is held (held.h), B once for each such chunk.
 */
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "panel.h"

#define MC 192 /* rows of C summed at a time; a multiple of every mr (4, 6, 12) */
#define MR_MAX 12
#define NC 256        /* columns of a slice */
#define KC 384        /* depth of one pass where A's rows are too deep for the cache */
#define NEAR 160000   /* elements of A that stay in the second-level cache beside a panel of B */
#define FEW_COLS 64   /* columns of a job where there are few rows */
#define PACK_PANELS 8 /* of A, for one worker */
#define A_CHUNK (8 << 20) /* elements of packed A */

typedef struct product {
    ds_cpu *cpu;
    ds_panels p;
    void *c;
    ds_kterm term[2];
    int terms;
    enum ds_kfmt fc, fa, fb;
    bool ta, tb, accumulate;
    int64_t m, n;
    int64_t depth; /* of the panels */
    float alpha;
    int64_t row0, rows;       /* chunk of A that is packed */
    float *left[2];           /* of each term */
    bool packed[2];           /* they were found so */
    int64_t width;            /* columns of a slice */
    int64_t group;            /* columns, and */
    int64_t tall, pass;       /* rows and depth that are multiplied at a time */
    int64_t parts, part_rows; /* a slice's rows, where slices are fewer than threads */
    bool failed;
} product;

static int64_t depth_of(const product *t, int e)
{
    return t->term[e].k > 0 ? ds_panels_depth(&t->p, t->term[e].k) : 0;
}

static void pack_a_job(void *arg, int64_t i)
{
    product *t = arg;
    const int64_t some = PACK_PANELS * t->cpu->vec->mr, first = i * some;
    const int64_t have = t->rows - first < some ? t->rows - first : some;

    for (int e = 0; e < t->terms; e++) {
        const ds_kterm *x = &t->term[e];
        const int64_t deep = depth_of(t, e);
        if (!t->packed[e] && deep > 0)
            ds_pack_left(&t->p, t->left[e] + first * deep, deep, x->a, t->fa, t->ta,
                         t->ta ? t->m : x->k, t->row0 + first, have, x->k);
    }
}

static void pack_b(const product *t, float *dst, int64_t col, int64_t cols)
{
    for (int e = 0; e < t->terms; e++) {
        const ds_kterm *x = &t->term[e];
        if (x->k > 0)
            ds_pack_right(&t->p, dst, t->depth, x->b, t->fb, !t->tb, t->tb ? x->k : t->n, col, cols,
                          x->k);
        dst += t->p.v->nr * depth_of(t, e);
    }
}

/* A sum that goes on from C: nothing is lost to a second rounding, and one product over rows 0..n
 * has the bits of two over its halves. */
static bool goes_on(const product *t)
{
    return t->accumulate && t->fc == DS_KF32 && t->alpha == 1.0f;
}

static void start_rows(const product *t, float *sums, int64_t row, int64_t rows, int64_t col,
                       int64_t cols)
{
    const int64_t mr = t->p.v->mr, tall = (rows + mr - 1) / mr * mr;

    memset(sums, 0, (size_t)(tall * t->group) * sizeof *sums);
    if (goes_on(t))
        for (int64_t i = 0; i < rows; i++)
            memcpy(sums + i * t->group, (const float *)t->c + (row + i) * t->n + col,
                   (size_t)cols * sizeof *sums);
}

/* Writes a finished tile of sums to C. */
static void put_rows(const product *t, float *sums, int64_t row, int64_t rows, int64_t col,
                     int64_t cols)
{
    const ds_vec *v = t->cpu->vec;
    float old[NC];

    for (int64_t i = 0; i < rows; i++) {
        float *s = sums + i * t->group;
        const int64_t at = (row + i) * t->n + col;
        const bool add = t->accumulate && !goes_on(t);
        if (add || t->alpha != 1.0f)
            v->finish(s, t->alpha, add ? ds_row_get(v, t->c, t->fc, at, cols, old) : NULL, cols);
        if (t->fc == DS_KF32)
            memcpy((float *)t->c + at, s, (size_t)cols * sizeof *s);
        else
            v->to_half((uint16_t *)t->c + at, t->fc, s, cols);
    }
}

/* The terms of a tile of rows, from `row` of the chunk on. */
static void multiply(const product *t, float *sums, int64_t stride, int64_t row, int64_t rows,
                     int64_t cols, const float *pb)
{
    const ds_vec *v = t->cpu->vec;

    for (int e = 0; e < t->terms; e++) {
        const int64_t deep = depth_of(t, e);
        for (int64_t p = 0; p < deep; p += t->pass)
            ds_panels_multiply(&t->p, sums, stride, rows, cols,
                               deep - p < t->pass ? deep - p : t->pass,
                               t->left[e] + row * deep + p * v->mr, deep, pb + p * v->nr, t->depth);
        pb += deep * v->nr;
    }
}

/* Sums of whole tiles that become C as they are need no place of their own. */
static bool in_place(const product *t, int64_t rows, int64_t cols)
{
    return t->fc == DS_KF32 && t->alpha == 1.0f && rows % t->p.v->mr == 0 && cols % t->p.v->nr == 0;
}

static void multiply_in_place(const product *t, int64_t row, int64_t rows, int64_t col,
                              int64_t cols, const float *pb)
{
    float *c = (float *)t->c + (t->row0 + row) * t->n + col;

    for (int64_t i = 0; !t->accumulate && i < rows; i++)
        memset(c + i * t->n, 0, (size_t)cols * sizeof *c);
    multiply(t, c, t->n, row, rows, cols, pb);
}

/* Rows of C in columns that come soon. */
static void fetch_rows(const product *t, int64_t row, int64_t rows, int64_t col, int64_t cols)
{
    const size_t size = ds_kfmt_size(t->fc);

    for (int64_t i = 0; i < rows; i++)
        for (int64_t at = 0; at < cols; at += 64 / (int64_t)size)
            __builtin_prefetch((const char *)t->c + (size_t)((row + i) * t->n + col + at) * size,
                               1);
}

/* Some rows of a slice, a group of columns at a time; pb: the slice's panels. */
static void multiply_rows(const product *t, float *sums, int64_t row, int64_t rows, int64_t col,
                          int64_t cols, const float *pb)
{
    for (int64_t at = 0; at < cols; at += t->group, pb += t->depth * t->group) {
        const int64_t some = cols - at < t->group ? cols - at : t->group;
        fetch_rows(t, t->row0 + row, rows, col + at, some);
        if (in_place(t, rows, some)) {
            multiply_in_place(t, row, rows, col + at, some, pb);
            continue;
        }
        start_rows(t, sums, t->row0 + row, rows, col + at, some);
        multiply(t, sums, t->group, row, rows, some, pb);
        put_rows(t, sums, t->row0 + row, rows, col + at, some);
    }
}

static void slice_job(void *arg, int64_t job)
{
    product *t = arg;
    const ds_vec *v = t->cpu->vec;
    const int64_t col = job / t->parts * t->width, from = job % t->parts * t->part_rows;
    const int64_t to = from + t->part_rows < t->rows ? from + t->part_rows : t->rows;
    const int64_t cols = t->n - col < t->width ? t->n - col : t->width;
    const int64_t panels = (cols + v->nr - 1) / v->nr;
    const int64_t deep = t->depth;
    float *pb = ds_scratch_take(&t->cpu->scratch, (size_t)(deep * panels * v->nr + MC * t->group));

    if (!pb) {
        __atomic_store_n(&t->failed, true, __ATOMIC_RELAXED);
        return;
    }
    float *sums = pb + deep * panels * v->nr;
    pack_b(t, pb, col, cols);
    for (int64_t row = from; row < to; row += t->tall)
        multiply_rows(t, sums, row, to - row < t->tall ? to - row : t->tall, col, cols, pb);
    ds_scratch_give(&t->cpu->scratch, pb);
}

/* Slices of columns: as many for each thread, where there are enough columns. */
static int64_t split_columns(product *t, int64_t threads)
{
    const int64_t nr = t->p.v->nr, panels = (t->n + nr - 1) / nr;
    int64_t slices = (t->n + NC - 1) / NC;

    slices = (slices + threads - 1) / threads * threads;
    t->width = (panels + slices - 1) / slices * nr;
    return (t->n + t->width - 1) / t->width;
}

/* Rows that fit near are multiplied with one panel of B after the other, whose sums are used while
 * they are near too; deeper ones pass by pass with all panels of a slice. */
static void split_tiles(product *t)
{
    const bool fits = t->depth <= NEAR / (MC / 2);

    t->tall = fits && t->depth > NEAR / MC ? MC / 2 : MC;
    t->group = fits ? t->p.v->nr : t->width;
    t->pass = fits ? t->depth : KC;
}

/* Narrow products have fewer slices than threads: their rows are split too. Each part packs its own
 * B, which is small then. */
static void split_rows(product *t, int64_t slices, int64_t threads)
{
    const int64_t strips = (t->rows + MC - 1) / MC;
    int64_t parts = slices < threads ? (2 * threads + slices - 1) / slices : 1;

    parts = parts > strips ? strips : parts;
    t->part_rows = (strips + parts - 1) / parts * MC;
    t->parts = (t->rows + t->part_rows - 1) / t->part_rows;
}

/* K = 0: C = 0, or unchanged. */
static void put_nothing(const product *t)
{
    if (!t->accumulate)
        memset(t->c, 0, (size_t)(t->m * t->n) * ds_kfmt_size(t->fc));
}

/* Where the packed chunk of each term of A lies: with what is held, where a chunk is all of it. */
static int left_places(product *t, int64_t chunk, bool held, ds_err *err)
{
    ds_cpu *cpu = t->cpu;
    size_t need = 0;

    for (int e = 0; e < t->terms; e++) {
        if (held && !t->ta && chunk >= t->m)
            t->left[e] = ds_held_find(&cpu->held, &t->p, t->term[e].a, t->m, t->term[e].k, chunk,
                                      &t->packed[e]);
        need += t->left[e] ? 0 : (size_t)(chunk * depth_of(t, e));
    }
    if (cpu->pack_a_len < need) {
        free(cpu->pack_a);
        cpu->pack_a_len = 0;
        cpu->pack_a = ds_cpu_scratch(need);
        if (!cpu->pack_a)
            return ds_fail_nomem(err);
        cpu->pack_a_len = need;
    }
    float *at = cpu->pack_a;
    for (int e = 0; e < t->terms; e++)
        if (!t->left[e]) {
            t->left[e] = at;
            at += chunk * depth_of(t, e);
        }
    return 0;
}

/* ---- few rows ---- */

static bool is_few(const product *t)
{
    return t->m <= DS_FEW && !t->ta && t->tb &&
           !(t->p.pairs && (t->term[0].k % 2 || t->term[1].k % 2));
}

static void few_job(void *arg, int64_t job)
{
    const product *t = arg;
    const int64_t col = job * FEW_COLS, cols = t->n - col < FEW_COLS ? t->n - col : FEW_COLS;
    float sums[MR_MAX * FEW_COLS];

    start_rows(t, sums, 0, t->m, col, cols);
    for (int e = 0; e < t->terms; e++) {
        const ds_kterm *x = &t->term[e];
        const size_t pitch = (size_t)x->k * ds_kfmt_size(t->fb);
        const int64_t deep = depth_of(t, e);
        if (deep > 0)
            t->p.few(sums, FEW_COLS, (int)t->m, t->left[e], deep,
                     (const char *)x->b + (size_t)col * pitch, pitch, cols, deep);
    }
    put_rows(t, sums, 0, t->m, col, cols);
}

static int run_few(product *t, ds_err *err)
{
    if (left_places(t, t->m, false, err))
        return DS_NOMEM;
    for (int e = 0; e < t->terms; e++)
        ds_units_left(&t->p, t->left[e], t->term[e].a, t->fa, t->m * t->term[e].k);
    t->group = FEW_COLS;
    ds_workers_run(t->cpu->workers, (t->n + FEW_COLS - 1) / FEW_COLS, few_job, t);
    return 0;
}

static int run(product *t, ds_err *err)
{
    ds_cpu *cpu = t->cpu;
    const ds_vec *v = cpu->vec;
    const int64_t m = t->m, n = t->n, threads = ds_workers_count(cpu->workers);

    t->p = ds_panels_of(v, t->fa, t->fb);
    for (int e = 0; e < t->terms; e++)
        t->depth += depth_of(t, e);
    if (m <= 0 || n <= 0)
        return 0;
    if (t->depth <= 0) {
        put_nothing(t);
        return 0;
    }
    if (is_few(t))
        return run_few(t, err);
    const int64_t slices = split_columns(t, threads);
    split_tiles(t);
    int64_t chunk = A_CHUNK / t->depth / MC * MC;
    chunk = chunk < MC ? MC : chunk;
    chunk = chunk > (m + MC - 1) / MC * MC ? (m + MC - 1) / MC * MC : chunk;
    if (left_places(t, chunk, true, err))
        return DS_NOMEM;
    const bool pack = !t->packed[0] || (t->terms > 1 && !t->packed[1]);
    for (t->row0 = 0; t->row0 < m && !t->failed; t->row0 += chunk) {
        t->rows = m - t->row0 < chunk ? m - t->row0 : chunk;
        if (pack)
            ds_workers_run(cpu->workers,
                           (t->rows + PACK_PANELS * v->mr - 1) / (PACK_PANELS * v->mr), pack_a_job,
                           t);
        split_rows(t, slices, threads);
        ds_workers_run(cpu->workers, slices * t->parts, slice_job, t);
    }
    return t->failed ? ds_fail_nomem(err) : 0;
}

int ds_cpu_matmul(ds_kernels *k, void *c, enum ds_kfmt fc, const void *a, enum ds_kfmt fa, bool ta,
                  const void *b, enum ds_kfmt fb, bool tb, int64_t m, int64_t n, int64_t kk,
                  float alpha, bool accumulate, ds_err *err)
{
    product t = {.cpu = ds_cpu_of(k),
                 .c = c,
                 .term = {{a, b, kk}},
                 .terms = 1,
                 .fc = fc,
                 .fa = fa,
                 .fb = fb,
                 .ta = ta,
                 .tb = tb,
                 .accumulate = accumulate,
                 .m = m,
                 .n = n,
                 .alpha = alpha};

    return run(&t, err);
}

int ds_cpu_matmul2(ds_kernels *k, void *c, enum ds_kfmt fc, enum ds_kfmt f, bool tb,
                   const ds_kterm term[2], int64_t m, int64_t n, bool accumulate, ds_err *err)
{
    product t = {.cpu = ds_cpu_of(k),
                 .c = c,
                 .term = {term[0], term[1]},
                 .terms = 2,
                 .fc = fc,
                 .fa = f,
                 .fb = f,
                 .tb = tb,
                 .accumulate = accumulate,
                 .m = m,
                 .n = n,
                 .alpha = 1.0f};

    return run(&t, err);
}

int ds_cpu_linear(ds_kernels *k, void *y, enum ds_kfmt f, const ds_kterm term[2], const void *bias,
                  int64_t t, int64_t n, ds_err *err)
{
    const int rc = term[1].k > 0 ? ds_cpu_matmul2(k, y, f, f, true, term, t, n, false, err)
                                 : ds_cpu_matmul(k, y, f, term[0].a, f, false, term[0].b, f, true,
                                                 t, n, term[0].k, 1.0f, false, err);

    return rc || !bias ? rc : k->bias(k, y, bias, f, t, n, err);
}

int ds_cpu_linear_back(ds_kernels *k, float *dw, float *db, const void *dy, const void *x,
                       enum ds_kfmt f, int64_t t, int64_t n, int64_t kk, ds_err *err)
{
    const int rc =
        ds_cpu_matmul(k, dw, DS_KF32, dy, f, true, x, f, false, n, kk, t, 1.0f, true, err);

    return rc ? rc : k->bias_back(k, db, dy, f, t, n, err);
}

/* What p's group i is of its expert's rows. */
static ds_kgroup group_of(const ds_kgroups *p, int64_t i)
{
    ds_kgroup g = p->g[i];
    const int64_t from = p->first[g.expert], rows = p->first[g.expert + 1] - from;
    const size_t in = ds_kfmt_size(p->f);

    for (int e = 0; e < (p->ta || g.term[1].k == 0 ? 1 : 2); e++)
        g.term[e].a = (const char *)g.term[e].a + (size_t)(from * (p->ta ? g.m : g.term[e].k)) * in;
    if (p->ta) {
        g.term[0].b = (const char *)g.term[0].b + (size_t)(from * g.n) * in;
        g.term[0].k = rows;
    } else {
        g.c = (char *)g.c + (size_t)(from * g.n) * ds_kfmt_size(p->fc);
        g.m = rows;
    }
    return g;
}

/* One after the other; the left operand of neighbours is packed once. */
int ds_cpu_matmul_groups(ds_kernels *k, const ds_kgroups *p, ds_err *err)
{
    const void *held = NULL;
    int rc = 0;

    for (int64_t i = 0; !rc && i < p->n; i++) {
        const ds_kgroup g = group_of(p, i);
        const ds_kterm *t = g.term;
        if (held && held != t->a) {
            k->release(k, held);
            held = NULL;
        }
        if (!held && i + 1 < p->n && group_of(p, i + 1).term[0].a == t->a && g.m > 0)
            k->hold(k, held = t->a);
        rc = t[1].k > 0
                 ? ds_cpu_matmul2(k, g.c, p->fc, p->f, p->tb, t, g.m, g.n, p->accumulate, err)
                 : ds_cpu_matmul(k, g.c, p->fc, t->a, p->f, p->ta, t->b, p->f, p->tb, g.m, g.n,
                                 t->k, p->alpha, p->accumulate, err);
    }
    if (held)
        k->release(k, held);
    return rc;
}
