/* headfield.h - header fields: lines "Name: value" up to a blank one, as mail (RFC 5322, section
 * 2.2), HTTP (RFC 9112, section 5) and WARC (ISO 28500, section 4) have them.
 *
 * A field whose next lines begin with a space or a tab goes on there. Lines end with CRLF or LF.
 * What is no field is stepped over. Everything is a slice of the input; pure functions.
 */
#ifndef DS_HEADFIELD_H
#define DS_HEADFIELD_H

#include "buf.h"

typedef struct ds_headfield {
    const uint8_t *name,
        *value; /* the value without white space around it, its folds as they are */
    size_t name_len, value_len;
} ds_headfield;

/* Length of the header at p with the blank line that ends it; 0: there is none in (p, len). */
size_t ds_headfield_end(const uint8_t *p, size_t len);
/* The next field at *at, which moves behind it. False at the end of the header. */
bool ds_headfield_next(const uint8_t *p, size_t len, size_t *at, ds_headfield *f);
/* The first field of that name, in any case. False: none; f is empty. */
bool ds_headfield_find(const uint8_t *p, size_t len, const char *name, ds_headfield *f);
bool ds_headfield_is(const ds_headfield *f, const char *name);
/* The parameter `name` of a value such as `text/html; charset="x"`: appends it to `out` without its
 * quotes. 1, 0: none, or DS_NOMEM. */
int ds_headfield_param(const uint8_t *value, size_t len, const char *name, ds_buf *out);

/* (p, len) is `word`, whatever the case of ASCII letters. */
bool ds_bytes_are(const uint8_t *p, size_t len, const char *word);
bool ds_bytes_begin(const uint8_t *p, size_t len, const char *word);

#endif
