/* tok_walk.h - walking over JSON text that was checked to be UTF-8, a value at a time.
 *
 * For the two members of tokenizer.json that are nearly all of it (tok_model.c): values are stepped
 * over or decoded where they stand, nothing is built. Functions that return an int leave an error
 * that names the offset. A walk belongs to one thread and owns nothing.
 */
#ifndef DS_TOK_WALK_H
#define DS_TOK_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "error.h"

typedef struct tok_walk {
    const uint8_t *begin, *p, *end;
    ds_err *err;
} tok_walk;

int ds_tok_walk_bad(tok_walk *w, const char *what);

/* The string at w->p, decoded to *to and on, where there is room for as many bytes as the text has
 * left. NUL is refused: texts of tokens end with one. */
int ds_tok_walk_string(tok_walk *w, uint8_t **to);

/* Steps over a value of any kind; what is wrong inside is for others to say. */
int ds_tok_walk_skip(tok_walk *w);

/* Where `name`, which begins with a quote, stands in the text; NULL when it does not. */
const uint8_t *ds_tok_walk_find(const tok_walk *w, const char *name, size_t len);

static inline void tok_walk_space(tok_walk *w)
{
    const uint8_t *p = w->p;
#ifdef __SSE2__
    while (w->end - p >= 16) { /* a line end and what indents the next line, mostly */
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i blank = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8(' ')),
                                     _mm_cmpeq_epi8(v, _mm_set1_epi8('\n')));
        blank = _mm_or_si128(blank, _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('\r')),
                                                 _mm_cmpeq_epi8(v, _mm_set1_epi8('\t'))));
        unsigned other = ~(unsigned)_mm_movemask_epi8(blank) & 0xffff;
        if (other != 0) {
            w->p = p + __builtin_ctz(other);
            return;
        }
        p += 16;
    }
#endif
    while (p < w->end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    w->p = p;
}
static inline bool tok_walk_at(tok_walk *w, char c)
{
    if (w->p < w->end && *w->p == (uint8_t)c)
        return true;
    if (w->p<w->end && * w->p> ' ')
        return false;
    tok_walk_space(w);
    return w->p < w->end && *w->p == (uint8_t)c;
}
static inline bool tok_walk_take(tok_walk *w, char c)
{
    bool is = tok_walk_at(w, c);
    w->p += is;
    return is;
}

#define TOK_GLANCE 32
/* Bits for the bytes of a string: those that do not stand for themselves or end it; U+0020; and
 * what is not printing ASCII. */
typedef struct tok_glance {
    uint32_t odd, blank, other;
} tok_glance;

/* Looks at TOK_GLANCE bytes behind the quote at w->p; false where so many are not there, or there
 * are no instructions for it. */
static inline bool tok_walk_glance(const tok_walk *w, tok_glance *g)
{
#ifdef __SSE2__
    if (w->end - w->p <= TOK_GLANCE || *w->p != '"')
        return false;
    uint32_t m[2][3];
    for (int i = 0; i < 2; i++) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(w->p + 1 + 16 * i));
        __m128i ends = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
                                    _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
        __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
        /* as signed numbers, bytes past ASCII are the least */
        __m128i plain = _mm_and_si128(_mm_cmpgt_epi8(v, _mm_set1_epi8(0x20)),
                                      _mm_cmplt_epi8(v, _mm_set1_epi8(0x7f)));
        m[i][0] = (uint32_t)_mm_movemask_epi8(_mm_or_si128(ends, low));
        m[i][1] = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8(' ')));
        m[i][2] = (uint32_t)_mm_movemask_epi8(plain);
    }
    g->odd = m[0][0] | m[1][0] << 16;
    g->blank = m[0][1] | m[1][1] << 16;
    g->other = ~(m[0][2] | m[1][2] << 16);
    return true;
#else
    (void)w;
    (void)g;
    return false;
#endif
}

/* Bytes of a string that ends among those that were looked at and has no escapes; TOK_GLANCE when
 * it is none. */
static inline unsigned tok_walk_plain(const tok_walk *w, const tok_glance *g)
{
    unsigned n = g->odd != 0 ? (unsigned)__builtin_ctz(g->odd) : TOK_GLANCE;
    return n < TOK_GLANCE && w->p[1 + n] == '"' ? n : TOK_GLANCE;
}

#endif
