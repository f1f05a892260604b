/* loss.cu - cross entropy fused with its gradient. */
#include "cudak.h"

#define THREADS 512

/* A block a row: largest value and sum in one pass (Milakov & Gimelshein 2018), then the gradient.
 */
template <class E, class G, int N>
__global__ void xent_kernel(G *grad, float *loss, const E *logits, const int32_t *target,
                            const float *weight, int64_t v, const ds_kstep *at)
{
    __shared__ float room[32];
    const E *row = logits + (int64_t)blockIdx.x * v;
    G *out = grad ? grad + (int64_t)blockIdx.x * v : NULL;
    const float w = weight[blockIdx.x], scale = (float)at->scale;
    const int32_t want = target[blockIdx.x];
    float x[N], top = -INFINITY, sum = 0.0f;

    if (w == 0.0f) { /* of the whole block */
        for (int j = 0; j < N; j++)
            x[j] = 0.0f;
        for (int64_t i = (int64_t)threadIdx.x * N; out && i < v; i += THREADS * N)
            put<G, N>(out + i, x);
        if (threadIdx.x == 0)
            loss[blockIdx.x] = 0.0f;
        return;
    }
    for (int64_t i = (int64_t)threadIdx.x * N; i < v; i += THREADS * N) {
        get<E, N>(x, row + i);
        float most = x[0];
        for (int j = 1; j < N; j++)
            most = x[j] > most ? x[j] : most;
        if (most > top) {
            sum *= exp_exact(top - most); /* 0 the first time: below -87 */
            top = most;
        }
        for (int j = 0; j < N; j++)
            sum += exp_exact(x[j] - top);
    }
    const float all = block_max(top, room);
    sum = block_sum(sum * exp_exact(top - all), room);
    const float right = to_f32(row[want]) - all;
    __syncthreads(); /* every thread has the target's logit before it is written over */
    if (threadIdx.x == 0)
        loss[blockIdx.x] = w * (logf(sum) - right);
    const float f = w * scale / sum;
    for (int64_t i = (int64_t)threadIdx.x * N; out && i < v; i += THREADS * N) {
        get<E, N>(x, row + i);
        for (int j = 0; j < N; j++) {
            x[j] = exp_exact(x[j] - all) * f;
            if (i + j == want)
                x[j] -= w * scale;
        }
        put<G, N>(out + i, x);
    }
}

static int softmax_xent(ds_kernels *k, void *grad, enum ds_kfmt fg, float *loss, void *logits,
                        enum ds_kfmt f, const int32_t *target, const float *weight, int64_t t,
                        int64_t v, const ds_kstep *at, ds_err *err)
{
    const bool wide = v % (int64_t)(16 / ds_kfmt_size(f)) == 0 && fits16(logits) && fits16(grad);
    void *to, *w, *step;

    if (t <= 0)
        return 0;
    TRY(rt_stage(rt_of(k), &to, target, (size_t)t * sizeof *target, err));
    TRY(rt_stage(rt_of(k), &w, weight, (size_t)t * sizeof *weight, err));
    TRY(rt_stage(rt_of(k), &step, at, sizeof *at, err));
    const dim3 grid((unsigned)t), block(THREADS);
    const dev_stream st = rt_stream(rt_of(k));
    BY_FORMAT(fg, G,
              BY_WIDTH(f, wide,
                       LAUNCH((xent_kernel<E, G, N>), grid, block, 0, st, (G *)grad, loss,
                              (const E *)logits, (const int32_t *)to, (const float *)w, v,
                              (const ds_kstep *)step)));
    return rt_launched(rt_of(k), "softmax_xent", err);
}

void ds_cuda_loss(ds_kernels *k)
{
    k->softmax_xent = softmax_xent;
}
