/* dicompreview.c - see dicompreview.h. */
#include "dicompreview.h"

#include <math.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"

#define TILE 256
#define GAP 4
#define ACROSS 6
#define TILES (ACROSS * ACROSS)

typedef struct tile {
    uint32_t rows, cols;
    uint8_t *rgb;
} tile;

struct ds_dicom_preview {
    char *dir;
    bool windowed;
    uint32_t patch;
    ds_buf series, name; /* of the sheet that is being filled */
    tile tiles[TILES];
    size_t n;
    ds_buf frame;
};

int ds_dicom_preview_new(ds_dicom_preview **out, const char *dir, bool windowed, uint32_t patch,
                         ds_err *err)
{
    ds_dicom_preview *p = *out = calloc(1, sizeof *p);
    if (!p || !(p->dir = strdup(dir)))
        return ds_fail_nomem(err);
    p->windowed = windowed;
    p->patch = patch;
    return 0;
}

static void drop_tiles(ds_dicom_preview *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->tiles[i].rgb);
    p->n = 0;
}

void ds_dicom_preview_free(ds_dicom_preview *p)
{
    if (!p)
        return;
    drop_tiles(p);
    ds_buf_fini(&p->series);
    ds_buf_fini(&p->name);
    ds_buf_fini(&p->frame);
    free(p->dir);
    free(p);
}

/* ---- values ---- */

static double value_at(const uint8_t *p, enum dcm_sample type)
{
    uint16_t u16 = (uint16_t)(p[0] | (dcm_sample_size(type) > 1 ? p[1] << 8 : 0));
    uint32_t u32 = dcm_sample_size(type) >= 4 ? ds_get_u32(p) : 0;
    uint64_t u64 = type == DCM_F64 ? ds_get_u64(p) : 0;
    float f;
    double d;
    memcpy(&f, &u32, sizeof f);
    memcpy(&d, &u64, sizeof d);
    switch (type) {
    case DCM_U8:
        return p[0];
    case DCM_I8:
        return (int8_t)p[0];
    case DCM_U16:
        return u16;
    case DCM_I16:
        return (int16_t)u16;
    case DCM_U32:
        return u32;
    case DCM_I32:
        return (int32_t)u32;
    case DCM_F32:
        return (double)f;
    default:
        return d;
    }
}

/* All that the type can hold; false where it has no bounds of its own. */
static bool whole_range(enum dcm_sample type, double *low, double *high)
{
    static const double bounds[][2] = {
        [DCM_U8] = {0, 255},         [DCM_I8] = {-128, 127},
        [DCM_U16] = {0, 65535},      [DCM_I16] = {-32768, 32767},
        [DCM_U32] = {0, 4294967295}, [DCM_I32] = {-2147483648.0, 2147483647}};
    *low = 0;
    *high = 1;
    if (type <= DCM_I32) {
        *low = bounds[type][0];
        *high = bounds[type][1];
    }
    return type <= DCM_I32;
}

typedef struct source {
    const uint8_t *p;
    const dcm_shape *s;
    double low, high;
} source;

/* What is black and what is white. */
static void scale(source *src, bool windowed)
{
    const dcm_shape *s = src->s;
    size_t n = (size_t)s->rows * s->cols * s->samples, size = dcm_sample_size(s->dtype);
    bool bounded = whole_range(s->dtype, &src->low, &src->high);
    if (windowed || (bounded && s->samples >= 3))
        return;
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        double v = value_at(src->p + i * size, s->dtype);
        if (isfinite(v)) {
            low = v < low ? v : low;
            high = v > high ? v : high;
        }
    }
    src->low = low <= high ? low : 0;
    src->high = high > low ? high : src->low + 1;
}

/* The mean of a box of values, as a byte. */
static uint8_t mean(const source *src, uint32_t y0, uint32_t y1, uint32_t x0, uint32_t x1,
                    uint32_t k)
{
    const dcm_shape *s = src->s;
    size_t size = dcm_sample_size(s->dtype);
    double sum = 0, n = 0;
    for (uint32_t y = y0; y < y1; y++)
        for (uint32_t x = x0; x < x1; x++) {
            double v =
                value_at(src->p + (((size_t)y * s->cols + x) * s->samples + k) * size, s->dtype);
            if (isfinite(v)) {
                sum += v;
                n++;
            }
        }
    double v = n > 0 ? (sum / n - src->low) / (src->high - src->low) : 0;
    return (uint8_t)(v >= 1 ? 255 : v > 0 ? v * 255 + 0.5 : 0); /* of what is no number: 0 */
}

static uint32_t bound(uint32_t i, uint32_t from, uint32_t to)
{
    return (uint32_t)((uint64_t)i * from / to);
}

/* A patch begins within these values. */
static bool at_border(uint32_t from, uint32_t to, uint32_t patch)
{
    return from / patch != (to - 1) / patch || from % patch == 0;
}

