/* webcharset.h - which encoding a page or a message is in, and its bytes as UTF-8.
 *
 * The labels are those of the Encoding standard (WHATWG, section 4.2), where they differ from what
 * iconv takes them for: what says that it is ISO-8859-1 is windows-1252, GB2312 is GB18030 and so
 * on. A page's own words are looked for as the HTML standard has it (13.2.3.2), in its first
 * DS_WEBCHARSET_LOOK bytes. Nothing is guessed: what no one says is UTF-8, or what the user says.
 */
#ifndef DS_WEBCHARSET_H
#define DS_WEBCHARSET_H

#include "buf.h"
#include "error.h"

#define DS_WEBCHARSET_LOOK 4096

/* iconv's name for a label: a static one, or the label itself, which is NUL-terminated. */
const char *ds_webcharset_name(const char *label);
/* What a page says in <meta> or in its XML declaration: appends the label. 1, 0: nothing, or
 * DS_NOMEM. */
int ds_webcharset_meta(const uint8_t *p, size_t len, ds_buf *label);
/* Appends the bytes as UTF-8, without a mark at their beginning. `said`: labels in the order in
 * which they count, NULL or unknown ones passed over; a mark counts more. None: UTF-8 if that is
 * what they are and not only ASCII, else `otherwise` (NULL: UTF-8). `cut`: a character that the end
 * cuts off is dropped. DS_FAIL: not in that encoding, the reason in err; DS_NOMEM. */
int ds_webcharset_text(ds_buf *out, const uint8_t *p, size_t len, const char *const *said,
                       size_t nsaid, const char *otherwise, bool cut, ds_err *err);

#endif
