/* gemm.c - matrix products: packed panels and a register tile (Goto & van de Geijn 2008).
 *
 * Every element of C is one chain of fused multiply-adds over ascending k, started at zero or, for
 * accumulation into f32, at C itself, whatever the blocking, the thread count or
 * the vector width: the same bits everywhere. Threads share packed A and split C into slices of
 * columns.
 *
 * Cost: 2MNK FLOPs; A is packed once for each chunk of rows (at most A_CHUNK floats), B once for
 * each such chunk.
 */
#include <stdlib.h>
#include <string.h>

#include "cpu.h"

#define MC 192  /* rows of C summed at a time; a multiple of every mr (4, 6, 12) */
#define NC 256  /* columns of a slice */
#define KC 384  /* depth of one pass over a tile: a panel of A stays in the first-level cache */
#define PACK 16 /* columns turned at a time while packing */
#define A_CHUNK (8 << 20) /* floats of packed A */

typedef struct product {
    ds_cpu *cpu;
    void *c;
    const void *a, *b;
    enum ds_kfmt fc, fa, fb;
    bool ta, tb, accumulate;
    int64_t m, n, k;
    float alpha;
    int64_t row0, rows;       /* chunk of A that is packed */
    int64_t width;            /* columns of a slice */
    int64_t parts, part_rows; /* a slice's rows, where slices are fewer than threads */
    float *pack_a;
    bool failed;
} product;

static inline float get(const void *p, enum ds_kfmt f, int64_t at)
{
    return f == DS_KF32 ? ((const float *)p)[at] : ds_bf16_to(((const uint16_t *)p)[at]);
}

/* Lines that lie one after the other are turned in blocks of PACK columns, so that what is written
 * stays in the first-level cache. */
static void pack_lines(float *dst, const void *src, enum ds_kfmt f, int64_t ld, int64_t first,
                       int64_t have, int w, int64_t k)
{
    for (int64_t p0 = 0; p0 < k; p0 += PACK) {
        const int64_t n = k - p0 < PACK ? k - p0 : PACK;
        float *to = dst + p0 * w;
        for (int i = 0; i < w; i++) {
            const int64_t at = (first + i) * ld + p0;
            if (i >= have) {
                for (int64_t p = 0; p < n; p++)
                    to[p * w + i] = 0.0f;
            } else if (f == DS_KF32) {
                const float *s = (const float *)src + at;
                for (int64_t p = 0; p < n; p++)
                    to[p * w + i] = s[p];
            } else {
                const uint16_t *s = (const uint16_t *)src + at;
                for (int64_t p = 0; p < n; p++)
                    to[p * w + i] = ds_bf16_to(s[p]);
            }
        }
    }
}

void ds_pack_panel(float *dst, const void *src, enum ds_kfmt f, bool trans, int64_t ld,
                   int64_t first, int64_t have, int w, int64_t k)
{
    if (trans) {
        for (int64_t p = 0; p < k; p++, dst += w) {
            const int64_t at = p * ld + first;
            if (f == DS_KF32 && have == w) {
                memcpy(dst, (const float *)src + at, (size_t)w * sizeof *dst);
                continue;
            }
            for (int i = 0; i < w; i++)
                dst[i] = i < have ? get(src, f, at + i) : 0.0f;
        }
        return;
    }
    pack_lines(dst, src, f, ld, first, have, w, k);
}

static void pack_a_job(void *arg, int64_t i)
{
    product *t = arg;
    const int mr = t->cpu->vec->mr;
    const int64_t first = i * mr;
    const int64_t have = t->rows - first < mr ? t->rows - first : mr;

    ds_pack_panel(t->pack_a + first * t->k, t->a, t->fa, t->ta, t->ta ? t->m : t->k,
                  t->row0 + first, have, mr, t->k);
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
    memset(sums, 0, (size_t)(MC * t->width) * sizeof *sums);
    if (goes_on(t))
        for (int64_t i = 0; i < rows; i++)
            memcpy(sums + i * t->width, (const float *)t->c + (row + i) * t->n + col,
                   (size_t)cols * sizeof *sums);
}

