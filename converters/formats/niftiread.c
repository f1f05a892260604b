/* niftiread.c - see niftiread.h. Fields by nifti1.h and nifti2.h. */
#include "niftiread.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fmtguess.h"
#include "fmtin.h"
#include "json.h"
#include "jsonrow.h"

enum { HEAD1 = 348, HEAD2 = 540, AXES = 7 };

/* Where fields are in the one version and the other; w: bytes of a whole number, of a real. */
typedef struct layout {
    size_t head, dim, dim_w, datatype, pixdim, real_w, offset, slope, inter, units, units_w;
    size_t descrip, qform, sform, form_w, quatern, qoffset, srow, intent, intent_w, intent_name;
} layout;
static const layout layouts[] = {
    {HEAD1, 40, 2, 70, 76, 4, 108, 112, 116, 123, 1, 148, 252, 254, 2, 256, 268, 280, 68, 2, 328},
    {HEAD2, 16, 8, 12, 104, 8, 168, 176, 184, 500, 4, 240, 344, 348, 4, 352, 376, 400, 504, 4, 508},
};
enum { COL_KEY, COL_IMAGE, COL_SPACING, COL_AFFINE, COL_META, COLS };
static const char *const names[COLS] = {"key", "image", "spacing", "affine", "meta"};

typedef struct reader {
    ds_fmtin in;
    ds_fmtread o;
    const layout *l;
    uint8_t head[HEAD2];
    bool swapped;
    /* of the image */
    int dtype, naxes;
    unsigned samples; /* of a value */
    uint64_t axes[AXES], values, bytes;
    double slope, inter, mm;
    uint8_t affine[16 * 8], spacing[3 * 8];
    ds_buf data, meta, key;
} reader;

/* ---- the head ---- */

static uint64_t whole(const reader *r, size_t at, size_t w)
{
    uint64_t v = 0;
    for (size_t i = 0; i < w; i++)
        v |= (uint64_t)r->head[at + (r->swapped ? w - 1 - i : i)] << 8 * i;
    return v;
}

static int64_t number(const reader *r, size_t at, size_t w)
{
    const uint64_t v = whole(r, at, w), top = UINT64_C(1) << (8 * w - 1);
    return (int64_t)(w < 8 && v & top ? v | ~(2 * top - 1) : v);
}

static double real(const reader *r, size_t at)
{
    const uint64_t v = whole(r, at, r->l->real_w);
    double d;
    if (r->l->real_w == 4) {
        const uint32_t u = (uint32_t)v;
        float f;
        memcpy(&f, &u, sizeof f);
        return (double)f;
    }
    memcpy(&d, &v, sizeof d);
    return d;
}

static double real_at(const reader *r, size_t at, size_t i)
{
    return real(r, at + i * r->l->real_w);
}

/* Which version and byte order; NULL, or why it is none. */
static const char *find_layout(reader *r, size_t len)
{
    for (int i = 0; i < 4; i++) {
        r->l = &layouts[i / 2];
        r->swapped = i % 2;
        if (len < r->l->head || whole(r, 0, 4) != r->l->head)
            continue;
        const uint8_t *magic = r->head + (r->l->head == HEAD1 ? 344 : 4);
        if (memcmp(magic, r->l->head == HEAD1 ? "n+1" : "n+2", 4) == 0)
            return NULL;
        return magic[0] == 'n' && magic[1] == 'i'
                   ? "its values are in another file (.img): only .nii is read"
                   : "it is Analyze, or something else, but no NIfTI";
    }
    return "it is no NIfTI";
}

static const struct {
    int code, dtype;
    unsigned samples;
} kinds[] = {{2, DS_U8, 1},      {4, DS_I16, 1},    {8, DS_I32, 1},   {16, DS_F32, 1},
             {64, DS_F64T, 1},   {256, DS_I8, 1},   {512, DS_U16, 1}, {768, DS_U32, 1},
             {1024, DS_I64T, 1}, {1280, DS_U64, 1}, {128, DS_U8, 3},  {2304, DS_U8, 4}};

