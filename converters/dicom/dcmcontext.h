/* dcmcontext.h - what one word means where it stands: somebody's name, a word of language, or a
 * part of a term. For dcmsearch.c.
 *
 * Both look at a line, or at a string of JSON, that holds the word, no further than some hundred
 * bytes. They judge words that a name and something else may be; when in doubt, the first says that
 * it is no name, the second that it is one.
 */
#ifndef DS_DCMCONTEXT_H
#define DS_DCMCONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Capitals where a word of language has none: "discussed with Brown", or by itself: "Brown". Not:
 * "brown", "BROWN FAT", "Brown Fat", and at the beginning of a sentence. */
bool dcm_is_written_as_name(const uint8_t *p, size_t len, size_t at, size_t n);
/* Baker cyst, Hill-Sachs lesion, circle of Willis, Morbus Crohn. */
bool dcm_is_in_term(const uint8_t *p, size_t len, size_t at, size_t n);

#endif
