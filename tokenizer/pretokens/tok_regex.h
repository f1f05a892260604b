/* tok_regex.h - patterns that are not among the well-known ones, through PCRE2.
 *
 * tok_pattern.h says how patterns are read. `^` and `$` are about lines, hence PCRE2_MULTILINE.
 * Matching runs under limits: a pattern that backtracks without end fails with an error.
 */
#ifndef DS_TOK_REGEX_H
#define DS_TOK_REGEX_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

typedef struct tok_regex {
    pcre2_code *re; /* NULL: none */
    char *pattern;
} tok_regex;

/* `what` is whose pattern it is, for messages. `literal`: the text itself. */
int ds_tok_regex_compile(tok_regex *r, const char *what, const char *pattern, size_t len,
                         bool literal, ds_err *err);
void ds_tok_regex_fini(tok_regex *r);
/* A context with the limits; NULL without memory. */
pcre2_match_context *ds_tok_regex_limits(void);

/* The matches of a text one by one, as the reference finds them: an empty one right behind another
 * match does not count. Zeroed but for the first five members at first. */
typedef struct tok_matches {
    const tok_regex *r;
    const uint8_t *p;
    size_t len;
    pcre2_match_data *md;
    pcre2_match_context *mctx;
    size_t from, prev;
    bool any;
} tok_matches;
/* 1 and a match, which begins at or behind the end of the last one; 0: no more; or an error. */
int ds_tok_regex_next(tok_matches *m, size_t *start, size_t *end, ds_err *err);

#endif
