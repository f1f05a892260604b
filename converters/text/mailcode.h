/* mailcode.h - what mail is wrapped in: transfer encodings (RFC 2045), encoded words of headers
 * (RFC 2047), parameters with encodings and in parts (RFC 2231), dates (RFC 5322).
 *
 * As lenient as readers of mail are: what is no base 64 between its characters is stepped over, an
 * escape that is none stays, a word that cannot be read stays as it is. Pure functions.
 */
#ifndef DS_MAILCODE_H
#define DS_MAILCODE_H

#include "buf.h"

/* Append what is encoded. 0 or DS_NOMEM. */
int ds_mail_base64(ds_buf *out, const uint8_t *p, size_t len);
int ds_mail_quoted(ds_buf *out, const uint8_t *p, size_t len);
/* A header's value: its folds undone, its encoded words read, without NUL; UTF-8 as far as it can
 * be told, else its bytes. 0 or DS_NOMEM. */
int ds_mail_header(ds_buf *out, const uint8_t *p, size_t len);
/* The same of addresses: encoded words with signs that mean something there are put in quotes. */
int ds_mail_addresses(ds_buf *out, const uint8_t *p, size_t len);
/* The parameter `name` of a value such as `attachment; filename*0*=utf-8''a%20; filename*1=b`:
 * appends it. 1, 0: none, or DS_NOMEM. */
int ds_mail_param(ds_buf *out, const uint8_t *value, size_t len, const char *name);
#define DS_MAIL_DATE 64 /* bytes that are enough for one */
/* A date in UTC, as "2024-03-01T12:00:00Z". False: it is none. */
bool ds_mail_date(char out[DS_MAIL_DATE], const uint8_t *p, size_t len);

#endif
