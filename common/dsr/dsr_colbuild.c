/* dsr_colbuild.c - building a chunk; see dsr_column.h and docs/dsr-format.md, section 3. */
#include "dsr_column.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define HOT static inline __attribute__((always_inline)) /* once or more a value */

static bool is_bytes(enum ds_type t)
{
    return t == DS_UTF8 || t == DS_BYTES || t == DS_JSON;
}

static bool is_tokens(enum ds_type t)
{
    return t == DS_TOKENS16 || t == DS_TOKENS32;
}

void ds_colbuild_init(ds_colbuild *b, enum ds_type type, enum ds_type item, bool nullable)
{
    *b = (ds_colbuild){.type = type, .item = item, .nullable = nullable};
}

void ds_colbuild_reset(ds_colbuild *b)
{
    ds_buf_reset(&b->presence);
    ds_buf_reset(&b->lens);
    ds_buf_reset(&b->item_lens);
    ds_spool_reset(&b->data);
    b->rows = b->present = b->bits = b->open_len = b->want = 0;
    b->bit_tail = 0;
    b->open = b->sealed = b->marked = false;
}

void ds_colbuild_fini(ds_colbuild *b)
{
    ds_buf_fini(&b->presence);
    ds_buf_fini(&b->lens);
    ds_buf_fini(&b->item_lens);
    ds_spool_fini(&b->data);
    *b = (ds_colbuild){0};
}

/* ---- rows begin and end ---- */

static int wrong(const ds_colbuild *b, const char *what, ds_err *err)
{
    return ds_fail(err, DS_FAIL, "%s value for a column of type %s", what, ds_type_name(b->type));
}

HOT int row_begin(ds_colbuild *b, ds_err *err)
{
    if (b->open)
        return ds_fail(err, DS_FAIL, "row %" PRIu64 " of the column has not ended", b->rows);
    if (b->sealed)
        return ds_fail(err, DS_FAIL, "the chunk was taken; no row can follow");
    b->mark = (ds_colmark){b->lens.len, b->item_lens.len, ds_spool_len(&b->data),
                           b->bits,     b->present,       b->bit_tail};
    b->marked = true;
    b->open = true;
    b->open_len = 0;
    return 0;
}

HOT int row_end(ds_colbuild *b, bool there, ds_err *err)
{
    if (b->nullable) {
        if (b->rows % 8 == 0 && ds_buf_putc(&b->presence, 0))
            return ds_fail_nomem(err);
        if (there)
            b->presence.data[b->rows / 8] |= (uint8_t)(1u << b->rows % 8);
    }
    b->rows++;
    b->present += there;
    b->open = false;
    return 0;
}

HOT int put_len(ds_buf *b, uint64_t v, ds_err *err)
{
    return ds_buf_varint(b, v) ? ds_fail_nomem(err) : 0;
}

static int put_bit(ds_colbuild *b, bool v, ds_err *err)
{
    b->bit_tail |= (uint8_t)((unsigned)v << b->bits % 8);
    b->bits++;
    if (b->bits % 8)
        return 0;
    uint8_t full = b->bit_tail;
    b->bit_tail = 0;
    return ds_spool_put(&b->data, &full, 1, err);
}

HOT int put_u64(ds_colbuild *b, uint64_t v, ds_err *err)
{
    uint8_t p[8];
    ds_set_u64(p, v);
    return ds_spool_put(&b->data, p, sizeof p, err);
}

static uint64_t f64_bits(double v)
{
    uint64_t u;
    memcpy(&u, &v, sizeof u);
    return isnan(v) ? UINT64_C(0x7ff8000000000000) : u;
}

static int check_ids(enum ds_type t, const uint32_t *ids, size_t n, ds_err *err)
{
    for (size_t i = 0; t == DS_TOKENS16 && i < n; i++)
        if (ids[i] > 0xffff)
            return ds_fail(err, DS_FAIL, "token %" PRIu32 " does not fit into a tokens16 column",
                           ids[i]);
    return 0;
}

