/* loss.cu - cross entropy fused with its gradient. */
#include "cudak.h"

#define THREADS 1024

/* e^x of a difference from the largest: its error is that of x, some units of the last place. */
__device__ __forceinline__ float exp_of(float x)
{
    return power_of_2(x * 1.44269504088896341f);
}

/* A row, N elements at a time; what a thread kept of it in shared memory it finds there again. */
template <class E, int N> struct logits {
    const E *row;
    E *kept;
    int64_t v, nkept;

    /* Calls use(i, x) for the elements i .. i + N - 1 that are this thread's, ascending. */
    template <bool FIRST, class F> __device__ __forceinline__ void each(F use) const
    {
        constexpr int AT_ONCE = N > 4 ? 2 : 4; /* loads under way */
        for (int64_t i0 = (int64_t)threadIdx.x * N; i0 < v; i0 += THREADS * N * AT_ONCE) {
            together<E, N> some[AT_ONCE];
#pragma unroll
            for (int u = 0; u < AT_ONCE; u++) {
                const int64_t i = i0 + (int64_t)u * THREADS * N;
                if (i < v)
                    some[u] = *reinterpret_cast<const together<E, N> *>(
                        !FIRST && i < nkept ? kept + i : row + i);
            }
#pragma unroll
            for (int u = 0; u < AT_ONCE; u++) {
                const int64_t i = i0 + (int64_t)u * THREADS * N;
                float x[N];
                if (i >= v)
                    break;
                if (FIRST && i < nkept)
                    *reinterpret_cast<together<E, N> *>(kept + i) = some[u];
                for (int j = 0; j < N; j++)
                    x[j] = to_f32(some[u].at[j]);
                use(i, x);
            }
        }
    }
};

/* Of a row without weight, by the whole block. */
template <class G, int N> __device__ __forceinline__ void put_zeros(G *out, int64_t v)
{
    const float zeros[N] = {0.0f};

    for (int64_t i = (int64_t)threadIdx.x * N; out && i < v; i += THREADS * N)
        put<G, N>(out + i, zeros);
}

/* A block a row: largest value and sum in one pass (Milakov & Gimelshein 2018), then the gradient.
 * In between the first nkept elements stay in shared memory, and most of the rest in the cache,
 * since so few blocks are under way.
 */
template <class E, class G, int N>
__global__ void __launch_bounds__(THREADS)
    xent_kernel(G *grad, float *loss, const E *all_rows, const int32_t *target, const float *weight,
                int64_t v, int64_t nkept, const ds_kstep *at)
{
    DYNAMIC_SHARED(memory);
    __shared__ float room[32];
    const logits<E, N> z = {all_rows + (int64_t)blockIdx.x * v, reinterpret_cast<E *>(memory), v,
                            nkept};
    G *out = grad ? grad + (int64_t)blockIdx.x * v : NULL;
    const float w = weight[blockIdx.x], scale = (float)at->scale;
    const int32_t want = target[blockIdx.x];
    float top = -INFINITY, sum = 0.0f;

    if (w == 0.0f) { /* of the whole block */
        put_zeros<G, N>(out, v);
        if (threadIdx.x == 0)
            loss[blockIdx.x] = 0.0f;
        return;
    }
    z.template each<true>([&](int64_t, const float *x) {
        float most = x[0];
        for (int j = 1; j < N; j++)
            most = x[j] > most ? x[j] : most;
        if (most > top) {
            sum *= exp_of(top - most); /* 0 the first time */
            top = most;
        }
        for (int j = 0; j < N; j++)
            sum += exp_of(x[j] - top);
    });
    const float all = block_max(top, room);
    sum = block_sum(sum * exp_of(top - all), room);
    const float right = to_f32(z.row[want]) - all;
    __syncthreads(); /* every thread has the target's logit before it is written over */
    if (threadIdx.x == 0)
        loss[blockIdx.x] = w * (logf(sum) - right);
    if (!out)
        return;
    const float f = w * scale / sum;
    z.template each<false>([&](int64_t i, const float *x) {
        float y[N];
        for (int j = 0; j < N; j++)
            y[j] = exp_of(x[j] - all) * f;
        put<G, N>(out + i, y);
    });
    if (want / N % THREADS == (int32_t)threadIdx.x) /* who wrote it */
        out[want] = from_f32<G>(exp_of(right) * f - w * scale);
}

/* Elements of a row that a block's shared memory keeps, a multiple of 16 bytes: all, or as many as
 * there is room for. */
static int64_t kept_of(const dev_rt *rt, int64_t v, enum ds_kfmt f)
{
    const size_t room = (rt_shared(rt) - DEV_FIXED_SHARED) / 16 * 16,
                 row = (size_t)v * ds_kfmt_size(f);

    return (int64_t)((row < room ? row : room) / ds_kfmt_size(f));
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
    const int64_t nkept = kept_of(rt_of(k), v, f);
    BY_FORMAT(fg, G,
              BY_WIDTH(f, wide,
                       LAUNCH((xent_kernel<E, G, N>), grid, block, (size_t)nkept * sizeof(E), st,
                              (G *)grad, loss, (const E *)logits, (const int32_t *)to,
                              (const float *)w, v, nkept, (const ds_kstep *)step)));
    return rt_launched(rt_of(k), "softmax_xent", err);
}

void ds_cuda_loss(ds_kernels *k)
{
    k->softmax_xent = softmax_xent;
}
