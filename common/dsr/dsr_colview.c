/* dsr_colview.c - looking into a chunk; see dsr_column.h and docs/dsr-format.md, section 3. */
#include "dsr_column.h"

#include <inttypes.h>
#include <string.h>

#include "dsr_jsoncheck.h"
#include "utf8.h"

#define STEP ((size_t)1 << 20) /* large data is looked at, and released, in steps of this size */
#define F64_NAN UINT64_C(0x7ff8000000000000)

static bool is_bytes(enum ds_type t)
{
    return t == DS_UTF8 || t == DS_BYTES || t == DS_JSON;
}

/* Bytes of a value of fixed width, of a token; 1 where lengths count bytes. */
static size_t width(enum ds_type t)
{
    switch (t) {
    case DS_I64:
    case DS_F64:
    case DS_TIMESTAMP:
        return 8;
    case DS_TOKENS16:
        return 2;
    case DS_TOKENS32:
        return 4;
    default:
        return 1;
    }
}

static bool has_lens(enum ds_type t)
{
    return is_bytes(t) || t == DS_TOKENS16 || t == DS_TOKENS32;
}

/* Most lengths are short: one byte, or two. */
static inline bool get(const uint8_t *p, size_t len, size_t *pos, uint64_t *v)
{
    if (*pos < len && p[*pos] < 0x80) {
        *v = p[(*pos)++];
        return true;
    }
    return ds_varint_get(p, len, pos, v);
}

/* The same where open has already gone over it. */
static inline uint64_t got(const ds_colview *v, size_t *pos)
{
    uint64_t x = 0;
    get(v->p, v->len, pos, &x);
    return x;
}

static int corrupt(const ds_colview *v, size_t at, uint64_t nth, const char *why, ds_err *err)
{
    return ds_fail(err, DS_CORRUPT, "column \"%s\", %s %" PRIu64 ", byte %zu of the chunk: %s",
                   v->col ? v->col->name : "?", v->type == DS_LIST ? "item" : "value", nth, at,
                   why);
}

/* ---- open ---- */

static int open_presence(ds_colview *v, uint64_t rows, size_t *pos, ds_err *err)
{
    uint64_t n;
    if (!get(v->p, v->len, pos, &n))
        return corrupt(v, *pos, 0, "bad number of rows", err);
    if (n != rows)
        return ds_fail(err, DS_CORRUPT, "column \"%s\": %" PRIu64 " rows in a block of %" PRIu64,
                       v->col->name, n, rows);
    if (*pos >= v->len || v->p[*pos] > 1 || (v->p[*pos] && !v->col->nullable))
        return corrupt(v, *pos, 0, "bad null flag", err);
    v->present = rows;
    if (!v->p[(*pos)++])
        return 0;
    uint64_t bytes = rows / 8 + (rows % 8 != 0);
    if (bytes > v->len - *pos)
        return corrupt(v, *pos, 0, "presence bitmap cut off", err);
    v->presence = v->p + *pos;
    v->present = 0;
    for (size_t i = 0; i < bytes; i++)
        v->present += (uint64_t)__builtin_popcount(v->presence[i]);
    if (rows % 8 && v->presence[bytes - 1] >> rows % 8)
        return corrupt(v, *pos + (size_t)bytes - 1, 0, "padding bits are set", err);
    if (v->present == rows)
        return corrupt(v, *pos, 0, "presence bitmap without a null", err);
    *pos += (size_t)bytes;
    return 0;
}

/* Goes over n varints and adds them up. */
static int open_lens(const ds_colview *v, uint64_t n, size_t *pos, uint64_t *sum, ds_err *err)
{
    uint64_t total = 0, x;
    for (uint64_t i = 0; i < n; i++)
        if (!get(v->p, v->len, pos, &x) || __builtin_add_overflow(total, x, &total))
            return corrupt(v, *pos, i, "bad length", err);
    *sum = total;
    return 0;
}

