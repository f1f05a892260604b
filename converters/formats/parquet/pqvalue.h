/* pqvalue.h - what a value of a Parquet leaf is: as a value of a column, and as JSON text.
 *
 *   BOOLEAN                    bool
 *   INT32, INT64, INTEGER      i64; of 64 bits without a sign: what passes 63 of them as JSON
 *   FLOAT, DOUBLE, FLOAT16     f64
 *   DECIMAL                    JSON: a number with as many digits as its scale says; i64 of scale 0
 *                              in INT32 and INT64
 *   DATE, TIME                 text: 2026-03-12, 08:14:03.000
 *   TIMESTAMP, INT96           timestamp
 *   STRING, ENUM, UUID         utf8
 *   JSON                       JSON
 *   bytes of any other kind    bytes; in JSON text base64
 */
#ifndef DS_PQVALUE_H
#define DS_PQVALUE_H

#include "fmtvalue.h"
#include "pqcode.h"

enum ds_type ds_pq_type(const ds_pqnode *n);
/* Text that is made goes behind `text`, which v then points into, by offset: v->p is NULL and v->i
 * says where, until the caller has all of it. DS_NOMEM, or 1 with *why (static). */
int ds_pq_fval(const ds_pqnode *n, const ds_pqvalue *x, ds_buf *text, ds_fval *v, const char **why);
void ds_pq_settle(ds_fval *v, const ds_buf *text); /* once it has */
/* Appends the value's JSON text. */
int ds_pq_json(const ds_pqnode *n, const ds_pqvalue *x, ds_buf *out, const char **why);

#endif