/* Writes a finished tile of sums to C. */
static void put_rows(const product *t, const float *sums, int64_t row, int64_t rows, int64_t col,
                     int64_t cols)
{
    for (int64_t i = 0; i < rows; i++) {
        const float *s = sums + i * t->width;
        const int64_t at = (row + i) * t->n + col;
        if (t->fc == DS_KF32) {
            float *c = (float *)t->c + at;
            if (t->alpha == 1.0f)
                memcpy(c, s, (size_t)cols * sizeof *c);
            else if (t->accumulate)
                for (int64_t j = 0; j < cols; j++)
                    c[j] += t->alpha * s[j];
            else
                for (int64_t j = 0; j < cols; j++)
                    c[j] = t->alpha * s[j];
        } else {
            uint16_t *c = (uint16_t *)t->c + at;
            for (int64_t j = 0; j < cols; j++)
                c[j] = ds_bf16_from(t->alpha * s[j] + (t->accumulate ? ds_bf16_to(c[j]) : 0.0f));
        }
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
    float *pb = ds_cpu_scratch((size_t)(t->k * panels * v->nr + MC * t->width));

    if (!pb) {
        __atomic_store_n(&t->failed, true, __ATOMIC_RELAXED);
        return;
    }
    float *sums = pb + t->k * panels * v->nr;
    for (int64_t j = 0; j < panels; j++) {
        const int64_t at = j * v->nr;
        ds_pack_panel(pb + at * t->k, t->b, t->fb, !t->tb, t->tb ? t->k : t->n, col + at,
                      cols - at < v->nr ? cols - at : v->nr, v->nr, t->k);
    }
    for (int64_t row = from; row < to; row += MC) {
        const int64_t rows = to - row < MC ? to - row : MC;
        start_rows(t, sums, t->row0 + row, rows, col, cols);
        for (int64_t p = 0; p < t->k; p += KC) {
            const int64_t depth = t->k - p < KC ? t->k - p : KC;
            for (int64_t j = 0; j < panels; j++)
                for (int64_t i = 0; i < rows; i += v->mr)
                    v->tile(sums + i * t->width + j * v->nr, (size_t)t->width,
                            t->pack_a + (row + i) * t->k + p * v->mr,
                            pb + j * v->nr * t->k + p * v->nr, depth);
        }
        put_rows(t, sums, t->row0 + row, rows, col, cols);
    }
    free(pb);
}

/* Narrow products have fewer slices than threads: their rows are split too. Each part packs its own
 * B, which is small then. */
static void split_rows(product *t, int64_t slices, int64_t threads)
{
    const int64_t strips = (t->rows + MC - 1) / MC;
    int64_t parts = threads > 1 && slices < 2 * threads ? (2 * threads + slices - 1) / slices : 1;

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

int ds_cpu_matmul(ds_kernels *k, void *c, enum ds_kfmt fc, const void *a, enum ds_kfmt fa, bool ta,
                  const void *b, enum ds_kfmt fb, bool tb, int64_t m, int64_t n, int64_t kk,
                  float alpha, bool accumulate, ds_err *err)
{
    ds_cpu *cpu = ds_cpu_of(k);
    const ds_vec *v = cpu->vec;
    product t = {.cpu = cpu,
                 .c = c,
                 .a = a,
                 .b = b,
                 .fc = fc,
                 .fa = fa,
                 .fb = fb,
                 .ta = ta,
                 .tb = tb,
                 .accumulate = accumulate,
                 .m = m,
                 .n = n,
                 .k = kk,
                 .alpha = alpha};

    if (m <= 0 || n <= 0)
        return 0;
    if (kk <= 0) {
        put_nothing(&t);
        return 0;
    }
    const int64_t nr = v->nr, threads = ds_workers_count(cpu->workers);
    int64_t width = (n + threads - 1) / threads;
    t.width = width > NC ? NC : (width + nr - 1) / nr * nr;
    const int64_t slices = (n + t.width - 1) / t.width;
    int64_t chunk = A_CHUNK / kk / MC * MC;
    chunk = chunk < MC ? MC : chunk;
    chunk = chunk > (m + MC - 1) / MC * MC ? (m + MC - 1) / MC * MC : chunk;
    const size_t need = (size_t)(chunk * kk);
    if (cpu->pack_a_len < need) {
        free(cpu->pack_a);
        cpu->pack_a_len = 0;
        cpu->pack_a = ds_cpu_scratch(need);
        if (!cpu->pack_a)
            return ds_fail_nomem(err);
        cpu->pack_a_len = need;
    }
    t.pack_a = cpu->pack_a;
    for (t.row0 = 0; t.row0 < m && !t.failed; t.row0 += chunk) {
        t.rows = m - t.row0 < chunk ? m - t.row0 : chunk;
        ds_workers_run(cpu->workers, (t.rows + v->mr - 1) / v->mr, pack_a_job, &t);
        split_rows(&t, slices, threads);
        ds_workers_run(cpu->workers, slices * t.parts, slice_job, &t);
    }
    return t.failed ? ds_fail_nomem(err) : 0;
}
