/* devroom.h - what functions of a device's backend take for themselves beside their operands: bytes
 * in each place of DS_KSLOTS. The backend asks for them, and the one of paper counts them.
 *
 * Place 0 is of sums whose parts are added later and of what is counted and laid out, 1 and 2 of
 * operands of a product in f32, 3 of its result.
 */
#ifndef DS_DEVROOM_H
#define DS_DEVROOM_H

#include "kernels.h"

/* Of every backend on a device, beside what functions take: for products, for what is on its way
 * from the host, and for what of it captured work reads. */
#define DS_DEVICE_WORKSPACE ((size_t)64 << 20)
#define DS_DEVICE_RING ((size_t)32 << 20)
#define DS_DEVICE_NUMBERS ((size_t)4 << 20)
#define DS_DEVICE_OWN (DS_DEVICE_WORKSPACE + DS_DEVICE_RING + DS_DEVICE_NUMBERS)
/* What a buffer takes up there. */
static inline size_t ds_device_room(size_t bytes)
{
    return bytes == 0 ? 256 : (bytes + 255) / 256 * 256;
}

/* Sums over t rows: how many rows are summed before anything else is added. There are as many parts
 * as keep a large device busy and no more, of a row for each warp of a block at least. */
#define DS_SUM_PARTS 256
#define DS_SUM_LEAST 8
static inline int64_t ds_sum_rows(int64_t t)
{
    const int64_t rows = (t + DS_SUM_PARTS - 1) / DS_SUM_PARTS;

    return rows < DS_SUM_LEAST ? DS_SUM_LEAST : rows;
}
static inline int64_t ds_sum_parts(int64_t t)
{
    return (t + ds_sum_rows(t) - 1) / ds_sum_rows(t);
}
/* Of n columns, the sums of the parts. */
static inline size_t ds_scratch_sums(int64_t t, int64_t n)
{
    return t > 0 ? (size_t)(ds_sum_parts(t) * n) * sizeof(float) : 0;
}

/* Of n columns, the sums of parts of each expert's rows: a part that is not full for each. */
#define DS_CHOSEN_ROWS 64
static inline int64_t ds_chosen_parts(const ds_kchoices *c)
{
    return c->t * c->kk / DS_CHOSEN_ROWS + c->e;
}
static inline size_t ds_scratch_chosen(const ds_kchoices *c, int64_t n)
{
    return (size_t)(ds_chosen_parts(c) * n) * sizeof(float);
}

/* Of attention_back: a number for each token and head. */
static inline size_t ds_scratch_delta(int64_t t, int32_t heads)
{
    return (size_t)(t * heads) * sizeof(float);
}

/* Of sort_choices: how many choices each expert has of each block. */
#define DS_SORT_BLOCK 256
static inline size_t ds_scratch_sort(const ds_kchoices *c)
{
    return (size_t)((c->t * c->kk + DS_SORT_BLOCK - 1) / DS_SORT_BLOCK * c->e) * sizeof(int32_t);
}

/* Of matmul_groups: each group as it is over its expert's rows. */
#define DS_DEVICE_GROUP 88
static inline size_t ds_scratch_groups(int64_t n)
{
    return (size_t)n * DS_DEVICE_GROUP;
}

/* Of norm2: the sum of each block. */
#define DS_NORM_BLOCK 4096
static inline int64_t ds_norm_blocks(const int64_t *n, int64_t count)
{
    int64_t blocks = 0;

    for (int64_t i = 0; i < count; i++)
        blocks += n[i] > 0 ? (n[i] + DS_NORM_BLOCK - 1) / DS_NORM_BLOCK : 0;
    return blocks;
}

/* Thin products: C[m,n] = A[k,m]' B[k,n] with a long sum and a narrow side, as the gradients of
 * adapters are. Blocks of DS_THIN_COLS columns of the wide side sum chunks of rows. */
#define DS_THIN_NARROW 64
#define DS_THIN_COLS 128
#define DS_THIN_STEP 32 /* rows at a time */
static inline bool ds_thin_product(enum ds_kfmt fc, enum ds_kfmt fa, enum ds_kfmt fb, bool ta,
                                   bool tb, int64_t m, int64_t n, int64_t k)
{
    const int64_t narrow = m < n ? m : n, wide = m < n ? n : m;

    return ta && !tb && fa == fb && fa != DS_KF32 && fc == DS_KF32 && m % 8 == 0 && n % 8 == 0 &&
           narrow <= DS_THIN_NARROW && wide >= DS_THIN_NARROW && k >= 1024;
}

/* Rows of a chunk: as many as leave about 512 blocks, from 256 to 1024 of them. */
static inline int64_t ds_thin_rows(int64_t m, int64_t n, int64_t k)
{
    const int64_t tiles = ((m < n ? n : m) + DS_THIN_COLS - 1) / DS_THIN_COLS;
    const int64_t rows = (k * tiles / 512 + DS_THIN_STEP - 1) / DS_THIN_STEP * DS_THIN_STEP;

    return rows < 256 ? 256 : rows > 1024 ? 1024 : rows;
}
static inline int64_t ds_thin_chunks(int64_t m, int64_t n, int64_t k)
{
    const int64_t rows = ds_thin_rows(m, n, k);

    return (k + rows - 1) / rows;
}

/* Of C[m,n] = op(A)[m,k] op(B)[k,n]: operands of two formats become f32, and so does a result that
 * is not in theirs before it is rounded; a thin one has the sums of its chunks. */
static inline void ds_scratch_product(size_t slot[DS_KSLOTS], enum ds_kfmt fc, enum ds_kfmt fa,
                                      enum ds_kfmt fb, bool ta, bool tb, int64_t m, int64_t n,
                                      int64_t k)
{
    const bool mixed = fa != fb, thin = ds_thin_product(fc, fa, fb, ta, tb, m, n, k);

    slot[0] = thin ? (size_t)(ds_thin_chunks(m, n, k) * m * n) * sizeof(float) : 0;
    slot[1] = mixed && fa != DS_KF32 ? (size_t)(m * k) * sizeof(float) : 0;
    slot[2] = mixed && fb != DS_KF32 ? (size_t)(k * n) * sizeof(float) : 0;
    slot[3] = (mixed || fa != fc) && fc != DS_KF32 ? (size_t)(m * n) * sizeof(float) : 0;
}

#endif
