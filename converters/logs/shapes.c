/* shapes.c - see shapes.h. */
#define XXH_INLINE_ALL
#include "shapes.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define OPEN 1 /* stands for an open word in a key */

/* ---- words ---- */

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t';
}

size_t ds_shape_line(const uint8_t *p, size_t len, size_t *from)
{
    const uint8_t *lf = memchr(p, '\n', len);
    size_t end = lf ? (size_t)(lf - p) : len, at = 0;
    while (at < end && is_space(p[at]))
        at++;
    while (end > at && (is_space(p[end - 1]) || p[end - 1] == '\r'))
        end--;
    *from = at;
    return end - at;
}

/* Bits of 64 bytes: white space, digits. */
static void masks(const uint8_t *p, uint64_t *space, uint64_t *digit)
{
#ifdef __SSE2__
    *space = *digit = 0;
    for (int i = 0; i < 4; i++) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));
        __m128i s = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8(' ')),
                                 _mm_cmpeq_epi8(v, _mm_set1_epi8('\t')));
        __m128i d = _mm_sub_epi8(v, _mm_set1_epi8('0'));
        d = _mm_cmpeq_epi8(_mm_min_epu8(d, _mm_set1_epi8(9)), d);
        *space |= (uint64_t)(unsigned)_mm_movemask_epi8(s) << 16 * i;
        *digit |= (uint64_t)(unsigned)_mm_movemask_epi8(d) << 16 * i;
    }
#else
    *space = *digit = 0;
    for (int i = 0; i < 64; i++) {
        *space |= (uint64_t)is_space(p[i]) << i;
        *digit |= (uint64_t)((uint8_t)(p[i] - '0') < 10) << i;
    }
#endif
}

/* The words that are being cut out of a line, 64 bytes after 64 bytes. */
typedef struct cutter {
    ds_word *w;
    size_t n;
    bool in, open; /* a word has begun, and holds a digit */
} cutter;

/* Bits [from, to) of 64, from < to < 64. */
static inline uint64_t between(unsigned from, unsigned to)
{
    return (((uint64_t)1 << to) - 1) & UINT64_MAX << from;
}

static void cut64(cutter *c, uint32_t base, uint64_t space, uint64_t digit)
{
    uint64_t change = space ^ (space << 1 | (uint64_t)!c->in); /* where words begin and end */
    ds_word *w = &c->w[c->n];
    if (c->in && change) {
        const unsigned end = (unsigned)__builtin_ctzll(change);
        w->len = base + end - w->at;
        w->open = c->open || (end && digit & between(0, end));
        change &= change - 1;
        c->in = false;
        w++;
    }
    if (c->in) {
        c->open = c->open || digit;
        return;
    }
    while (change) {
        const unsigned from = (unsigned)__builtin_ctzll(change);
        w->at = base + from;
        change &= change - 1;
        if (!change) {
            c->in = true;
            c->open = digit >> from;
            break;
        }
        const unsigned end = (unsigned)__builtin_ctzll(change);
        change &= change - 1;
        w->len = end - from;
        w->open = digit & between(from, end);
        w++;
    }
    c->n = (size_t)(w - c->w);
}

size_t ds_shape_words(const uint8_t *line, size_t len, ds_word *words)
{
    cutter c = {.w = words};
    size_t all = len;
    uint64_t space, digit;
    if (len > DS_SHAPE_LINE)
        for (len = DS_SHAPE_LINE; len > 0 && !is_space(line[len - 1]);)
            len--;
    for (size_t at = 0; at < len; at += 64) {
        uint8_t last[64];
        const uint8_t *p = line + at;
        if (len - at < 64) {
            memset(last, ' ', sizeof last);
            memcpy(last, p, len - at);
            p = last;
        }
        masks(p, &space, &digit);
        cut64(&c, (uint32_t)at, space, digit);
    }
    if (c.in) {
        ds_word *w = &words[c.n++];
        w->len = (uint32_t)len - w->at;
        w->open = c.open;
    }
    if (all > len)
        words[c.n++] = (ds_word){(uint32_t)len, (uint32_t)(all - len), true};
    return c.n;
}

/* ---- the set ---- */

/* The line with its open words replaced, into s->key. */
static int make_key(ds_shapes *s, const uint8_t *line, size_t len, const ds_word *w, size_t n)
{
    s->key.len = 0;
    if (ds_buf_reserve(&s->key, len + 1) != 0)
        return DS_NOMEM;
    uint8_t *o = s->key.data;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (!w[i].open)
            continue;
        memcpy(o, line + at, w[i].at - at);
        o += w[i].at - at;
        *o++ = OPEN;
        at = w[i].at + w[i].len;
    }
    memcpy(o, line + at, len - at);
    s->key.len = (size_t)(o - s->key.data) + len - at;
    return 0;
}

static int grow_table(ds_shapes *s)
{
    size_t slots = s->slots ? s->slots * 2 : 1024, bytes;
    uint32_t *t = ds_mul_size(slots, sizeof *t, &bytes) ? calloc(1, bytes) : NULL;
    if (!t)
        return DS_NOMEM;
    for (size_t i = 0; i < s->n; i++) {
        size_t k = s->v[i].hash & (slots - 1);
        while (t[k])
            k = (k + 1) & (slots - 1);
        t[k] = (uint32_t)i + 1;
    }
    free(s->table);
    s->table = t;
    s->slots = slots;
    return 0;
}

/* Keys of two lines are equal exactly when their hashes of 128 bits are; here 64 choose and the
 * words decide: equal but for open words. */
