/* piifold.c - see piifold.h. */
#include "piifold.h"

#include <string.h>

#include "error.h"
#include "tok_uni.h"

typedef struct place {
    uint64_t folded, original;
} place;

static bool unseen(uint32_t c)
{
    return c == 0xad || (c >= 0x200b && c <= 0x200d) || c == 0x2060 || c == 0xfeff;
}

/* The digit of ASCII that a digit of another script is; 0: it is none. */
static uint8_t digit_of(uint32_t c)
{
    static const uint32_t zeros[] = {0x660, 0x6f0, 0x966, 0x9e6, 0xe50};
    for (size_t i = 0; i < sizeof zeros / sizeof *zeros; i++)
        if (c - zeros[i] < 10)
            return (uint8_t)('0' + (c - zeros[i]));
    return 0;
}

static bool wide(uint32_t c)
{
    return c >= 0xff01 && c <= 0xff5e;
}

/* In full width: @, digits and letters; its punctuation is all over Chinese text, and says nothing.
 */
static bool wide_word(uint32_t c)
{
    return (c >= 0xff10 && c <= 0xff19) || (c >= 0xff20 && c <= 0xff3a) ||
           (c >= 0xff41 && c <= 0xff5a);
}

bool ds_piifold_needed(const uint8_t *p, size_t len)
{
    unsigned n = 1;
    for (size_t i = 0; i < len; i += n) {
        uint64_t eight;
        for (; len - i >= 8; i += 8) {
            memcpy(&eight, p + i, 8);
            if (eight & UINT64_C(0x8080808080808080))
                break;
        }
        n = 1;
        if (i == len || p[i] < 0x80)
            continue;
        const uint32_t c = ds_uni_get(p + i, &n);
        if (unseen(c) || digit_of(c) || wide_word(c))
            return true;
    }
    return false;
}

int ds_piifold_set(ds_piifold *f, const uint8_t *p, size_t len)
{
    f->of = p;
    ds_buf_reset(&f->text);
    ds_buf_reset(&f->places);
    if (ds_buf_reserve(&f->text, len + 1))
        return DS_NOMEM;
    uint8_t *to = f->text.data;
    unsigned n;
    for (size_t i = 0; i < len; i += n) {
        n = 1;
        const uint32_t c = p[i] < 0x80 ? p[i] : ds_uni_get(p + i, &n);
        const uint8_t as = p[i] < 0x80 ? 0 : wide(c) ? (uint8_t)(c - 0xfee0) : digit_of(c);
        if (as) {
            *to++ = as;
        } else if (!unseen(c)) {
            memcpy(to, p + i, n);
            to += n;
            continue;
        }
        const place at = {(uint64_t)(to - f->text.data), i + n};
        if (ds_buf_put(&f->places, &at, sizeof at))
            return DS_NOMEM;
    }
    f->text.len = (size_t)(to - f->text.data);
    return 0;
}

/* Where a byte of the folded text stands: behind what is unseen before it. */
static size_t original(const ds_piifold *f, size_t at)
{
    const place *v = (const place *)(const void *)f->places.data;
    size_t lo = 0, hi = f->places.len / sizeof *v;
    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;
        if (v[mid].folded <= at)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo ? (size_t)(v[lo - 1].original + (at - v[lo - 1].folded)) : at;
}

void ds_piifold_range(const ds_piifold *f, size_t *at, size_t *end)
{
    const size_t last = original(f, *end - 1);
    unsigned n = 1; /* a byte of ASCII may stand for a longer character */
    if (f->text.data[*end - 1] < 0x80 && f->of[last] >= 0x80)
        (void)ds_uni_get(f->of + last, &n);
    *at = original(f, *at);
    *end = last + n;
}

void ds_piifold_fini(ds_piifold *f)
{
    ds_buf_fini(&f->text);
    ds_buf_fini(&f->places);
}
