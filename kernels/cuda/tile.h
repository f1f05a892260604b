/* tile.h - products of tiles by a warp: mma.m16n8k16 of bf16 or f16 with f32 sums, ldmatrix, and
 * copies from global to shared memory that do not wait. On the host, the same by exchange between
 * the lanes, from the layouts of fragments as the PTX ISA gives them (sections "Matrix fragments
 * for mma.m16n8k16" and "ldmatrix"): lane l has row l/4 and columns 2(l%4), +1 of each 8 x 8 part.
 */
#ifndef DS_TILE_H
#define DS_TILE_H

#include "dev.h"

#ifdef DS_EMU

/* Of the numbers that lanes exchanged: a lane's, of one of its registers' two. */
static inline float mma_number(const unsigned char *all, unsigned lane, unsigned reg, unsigned half)
{
    return reinterpret_cast<const emu::exchanged *>(all + 64 * lane)[2 * reg + half];
}
/* c[16 x 8] += a[16 x 16] b[16 x 8]: a lane's registers of each. What is exchanged are their
 * numbers, so that each is unpacked once. */
template <class E>
static inline void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, EMU_HERE)
{
    float mine[12], left[2][16], right[2][16];

    for (int i = 0; i < 4; i++)
        unpack2<E>(mine + 2 * i, a[i]);
    unpack2<E>(mine + 8, b0);
    unpack2<E>(mine + 10, b1);
    const unsigned char *all = emu::exchange(mine, sizeof mine, "mma", at);
    const unsigned g = emu::self->lane / 4, q = emu::self->lane % 4;
    for (unsigned i = 0; i < 2; i++)
        for (unsigned k = 0; k < 16; k++) {
            left[i][k] = mma_number(all, g * 4 + k % 8 / 2, i + k / 8 * 2, k % 2);
            right[i][k] = mma_number(all, (2 * q + i) * 4 + k % 8 / 2, 4 + k / 8, k % 2);
        }
    for (unsigned k = 0; k < 16; k++)
        for (unsigned i = 0; i < 4; i++)
            c[i] = std::fma(left[i / 2][k], right[i % 2][k], c[i]);
}

/* Four 8 x 8 parts; lane l gives the address of row l%8 of part l/8. */
template <class E>
UNWATCHED static inline void load4_as(uint32_t (&r)[4], const E *row, bool across, emu::spot spot)
{
    emu::aligned16(row);
    emu::read16(row);
    const unsigned char *all = emu::exchange(&row, sizeof row, "ldmatrix", spot);
    const unsigned g = emu::self->lane / 4, q = emu::self->lane % 4;

    for (unsigned j = 0; j < 4; j++) {
        const E *at[8];
        for (unsigned i = 0; i < 8; i++)
            std::memcpy(&at[i], all + 64 * (8 * j + i), sizeof at[i]);
        const E lo = across ? at[2 * q][g] : at[g][2 * q];
        const E hi = across ? at[2 * q + 1][g] : at[g][2 * q + 1];
        r[j] = (uint32_t)lo.u | (uint32_t)hi.u << 16;
    }
    emu::lockstep(spot);
}
template <class E> static inline void load4(uint32_t (&r)[4], const E *row, EMU_HERE)
{
    load4_as(r, row, false, at);
}
template <class E> static inline void load4_across(uint32_t (&r)[4], const E *row, EMU_HERE)
{
    load4_as(r, row, true, at);
}
static inline void copy16(void *shared, const void *global)
{
    emu::copy_later(shared, global);
}
static inline void copy16_once(void *shared, const void *global)
{
    emu::copy_later(shared, global);
}
static inline void copy16_or_zeros(void *shared, const void *global, bool copy)
{
    emu::copy_later(shared, copy ? global : emu::zeros);
}
static inline void copy_commit()
{
    emu::copies_commit();
}
template <int LEFT> static inline void copy_wait()
{
    emu::copies_wait(LEFT);
}

#else

__device__ __forceinline__ uint32_t shared_at(const void *p)
{
    return (uint32_t)__cvta_generic_to_shared(p);
}
#define MMA(TYPE)                                                                                  \
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." TYPE "." TYPE ".f32 "                    \
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"                           \
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                                  \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1))
template <class E>
__device__ __forceinline__ void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0,
                                    uint32_t b1);
