/* cpu.c - the CPU backend: its table, memory, and the choice of instruction set. */
#include "cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "pool.h"

#if defined(__x86_64__)
/* By the instruction itself: older clangs know no such name in __builtin_cpu_supports. */
static bool has_f16c(void)
{
    unsigned a, b, c, d;

    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
#endif

const ds_vec *ds_vec_pick(const char *name)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
    const bool wide = fma && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512dq");
    if (wide && __builtin_cpu_supports("avx512bf16") && (!name || !strcmp(name, "avx512bf16")))
        return &ds_vec_avx512bf16;
    if (wide && (!name || !strcmp(name, "avx512")))
        return &ds_vec_avx512;
    if (fma && (!name || !strcmp(name, "avx2")))
        return &ds_vec_avx2;
#endif
    return !name || !strcmp(name, "base") ? &ds_vec_base : NULL;
}

#define LARGE_PAGE ((uintptr_t)2 << 20)

/* Matrices are read along their columns too, each element on a page of its own: with large pages
 * the processor still knows where they are. Only what is whole within them, so that no more memory
 * is taken; a system without them says no, and nothing is lost. */
static void in_large_pages(void *p, size_t bytes)
{
#if defined(MADV_HUGEPAGE)
    const uintptr_t from = ((uintptr_t)p + LARGE_PAGE - 1) & ~(LARGE_PAGE - 1),
                    to = ((uintptr_t)p + bytes) & ~(LARGE_PAGE - 1);

    if (from < to)
        (void)madvise((char *)p + (from - (uintptr_t)p), to - from, MADV_HUGEPAGE);
#else
    (void)p;
    (void)bytes;
#endif
}

float *ds_cpu_scratch(size_t floats)
{
    size_t bytes;
    void *p;

    if (__builtin_mul_overflow(floats, sizeof(float), &bytes) || bytes > SIZE_MAX - 64)
        return NULL;
    p = aligned_alloc(64, (bytes + 63) / 64 * 64 + (bytes == 0 ? 64 : 0));
    if (p)
        in_large_pages(p, bytes);
    return p;
}

/* Zeroed by the system where it can be, so that large buffers cost nothing until they are used. The
 * start of the allocation lies in the eight bytes before what is handed out. */
static int cpu_alloc(ds_kernels *k, void **p, size_t bytes, ds_err *err)
{
    char *raw = bytes <= SIZE_MAX - 128 ? calloc(1, bytes + 128) : NULL;

    (void)k;
    if (!raw)
        return ds_fail_nomem(err);
    char *at = raw + 64 + (64 - (uintptr_t)raw % 64) % 64;
    memcpy(at - sizeof raw, &raw, sizeof raw);
    in_large_pages(at, bytes);
    *p = at;
    return 0;
}

static void cpu_free(ds_kernels *k, void *p)
{
    char *raw;

    (void)k;
    if (!p)
        return;
    memcpy(&raw, (char *)p - sizeof raw, sizeof raw);
    free(raw);
}

static int cpu_copy(ds_kernels *k, void *dst, const void *src, size_t bytes, ds_err *err)
{
    (void)k;
    (void)err;
    if (bytes)
        memcpy(dst, src, bytes);
    return 0;
}

typedef struct zerojob {
    char *p;
    size_t bytes;
} zerojob;

#define ZERO_PART ((size_t)1 << 20)

static void zero_job(void *arg, int64_t i)
{
    const zerojob *j = arg;
    const size_t at = (size_t)i * ZERO_PART;

    memset(j->p + at, 0, j->bytes - at < ZERO_PART ? j->bytes - at : ZERO_PART);
}

static int cpu_zero(ds_kernels *k, void *p, size_t bytes, ds_err *err)
{
    zerojob j = {p, bytes};

    (void)err;
    ds_workers_run(ds_cpu_of(k)->workers, (int64_t)((bytes + ZERO_PART - 1) / ZERO_PART), zero_job,
                   &j);
    return 0;
}

static int cpu_sync(ds_kernels *k, ds_err *err)
{
    (void)k;
    (void)err;
    return 0;
}

static void cpu_memory(ds_kernels *k, ds_kmem *m)
{
    (void)k;
    *m = (ds_kmem){.total = 0};
}

static int cpu_reserve(ds_kernels *k, size_t bytes, const size_t scratch[DS_KSLOTS], ds_err *err)
{
    (void)k;
    (void)bytes;
    (void)scratch;
    (void)err;
    return 0;
}

static void cpu_hold(ds_kernels *k, const void *x)
{
    ds_held_take(&ds_cpu_of(k)->held, x);
}

static void cpu_release(ds_kernels *k, const void *x)
{
    ds_held_drop(&ds_cpu_of(k)->held, x);
}

static void cpu_close(ds_kernels *k)
{
    if (!k)
        return;
    ds_cpu *c = k->ctx;
    if (c) {
        ds_workers_free(c->workers);
        free(c->pack_a);
        ds_held_fini(&c->held);
        ds_scratch_fini(&c->scratch);
        free(c);
    }
    free(k);
}

int ds_kernels_cpu(ds_kernels **out, int threads, const char *isa, ds_err *err)
{
    ds_kernels *k = calloc(1, sizeof *k);
    ds_cpu *c = calloc(1, sizeof *c);
    int rc;

    if (k)
        k->ctx = c;
    if (!k || !c) {
        rc = ds_fail_nomem(err);
        free(c);
        free(k);
        return rc;
    }
    c->vec = ds_vec_pick(isa);
    if (!c->vec) {
        rc = ds_fail(err, DS_FAIL, "this processor has no '%s' instructions", isa);
        goto out;
    }
    rc = ds_workers_new(&c->workers, threads > 0 ? threads : ds_cpu_count(), err);
    if (rc)
        goto out;
    snprintf(c->detail, sizeof c->detail, "%s, %d thread(s)", c->vec->name,
             ds_workers_count(c->workers));
    k->name = "cpu";
    k->detail = c->detail;
    k->logits = DS_CPU_LOGITS;
    k->alloc = cpu_alloc;
    k->free = cpu_free;
    k->upload = cpu_copy;
    k->download = cpu_copy;
    k->zero = cpu_zero;
    k->sync = cpu_sync;
    k->memory = cpu_memory;
    k->reserve = cpu_reserve;
    k->hold = cpu_hold;
    k->release = cpu_release;
    k->close = cpu_close;
    k->matmul = ds_cpu_matmul;
    k->matmul2 = ds_cpu_matmul2;
    k->matmul_groups = ds_cpu_matmul_groups;
    k->linear = ds_cpu_linear;
    k->linear_back = ds_cpu_linear_back;
    ds_cpu_rows(k);
    ds_cpu_elements(k);
    ds_cpu_attention(k);
    ds_cpu_loss(k);
    ds_cpu_choices(k);
    ds_cpu_factors(k);
    ds_cpu_optim(k);
    ds_cpu_image(k);
    *out = k;
    return 0;
out:
    cpu_close(k);
    return rc;
}
