/* dcmword.c - see dcmword.h. */
#include "dcmword.h"

#include <string.h>

#include "utf8.h"

#define HASH_SEED UINT64_C(0x9e3779b97f4a7c15)

/* Base letters of U+00C0 to U+017F, which are those of Latin-1 and Latin Extended-A; a space where
 * there is none. */
static const char base[] = "aaaaaaaceeeeiiiidnooooo ouuuuytsaaaaaaaceeeeiiiidnooooo ouuuuyty"
                           "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiiiijjkkklllllll"
                           "lllnnnnnnnnnoooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs";

/* A code point and its length; 0 where it is no UTF-8. */
static unsigned decode(const uint8_t *p, size_t len, uint32_t *u)
{
    unsigned n = p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    if (n == 0 || n > len)
        return 0;
    *u = p[0] & (0x7fu >> n);
    for (unsigned i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        *u = *u << 6 | (p[i] & 0x3f);
    }
    return n;
}

static bool is_mark(uint32_t u)
{
    return (u >= 0x300 && u < 0x370) || u == 0x200d || u == 0xad;
}

/* Greek and Cyrillic to lower case. */
static uint32_t lower(uint32_t u)
{
    if ((u >= 0x391 && u <= 0x3a9) || (u >= 0x410 && u <= 0x42f))
        return u + 0x20;
    if (u >= 0x400 && u <= 0x40f)
        return u + 0x50;
    if ((u >= 0x460 && u < 0x482) || (u >= 0x48a && u < 0x530 && u != 0x4c0))
        return u | 1;
    return u == 0x3c2 ? 0x3c3 : u;
}

/* The character at p: its kind (0 for what separates), its bytes, and its folded bytes. Combining
 * marks and soft hyphens belong to the word and fold to nothing. */
static int one(const uint8_t *p, size_t len, unsigned *used, uint8_t out[4], unsigned *n)
{
    uint32_t u;
    uint8_t c = p[0];
    *used = *n = 1;
    if (c < 0x80) {
        out[0] = c >= 'A' && c <= 'Z' ? c | 0x20 : c;
        if (out[0] >= 'a' && out[0] <= 'z')
            return DCM_WORD_LETTERS;
        return c >= '0' && c <= '9' ? DCM_WORD_DIGITS : 0;
    }
    *used = decode(p, len, &u);
    if (*used == 0) {
        *used = 1;
        return 0;
    }
    if (is_mark(u)) {
        *n = 0;
        return DCM_WORD_LETTERS;
    }
    if (u < 0xc0 || u == 0xd7 || u == 0xf7 || (u >= 0x2000 && u < 0x2c00) ||
        (u >= 0x3000 && u < 0x3005) || (u >= 0x3008 && u < 0x3020) || u == 0x30fb || u == 0xfffd ||
        (u >= 0xff00 && u < 0xff10) || (u >= 0xff1a && u < 0xff21))
        return 0;
    if (u >= 0xff10 && u <= 0xff19) { /* full width */
        out[0] = (uint8_t)('0' + (u - 0xff10));
        return DCM_WORD_DIGITS;
    }
    if ((u >= 0xff21 && u <= 0xff3a) || (u >= 0xff41 && u <= 0xff5a)) {
        out[0] = (uint8_t)('a' + (u - 0xff21) % 32);
        return DCM_WORD_LETTERS;
    }
    if (u < 0x180 && u - 0xc0 < sizeof base - 1 && base[u - 0xc0] != ' ') {
        out[0] = (uint8_t)base[u - 0xc0];
        return DCM_WORD_LETTERS;
    }
    *n = ds_utf8_put(out, lower(u));
    if ((u >= 0xe00 && u < 0x1e00) || u >= 0x2c00)
        return DCM_WORD_CHAR;
    return DCM_WORD_LETTERS;
}

static uint64_t mix(uint64_t h, uint8_t b)
{
    return (h ^ b) * UINT64_C(0x100000001b3);
}

static uint64_t finish(uint64_t h)
{
    h ^= h >> 32;
    h *= UINT64_C(0xd6e8feb86659fd93);
    return h ^ h >> 32;
}

uint64_t dcm_word_hash(const uint8_t *folded, size_t n)
{
    uint64_t h = HASH_SEED;
    for (size_t i = 0; i < n; i++)
        h = mix(h, folded[i]);
    return finish(h);
}

bool dcm_word_next(const uint8_t *p, size_t len, size_t *pos, dcm_word *w)
{
    size_t at = *pos;
    uint8_t out[4];
    unsigned used, n;
    int kind = 0;
    while (at < len && (kind = one(p + at, len - at, &used, out, &n)) == 0)
        at += used;
    if (at >= len) {
        *pos = len;
        return false;
    }
    uint64_t h = HASH_SEED;
    w->at = at;
    w->kind = (enum dcm_word_kind)kind;
    w->folded = 0;
    do {
        if (kind == DCM_WORD_DIGITS && w->folded == 1 && h == mix(HASH_SEED, '0')) {
            h = HASH_SEED; /* a leading zero */
            w->folded = 0;
        }
        for (unsigned i = 0; i < n; i++)
            h = mix(h, out[i]);
        w->folded += n;
        at += used;
        if (kind == DCM_WORD_CHAR)
            break;
    } while (at < len && one(p + at, len - at, &used, out, &n) == kind);
    w->len = at - w->at;
    w->hash = finish(h);
    *pos = at;
    return true;
}

int dcm_word_fold(const uint8_t *p, const dcm_word *w, ds_buf *dst)
{
    uint8_t out[4];
    unsigned used, n;
    size_t start = dst->len;
    for (size_t at = 0; at < w->len; at += used) {
        one(p + w->at + at, w->len - at, &used, out, &n);
        if (w->kind == DCM_WORD_DIGITS && dst->len == start + 1 && dst->data[start] == '0')
            dst->len = start;
        if (ds_buf_put(dst, out, n) != 0)
            return DS_NOMEM;
    }
    return 0;
}

bool dcm_word_is(const uint8_t *p, const dcm_word *w, const uint8_t *folded, size_t n)
{
    uint8_t out[4];
    unsigned used, m;
    size_t done = 0, at = 0;
    if (w->folded != n)
        return false;
    if (w->kind == DCM_WORD_DIGITS) /* zeros that were folded away */
        while (at + 1 < w->len && p[w->at + at] == '0' && w->len - at > n)
            at++;
    for (; at < w->len; at += used) {
        one(p + w->at + at, w->len - at, &used, out, &m);
        if (m > n - done || memcmp(folded + done, out, m) != 0)
            return false;
        done += m;
    }
    return done == n;
}