static const char *read_shape(reader *r)
{
    const layout *l = r->l;
    const int64_t n = number(r, l->dim, l->dim_w), code = number(r, l->datatype, 2);
    r->dtype = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].code == code) {
            r->dtype = kinds[i].dtype;
            r->samples = kinds[i].samples;
        }
    if (!r->dtype)
        return "its values are complex, of 128 bits or of no known type";
    if (n < 1 || n > AXES)
        return "it has no axes, or more than 7";
    r->naxes = (int)n;
    r->values = 1;
    for (int i = 0; i < r->naxes; i++) {
        const int64_t d = number(r, l->dim + (size_t)(i + 1) * l->dim_w, l->dim_w);
        r->axes[i] = (uint64_t)d;
        if (d < 1 || __builtin_mul_overflow(r->values, (uint64_t)d, &r->values))
            return "an axis has no values, or all together have too many";
    }
    if (__builtin_mul_overflow(r->values, ds_dtype_size(r->dtype) * r->samples, &r->bytes))
        return "its axes have too many values together";
    return NULL;
}

/* No slope, or one that is no number, scales nothing; nor has a colour a scale. */
static const char *read_scale(reader *r)
{
    const double slope = real(r, r->l->slope), inter = real(r, r->l->inter);
    const int64_t units = number(r, r->l->units, r->l->units_w) & 7;
    r->mm = units == 1 ? 1e3 : units == 3 ? 1e-3 : 1;
    r->slope = 1;
    r->inter = 0;
    if (slope == 0 || slope - slope != 0 || r->samples > 1)
        return NULL;
    if (inter - inter != 0)
        return "it has a slope (scl_slope), but its intercept (scl_inter) is no number";
    r->slope = slope;
    r->inter = inter;
    return NULL;
}

/* ---- where it lies ---- */

static void put_real(uint8_t *p, double v)
{
    uint64_t u;
    v = v == 0 ? 0 : v; /* no minus */
    memcpy(&u, &v, sizeof u);
    ds_set_u64(p, u);
}

/* Between values along an axis, counted from 1. It has no sign, and is 1 where there is none. */
static double distance(const reader *r, size_t axis)
{
    const double v = fabs(real_at(r, r->l->pixdim, axis));
    return v > 0 ? v : 1;
}

/* Method 2: a unit quaternion, distances, and where the first value lies. */
static void by_qform(const reader *r, double m[3][4])
{
    double b = real_at(r, r->l->quatern, 0), c = real_at(r, r->l->quatern, 1),
           d = real_at(r, r->l->quatern, 2);
    const double square = b * b + c * c + d * d, length = sqrt(square);
    const bool half = 1 - square < 1e-7; /* a turn; what f32 rounded off is no angle */
    const double a = half ? 0 : sqrt(1 - square);
    if (half) {
        b /= length;
        c /= length;
        d /= length;
    }
    const double turn[3][3] = {
        {a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)},
        {2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)},
        {2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c}};
    const double qfac = real(r, r->l->pixdim) < 0 ? -1 : 1;
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 3; k++)
            m[i][k] = turn[i][k] * distance(r, (size_t)k + 1) * (k == 2 ? qfac : 1);
        m[i][3] = real_at(r, r->l->qoffset, (size_t)i);
    }
}

/* RAS to LPS, in mm. False: not in finite numbers. */
static bool put_affine(reader *r, double m[3][4])
{
    static const double last[4] = {0, 0, 0, 1};
    double sum = 0;
    for (size_t i = 0; i < 12; i++) {
        const double v = m[i / 4][i % 4] * r->mm;
        sum += fabs(v);
        put_real(r->affine + 8 * i, i < 8 ? -v : v);
    }
    for (size_t i = 0; i < 4; i++)
        put_real(r->affine + 8 * (12 + i), last[i]);
    return sum - sum == 0;
}

