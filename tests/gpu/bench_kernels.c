/* bench_kernels.c - how fast a backend's kernels are, one by one, on the shapes of real models.
 *
 *   bench_kernels [--small] [DEVICE [KERNEL...]]
 *
 * DEVICE is cuda or as dstrain takes it, KERNEL a name of kernels.h; none: all. Prints a line of
 * JSON for each kernel and shape: time of a call, bytes it has to move (what it reads once, what it
 * writes once) a second, FLOPs a second. Calls follow one another without waiting; of five such
 * runs the median counts. Operands are random numbers in bf16; what is larger than the device's
 * cache comes from memory.
 * --small: small shapes, each called once, for the CPU and for the emulated device.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "kernjob.h"
#include "philox.h"
#include "plugin.h"

#define RUNS 5
#define SECONDS 0.01 /* of a run */
#define WARM 3
#define RANDOM ((size_t)64 << 20)

/* A decoder's widths, as far as shapes of kernels follow from them. */
typedef struct model {
    int64_t d, ff, heads, kv, hd;
    bool bias; /* of q, k and v */
} model;

typedef struct sizes {
    model model[2];
    int64_t t, l, vocab, params; /* t tokens in sequences of l; params: of the optimizer */
    struct {
        int64_t d, ff, e, c;
    } moe;
    size_t room;
} sizes;

/* Llama 3 8B and Qwen2 7B; DeepSeek V2 Lite. */
static const sizes REAL = {
    .model = {{4096, 14336, 32, 8, 128, false}, {3584, 18944, 28, 4, 128, true}},
    .t = 16384,
    .l = 4096,
    .vocab = 128256,
    .params = 64 << 20,
    .moe = {2048, 1408, 64, 6},
    .room = (size_t)3 << 30};
static const sizes SMALL = {.model = {{64, 128, 4, 2, 16, false}, {32, 96, 4, 1, 16, true}},
                            .t = 64,
                            .l = 32,
                            .vocab = 256,
                            .params = 1 << 14,
                            .moe = {32, 48, 8, 2},
                            .room = (size_t)4 << 20};

typedef struct bench {
    ds_kernels *k;
    ds_kernroom room;
    sizes s;
    bool small;
    char **only; /* names, up to NULL */
    int measured, failed;
} bench;

/* ---- time ---- */

