/* textref.h - where in a record a text stands: in a column, or in a member of a column of JSON.
 *
 * A reference is read only once made and may be shared by threads.
 */
#ifndef DS_TEXTREF_H
#define DS_TEXTREF_H

#include "dsr_io.h"
#include "jscan.h"

typedef struct ds_textref {
    size_t column;
    char *path; /* names of members, each with its NUL, an empty one at the end */
} ds_textref;

/* `name` as colname.h has it, with dots between its parts; the text is in a column of utf8 or JSON.
 */
int ds_textref_init(ds_textref *r, const ds_schema *s, const char *name, ds_err *err);
void ds_textref_fini(ds_textref *r);

typedef struct ds_textat {
    bool null; /* the column, or the member's value */
    bool json; /* p is a JSON text; else it is the text itself */
    const uint8_t *p;
    size_t len;
} ds_textat;
/* A value of the reference's column: what the reference points to in it. A member that is not there
 * is DS_FAIL. `scan` is scratch. Lends parts of x. */
int ds_textref_get(const ds_textref *r, const ds_column *col, const ds_value *x, ds_jscan *scan,
                   ds_textat *out, ds_err *err);
/* The same, when it must be a string: appends it to `out`. */
int ds_textref_text(const ds_textref *r, const ds_column *col, const ds_value *x, ds_jscan *scan,
                    ds_buf *out, bool *null, ds_err *err);

#endif
