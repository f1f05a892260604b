/* textcut.h - cutting plain text into lines, paragraphs, or runs of bytes at character bounds.
 *
 * Lines lose their line feed (and the carriage return before it); empty ones are no records. A
 * paragraph is a run of lines that are not blank (spaces and tabs count as blank), without its last
 * line end. Runs of at most n bytes (n >= 4) end at a character of UTF-8. Pure functions of the
 * bytes.
 */
#ifndef DS_TEXTCUT_H
#define DS_TEXTCUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ds_split { DS_SPLIT_NONE, DS_SPLIT_LINE, DS_SPLIT_PARAGRAPH, DS_SPLIT_BYTES };

/* Length of the longest prefix of (p, len) that ends where a record surely ends, whatever follows;
 * 0 = none. */
size_t ds_textcut_whole(enum ds_split split, size_t n, const uint8_t *p, size_t len);
/* The next record at *at: its place, and *at behind it. False when none is left. (p, len) must be
 * whole, or all that is left. */
bool ds_textcut_next(enum ds_split split, size_t n, const uint8_t *p, size_t len, size_t *at,
                     size_t *start, size_t *rlen);

#endif
