/* tok_masks.c - see tok_masks.h. The tests compare all levels with each other and the portable one
 * with the Unicode table. */
#include "tok_masks.h"

#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

/* First bytes of characters of U+4E00-9F7F -> all their bytes, as far as they lie in the window. */
static inline void finish_cjk(tok_masks *m, uint64_t lead)
{
    lead &= UINT64_MAX >> 2;
    m->cjk = lead | lead << 1 | lead << 2;
}

static void classify_portable(const uint8_t *p, tok_masks *m)
{
    uint64_t lead = 0;
    memset(m, 0, sizeof *m);
    for (unsigned i = 0; i < TOK_WINDOW; i++) {
        uint64_t bit = (uint64_t)1 << i;
        uint8_t c = p[i], d = p[i + 1];
        m->letter |= (uint8_t)((c | 0x20) - 'a') < 26 ? bit : 0;
        m->digit |= (uint8_t)(c - '0') < 10 ? bit : 0;
        m->space |= c == ' ' ? bit : 0;
        m->newline |= c == '\n' || c == '\r' ? bit : 0;
        m->blank |= c == '\t' || c == '\v' || c == '\f' ? bit : 0;
        m->control |= (c < 0x20 && (uint8_t)(c - 9) >= 5) || c == 0x7f ? bit : 0;
        m->high |= c >= 0x80 ? bit : 0;
        m->cont |= (c & 0xc0) == 0x80 ? bit : 0;
        lead |= (c >= 0xe5 && c <= 0xe8) || (c == 0xe4 && d >= 0xb8) || (c == 0xe9 && d <= 0xbd)
                    ? bit
                    : 0;
    }
    finish_cjk(m, lead);
}

#if defined(__x86_64__)

#define AVX512 __attribute__((target("avx512f,avx512bw")))

AVX512 static inline uint64_t below512(__m512i v, char from, char n)
{
    return _mm512_cmplt_epu8_mask(_mm512_sub_epi8(v, _mm512_set1_epi8(from)), _mm512_set1_epi8(n));
}
AVX512 static inline uint64_t equal512(__m512i v, char c)
{
    return _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(c));
}

AVX512 static void classify_avx512(const uint8_t *p, tok_masks *m)
{
    __m512i v = _mm512_loadu_si512(p);
    uint64_t white = below512(v, 9, 5), lead = 0;
    m->letter = below512(_mm512_or_si512(v, _mm512_set1_epi8(0x20)), 'a', 26);
    m->digit = below512(v, '0', 10);
    m->space = equal512(v, ' ');
    m->newline = equal512(v, '\n') | equal512(v, '\r');
    m->blank = white & ~m->newline;
    m->control = (below512(v, 0, 0x20) & ~white) | equal512(v, 0x7f);
    m->high = (uint64_t)_mm512_movepi8_mask(v);
    m->cont = 0;
    if (m->high != 0) {
        __m512i w = _mm512_loadu_si512(p + 1);
        m->cont = below512(v, (char)0x80, 0x40);
        lead = below512(v, (char)0xe5, 4) |
               (equal512(v, (char)0xe4) & _mm512_cmpge_epu8_mask(w, _mm512_set1_epi8((char)0xb8))) |
               (equal512(v, (char)0xe9) & _mm512_cmple_epu8_mask(w, _mm512_set1_epi8((char)0xbd)));
    }
    finish_cjk(m, lead);
}

#define AVX2 __attribute__((target("avx2")))

AVX2 static inline uint32_t bits256(__m256i v)
{
    return (uint32_t)_mm256_movemask_epi8(v);
}
AVX2 static inline uint32_t equal256(__m256i v, char c)
{
    return bits256(_mm256_cmpeq_epi8(v, _mm256_set1_epi8(c)));
}
/* from <= v < from + n, unsigned */
AVX2 static inline uint32_t below256(__m256i v, char from, char n)
{
    __m256i d = _mm256_sub_epi8(v, _mm256_set1_epi8(from));
    return bits256(_mm256_cmpeq_epi8(_mm256_min_epu8(d, _mm256_set1_epi8((char)(n - 1))), d));
}

AVX2 static void half_avx2(const uint8_t *p, tok_masks *m, unsigned at, uint64_t *lead)
{
    __m256i v = _mm256_loadu_si256((const __m256i_u *)(const void *)p);
    uint32_t white = below256(v, 9, 5), high = bits256(v),
             nl = equal256(v, '\n') | equal256(v, '\r');
    m->letter |= (uint64_t)below256(_mm256_or_si256(v, _mm256_set1_epi8(0x20)), 'a', 26) << at;
    m->digit |= (uint64_t)below256(v, '0', 10) << at;
    m->space |= (uint64_t)equal256(v, ' ') << at;
    m->newline |= (uint64_t)nl << at;
    m->blank |= (uint64_t)(white & ~nl) << at;
    m->control |= (uint64_t)((below256(v, 0, 0x20) & ~white) | equal256(v, 0x7f)) << at;
    m->high |= (uint64_t)high << at;
    if (high != 0) {
        __m256i w = _mm256_loadu_si256((const __m256i_u *)(const void *)(p + 1));
        uint32_t l = below256(v, (char)0xe5, 4) |
                     (equal256(v, (char)0xe4) & below256(w, (char)0xb8, 0x48)) |
                     (equal256(v, (char)0xe9) & below256(w, 0, (char)0xbe));
        m->cont |= (uint64_t)below256(v, (char)0x80, 0x40) << at;
        *lead |= (uint64_t)l << at;
    }
}

