/* fmtjson.h - values inside a JSON text that has been checked: their kinds, items, numbers, texts.
 *
 * A span is one value as written, without white space around it. Only ds_jspan_of checks; all else
 * trusts its work. Pure functions.
 */
#ifndef DS_FMTJSON_H
#define DS_FMTJSON_H

#include "jscan.h"

typedef struct ds_jspan {
    const uint8_t *p;
    size_t len;
    enum ds_jkind kind;
} ds_jspan;

/* Checks a text; an object's members then lie in `scan`. DS_FAIL (scan->why, scan->at), DS_NOMEM.
 */
int ds_jspan_of(ds_jspan *s, ds_jscan *scan, const uint8_t *p, size_t len);
/* Goes into an array; then its items one after the other; false at its end. */
void ds_jspan_enter(ds_jspan *s);
bool ds_jspan_next(ds_jspan *s, ds_jspan *item);

/* Digits alone, in 64 bits, with a sign or without. */
bool ds_jspan_int(const ds_jspan *s, int64_t *v);
bool ds_jspan_uint(const ds_jspan *s, uint64_t *v);
bool ds_jspan_real(const ds_jspan *s, ds_buf *scratch, double *v); /* false: not finite */
/* NaN, Infinity, -Infinity */
bool ds_jspan_special(const uint8_t *p, size_t len, double *v);
/* Appends a string's text, or any other value as written without white space. */
int ds_jspan_text(const ds_jspan *s, ds_buf *out);
/* Appends what a string in base64 holds; 1 when it is none, DS_NOMEM. */
int ds_jspan_base64(const ds_jspan *s, ds_buf *out);

#endif
