/* wgmma.h - products of tiles by a warpgroup (four warps): wgmma.mma_async.m64nNk16 of bf16 or f16
 * with f32 sums, which compute capability 9.0 has (PTX ISA, "Asynchronous Warpgroup Level Matrix
 * Instructions"). On the host, the same from the descriptors' bytes and by exchange between lanes.
 *
 * Tiles in shared memory are [row][column] in panels of 64 columns, a panel after the other, each
 * row of a panel 128 bytes long, its pieces of 16 bytes swizzled: piece c of row r lies at place
 * c ^ r % 8. Panels begin at multiples of 1024 bytes, and have a multiple of 8 rows.
 *
 * Fragments are those of mma.m16n8k16 (tile.h): warp w of the four has rows 16w..16w+15, and c[j]
 * is the 16 x 8 part of columns 8j..8j+7.
 */
#ifndef DS_WGMMA_H
#define DS_WGMMA_H

#include "tile.h"

#define GROUP 128u        /* threads */
#define GROUP_ROWS 64     /* of a product */
#define PANEL 64          /* columns */
#define PANEL_ROW 128     /* bytes */
#define WGMMA_ALIGN 1024u /* bytes */

/* Where piece `part` of row r lies in a tile of ROWS rows, in bytes. */
template <int ROWS> __device__ __forceinline__ int swizzled(int r, int part)
{
    return part / 8 * (ROWS * PANEL_ROW) + r * PANEL_ROW + ((part ^ r) & 7) * 16;
}

#ifdef DS_EMU
static inline uint32_t wg_address(const void *p)
{
    emu::aligned16(p);
    return (uint32_t)(static_cast<const unsigned char *>(p) - emu::dynamic);
}
#else
__device__ __forceinline__ uint32_t wg_address(const void *p)
{
    return shared_at(p);
}
#endif

/* Matrix descriptor, swizzled by 128 bytes. `panels`: bytes from a panel to the next, of a matrix
 * that lies across: its rows are what is summed over; others do not look at it. Eight rows are
 * 1024 bytes. */
__device__ __forceinline__ uint64_t wg_matrix(const void *p, uint32_t panels)
{
    return (uint64_t)(wg_address(p) >> 4 & 0x3fffu) | (uint64_t)(panels >> 4) << 16 |
           (uint64_t)(8 * PANEL_ROW >> 4) << 32 | (uint64_t)1 << 62;
}

#ifdef DS_EMU

/* Where row r, column c of what a descriptor tells of lies: c is summed over, or r (`across`). */
static inline uint32_t wg_place(uint64_t desc, int r, int c, bool across)
{
    const uint32_t base = (uint32_t)(desc & 0x3fffu) << 4,
                   panels = (uint32_t)(desc >> 16 & 0x3fffu) << 4,
                   eight = (uint32_t)(desc >> 32 & 0x3fffu) << 4;
    uint32_t at = base + (uint32_t)r / 8 * eight + (uint32_t)r % 8 * PANEL_ROW;

    at += across ? (uint32_t)c / PANEL * panels + (uint32_t)c % PANEL * 2 : (uint32_t)c * 2;
    return at ^ (at >> 7 & 7u) << 4;
}
template <class E> UNWATCHED static inline float wg_at(uint64_t desc, int r, int c, bool across)
{
    E x;

    std::memcpy(&x, emu::dynamic + wg_place(desc, r, c, across), sizeof x);
    return to_f32(x);
}
/* LINES lines of 16 that are summed over are read, each piece of them by one of the warpgroup. */
template <int LINES> static inline void wg_read(uint64_t desc, bool across)
{
    for (int p = (int)(threadIdx.x % GROUP); emu::watching && p < LINES * 2; p += (int)GROUP)
        emu::watching->product(emu::dynamic + (across ? wg_place(desc, p % 16, p / 16 * 8, true)
                                                      : wg_place(desc, p / 2, p % 2 * 8, false)),
                               16);
}

