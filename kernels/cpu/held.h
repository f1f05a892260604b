/* held.h - left operands of products that stay as they are for a while, packed once.
 *
 * Between ds_held_take and the matching ds_held_drop the bytes at x do not change. The first
 * product that reads x as a left operand packs it here, the others find it. One thread.
 */
#ifndef DS_HELD_H
#define DS_HELD_H

#include "panel.h"

#define DS_HELD_MAX 4

typedef struct ds_packed {
    const void *x; /* NULL: free */
    int taken;
    int64_t m, k; /* rows and terms; m 0: nothing packed yet */
    bool pairs;
    float *at; /* kept from one x to the next */
    size_t len;
} ds_packed;

typedef struct ds_held {
    ds_packed p[DS_HELD_MAX];
} ds_held;

void ds_held_take(ds_held *h,
                  const void *x); /* counts; one too many is not held, and packed anew */
void ds_held_drop(ds_held *h, const void *x); /* NULL: all, however often taken */
/* The place of x[m, k]'s panels, `rows` lines with their padding, of the form that p has. *packed:
 * they are there. NULL: x is not held, or there is no memory; the product has a place of its own.
 */
float *ds_held_find(ds_held *h, const ds_panels *p, const void *x, int64_t m, int64_t k,
                    int64_t rows, bool *packed);
void ds_held_fini(ds_held *h);

#endif