static int put_ids(ds_colbuild *b, enum ds_type t, const uint32_t *ids, size_t n, ds_err *err)
{
    uint8_t part[4096];
    size_t size = t == DS_TOKENS16 ? 2 : 4, step = sizeof part / size;
    int rc = 0;
    for (size_t at = 0; at < n && !rc; at += step) {
        size_t k = n - at < step ? n - at : step;
        for (size_t i = 0; i < k; i++) {
            uint32_t id = ids[at + i];
            if (size == 2) {
                part[2 * i] = (uint8_t)id;
                part[2 * i + 1] = (uint8_t)(id >> 8);
            } else {
                ds_set_u32(part + 4 * i, id);
            }
        }
        rc = ds_spool_put(&b->data, part, k * size, err);
    }
    return rc;
}

/* ---- whole values ---- */

int ds_colbuild_null(ds_colbuild *b, ds_err *err)
{
    if (!b->nullable)
        return ds_fail(err, DS_FAIL, "null in a column that allows none");
    int rc = row_begin(b, err);
    return rc ? rc : row_end(b, false, err);
}

int ds_colbuild_bytes(ds_colbuild *b, const void *p, size_t len, ds_err *err)
{
    if (!is_bytes(b->type))
        return wrong(b, "bytes", err);
    int rc = row_begin(b, err);
    if (!rc)
        rc = put_len(&b->lens, len, err);
    if (!rc)
        rc = ds_spool_put(&b->data, p, len, err);
    return rc ? rc : row_end(b, true, err);
}

int ds_colbuild_bool(ds_colbuild *b, bool v, ds_err *err)
{
    if (b->type != DS_BOOL)
        return wrong(b, "bool", err);
    int rc = row_begin(b, err);
    if (!rc)
        rc = put_bit(b, v, err);
    return rc ? rc : row_end(b, true, err);
}

int ds_colbuild_i64(ds_colbuild *b, int64_t v, ds_err *err)
{
    if (b->type != DS_I64 && b->type != DS_TIMESTAMP)
        return wrong(b, "i64", err);
    int rc = row_begin(b, err);
    if (!rc)
        rc = put_u64(b, (uint64_t)v, err);
    return rc ? rc : row_end(b, true, err);
}

int ds_colbuild_f64(ds_colbuild *b, double v, ds_err *err)
{
    if (b->type != DS_F64)
        return wrong(b, "f64", err);
    int rc = row_begin(b, err);
    if (!rc)
        rc = put_u64(b, f64_bits(v), err);
    return rc ? rc : row_end(b, true, err);
}

int ds_colbuild_tokens(ds_colbuild *b, const uint32_t *ids, size_t n, ds_err *err)
{
    if (!is_tokens(b->type))
        return wrong(b, "tokens", err);
    int rc = check_ids(b->type, ids, n, err);
    if (!rc)
        rc = row_begin(b, err);
    if (!rc)
        rc = put_len(&b->lens, n, err);
    if (!rc)
        rc = put_ids(b, b->type, ids, n, err);
    return rc ? rc : row_end(b, true, err);
}

static int tensor_bytes(uint64_t *bytes, int dtype, int ndim, const uint64_t *dims, ds_err *err)
{
    if (ds_tensor_size(bytes, dtype, ndim, dims))
        return 0;
    if (ds_dtype_size(dtype) == 0)
        return ds_fail(err, DS_FAIL, "tensor of unknown dtype %d", dtype);
    if (ndim < 0 || ndim > 8)
        return ds_fail(err, DS_FAIL, "tensor of %d dimensions: there are 0 to 8", ndim);
    return ds_fail(err, DS_FAIL, "tensor of more than 2^64 bytes");
}

