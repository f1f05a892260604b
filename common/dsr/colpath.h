/* colpath.h - names as a user writes them: of a column, or of a member of JSON in one.
 *
 * A name has parts with dots between them; a part with other characters than names have stands in
 * backquotes (user.`e-mail`). The longest row of first parts that is a column's name is that
 * column; the parts behind it are members, one in the other (docs/transforms.md, section 1).
 */
#ifndef DS_COLPATH_H
#define DS_COLPATH_H

#include "dsr_schema.h"

/* The parts of a name, each with its NUL, an empty one behind the last; *n: how many. Caller frees;
 * NULL: no memory. */
char *ds_colpath_parts(const char *name, size_t len, size_t *n);
/* Whether each has characters: an empty one is no name, and ends a list of them too early. */
bool ds_colpath_named(const char *parts, size_t n);
/* The column that parts begin with, or -1. *below: the parts behind it, NULL where there are none.
 */
long ds_colpath_find(const ds_schema *s, const char *parts, size_t n, const char **below);
/* The column of JSON for all that has no column of its own: meta, fields or rest, the first of them
 * that there is, or -1. */
long ds_colpath_rest(const ds_schema *s);

#endif
