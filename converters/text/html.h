/* html.h - the visible text of an HTML page.
 *
 * Follows the tokenizer of the HTML standard (WHATWG, section 13.2.5) as far as text is concerned:
 * tags, attributes with quotes, comments, raw text elements, character references. Scripts, styles
 * and templates are dropped; white space is collapsed except in <pre>; block elements begin a new
 * line, paragraphs and headings a blank one, table cells a tab. Never fails on bad markup. The
 * input must be valid UTF-8; so is the output. Linear in time, no recursion.
 */
#ifndef DS_HTML_H
#define DS_HTML_H

#include "buf.h"

/* Appends the text to `out` and, when `title` is not NULL, the page's title to it. Returns 0 or
 * DS_NOMEM. */
int ds_html_text(ds_buf *out, ds_buf *title, const uint8_t *p, size_t len);

/* Decodes the character reference at p (an ampersand): appends its characters and returns its
 * length, or 0 (nothing appended) when it is none, or DS_NOMEM. */
long ds_html_reference(ds_buf *out, const uint8_t *p, size_t len);

#endif