static int put_head(ds_colbuild *b, int dtype, int ndim, const uint64_t *dims, ds_err *err)
{
    int rc = ds_buf_putc(&b->lens, (uint8_t)dtype);
    if (!rc)
        rc = ds_buf_putc(&b->lens, (uint8_t)ndim);
    for (int i = 0; i < ndim && !rc; i++)
        rc = ds_buf_varint(&b->lens, dims[i]);
    return rc ? ds_fail_nomem(err) : 0;
}

int ds_colbuild_tensor(ds_colbuild *b, int dtype, int ndim, const uint64_t *dims, const void *data,
                       size_t len, ds_err *err)
{
    uint64_t want;
    if (b->type != DS_TENSOR)
        return wrong(b, "tensor", err);
    int rc = tensor_bytes(&want, dtype, ndim, dims, err);
    if (!rc && want != len)
        rc = ds_fail(err, DS_FAIL, "tensor of %" PRIu64 " bytes comes with %zu", want, len);
    if (!rc)
        rc = row_begin(b, err);
    if (!rc)
        rc = put_head(b, dtype, ndim, dims, err);
    if (!rc)
        rc = ds_spool_put(&b->data, data, len, err);
    return rc ? rc : row_end(b, true, err);
}

/* The run that begins at *i, with its equal neighbours and the empty runs between them; false past
 * the last. */
static bool run_next(const uint64_t *pairs, size_t n, size_t *i, uint64_t *len, uint64_t *value)
{
    *len = 0;
    for (; *i < n; ++*i) {
        uint64_t l = pairs[2 * *i], v = pairs[2 * *i + 1];
        if (l == 0)
            continue;
        if (*len && v != *value)
            break;
        *len += l;
        *value = v;
    }
    return *len != 0;
}

int ds_colbuild_runs(ds_colbuild *b, const uint64_t *len_value_pairs, size_t nruns, ds_err *err)
{
    uint64_t sum = 0, count = 0, len, value = 0;
    if (b->type != DS_RUNS)
        return wrong(b, "runs", err);
    for (size_t i = 0; i < nruns; i++)
        if (__builtin_add_overflow(sum, len_value_pairs[2 * i], &sum))
            return ds_fail(err, DS_FAIL, "runs of more than 2^64 elements");
    for (size_t i = 0; run_next(len_value_pairs, nruns, &i, &len, &value);)
        count++;
    int rc = row_begin(b, err);
    if (!rc)
        rc = put_len(&b->lens, count, err);
    for (size_t i = 0; !rc && run_next(len_value_pairs, nruns, &i, &len, &value);) {
        rc = ds_spool_varint(&b->data, len, err);
        if (!rc)
            rc = ds_spool_varint(&b->data, value, err);
    }
    return rc ? rc : row_end(b, true, err);
}

/* ---- lists ---- */

int ds_colbuild_list_begin(ds_colbuild *b, ds_err *err)
{
    return b->type == DS_LIST ? row_begin(b, err) : wrong(b, "list", err);
}

static int item_begin(const ds_colbuild *b, bool fits, const char *what, ds_err *err)
{
    if (b->type != DS_LIST || !b->open)
        return ds_fail(err, DS_FAIL, "item outside of a list");
    if (!fits)
        return ds_fail(err, DS_FAIL, "%s item in a list of %s", what, ds_type_name(b->item));
    return 0;
}

int ds_colbuild_item_bytes(ds_colbuild *b, const void *p, size_t len, ds_err *err)
{
    int rc = item_begin(b, is_bytes(b->item), "bytes", err);
    if (!rc)
        rc = put_len(&b->item_lens, len, err);
    if (!rc)
        rc = ds_spool_put(&b->data, p, len, err);
    b->open_len++;
    return rc;
}

