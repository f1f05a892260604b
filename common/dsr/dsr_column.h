/* dsr_column.h - one column of one block: building its canonical bytes (a chunk), and looking into
 * them.
 *
 * Chunk (docs/dsr-format.md, "Chunks"): varint rows | u8 has_null | [presence bitmap] | lengths or
 * heads | data. A chunk is handed on as head (in memory) + body (a spool), so that a value of any
 * size passes in constant memory.
 */
#ifndef DS_DSR_COLUMN_H
#define DS_DSR_COLUMN_H

#include "dsr_schema.h"
#include "spool.h"

/* ---- building ---- */

/* Where a row began: what dropping it goes back to. */
typedef struct ds_colmark {
    size_t lens, item_lens;
    uint64_t data, bits, present;
    uint8_t bit_tail;
} ds_colmark;

/* The members are the builder's own; use the functions. */
typedef struct ds_colbuild {
    enum ds_type type, item;
    bool nullable;
    uint64_t rows, present;
    ds_buf presence;   /* bitmap of the rows so far, where the column is nullable */
    ds_buf lens;       /* lengths, counts or tensor heads of present rows */
    ds_buf item_lens;  /* list items' lengths */
    ds_spool data;     /* values; the whole bytes of bits */
    uint64_t bits;     /* bools so far */
    uint8_t bit_tail;  /* the last of their bytes while it is not full */
    bool open;         /* a row has begun and not ended */
    bool sealed;       /* a chunk was taken: reset before the next row */
    uint64_t open_len; /* of the open row: bytes, tokens or items so far */
    uint64_t want;     /* tensor: bytes that its head demands */
    ds_colmark mark;   /* the beginning of the last row */
    bool marked;
} ds_colbuild;

void ds_colbuild_init(ds_colbuild *b, enum ds_type type, enum ds_type item, bool nullable);
void ds_colbuild_reset(ds_colbuild *b); /* an empty column again, memory kept */
void ds_colbuild_fini(ds_colbuild *b);

/* One call a row. Types are checked (DS_FAIL on the wrong one). json must be minified by the
 * caller. */
int ds_colbuild_null(ds_colbuild *b, ds_err *err);
/* utf8, bytes, json */
int ds_colbuild_bytes(ds_colbuild *b, const void *p, size_t len, ds_err *err);
int ds_colbuild_bool(ds_colbuild *b, bool v, ds_err *err);
int ds_colbuild_i64(ds_colbuild *b, int64_t v, ds_err *err); /* i64, timestamp */
/* Every NaN becomes the canonical one. */
int ds_colbuild_f64(ds_colbuild *b, double v, ds_err *err);
/* DS_FAIL when an id does not fit. */
int ds_colbuild_tokens(ds_colbuild *b, const uint32_t *ids, size_t n, ds_err *err);
int ds_colbuild_tensor(ds_colbuild *b, int dtype, int ndim, const uint64_t *dims, const void *data,
                       size_t len, ds_err *err);
/* Merges equal neighbours and drops empty runs. */
int ds_colbuild_runs(ds_colbuild *b, const uint64_t *len_value_pairs, size_t nruns, ds_err *err);
/* A row of a list column: begin, items by ds_colbuild_item_*, end. */
int ds_colbuild_list_begin(ds_colbuild *b, ds_err *err);
int ds_colbuild_item_bytes(ds_colbuild *b, const void *p, size_t len, ds_err *err);
int ds_colbuild_item_i64(ds_colbuild *b, int64_t v, ds_err *err); /* bool too: 0 or 1 */
int ds_colbuild_item_f64(ds_colbuild *b, double v, ds_err *err);
int ds_colbuild_item_tokens(ds_colbuild *b, const uint32_t *ids, size_t n, ds_err *err);
int ds_colbuild_list_end(ds_colbuild *b, ds_err *err);
/* A value of unknown length in parts: begin, parts, end. Bytes kinds take bytes, tokens take ids; a
 * tensor begins with its head, and its parts are data. */
int ds_colbuild_begin(ds_colbuild *b, ds_err *err);
int ds_colbuild_tensor_begin(ds_colbuild *b, int dtype, int ndim, const uint64_t *dims,
                             ds_err *err);
int ds_colbuild_part(ds_colbuild *b, const void *p, size_t len, ds_err *err);
int ds_colbuild_part_tokens(ds_colbuild *b, const uint32_t *ids, size_t n, ds_err *err);
int ds_colbuild_end(ds_colbuild *b, ds_err *err);
/* The next part of a tensor (n bytes of it) is written by the caller to *p, then counted by
 * ds_colbuild_filled; *p is NULL where it has to come through ds_colbuild_part. */
