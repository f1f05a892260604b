/* xxh.h - XXH3 by the widest vectors that the processor has.
 *
 * xxHash's own functions are built for the oldest processor of their kind: with AVX2 or AVX-512
 * what lies in the cache takes a quarter of the time. Where the library can choose when it runs,
 * its header for that is installed with it. For input that comes in a few bytes at a time there is
 * nothing to be won, and <xxhash.h> will do.
 */
#ifndef DS_XXH_H
#define DS_XXH_H

#include <xxhash.h>
#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)
#define XXH_DISPATCH_DISABLE_REPLACE
#include <xxh_x86dispatch.h>
#define DS_XXH(name) name##_dispatch
#else
#define DS_XXH(name) name
#endif

enum { DS_XXH_SHORT = 240 }; /* XXH3 takes no vectors to it up to that */

/* The library returns with the upper halves of vector registers in use. Until they are cleared, SSE
 * instructions wait for them: SHA-256 takes twice as long, zstd a quarter longer. */
static inline void ds_xxh_clear(void)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx"))
        __asm__ volatile("vzeroupper" ::
                             : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                               "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
                               "xmm15");
#endif
}

static inline XXH64_hash_t ds_xxh3_64(const void *p, size_t len)
{
    if (len <= DS_XXH_SHORT)
        return XXH3_64bits(p, len);
    const XXH64_hash_t h = DS_XXH(XXH3_64bits)(p, len);
    ds_xxh_clear();
    return h;
}

static inline XXH128_hash_t ds_xxh3_128(const void *p, size_t len)
{
    if (len <= DS_XXH_SHORT)
        return XXH3_128bits(p, len);
    const XXH128_hash_t h = DS_XXH(XXH3_128bits)(p, len);
    ds_xxh_clear();
    return h;
}

static inline void ds_xxh3_64_put(XXH3_state_t *x, const void *p, size_t len)
{
    (void)DS_XXH(XXH3_64bits_update)(x, p, len);
    ds_xxh_clear();
}

static inline void ds_xxh3_128_put(XXH3_state_t *x, const void *p, size_t len)
{
    (void)DS_XXH(XXH3_128bits_update)(x, p, len);
    ds_xxh_clear();
}

#endif