int ds_colbuild_item_i64(ds_colbuild *b, int64_t v, ds_err *err)
{
    bool is_bool = b->item == DS_BOOL;
    int rc = item_begin(b, b->item == DS_I64 || b->item == DS_TIMESTAMP || is_bool, "i64", err);
    if (!rc && is_bool && v != 0 && v != 1)
        rc = ds_fail(err, DS_FAIL, "a bool is 0 or 1, not %" PRId64, v);
    if (!rc)
        rc = is_bool ? put_bit(b, v != 0, err) : put_u64(b, (uint64_t)v, err);
    b->open_len++;
    return rc;
}

int ds_colbuild_item_f64(ds_colbuild *b, double v, ds_err *err)
{
    int rc = item_begin(b, b->item == DS_F64, "f64", err);
    if (!rc)
        rc = put_u64(b, f64_bits(v), err);
    b->open_len++;
    return rc;
}

int ds_colbuild_item_tokens(ds_colbuild *b, const uint32_t *ids, size_t n, ds_err *err)
{
    int rc = item_begin(b, is_tokens(b->item), "tokens", err);
    if (!rc)
        rc = check_ids(b->item, ids, n, err);
    if (!rc)
        rc = put_len(&b->item_lens, n, err);
    if (!rc)
        rc = put_ids(b, b->item, ids, n, err);
    b->open_len++;
    return rc;
}

int ds_colbuild_list_end(ds_colbuild *b, ds_err *err)
{
    if (b->type != DS_LIST || !b->open)
        return ds_fail(err, DS_FAIL, "a list ends that has not begun");
    int rc = put_len(&b->lens, b->open_len, err);
    return rc ? rc : row_end(b, true, err);
}

/* ---- values in parts ---- */

int ds_colbuild_begin(ds_colbuild *b, ds_err *err)
{
    return is_bytes(b->type) || is_tokens(b->type) ? row_begin(b, err) : wrong(b, "parted", err);
}

int ds_colbuild_tensor_begin(ds_colbuild *b, int dtype, int ndim, const uint64_t *dims, ds_err *err)
{
    if (b->type != DS_TENSOR)
        return wrong(b, "tensor", err);
    int rc = tensor_bytes(&b->want, dtype, ndim, dims, err);
    if (!rc)
        rc = row_begin(b, err);
    return rc ? rc : put_head(b, dtype, ndim, dims, err);
}

int ds_colbuild_part(ds_colbuild *b, const void *p, size_t len, ds_err *err)
{
    if (!b->open || (!is_bytes(b->type) && b->type != DS_TENSOR))
        return wrong(b, "part of a bytes", err);
    if (b->type == DS_TENSOR && len > b->want - b->open_len)
        return ds_fail(err, DS_FAIL, "tensor data goes on past the %" PRIu64 " bytes of its shape",
                       b->want);
    b->open_len += len;
    return ds_spool_put(&b->data, p, len, err);
}

int ds_colbuild_room(ds_colbuild *b, size_t n, uint8_t **p, ds_err *err)
{
    *p = NULL;
    if (!b->open || b->type != DS_TENSOR || n > b->want - b->open_len)
        return wrong(b, "room for a tensor", err);
    return ds_spool_room(&b->data, n, p, err);
}

void ds_colbuild_filled(ds_colbuild *b, size_t n)
{
    ds_spool_filled(&b->data, n);
    b->open_len += n;
}

void ds_colbuild_limit(ds_colbuild *b, size_t bytes)
{
    b->data.limit = bytes;
}

int ds_colbuild_part_tokens(ds_colbuild *b, const uint32_t *ids, size_t n, ds_err *err)
{
    if (!b->open || !is_tokens(b->type))
        return wrong(b, "part of a tokens", err);
    int rc = check_ids(b->type, ids, n, err);
    if (!rc)
        rc = put_ids(b, b->type, ids, n, err);
    b->open_len += n;
    return rc;
}

