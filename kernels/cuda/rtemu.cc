/* rtemu.cc - rt.h over the emulated device. */
#include "rt.h"

#include <cstdlib>
#include <new>

struct dev_rt {
    void *workspace; /* asked for as on a device, and not used */
    rt_mem mem;
    rt_peers *peers;
};

int rt_open(dev_rt **rt, int index, ds_err *err)
{
    if (index >= 16) /* each process has one, by a number of its own */
        return ds_fail(err, DS_FAIL, "emulated device %d: there are 16", index);
    dev_rt *r = new (std::nothrow) dev_rt();
    if (!r)
        return ds_fail_nomem(err);
    const int rc = rt_mem_open(r, &r->workspace, err);
    if (rc)
        rt_close(r);
    else
        *rt = r;
    return rc;
}

void rt_close(dev_rt *rt)
{
    rt_peers_leave(rt);
    rt_mem_close(rt);
    delete rt;
}

const char *rt_name(const dev_rt *)
{
    return "emulated";
}
int rt_processors(const dev_rt *)
{
    return 4;
}
dev_stream rt_stream(const dev_rt *)
{
    return 0;
}

rt_mem *rt_mem_of(dev_rt *rt)
{
    return &rt->mem;
}
rt_peers **rt_peers_of(dev_rt *rt)
{
    return &rt->peers;
}
/* DS_EMU_MEMORY: how much there is, for tests. */
void rt_system_memory(dev_rt *rt, int64_t *free, int64_t *total)
{
    const char *v = getenv("DS_EMU_MEMORY");

    *total = v ? strtoll(v, NULL, 10) : (int64_t)3 << 30;
    *free = *total - rt->mem.about.held;
}
int rt_system_alloc(dev_rt *rt, void **p, size_t bytes, ds_err *err)
{
    int64_t free, total;

    rt_system_memory(rt, &free, &total);
    *p = (int64_t)bytes <= free ? emu::device_alloc(bytes) : NULL;
    if (!*p)
        return ds_fail(err, DS_NOMEM, "emulated device: %zu bytes are not there", bytes);
    return 0;
}
void rt_system_free(dev_rt *, void *p)
{
    emu::device_free(p);
}
int rt_host_alloc(dev_rt *, void **p, size_t bytes, ds_err *err)
{
    *p = malloc(bytes);
    return *p ? 0 : ds_fail_nomem(err);
}
void rt_host_free(dev_rt *, void *p)
{
    free(p);
}
int rt_send(dev_rt *rt, void *dst, const void *host, size_t bytes, ds_err *err)
{
    return rt_upload(rt, dst, host, bytes, err);
}
void rt_spoil(dev_rt *, void *p, size_t bytes)
{
    if (bytes)
        emu::device_fill(p, 0xff, bytes);
}
int rt_zero(dev_rt *, void *p, size_t bytes, ds_err *)
{
    if (bytes)
        emu::device_fill(p, 0, bytes);
    return 0;
}
int rt_upload(dev_rt *, void *dst, const void *host, size_t bytes, ds_err *)
{
    if (bytes)
        emu::device_copy(dst, host, bytes);
    return 0;
}
int rt_download(dev_rt *, void *host, const void *src, size_t bytes, ds_err *)
{
    if (bytes)
        emu::device_copy(host, src, bytes);
    return 0;
}
int rt_sync(dev_rt *, ds_err *)
{
    return 0;
}
int rt_launched(dev_rt *, const char *, ds_err *)
{
    return 0;
}

/* One thread an element, in ascending order of k: what cuBLASLt does, without its speed. */
template <class A, class B, class C>
static void product(C *c, const A *a, const B *b, bool ta, bool tb, bool accumulate, int64_t m,
                    int64_t n, int64_t kk, float alpha)
{
    const int64_t at = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;

    if (at >= m * n)
        return;
    const int64_t i = at / n, j = at % n;
    float sum = 0.0f;
    for (int64_t k = 0; k < kk; k++)
        sum = fmaf(to_f32(ta ? a[k * m + i] : a[i * kk + k]),
                   to_f32(tb ? b[j * kk + k] : b[k * n + j]), sum);
    sum *= alpha;
    c[at] = from_f32<C>(accumulate ? to_f32(c[at]) + sum : sum);
}

template <class A, class B, class C> static void run(const rt_product *p)
{
    C *c = static_cast<C *>(p->c);
    const A *a = static_cast<const A *>(p->a);
    const B *b = static_cast<const B *>(p->b);
    const int64_t m = p->m, n = p->n, k = p->k;
    const bool ta = p->ta, tb = p->tb, accumulate = p->accumulate;
    const float alpha = p->alpha;

    LAUNCH((product<A, B, C>), dim3((unsigned)((m * n + 127) / 128)), dim3(128), 0, 0, c, a, b, ta,
           tb, accumulate, m, n, k, alpha);
}

int rt_matmul(dev_rt *, const rt_product *p, ds_err *)
{
    static void (*const table[8])(const rt_product *) = {
        run<float, float, float>, run<float, float, bf16>, run<float, bf16, float>,
        run<float, bf16, bf16>,   run<bf16, float, float>, run<bf16, float, bf16>,
        run<bf16, bf16, float>,   run<bf16, bf16, bf16>};

    if (p->m > 0 && p->n > 0)
        table[(p->fa == DS_KBF16) * 4 + (p->fb == DS_KBF16) * 2 + (p->fc == DS_KBF16)](p);
    return 0;
}
