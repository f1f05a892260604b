/* dsr_schema.h - the named, typed columns of a DSR stream (docs/dsr-format.md, "Schema").
 *
 * A schema is immutable once a stream has begun. ds_schema_dump gives the canonical JSON that is
 * hashed into the dataset root; ds_schema_parse accepts only what dump would write (same bytes),
 * within limits: 256 columns, names of 1..128 bytes of UTF-8, 1 MiB in all. Owns all its memory.
 */
#ifndef DS_DSR_SCHEMA_H
#define DS_DSR_SCHEMA_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "error.h"
#include "hash.h"

enum ds_type {
    DS_UTF8,
    DS_BYTES,
    DS_JSON,
    DS_BOOL,
    DS_I64,
    DS_F64,
    DS_TIMESTAMP, /* ns since 1970-01-01 UTC */
    DS_TENSOR,
    DS_TOKENS16,
    DS_TOKENS32,
    DS_RUNS,
    DS_LIST,
    DS_NTYPES
};

enum ds_dtype {
    DS_U8 = 1,
    DS_I8,
    DS_U16,
    DS_I16,
    DS_U32,
    DS_I32,
    DS_U64,
    DS_I64T,
    DS_F16,
    DS_BF16,
    DS_F32,
    DS_F64T
};
size_t ds_dtype_size(int dtype);                  /* 0 = no such dtype */
const char *ds_dtype_name(int dtype);             /* "u8", "bf16", ... */
int ds_dtype_named(const void *name, size_t len); /* 0 = no such dtype */
/* The bytes of a tensor's data; false where it is none: no such dtype, a number of dimensions that
 * is not 0 to 8, or more than 64 bits count. */
bool ds_tensor_size(uint64_t *bytes, int dtype, int ndim, const uint64_t *dims);
const char *ds_type_name(enum ds_type t); /* "utf8", "tokens16", ... */

typedef struct ds_column {
    char *name;
    enum ds_type type;
    enum ds_type item; /* of a list: any type but tensor, runs, list */
    bool nullable;
    char *attrs; /* canonical JSON object of string members, or NULL: {"tokenizer":"sha256:..."} */
} ds_column;

typedef struct ds_schema {
    size_t n;
    ds_column *cols;
    bool explicit_key; /* then column 0 is "key", utf8, not nullable */
    uint8_t *primary;  /* n flags: the cut looks at these */
    uint8_t *keyed;    /* n flags: a derived key is the digest of these */
    uint64_t block_min, block_target, block_max;
} ds_schema;

void ds_schema_init(ds_schema *s); /* no columns, derived key, 64 KiB / 256 KiB / 1 MiB */
void ds_schema_fini(ds_schema *s);
int ds_schema_copy(ds_schema *to, const ds_schema *from, ds_err *err);
enum ds_colflag {
    DS_COL_NULLABLE = 1,
    DS_COL_PRIMARY = 2, /* cuts look at it */
    DS_COL_KEYED = 4    /* derived keys are made of it */
};
/* Appends a column (name copied, attrs copied or NULL); *index may be NULL. flags: of ds_colflag.
 * Duplicate names fail. */
int ds_schema_add(ds_schema *s, size_t *index, const char *name, enum ds_type type, unsigned flags,
                  const char *attrs, ds_err *err);
int ds_schema_add_list(ds_schema *s, size_t *index, const char *name, enum ds_type item,
                       bool nullable, ds_err *err);
/* Takes column i out; names it anew. */
void ds_schema_drop(ds_schema *s, size_t i);
int ds_schema_rename(ds_schema *s, size_t i, const char *name, ds_err *err);
/* Column number by name, or -1. */
long ds_schema_find(const ds_schema *s, const char *name);
/* Whether records are told apart by this column: the explicit key, or one that keys are made of. */
bool ds_schema_is_key(const ds_schema *s, size_t column);
int ds_schema_check(const ds_schema *s, ds_err *err);
int ds_schema_dump(ds_buf *out, const ds_schema *s, ds_err *err);
int ds_schema_parse(ds_schema *s, const void *json, size_t len, ds_err *err);
/* SHA-256("ds.schema\0" || canonical JSON) */
int ds_schema_digest(ds_sha *out, const ds_schema *s, ds_err *err);

#endif
