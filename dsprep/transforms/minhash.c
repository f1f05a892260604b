/* minhash.c - see minhash.h. */
#include "minhash.h"

#include <string.h>
#include <xxhash.h>

#include "tok_uni.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static uint64_t splitmix(uint64_t *s)
{
    uint64_t z = *s += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void ds_minhash_init(ds_minhash *m, const ds_textclass *classes, uint64_t seed)
{
    for (unsigned i = 0; i < DS_MIN_HASHES; i++) {
        const uint64_t r = splitmix(&seed);
        m->a[i] = (uint32_t)r | 1;
        m->b[i] = (uint32_t)(r >> 32);
    }
    m->classes = classes;
}

/* ---- words and shingles ---- */

#define WORD_SEED 0xcbf29ce484222325u
#define WORD_PRIME 0x100000001b3u

typedef struct shingles {
    ds_buf *out;
    uint64_t last[DS_MIN_WORDS]; /* words, a ring */
    uint64_t words;
} shingles;

static uint64_t mix(uint64_t h)
{
    h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
    h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
    return h ^ h >> 33;
}

/* The shingle of the last n words. */
static int put_shingle(shingles *s, unsigned n)
{
    uint64_t h = 0;
    for (unsigned i = 0; i < n; i++)
        h = (h + s->last[(s->words - n + i) % DS_MIN_WORDS]) * 0x9e3779b97f4a7c15u;
    const uint32_t x = (uint32_t)(mix(h) >> 32);
    if (s->out->cap - s->out->len < sizeof x && ds_buf_reserve(s->out, sizeof x))
        return DS_NOMEM;
    memcpy(s->out->data + s->out->len, &x, sizeof x);
    s->out->len += sizeof x;
    return 0;
}

static int put_word(shingles *s, uint64_t hash)
{
    s->last[s->words++ % DS_MIN_WORDS] = mix(hash);
    return s->words >= DS_MIN_WORDS ? put_shingle(s, DS_MIN_WORDS) : 0;
}

/* Lower case of the scripts that have it in one place. */
static uint32_t lower(uint32_t c)
{
    if ((c >= 0xc0 && c <= 0xde && c != 0xd7) || (c >= 0x391 && c <= 0x3a9) ||
        (c >= 0x410 && c <= 0x42f))
        return c + 32;
    return c >= 0x400 && c <= 0x40f ? c + 80 : c;
}

static int shingles_of(const ds_minhash *m, shingles *s, const uint8_t *p, size_t len)
{
    uint64_t h = WORD_SEED;
    bool in = false, digits = false; /* within a word; its last character was a digit */
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < len;) {
        unsigned size = 1;
        uint32_t c = p[i];
        if (c >= 0x80)
            c = ds_uni_get(p + i, &size);
        i += size;
        if (c - 'A' < 26u)
            c += 32;
        const uint8_t cls = c - 'a' < 26u ? DS_UNI_L : ds_textclass_of(m->classes, c);
        if (cls & DS_UNI_CJK) {
            rc = in ? put_word(s, h) : 0;
            if (rc == 0)
                rc = put_word(s, (WORD_SEED ^ c) * WORD_PRIME);
            h = WORD_SEED;
            in = digits = false;
        } else if (cls & DS_UNI_L) {
            h = (h ^ lower(c)) * WORD_PRIME;
            in = true;
            digits = false;
        } else if (cls & DS_UNI_N) {
            h = digits ? h : (h ^ '0') * WORD_PRIME;
            in = digits = true;
        } else if (!(cls & DS_UNI_M) && in) {
            rc = put_word(s, h);
            h = WORD_SEED;
            in = digits = false;
        }
    }
    return rc == 0 && in ? put_word(s, h) : rc;
}

/* ---- minima ---- */

static void minima_plain(const ds_minhash *m, uint32_t *least, const uint32_t *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (unsigned k = 0; k < DS_MIN_HASHES; k++) {
            const uint32_t h = m->a[k] * x[i] + m->b[k];
            least[k] = h < least[k] ? h : least[k];
        }
}

#if defined(__x86_64__)
/* Seven vectors at a time stay in registers. */
__attribute__((target("avx2"))) static void minima_avx2(const ds_minhash *m, uint32_t *least,
                                                        const uint32_t *x, size_t n)
{
    enum { LANES = 8, GROUP = 7 };
    for (unsigned k = 0; k < DS_MIN_HASHES; k += LANES * GROUP) {
        __m256i v[GROUP];
        for (unsigned g = 0; g < GROUP; g++)
            v[g] = _mm256_loadu_si256((const __m256i_u *)(const void *)(least + k + g * LANES));
        for (size_t i = 0; i < n; i++) {
            const __m256i s = _mm256_set1_epi32((int)x[i]);
            for (unsigned g = 0; g < GROUP; g++) {
                const unsigned at = k + g * LANES;
                const __m256i a = _mm256_loadu_si256((const __m256i_u *)(const void *)(m->a + at)),
                              b = _mm256_loadu_si256((const __m256i_u *)(const void *)(m->b + at));
                v[g] = _mm256_min_epu32(v[g], _mm256_add_epi32(_mm256_mullo_epi32(a, s), b));
            }
        }
        for (unsigned g = 0; g < GROUP; g++)
            _mm256_storeu_si256((__m256i_u *)(void *)(least + k + g * LANES), v[g]);
    }
}
#endif

static void minima(const ds_minhash *m, uint32_t *least, const uint32_t *x, size_t n)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        minima_avx2(m, least, x, n);
        return;
    }
#endif
    minima_plain(m, least, x, n);
}

int ds_minhash_text(const ds_minhash *m, ds_minwork *w, const uint8_t *p, size_t len,
                    uint64_t bands[DS_MIN_BANDS], bool *any, ds_err *err)
{
    shingles s = {.out = &w->x};
    ds_buf_reset(&w->x);
    int rc = shingles_of(m, &s, p, len);
    if (rc == 0 && s.words > 0 && s.words < DS_MIN_WORDS)
        rc = put_shingle(&s, (unsigned)s.words);
    *any = s.words > 0;
    if (rc)
        return ds_fail_nomem(err);
    memset(w->least, 0xff, sizeof w->least);
    minima(m, w->least, (const uint32_t *)(const void *)w->x.data, w->x.len / sizeof(uint32_t));
    for (unsigned i = 0; i < DS_MIN_BANDS; i++) {
        uint8_t le[4 * DS_MIN_ROWS];
        for (unsigned k = 0; k < DS_MIN_ROWS; k++)
            ds_set_u32(le + 4 * k, w->least[i * DS_MIN_ROWS + k]);
        bands[i] = XXH3_64bits(le, sizeof le);
    }
    return 0;
}

void ds_minwork_fini(ds_minwork *w)
{
    ds_buf_fini(&w->x);
}