static int calls(const ds_kernjob *j, int64_t n, double *seconds, ds_err *err)
{
    const double from = ds_seconds();
    int rc = 0;

    for (int64_t i = 0; i < n && !rc; i++)
        rc = j->kind->call(j, err);
    rc = rc ? rc : j->k->sync(j->k, err);
    *seconds = ds_seconds() - from;
    return rc;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Seconds of a call. */
static int measure(const bench *b, const ds_kernjob *j, double *seconds, ds_err *err)
{
    double run[RUNS], once = 0;
    int rc = j->k->sync(j->k, err);

    rc = rc ? rc : calls(j, b->small ? 1 : WARM, &once, err);
    if (b->small || rc) {
        *seconds = once;
        return rc;
    }
    rc = calls(j, 1, &once, err);
    const int64_t n = once < SECONDS ? (int64_t)(SECONDS / once) + 1 : 1;
    for (int i = 0; i < RUNS && !rc; i++)
        rc = calls(j, n, &run[i], err);
    if (rc)
        return rc;
    qsort(run, RUNS, sizeof *run, by_value);
    *seconds = run[RUNS / 2] / (double)n;
    return 0;
}

static bool wanted(const bench *b, const char *name)
{
    bool found = !*b->only;

    for (char **o = b->only; *o && !found; o++)
        found = strcmp(*o, name) == 0;
    return found;
}

static void bench_one(bench *b, const ds_kernkind *kind, const char *format, ...) DS_PRINTF(3, 4);
static void bench_one(bench *b, const ds_kernkind *kind, const char *format, ...)
{
    ds_kernjob j = {.k = b->k, .kind = kind, .room = &b->room};
    ds_err err = {0};
    double seconds;
    va_list ap;

    if (!wanted(b, kind->name))
        return;
    va_start(ap, format);
    vsnprintf(j.shape, sizeof j.shape, format, ap);
    va_end(ap);
    int rc = ds_job_init(&j, &err);
    rc = rc ? rc : measure(b, &j, &seconds, &err);
    if (rc) {
        fprintf(stderr, "bench_kernels: %s %s: %s\n", kind->name, j.shape, err.msg);
        b->failed++;
    } else {
        printf("{\"kernel\":\"%s\",\"shape\":\"%s\",\"us\":%.6g,\"gbs\":%.4g,\"tflops\":%.4g}\n",
               kind->name, j.shape, seconds * 1e6, j.bytes / seconds * 1e-9,
               j.flops / seconds * 1e-12);
        fflush(stdout);
        b->measured++;
    }
    ds_job_fini(&j);
}

/* ---- what is measured ---- */

#define L(x) ((long long)(x))

typedef struct projection {
    int64_t n, k; /* out and in */
    bool bias;
} projection;

/* Those of a model, each shape once. */
static int projections(projection p[5], const model *m)
{
    const int64_t q = m->heads * m->hd;
    const projection all[] = {{q, m->d, m->bias},
                              {m->kv * m->hd, m->d, m->bias},
                              {m->d, q, false},
                              {m->ff, m->d, false},
                              {m->d, m->ff, false}};
    int n = 0;

    for (int i = 0; i < 5; i++)
        if (n == 0 || i != 2 || m->bias || q != m->d)
            p[n++] = all[i];
    return n;
}

static void bench_products(bench *b, const model *m)
{
    projection p[5];
    const int n = projections(p, m);
    const long long t = L(b->s.t);

    for (int i = 0; i < n; i++) {
        const long long out = L(p[i].n), in = L(p[i].k);
        bench_one(b, &ds_kern_matmul, "m%lld n%lld k%lld tb", t, out, in);
        bench_one(b, &ds_kern_matmul, "m%lld n%lld k%lld", t, in, out);
        bench_one(b, &ds_kern_matmul, "m%lld n%lld k%lld ta acc to_f32", out, in, t);
        bench_one(b, &ds_kern_linear, "m%lld n%lld k%lld r16%s", t, out, in,
                  p[i].bias ? " bias" : "");
        bench_one(b, &ds_kern_matmul2, "m%lld n%lld k%lld r16", t, in, out);
        if (p[i].bias) {
            bench_one(b, &ds_kern_linear, "m%lld n%lld k%lld bias", t, out, in);
            bench_one(b, &ds_kern_linear_back, "m%lld n%lld k%lld", out, in, t);
        }
    }
}

/* Products of an adapter's matrices: X A', dY B, and their gradients. */
static void bench_adapters(bench *b, const model *m)
{
    const int64_t wide[] = {m->d, m->kv * m->hd, m->ff};
    const long long t = L(b->s.t);

    for (int i = 0; i < 3; i++) {
        const long long w = L(wide[i]);
        bench_one(b, &ds_kern_matmul, "m%lld n16 k%lld tb", t, w);
        bench_one(b, &ds_kern_matmul, "m%lld n16 k%lld", t, w);
        bench_one(b, &ds_kern_matmul, "m%lld n%lld k16 tb", t, w);
        bench_one(b, &ds_kern_matmul, "m16 n%lld k%lld ta acc to_f32", w, t);
        bench_one(b, &ds_kern_matmul, "m%lld n16 k%lld ta acc to_f32", w, t);
        if (b->k->dropout_matmul)
            bench_one(b, &ds_kern_dropout_matmul, "m%lld n16 k%lld", t, w);
    }
}

static void bench_head(bench *b, const model *m)
{
    const long long d = L(m->d), v = L(b->s.vocab),
                    t = L(b->small ? 64 : ds_logit_rows(b->k, v, d));

    bench_one(b, &ds_kern_matmul, "m%lld n%lld k%lld tb to_f32", t, v, d);
    bench_one(b, &ds_kern_matmul, "m%lld n%lld k%lld", t, d, v);
    bench_one(b, &ds_kern_matmul, "m%lld n%lld k%lld ta acc to_f32", v, d, t);
    bench_one(b, &ds_kern_xent, "t%lld v%lld", t, v);
    bench_one(b, &ds_kern_embed, "t%lld d%lld v%lld", L(b->s.t), d, v);
    bench_one(b, &ds_kern_embed_back, "t%lld d%lld v%lld", L(b->s.t), d, v);
}

static void bench_rows(bench *b, const model *m)
{
    const long long t = L(b->s.t), d = L(m->d), ff = L(m->ff), kv = L(m->kv * m->hd);

    bench_one(b, &ds_kern_rmsnorm, "t%lld n%lld", t, d);
    bench_one(b, &ds_kern_add_rmsnorm, "t%lld n%lld", t, d);
    bench_one(b, &ds_kern_rmsnorm_back, "t%lld n%lld acc", t, d);
    bench_one(b, &ds_kern_rmsnorm_back, "t%lld n%lld acc dg", t, d);
    bench_one(b, &ds_kern_rope, "t%lld n%lld d%lld l%lld", t, L(m->heads * m->hd), L(m->hd),
              L(b->s.l));
    bench_one(b, &ds_kern_rope, "t%lld n%lld d%lld l%lld", t, kv, L(m->hd), L(b->s.l));
    bench_one(b, &ds_kern_swiglu, "t%lld n%lld", t, ff);
    bench_one(b, &ds_kern_swiglu_back, "t%lld n%lld", t, ff);
    bench_one(b, &ds_kern_add, "t%lld n%lld", t, d);
    bench_one(b, &ds_kern_dropout, "t%lld n%lld", t, d);
    bench_one(b, &ds_kern_bias, "t%lld n%lld", t, d);
    bench_one(b, &ds_kern_bias_back, "t%lld n%lld", t, d);
    bench_one(b, &ds_kern_bias_back, "t%lld n%lld", t, kv);
    bench_one(b, &ds_kern_convert, "t%lld n%lld", t, ff);
    bench_one(b, &ds_kern_convert, "t%lld n%lld to_f32", t, ff);
    bench_one(b, &ds_kern_convert, "t%lld n%lld from_f32", t, ff);
    bench_one(b, &ds_kern_copy_cols, "t%lld n%lld s%lld", t, d, d + 2 * kv);
    bench_one(b, &ds_kern_copy_cols, "t%lld n%lld s%lld acc", t, d, d + 2 * kv);
    bench_one(b, &ds_kern_row_dot, "t%lld n%lld", t, d);
    bench_one(b, &ds_kern_scale_cols, "t%lld n%lld", t, d);
    bench_one(b, &ds_kern_col_dot, "t%lld n%lld", t, d);
    bench_one(b, &ds_kern_row_norm, "t%lld n%lld", ff, d);
}

static void bench_attention(bench *b)
{
    /* Llama 3 8B, also as one long sequence; Qwen2 7B and 1.5B; DeepSeek V2 Lite; narrow heads. */
    static const struct {
        int h, g, q, v;
        bool one;
    } real[] = {{32, 8, 128, 128, false}, {32, 8, 128, 128, true},   {28, 4, 128, 128, false},
                {12, 2, 128, 128, false}, {16, 16, 192, 128, false}, {32, 32, 64, 64, false}};
    const long long t = L(b->s.t);

    for (size_t i = 0; i < sizeof real / sizeof *real; i++) {
        const long long l = real[i].one ? t : L(b->s.l);
        bench_one(b, &ds_kern_attention, "t%lld l%lld h%d g%d q%d v%d", t, l, real[i].h, real[i].g,
                  real[i].q, real[i].v);
        bench_one(b, &ds_kern_attention_back, "t%lld l%lld h%d g%d q%d v%d", t, l, real[i].h,
                  real[i].g, real[i].q, real[i].v);
    }
}

static void bench_experts(bench *b)
{
    const long long t = L(b->s.t), d = L(b->s.moe.d), ff = L(b->s.moe.ff), e = L(b->s.moe.e),
                    c = L(b->s.moe.c), r = t * c;

    bench_one(b, &ds_kern_matmul, "m%lld n%lld k%lld tb to_f32", t, e, d);
    bench_one(b, &ds_kern_matmul, "m%lld n%lld k%lld acc from_f32", t, d, e);
    bench_one(b, &ds_kern_topk, "t%lld e%lld c%lld", t, e, c);
    bench_one(b, &ds_kern_sort, "t%lld e%lld c%lld", t, e, c);
    bench_one(b, &ds_kern_topk_back, "t%lld e%lld c%lld", t, e, c);
    bench_one(b, &ds_kern_dispatch, "t%lld e%lld c%lld d%lld", t, e, c, d);
    bench_one(b, &ds_kern_combine, "t%lld e%lld c%lld d%lld", t, e, c, d);
    bench_one(b, &ds_kern_groups, "r%lld e%lld n%lld k%lld tb", r, e, ff, d);
    bench_one(b, &ds_kern_groups, "r%lld e%lld n%lld k%lld tb", r, e, d, ff);
    bench_one(b, &ds_kern_groups, "r%lld e%lld n%lld k%lld", r, e, d, ff);
    bench_one(b, &ds_kern_groups, "r%lld e%lld n%lld k%lld", r, e, ff, d);
    bench_one(b, &ds_kern_groups_ta, "r%lld e%lld m%lld n%lld ta acc to_f32", r, e, ff, d);
}

static void bench_optimizer(bench *b)
{
    const long long n = L(b->s.params), blocks = n / DS_BLOCK8;

    bench_one(b, &ds_kern_norm2, "n%lld", n);
    bench_one(b, &ds_kern_adamw, "n%lld", n);
    bench_one(b, &ds_kern_adamw_alone, "n%lld alone", n);
    bench_one(b, &ds_kern_adamw8, "n%lld b%lld", n, blocks);
    bench_one(b, &ds_kern_adamw8_alone, "n%lld b%lld alone", n, blocks);
}

static void bench_all(bench *b)
{
    for (int i = 0; i < 2; i++) {
        const model *m = &b->s.model[i];
        bench_rows(b, m);
        bench_products(b, m);
        bench_adapters(b, m);
    }
    bench_head(b, &b->s.model[0]);
    bench_attention(b);
    bench_experts(b);
    bench_optimizer(b);
}

/* ---- memory ---- */

/* Each f32 of these bytes is one too: its upper half is a bf16. */
static int random_numbers(bench *b, ds_err *err)
{
    const size_t bytes = b->room.bytes < RANDOM ? b->room.bytes : RANDOM;
    uint16_t *host = malloc(bytes);
    int rc = host ? 0 : ds_fail_nomem(err);

    for (size_t i = 0; host && i < bytes / 16; i++) {
        uint32_t word[4];
        ds_philox_words(word, 1, 0, i);
        for (size_t h = 0; h < 8; h++)
            host[i * 8 + h] =
                ds_bf16_from((float)(word[h / 2] >> (h % 2 * 16) & 0xffff) / 32768 - 1);
    }
    for (size_t at = 0; at < b->room.bytes && !rc; at += bytes)
        rc = b->k->upload(b->k, b->room.random + at, host, bytes, err);
    free(host);
    return rc;
}

static int open_room(bench *b, ds_err *err)
{
    void *p[2] = {NULL};
    int rc = 0;

    b->room.bytes = b->s.room;
    for (int i = 0; i < 2 && !rc; i++)
        rc = b->k->alloc(b->k, &p[i], b->room.bytes, err);
    b->room.random = p[0];
    b->room.work = p[1];
    return rc ? rc : random_numbers(b, err);
}

static void close_room(bench *b)
{
    b->k->free(b->k, b->room.random);
    b->k->free(b->k, b->room.work);
}

int main(int argc, char **argv)
{
    const bool small = argc > 1 && strcmp(argv[1], "--small") == 0;
    char **arg = argv + 1 + small;
    const char *device = *arg ? *arg++ : "cuda";
    bench b = {.s = small ? SMALL : REAL, .small = small, .only = arg};
    ds_err err = {0};
    int rc = ds_kernels_open(&b.k, device, 0, &err);

    if (!rc) {
        printf("{\"backend\":\"%s\",\"detail\":\"%s\"}\n", b.k->name, b.k->detail);
        rc = open_room(&b, &err);
        if (!rc)
            bench_all(&b);
        if (!rc && b.measured + b.failed == 0)
            rc = ds_fail(&err, DS_USAGE, "no kernel has such a name");
        close_room(&b);
        b.k->close(b.k);
    }
    if (rc)
        fprintf(stderr, "bench_kernels: %s\n", err.msg);
    return rc || b.failed || fflush(stdout) || ferror(stdout) ? 1 : 0;
}
