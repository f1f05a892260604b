/* embed.cu - rows of a table by number, and their gradients: those of one number are summed in
 * ascending order by the threads of its group. */
#include "cudak.h"

#include <cstdlib>
#include <utility>

#define THREADS 128

template <class E, int N>
__global__ void embed_kernel(E *out, const E *table, const int32_t *ids, int64_t d)
{
    const int32_t id = ids[blockIdx.x];
    const E *from = table + (int64_t)id * d;
    E *to = out + (int64_t)blockIdx.x * d;
    float v[N];

    if (id < 0)
        return;
    for (int64_t i = (int64_t)threadIdx.x * N; i < d; i += (int64_t)blockDim.x * N) {
        get<E, N>(v, from + i);
        put<E, N>(to + i, v);
    }
}

static int embed(ds_kernels *k, void *out, const void *table, enum ds_kfmt f, const int32_t *ids,
                 int64_t t, int64_t d, ds_err *err)
{
    const bool wide = wide_rows(f, d) && fits16(out) && fits16(table);
    void *at;

    if (t <= 0)
        return 0;
    TRY(rt_stage(rt_of(k), &at, ids, (size_t)t * sizeof *ids, err));
    BY_WIDTH(f, wide,
             LAUNCH((embed_kernel<E, N>), dim3((unsigned)t), dim3(THREADS), 0, rt_stream(rt_of(k)),
                    (E *)out, (const E *)table, (const int32_t *)at, d));
    return rt_launched(rt_of(k), "embed", err);
}

/* Numbers by key, the upper half of each: a radix sort, so that time goes with n, whatever keys
 * there are. Two arrays of n take turns; returns the one that is sorted. No key is above `most`. */
#define DIGIT 11
static uint64_t *sort_by_key(uint64_t *x, uint64_t *other, int64_t n, uint32_t most)
{
    for (int shift = 32; shift < 64 && most >> (shift - 32); shift += DIGIT) {
        int64_t at[1 << DIGIT] = {0}, sum = 0;
        const auto digit = [&](int64_t i) { return x[i] >> shift & ((1 << DIGIT) - 1); };
        for (int64_t i = 0; i < n; i++)
            at[digit(i)]++;
        for (int64_t &a : at) {
            const int64_t c = a;
            a = sum;
            sum += c;
        }
        for (int64_t i = 0; i < n; i++)
            other[at[digit(i)]++] = x[i];
        std::swap(x, other);
    }
    return x;
}

static int make_groups(void *made, const rt_made *m, ds_err *err)
{
    const int32_t *rows = static_cast<const int32_t *>(m->from);
    const int64_t n = (int64_t)(m->from_bytes / sizeof *rows);
    int32_t *to = static_cast<int32_t *>(made), *first = to + n, *order = to + 2 * n + 1;
    int32_t most = 0;
    int64_t groups = 0, total = 0;

    uint64_t *room = static_cast<uint64_t *>(malloc((size_t)n * 2 * sizeof *room));
    if (!room)
        return ds_fail_nomem(err);
    for (int64_t i = 0; i < n; i++)
        if (rows[i] >= 0) {
            room[total++] = (uint64_t)rows[i] << 32 | (uint64_t)i;
            most = rows[i] > most ? rows[i] : most;
        }
    const uint64_t *sorted = sort_by_key(room, room + n, total, (uint32_t)most);
    for (int64_t i = 0; i < total; i++) {
        order[i] = (int32_t)sorted[i];
        if (i == 0 || sorted[i] >> 32 != sorted[i - 1] >> 32) {
            to[groups] = (int32_t)(sorted[i] >> 32);
            first[groups++] = (int32_t)i;
        }
    }
    for (int64_t g = groups; g < n; g++) {
        to[g] = -1;
        first[g] = (int32_t)total;
    }
    first[n] = (int32_t)total;
    for (int64_t i = total; i < n; i++)
        order[i] = -1;
    free(room);
    return 0;
}

/* n rows of the host grouped by where they go, those below 0 nowhere: group g holds
 * order[first[g] .. first[g+1]), ascending, all of which go to row to[g]; -1: it is no group. All
 * three lie on the device, with room for n groups. */
typedef struct row_groups {
    const int32_t *to, *first, *order;
} row_groups;
static int group_rows(dev_rt *rt, row_groups *g, const int32_t *rows, int64_t n, ds_err *err)
{
    const rt_made m = {
        make_groups, rows, (size_t)n * sizeof *rows, ((size_t)n * 3 + 1) * sizeof *rows, {0, 0}};
    void *dev;

    TRY(rt_stage_made(rt, &dev, &m, err));
    g->to = static_cast<const int32_t *>(dev);
    g->first = g->to + n;
    g->order = g->to + 2 * n + 1;
    return 0;
}

/* table[to[g]] += sum over the group, ascending, of x[i]. A thread has N columns: a group may be
 * long, for words that are in every sentence. */
template <class E, int N>
__global__ void embed_back_kernel(float *table, const E *x, const int32_t *to, const int32_t *first,
                                  const int32_t *order, int64_t d)
{
    const int32_t g = (int32_t)blockIdx.x;
    const int64_t i = ((int64_t)blockIdx.y * THREADS + threadIdx.x) * N;
    float s[N], v[N];

    if (to[g] < 0 || i >= d)
        return;
    float *row = table + (int64_t)to[g] * d + i;
    get<float, N>(s, row);
#pragma unroll 4
    for (int32_t r = first[g]; r < first[g + 1]; r++) {
        get<E, N>(v, x + (int64_t)order[r] * d + i);
        for (int j = 0; j < N; j++)
            s[j] += v[j];
    }
    put<float, N>(row, s);
}

static int embed_back(ds_kernels *k, float *dtable, const void *dout, enum ds_kfmt f,
                      const int32_t *ids, int64_t t, int64_t d, ds_err *err)
{
    const bool wide = wide_rows(f, d) && fits16(dout) && fits16(dtable);
    row_groups g;

    if (t <= 0)
        return 0;
    TRY(group_rows(rt_of(k), &g, ids, t, err));
    BY_WIDTH(f, wide,
             LAUNCH((embed_back_kernel<E, N>), dim3((unsigned)t, blocks_of(d, THREADS * N)),
                    dim3(THREADS), 0, rt_stream(rt_of(k)), dtable, (const E *)dout, g.to, g.first,
                    g.order, d));
    return rt_launched(rt_of(k), "embed_back", err);
}

void ds_cuda_embed(ds_kernels *k)
{
    k->embed = embed;
    k->embed_back = embed_back;
}
