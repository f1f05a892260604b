/* mdscode.c - see mdscode.h. */
#include "mdscode.h"

#include <string.h>

/* By dtype of ours. bf16 is none of numpy's: its bytes go as uint16. */
static const struct {
    const char *name;
    uint8_t code;
} dtypes[] = {
    [DS_U8] = {"uint8", 8},     [DS_I8] = {"int8", 9},      [DS_U16] = {"uint16", 16},
    [DS_I16] = {"int16", 17},   [DS_U32] = {"uint32", 32},  [DS_I32] = {"int32", 33},
    [DS_U64] = {"uint64", 64},  [DS_I64T] = {"int64", 65},  [DS_F16] = {"float16", 18},
    [DS_BF16] = {"uint16", 16}, [DS_F32] = {"float32", 34}, [DS_F64T] = {"float64", 66},
};

static int dtype_named(const char *p, size_t n)
{
    for (int d = DS_U8; d <= DS_F64T; d++)
        if (d != DS_BF16 && strlen(dtypes[d].name) == n && memcmp(dtypes[d].name, p, n) == 0)
            return d;
    return 0;
}

void ds_mdscode_of(ds_mdscode *c, const ds_column *col)
{
    static const char *const names[DS_NTYPES] = {
        [DS_UTF8] = "str",
        [DS_BYTES] = "bytes",
        [DS_JSON] = "json",
        [DS_BOOL] = "uint8",
        [DS_I64] = "int",
        [DS_F64] = "float64",
        [DS_TIMESTAMP] = "int",
        [DS_TENSOR] = "ndarray",
        [DS_TOKENS16] = "ndarray:uint16",
        [DS_TOKENS32] = "ndarray:uint32",
        [DS_RUNS] = "json",
        [DS_LIST] = "json",
    };
    (void)ds_mdscode_parse(c, names[col->type]);
}

static bool parse_shape(ds_mdscode *c, const char *p)
{
    for (c->ndim = 0; c->ndim < 8; c->ndim++) {
        if (!ds_digits_next(&p, &c->dims[c->ndim]))
            return false;
        if (!*p) {
            c->ndim++;
            return true;
        }
        if (*p++ != ',')
            return false;
    }
    return false;
}

static bool parse_array(ds_mdscode *c, const char *p)
{
    c->array = true;
    c->type = DS_TENSOR;
    if (!*p)
        return true;
    if (*p++ != ':')
        return false;
    const size_t n = strcspn(p, ":");
    c->dtype = dtype_named(p, n);
    if (!c->dtype)
        return false;
    if (!p[n])
        return true;
    if (!parse_shape(c, p + n + 1))
        return false;
    uint64_t bytes;
    if (!ds_tensor_size(&bytes, c->dtype, c->ndim, c->dims))
        return false;
    c->size = bytes <= UINT32_MAX ? (uint32_t)bytes : 0;
    return c->size > 0;
}

bool ds_mdscode_parse(ds_mdscode *c, const char *name)
{
    static const char *const texts[] = {"str", "str_int", "str_float", "str_decimal", NULL};
    static const char *const blobs[] = {"bytes", "jpeg", "png", NULL};
    *c = (ds_mdscode){.ndim = -1};
    if (strlen(name) >= sizeof c->name)
        return false;
    memcpy(c->name, name, strlen(name) + 1);
    for (size_t i = 0; texts[i]; i++)
        if (strcmp(name, texts[i]) == 0)
            return c->type = DS_UTF8, true;
    for (size_t i = 0; blobs[i]; i++)
        if (strcmp(name, blobs[i]) == 0)
            return c->type = DS_BYTES, true;
    if (strcmp(name, "json") == 0)
        return c->json = true, c->type = DS_JSON, true;
    if (strncmp(name, "ndarray", 7) == 0)
        return parse_array(c, name + 7);
    c->dtype = strcmp(name, "int") == 0 ? DS_I64T : dtype_named(name, strlen(name));
    c->number = c->dtype != 0;
    c->type = c->dtype > DS_I64T ? DS_F64 : DS_I64;
    c->size = (uint32_t)ds_dtype_size(c->dtype);
    return c->number;
}

static bool array(const ds_mdscode *c, const uint8_t *p, size_t len, ds_fval *v)
{
    size_t at = 0;
    *v = (ds_fval){.kind = DS_FV_ARRAY, .dtype = c->dtype, .ndim = c->ndim};
    if (!c->dtype) {
        for (int d = DS_U8; len && d <= DS_F64T; d++)
            if (d != DS_BF16 && dtypes[d].code == p[0])
                v->dtype = d;
        at = 1;
    }
    if (!v->dtype)
        return false;
    memcpy(v->dims, c->dims, sizeof v->dims);
    if (c->ndim < 0) {
        if (at >= len)
            return false;
        const size_t w = (size_t)1 << (p[at] & 3);
        v->ndim = p[at++] >> 2;
        if (v->ndim > 8 || (size_t)v->ndim * w > len - at)
            return false;
        for (int i = 0; i < v->ndim; i++, at += w)
            for (size_t k = 0; k < w; k++)
                v->dims[i] = (k ? v->dims[i] : 0) | (uint64_t)p[at + k] << 8 * k;
    }
    v->p = p + at;
    v->len = len - at;
    return ds_fval_is_tensor(v);
}

bool ds_mdscode_value(const ds_mdscode *c, const uint8_t *p, size_t len, ds_fval *v)
{
    if (c->size && len != c->size)
        return false;
    if (c->number)
        return ds_fval_number(v, c->dtype, p);
    if (c->array)
        return array(c, p, len, v);
    *v = (ds_fval){.kind = c->json ? DS_FV_JSON : DS_FV_TEXT, .p = p, .len = len};
    return true;
}

int ds_mdscode_head(const ds_mdscode *c, ds_buf *out, int dtype, int ndim, const uint64_t *dims)
{
    uint64_t most = 0;
    for (int i = 0; i < ndim; i++)
        most = dims[i] > most ? dims[i] : most;
    const unsigned log = most < 256 ? 0 : most < 65536 ? 1 : most <= UINT32_MAX ? 2 : 3;
    if (!c->dtype && ds_buf_putc(out, dtypes[dtype].code))
        return DS_NOMEM;
    if (ds_buf_putc(out, (uint8_t)((unsigned)ndim << 2 | log)))
        return DS_NOMEM;
    for (int i = 0; i < ndim; i++)
        for (unsigned k = 0; k < 1u << log; k++)
            if (ds_buf_putc(out, (uint8_t)(dims[i] >> 8 * k)))
                return DS_NOMEM;
    return 0;
}