/* s[i][j] += left[i][k] right[k][j], in ascending order of k. */
template <int N>
static inline void wg_sum(float (&s)[2][N], const float (&left)[2][16], const float (&right)[16][N])
{
    for (int k = 0; k < 16; k++)
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < N; j++)
                s[i][j] = std::fma(left[i][k], right[k][j], s[i][j]);
}
/* What a lane needs of the right operand: columns 8j + 2(l%4), +1 of N. */
template <class E, int N, bool ACROSS>
static inline void wg_right(float (&right)[16][N / 4], uint64_t b)
{
    const int first = (int)emu::self->lane % 4 * 2;

    for (int k = 0; k < 16; k++)
        for (int j = 0; j < N / 4; j++) {
            const int col = j / 2 * 8 + first + j % 2;
            right[k][j] = ACROSS ? wg_at<E>(b, k, col, true) : wg_at<E>(b, col, k, false);
        }
}
/* A lane's sums at c, of its two rows, plus their product. */
template <class E, int N, bool ACROSS>
static inline void wg_add(float *c, const float (&left)[2][16], uint64_t b, bool add)
{
    float s[2][N / 4], right[16][N / 4];

    wg_right<E, N, ACROSS>(right, b);
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < N / 4; j++)
            s[i][j] = add ? c[j / 2 * 4 + i * 2 + j % 2] : 0.0f;
    wg_sum(s, left, right);
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < N / 4; j++)
            c[j / 2 * 4 + i * 2 + j % 2] = s[i][j];
}

/* c (+)= a b': a is [64][16], b [N][16], or [16][N] where it lies ACROSS. */
template <class E, int N, bool ACROSS>
static inline void wg_rows_now(float *c, uint64_t a, uint64_t b, bool add)
{
    const int row = (int)(threadIdx.x % GROUP / WARP) * 16 + (int)emu::self->lane / 4;
    float left[2][16];

    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 16; k++)
            left[i][k] = wg_at<E>(a, row + i * 8, k, false);
    wg_add<E, N, ACROSS>(c, left, b, add);
}
template <class E, int N, bool ACROSS = false>
static inline void wg_rows(float (&c)[N / 8][4], uint64_t a, uint64_t b, bool add, EMU_HERE)
{
    const auto read = [a, b] {
        wg_read<GROUP_ROWS>(a, false);
        wg_read<N>(b, ACROSS);
    };

    emu::product_later(
        &c[0][0], N / 2, emu::operands{nullptr, a, b}, read,
        [a, b, add](float *sums) { wg_rows_now<E, N, ACROSS>(sums, a, b, add); }, at);
}

/* c += a b: a's fragments are in registers, b is [16][N]. */
template <class E, int N>
static inline void wg_across(float (&c)[N / 8][4], const uint32_t (&a)[4], uint64_t b, EMU_HERE)
{
    struct {
        float at[2][16];
    } left;
    float mine[8];

    for (int i = 0; i < 4; i++)
        unpack2<E>(mine + 2 * i, a[i]);
    const unsigned char *all = emu::exchange(mine, sizeof mine, "wgmma.mma_async", at);
    for (unsigned i = 0; i < 2; i++)
        for (unsigned k = 0; k < 16; k++)
            left.at[i][k] =
                mma_number(all, emu::self->lane / 4 * 4 + k % 8 / 2, i + k / 8 * 2, k % 2);
    emu::lockstep(at);
    const auto read = [b] { wg_read<N>(b, true); };
    emu::product_later(
        &c[0][0], N / 2, emu::operands{a, 0, b}, read,
        [left, b](float *sums) { wg_add<E, N, true>(sums, left.at, b, true); }, at);
}
static inline void wg_begin(EMU_HERE)
{
    emu::products_fence(at);
}
static inline void wg_commit(EMU_HERE)
{
    emu::products_commit(at);
}
template <int LEFT> static inline void wg_wait(EMU_HERE)
{
    emu::products_wait(LEFT, at);
}
static inline void wg_visible()
{
    if (emu::watching)
        emu::watching->visible();
}

