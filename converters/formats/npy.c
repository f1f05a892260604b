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
    const size_t start = out->len;
    bool bad =
        ds_buf_put(out, "\x93NUMPY\x01\x00\0\0", 10) ||
        ds_buf_printf(out, "{'descr': '%s', 'fortran_order': False, 'shape': (", descrs[dtype]);
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

static const char *shape_of(ds_fval *v, const uint8_t *p, size_t len)
{
    if (len == 0 || *p != '(')
        return "no shape in the head";
    for (p++, len--; len && *p != ')';) {
        uint64_t n = 0;
        if (*p == ' ' || *p == ',') {
            p++, len--;
            continue;
        }
        if (*p < '0' || *p > '9')
            return "the shape is none";
        if (v->ndim == 8)
            return "more than 8 dimensions";
        for (; len && *p >= '0' && *p <= '9'; p++, len--)
            if (__builtin_mul_overflow(n, 10, &n) ||
                __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
                return "the shape is too large";
        v->dims[v->ndim++] = n;
    }
    return len ? NULL : "the shape does not end";
}

const char *ds_npy_parse(ds_fval *v, size_t *used, uint64_t *bytes, const uint8_t *p, size_t len)
{
    size_t left, at, n;
    *v = (ds_fval){.kind = DS_FV_ARRAY};
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
    *used = at + n;
    const uint8_t *d = member(p + at, n, "'descr'", &left);
    for (int k = DS_U8; d && left >= 5 && k <= DS_F64T; k++)
        if (k != DS_BF16 && (d[0] == '\'' || d[0] == '"') && memcmp(d + 1, descrs[k], 3) == 0 &&
            d[4] == d[0])
            v->dtype = k;
    if (d && left >= 5 && memcmp(d + 1, "|b1", 3) == 0)
        v->dtype = DS_U8;
    if (!v->dtype)
        return "its type is none that is read (numbers, little endian)";
    const uint8_t *f = member(p + at, n, "'fortran_order'", &left);
    const bool fortran = !f || left < 5 || memcmp(f, "False", 5) != 0;
    const uint8_t *s = member(p + at, n, "'shape'", &left);
    const char *why = s ? shape_of(v, s, left) : "no shape in the head";
    if (!why && fortran && v->ndim > 1)
        why = "it is in Fortran's order";
    *bytes = ds_dtype_size(v->dtype);
    for (int i = 0; !why && i < v->ndim; i++)
        if (__builtin_mul_overflow(*bytes, v->dims[i], bytes))
            why = "the shape is too large";
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