static int make_tile(ds_dicom_preview *p, const dcm_shape *s, ds_err *err)
{
    source src = {p->frame.data, s, 0, 0};
    uint32_t longest = s->rows > s->cols ? s->rows : s->cols;
    tile *t = &p->tiles[p->n];
    double by = longest > TILE ? (double)TILE / longest : 1;
    t->rows = (uint32_t)(s->rows * by) ? (uint32_t)(s->rows * by) : 1;
    t->cols = (uint32_t)(s->cols * by) ? (uint32_t)(s->cols * by) : 1;
    t->rgb = malloc((size_t)t->rows * t->cols * 3);
    if (!t->rgb)
        return ds_fail_nomem(err);
    p->n++;
    scale(&src, p->windowed);
    bool lines = p->patch && p->patch * by >= 8;
    for (uint32_t y = 0; y < t->rows; y++)
        for (uint32_t x = 0; x < t->cols; x++) {
            uint8_t *out = t->rgb + ((size_t)y * t->cols + x) * 3;
            uint32_t y0 = bound(y, s->rows, t->rows), y1 = bound(y + 1, s->rows, t->rows);
            uint32_t x0 = bound(x, s->cols, t->cols), x1 = bound(x + 1, s->cols, t->cols);
            for (uint32_t k = 0; k < 3; k++)
                out[k] = k && s->samples < 3 ? out[0] : mean(&src, y0, y1, x0, x1, k);
            if (lines && (at_border(y0, y1, p->patch) || at_border(x0, x1, p->patch)))
                out[0] = (uint8_t)(out[0] / 2 + 128); /* reddish */
        }
    return 0;
}

/* ---- sheets ---- */

static int write_png(const char *path, uint8_t *rgb, uint32_t rows, uint32_t cols, ds_err *err)
{
    png_image image = {
        .version = PNG_IMAGE_VERSION, .width = cols, .height = rows, .format = PNG_FORMAT_RGB};
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
    uint8_t *out = malloc(size);
    if (!out)
        return ds_fail_nomem(err);
    int ok = png_image_write_to_memory(&image, out, &size, 0, rgb, (png_int_32)cols * 3, NULL);
    int rc = ok ? ds_atomic_write(path, 0644, out, size, err)
                : ds_fail(err, DS_FAIL, "%s: %s", path, image.message);
    png_image_free(&image);
    free(out);
    return rc;
}

static int sheet_path(const ds_dicom_preview *p, ds_buf *path)
{
    int bad = ds_buf_printf(path, "%s/", p->dir);
    for (size_t i = 0; i < p->name.len && i < 200; i++) {
        uint8_t c = p->name.data[i];
        bool ok = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  (c == '.' && i > 0) || c == '-';
        bad |= ds_buf_putc(path, ok ? c : '_');
    }
    return bad | ds_buf_puts(path, ".png") || !ds_buf_cstr(path);
}

static int flush(ds_dicom_preview *p, ds_err *err)
{
    uint32_t across = p->n < ACROSS ? (uint32_t)p->n : ACROSS;
    uint32_t down = (uint32_t)((p->n + ACROSS - 1) / ACROSS), high = 1, wide = 1;
    ds_buf path = {0};
    if (p->n == 0)
        return 0;
    for (size_t i = 0; i < p->n; i++) {
        high = p->tiles[i].rows > high ? p->tiles[i].rows : high;
        wide = p->tiles[i].cols > wide ? p->tiles[i].cols : wide;
    }
    uint32_t cols = across * (wide + GAP) + GAP, rows = down * (high + GAP) + GAP;
    uint8_t *rgb = malloc((size_t)rows * cols * 3);
    int rc = rgb && !sheet_path(p, &path) ? 0 : ds_fail_nomem(err);
    if (rgb)
        memset(rgb, 64, (size_t)rows * cols * 3);
    for (size_t i = 0; i < p->n && rc == 0; i++) {
        const tile *t = &p->tiles[i];
        size_t y0 = i / ACROSS * (high + GAP) + GAP, x0 = i % ACROSS * (wide + GAP) + GAP;
        for (uint32_t y = 0; y < t->rows; y++)
            memcpy(rgb + ((y0 + y) * cols + x0) * 3, t->rgb + (size_t)y * t->cols * 3,
                   (size_t)t->cols * 3);
    }
    if (rc == 0)
        rc = write_png((const char *)path.data, rgb, rows, cols, err);
    free(rgb);
    ds_buf_fini(&path);
    drop_tiles(p);
    return rc;
}

static int begin(ds_dicom_preview *p, const ds_dicom_record *rec, ds_text series, ds_err *err)
{
    ds_buf_reset(&p->name);
    ds_buf_reset(&p->series);
    int bad = ds_buf_put(&p->name, rec->key.p, rec->key.n) |
              (series.p ? ds_buf_put(&p->series, series.p, series.n) : 0);
    return bad ? ds_fail_nomem(err) : 0;
}

int ds_dicom_preview_record(ds_dicom_preview *p, const ds_dicom_record *rec, ds_err *err)
{
    const ds_text series = {rec->facts->text[DS_FACT_SERIES], rec->facts->len[DS_FACT_SERIES]};
    uint32_t frames = rec->shape.frames, shown = frames < TILES ? frames : TILES;
    bool own = rec->stack || frames > 1;
    bool same = !own && p->n > 0 && p->n < TILES && series.n == p->series.len &&
                (series.n == 0 || memcmp(series.p, p->series.data, series.n) == 0);
    int rc = same ? 0 : flush(p, err);
    if (rc == 0 && !same)
        rc = begin(p, rec, series, err);
    for (uint32_t i = 0; i < shown && rc == 0; i++) {
        uint64_t f = shown > 1 ? ((uint64_t)i * (frames - 1) + (shown - 1) / 2) / (shown - 1) : 0;
        ds_buf_reset(&p->frame);
        if (ds_buf_reserve(&p->frame, (size_t)rec->frame_bytes) != 0)
            return ds_fail_nomem(err);
        rc = ds_pread_exact(rec->fd, "temporary file", p->frame.data, (size_t)rec->frame_bytes,
                            rec->at + f * rec->frame_bytes, err);
        if (rc == 0)
            rc = make_tile(p, &rec->shape, err);
    }
    return rc == 0 && own ? flush(p, err) : rc;
}

int ds_dicom_preview_end(ds_dicom_preview *p, ds_err *err)
{
    return flush(p, err);
}