#else

#define WG_LIST16 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15"
#define WG_LIST32 WG_LIST16 ",%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define WG_LIST64                                                                                  \
    WG_LIST32 ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47"                   \
              ",%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define WG_LIST96                                                                                  \
    WG_LIST64 ",%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79"                   \
              ",%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95"
#define WG_LIST128                                                                                 \
    WG_LIST96 ",%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111"       \
              ",%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"
#define WG_C1(i) "+f"(c[i][0]), "+f"(c[i][1]), "+f"(c[i][2]), "+f"(c[i][3])
#define WG_C4(i) WG_C1(i), WG_C1(i + 1), WG_C1(i + 2), WG_C1(i + 3)
#define WG_C16 WG_C4(0)
#define WG_C32 WG_C16, WG_C4(4)
#define WG_C64 WG_C32, WG_C4(8), WG_C4(12)
#define WG_C96 WG_C64, WG_C4(16), WG_C4(20)
#define WG_C128 WG_C96, WG_C4(24), WG_C4(28)

/* N columns, R sums of a lane; ACROSS: 1 where B lies so. */
#define WG_ROWS(E, TYPE, N, R, ACROSS, A, B, P)                                                    \
    template <>                                                                                    \
    __device__ __forceinline__ void wg_rows<E, N, ACROSS>(float(&c)[N / 8][4], uint64_t a,         \
                                                          uint64_t b, bool add)                    \
    {                                                                                              \
        asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" P ", 0;\n"                               \
                     "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." TYPE "." TYPE               \
                     " {" WG_LIST##R "}, %" A ", %" B ", p, 1, 1, 0, " #ACROSS ";\n}\n"            \
                     : WG_C##R                                                                     \
                     : "l"(a), "l"(b), "r"((int)add));                                             \
    }
#define WG_ACROSS(E, TYPE, N, R, A0, A1, A2, A3, B)                                                \
    template <>                                                                                    \
    __device__ __forceinline__ void wg_across<E, N>(float(&c)[N / 8][4], const uint32_t(&a)[4],    \
                                                    uint64_t b)                                    \
    {                                                                                              \
        asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, 1, 0;\n"                                    \
                     "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." TYPE "." TYPE               \
                     " {" WG_LIST##R "}, {%" A0 ", %" A1 ", %" A2 ", %" A3 "}, %" B                \
                                     ", p, 1, 1, 1;\n}\n"                                          \
                     : WG_C##R                                                                     \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));                        \
    }
#define WG_ALL(E, TYPE)                                                                            \
    WG_ROWS(E, TYPE, 32, 16, 0, "16", "17", "18")                                                  \
    WG_ROWS(E, TYPE, 64, 32, 0, "32", "33", "34")                                                  \
    WG_ROWS(E, TYPE, 128, 64, 0, "64", "65", "66")                                                 \
    WG_ROWS(E, TYPE, 128, 64, 1, "64", "65", "66")                                                 \
    WG_ROWS(E, TYPE, 256, 128, 0, "128", "129", "130")                                             \
    WG_ROWS(E, TYPE, 256, 128, 1, "128", "129", "130")                                             \
    WG_ACROSS(E, TYPE, 64, 32, "32", "33", "34", "35", "36")                                       \
    WG_ACROSS(E, TYPE, 128, 64, "64", "65", "66", "67", "68")                                      \
    WG_ACROSS(E, TYPE, 192, 96, "96", "97", "98", "99", "100")

template <class E, int N, bool ACROSS = false>
__device__ __forceinline__ void wg_rows(float (&c)[N / 8][4], uint64_t a, uint64_t b, bool add);
template <class E, int N>
__device__ __forceinline__ void wg_across(float (&c)[N / 8][4], const uint32_t (&a)[4], uint64_t b);
WG_ALL(bf16, "bf16")
WG_ALL(f16, "f16")