template <>
__device__ __forceinline__ void mma<bf16>(float (&c)[4], const uint32_t (&a)[4], uint32_t b0,
                                          uint32_t b1)
{
    MMA("bf16");
}
template <>
__device__ __forceinline__ void mma<f16>(float (&c)[4], const uint32_t (&a)[4], uint32_t b0,
                                         uint32_t b1)
{
    MMA("f16");
}
#undef MMA
template <class E> __device__ __forceinline__ void load4(uint32_t (&r)[4], const E *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_at(row))
                 : "memory");
}
template <class E> __device__ __forceinline__ void load4_across(uint32_t (&r)[4], const E *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_at(row))
                 : "memory");
}
__device__ __forceinline__ void copy16(void *shared, const void *global)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_at(shared)), "l"(global)
                 : "memory");
}
/* Of what nobody reads again: the first to go when the cache is full. */
__device__ __forceinline__ void copy16_once(void *shared, const void *global)
{
    asm volatile("{ .reg .b64 first;\n"
                 "createpolicy.fractional.L2::evict_first.b64 first, 1.0;\n"
                 "cp.async.cg.shared.global.L2::cache_hint [%0], [%1], 16, first; }" ::"r"(
                     shared_at(shared)),
                 "l"(global)
                 : "memory");
}
/* Of what is not copied nothing is read. */
__device__ __forceinline__ void copy16_or_zeros(void *shared, const void *global, bool copy)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_at(shared)),
                 "l"(global), "r"(copy ? 16 : 0)
                 : "memory");
}
__device__ __forceinline__ void copy_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int LEFT> __device__ __forceinline__ void copy_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
}

#endif

/* Into shared memory, by THREADS threads: LINES lines of COLS columns, from line `first` and column
 * c0 of a matrix of `lines` x `cols`; zeros past its ends. Lines there are PITCH apart: COLS + 8,
 * so that ldmatrix meets every bank once. */
template <int LINES, int COLS, int THREADS, int PITCH = COLS + 8, class E>
__device__ __forceinline__ void fetch(E *to, const E *from, int64_t first, int64_t lines,
                                      int64_t c0, int64_t cols)
{
    constexpr int PARTS = COLS / 8, STEP = THREADS / PARTS;
    static_assert(THREADS % PARTS == 0, "a thread has the same columns of every line");
    const int r0 = (int)threadIdx.x / PARTS, c = (int)threadIdx.x % PARTS * 8;
    const int left = lines - first < LINES ? (int)(lines - first) : LINES;
    const int end = c0 + c < cols ? left : 0;
    const E *at = from + (first + r0) * cols + c0 + c;

#pragma unroll
    for (int i = 0; i < LINES; i += STEP)
        if (LINES % STEP == 0 || r0 + i < LINES)
            copy16_or_zeros(to + (r0 + i) * PITCH + c, r0 + i < end ? at + i * cols : from,
                            r0 + i < end);
}

/* The left operand's fragment: rows r0..r0+15, columns c0..c0+15 of a matrix in shared memory. */
template <class E>
__device__ __forceinline__ void left16(uint32_t (&a)[4], const E *m, int pitch, int r0, int c0)
{
    const int lane = (int)(threadIdx.x % WARP);

    load4(a, m + (r0 + lane % 16) * pitch + c0 + lane / 16 * 8);
}
/* The same where it lies as [column][row]. */
template <class E>
__device__ __forceinline__ void left16_across(uint32_t (&a)[4], const E *m, int pitch, int c0,
                                              int r0)
{
    const int lane = (int)(threadIdx.x % WARP), part = lane / 8;

    load4_across(a, m + (c0 + part / 2 * 8 + lane % 8) * pitch + r0 + part % 2 * 8);
}
/* Right operands of two products, 16 x 8 each: columns n0..n0+7 in b[0], b[1], the next eight in
 * b[2], b[3]. The matrix lies as [n][k]... */
template <class E>
__device__ __forceinline__ void right16(uint32_t (&b)[4], const E *m, int pitch, int n0, int k0)
{
    const int lane = (int)(threadIdx.x % WARP), part = lane / 8;

    load4(b, m + (n0 + part / 2 * 8 + lane % 8) * pitch + k0 + part % 2 * 8);
}
/* ... or as [k][n]. */
template <class E>
__device__ __forceinline__ void right16_across(uint32_t (&b)[4], const E *m, int pitch, int k0,
                                               int n0)
{
    const int lane = (int)(threadIdx.x % WARP), part = lane / 8;

    load4_across(b, m + (k0 + part % 2 * 8 + lane % 8) * pitch + n0 + part / 2 * 8);
}
/* Sums of two neighbouring 16 x 8 products as the left operand of the next one. */
template <class E>
__device__ __forceinline__ void left_of(uint32_t (&a)[4], const float (&c0)[4],
                                        const float (&c1)[4])
{
    a[0] = pack2<E>(c0[0], c0[1]);
    a[1] = pack2<E>(c0[2], c0[3]);
    a[2] = pack2<E>(c1[0], c1[1]);
    a[3] = pack2<E>(c1[2], c1[3]);
}

/* A block's steps through STAGES places of shared memory: `start` begins a step's copies to its
 * place, step % STAGES; `use` finds them there, while those of the next ones come. */
template <int STAGES, class Start, class Use>
__device__ __forceinline__ void pipeline(int64_t steps, const Start &start, const Use &use)
{
    for (int64_t s = 0; s + 1 < STAGES; s++) {
        if (s < steps)
            start(s);
        copy_commit();
    }
    for (int64_t s = 0; s < steps; s++) {
        copy_wait<STAGES - 2>();
        __syncthreads(); /* this step's operands are there, and the last one's are used up */
        if (s + STAGES - 1 < steps)
            start(s + STAGES - 1);
        copy_commit();
        use(s);
    }
}

#endif
