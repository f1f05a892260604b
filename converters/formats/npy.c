/* npy.c - see npy.h. */
#include "npy.h"

#include <string.h>

const char DS_NPY_MORE[] = "the head does not end";

static const char *const descrs[] = {
    [DS_U8] = "|u1",  [DS_I8] = "|i1",   [DS_U16] = "<u2", [DS_I16] = "<i2",
    [DS_U32] = "<u4", [DS_I32] = "<i4",  [DS_U64] = "<u8", [DS_I64T] = "<i8",
    [DS_F16] = "<f2", [DS_BF16] = "<u2", [DS_F32] = "<f4", [DS_F64T] = "<f8",
};

const char *ds_npy_descr(int dtype)
{
    return descrs[dtype];
}

int ds_npy_head(ds_buf *out, int dtype, int ndim, const uint64_t *dims)
{
    return ds_npy_head_of(out, descrs[dtype], ndim, dims);
}

int ds_npy_head_of(ds_buf *out, const char *descr, int ndim, const uint64_t *dims)
{
    const size_t start = out->len;
    bool bad = ds_buf_put(out, "\x93NUMPY\x01\x00\0\0", 10) ||
               ds_buf_printf(out, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
    for (int i = 0; !bad && i < ndim; i++)
        bad = ds_buf_printf(out,
                            i + 1 < ndim ? "%llu, "
                            : ndim == 1  ? "%llu,"
                                         : "%llu",
                            (unsigned long long)dims[i]);
    bad = bad || ds_buf_puts(out, "), }");
    while (!bad && (out->len - start + 1) % 64)
        bad = ds_buf_putc(out, ' ');
    if (bad || ds_buf_putc(out, '\n'))
        return DS_NOMEM;
    const size_t n = out->len - start - 10;
    out->data[start + 8] = (uint8_t)n;
    out->data[start + 9] = (uint8_t)(n >> 8);
    return 0;
}

/* What stands behind a member's name and colon. */
static const uint8_t *member(const uint8_t *p, size_t len, const char *name, size_t *left)
{
    const uint8_t *at = memmem(p, len, name, strlen(name));
    if (!at)
        return NULL;
    for (at += strlen(name); at < p + len && (*at == ':' || *at == ' ');)
        at++;
    *left = (size_t)(p + len - at);
    return at;
}

static const char *shape_of(ds_npyhead *v, const uint8_t *p, size_t len)
{
    if (len == 0 || *p != '(')
        return "no shape in the head";
    for (p++, len--; len && *p != ')';) {
        uint64_t n = 0;
        if (*p == ' ' || *p == ',') {
            p++, len--;
            continue;
        }
        size_t digits = 0;
        if (*p < '0' || *p > '9')
            return "the shape is none";
        if (v->ndim == 8)
            return "more than 8 dimensions";
        if (!ds_digits_get(p, len, &digits, &n))
            return "the shape is too large";
        p += digits, len -= digits;
        v->dims[v->ndim++] = n;
    }
    return len ? NULL : "the shape does not end";
}

/* "[ns]": the unit of times; 0 when it is another. */
static int64_t unit_of(const uint8_t *p, size_t len)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {
        {"[ns]", 1},
        {"[us]", 1000},
        {"[ms]", 1000000},
        {"[s]", 1000000000},
        {"[m]", INT64_C(60000000000)},
        {"[h]", INT64_C(3600000000000)},
        {"[D]", INT64_C(86400000000000)},
    };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strlen(units[i].name) == len && memcmp(units[i].name, p, len) == 0)
            return units[i].ns;
    return 0;
}

/* The type in its quotes; false when it is none that is read. */
static bool descr_of(ds_npyhead *h, const uint8_t *p, size_t len)
{
    const uint8_t *end = len > 1 && (*p == '\'' || *p == '"') ? memchr(p + 1, *p, len - 1) : NULL;
    uint64_t width = 0;
    if (!end || end - p < 4 || (p[1] != '<' && p[1] != '|'))
        return false;
    const uint8_t *at = p + 3;
    const size_t n = (size_t)(end - p) - 1;
    for (int k = DS_U8; k <= DS_F64T; k++)
        if (k != DS_BF16 && n == 3 && memcmp(p + 1, descrs[k], 3) == 0) {
            *h = (ds_npyhead){.kind = (char)p[2], .dtype = k, .width = ds_dtype_size(k)};
            return true;
        }
    for (; at < end && *at >= '0' && *at <= '9' && width < UINT32_MAX; at++)
        width = width * 10 + (uint64_t)(*at - '0');
    h->kind = (char)p[2];
    h->width = (size_t)width;
    if (h->kind == 'b' && width == 1 && at == end) {
        h->dtype = DS_U8;
        return true;
    }
    if (h->kind == 'M' && width == 8)
        return (h->unit = unit_of(at, (size_t)(end - at))) > 0;
    if (h->kind == 'U')
        h->width = (size_t)width * 4;
    return (h->kind == 'U' || h->kind == 'S') && at == end && width < UINT32_MAX;
}

const char *ds_npyhead_parse(ds_npyhead *h, const uint8_t *p, size_t len)
{
    size_t left, at, n;
    *h = (ds_npyhead){0};
    if (len < 12)
        return DS_NPY_MORE;
    if (memcmp(p, "\x93NUMPY", 6) != 0 || p[6] < 1 || p[6] > 3)
        return "it is no file of NumPy";
    at = p[6] == 1 ? 10 : 12;
    n = p[6] == 1 ? (size_t)(p[8] | p[9] << 8) : ds_get_u32(p + 8);
    if (n > 65536)
        return "a head of more than 64 KiB";
    if (n > len - at)
        return DS_NPY_MORE;
    const uint8_t *d = member(p + at, n, "'descr'", &left);
    if (!d || !descr_of(h, d, left))
        return "its type is none that is read (numbers, truth, times, texts; little endian)";
    h->used = at + n;
    const uint8_t *f = member(p + at, n, "'fortran_order'", &left);
    const bool fortran = !f || left < 5 || memcmp(f, "False", 5) != 0;
    const uint8_t *s = member(p + at, n, "'shape'", &left);
    const char *why = s ? shape_of(h, s, left) : "no shape in the head";
    if (!why && fortran && h->ndim > 1)
        why = "it is in Fortran's order";
    h->bytes = h->width;
    for (int i = 0; !why && i < h->ndim; i++)
        if (__builtin_mul_overflow(h->bytes, h->dims[i], &h->bytes))
            why = "the shape is too large";
    return why;
}

const char *ds_npy_parse(ds_fval *v, size_t *used, uint64_t *bytes, const uint8_t *p, size_t len)
{
    ds_npyhead h;
    const char *why = ds_npyhead_parse(&h, p, len);
    if (!why && !h.dtype)
        why = "its type is none that is read (numbers, little endian)";
    *v = (ds_fval){.kind = DS_FV_ARRAY, .dtype = h.dtype, .ndim = h.ndim};
    memcpy(v->dims, h.dims, sizeof v->dims);
    *used = h.used;
    *bytes = h.bytes;
    return why;
}

const char *ds_npy_value(ds_fval *v, const uint8_t *p, size_t len)
{
    size_t used = 0;
    uint64_t bytes = 0;
    const char *why = ds_npy_parse(v, &used, &bytes, p, len);
    if (why)
        return why;
    if (bytes != len - used)
        return "its data is not what its shape demands";
    v->p = p + used;
    v->len = len - used;
    return NULL;
}
