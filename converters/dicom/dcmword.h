/* dcmword.h - UTF-8 text as words, the way identifiers are compared.
 *
 * A word is a run of letters or a run of digits; where scripts are written without spaces (Thai,
 * Hangul, kana, ideographs) each character is one. Folded: case, the accents of Latin letters,
 * leading zeros of digits. Bytes that are no UTF-8 separate words.
 */
#ifndef DS_DCMWORD_H
#define DS_DCMWORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

enum dcm_word_kind { DCM_WORD_LETTERS = 1, DCM_WORD_DIGITS, DCM_WORD_CHAR };
typedef struct dcm_word {
    size_t at, len; /* as it stands in the text */
    enum dcm_word_kind kind;
    uint64_t hash; /* of the folded bytes */
    size_t folded; /* how many those are */
} dcm_word;

/* The next word at or after *pos, which moves behind it; false at the end. */
bool dcm_word_next(const uint8_t *p, size_t len, size_t *pos, dcm_word *w);
/* Appends the folded bytes of w. */
int dcm_word_fold(const uint8_t *p, const dcm_word *w, ds_buf *out);
/* True when the folded bytes of w are these. */
bool dcm_word_is(const uint8_t *p, const dcm_word *w, const uint8_t *folded, size_t n);
uint64_t dcm_word_hash(const uint8_t *folded, size_t n);

#endif