/* What is left of the chunk must be n values of `size` bytes. */
static int open_data(const ds_colview *v, size_t pos, uint64_t n, size_t size, ds_err *err)
{
    uint64_t bytes;
    if (__builtin_mul_overflow(n, (uint64_t)size, &bytes) || bytes != v->len - pos)
        return corrupt(v, pos, n, bytes > v->len - pos ? "data cut off" : "bytes after the data",
                       err);
    return 0;
}

static int open_bits(const ds_colview *v, size_t pos, uint64_t n, ds_err *err)
{
    int rc = open_data(v, pos, n / 8 + (n % 8 != 0), 1, err);
    if (!rc && n % 8 && v->p[v->len - 1] >> n % 8)
        rc = corrupt(v, v->len - 1, n, "padding bits are set", err);
    return rc;
}

/* A tensor's head at *pos; *bytes is what its data takes. False when it is malformed. */
static bool tensor_head(const uint8_t *p, size_t len, size_t *pos, ds_value *x, uint64_t *bytes)
{
    size_t at = *pos;
    if (len - at < 2)
        return false;
    x->head = p + at;
    x->dtype = p[at++];
    x->ndim = p[at++];
    if (x->ndim > 8)
        return false;
    for (int i = 0; i < x->ndim; i++)
        if (!get(p, len, &at, &x->dims[i]))
            return false;
    if (!ds_tensor_size(bytes, x->dtype, x->ndim, x->dims))
        return false;
    x->head_len = at - *pos;
    *pos = at;
    return true;
}

static int open_tensors(ds_colview *v, size_t pos, ds_err *err)
{
    uint64_t total = 0, bytes;
    ds_value x;
    for (uint64_t i = 0; i < v->present; i++)
        if (!tensor_head(v->p, v->len, &pos, &x, &bytes) ||
            __builtin_add_overflow(total, bytes, &total))
            return corrupt(v, pos, i, "bad tensor head", err);
    v->data_pos = pos;
    return open_data(v, pos, total, 1, err);
}

static int open_runs(ds_colview *v, size_t pos, ds_err *err)
{
    uint64_t count, len, value, last = 0;
    size_t counts = pos;
    int rc = open_lens(v, v->present, &pos, &count, err);
    if (rc)
        return rc;
    v->data_pos = pos;
    for (uint64_t i = 0; i < v->present; i++) {
        uint64_t sum = 0;
        count = got(v, &counts);
        for (uint64_t k = 0; k < count; k++) {
            if (!get(v->p, v->len, &pos, &len) || !get(v->p, v->len, &pos, &value))
                return corrupt(v, pos, i, "bad run", err);
            if (len == 0 || __builtin_add_overflow(sum, len, &sum))
                return corrupt(v, pos, i, "bad length of a run", err);
            if (k && value == last)
                return corrupt(v, pos, i, "two runs of one value follow each other", err);
            last = value;
        }
    }
    return open_data(v, pos, 0, 1, err);
}

/* The body of simple values: rows of the column, or all items of a list. */
static int open_leaves(ds_colview *v, enum ds_type t, size_t pos, ds_err *err)
{
    uint64_t n = v->leaves;
    int rc = 0;
    v->items_pos = pos;
    if (has_lens(t))
        rc = open_lens(v, v->leaves, &pos, &n, err);
    if (rc)
        return rc;
    v->data_pos = pos;
    return t == DS_BOOL ? open_bits(v, pos, n, err) : open_data(v, pos, n, width(t), err);
}

int ds_colview_open(ds_colview *v, const ds_column *col, const uint8_t *p, size_t len,
                    uint64_t rows, ds_err *err)
{
    size_t pos = 0;
    *v = (ds_colview){
        .type = col->type, .item = col->item, .col = col, .p = p, .len = len, .rows = rows};
    int rc = open_presence(v, rows, &pos, err);
    if (rc)
        return rc;
    v->lens_pos = pos;
    v->leaves = v->present;
    switch (v->type) {
    case DS_TENSOR:
        rc = open_tensors(v, pos, err);
        break;
    case DS_RUNS:
        rc = open_runs(v, pos, err);
        break;
    case DS_LIST:
        rc = open_lens(v, v->present, &pos, &v->leaves, err);
        if (!rc)
            rc = open_leaves(v, v->item, pos, err);
        break;
    default:
        rc = open_leaves(v, v->type, pos, err);
    }
    ds_colview_rewind(v);
    return rc;
}