/* Before the first product, and where registers of one were touched; products up to here are a
 * group; until all but LEFT groups are done. */
__device__ __forceinline__ void wg_begin()
{
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void wg_commit()
{
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int LEFT> __device__ __forceinline__ void wg_wait()
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(LEFT) : "memory");
}
/* What this thread wrote to shared memory is to be seen by products, after the next barrier. */
__device__ __forceinline__ void wg_visible()
{
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

#endif

/* What begins at `from`, `rows` x `cols`, to a tile of ROWS x WIDTH, by THREADS; zeros past its
 * ends. */
template <int WIDTH, int ROWS, int THREADS, class E>
__device__ __forceinline__ void wg_fetch_part(unsigned char *dst, const E *from, int64_t stride,
                                              int32_t rows, int32_t cols)
{
    constexpr int PARTS = PANEL / 8, STEP = THREADS / PARTS;
    static_assert(STEP % 8 == 0 && ROWS % STEP == 0, "a thread's pieces lie at one place of a row");
    const int r = (int)threadIdx.x / PARTS, c = (int)threadIdx.x % PARTS;

    dst += swizzled<ROWS>(r, c);
    from += r * stride + c * 8;
#pragma unroll
    for (int i = 0; i < ROWS; i += STEP) {
#pragma unroll
        for (int p = 0; p < WIDTH / PANEL; p++)
            copy16_or_zeros(dst + p * (ROWS * PANEL_ROW) + i * PANEL_ROW, from + p * PANEL,
                            i < rows - r && p * PANEL + c * 8 < cols);
        from += STEP * stride;
    }
}

/* Rows first.. of one head, of a sequence of `end`. */
template <int WIDTH, int ROWS, int THREADS, class E>
__device__ __forceinline__ void wg_fetch(unsigned char *dst, const void *src, int32_t row0,
                                         int32_t stride, int32_t col0, int32_t first, int32_t end)
{
    wg_fetch_part<WIDTH, ROWS, THREADS>(
        dst, static_cast<const E *>(src) + (int64_t)(row0 + first) * stride + col0, stride,
        end - first, WIDTH);
}

/* c = rows r0..r0+63 of `left` times the N rows of `right`, both WIDTH columns wide: LEFT and N
 * rows. Queued: nothing waits for it. */
template <int WIDTH, int LEFT, int N, class E>
__device__ __forceinline__ void wg_rows_by_rows(float (&c)[N / 8][4], const unsigned char *left,
                                                int r0, const unsigned char *right)
{
#pragma unroll
    for (int k = 0; k < WIDTH; k += 16)
        wg_rows<E, N>(
            c, wg_matrix(left + k / PANEL * (LEFT * PANEL_ROW) + r0 * PANEL_ROW + k % PANEL * 2, 0),
            wg_matrix(right + k / PANEL * (N * PANEL_ROW) + k % PANEL * 2, 0), k > 0);
}

/* c[64 x WIDTH] += p[64 x ROWS], as left_of makes it, times the rows of `right`. Queued. */
template <int WIDTH, int ROWS, class E>
__device__ __forceinline__ void wg_scores_by_rows(float (&c)[WIDTH / 8][4],
                                                  const uint32_t (&p)[ROWS / 16][4],
                                                  const unsigned char *right)
{
#pragma unroll
    for (int k = 0; k < ROWS / 16; k++)
        wg_across<E, WIDTH>(c, p[k], wg_matrix(right + k * 16 * PANEL_ROW, ROWS * PANEL_ROW));
}

/* Sums of a product as the left operand of the next. */
template <int N, class E>
__device__ __forceinline__ void wg_pack(uint32_t (&p)[N / 16][4], const float (&c)[N / 8][4])
{
#pragma unroll
    for (int k = 0; k < N / 16; k++)
        left_of<E>(p[k], c[2 * k], c[2 * k + 1]);
}

#endif
