/* csv.h - records of fields that commas, tabs or another character separate, one at a time
 * (RFC 4180).
 *
 * A record ends with LF or CRLF outside quotes, or with the input. Strict for commas and
 * semicolons: a quote inside an unquoted field, text after a closing quote and a lone CR are
 * errors. With other delimiters a quote counts only at the beginning of a field, since text in such
 * files is rarely quoted. After an error `used` names where the next line begins, so that one bad
 * record costs one line. Fields are slices of the input. UTF-8 is not checked here. No global
 * state.
 */
#ifndef DS_CSV_H
#define DS_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

typedef struct ds_csvfield {
    const uint8_t *p; /* without the outer quotes */
    size_t len;
    bool doubled; /* "" stands for one quote in it: see ds_csv_unquote */
} ds_csvfield;

typedef struct ds_csvrec {
    ds_csvfield *v;
    size_t n, cap;
    size_t at;       /* after a failure: offset of the byte that cannot be */
    const char *why; /* after a failure: the reason (static) */
} ds_csvrec;

#define DS_CSV_MORE 1

/* Reads the record at p. Returns 0, DS_FAIL (at, why, and used = where to go on), DS_NOMEM, or
 * DS_CSV_MORE when the record does not end within len and `final` is false. *used counts the line
 * end. An empty line is a record of one empty field. len > 0. */
int ds_csv_record(ds_csvrec *r, const uint8_t *p, size_t len, bool final, uint8_t delimiter,
                  size_t *used);
void ds_csv_fini(ds_csvrec *r);

/* Length of the longest prefix that holds whole records only (good and bad ones); 0 when there is
 * none. */
size_t ds_csv_whole(ds_csvrec *scratch, const uint8_t *p, size_t len, uint8_t delimiter);

/* The delimiter that --delimiter means: "tab", or one character of ASCII that is neither letter,
 * digit, quote nor space. NULL: *out = 0. DS_USAGE: it is none. */
int ds_csv_delimiter(uint8_t *out, const char *word, ds_err *err);

/* Copies a field with doubled quotes made single; out has room for f->len. Returns the length. */
size_t ds_csv_unquote(uint8_t *out, const ds_csvfield *f);

#endif
