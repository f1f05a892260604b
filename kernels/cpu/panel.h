/* panel.h - operands of a product, packed into panels that a register tile reads (vec.h), and the
 * choice of the tile. A panel is [depth][mr or nr] elements of four bytes: f32, or pairs of bf16
 * where both operands are bf16 and the processor multiplies pairs.
 */
#ifndef DS_PANEL_H
#define DS_PANEL_H

#include "vec.h"

typedef struct ds_panels {
    const ds_vec *v;
    ds_tile *tile, *half;
    ds_few *few; /* for a few rows, without panels */
    bool pairs;
} ds_panels;

ds_panels ds_panels_of(const ds_vec *v, enum ds_kfmt fa, enum ds_kfmt fb);

/* Depth of a panel for k terms. */
static inline int64_t ds_panels_depth(const ds_panels *p, int64_t k)
{
    return p->pairs ? (k + 1) / 2 : k;
}

/* Left and right operands: lines [first, first + lines) of src, `trans` as in vec.h, into panels
 * `pitch` deep, of which this is written from dst on. */
void ds_pack_left(const ds_panels *p, float *dst, int64_t pitch, const void *src, enum ds_kfmt f,
                  bool trans, int64_t ld, int64_t first, int64_t lines, int64_t k);
void ds_pack_right(const ds_panels *p, float *dst, int64_t pitch, const void *src, enum ds_kfmt f,
                   bool trans, int64_t ld, int64_t first, int64_t lines, int64_t k);

/* n elements of a left operand, even for pairs, as the units that `few` reads. */
void ds_units_left(const ds_panels *p, float *dst, const void *src, enum ds_kfmt f, int64_t n);

/* acc[m][stride] += `depth` steps of panels that are left_pitch and right_pitch deep. acc has room
 * for whole tiles. */
void ds_panels_multiply(const ds_panels *p, float *acc, int64_t stride, int64_t m, int64_t n,
                        int64_t depth, const float *left, int64_t left_pitch, const float *right,
                        int64_t right_pitch);

#endif
