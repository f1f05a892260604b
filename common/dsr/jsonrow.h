/* jsonrow.h - records as JSON lines, the text form that `dsprep cat` and `dsprep head` print.
 *
 * One object a record, without white space: "key" first, then the columns in schema order. utf8 is
 * a string with the escapes that RFC 8259 demands and no others; bytes base64 (RFC 4648, padded);
 * json as it is stored; bool, i64 and f64 JSON literals (f64 the shortest decimal text that reads
 * back as the same double; NaN and infinities null); timestamp "YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ";
 * tokens an array of ids; runs [[length,value],...]; tensor
 * {"dtype":"f32","shape":[2,3],"sha256":"<hex of its data>"} or, with `data`, "data":"<base64>" in
 * place of the digest; list an array; null null. With `origin` the last member is
 * "origin":[[source,offset,length],...].
 *
 * A ds_jsonform is read only once made and may be shared by threads; a ds_jsonrow belongs to one.
 */
#ifndef DS_JSONROW_H
#define DS_JSONROW_H

#include "dsr_io.h"
#include "dsr_origin.h"

typedef struct ds_jsonform {
    const ds_schema *schema; /* borrowed */
    bool key, data, origin;
    bool *want;     /* by column */
    ds_buf *name;   /* by column: "name": as it is written */
    size_t members; /* of each object, without the origin */
} ds_jsonform;

/* `columns`: names separated by commas, or NULL for all. An explicit key is shown by `key` alone.
 */
int ds_jsonform_init(ds_jsonform *f, const ds_schema *s, const char *columns, bool key, bool data,
                     bool origin, ds_err *err);
void ds_jsonform_fini(ds_jsonform *f);

/* Takes what has been written and resets the buffer. */
typedef int (*ds_jsonrow_flush)(void *ctx, ds_buf *out, ds_err *err);

typedef struct ds_jsonrow {
    ds_colview *views;
    ds_value *values;
    size_t n;
    ds_hasher *hasher;
    ds_buf out;    /* the lines; with `flush` set it is handed on whenever it holds 256 KiB, in the
                      midst of values too */
    ds_buf ranges; /* of one record */
    ds_jsonrow_flush flush;
    void *flush_ctx;
} ds_jsonrow; /* a zeroed object is valid */

/* Writes up to max_rows records of the block, having checked the values that it shows. `from` is
 * the state of origins before this block and base what is added to its source ordinals; both are
 * looked at only with f->origin. */
int ds_jsonrow_block(ds_jsonrow *r, const ds_jsonform *f, const ds_block *b,
                     const ds_origin_state *from, uint64_t base, uint64_t max_rows, ds_err *err);
void ds_jsonrow_fini(ds_jsonrow *r);

/* Single records of a block, appended to r->out: open it, step to a record (r->values are its
 * values), then any of its members ("key":...,"name":...) or one value. */
int ds_jsonrow_open(ds_jsonrow *r, const ds_jsonform *f, const ds_block *b, ds_err *err);
int ds_jsonrow_step(ds_jsonrow *r, const ds_jsonform *f, ds_err *err);
int ds_jsonrow_members(ds_jsonrow *r, const ds_jsonform *f, const ds_block *b, ds_err *err);
int ds_jsonrow_value(ds_jsonrow *r, const ds_jsonform *f, const ds_block *b, size_t column,
                     ds_err *err);

/* Pieces of it, for other writers of text. Appended to b. */
int ds_json_escape(ds_buf *b, const uint8_t *p, size_t len); /* what stands between the quotes */
int ds_json_name(ds_buf *b, const char *s,
                 size_t len); /* a string of any bytes: what is not UTF-8 becomes U+FFFD */
int ds_base64(ds_buf *b, const uint8_t *p, size_t len); /* padded */
int ds_base64_digit(uint8_t c);                         /* 0 to 63; -1: none */
int ds_decimal(ds_buf *b, uint64_t v);
int ds_time_text(ds_buf *b, int64_t ns); /* without quotes */
int ds_day_text(ds_buf *b, int32_t days); /* since 1970-01-01: "2026-03-12" */

#endif