static bool same_shape(const ds_shapes *s, const ds_shape *sh, const uint8_t *line, size_t len,
                       const ds_word *w, size_t n)
{
    const uint8_t *first = s->bytes.data + sh->line;
    const uint8_t *p = line, *end = line + len, *q = first, *qend = first + sh->len;
    for (size_t i = 0; i < n; i++) {
        if (!w[i].open)
            continue;
        size_t k = (size_t)(line + w[i].at - p);
        if ((size_t)(qend - q) < k || memcmp(p, q, k) != 0)
            return false;
        p = line + w[i].at + w[i].len;
        q += k;
        if (p == end)
            return true; /* both end with an open word: the hash has the rest */
        while (q < qend && !is_space(*q))
            q++;
    }
    return end - p == qend - q && memcmp(p, q, (size_t)(end - p)) == 0;
}

static int add_shape(ds_shapes *s, uint64_t hash, const uint8_t *line, size_t len, const ds_word *w,
                     size_t n, size_t slot, ds_err *err)
{
    uint32_t open = 0;
    if (ds_grow(&s->v, &s->cap, s->n, sizeof *s->v))
        return ds_fail_nomem(err);
    for (size_t i = 0; i < n; i++)
        open += w[i].open;
    s->v[s->n] = (ds_shape){.line = s->bytes.len,
                            .len = (uint32_t)len,
                            .open = open,
                            .left = open,
                            .varied = s->flags.len,
                            .hash = hash};
    if (ds_buf_put(&s->bytes, line, len) != 0 || ds_buf_reserve(&s->flags, open + 1) != 0)
        return ds_fail_nomem(err);
    memset(s->flags.data + s->flags.len, 0, open);
    s->flags.len += open;
    s->table[slot] = (uint32_t)++s->n;
    return 0;
}

/* Open words that differ from those of the first line. */
static void note_varied(ds_shapes *s, ds_shape *sh, const uint8_t *line, const ds_word *w, size_t n)
{
    const uint8_t *q = s->bytes.data + sh->line, *qend = q + sh->len;
    uint8_t *flag = s->flags.data + sh->varied;
    size_t before = 0;
    for (size_t i = 0; i < n && sh->left > 0; i++) {
        if (!w[i].open)
            continue;
        q += w[i].at - before;
        before = w[i].at + w[i].len;
        bool last = before > DS_SHAPE_LINE;
        const uint8_t *e = last ? qend : q;
        while (e < qend && !is_space(*e))
            e++;
        bool same = (size_t)(e - q) == w[i].len && memcmp(q, line + w[i].at, w[i].len) == 0;
        if (!same && !*flag) {
            *flag = 1;
            sh->left--;
        }
        flag++;
        q = e;
    }
}

static int find(ds_shapes *s, const uint8_t *line, size_t len, const ds_word *w, size_t n,
                uint32_t *number, ds_err *err)
{
    if (s->n * 2 >= s->slots && grow_table(s) != 0)
        return ds_fail_nomem(err);
    if (make_key(s, line, len, w, n) != 0)
        return ds_fail_nomem(err);
    uint64_t hash = XXH3_64bits(s->key.data, s->key.len);
    size_t k = hash & (s->slots - 1);
    while (s->table[k]) {
        ds_shape *sh = &s->v[s->table[k] - 1];
        if (sh->hash == hash && same_shape(s, sh, line, len, w, n)) {
            *number = s->table[k] - 1;
            note_varied(s, sh, line, w, n);
            return 0;
        }
        k = (k + 1) & (s->slots - 1);
    }
    *number = DS_SHAPE_NONE;
    if (s->max && s->n >= s->max)
        return 0;
    *number = (uint32_t)s->n;
    return add_shape(s, hash, line, len, w, n, k, err);
}

int ds_shapes_add(ds_shapes *s, const uint8_t *p, size_t len, uint32_t *number, ds_err *err)
{
    ds_word words[DS_SHAPE_LINE / 2 + 2];
    size_t from, n = ds_shape_line(p, len, &from);
    int rc = find(s, p + from, n, words, ds_shape_words(p + from, n, words), number, err);
    if (rc == 0 && *number != DS_SHAPE_NONE)
        s->v[*number].count++;
    return rc;
}

int ds_shapes_merge(ds_shapes *s, const ds_shapes *from, uint32_t *map, ds_err *err)
{
    ds_word words[DS_SHAPE_LINE / 2 + 2];
    for (size_t i = 0; i < from->n; i++) {
        const ds_shape *f = &from->v[i];
        const uint8_t *line = from->bytes.data + f->line;
        int rc = find(s, line, f->len, words, ds_shape_words(line, f->len, words), &map[i], err);
        if (rc != 0)
            return rc;
        if (map[i] == DS_SHAPE_NONE)
            continue;
        ds_shape *t = &s->v[map[i]];
        t->count += f->count;
        for (uint32_t k = 0; k < f->open; k++) {
            uint8_t *flag = s->flags.data + t->varied + k;
            if (from->flags.data[f->varied + k] && !*flag) {
                *flag = 1;
                t->left--;
            }
        }
    }
    return 0;
}

void ds_shapes_reset(ds_shapes *s)
{
    s->n = s->bytes.len = s->flags.len = 0;
    if (s->table)
        memset(s->table, 0, s->slots * sizeof *s->table);
}

void ds_shapes_fini(ds_shapes *s)
{
    free(s->v);
    free(s->table);
    ds_buf_fini(&s->bytes);
    ds_buf_fini(&s->flags);
    ds_buf_fini(&s->key);
    memset(s, 0, sizeof *s);
}
