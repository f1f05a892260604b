/* dicomfiles.c - see dicomfiles.h. */
#include "dicomfiles.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io.h"

/* ---- the command's side ---- */

/* "/" and the value as a file name: UIDs and hex only; all else becomes "_". */
static int put_name(ds_buf *b, const char *p, size_t n)
{
    int bad = ds_buf_putc(b, '/');
    if (n == 0) {
        p = "none";
        n = 4;
    }
    for (size_t i = 0; i < n && i < 64; i++) {
        bool ok =
            (p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'z') || (p[i] == '.' && i > 0);
        bad |= ds_buf_putc(b, ok ? (uint8_t)p[i] : '_');
    }
    return bad;
}

static int make_path(ds_buf *b, const char *dir, const ds_dicom_result *r, ds_err *err)
{
    static const int facts[] = {DS_FACT_PATIENT, DS_FACT_STUDY, DS_FACT_SERIES};
    int bad = ds_buf_puts(b, dir);
    for (size_t i = 0; i < 3; i++)
        bad |= put_name(b, r->facts.text[facts[i]], r->facts.len[facts[i]]);
    if (bad || !ds_buf_cstr(b))
        return ds_fail_nomem(err);
    int rc = ds_mkdirs((const char *)b->data, err);
    if (rc != 0)
        return rc;
    bad = put_name(b, (const char *)r->key.data, r->key.len) | ds_buf_puts(b, ".dcm");
    return bad || !ds_buf_cstr(b) ? ds_fail_nomem(err) : 0;
}

/* One that is read twice, for two volumes, has been taken. */
int ds_dicom_files_take(ds_stagedir *f, const ds_dicom_result *r, ds_err *err)
{
    ds_buf from = {0}, to = {0};
    int rc = ds_dicom_file_path(&from, ds_stagedir_work(f), &r->sha, err);
    if (rc == 0)
        rc = make_path(&to, ds_stagedir_good(f), r, err);
    if (rc == 0 && ds_io_active->rename((const char *)from.data, (const char *)to.data) != 0 &&
        !(errno == ENOENT && ds_path_exists((const char *)to.data)))
        rc = ds_fail_errno(err, errno, "%s", (const char *)from.data);
    ds_buf_fini(&from);
    ds_buf_fini(&to);
    return rc;
}

void ds_dicom_files_drop(ds_stagedir *f, const ds_dicom_result *r)
{
    ds_buf path = {0};
    if (ds_dicom_file_path(&path, ds_stagedir_work(f), &r->sha, NULL) == 0)
        ds_io_active->unlink((const char *)path.data);
    ds_buf_fini(&path);
}

/* ---- a worker's side ---- */

int ds_dicom_file_path(ds_buf *path, const char *stage, const ds_sha *sha, ds_err *err)
{
    char hex[65];
    ds_sha_hex(hex, sha);
    ds_buf_reset(path);
    return ds_buf_printf(path, "%s/%s.dcm", stage, hex) || !ds_buf_cstr(path) ? ds_fail_nomem(err)
                                                                              : 0;
}

static int to_out(void *ctx, const void *p, size_t n, ds_err *err)
{
    return ds_out_put(ctx, p, n, err);
}

int ds_dicom_file_begin(ds_dicom_file *f, const char *path, dcm_tree *t, const dcm_image *im,
                        ds_err *err)
{
    memset(f, 0, sizeof *f);
    f->file.fd = -1;
    int rc = ds_atomic_open(&f->file, path, 0644, err);
    if (rc == 0)
        rc = ds_out_init(&f->out, f->file.fd, path, err);
    if (rc == 0)
        rc = dcm_write_new(&f->w, t, im, to_out, &f->out, err);
    if (rc != 0)
        ds_dicom_file_abort(f);
    return rc;
}

int ds_dicom_file_frame(ds_dicom_file *f, const void *p, size_t n, ds_err *err)
{
    return dcm_write_frame(f->w, p, n, err);
}

int ds_dicom_file_end(ds_dicom_file *f, ds_err *err)
{
    int rc = dcm_write_end(f->w, err);
    if (rc == 0)
        rc = ds_out_flush(&f->out, err);
    if (rc == 0)
        rc = ds_atomic_commit(&f->file, err);
    ds_dicom_file_abort(f);
    return rc;
}

void ds_dicom_file_abort(ds_dicom_file *f)
{
    dcm_write_free(f->w);
    ds_out_fini(&f->out);
    ds_atomic_abort(&f->file);
    memset(f, 0, sizeof *f);
    f->file.fd = -1;
}
