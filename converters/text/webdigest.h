/* webdigest.h - digests as archives of the web label them: "sha1:B2LTWWPU...", in base 32 or
 * hexadecimal (ISO 28500, section 5.8).
 */
#ifndef DS_WEBDIGEST_H
#define DS_WEBDIGEST_H

#include <stddef.h>
#include <stdint.h>

enum ds_webdigest_says { DS_WEBDIGEST_UNKNOWN, DS_WEBDIGEST_RIGHT, DS_WEBDIGEST_WRONG };

/* What the label says of the bytes; unknown: it is none, or of an algorithm that is not here. */
enum ds_webdigest_says ds_webdigest_check(const uint8_t *label, size_t n, const void *p,
                                          size_t len);

#endif