/* By one form, or else the other; false: the file does not say. */
static bool read_affine(reader *r)
{
    double m[3][4];
    if (number(r, r->l->sform, r->l->form_w) > 0) {
        for (size_t i = 0; i < 12; i++)
            m[i / 4][i % 4] = real_at(r, r->l->srow, i);
        if (put_affine(r, m))
            return true;
    }
    if (number(r, r->l->qform, r->l->form_w) <= 0)
        return false;
    by_qform(r, m);
    return put_affine(r, m);
}

/* Slices, rows, columns; how many. */
static uint64_t read_spacing(reader *r)
{
    const uint64_t n = r->naxes < 3 ? (uint64_t)r->naxes : 3;
    for (uint64_t i = 0; i < n; i++) {
        const double v = fabs(real_at(r, r->l->pixdim, (size_t)(n - i))) * r->mm;
        if (!(v > 0) || v - v != 0)
            return 0;
        put_real(r->spacing + 8 * i, v);
    }
    return n;
}

/* ---- what else it says ---- */

/* What is not UTF-8 becomes U+FFFD. */
static int put_text(ds_buf *b, const char *name, const uint8_t *p, size_t max)
{
    const size_t len = strnlen((const char *)p, max);
    if (len == 0)
        return 0;
    return ds_buf_printf(b, ",\"%s\":", name) || ds_json_name(b, (const char *)p, len);
}

/* Of axes that spacing has no room for, such as time. */
static int put_steps(ds_buf *b, const reader *r)
{
    int bad = ds_buf_printf(b, ",\"xyzt_units\":%lld,\"pixdim\":[",
                            (long long)number(r, r->l->units, r->l->units_w));
    for (size_t i = 1; i <= (size_t)r->naxes && !bad; i++)
        bad = (i > 1 && ds_buf_putc(b, ',')) || ds_json_real(b, real_at(r, r->l->pixdim, i));
    return bad || ds_buf_putc(b, ']');
}

static int describe(reader *r, ds_err *err)
{
    const layout *l = r->l;
    ds_buf_reset(&r->meta);
    int bad = ds_buf_printf(
        &r->meta, "{\"datatype\":%lld,\"intent\":%lld,\"sform\":%lld,\"qform\":%lld",
        (long long)number(r, l->datatype, 2), (long long)number(r, l->intent, l->intent_w),
        (long long)number(r, l->sform, l->form_w), (long long)number(r, l->qform, l->form_w));
    if (!bad && (r->slope != 1 || r->inter != 0))
        bad = ds_buf_puts(&r->meta, ",\"slope\":") || ds_json_real(&r->meta, r->slope) ||
              ds_buf_puts(&r->meta, ",\"inter\":") || ds_json_real(&r->meta, r->inter);
    bad = bad || (r->naxes > 3 && put_steps(&r->meta, r)) ||
          put_text(&r->meta, "descrip", r->head + l->descrip, 80) ||
          put_text(&r->meta, "intent_name", r->head + l->intent_name, 16) ||
          ds_buf_putc(&r->meta, '}');
    return bad ? ds_fail_nomem(err) : 0;
}

/* ---- values ---- */

/* The type of scaled values: i32 where a whole slope and intercept keep all that the type holds
 * within it, else f64. */
static int scaled_dtype(const reader *r)
{
    static const struct {
        int dtype;
        double least, most;
    } ranges[] = {{DS_U8, 0, 255}, {DS_I8, -128, 127}, {DS_U16, 0, 65535}, {DS_I16, -32768, 32767}};
    if (r->slope == 1 && r->inter == 0)
        return r->dtype;
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        const double a = ranges[i].least * r->slope + r->inter,
                     b = ranges[i].most * r->slope + r->inter;
        if (ranges[i].dtype == r->dtype && floor(r->slope) == r->slope &&
            floor(r->inter) == r->inter && fmin(a, b) >= INT32_MIN && fmax(a, b) <= INT32_MAX)
            return DS_I32;
    }
    return DS_F64T;
}

