/* charset.h - other encodings into UTF-8, strictly.
 *
 * Never guesses: the encoding is what the user named, or what a byte order mark says, or UTF-8. A
 * byte sequence that does not belong to the encoding is an error with its offset, never a
 * replacement character. Uses iconv; its names are accepted without the
 * //TRANSLIT and //IGNORE that would make it lenient.
 */
#ifndef DS_CHARSET_H
#define DS_CHARSET_H

#include "buf.h"
#include "error.h"

typedef struct ds_charset ds_charset;

/* The encoding that a byte order mark at p names, "UTF-8" too, or NULL; *mark is the length of the
 * mark. */
const char *ds_charset_bom(const uint8_t *p, size_t len, size_t *mark);
/* True for UTF-8 in any spelling. */
int ds_charset_is_utf8(const char *name);
/* DS_USAGE when iconv does not know `name`. */
int ds_charset_check(const char *name, ds_err *err);

int ds_charset_new(ds_charset **c, const char *name, ds_err *err);
/* Converts the next bytes and appends UTF-8 to out. `final` says that nothing follows. On DS_FAIL,
 * out holds what came before the bad sequence and the message names the offset in the input of the
 * whole conversion. */
int ds_charset_feed(ds_charset *c, const uint8_t *p, size_t len, int final, ds_buf *out,
                    ds_err *err);
void ds_charset_free(ds_charset *c);

#endif
