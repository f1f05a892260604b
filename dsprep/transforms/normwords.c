/* normwords.c - see normwords.h. */
#include "normwords.h"

#include <string.h>

#include "tok_uni.h"

#define WORD_SEED UINT64_C(0xcbf29ce484222325)
#define WORD_PRIME UINT64_C(0x100000001b3)

typedef struct out {
    ds_buf *hashes, *places;
} out;

static int put_word(const out *o, uint64_t hash, size_t from, size_t to)
{
    const uint64_t h = ds_norm_mix(hash);
    ds_buf *b = o->hashes;
    if (b->cap - b->len < sizeof h && ds_buf_reserve(b, sizeof h))
        return DS_NOMEM;
    memcpy(b->data + b->len, &h, sizeof h);
    b->len += sizeof h;
    if (!o->places)
        return 0;
    const uint32_t place[2] = {(uint32_t)from, (uint32_t)to};
    return ds_buf_put(o->places, place, sizeof place);
}

/* Lower case of the scripts that have it in one place. */
static uint32_t lower(uint32_t c)
{
    if ((c >= 0xc0 && c <= 0xde && c != 0xd7) || (c >= 0x391 && c <= 0x3a9) ||
        (c >= 0x410 && c <= 0x42f))
        return c + 32;
    return c >= 0x400 && c <= 0x40f ? c + 80 : c;
}

int ds_normwords(ds_buf *hashes, ds_buf *places, const ds_textclass *classes, bool zero,
                 const uint8_t *p, size_t len)
{
    const out o = {hashes, places};
    uint64_t h = WORD_SEED;
    size_t from = 0, end = 0;        /* of the word */
    bool in = false, digits = false; /* within a word; its last character was a digit */
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < len;) {
        unsigned size = 1;
        uint32_t c = p[i];
        if (c >= 0x80)
            c = ds_uni_get(p + i, &size);
        const size_t at = i;
        i += size;
        if (c - 'A' < 26u)
            c += 32;
        const uint8_t cls = c - 'a' < 26u ? DS_UNI_L : ds_textclass_of(classes, c);
        if (cls & DS_UNI_CJK) {
            rc = in ? put_word(&o, h, from, end) : 0;
            if (rc == 0)
                rc = put_word(&o, (WORD_SEED ^ c) * WORD_PRIME, at, i);
            h = WORD_SEED;
            in = digits = false;
        } else if (cls & (DS_UNI_L | DS_UNI_N)) {
            const bool number = zero && !(cls & DS_UNI_L);
            from = in ? from : at;
            end = i;
            if (!number)
                h = (h ^ lower(c)) * WORD_PRIME;
            else if (!digits)
                h = (h ^ '0') * WORD_PRIME;
            in = true;
            digits = number;
        } else if (!(cls & DS_UNI_M) && in) {
            rc = put_word(&o, h, from, end);
            h = WORD_SEED;
            in = digits = false;
        }
    }
    return rc == 0 && in ? put_word(&o, h, from, end) : rc;
}
