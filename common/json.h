/* json.h - writing JSON text exactly, and small helpers over jansson for configuration and
 * manifests.
 *
 * Bulk JSON lines are scanned by converters/text/jscan; this is for documents of bounded size.
 */
#ifndef DS_JSON_H
#define DS_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "buf.h"
#include "error.h"

/* Appends a JSON string literal with quotes. Bytes must be valid UTF-8; escapes only what RFC 8259
 * demands (quote, backslash, controls: \b \f \n \r \t or \u00xx in lower case); everything else is
 * copied. */
int ds_json_str(ds_buf *b, const char *s, size_t len);
/* The same of a C string that may hold the bytes of a file name: what is not UTF-8 becomes U+FFFD.
 */
int ds_json_text(ds_buf *b, const char *s);
/* Shortest decimal text that reads back as the same double (tries %.15g, %.16g, %.17g); NaN and
 * infinities give null. */
int ds_json_real(ds_buf *b, double v);
/* Parses a document: duplicates rejected, depth limited, exact offsets in messages. `what` names
 * it. */
int ds_json_parse(json_t **out, const void *data, size_t len, const char *what, ds_err *err);
/* Canonical text: members in insertion order, no white space, integers exact, reals as short as
 * they read back. */
int ds_json_dump(ds_buf *b, const json_t *v, ds_err *err);
/* The same for people: a line for each member, two blanks a level. */
int ds_json_dump_pretty(ds_buf *b, const json_t *v, ds_err *err);

#endif
