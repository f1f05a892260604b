/* shalanes.c - see shalanes.h. */
#include "shalanes.h"

#include <string.h>

#include "buf.h"

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>

#define SHA __attribute__((target("sha,sse4.1")))
#define WITHIN SHA static inline __attribute__((always_inline))
enum { BLOCK = 64, PARTS = 3, LENGTH = 8 };
enum { GROUP = 128 }; /* messages that are put in order */

/* One message on its way: its blocks lie in up to three places. */
typedef struct lane {
    __m128i s[2]; /* the state, as the instructions want it: words A B E F, and C D G H */
    struct {
        const uint8_t *p;
        size_t blocks;
    } part[PARTS]; /* the tag and what fills its block; the middle; the rest, 80.. and the length */
    int at;        /* the part at hand; PARTS: all of it was passed */
    ds_sha *out;
    uint8_t first[BLOCK], last[2 * BLOCK];
} lane;

static const uint32_t k[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/* A state and the sixteen words of the schedule that the next rounds need, four to a vector. */
typedef struct work {
    __m128i abef, cdgh, w[4];
} work;

WITHIN void take_block(work *x, const __m128i s[2], const uint8_t *p)
{
    const __m128i big_end = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    x->abef = s[0];
    x->cdgh = s[1];
    for (int i = 0; i < 4; i++)
        x->w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)p + i), big_end);
}

/* Rounds 4g to 4g + 3, and the four words of the schedule that come sixteen after theirs. */
WITHIN void four_rounds(work *x, int g)
{
    __m128i *w = &x->w[g & 3], *w1 = &x->w[(g + 1) & 3];
    const __m128i w2 = x->w[(g + 2) & 3], w3 = x->w[(g + 3) & 3];
    const __m128i kw = _mm_add_epi32(*w, _mm_load_si128((const __m128i *)(const void *)k + g));
    x->cdgh = _mm_sha256rnds2_epu32(x->cdgh, x->abef, kw);
    x->abef = _mm_sha256rnds2_epu32(x->abef, x->cdgh, _mm_shuffle_epi32(kw, 0x0e));
    if (g < 12)
        *w = _mm_sha256msg2_epu32(
            _mm_add_epi32(_mm_sha256msg1_epu32(*w, *w1), _mm_alignr_epi8(w3, w2, 4)), w3);
}

WITHIN void add_to(__m128i s[2], const work *x)
{
    s[0] = _mm_add_epi32(s[0], x->abef);
    s[1] = _mm_add_epi32(s[1], x->cdgh);
}

SHA static void pass_one(lane *a, size_t n)
{
    const uint8_t *p = a->part[a->at].p;
    __m128i s[2] = {a->s[0], a->s[1]};
    for (; n > 0; n--, p += BLOCK) {
        work x;
        take_block(&x, s, p);
#pragma GCC unroll 16
        for (int g = 0; g < 16; g++)
            four_rounds(&x, g);
        add_to(s, &x);
    }
    memcpy(a->s, s, sizeof s);
}

SHA static void pass_two(lane *a, lane *b, size_t n)
{
    const uint8_t *p = a->part[a->at].p, *q = b->part[b->at].p;
    __m128i s[2] = {a->s[0], a->s[1]}, t[2] = {b->s[0], b->s[1]};
    for (; n > 0; n--, p += BLOCK, q += BLOCK) {
        work x, y;
        take_block(&x, s, p);
        take_block(&y, t, q);
#pragma GCC unroll 16
        for (int g = 0; g < 16; g++) {
            four_rounds(&x, g);
            four_rounds(&y, g);
        }
        add_to(s, &x);
        add_to(t, &y);
    }
    memcpy(a->s, s, sizeof s);
    memcpy(b->s, t, sizeof t);
}

/* Leaves parts that were passed, and empty ones, behind. */
static void settle(lane *a)
{
    while (a->at < PARTS && a->part[a->at].blocks == 0)
        a->at++;
}

static void passed(lane *a, size_t n)
{
    a->part[a->at].p += BLOCK * n;
    a->part[a->at].blocks -= n;
    settle(a);
}

