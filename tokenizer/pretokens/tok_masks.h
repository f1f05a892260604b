/* tok_masks.h - what kind of character each of 64 bytes belongs to, one bit a byte.
 *
 * One function for each instruction set, all with the same result. Bytes of characters beyond ASCII
 * are only told apart as far as Chinese needs it: `cjk` has all bytes of those of U+4E00-9F7F that
 * end within the 64 bytes; the rest is for tables.
 */
#ifndef DS_TOK_MASKS_H
#define DS_TOK_MASKS_H

#include <stddef.h>
#include <stdint.h>

#define TOK_WINDOW 64
#define TOK_SLACK 16 /* bytes that may be read behind a window */

typedef struct tok_masks {
    uint64_t letter, digit, space, newline; /* [A-Za-z] [0-9] U+0020 [\r\n] */
    uint64_t blank;                         /* \t \v \f */
    uint64_t control;                       /* the other bytes below U+0020, and U+007F */
    uint64_t high, cont;                    /* not ASCII; of these, not the first of a character */
    uint64_t cjk;
} tok_masks;

/* Reads p[0..64] (65 bytes), valid UTF-8 but for the end. */
typedef void (*tok_classify)(const uint8_t *p, tok_masks *m);

/* The fastest that this machine has, or the one named: "avx512", "avx2", "neon", "portable", and
 * "scalar" for none (NULL: scanners that go character by character). An unknown or unsupported name
 * gives the fastest. */
tok_classify ds_tok_classifier(const char *name);
/* The k-th level that this machine supports, NULL behind the last. */
const char *ds_tok_classifier_name(unsigned k);

#endif
