/* deidreport.c - see deidreport.h. */
#include "deidreport.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"

static int put_reasons(ds_buf *b, const char *name, const ds_reason *v, size_t n)
{
    int bad = ds_buf_printf(b, "\"%s\":{", name);
    for (size_t i = 0; i < n && !bad; i++)
        bad = (i ? ds_buf_putc(b, ',') : 0) | ds_json_str(b, v[i].reason, strlen(v[i].reason)) |
              ds_buf_printf(b, ":%llu", (unsigned long long)v[i].count);
    return bad | ds_buf_puts(b, "},");
}

int ds_deid_report_write(const ds_deid_report *r, const char *path, ds_err *err)
{
    ds_buf b = {0};
    char hex[65];
    ds_sha_hex(hex, dcm_policy_digest(r->policy));
    int bad = ds_buf_printf(&b, "{\"policy\":\"%s\",\"policy_digest\":\"%s\",",
                            dcm_policy_text(r->policy), hex);
    if (r->key)
        bad |= ds_buf_printf(&b, "\"key\":\"%s\",", r->key->id);
    bad |= ds_buf_printf(&b,
                         "\"inputs\":%llu,\"records\":%llu,\"masked\":%llu,"
                         "\"already_deidentified\":%llu,",
                         (unsigned long long)r->inputs, (unsigned long long)r->counts->records,
                         (unsigned long long)r->masked, (unsigned long long)r->already);
    bad |= put_reasons(&b, "held", r->counts->held, r->counts->nheld);
    bad |= put_reasons(&b, "failed", r->counts->failed, r->counts->nfailed);
    int rc = bad | ds_buf_puts(&b, "\"actions\":") ? ds_fail_nomem(err) : 0;
    if (rc == 0)
        rc = dcm_actions_json(r->actions, &b, err);
    if (rc == 0 && r->proof) {
        rc = ds_buf_puts(&b, ",\"search\":") ? ds_fail_nomem(err) : 0;
        if (rc == 0)
            rc = ds_proof_json(r->proof, &b, err);
    }
    if (rc == 0)
        rc = ds_buf_puts(&b, "}\n") ? ds_fail_nomem(err)
                                    : ds_atomic_write(path, 0644, b.data, b.len, err);
    ds_buf_fini(&b);
    return rc;
}

/* ---- source map ---------------------------------------------------------------------------------
 */

struct ds_source_map {
    ds_atomic file;
    ds_out out;
    ds_buf line;
};

int ds_source_map_open(ds_source_map **out, const char *path, ds_err *err)
{
    ds_source_map *m = *out = calloc(1, sizeof *m);
    int rc = m ? ds_atomic_open(&m->file, path, 0600, err) : ds_fail_nomem(err);
    if (rc == 0)
        rc = ds_out_init(&m->out, m->file.fd, path, err);
    if (rc != 0) {
        ds_source_map_free(m);
        *out = NULL;
    }
    return rc;
}

int ds_source_map_put(ds_source_map *m, const char *pseudonym, const char *name, size_t len,
                      const ds_sha *sha, ds_err *err)
{
    char hex[65];
    ds_sha_hex(hex, sha);
    ds_buf_reset(&m->line);
    int bad = ds_buf_printf(&m->line, "{\"source\":\"%s\",\"name\":", pseudonym) |
              ds_json_str(&m->line, name, len) |
              ds_buf_printf(&m->line, ",\"sha256\":\"%s\"}\n", hex);
    return bad ? ds_fail_nomem(err) : ds_out_put(&m->out, m->line.data, m->line.len, err);
}

int ds_source_map_end(ds_source_map *m, ds_err *err)
{
    int rc = ds_out_flush(&m->out, err);
    return rc == 0 ? ds_atomic_commit(&m->file, err) : rc;
}

void ds_source_map_free(ds_source_map *m)
{
    if (!m)
        return;
    ds_out_fini(&m->out);
    ds_atomic_abort(&m->file);
    ds_buf_fini(&m->line);
    free(m);
}

/* ---- DICOM files --------------------------------------------------------------------------------
 */

static int to_out(void *ctx, const void *p, size_t n, ds_err *err)
{
    return ds_out_put(ctx, p, n, err);
}

/* "/" and the value as a file name: UIDs and hex only; all else becomes "_". */
static int put_name(ds_buf *b, const dcm_set *s, uint32_t tag)
{
    const char *p = "none";
    size_t n = 4;
    dcm_get_text(s, tag, 0, &p, &n);
    int bad = ds_buf_putc(b, '/');
    for (size_t i = 0; i < n && i < 64; i++) {
        bool ok =
            (p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'z') || (p[i] == '.' && i > 0);
        bad |= ds_buf_putc(b, ok ? (uint8_t)p[i] : '_');
    }
    return bad;
}

static int make_path(ds_buf *b, const char *dir, const dcm_set *s, ds_err *err)
{
    int bad = ds_buf_puts(b, dir) | put_name(b, s, 0x00100020) | put_name(b, s, 0x0020000d) |
              put_name(b, s, 0x0020000e);
    if (bad || !ds_buf_cstr(b))
        return ds_fail_nomem(err);
    int rc = ds_mkdirs((const char *)b->data, err);
    if (rc != 0)
        return rc;
    bad = put_name(b, s, 0x00080018) | ds_buf_puts(b, ".dcm");
    return bad || !ds_buf_cstr(b) ? ds_fail_nomem(err) : 0;
}

int ds_dicom_file_begin(ds_dicom_file *f, const char *dir, dcm_tree *t, const dcm_image *im,
                        ds_err *err)
{
    memset(f, 0, sizeof *f);
    f->file.fd = -1;
    int rc = make_path(&f->path, dir, dcm_tree_main(t), err);
    const char *path = (const char *)f->path.data;
    if (rc == 0)
        rc = ds_atomic_open(&f->file, path, 0644, err);
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
    ds_buf_fini(&f->path);
    memset(f, 0, sizeof *f);
    f->file.fd = -1;
}
