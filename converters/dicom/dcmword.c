/* dcmword.c - see dcmword.h. */
#include "dcmword.h"

#include <string.h>

#include "utf8.h"

#define HASH_SEED UINT64_C(0x9e3779b97f4a7c15)

/* Base letters of U+00C0 to U+024F, which are those of Latin-1, Latin Extended-A and -B, and of
 * U+1E00 to U+1EFF, with which Vietnamese is written; a space where there is none. */
static const char base[] = "aaaaaaaceeeeiiiidnooooo ouuuuytsaaaaaaaceeeeiiiidnooooo ouuuuyty"
                           "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiiiijjkkklllllll"
                           "lllnnnnnnnnnoooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs"
                           "b        dd      ff    i        oo             uu    zz         "
                           "             aaiioouuuuuuuuuu aaaa  ggggkkoooo  j   gg  nnaa    "
                           "aaaaeeeeiiiioooorrrruuuusstt  hh      aaeeooooooooyy      acclt "
                           "   bu eejj  rryy";
static const char base_more[] = "aabbbbbbccddddddddddeeeeeeeeeeffgghhhhhhhhhhiiiikkkkkkllllllllmm"
                                "mmmmnnnnnnnnoooooooopppprrrrrrrrssssssssssttttttttuuuuuuuuuuvvvv"
                                "wwwwwwwwwwxxxxyyzzzzzzhtwy    s aaaaaaaaaaaaaaaaaaaaaaaaeeeeeeee"
                                "eeeeeeeeiiiioooooooooooooooooooooooouuuuuuuuuuuuuuyyyyyyyy      ";

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
    return (u >= 0x300 && u < 0x370) || u == 0x200d || u == 0xad || u == 0x3099 || u == 0x309a ||
           u == 0xff9e || u == 0xff9f;
}

static uint8_t base_of(uint32_t u)
{
    if (u >= 0xc0 && u - 0xc0 < sizeof base - 1)
        return (uint8_t)base[u - 0xc0];
    return u >= 0x1e00 && u - 0x1e00 < sizeof base_more - 1 ? (uint8_t)base_more[u - 0x1e00] : ' ';
}

/* Kana of either kind and width to one, without the marks of voice, which stand apart where the
 * width is half. */
static uint32_t kana(uint32_t u)
{
    static const uint8_t half[] = {
        /* U+FF66 to U+FF9D; from U+3000 on */
        0x92, 0x41, 0x43, 0x45, 0x47, 0x49, 0x83, 0x85, 0x87, 0x63, 0xfc, 0x42, 0x44, 0x46,
        0x48, 0x4a, 0x4b, 0x4d, 0x4f, 0x51, 0x53, 0x55, 0x57, 0x59, 0x5b, 0x5d, 0x5f, 0x61,
        0x64, 0x66, 0x68, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f, 0x72, 0x75, 0x78, 0x7b, 0x7e,
        0x7f, 0x80, 0x81, 0x82, 0x84, 0x86, 0x88, 0x89, 0x8a, 0x8b, 0x8c, 0x8d, 0x8f, 0x93};
    if (u >= 0xff66 && u <= 0xff9d)
        return 0x3000u + half[u - 0xff66];
    if (u >= 0x30a1 && u <= 0x30f6)
        u -= 0x60;
    if ((u >= 0x304c && u <= 0x3062 && u % 2 == 0) || u == 0x3065 || u == 0x3067 || u == 0x3069)
        return u - 1;
    if (u >= 0x3070 && u <= 0x307d)
        return u - (u - 0x306f) % 3;
    return u == 0x3094 ? 0x3046 : u;
}

/* Greek and Cyrillic to lower case, without accents. */
static uint32_t lower(uint32_t u)
{
    static const uint16_t accents[][2] = {
        {0x386, 0x3b1}, {0x388, 0x3b5}, {0x389, 0x3b7}, {0x38a, 0x3b9}, {0x38c, 0x3bf},
        {0x38e, 0x3c5}, {0x38f, 0x3c9}, {0x390, 0x3b9}, {0x3aa, 0x3b9}, {0x3ab, 0x3c5},
        {0x3ac, 0x3b1}, {0x3ad, 0x3b5}, {0x3ae, 0x3b7}, {0x3af, 0x3b9}, {0x3b0, 0x3c5},
        {0x3ca, 0x3b9}, {0x3cb, 0x3c5}, {0x3cc, 0x3bf}, {0x3cd, 0x3c5}, {0x3ce, 0x3c9},
        {0x401, 0x435}, {0x451, 0x435}};
    if (u >= 0x3041)
        return kana(u);
    for (size_t i = 0; u >= 0x386 && u <= 0x451 && i < sizeof accents / sizeof *accents; i++)
        if (accents[i][0] == u)
            return accents[i][1];
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
        (u >= 0x3000 && u < 0x3005) || (u >= 0x3008 && u < 0x3020) || u == 0x30fb || u == 0xff65 ||
        u == 0xfffd || (u >= 0xff00 && u < 0xff10) || (u >= 0xff1a && u < 0xff21))
        return 0;
    if (u >= 0xff10 && u <= 0xff19) { /* full width */
        out[0] = (uint8_t)('0' + (u - 0xff10));
        return DCM_WORD_DIGITS;
    }
    if ((u >= 0xff21 && u <= 0xff3a) || (u >= 0xff41 && u <= 0xff5a)) {
        out[0] = (uint8_t)('a' + (u - 0xff21) % 32);
        return DCM_WORD_LETTERS;
    }
    if (base_of(u) != ' ') {
        out[0] = base_of(u);
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
