/* where.h - expressions over a record's columns: status >= 500 and len(text) > 20
 * (docs/transforms.md has the grammar, the types and what null does).
 *
 * Types are checked when an expression is compiled; members of JSON have the type that their value
 * has, and what cannot be compared then is null. A ds_where is read only once made and may be
 * shared by threads; a ds_wherework (zeroed at first) belongs to one. Nothing is evaluated deeper
 * than DS_WHERE_DEPTH, and a pattern stops at PCRE2's limits.
 */
#ifndef DS_WHERE_H
#define DS_WHERE_H

#include "colname.h"
#include "dsr_io.h"
#include "jscan.h"

#define DS_WHERE_DEPTH 64

enum ds_wtype {
    DS_W_NULL,
    DS_W_BOOL,
    DS_W_INT,
    DS_W_REAL,
    DS_W_TEXT,
    DS_W_TIME,
    DS_W_MANY,
    DS_W_ANY
};

typedef struct ds_wval {
    enum ds_wtype type;
    int64_t i;        /* bool, int; time: ns; many: how many */
    double f;         /* real */
    const uint8_t *p; /* text */
    size_t len;
} ds_wval;

typedef struct ds_where ds_where;
/* Compiles `text` against the columns of names->schema, which must outlive it. DS_USAGE with the
 * place. */
int ds_where_new(ds_where **out, const char *text, size_t len, const ds_colnames *names,
                 ds_err *err);
/* text(EXPR): whatever it gives, as a text. */
int ds_where_text_new(ds_where **out, const char *expr, const ds_colnames *names, ds_err *err);
void ds_where_free(ds_where *w);
enum ds_wtype ds_where_type(const ds_where *w); /* of the whole */

typedef struct ds_wherework {
    const ds_colview *views;
    const ds_value *values; /* of the record, by column */
    ds_buf *text;           /* by node: what it made */
    size_t n;
    void *match; /* pcre2_match_data */
    ds_jscan scan;
    struct ds_hasher *hasher; /* for keys that are derived */
} ds_wherework;

/* The value for a record; text is lent until the next call on `k`. */
int ds_where_eval(const ds_where *w, ds_wherework *k, const ds_colview *views,
                  const ds_value *values, ds_wval *out, ds_err *err);
/* 1 true, 0 false, -1 null (anything but a bool is null). */
int ds_where_truth(const ds_wval *v);
/* What kind of column an expression names that is nothing but a name (of a column, or of a member
 * of JSON); DS_NTYPES for all others. */
enum ds_type ds_where_column(const ds_where *w);
/* The bytes of such a value as the stream holds them: of utf8, bytes and JSON, whose members stay
 * as they are written. *p is NULL for null and what is not there. */
int ds_where_bytes(const ds_where *w, ds_wherework *k, const ds_value *values, const uint8_t **p,
                   size_t *len, ds_err *err);
void ds_wherework_fini(ds_wherework *k);

/* A decimal number of JSON's characters: whole where 64 bits hold it, else the nearest real. */
bool ds_number_read(const uint8_t *p, size_t len, ds_wval *out);
/* Appends the text of anything but null, as text() gives it. 0 or DS_NOMEM. */
int ds_wval_text(ds_buf *b, const ds_wval *v);
/* "2026-03-01", "2026-03-01T10:00:00.5Z", "2026-03-01 10:00:00+01:00": ns since 1970 UTC (a date
 * and a time without a zone are UTC). False when it is none, or out of range. */
bool ds_time_read(const uint8_t *p, size_t len, int64_t *ns);

#endif