int ds_colbuild_room(ds_colbuild *b, size_t n, uint8_t **p, ds_err *err);
void ds_colbuild_filled(ds_colbuild *b, size_t n);
/* How many bytes of a block's values may stay in memory instead of in a temporary file. */
void ds_colbuild_limit(ds_colbuild *b, size_t bytes);
/* Drops the rows from `rows` on: a record that failed half way. Only the last row can be dropped,
 * and only once. A row whose call failed after it began must be dropped before the next. */
int ds_colbuild_drop_open(ds_colbuild *b, uint64_t rows, ds_err *err);

struct ds_refs;
/* A finished chunk's bytes: head then body. Lent by the builder until it is reset. */
typedef struct ds_chunk {
    const uint8_t *head, *body;
    size_t head_len, body_len;
    ds_spool *spool;            /* that body lies in, for ds_spool_release; may be NULL */
    const struct ds_refs *refs; /* not NULL: the bytes are not here but in a store (dsr_refs.h) */
} ds_chunk;
/* Writes the head into `head` (reset first) and lends both. */
int ds_colbuild_chunk(ds_colbuild *b, ds_buf *head, ds_chunk *out, ds_err *err);
/* The value of the last row, as a view would show it (not for runs and lists). Lent until the next
 * call on the builder. */
struct ds_value;
int ds_colbuild_last(ds_colbuild *b, struct ds_value *out, ds_err *err);

/* ---- looking ---- */

typedef struct ds_colview {
    enum ds_type type, item;
    const ds_column *col; /* borrowed, for messages */
    const uint8_t *p;     /* the chunk */
    size_t len;
    ds_spool *spool; /* that p lies in, when it is to be released behind a hash; NULL after open */
    uint64_t rows, present;
    uint64_t leaves;                      /* present rows, or the items of a list column */
    const uint8_t *presence;              /* NULL = all present */
    size_t lens_pos, items_pos, data_pos; /* where lengths, items' lengths and data begin */
    /* cursor of ds_colview_next */
    uint64_t row;
    size_t lens_at, items_at, data_at;
    uint64_t bit_at;
} ds_colview;

typedef struct ds_value {
    bool null;
    /* bytes kinds: the bytes; tokens: LE ids (unaligned); tensor: data; runs: varint pairs;
     * list: NULL, see items; fixed-width kinds: as in the chunk (bool: NULL) */
    const uint8_t *p;
    size_t len;     /* in bytes */
    uint64_t count; /* tokens: ids; runs: runs; list: items */
    int64_t i;      /* i64, timestamp, bool */
    double f;       /* f64 */
    int dtype, ndim;
    uint64_t dims[8];
    const uint8_t *head; /* tensor: its head bytes */
    size_t head_len;
    /* list: where its items' lengths, data and bits begin, for ds_value_items */
    size_t items_at, data_at;
    uint64_t bit_at;
} ds_value;

/* Parses and bounds-checks the structure in one pass (lengths against data, canonical forms, row
 * count); `rows` must match. Values are not looked at: ds_colview_check does that (UTF-8, JSON form
 * and depth <= 128, NaN form, run merging), releasing `spool` behind it when given. Messages name
 * column-relative row and byte. */
int ds_colview_open(ds_colview *v, const ds_column *col, const uint8_t *p, size_t len,
                    uint64_t rows, ds_err *err);
int ds_colview_check(const ds_colview *v, ds_spool *spool, ds_err *err);
void ds_colview_rewind(ds_colview *v);
/* The next row's value; false past the last. Never fails after open succeeded. */
bool ds_colview_next(ds_colview *v, ds_value *out);
/* Items of a list value one after the other: for byte kinds and tokens p/len (tokens: count), else
 * i/f. */
typedef struct ds_items {
    const ds_colview *v;
    uint64_t left;
    size_t lens_at, data_at;
    uint64_t bit_at;
} ds_items;
void ds_value_items(ds_items *it, const ds_colview *v, const ds_value *list);
bool ds_items_next(ds_items *it, ds_value *out);
/* The same value to the byte; both columns are of one type. */
bool ds_value_same(const ds_colview *va, const ds_value *a, const ds_colview *vb,
                   const ds_value *b);
static inline uint32_t ds_value_token(const ds_colview *v, const ds_value *x, uint64_t i)
{
    enum ds_type t = v->type == DS_LIST ? v->item : v->type;
    const uint8_t *p = x->p + i * (t == DS_TOKENS16 ? 2 : 4);
    return t == DS_TOKENS16 ? (uint32_t)(p[0] | p[1] << 8) : ds_get_u32(p);
}

#endif