/* ---- check ---- */

/* Text of any length in steps, releasing behind it. */
static bool text_ok(const ds_colview *v, size_t at, size_t len, ds_spool *spool, size_t *bad)
{
    ds_utf8_state st = {0};
    bool ok = true;
    for (size_t i = 0; ok && i < len; i += STEP) {
        ok = ds_utf8_feed(&st, v->p + at + i, len - i < STEP ? len - i : STEP);
        if (spool)
            ds_spool_release(spool, at + i);
    }
    ok = ok && ds_utf8_end(&st);
    *bad = at + (size_t)st.offset;
    return ok;
}

/* Data that is valid as a whole, with every value beginning at a character, is valid value by
 * value. */
static bool text_ok_fast(const ds_colview *v)
{
    size_t at = v->data_pos, lens = v->items_pos;
    if (v->len - at > 4 * STEP || ds_utf8_check(v->p + at, v->len - at) != v->len - at)
        return false;
    for (uint64_t i = 0; i < v->leaves; i++) {
        if (at < v->len && (v->p[at] & 0xc0) == 0x80)
            return false;
        at += (size_t)got(v, &lens);
    }
    return true;
}

static int check_text(const ds_colview *v, enum ds_type t, ds_spool *spool, ds_err *err)
{
    size_t at = v->data_pos, lens = v->items_pos, bad = 0;
    if (t == DS_UTF8 && text_ok_fast(v))
        return 0;
    for (uint64_t i = 0; i < v->leaves; i++) {
        size_t len = (size_t)got(v, &lens);
        if (t == DS_JSON) {
            const char *why = ds_jsoncheck(v->p + at, len, spool, at, &bad);
            if (why)
                return ds_fail(err, DS_CORRUPT,
                               "column \"%s\", %s %" PRIu64 ", byte %zu of it: JSON: %s",
                               v->col->name, v->type == DS_LIST ? "item" : "value", i, bad, why);
        } else if (!text_ok(v, at, len, spool, &bad)) {
            return corrupt(v, bad, i, "not UTF-8", err);
        }
        at += len;
        if (spool)
            ds_spool_release(spool, at);
    }
    return 0;
}

static int check_f64(const ds_colview *v, ds_spool *spool, ds_err *err)
{
    const uint8_t *p = v->p + v->data_pos;
    for (uint64_t i = 0; i < v->leaves; i++, p += 8) {
        uint64_t u = ds_get_u64(p);
        if ((u & ~(UINT64_C(1) << 63)) > UINT64_C(0x7ff0000000000000) && u != F64_NAN)
            return corrupt(v, (size_t)(p - v->p), i, "a NaN that is not the canonical one", err);
        if (spool && i % (STEP / 8) == 0)
            ds_spool_release(spool, (size_t)(p - v->p));
    }
    return 0;
}

int ds_colview_check(const ds_colview *v, ds_spool *spool, ds_err *err)
{
    enum ds_type t = v->type == DS_LIST ? v->item : v->type;
    if (t == DS_UTF8 || t == DS_JSON)
        return check_text(v, t, spool, err);
    return t == DS_F64 ? check_f64(v, spool, err) : 0;
}

/* ---- walking ---- */

void ds_colview_rewind(ds_colview *v)
{
    v->row = v->bit_at = 0;
    v->lens_at = v->lens_pos;
    v->items_at = v->items_pos;
    v->data_at = v->data_pos;
}

static bool bit(const uint8_t *p, uint64_t i)
{
    return p[i / 8] >> i % 8 & 1;
}