int ds_colbuild_end(ds_colbuild *b, ds_err *err)
{
    int rc = 0;
    if (!b->open || b->type == DS_LIST)
        return ds_fail(err, DS_FAIL, "a value ends that has not begun");
    if (b->type == DS_TENSOR && b->open_len != b->want)
        return ds_fail(err, DS_FAIL, "tensor of %" PRIu64 " bytes ends after %" PRIu64, b->want,
                       b->open_len);
    if (b->type != DS_TENSOR)
        rc = put_len(&b->lens, b->open_len, err);
    return rc ? rc : row_end(b, true, err);
}

int ds_colbuild_drop_open(ds_colbuild *b, uint64_t rows, ds_err *err)
{
    if (!b->open && b->rows <= rows)
        return 0;
    if (b->sealed || !b->marked || (b->open ? b->rows != rows : b->rows != rows + 1))
        return ds_fail(err, DS_FAIL, "only the last row of a column can be dropped");
    int rc = ds_spool_truncate(&b->data, b->mark.data, err);
    if (rc)
        return rc;
    b->lens.len = b->mark.lens;
    b->item_lens.len = b->mark.item_lens;
    b->bits = b->mark.bits;
    b->bit_tail = b->mark.bit_tail;
    b->present = b->mark.present;
    b->rows = rows;
    b->open = b->marked = false;
    if (b->nullable) {
        b->presence.len = (size_t)(rows / 8 + (rows % 8 != 0));
        if (rows % 8)
            b->presence.data[rows / 8] &= (uint8_t)((1u << rows % 8) - 1);
    }
    return 0;
}

/* ---- results ---- */

int ds_colbuild_chunk(ds_colbuild *b, ds_buf *head, ds_chunk *out, ds_err *err)
{
    bool nulls = b->present != b->rows;
    int rc = 0;
    ds_buf_reset(head);
    if (b->open)
        return ds_fail(err, DS_FAIL, "row %" PRIu64 " of the column has not ended", b->rows);
    if (!b->sealed && b->bits % 8)
        rc = ds_spool_put(&b->data, &b->bit_tail, 1, err);
    if (rc)
        return rc;
    b->sealed = true;
    rc = ds_buf_varint(head, b->rows);
    if (!rc)
        rc = ds_buf_putc(head, nulls);
    if (!rc && nulls)
        rc = ds_buf_put(head, b->presence.data, b->presence.len);
    if (!rc)
        rc = ds_buf_put(head, b->lens.data, b->lens.len);
    if (!rc)
        rc = ds_buf_put(head, b->item_lens.data, b->item_lens.len);
    if (rc)
        return ds_fail_nomem(err);
    *out = (ds_chunk){.head = head->data, .head_len = head->len, .spool = &b->data};
    return ds_spool_view(&b->data, &out->body, &out->body_len, err);
}

int ds_colbuild_last(ds_colbuild *b, ds_value *out, ds_err *err)
{
    *out = (ds_value){0};
    if (b->open || !b->marked || b->sealed || b->type == DS_RUNS || b->type == DS_LIST)
        return ds_fail(err, DS_FAIL, "no last value of a column of type %s", ds_type_name(b->type));
    if (b->present == b->mark.present) {
        out->null = true;
        return 0;
    }
    if (b->type == DS_BOOL) {
        uint8_t byte = b->bit_tail;
        const uint8_t *p;
        size_t len;
        if (b->bits % 8 == 0) { /* its byte has just been filled */
            int rc = ds_spool_view(&b->data, &p, &len, err);
            if (rc)
                return rc;
            byte = p[len - 1];
        }
        out->i = byte >> (b->bits - 1) % 8 & 1;
        return 0;
    }
    size_t len;
    int rc = ds_spool_view(&b->data, &out->p, &len, err);
    if (rc)
        return rc;
    out->p += b->mark.data;
    out->len = len - (size_t)b->mark.data;
    if (b->type == DS_TENSOR) {
        out->head = b->lens.data + b->mark.lens;
        out->head_len = b->lens.len - b->mark.lens;
    }
    return 0;
}