static void begin(lane *a, ds_sha *out, const void *tag, size_t tag_len, const ds_bytes *v)
{
    const uint8_t *p = v->p;
    size_t left = v->len, have = tag_len;
    memset(a->part, 0, sizeof a->part);
    a->at = 0;
    a->out = out;
    a->s[0] = _mm_set_epi32(0x6a09e667, (int)0xbb67ae85, 0x510e527f, (int)0x9b05688c);
    a->s[1] = _mm_set_epi32(0x3c6ef372, (int)0xa54ff53a, 0x1f83d9ab, 0x5be0cd19);
    if (tag_len)
        memcpy(a->first, tag, tag_len);
    if (tag_len && left >= BLOCK - tag_len) {
        memcpy(a->first + tag_len, p, BLOCK - tag_len);
        p += BLOCK - tag_len;
        left -= BLOCK - tag_len;
        have = 0;
        a->part[0].p = a->first;
        a->part[0].blocks = 1;
    }
    if (have == 0 && left >= BLOCK) {
        a->part[1].p = p;
        a->part[1].blocks = left / BLOCK;
        p += left / BLOCK * BLOCK;
        left %= BLOCK;
    }
    /* Less than a block is left, behind a tag that filled none. */
    memset(a->last, 0, sizeof a->last);
    memcpy(a->last, a->first, have);
    if (left)
        memcpy(a->last + have, p, left);
    have += left;
    a->last[have] = 0x80;
    const size_t blocks = have + 1 + LENGTH > BLOCK ? 2 : 1;
    ds_set_big(a->last + blocks * BLOCK - LENGTH, ((uint64_t)tag_len + v->len) * 8);
    a->part[2].p = a->last;
    a->part[2].blocks = blocks;
    settle(a);
}

SHA static void end(const lane *a)
{
    const __m128i big_end = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    const __m128i feba = _mm_shuffle_epi32(a->s[0], 0x1b), dchg = _mm_shuffle_epi32(a->s[1], 0xb1);
    const __m128i abcd = _mm_blend_epi16(feba, dchg, 0xf0), efgh = _mm_alignr_epi8(dchg, feba, 8);
    _mm_storeu_si128((__m128i *)(void *)a->out->b, _mm_shuffle_epi8(abcd, big_end));
    _mm_storeu_si128((__m128i *)(void *)a->out->b + 1, _mm_shuffle_epi8(efgh, big_end));
}

/* The rest of a message that has no other beside it. */
static void finish(lane *a)
{
    while (a->at < PARTS) {
        const size_t n = a->part[a->at].blocks;
        pass_one(a, n);
        passed(a, n);
    }
    end(a);
}

/* Messages by their lengths, the longest first: so the last ones, of which one may have to go on
 * alone, are short. */
static void longest_first(uint8_t order[GROUP], const ds_bytes *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t at = i;
        for (; at > 0 && v[order[at - 1]].len < v[i].len; at--)
            order[at] = order[at - 1];
        order[at] = (uint8_t)i;
    }
}

/* Of a group of at least one. */
static void group(lane lanes[2], ds_sha *out, const void *tag, size_t tag_len, const ds_bytes *v,
                  size_t n)
{
    lane *a = &lanes[0], *b = &lanes[1];
    uint8_t order[GROUP] = {0};
    longest_first(order, v, n);
    begin(a, &out[order[0]], tag, tag_len, &v[order[0]]);
    for (size_t i = 1; i < n; i++) {
        begin(b, &out[order[i]], tag, tag_len, &v[order[i]]);
        while (a->at < PARTS && b->at < PARTS) {
            const size_t x = a->part[a->at].blocks, y = b->part[b->at].blocks, m = x < y ? x : y;
            pass_two(a, b, m);
            passed(a, m);
            passed(b, m);
        }
        if (a->at == PARTS) { /* perhaps b too: finish has nothing left to do then */
            lane *done = a;
            a = b;
            b = done;
        }
        end(b);
    }
    finish(a);
}

void ds_shalanes(ds_sha *out, const void *tag, size_t tag_len, const ds_bytes *v, size_t n)
{
    lane lanes[2];
    for (size_t at = 0, m; at < n; at += m) {
        m = n - at < GROUP ? n - at : GROUP;
        group(lanes, out + at, tag, tag_len, v + at, m);
    }
    explicit_bzero(lanes, sizeof lanes);
}

bool ds_shalanes_here(void)
{
    unsigned a, b = 0, c, d;
    return __builtin_cpu_supports("sse4.1") && __get_cpuid_count(7, 0, &a, &b, &c, &d) &&
           b & bit_SHA;
}

#else

bool ds_shalanes_here(void)
{
    return false;
}

void ds_shalanes(ds_sha *out, const void *tag, size_t tag_len, const ds_bytes *v, size_t n)
{
    (void)out, (void)tag, (void)tag_len, (void)v, (void)n;
}

#endif
