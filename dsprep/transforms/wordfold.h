/* wordfold.h - what each character is in a word that is compared: base letters in lower case.
 *
 * A letter or number becomes its compatibility decomposition (NFKD, as tok_uni.h pins it), in lower
 * case, without marks; a final sigma is a sigma. So a word is the same whether it is written in
 * composed or in decomposed form, in capitals of any alphabet, in full width, with ligatures, and
 * with or without accents. Marks are nothing, and so are characters that nobody sees (soft hyphens,
 * joiners, marks of direction, U+200B, U+FEFF): they do not end a word. All else stands between
 * words. Each Han or kana character is a word.
 *
 * The same on every machine. Made by one thread, then only read.
 */
#ifndef DS_WORDFOLD_H
#define DS_WORDFOLD_H

#include "buf.h"
#include "error.h"

enum ds_foldkind {
    DS_FOLD_APART,   /* between words */
    DS_FOLD_NOTHING, /* as if it were not there */
    DS_FOLD_LETTER,
    DS_FOLD_NUMBER,
    DS_FOLD_IDEOGRAPH, /* a word by itself */
    DS_FOLD_SEVERAL    /* more than one of the above */
};

/* kind << 24 | code point; of several: where they begin in `several`, their number before them. */
typedef struct ds_wordfold {
    uint32_t *of; /* of every code point */
    ds_buf several;
} ds_wordfold;

int ds_wordfold_new(ds_wordfold **out, ds_err *err);
void ds_wordfold_free(ds_wordfold *f); /* NULL is fine */

#endif
