/* dcmneedle.c - see dcmneedle.h. */
#include "dcmneedle.h"

#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "hash.h"

#define STRIDE (DCM_RAW_MIN - 3)            /* of any 5 neighbours one is looked at */
#define BLOCK 64                            /* bytes that are classed at once */
#define STEP (BLOCK - DCM_RAW_MIN)          /* so that every window lies within a block */
#define FIFTHS UINT64_C(0x1084210842108421) /* bits 0, 5, 10 .. 60 */

/* ---- making ---- */

static uint64_t hash_of(uint32_t four)
{
    return (uint64_t)four * UINT64_C(0x9e3779b97f4a7c15);
}

/* What a byte is: see dcm_needles.any. */
static int class_of(uint8_t c)
{
    return c >= 0x80 ? 1 : c >= 0x20 ? 0 : 2;
}

/* Where the window begins, the last of the best kind, which is raised in *any. */
static size_t window_of(const uint8_t *p, size_t n, int *any)
{
    size_t best = 0;
    int kind = 3;
    for (size_t at = n - DCM_RAW_MIN + 1; at-- > 0 && kind > 0;) {
        int worst = 0;
        for (size_t i = 0; i < DCM_RAW_MIN; i++)
            worst = class_of(p[at + i]) > worst ? class_of(p[at + i]) : worst;
        if (worst < kind) {
            kind = worst;
            best = at;
        }
    }
    *any = kind > *any ? kind : *any;
    return best;
}

static uint32_t *slot_of(const dcm_needles *s, const uint8_t *p, size_t n)
{
    size_t at = (size_t)ds_xxh64(p, n) & (s->ntable - 1);
    while (s->table[at]) {
        const dcm_needle *d = &s->v[s->table[at] - 1];
        if (d->n == n && memcmp(s->text.data + d->at, p, n) == 0)
            break;
        at = (at + 1) & (s->ntable - 1);
    }
    return &s->table[at];
}

static int make_room(dcm_needles *s, size_t n, ds_err *err)
{
    size_t cap = s->cap ? s->cap * 2 : 64, bytes;
    if (s->n >= UINT32_MAX / 8 || n > UINT32_MAX - s->text.len)
        return ds_fail(err, DS_FAIL, "the inputs hold more than 4 GiB of identifiers");
    if (ds_buf_reserve(&s->text, n) != 0)
        return ds_fail_nomem(err);
    if (s->n < s->cap)
        return 0;
    dcm_needle *v = ds_mul_size(cap, sizeof *v, &bytes) ? realloc(s->v, bytes) : NULL;
    if (v)
        s->v = v;
    uint32_t *table = v ? calloc(2 * cap, sizeof *table) : NULL;
    if (!table)
        return ds_fail_nomem(err);
    free(s->table);
    s->table = table;
    s->ntable = 2 * cap;
    s->cap = cap;
    for (size_t i = 0; i < s->n; i++)
        *slot_of(s, s->text.data + s->v[i].at, s->v[i].n) = (uint32_t)i + 1;
    return 0;
}

int dcm_needles_add(dcm_needles *s, uint32_t tag, uint8_t kind, const uint8_t *p, size_t n,
                    ds_err *err)
{
    int rc = make_room(s, n, err);
    if (rc == 0)
        rc = dcm_lookup_room(&s->four, STRIDE, err);
    if (rc != 0)
        return rc;
    uint32_t *slot = slot_of(s, p, n);
    if (*slot)
        return 0;
    size_t first = window_of(p, n, &s->any);
    for (size_t k = first; k < first + STRIDE; k++)
        dcm_lookup_add(&s->four, hash_of(ds_get_u32(p + k)), (uint32_t)s->n, (uint32_t)k);
    s->v[s->n++] = (dcm_needle){tag, kind, (uint32_t)s->text.len, (uint32_t)n};
    *slot = (uint32_t)s->n;
    return ds_buf_put(&s->text, p, n) ? ds_fail_nomem(err) : 0;
}

void dcm_needles_fini(dcm_needles *s)
{
    free(s->v);
    free(s->table);
    ds_buf_fini(&s->text);
    dcm_lookup_fini(&s->four);
    *s = (dcm_needles){0};
}

/* ---- looking ---- */

/* Bit i: byte i is a character. */
static uint64_t characters(const uint8_t p[BLOCK], bool all)
{
    uint64_t m = 0;
#ifdef __SSE2__
    const __m128i low = _mm_set1_epi8(0x1f); /* signed: bytes from 0x80 on are below */
    for (int i = 0; i < BLOCK / 16; i++) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));
        __m128i is = _mm_cmpgt_epi8(x, low);
        is = all ? _mm_or_si128(is, x) : is;
        m |= (uint64_t)(uint32_t)_mm_movemask_epi8(is) << 16 * i;
    }
#else
    for (int i = 0; i < BLOCK; i++)
        m |= (uint64_t)(p[i] >= 0x20 && (all || p[i] < 0x80)) << i;
#endif
    return m;
}

static bool is_at(const dcm_needles *s, const uint8_t *p, size_t len, size_t from, size_t at,
                  dcm_hit *hit)
{
    uint64_t hash = hash_of(ds_get_u32(p + at));
    if (!dcm_lookup_may(&s->four, hash))
        return false;
    for (uint32_t i = dcm_lookup_chain(&s->four, hash); i; i = s->four.v[i - 1].next) {
        const dcm_entry *e = &s->four.v[i - 1];
        const dcm_needle *d = &s->v[e->id];
        if (e->hash != hash || at - from < e->before || len - (at - e->before) < d->n ||
            memcmp(p + at - e->before, s->text.data + d->at, d->n) != 0)
            continue;
        *hit = (dcm_hit){d->tag, (enum dcm_id_kind)d->kind, at - e->before, d->n};
        return true;
    }
    return false;
}

int dcm_needles_find(const dcm_needles *s, const uint8_t *p, size_t len, size_t from, dcm_hit *hit)
{
    uint8_t last[BLOCK];
    if (s->n == 0)
        return 0;
    for (size_t at = from; at < len && len - at >= DCM_RAW_MIN; at += STEP) {
        const uint8_t *b = p + at;
        size_t n = len - at < BLOCK ? len - at : BLOCK;
        if (n < BLOCK) {
            memset(last, 0, sizeof last);
            b = memcpy(last, b, n);
        }
        uint64_t m = s->any < 2 ? characters(b, s->any == 1) : UINT64_MAX >> (BLOCK - n);
        /* Bits with which 8 set ones begin, then all bits that are in such a run. */
        uint64_t run = m & m >> 1;
        run &= run >> 2;
        run &= run >> 4;
        if (run == 0)
            continue;
        run |= run << 1;
        run |= run << 2;
        run |= run << 4;
        run &= run >> 1;
        run &= run >> 2;
        run &= FIFTHS << (STRIDE - (at - from) % STRIDE) % STRIDE;
        for (; run; run &= run - 1)
            if (is_at(s, p, len, from, at + (size_t)__builtin_ctzll(run), hit))
                return 1;
    }
    return 0;
}
