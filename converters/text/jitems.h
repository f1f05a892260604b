/* jitems.h - documents of JSON (RFC 8259) that hold an array of records, unit by unit.
 *
 * A path says which array: "" is the document itself, "hits.hits" a member of a member. Documents
 * may follow each other. A unit is an element with what stands before it: a comma, or the beginning
 * of the document up to the array, with what
 * tells that it has ended; or it is the end of a document, from the bracket that closes the
 * array. So a unit is known by its own bytes, and a file may be cut between any two. What surrounds
 * an array is passed over, checked as far as strings and brackets go; elements are not checked
 * here. Reads nothing past len. Pure functions.
 */
#ifndef DS_JITEMS_H
#define DS_JITEMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

typedef struct ds_jitem {
    size_t at, len;  /* the element as written; len 0 = the unit has none */
    bool ended;      /* it would end there whatever followed */
    bool open;       /* nothing is behind it: the array does not end */
    const char *why; /* it is no unit (static): (at, len) is what is given up, of one line or of a
                        document without such an array */
} ds_jitem;

#define DS_JITEMS_OPEN "the document ends within its array"

/* The unit at p, where a document begins or a unit ended; of which nothing follows (p, len). How
 * many bytes it takes: > 0 when len is. */
size_t ds_jitems_next(const char *path, const uint8_t *p, size_t len, ds_jitem *u);

/* The path of the array of objects, or of nothing, that a document is by its beginning: it is one,
 * or (names) has one as a member by a name that tools give to records. NULL: none is seen. */
const char *ds_jitems_guess(const uint8_t *p, size_t len, bool names);

/* What --records-at says as a path: "." is "", a dot before it is left out. DS_USAGE. */
int ds_jitems_path(const char **path, const char *word, ds_err *err);

#endif