static void to_little(uint8_t *p, size_t n, size_t w)
{
    for (size_t i = 0; i < n; i++, p += w)
        for (size_t k = 0; k < w / 2; k++) {
            const uint8_t c = p[k];
            p[k] = p[w - 1 - k];
            p[w - 1 - k] = c;
        }
}

static double value_of(int dtype, const uint8_t *p)
{
    ds_fval v;
    if (dtype == DS_U64)
        return (double)ds_get_u64(p);
    return ds_fval_number(&v, dtype, p) ? v.kind == DS_FV_INT ? (double)v.i : v.f : NAN;
}

/* Values as the tensor has them, in r->data. */
static int scale(reader *r, int to, ds_err *err)
{
    const size_t w = ds_dtype_size(r->dtype), n = (size_t)(r->bytes / w), size = ds_dtype_size(to);
    size_t bytes;
    if (r->swapped)
        to_little(r->data.data, n, w);
    if (to == r->dtype)
        return 0;
    ds_buf out = {0};
    if (!ds_mul_size(n, size, &bytes) || ds_buf_reserve(&out, bytes))
        return ds_fail_nomem(err);
    for (size_t i = 0; i < n; i++) {
        const double v = value_of(r->dtype, r->data.data + i * w) * r->slope + r->inter;
        if (to == DS_I32)
            ds_set_u32(out.data + i * size, (uint32_t)(int32_t)v);
        else
            put_real(out.data + i * size, v);
    }
    out.len = bytes;
    ds_buf_fini(&r->data);
    r->data = out;
    return 0;
}

static int take_data(reader *r, const char **why, ds_err *err)
{
    const double at =
        r->l->head == HEAD1 ? real(r, r->l->offset) : (double)number(r, r->l->offset, 8);
    uint64_t got = 0;
    if (r->bytes > r->o.max_record)
        *why = "its values are longer than --max-record";
    else if (!(at >= (double)r->l->head))
        *why = "its values begin within its head";
    else if (at > 1e15) /* more than a file has, and a whole number */
        *why = "it ends before its values do";
    if (*why)
        return 0;
    int rc = ds_fmtin_pass(&r->in, (uint64_t)at, &got, err);
    rc = rc ? rc : ds_fmtin_want(&r->in, (size_t)r->bytes, err);
    if (rc == 0 && (got < (uint64_t)at || ds_fmtin_have(&r->in) < r->bytes))
        *why = "it ends before its values do";
    if (rc || *why)
        return rc;
    ds_buf_reset(&r->data);
    if (ds_buf_put(&r->data, ds_fmtin_at(&r->in), (size_t)r->bytes))
        return ds_fail_nomem(err);
    ds_fmtin_skip(&r->in, (size_t)r->bytes);
    return scale(r, scaled_dtype(r), err);
}

/* ---- the record ---- */

static ds_fval image_of(const reader *r)
{
    ds_fval v = {.kind = DS_FV_ARRAY, .p = r->data.data, .len = r->data.len};
    v.dtype = scaled_dtype(r);
    for (int i = r->naxes; i-- > 0;)
        v.dims[v.ndim++] = r->axes[i];
    if (r->samples > 1)
        v.dims[v.ndim++] = r->samples;
    return v;
}

static ds_fval reals_of(const uint8_t *p, uint64_t n)
{
    return (ds_fval){.kind = n ? DS_FV_ARRAY : DS_FV_NULL,
                     .p = p,
                     .len = (size_t)n * 8,
                     .dtype = DS_F64T,
                     .ndim = 1,
                     .dims = {n},
                     .listed = true};
}

