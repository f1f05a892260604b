/* loss.cu - cross entropy fused with its gradient. */
#include "tile.h"

#include "cudak.h"

#define THREADS 1024

/* e^x of a difference from the largest: its error is that of x, some units of the last place. */
__device__ __forceinline__ float exp_of(float x)
{
    return power_of_2(x * 1.44269504088896341f);
}

/* A block's row, N elements at a time: the first nkept lie in shared memory, each where the thread
 * that works on it put it, and the rest is read from global memory. */
template <class E, int N> struct logits {
    const E *row;
    E *kept;
    uint32_t v, nkept;

    /* The element that a thread keeps at i, from a row; it comes by copy_wait. */
    __device__ __forceinline__ void keep(const E *from, uint32_t i) const
    {
        if constexpr (N * sizeof(E) == 16)
            copy16_once(kept + i, from + i);
        else
            kept[i] = from[i];
    }
    __device__ __forceinline__ void keep_all(const E *from) const
    {
        for (uint32_t i = threadIdx.x * N; from && i < nkept; i += THREADS * N)
            keep(from, i);
        copy_commit();
    }
    /* Calls use(i, x) for the elements i .. i + N - 1 that are this thread's, in one order: while
     * some of the rest come, as many that are kept. With a next row, its elements take their
     * places.
     */
    template <class F> __device__ __forceinline__ void each(const F &use, const E *next) const
    {
        constexpr int AT_ONCE = N > 4 ? 2 : 4; /* loads under way */
        const uint32_t rest = v - nkept, most = nkept > rest ? nkept : rest;
        for (uint32_t i0 = threadIdx.x * N; i0 < most; i0 += THREADS * N * AT_ONCE) {
            together<E, N> some[AT_ONCE];
            float x[N];
#pragma unroll
            for (int u = 0; u < AT_ONCE; u++) {
                const uint32_t i = i0 + u * THREADS * N;
                if (i < rest)
                    some[u] = load_together<E, N>(row + nkept + i);
            }
#pragma unroll
            for (int u = 0; u < AT_ONCE; u++) {
                const uint32_t i = i0 + u * THREADS * N;
                if (i >= nkept)
                    break;
                get<E, N>(x, kept + i);
                use(i, x);
                if (next)
                    keep(next, i);
            }
#pragma unroll
            for (int u = 0; u < AT_ONCE; u++) {
                const uint32_t i = i0 + u * THREADS * N;
                if (i >= rest)
                    break;
                apart(x, some[u]);
                use(nkept + i, x);
            }
        }
    }
};

/* What is asked for, on the device. */
template <class E, class G> struct asked {
    G *grad;
    float *loss;
    const E *rows;
    const int32_t *target;
    const float *weight;
    int64_t t, v;
    uint32_t nkept;
    const ds_kstep *at;
};

/* The first of a block's rows from r on that has a weight; those before it get zeros. */
template <class E, class G, int N>
__device__ __forceinline__ int64_t with_weight(const asked<E, G> &q, int64_t r)
{
    const float zeros[N] = {0.0f};

    for (; r < q.t && q.weight[r] == 0.0f; r += gridDim.x) {
        for (int64_t i = (int64_t)threadIdx.x * N; q.grad && i < q.v; i += THREADS * N)
            put_once<G, N>(q.grad + r * q.v + i, zeros);
        if (threadIdx.x == 0)
            q.loss[r] = 0.0f;
    }
    return r;
}

