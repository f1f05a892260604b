/* tok_pattern.h - a pattern of the reference's regex engine, written for PCRE2.
 *
 * The reference uses Oniguruma with Ruby syntax and Unicode 16. What PCRE2 reads differently is
 * written out (white space, categories with the code points that its Unicode version may not know);
 * what cannot be is refused, so that a split is never silently different.
 */
#ifndef DS_TOK_PATTERN_H
#define DS_TOK_PATTERN_H

#include <stddef.h>

#include "buf.h"

/* Appends the pattern for PCRE2 (UTF, UCP, MULTILINE). *why is NULL, or says what is not
 * understood. */
int ds_tok_pattern_write(ds_buf *out, const char *pattern, size_t len, const char **why);

#endif
