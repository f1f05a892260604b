/* dcmneedle.h - strings of bytes that are looked for in tensors, all of them in one pass.
 *
 * Of every string a window of 8 bytes is chosen, of characters where there is one, and its 5 runs
 * of 4 bytes are entered. Pixels are hardly ever text: 64 bytes at a time, only runs of 8
 * characters and more are looked into, and of those every fifth position, with one load, one
 * multiplication and one bit. So the time does not depend on how many strings there are. Read only
 * once it is made. For dcmsearch.c.
 */
#ifndef DS_DCMNEEDLE_H
#define DS_DCMNEEDLE_H

#include "buf.h"
#include "dcmlookup.h"
#include "dcmproof.h"

#define DCM_RAW_MIN 8 /* bytes of a string */

typedef struct dcm_needle {
    uint32_t tag;
    uint8_t kind; /* enum dcm_id_kind */
    uint32_t at, n;
} dcm_needle;

typedef struct dcm_needles {
    dcm_needle *v;
    size_t n, cap;
    ds_buf text;
    uint32_t *table; /* indices + 1 by hash of the bytes; a power of two, or 0 */
    size_t ntable;
    dcm_lookup four;
    int any; /* of the windows: 0 of ASCII characters; 1 of other characters too; 2 of any bytes */
} dcm_needles;

/* At least DCM_RAW_MIN bytes. One that is there already stays as it is. */
int dcm_needles_add(dcm_needles *s, uint32_t tag, uint8_t kind, const uint8_t *p, size_t n,
                    ds_err *err);
/* 1 and a hit that begins at or after `from`, 0 for none. */
int dcm_needles_find(const dcm_needles *s, const uint8_t *p, size_t len, size_t from, dcm_hit *hit);
void dcm_needles_fini(dcm_needles *s);

#endif