AVX2 static void classify_avx2(const uint8_t *p, tok_masks *m)
{
    uint64_t lead = 0;
    memset(m, 0, sizeof *m);
    half_avx2(p, m, 0, &lead);
    half_avx2(p + 32, m, 32, &lead);
    finish_cjk(m, lead);
}

static bool has(const char *name)
{
    __builtin_cpu_init();
    if (strcmp(name, "avx512") == 0)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
    return strcmp(name, "avx2") == 0 && __builtin_cpu_supports("avx2");
}

#elif defined(__aarch64__)

/* One bit a byte from 64 bytes of 0x00 or 0xff: each byte keeps a bit of its own, then neighbours
 * are added up. */
static inline uint64_t bits_neon(const uint8x16_t v[4])
{
    static const uint8_t one[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t b = vld1q_u8(one);
    uint8x16_t s0 = vpaddq_u8(vandq_u8(v[0], b), vandq_u8(v[1], b));
    uint8x16_t s1 = vpaddq_u8(vandq_u8(v[2], b), vandq_u8(v[3], b));
    s0 = vpaddq_u8(s0, s1);
    s0 = vpaddq_u8(s0, s0);
    return vgetq_lane_u64(vreinterpretq_u64_u8(s0), 0);
}
static inline uint64_t below_neon(const uint8x16_t v[4], uint8_t from, uint8_t n)
{
    uint8x16_t r[4];
    for (int i = 0; i < 4; i++)
        r[i] = vcltq_u8(vsubq_u8(v[i], vdupq_n_u8(from)), vdupq_n_u8(n));
    return bits_neon(r);
}

static void classify_neon(const uint8_t *p, tok_masks *m)
{
    uint8x16_t v[4], w[4], low[4];
    uint64_t lead = 0;
    for (int i = 0; i < 4; i++) {
        v[i] = vld1q_u8(p + 16 * i);
        w[i] = vld1q_u8(p + 16 * i + 1);
        low[i] = vorrq_u8(v[i], vdupq_n_u8(0x20));
    }
    uint64_t white = below_neon(v, 9, 5);
    m->letter = below_neon(low, 'a', 26);
    m->digit = below_neon(v, '0', 10);
    m->space = below_neon(v, ' ', 1);
    m->newline = below_neon(v, '\n', 1) | below_neon(v, '\r', 1);
    m->blank = white & ~m->newline;
    m->control = (below_neon(v, 0, 0x20) & ~white) | below_neon(v, 0x7f, 1);
    m->high = below_neon(v, 0x80, 0x80);
    m->cont = 0;
    if (m->high != 0) {
        m->cont = below_neon(v, 0x80, 0x40);
        lead = below_neon(v, 0xe5, 4) | (below_neon(v, 0xe4, 1) & below_neon(w, 0xb8, 0x48)) |
               (below_neon(v, 0xe9, 1) & below_neon(w, 0, 0xbe));
    }
    finish_cjk(m, lead);
}

static bool has(const char *name)
{
    return strcmp(name, "neon") == 0;
}

#else
static bool has(const char *name)
{
    (void)name;
    return false;
}
#endif

static const struct level {
    const char *name;
    tok_classify fn;
} levels[] = {
#if defined(__x86_64__)
    {"avx512", classify_avx512},
    {"avx2", classify_avx2},
#elif defined(__aarch64__)
    {"neon", classify_neon},
#endif
    {"portable", classify_portable},
    {"scalar", NULL},
};
#define LEVELS (sizeof levels / sizeof *levels)

static bool supported(size_t i)
{
    return i + 2 >= LEVELS || has(levels[i].name);
}

tok_classify ds_tok_classifier(const char *name)
{
    for (size_t i = 0; i < LEVELS && name != NULL; i++)
        if (strcmp(levels[i].name, name) == 0 && supported(i))
            return levels[i].fn;
    for (size_t i = 0; i < LEVELS; i++)
        if (supported(i) && i + 2 < LEVELS)
            return levels[i].fn;
    return NULL; /* the portable one is slower than the scanners */
}

const char *ds_tok_classifier_name(unsigned k)
{
    for (size_t i = 0; i < LEVELS; i++)
        if (supported(i) && k-- == 0)
            return levels[i].name;
    return NULL;
}
