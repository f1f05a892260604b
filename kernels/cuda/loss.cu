/* loss.cu - cross entropy fused with its gradient, and the gate of a mixture of experts. */
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

/* ---- experts: a warp a row ---- */

#define ROWS 4 /* warps of a block */

template <class E>
__global__ void topk_kernel(float *prob, int32_t *idx, float *w, const E *logits, int64_t t,
                            int32_t e, int32_t kk, float scale, bool normalise)
{
    const int64_t row = (int64_t)blockIdx.x * ROWS + threadIdx.x / WARP;
    const int32_t lane = (int32_t)(threadIdx.x % WARP);
    const bool here = row < t;
    float *p = prob + row * e;
    float top = -INFINITY, sum = 0.0f, total = 0.0f;

    for (int32_t i = lane; here && i < e; i += (int32_t)WARP) {
        const float x = to_f32(logits[row * e + i]);
        top = x > top ? x : top;
    }
    top = warp_max(top);
    for (int32_t i = lane; here && i < e; i += (int32_t)WARP) {
        const float x = exp_exact(to_f32(logits[row * e + i]) - top);
        p[i] = x;
        sum += x;
    }
    sum = 1.0f / warp_sum(sum);
    for (int32_t i = lane; here && i < e; i += (int32_t)WARP)
        p[i] *= sum;
    __syncwarp();
    for (int32_t s = 0; s < kk; s++) {
        float best = -1.0f;
        int32_t at = e;
        for (int32_t i = lane; here && i < e; i += (int32_t)WARP) {
            bool taken = false;
            for (int32_t q = 0; q < s; q++)
                taken |= idx[row * kk + q] == i;
            if (!taken && (at == e || p[i] > best)) {
                best = p[i];
                at = i;
            }
        }
        for (int m = 16; m > 0; m >>= 1) { /* ties: the lower index */
            const float b = __shfl_xor_sync(ALL_LANES, best, m);
            const int32_t a = __shfl_xor_sync(ALL_LANES, at, m);
            if (a < e && (at == e || b > best || (b == best && a < at))) {
                best = b;
                at = a;
            }
        }
        if (here && lane == 0) {
            idx[row * kk + s] = at;
            w[row * kk + s] = best;
        }
        total += best;
        __syncwarp();
    }
    for (int32_t s = lane; here && s < kk; s += (int32_t)WARP) {
        const float x = w[row * kk + s];
        w[row * kk + s] = (normalise ? x / total : x) * scale;
    }
}

static int topk(ds_kernels *k, float *prob, int32_t *idx, float *w, const void *logits,
                enum ds_kfmt f, int64_t t, int32_t e, int32_t kk, float scale, bool normalise,
                ds_err *err)
{
    const size_t bytes = ds_scratch_choices(t, kk);
    void *dev;

    if (kk < 1 || kk > e)
        return ds_fail(err, DS_FAIL, "%d experts of %d cannot be chosen", (int)kk, (int)e);
    if (t <= 0)
        return 0;
    TRY(rt_scratch(rt_of(k), 0, &dev, bytes, err));
    BY_WIDTH(f, false,
             LAUNCH((topk_kernel<E>), dim3(blocks_of(t, ROWS)), dim3(ROWS * WARP), 0,
                    rt_stream(rt_of(k)), prob, (int32_t *)dev, w, (const E *)logits, t, e, kk,
                    scale, normalise));
    TRY(rt_launched(rt_of(k), "topk", err));
    return rt_download(rt_of(k), idx, dev, bytes, err);
}

template <class E>
__global__ void topk_back_kernel(E *dlogits, const float *prob, const int32_t *idx, const float *dw,
                                 int64_t t, int32_t e, int32_t kk, float scale, bool normalise)
{
    const int64_t row = (int64_t)blockIdx.x * ROWS + threadIdx.x / WARP;

    if (row >= t)
        return;
    const float *p = prob + row * e, *d = dw + row * kk;
    const int32_t *chosen = idx + row * kk;
    float total = 0.0f, mean = 0.0f, dot = 0.0f;
    for (int32_t s = 0; s < kk; s++) {
        total += p[chosen[s]];
        mean += d[s] * p[chosen[s]];
    }
    for (int32_t s = 0; s < kk; s++)
        dot += (normalise ? scale * (d[s] - mean / total) / total : scale * d[s]) * p[chosen[s]];
    for (int32_t i = (int32_t)(threadIdx.x % WARP); i < e; i += (int32_t)WARP) {
        float dp = 0.0f;
        for (int32_t s = 0; s < kk; s++)
            if (chosen[s] == i)
                dp = normalise ? scale * (d[s] - mean / total) / total : scale * d[s];
        dlogits[row * e + i] = from_f32<E>(p[i] * (dp - dot));
    }
}

static int topk_back(ds_kernels *k, void *dlogits, enum ds_kfmt f, const float *prob,
                     const int32_t *idx, const float *dw, int64_t t, int32_t e, int32_t kk,
                     float scale, bool normalise, ds_err *err)
{
    void *dev;

    if (t <= 0)
        return 0;
    TRY(rt_stage(rt_of(k), &dev, idx, (size_t)(t * kk) * sizeof *idx, err));
    BY_WIDTH(f, false,
             LAUNCH((topk_back_kernel<E>), dim3(blocks_of(t, ROWS)), dim3(ROWS * WARP), 0,
                    rt_stream(rt_of(k)), (E *)dlogits, prob, (const int32_t *)dev, dw, t, e, kk,
                    scale, normalise));
    return rt_launched(rt_of(k), "topk_back", err);
}

void ds_cuda_loss(ds_kernels *k)
{
    k->softmax_xent = softmax_xent;
    k->topk = topk;
    k->topk_back = topk_back;
}
