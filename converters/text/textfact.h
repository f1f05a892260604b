/* textfact.h - rows of records that know more of themselves than their text: what they are called
 * by, and facts such as an address, a time, a title.
 *
 * The first fact is the one that records of the format are keyed by. Values are UTF-8 where they
 * can be read as that, and else taken for ISO-8859-1, as old headers are.
 */
#ifndef DS_TEXTFACT_H
#define DS_TEXTFACT_H

#include "textrow.h"

#define DS_TEXTFACTS_MAX 24

typedef struct ds_textfact {
    const char *name; /* static */
    const uint8_t *value;
    size_t len;
    bool json; /* the value is JSON, not a text */
} ds_textfact;

typedef struct ds_textfacts {
    ds_textfact v[DS_TEXTFACTS_MAX];
    size_t n;
} ds_textfacts;

/* Words on a source whose facts go nowhere, if that is so: into `note`. 0 or DS_NOMEM. */
int ds_textfacts_note(ds_buf *note, const ds_textopts *o);
/* Adds a fact whose bytes are copied into the batch; an empty one is none, unless it is the first.
 * 0 or DS_NOMEM. */
int ds_textfacts_add(ds_textfacts *f, ds_textbatch *b, const char *name, const void *p, size_t len);
/* The same of JSON text, which is no string. */
int ds_textfacts_json(ds_textfacts *f, ds_textbatch *b, const char *name, const void *p,
                      size_t len);
/* Appends the rows of a record: one with all of `text`, or its pieces where the options cut it.
 * `where` says its range in the source and its bytes. `text` must last as long as the batch. A text
 * that is none, a key that is missing: a problem among the rows. 0 or DS_NOMEM. */
int ds_textfacts_rows(const ds_textfacts *f, ds_textbatch *b, const ds_textopts *o,
                      const ds_textrow *where, const uint8_t *text, size_t len);

#endif
