/* nifti.c - see nifti.h. */
#include "nifti.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "buf.h"
#include "dsr_schema.h"

enum { /* where fields are, and some values of them */
       AT_DIM = 40,
       AT_INTENT = 68,
       AT_DATATYPE = 70,
       AT_BITPIX = 72,
       AT_PIXDIM = 76,
       AT_OFFSET = 108,
       AT_SLOPE = 112,
       AT_UNITS = 123,
       AT_QFORM = 252,
       AT_SFORM = 254,
       AT_QUATERN = 256,
       AT_QOFFSET = 268,
       AT_SROW = 280,
       AT_MAGIC = 344,
       UNITS_MM = 2,
       FORM_SCANNER = 1,
       AXES = 7,
       COLOURS = 4, /* their axis, from 0 */
       VECTOR = 1007,
       RGB24 = 128,
       RGBA32 = 2304
};

static const int16_t datatypes[] = {
    [DS_U8] = 2,    [DS_I8] = 256, [DS_U16] = 512,  [DS_I16] = 4,
    [DS_U32] = 768, [DS_I32] = 8,  [DS_U64] = 1280, [DS_I64T] = 1024,
    [DS_F16] = 0,   [DS_BF16] = 0, [DS_F32] = 16,   [DS_F64T] = 64,
};

int ds_nifti_dtype(int dtype)
{
    return dtype == DS_F16 || dtype == DS_BF16 ? DS_F32 : dtype;
}

static void put16(uint8_t *p, int v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)((unsigned)v >> 8);
}

static void put_f32(uint8_t *p, double v)
{
    const float f = (float)v;
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    ds_set_u32(p, u);
}

static double determinant(double r[3][3])
{
    return r[0][0] * (r[1][1] * r[2][2] - r[1][2] * r[2][1]) -
           r[0][1] * (r[1][0] * r[2][2] - r[1][2] * r[2][0]) +
           r[0][2] * (r[1][0] * r[2][1] - r[1][1] * r[2][0]);
}

/* What f32 holds, has an inverse, and ends as an affine does. */
static bool is_affine(double m[3][4], const double last[4])
{
    double steps[3][3];
    for (int i = 0; i < 12; i++)
        if (!(fabs(m[i / 4][i % 4]) <= FLT_MAX))
            return false;
    for (int k = 0; k < 3; k++) {
        const double most = fmax(fabs(m[0][k]), fmax(fabs(m[1][k]), fabs(m[2][k])));
        if (most == 0)
            return false;
        for (int i = 0; i < 3; i++)
            steps[i][k] = m[i][k] / most;
    }
    return determinant(steps) != 0 && last[0] == 0 && last[1] == 0 && last[2] == 0 && last[3] == 1;
}

/* Columns of the affine in RAS: what a step along each axis is, and where the first value lies.
 * False where it is no affine. */
static bool to_world(double m[3][4], const ds_nifti *n)
{
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 4; k++) {
            const double v = n->affine[4 * i + k];
            m[i][k] = i < 2 && v != 0 ? -v : v;
        }
    /* One slice has no step to the next: 1 mm along its normal, so that there is an inverse. */
    if (m[0][2] == 0 && m[1][2] == 0 && m[2][2] == 0) {
        double c[3], length = 0;
        for (int i = 0; i < 3; i++) {
            const int j = (i + 1) % 3, k = (i + 2) % 3;
            c[i] = m[j][0] * m[k][1] - m[k][0] * m[j][1];
            length += c[i] * c[i];
        }
        for (int i = 0; i < 3 && length > 0; i++)
            m[i][2] = c[i] / sqrt(length);
    }
    return is_affine(m, n->affine + 12);
}

/* The rotation of a quaternion (a, b, c, d), which has no shear: false where there is one. */
static bool rotation(double r[3][3], double m[3][4], double size[3], double *qfac)
{
    for (int k = 0; k < 3; k++) {
        size[k] = sqrt(m[0][k] * m[0][k] + m[1][k] * m[1][k] + m[2][k] * m[2][k]);
        if (!(size[k] > 0))
            return false;
        for (int i = 0; i < 3; i++)
            r[i][k] = m[i][k] / size[k];
    }
    for (int k = 0; k < 3; k++) {
        const int l = (k + 1) % 3;
        if (fabs(r[0][k] * r[0][l] + r[1][k] * r[1][l] + r[2][k] * r[2][l]) > 1e-4)
            return false;
    }
    const double det = determinant(r);
    *qfac = det < 0 ? -1 : 1;
    for (int i = 0; i < 3 && det < 0; i++)
        r[i][2] = -r[i][2];
    return true;
}

