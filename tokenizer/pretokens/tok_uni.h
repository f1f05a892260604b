/* tok_uni.h - Unicode facts, pinned to the reference implementation, and NFC.
 *
 * The tables are generated (tok_unidata.c): classes as the reference's regex engine sees them
 * (Unicode 16), normalisation, marks and punctuation as its normaliser and pre-tokenizer see them
 * (Unicode 12 and older), small letters as its standard library does. They do not follow the
 * libraries of the machine, because ids must not either. Normal forms follow UAX #15; Hangul is
 * computed.
 */
#ifndef DS_TOK_UNI_H
#define DS_TOK_UNI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "error.h"

enum {                       /* bits of a class byte */
       DS_UNI_L = 1,         /* \p{L} */
       DS_UNI_N = 2,         /* \p{N} */
       DS_UNI_PS = 4,        /* [\p{P}\p{S}] */
       DS_UNI_M = 8,         /* \p{M} */
       DS_UNI_WS = 16,       /* \s */
       DS_UNI_WORD = 32,     /* \w, for added tokens that are single words */
       DS_UNI_COMBINES = 64, /* may change under NFC, by itself or with what stands before it */
       DS_UNI_CJK = 128      /* [U+4E00-9FA5 U+3040-30FF], DeepSeek's second split */
};
#define DS_UNI_MAX 0x110000u

typedef struct ds_uni_range {
    uint32_t first;
    uint16_t n;
    uint8_t v;
} ds_uni_range;
typedef struct ds_uni_map {
    uint32_t cp;
    uint16_t at;
    uint8_t n;
} ds_uni_map;
typedef struct ds_uni_pair {
    uint32_t a, b, c;
} ds_uni_pair;

typedef struct ds_uni_to {
    uint32_t cp, to;
} ds_uni_to;

/* General categories given after Unicode 14, which is what the oldest PCRE2 in use knows. */
typedef struct ds_uni_gc {
    uint32_t first;
    uint16_t n;
    char gc[3];
} ds_uni_gc;

extern const ds_uni_gc ds_uni_later[];
extern const unsigned ds_uni_later_n;
extern const ds_uni_range ds_uni_cls[], ds_uni_ccc[], ds_uni_accents[], ds_uni_punct[],
    ds_uni_p[],      /* \p{P}, which `punct` is not */
    ds_uni_digits[]; /* numbers of the Digits pre-tokenizer beside \p{N} */
extern const ds_uni_map ds_uni_decomp[];
extern const ds_uni_map ds_uni_compat[]; /* where NFKD is not NFD */
extern const ds_uni_to ds_uni_lower[];   /* U+0130 becomes U+0307 behind this as well */
extern const unsigned ds_uni_accents_n, ds_uni_punct_n, ds_uni_p_n, ds_uni_digits_n,
    ds_uni_compat_n, ds_uni_lower_n;
extern const uint32_t ds_uni_pool[];
extern const ds_uni_pair ds_uni_comp[];
extern const unsigned ds_uni_cls_n, ds_uni_ccc_n, ds_uni_decomp_n, ds_uni_pool_n, ds_uni_comp_n;

/* Fills the class byte of every code point. */
void ds_uni_fill(uint8_t cls[DS_UNI_MAX]);

/* Decodes the code point at p, which must be valid UTF-8; its length goes to *n. */
static inline uint32_t ds_uni_get(const uint8_t *p, unsigned *n)
{
    uint32_t c = p[0];
    if (c < 0x80) {
        *n = 1;
        return c;
    }
    if (c < 0xe0) {
        *n = 2;
        return (c & 0x1f) << 6 | (p[1] & 0x3fu);
    }
    if (c < 0xf0) {
        *n = 3;
        return (c & 0x0f) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    }
    *n = 4;
    return (c & 0x07) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
}
/* Start of the code point that ends right before `end`; p <= result < end. */
static inline const uint8_t *ds_uni_back(const uint8_t *p, const uint8_t *end)
{
    do
        end--;
    while (end > p && (*end & 0xc0) == 0x80);
    return end;
}

enum ds_uni_form { DS_UNI_NFC, DS_UNI_NFD, DS_UNI_NFKC, DS_UNI_NFKD };
/* True when valid UTF-8 text is in that form for certain (a quick check: false may be wrong, true
 * never). */
bool ds_uni_is_form(const uint8_t cls[DS_UNI_MAX], enum ds_uni_form form, const uint8_t *p,
                    size_t len);
/* Appends valid UTF-8 text in that form. */
int ds_uni_to_form(ds_buf *out, const uint8_t cls[DS_UNI_MAX], enum ds_uni_form form,
                   const uint8_t *p, size_t len, ds_err *err);

uint32_t ds_uni_small(uint32_t cp); /* the small letter of a letter, else the same */
/* Is a code point in the sorted ranges? */
bool ds_uni_in(const ds_uni_range *v, unsigned n, uint32_t cp);

#endif
