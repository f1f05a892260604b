/* adamw.cu - AdamW with moments in f32. */
#include "adam.h"

#define THREADS 256

template <class H, int N>
__global__ void adamw_kernel(float *w, H *half, float *m, float *v, const float *g, int64_t n,
                             const ds_kadamw *p)
{
    const int64_t i = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * N;
    float x[N], mi[N], vi[N], gi[N];

    if (i >= n)
        return;
    get<float, N>(mi, m + i);
    get<float, N>(vi, v + i);
    get<float, N>(gi, g + i);
    weights_get<H, N>(x, w, half, i);
    const adam a = adam_of(p);
    for (int j = 0; j < N; j++)
        x[j] = adam_step(x[j], &mi[j], &vi[j], gi[j], a);
    put<float, N>(m + i, mi);
    put<float, N>(v + i, vi);
    weights_put<H, N>(w, half, i, x, p);
}

template <class H>
static void start(dev_stream st, void *w, enum ds_kfmt f, float *master, float *m, float *v,
                  const float *g, int64_t n, const ds_kadamw *p)
{
    if (n % 4 == 0 && fits16(w) && fits16(master) && fits16(m) && fits16(v) && fits16(g))
        LAUNCH((adamw_kernel<H, 4>), dim3(blocks_of(n, THREADS * 4)), dim3(THREADS), 0, st,
               whole(w, f, master), halves<H>(w, f), m, v, g, n, p);
    else
        LAUNCH((adamw_kernel<H, 1>), dim3(blocks_of(n, THREADS)), dim3(THREADS), 0, st,
               whole(w, f, master), halves<H>(w, f), m, v, g, n, p);
}

static int adamw(ds_kernels *k, void *w, enum ds_kfmt f, float *master, float *m, float *v,
                 const float *g, int64_t n, const ds_kadamw *p, ds_err *err)
{
    const dev_stream st = rt_stream(rt_of(k));
    const ds_kadamw *dev;

    TRY(check(f, master, p, err));
    if (n <= 0)
        return 0;
    TRY(stage_numbers(k, &dev, p, err));
    if (f == DS_KF16)
        start<f16>(st, w, f, master, m, v, g, n, dev);
    else
        start<bf16>(st, w, f, master, m, v, g, n, dev);
    return rt_launched(rt_of(k), "adamw", err);
}

void ds_cuda_adamw(ds_kernels *k)
{
    k->adamw = adamw;
}