/* b, c, d of the unit quaternion with a >= 0 (nifti1.h, METHOD 2): by the largest of the four. */
static void quaternion(double q[3], double r[3][3])
{
    const double trace = r[0][0] + r[1][1] + r[2][2];
    double s[4] = {trace, 2 * r[0][0] - trace, 2 * r[1][1] - trace, 2 * r[2][2] - trace}, v[4];
    int best = 0;
    for (int i = 1; i < 4; i++)
        if (s[i] > s[best])
            best = i;
    const double root = 0.5 * sqrt(1 + s[best]), part = 0.25 / root;
    const double minus[3] = {r[2][1] - r[1][2], r[0][2] - r[2][0], r[1][0] - r[0][1]};
    const double plus[3] = {r[2][1] + r[1][2], r[0][2] + r[2][0], r[1][0] + r[0][1]};
    v[best] = root;
    for (int i = 0; i < 3; i++) {
        if (best == 0)
            v[i + 1] = minus[i] * part;
        else if (i + 1 != best)
            v[i + 1] = plus[3 - i - (best - 1)] * part;
    }
    if (best > 0)
        v[0] = minus[best - 1] * part;
    for (int i = 0; i < 3; i++)
        q[i] = v[0] < 0 ? -v[i + 1] : v[i + 1];
}

static void place(uint8_t *out, const ds_nifti *n)
{
    double m[3][4], r[3][3], q[3], size[3] = {0}, qfac = 1;
    if (!to_world(m, n))
        return;
    put16(out + AT_SFORM, FORM_SCANNER);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 4; k++)
            put_f32(out + AT_SROW + 16 * i + 4 * k, m[i][k]);
    if (rotation(r, m, size, &qfac)) {
        quaternion(q, r);
        put16(out + AT_QFORM, FORM_SCANNER);
        put_f32(out + AT_PIXDIM, qfac);
        for (int i = 0; i < 3; i++) {
            put_f32(out + AT_QUATERN + 4 * i, q[i]);
            put_f32(out + AT_QOFFSET + 4 * i, m[i][3]);
        }
    }
    for (int k = 0; k < 3; k++)
        put_f32(out + AT_PIXDIM + 4 * (k + 1), size[k] > 0 ? size[k] : 1);
}

static unsigned colours(const ds_nifti *n)
{
    const uint64_t last = n->ndim >= 3 ? n->dims[n->ndim - 1] : 1;
    return last == 3 || last == 4 ? (unsigned)last : 1;
}

unsigned ds_nifti_planes(const ds_nifti *n)
{
    return n->dtype == DS_U8 ? 1 : colours(n);
}

/* Axes, first to last, in dims, which are 1 behind them. */
static const char *axes(uint64_t dims[8], int *naxes, const ds_nifti *n)
{
    const unsigned planes = ds_nifti_planes(n);
    const int left = n->ndim - (colours(n) > 1);
    if (left > (planes > 1 ? COLOURS : AXES))
        return "NIfTI has at most 7 axes, of which the fifth is that of colours";
    *naxes = planes > 1 ? COLOURS + 1 : left > 0 ? left : 1;
    for (int i = 0; i < 8; i++) {
        dims[i] = i < left ? n->dims[left - 1 - i] : planes > 1 && i == COLOURS ? planes : 1;
        if (dims[i] < 1 || dims[i] > INT16_MAX)
            return "an axis of NIfTI-1 has 1 to 32767 values";
    }
    return NULL;
}

static double distance(const ds_nifti *n, int axis)
{
    const double v = axis < 3 ? n->spacing[axis] : 0;
    return v > 0 && v <= FLT_MAX ? v : 1;
}

const char *ds_nifti_head(uint8_t out[DS_NIFTI_HEAD], const ds_nifti *n)
{
    const int dtype = ds_nifti_dtype(n->dtype);
    const unsigned samples = colours(n) / ds_nifti_planes(n);
    uint64_t dims[8];
    int naxes;
    const char *why = axes(dims, &naxes, n);
    if (why != NULL)
        return why;
    memset(out, 0, DS_NIFTI_HEAD);
    ds_set_u32(out, DS_NIFTI_HEAD - 4);
    put16(out + AT_DIM, naxes);
    for (int i = 0; i < AXES; i++) {
        put16(out + AT_DIM + 2 * (i + 1), (int)dims[i]);
        put_f32(out + AT_PIXDIM + 4 * (i + 1), distance(n, i));
    }
    put_f32(out + AT_PIXDIM, 1);
    put16(out + AT_DATATYPE, samples == 3 ? RGB24 : samples == 4 ? RGBA32 : datatypes[dtype]);
    put16(out + AT_BITPIX, (int)(8 * samples * ds_dtype_size(dtype)));
    put16(out + AT_INTENT, ds_nifti_planes(n) > 1 ? VECTOR : 0);
    put_f32(out + AT_OFFSET, DS_NIFTI_HEAD);
    put_f32(out + AT_SLOPE, 1);
    out[AT_UNITS] = UNITS_MM;
    if (n->has_affine)
        place(out, n);
    memcpy(out + AT_MAGIC, "n+1", 4);
    return NULL;
}