/* One simple value at the cursors, which move past it. */
static void leaf(const ds_colview *v, enum ds_type t, size_t *lens_at, size_t *data_at,
                 uint64_t *bit_at, ds_value *x)
{
    if (t == DS_BOOL) {
        x->i = bit(v->p + v->data_pos, (*bit_at)++);
        return;
    }
    x->p = v->p + *data_at;
    x->len = width(t);
    if (has_lens(t)) {
        x->count = got(v, lens_at);
        x->len *= (size_t)x->count;
        if (is_bytes(t))
            x->count = 0;
    } else {
        uint64_t u = ds_get_u64(x->p);
        x->i = (int64_t)u;
        if (t == DS_F64)
            memcpy(&x->f, &u, sizeof u);
    }
    *data_at += x->len;
}

static void next_list(ds_colview *v, ds_value *x)
{
    x->count = got(v, &v->lens_at);
    x->items_at = v->items_at;
    x->data_at = v->data_at;
    x->bit_at = v->bit_at;
    if (v->item == DS_BOOL) {
        v->bit_at += x->count;
    } else if (!has_lens(v->item)) {
        v->data_at += (size_t)x->count * width(v->item);
    } else {
        uint64_t n = 0;
        for (uint64_t i = 0; i < x->count; i++)
            n += got(v, &v->items_at);
        v->data_at += (size_t)n * width(v->item);
    }
}

static void next_runs(ds_colview *v, ds_value *x)
{
    x->count = got(v, &v->lens_at);
    x->p = v->p + v->data_at;
    for (uint64_t i = 0; i < x->count; i++) {
        got(v, &v->data_at);
        got(v, &v->data_at);
    }
    x->len = (size_t)(v->p + v->data_at - x->p);
}

static void next_tensor(ds_colview *v, ds_value *x)
{
    uint64_t bytes = 0;
    tensor_head(v->p, v->len, &v->lens_at, x, &bytes);
    x->p = v->p + v->data_at;
    x->len = (size_t)bytes;
    v->data_at += x->len;
}

bool ds_colview_next(ds_colview *v, ds_value *out)
{
    if (v->row >= v->rows)
        return false;
    *out = (ds_value){0};
    uint64_t row = v->row++;
    if (v->presence && !bit(v->presence, row)) {
        out->null = true;
        return true;
    }
    switch (v->type) {
    case DS_LIST:
        next_list(v, out);
        break;
    case DS_RUNS:
        next_runs(v, out);
        break;
    case DS_TENSOR:
        next_tensor(v, out);
        break;
    default:
        leaf(v, v->type, &v->items_at, &v->data_at, &v->bit_at, out);
    }
    return true;
}

void ds_value_items(ds_items *it, const ds_colview *v, const ds_value *list)
{
    *it = (ds_items){.v = v,
                     .left = list->count,
                     .lens_at = list->items_at,
                     .data_at = list->data_at,
                     .bit_at = list->bit_at};
}

bool ds_items_next(ds_items *it, ds_value *out)
{
    if (it->left == 0)
        return false;
    it->left--;
    *out = (ds_value){0};
    leaf(it->v, it->v->item, &it->lens_at, &it->data_at, &it->bit_at, out);
    return true;
}

static bool same_leaf(const ds_value *a, const ds_value *b)
{
    return a->null == b->null && a->count == b->count && a->i == b->i && a->len == b->len &&
           a->head_len == b->head_len && (!a->p || !a->len || memcmp(a->p, b->p, a->len) == 0) &&
           (!a->head_len || memcmp(a->head, b->head, a->head_len) == 0);
}

bool ds_value_same(const ds_colview *va, const ds_value *a, const ds_colview *vb, const ds_value *b)
{
    ds_items x, y;
    ds_value p, q;
    bool same = same_leaf(a, b);
    if (!same || a->null || va->type != DS_LIST)
        return same;
    ds_value_items(&x, va, a);
    ds_value_items(&y, vb, b);
    while (same && ds_items_next(&x, &p) && ds_items_next(&y, &q))
        same = same_leaf(&p, &q);
    return same;
}
