/* minhash.c - see minhash.h. */
#include "minhash.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "normwords.h"

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

enum { LANES = 8, GROUP = 7 }; /* of a vector; vectors at a time */

int ds_minhash_init(ds_minhash *m, const ds_wordfold *fold, uint64_t seed, unsigned bands,
                    unsigned rows, unsigned words, ds_err *err)
{
    *m = (ds_minhash){.bands = bands, .rows = rows, .words = words, .fold = fold};
    m->n = ((size_t)bands * rows + LANES - 1) / LANES * LANES;
    m->a = malloc(m->n * sizeof *m->a);
    m->b = malloc(m->n * sizeof *m->b);
    if (!m->a || !m->b)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < m->n; i++) {
        const uint64_t r = splitmix(&seed);
        m->a[i] = (uint32_t)r | 1;
        m->b[i] = (uint32_t)(r >> 32);
    }
    return 0;
}

void ds_minhash_fini(ds_minhash *m)
{
    free(m->a);
    free(m->b);
    m->a = m->b = NULL;
}

/* ---- words and shingles ---- */

static void put_shingle(uint32_t **x, uint64_t h)
{
    *(*x)++ = (uint32_t)(ds_norm_mix(h) >> 32);
}

/* Of all runs of `most` words; of all words when there are fewer. */
static int shingles_of(ds_minwork *w, size_t n, size_t most, ds_err *err)
{
    const uint64_t *words = (const uint64_t *)(const void *)w->words.data;
    const size_t run = n < most ? n : most;
    const uint64_t power = ds_norm_power(run);
    ds_buf_reset(&w->x);
    if (n == 0)
        return 0;
    if (ds_buf_reserve(&w->x, (n - run + 1) * sizeof(uint32_t)))
        return ds_fail_nomem(err);
    uint32_t *x = (uint32_t *)(void *)w->x.data;
    uint64_t h = ds_norm_run(words, run);
    put_shingle(&x, h);
    for (size_t i = run; i < n; i++) {
        h = ds_norm_roll(h, power, words[i - run], words[i]);
        put_shingle(&x, h);
    }
    w->x.len = (n - run + 1) * sizeof(uint32_t);
    return 0;
}

/* ---- minima ---- */

static void minima_plain(const ds_minhash *m, uint32_t *least, const uint32_t *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < m->n; k++) {
            const uint32_t h = m->a[k] * x[i] + m->b[k];
            least[k] = h < least[k] ? h : least[k];
        }
}

#if defined(__x86_64__)
/* So many vectors, which stay in registers where their number is known. */
__attribute__((target("avx2"), always_inline)) static inline void
minima_group(const ds_minhash *m, uint32_t *least, const uint32_t *x, size_t n, size_t k,
             const unsigned group)
{
    __m256i v[GROUP];
    for (unsigned g = 0; g < group; g++)
        v[g] = _mm256_loadu_si256((const __m256i_u *)(const void *)(least + k + g * LANES));
    for (size_t i = 0; i < n; i++) {
        const __m256i s = _mm256_set1_epi32((int)x[i]);
        for (unsigned g = 0; g < group; g++) {
            const size_t at = k + g * LANES;
            const __m256i a = _mm256_loadu_si256((const __m256i_u *)(const void *)(m->a + at)),
                          b = _mm256_loadu_si256((const __m256i_u *)(const void *)(m->b + at));
            v[g] = _mm256_min_epu32(v[g], _mm256_add_epi32(_mm256_mullo_epi32(a, s), b));
        }
    }
    for (unsigned g = 0; g < group; g++)
        _mm256_storeu_si256((__m256i_u *)(void *)(least + k + g * LANES), v[g]);
}

__attribute__((target("avx2"))) static void minima_avx2(const ds_minhash *m, uint32_t *least,
                                                        const uint32_t *x, size_t n)
{
    size_t k = 0;
    for (; m->n - k >= GROUP * LANES; k += GROUP * LANES)
        minima_group(m, least, x, n, k, GROUP);
    for (; k < m->n; k += LANES)
        minima_group(m, least, x, n, k, 1);
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

/* Of the minima of each band, in little endian order. */
static int hash_bands(const ds_minhash *m, ds_minwork *w, uint64_t *bands, ds_err *err)
{
    const uint32_t *least = (const uint32_t *)(const void *)w->least.data;
    for (unsigned i = 0; i < m->bands; i++) {
        ds_buf_reset(&w->row);
        for (unsigned k = 0; k < m->rows; k++)
            if (ds_buf_u32(&w->row, *least++))
                return ds_fail_nomem(err);
        bands[i] = XXH3_64bits(w->row.data, w->row.len);
    }
    return 0;
}

int ds_minhash_text(const ds_minhash *m, ds_minwork *w, const uint8_t *p, size_t len,
                    uint64_t *bands, bool *any, ds_err *err)
{
    ds_buf *const l = &w->least;
    ds_buf_reset(&w->words);
    ds_buf_reset(l);
    if (ds_normwords(&w->words, NULL, m->fold, true, p, len) ||
        ds_buf_reserve(l, m->n * sizeof(uint32_t)))
        return ds_fail_nomem(err);
    const size_t n = w->words.len / sizeof(uint64_t);
    const int rc = shingles_of(w, n, m->words, err);
    *any = n > 0;
    if (rc || n == 0)
        return rc;
    memset(l->data, 0xff, m->n * sizeof(uint32_t));
    minima(m, (uint32_t *)(void *)l->data, (const uint32_t *)(const void *)w->x.data,
           w->x.len / sizeof(uint32_t));
    return hash_bands(m, w, bands, err);
}

void ds_minwork_fini(ds_minwork *w)
{
    ds_buf *const all[] = {&w->x, &w->words, &w->least, &w->row};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        ds_buf_fini(all[i]);
}
