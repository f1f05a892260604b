/* textnoise.h - text with the mistakes that people make: a wrong key, two letters swapped, the
 * other case, a letter of another script that looks the same.
 *
 * Which letters are hit, and how, is a function of (seed, record, place of the character) alone.
 */
#ifndef DS_TEXTNOISE_H
#define DS_TEXTNOISE_H

#include "buf.h"

/* Appends the text (UTF-8) with each ASCII letter hit with probability rate, one of the four ways
 * each time; the last letter of a word is not swapped but mistyped. Other characters stay. */
int ds_textnoise(ds_buf *out, const void *text, size_t len, double rate, uint64_t seed,
                 uint64_t record, ds_err *err);

#endif