/* The name without .nii and what says how it is packed. */
static int name_key(reader *r, ds_err *err)
{
    size_t n = ds_packmark_bare(r->o.name);
    if (n > 4 && memcmp(r->o.name + n - 4, ".nii", 4) == 0)
        n -= 4;
    ds_buf_reset(&r->key);
    return ds_buf_put(&r->key, r->o.name, n) ? ds_fail_nomem(err) : 0;
}

static int give(reader *r, const ds_fmtsink *sink, ds_err *err)
{
    const ds_fval all[COLS] = {
        [COL_KEY] = {.kind = DS_FV_TEXT, .p = r->key.data, .len = r->key.len},
        [COL_IMAGE] = image_of(r),
        [COL_SPACING] = reals_of(r->spacing, read_spacing(r)),
        [COL_AFFINE] = reals_of(r->affine, read_affine(r) ? 16 : 0),
        [COL_META] = {.kind = DS_FV_JSON, .p = r->meta.data, .len = r->meta.len}};
    ds_fval *row = calloc(sink->schema->n + 1, sizeof *row);
    if (!row)
        return ds_fail_nomem(err);
    for (int c = 0; c < COLS; c++) {
        const long to = ds_schema_find(sink->schema, names[c]);
        if (to >= 0)
            row[to] = all[c];
    }
    const int rc = sink->row(sink->ctx, row, 0, r->in.pos, err);
    free(row);
    return rc;
}

int ds_niftiread_open(void **out, const ds_fmtread *o, ds_err *err)
{
    reader *r = *out = calloc(1, sizeof *r);
    if (!r)
        return ds_fail_nomem(err);
    r->o = *o;
    if (o->key && strcmp(o->key, names[COL_KEY]) != 0)
        return ds_fail(err, DS_USAGE, "nifti: the key is the file's name, and no field");
    return ds_fmtin_open(&r->in, o, err);
}

int ds_niftiread_schema(void *v, ds_schema *s, ds_err *err)
{
    (void)v;
    int rc = ds_fmtschema_begin(s, true, err);
    rc = rc ? rc : ds_schema_add(s, NULL, names[COL_IMAGE], DS_TENSOR, 0, NULL, err);
    rc = rc ? rc : ds_schema_add_list(s, NULL, names[COL_SPACING], DS_F64, true, err);
    rc = rc ? rc : ds_schema_add_list(s, NULL, names[COL_AFFINE], DS_F64, true, err);
    rc = rc ? rc : ds_schema_add(s, NULL, names[COL_META], DS_JSON, DS_COL_NULLABLE, NULL, err);
    return rc ? rc : ds_fmtschema_end(s, err);
}

int ds_niftiread_read(void *v, const ds_fmtsink *sink, ds_err *err)
{
    reader *r = v;
    int rc = ds_fmtin_want(&r->in, HEAD2, err);
    const size_t have = ds_fmtin_have(&r->in), len = have < HEAD2 ? have : HEAD2;
    if (rc)
        return rc;
    memcpy(r->head, ds_fmtin_at(&r->in), len);
    const char *why = find_layout(r, len);
    why = why ? why : read_shape(r);
    why = why ? why : read_scale(r);
    if (!why) {
        rc = describe(r, err);
        rc = rc ? rc : take_data(r, &why, err);
        rc = rc ? rc : name_key(r, err);
    }
    if (rc == 0 && why)
        rc = sink->bad(sink->ctx, "nifti", 0, 0, NULL, len, false, why, err);
    else if (rc == 0)
        rc = give(r, sink, err);
    return rc ? rc : ds_fmtin_end(&r->in, sink, err);
}

void ds_niftiread_close(void *v)
{
    reader *r = v;
    if (!r)
        return;
    ds_fmtin_close(&r->in);
    ds_buf_fini(&r->data);
    ds_buf_fini(&r->meta);
    ds_buf_fini(&r->key);
    free(r);
}
