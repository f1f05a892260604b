/* fmtvalue.h - a value as another format holds it, and how it becomes one of a column.
 *
 * Conversion is exact or refused: a number that does not fit, text that is not UTF-8, an array of
 * another rank leave the row as it was not, with a reason.
 *
 *   column      takes
 *   utf8        text; JSON: a string, or anything else as its text; numbers as decimal text
 *   bytes       text; JSON: a string in base64
 *   json        JSON, text that is JSON, numbers
 *   bool        0 or 1, true or false
 *   i64         whole numbers
 *   f64         numbers; the texts NaN, Infinity and -Infinity
 *   timestamp   whole numbers, as nanoseconds; RFC 3339
 *   tensor      arrays; JSON {"dtype","shape","data"}; numbers as arrays without dimensions
 *   tokens      arrays of whole numbers of one dimension; JSON lists
 *   runs        arrays of pairs; JSON lists of pairs
 *   list        arrays of one dimension; lists of values; JSON lists
 *
 * A key is utf8 of 1 to 4096 bytes without a NUL.
 *
 * Text that is no utf8 or bytes is read as JSON. Where a number must be, JSON's null is NaN, since
 * writers of JSON write NaN so.
 */
#ifndef DS_FMTVALUE_H
#define DS_FMTVALUE_H

#include "dsr_column.h"
#include "jscan.h"

enum ds_fkind {
    DS_FV_NULL,
    DS_FV_TEXT,
    DS_FV_JSON,
    DS_FV_INT,
    DS_FV_REAL,
    DS_FV_ARRAY,
    DS_FV_LIST
};

typedef struct ds_fval {
    enum ds_fkind kind;
    const uint8_t *p; /* text, JSON; an array's data, little endian, row-major */
    size_t len;
    int64_t i;
    double f;
    int dtype, ndim;
    bool listed; /* an array that is a list rather than a tensor, where nothing says which */
    uint64_t dims[8];
    const struct ds_fval *items; /* of a list: text, whole numbers or reals */
    size_t n;
} ds_fval;

/* Memory for conversions; a zeroed object is valid. */
typedef struct ds_fvalwork {
    ds_buf text, ids;
    ds_jscan scan;
} ds_fvalwork;

/* The value becomes the builder's next row. 1: it does not fit, and *why (static) says so; the row
 * must be dropped. */
int ds_fval_put(ds_fvalwork *w, ds_colbuild *b, const ds_column *c, const ds_fval *v,
                const char **why, ds_err *err);
/* The same for the explicit key, which is not NULL. */
int ds_fval_key(ds_fvalwork *w, ds_colbuild *b, const ds_column *c, const ds_fval *v,
                const char **why, ds_err *err);
void ds_fvalwork_fini(ds_fvalwork *w);

/* A scanned member as a value. */
ds_fval ds_fval_json(const ds_jmember *m);
/* A number of a dtype (not bf16), little endian; false when it passes 63 bits. */
bool ds_fval_number(ds_fval *v, int dtype, const uint8_t *p);
/* Whether an array is a tensor: its data is what its dtype and shape demand, and every dimension
 * fits int64, which is what formats store: a larger one was negative. */
bool ds_fval_is_tensor(const ds_fval *v);
/* An array of one dimension. */
ds_fval ds_fval_ids(int dtype, const void *p, size_t n);

#endif
