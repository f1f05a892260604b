/* dicomrows.c - see dicomrows.h. */
#include "dicomrows.h"

#include <inttypes.h>
#include <string.h>

#include "io.h"

#define PART ((size_t)1 << 20)
#define OVERLAP 256 /* longest identifier that is found across two parts */

enum { COL_KEY, COL_IMAGE, COL_FRAME, COL_META, COL_TEXT, COL_CHAIN };

int ds_dicom_schema(ds_schema *s, ds_err *err)
{
    s->explicit_key = true;
    int rc = ds_schema_add(s, NULL, "key", DS_UTF8, false, false, false, NULL, err);
    if (rc == 0)
        rc = ds_schema_add(s, NULL, "image", DS_TENSOR, true, false, false, NULL, err);
    if (rc == 0)
        rc = ds_schema_add(s, NULL, "frame", DS_I64, true, false, false, NULL, err);
    if (rc == 0)
        rc = ds_schema_add(s, NULL, "meta", DS_JSON, false, true, false, NULL, err);
    if (rc == 0)
        rc = ds_schema_add(s, NULL, "text", DS_UTF8, true, false, false, NULL, err);
    if (rc == 0)
        rc = ds_schema_add(s, NULL, "chain", DS_JSON, true, false, false, NULL, err);
    return rc == 0 ? ds_schema_check(s, err) : rc;
}

void ds_dicom_rows_fini(ds_dicom_rows *r)
{
    ds_buf_fini(&r->part);
}

static int proved(ds_dicom_rows *r, const char *column, enum ds_proof_kind kind, const void *p,
                  size_t n, ds_err *err)
{
    return r->proof ? ds_proof_value(r->proof, column, kind, p, n, err) : 0;
}

static int put_image(ds_dicom_rows *r, ds_colbuild *b, const ds_dicom_result *res, int fd,
                     uint64_t first, uint64_t frames, ds_err *err)
{
    const dcm_shape *im = &res->shape;
    uint64_t dims[4], left = frames * res->frame_bytes; /* checked when it was written */
    uint64_t at = res->data_at + first * res->frame_bytes;
    int n = 0;
    size_t tail = 0;
    if (frames > 1)
        dims[n++] = frames;
    dims[n++] = im->rows;
    dims[n++] = im->cols;
    if (im->samples > 1)
        dims[n++] = im->samples;
    int rc = ds_colbuild_tensor_begin(b, (int)im->dtype, n, dims, err);
    ds_buf_reset(&r->part);
    if (rc == 0 && ds_buf_reserve(&r->part, PART + OVERLAP) != 0)
        rc = ds_fail_nomem(err);
    while (rc == 0 && left > 0) {
        size_t take = left < PART ? (size_t)left : PART;
        rc = ds_pread_exact(fd, "temporary file", r->part.data + tail, take, at, err);
        if (rc == 0)
            rc = ds_colbuild_part(b, r->part.data + tail, take, err);
        if (rc == 0)
            rc = proved(r, "image", DS_PROOF_RAW, r->part.data, tail + take, err);
        size_t all = tail + take;
        tail = all < OVERLAP ? all : OVERLAP;
        memmove(r->part.data, r->part.data + all - tail, tail);
        at += take;
        left -= take;
    }
    return rc == 0 ? ds_colbuild_end(b, err) : rc;
}

/* What was done to the values: of one frame, or of all (an array of arrays where they differ). */
static int put_chain(ds_colbuild *b, const ds_dicom_result *res, int64_t frame, ds_err *err)
{
    const char *p = (const char *)res->chain.data, *end = p + res->chain.len, *nl;
    ds_buf all = {0};
    if (!res->has_image)
        return ds_colbuild_null(b, err);
    if (!memchr(p, '\n', res->chain.len))
        return ds_colbuild_bytes(b, p, res->chain.len, err);
    int bad = ds_buf_putc(&all, '[');
    for (int64_t i = 0; p < end; p = nl + 1, i++) {
        nl = memchr(p, '\n', (size_t)(end - p));
        nl = nl ? nl : end;
        if (frame == i) {
            ds_buf_fini(&all);
            return ds_colbuild_bytes(b, p, (size_t)(nl - p), err);
        }
        bad |= (i ? ds_buf_putc(&all, ',') : 0) | ds_buf_put(&all, p, (size_t)(nl - p));
    }
    bad |= ds_buf_putc(&all, ']');
    int rc = bad ? ds_fail_nomem(err) : ds_colbuild_bytes(b, all.data, all.len, err);
    ds_buf_fini(&all);
    return rc;
}

/* One record: frames `first` and on; frame < 0: all of them. */
static int put_record(ds_dicom_rows *r, const ds_dicom_result *res, int fd, uint64_t size,
                      int64_t frame, ds_err *err)
{
    ds_rows *rows;
    ds_buf key = {0};
    int rc = ds_shardout_rows(r->out, &rows, err);
    int bad = ds_buf_put(&key, res->key.data, res->key.len);
    if (frame >= 0)
        bad |= ds_buf_printf(&key, "#%" PRId64, frame + 1);
    if (rc == 0 && bad)
        rc = ds_fail_nomem(err);
    if (rc == 0)
        rc = ds_rows_begin(rows, err);
    if (rc == 0)
        rc = ds_colbuild_bytes(ds_rows_col(rows, COL_KEY), key.data, key.len, err);
    if (rc == 0)
        rc = res->has_image ? put_image(r, ds_rows_col(rows, COL_IMAGE), res, fd,
                                        frame < 0 ? 0 : (uint64_t)frame,
                                        frame < 0 ? res->shape.frames : 1, err)
                            : ds_colbuild_null(ds_rows_col(rows, COL_IMAGE), err);
    if (rc == 0)
        rc = frame < 0 ? ds_colbuild_null(ds_rows_col(rows, COL_FRAME), err)
                       : ds_colbuild_i64(ds_rows_col(rows, COL_FRAME), frame + 1, err);
    if (rc == 0)
        rc = ds_colbuild_bytes(ds_rows_col(rows, COL_META), res->meta.data, res->meta.len, err);
    if (rc == 0)
        rc = res->text.len ? ds_colbuild_bytes(ds_rows_col(rows, COL_TEXT), res->text.data,
                                               res->text.len, err)
                           : ds_colbuild_null(ds_rows_col(rows, COL_TEXT), err);
    if (rc == 0)
        rc = put_chain(ds_rows_col(rows, COL_CHAIN), res, frame, err);
    if (rc == 0)
        rc = proved(r, "key", DS_PROOF_TEXT, key.data, key.len, err);
    if (rc == 0)
        rc = ds_shardout_row(r->out, 0, size, err);
    ds_buf_fini(&key);
    r->records += rc == 0;
    return rc;
}

int ds_dicom_rows_put(ds_dicom_rows *r, const ds_dicom_result *res, int fd, uint64_t size,
                      ds_err *err)
{
    int rc = r->proof ? ds_proof_file(r->proof, res->ids, err) : 0;
    if (rc == 0)
        rc = proved(r, "meta", DS_PROOF_JSON, res->meta.data, res->meta.len, err);
    if (rc == 0)
        rc = proved(r, "text", DS_PROOF_TEXT, res->text.data, res->text.len, err);
    if (rc == 0 && !(r->by_frame && res->has_image))
        return put_record(r, res, fd, size, -1, err);
    for (uint32_t i = 0; i < res->shape.frames && rc == 0; i++)
        rc = put_record(r, res, fd, size, i, err);
    return rc;
}
