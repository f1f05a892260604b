/* fmtnumber.c - numbers of all widths as values (fmtvalue.h). */
#include <string.h>

#include "fmtvalue.h"
#include "half.h"

bool ds_fval_number(ds_fval *v, int dtype, const uint8_t *p)
{
    const size_t w = ds_dtype_size(dtype);
    uint64_t u = 0;
    float f;
    for (size_t i = 0; i < w; i++)
        u |= (uint64_t)p[i] << 8 * i;
    if (dtype < DS_F16) {
        const bool is_signed = dtype == DS_I8 || dtype == DS_I16 || dtype == DS_I32;
        if (is_signed && u >> (8 * w - 1))
            u |= ~(uint64_t)0 << (8 * w - 1);
        *v = (ds_fval){.kind = DS_FV_INT, .i = (int64_t)u};
        return dtype != DS_U64 || v->i >= 0;
    }
    *v = (ds_fval){.kind = DS_FV_REAL};
    if (dtype == DS_F16)
        v->f = (double)ds_f16_to((uint16_t)u);
    else if (dtype == DS_F32)
        memcpy(&f, p, 4), v->f = (double)f;
    else
        memcpy(&v->f, p, 8);
    return true;
}
