/* panel.c - see panel.h. */
#include "panel.h"

#include <string.h>

ds_panels ds_panels_of(const ds_vec *v, enum ds_kfmt fa, enum ds_kfmt fb)
{
    if (fa != DS_KBF16 || fb != DS_KBF16)
        return (ds_panels){.v = v,
                           .tile = v->tile,
                           .half = v->tile_half,
                           .few = fb == DS_KF32    ? v->few
                                  : fb == DS_KBF16 ? v->few_bf16
                                                   : v->few_f16};
    if (!v->pairs)
        return (ds_panels){.v = v, .tile = v->flush, .few = v->few_flush};
    return (ds_panels){
        .v = v, .tile = v->pairs, .half = v->pairs_half, .few = v->few_pairs, .pairs = true};
}

/* What a last odd element is paired with must leave the chain as it is: 0 times -0 is -0, and
 * adding that changes no number, not even a zero's sign. */
#define MINUS_ZERO 0x8000

/* Lines that lie across the rows of a matrix are packed some rows at a time: all panels read the
 * same cache lines of them. Even. */
#define ROWS_AT_ONCE 64

static void pack(const ds_panels *p, float *dst, int64_t pitch, const void *src, enum ds_kfmt f,
                 bool trans, int64_t ld, int64_t first, int64_t lines, int w, int64_t k,
                 uint16_t tail)
{
    const int64_t step = trans ? ROWS_AT_ONCE : k;

    for (int64_t p0 = 0; p0 < k; p0 += step) {
        const int64_t some = k - p0 < step ? k - p0 : step;
        const void *from = (const char *)src + (size_t)(p0 * ld) * ds_kfmt_size(f);
        float *to = dst + ds_panels_depth(p, p0) * w;
        for (int64_t i = 0; i < lines; i += w, to += w * pitch) {
            const int64_t have = lines - i < w ? lines - i : w;
            if (p->pairs)
                p->v->pack_pairs((uint32_t *)(void *)to, from, trans, ld, first + i, have, w, some,
                                 tail);
            else
                p->v->pack(to, from, f, trans, ld, first + i, have, w, some);
        }
    }
}

void ds_pack_left(const ds_panels *p, float *dst, int64_t pitch, const void *src, enum ds_kfmt f,
                  bool trans, int64_t ld, int64_t first, int64_t lines, int64_t k)
{
    pack(p, dst, pitch, src, f, trans, ld, first, lines, p->v->mr, k, 0);
}

void ds_pack_right(const ds_panels *p, float *dst, int64_t pitch, const void *src, enum ds_kfmt f,
                   bool trans, int64_t ld, int64_t first, int64_t lines, int64_t k)
{
    pack(p, dst, pitch, src, f, trans, ld, first, lines, p->v->nr, k, MINUS_ZERO);
}

void ds_units_left(const ds_panels *p, float *dst, const void *src, enum ds_kfmt f, int64_t n)
{
    if (f == DS_KF32)
        memcpy(dst, src, (size_t)n * sizeof *dst);
    else if (p->pairs)
        p->v->pack_pairs((uint32_t *)(void *)dst, src, false, n, 0, 1, 1, n, 0);
    else
        p->v->to_f32(dst, src, f, n);
}

void ds_panels_multiply(const ds_panels *p, float *acc, int64_t stride, int64_t m, int64_t n,
                        int64_t depth, const float *left, int64_t left_pitch, const float *right,
                        int64_t right_pitch)
{
    const int mr = p->v->mr, nr = p->v->nr;

    for (int64_t j = 0; j < n; j += nr) {
        ds_tile *tile = p->half && n - j <= nr / 2 ? p->half : p->tile;
        for (int64_t i = 0; i < m; i += mr)
            tile(acc + i * stride + j, (size_t)stride, left + i * left_pitch,
                 right + j * right_pitch, depth);
    }
}
