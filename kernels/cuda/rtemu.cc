/* rtemu.cc - rt.h over the emulated device. */
#include "rt.h"

#include <cstdlib>
#include <new>

struct dev_rt {
    void *ring, *scratch[RT_SLOTS];
    size_t used, held[RT_SLOTS];
};

int rt_open(dev_rt **rt, int index, ds_err *err)
{
    if (index != 0)
        return ds_fail(err, DS_FAIL, "there is one emulated device, number 0");
    dev_rt *r = new (std::nothrow) dev_rt();
    if (!r)
        return ds_fail_nomem(err);
    *rt = r;
    return 0;
}

void rt_close(dev_rt *rt)
{
    emu::device_free(rt->ring);
    for (void *p : rt->scratch)
        emu::device_free(p);
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

int rt_alloc(dev_rt *, void **p, size_t bytes, ds_err *err)
{
    *p = emu::device_alloc(bytes);
    if (!*p)
        return ds_fail(err, DS_NOMEM, "emulated device: %zu bytes are not there", bytes);
    return 0;
}
void rt_free(dev_rt *, void *p)
{
    emu::device_free(p);
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

int rt_stage(dev_rt *rt, void **dev, const void *host, size_t bytes, ds_err *err)
{
    const size_t need = (bytes + 255) / 256 * 256;

    if (need > RT_RING)
        return ds_fail(err, DS_FAIL, "%zu bytes of indices in one call", bytes);
    if (!rt->ring && !(rt->ring = emu::device_alloc(RT_RING)))
        return ds_fail_nomem(err);
    if (rt->used + need > RT_RING)
        rt->used = 0;
    *dev = static_cast<char *>(rt->ring) + rt->used;
    rt->used += need;
    return rt_upload(rt, *dev, host, bytes, err);
}

int rt_scratch(dev_rt *rt, int slot, void **p, size_t bytes, ds_err *err)
{
    if (rt->held[slot] < bytes) {
        emu::device_free(rt->scratch[slot]);
        rt->held[slot] = 0;
        rt->scratch[slot] = emu::device_alloc(bytes);
        if (!rt->scratch[slot])
            return ds_fail_nomem(err);
        rt->held[slot] = bytes;
    }
    emu::device_fill(rt->scratch[slot], 0xff, rt->held[slot]);
    *p = rt->scratch[slot];
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
