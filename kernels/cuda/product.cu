/* product.cu - products that cuBLASLt has no algorithm for (odd widths at odd addresses, on some
 * devices): a thread an element, in ascending order of what is summed over. 2MNK FLOPs, and slow.
 */
#include "cudak.h"

#define THREADS 256

template <class E, class C>
__global__ void product_kernel(C *c, const E *a, const E *b, bool ta, bool tb, bool accumulate,
                               int64_t m, int64_t n, int64_t kk, float alpha)
{
    const int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;

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

template <class E, class C> static void product(dev_stream st, const rt_product *p)
{
    LAUNCH((product_kernel<E, C>), dim3(blocks_of(p->m * p->n, THREADS)), dim3(THREADS), 0, st,
           (C *)p->c, (const E *)p->a, (const E *)p->b, p->ta, p->tb, p->accumulate, p->m, p->n,
           p->k, p->alpha);
}

int ds_cuda_product(dev_rt *rt, const rt_product *p, ds_err *err)
{
    if (p->fc == DS_KF32)
        BY_FORMAT(p->fa, E, product<E, float>(rt_stream(rt), p));
    else
        BY_FORMAT(p->fa, E, product<E, E>(rt_stream(rt), p));
    return rt_launched(rt, "a product", err);
}