/* Row r, which z has, and of which nothing is asked of z any more once `next` is in its place. */
template <class E, class G, int N>
__device__ __forceinline__ void xent_row(const asked<E, G> &q, const logits<E, N> &z, int64_t r,
                                         const E *next, float *room)
{
    G *out = q.grad ? q.grad + r * q.v : NULL;
    const float w = q.weight[r], scale = (float)q.at->scale;
    const uint32_t want = (uint32_t)q.target[r];
    const float at_target = to_f32(z.row[want]); /* by all threads before one writes there */
    float top = -INFINITY, sum = 0.0f;

    z.each(
        [&](uint32_t, const float *x) {
            float most = x[0];
            for (int j = 1; j < N; j++)
                most = x[j] > most ? x[j] : most;
            if (most > top) {
                sum *= exp_of(top - most); /* 0 the first time */
                top = most;
            }
            for (int j = 0; j < N; j++)
                sum += exp_of(x[j] - top);
        },
        NULL);
    const float all = block_max(top, room);
    sum = block_sum(sum * exp_of(top - all), room);
    const float right = at_target - all;
    if (threadIdx.x == 0)
        q.loss[r] = w * (logf(sum) - right);
    if (!out)
        return z.keep_all(next);
    const float f = w * scale / sum;
    z.each(
        [&](uint32_t i, const float *x) {
            float y[N];
            for (int j = 0; j < N; j++)
                y[j] = exp_of(x[j] - all) * f;
            if (want - i < N)
                for (int j = 0; j < N; j++)
                    y[j] = want - i == (unsigned)j ? exp_of(right) * f - w * scale : y[j];
            put_once<G, N>(out + i, y);
        },
        next);
}

/* A row at a time: largest value and sum in one pass (Milakov & Gimelshein 2018), then the
 * gradient. In between the first nkept elements stay in shared memory, and the rest in the cache,
 * since so few blocks are under way; what is read or written for good makes room there first. The
 * next row's first elements come while the gradient is written.
 */
template <class E, class G, int N>
__global__ void __launch_bounds__(THREADS, 1) xent_kernel(const asked<E, G> q)
{
    DYNAMIC_SHARED(memory);
    __shared__ float room[32];
    logits<E, N> z = {NULL, reinterpret_cast<E *>(memory), (uint32_t)q.v, q.nkept};
    int64_t r = with_weight<E, G, N>(q, blockIdx.x);

    z.keep_all(r < q.t ? q.rows + r * q.v : NULL);
    while (r < q.t) {
        const int64_t next = with_weight<E, G, N>(q, r + gridDim.x);
        copy_wait<0>();
        z.row = q.rows + r * q.v;
        xent_row<E, G, N>(q, z, r, next < q.t ? q.rows + next * q.v : NULL, room);
        copy_commit();
        r = next;
    }
}

/* Elements of a row that a block's shared memory keeps, a multiple of 16 bytes: all, or as many as
 * there is room for. */
static uint32_t kept_of(const dev_rt *rt, int64_t v, enum ds_kfmt f)
{
    const size_t room = (rt_shared(rt) - DEV_FIXED_SHARED) / 16 * 16,
                 row = (size_t)v * ds_kfmt_size(f);

    return (uint32_t)((row < room ? row : room) / ds_kfmt_size(f));
}

static int softmax_xent(ds_kernels *k, void *grad, enum ds_kfmt fg, float *loss, void *logits,
                        enum ds_kfmt f, const int32_t *target, const float *weight, int64_t t,
                        int64_t v, const ds_kstep *at, ds_err *err)
{
    dev_rt *rt = rt_of(k);
    const bool wide = v % (int64_t)(16 / ds_kfmt_size(f)) == 0 && fits16(logits) && fits16(grad);
    void *to, *w, *step;

    if (t <= 0)
        return 0;
    TRY(rt_stage(rt, &to, target, (size_t)t * sizeof *target, err));
    TRY(rt_stage(rt, &w, weight, (size_t)t * sizeof *weight, err));
    TRY(rt_stage(rt, &step, at, sizeof *at, err));
    const uint32_t nkept = kept_of(rt, v, f);
    const int64_t blocks = rt_processors(rt); /* registers leave room for one on each */
    const dim3 grid((unsigned)(t < blocks ? t : blocks));
    BY_FORMAT(fg, G,
              BY_WIDTH(f, wide,
                       LAUNCH((xent_kernel<E, G, N>), grid, dim3(THREADS),
                              (size_t)nkept * sizeof(E), rt_stream(rt),
                              asked<E, G>{(G *)grad, loss, (const E *)logits, (const int32_t *)to,
                                          (const float *)w, t, v, nkept, (const ds_kstep *)step})));
    return rt_launched(rt, "softmax_xent", err);
}

void ds_cuda_loss(ds_kernels *k)
{
    k->softmax_xent = softmax_xent;
}
