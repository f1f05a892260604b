/* fmt_nifti.c - NIfTI-1: a folder with a file for each image, and records.jsonl with everything
 * else.
 *
 * The image is the column `image`, or else the only tensor; `affine` and `spacing` say where it
 * lies. A file is called as the record's key, with a slash as "-" and what is in no name of a file
 * as %XX, or by the record's number. A line of records.jsonl is the record as JSON (jsonrow.h), but
 * for the image: `file`, null where there is none.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "fmtout.h"
#include "half.h"
#include "nifti.h"
#include "niftiread.h"

#define LINES "records.jsonl"
enum { PART = 1 << 18, FAST = 1 };

typedef struct writer {
    ds_fmtdir dir;
    ds_fmtwrite o;
    ds_jsonform form;              /* all columns but the image */
    size_t *lost;                  /* by column: number of the loss, 0 = none, else 1 more */
    size_t image, affine, spacing; /* the schema's n: there is none */
    ds_out lines;
    int fd;
    ds_fmtwritten done;
} writer;

static size_t column_named(const ds_schema *s, const char *name, enum ds_type type)
{
    size_t i = 0;
    while (i < s->n && (s->cols[i].type != type || strcmp(s->cols[i].name, name) != 0))
        i++;
    return i;
}

static size_t reals_named(const ds_schema *s, const char *name)
{
    const size_t i = column_named(s, name, DS_LIST);
    return i < s->n && s->cols[i].item == DS_F64 ? i : s->n;
}

static int find_image(writer *w, const ds_schema *s, ds_err *err)
{
    size_t tensors = 0, last = 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->cols[i].type == DS_TENSOR) {
            tensors++;
            last = i;
        }
    w->image = column_named(s, "image", DS_TENSOR);
    if (w->image == s->n && tensors == 1)
        w->image = last;
    if (w->image == s->n)
        return ds_fail(err, DS_FAIL, "nifti: %s",
                       tensors ? "several columns are tensors, and none is called 'image'"
                               : "no column is a tensor: there are no images");
    if (ds_schema_find(s, "file") >= 0)
        return ds_fail(err, DS_FAIL,
                       "nifti: a column is called 'file', as the name of the image's file in " LINES
                       " is (dsprep map --rename file=NAME)");
    w->affine = reals_named(s, "affine");
    w->spacing = reals_named(s, "spacing");
    return 0;
}

static int begin(void **out, const ds_fmtwrite *o, const ds_schema *s, ds_fmtloss *l, ds_err *err)
{
    writer *w = *out = calloc(1, sizeof *w);
    if (!w)
        return ds_fail_nomem(err);
    w->fd = -1;
    if (!(w->lost = calloc(s->n + 1, sizeof *w->lost)))
        return ds_fail_nomem(err);
    w->o = *o;
    w->o.level = o->level < 0 ? FAST : o->level > 9 ? 9 : o->level;
    int rc = find_image(w, s, err);
    rc = rc ? rc : ds_jsonform_init(&w->form, s, NULL, true, true, false, err);
    if (rc == 0 && w->form.want[w->image]) {
        w->form.want[w->image] = false;
        w->form.members--;
    }
    for (size_t i = 0; rc == 0 && i < s->n; i++)
        if (i != w->image)
            rc = ds_fmtloss_json(l, &w->lost[i], &s->cols[i], err);
    if (rc == 0)
        rc = ds_fmtloss_count(l, &w->lost[w->image], s->cols[w->image].name,
                              "f16 and bf16 become f32", err);
    w->lost[w->image] += rc == 0;
    return rc;
}

static int open_out(void *v, ds_err *err)
{
    writer *w = v;
    int rc = ds_fmtdir_open(&w->dir, w->o.path, err);
    rc = rc ? rc : ds_fmtdir_create(&w->dir, LINES, &w->fd, err);
    return rc ? rc : ds_out_init(&w->lines, w->fd, LINES, err);
}

/* ---- a record's bytes: lengths of name and line, both, and the file ---- */

static int put_key(ds_buf *out, const uint8_t *p, size_t len)
{
    int bad = 0;
    for (size_t i = 0; i < len && !bad; i++) {
        const uint8_t c = p[i];
        const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                           (c >= 'A' && c <= 'Z') || c >= 0x80 || c == '-' || c == '_' ||
                           (c == '.' && i > 0);
        bad = plain      ? ds_buf_putc(out, c)
              : c == '/' ? ds_buf_putc(out, '-')
                         : ds_buf_printf(out, "%%%02X", c);
    }
    return bad;
}

static int name_file(const writer *w, ds_fmtblock *b, ds_err *err)
{
    const ds_value *key = &b->row.values[0];
    ds_buf_reset(&b->scratch);
    int bad = b->schema->explicit_key
                  ? put_key(&b->scratch, key->p, key->len)
                  : ds_buf_printf(&b->scratch, "%010llu", (unsigned long long)b->number);
    return bad || ds_buf_puts(&b->scratch, w->o.level ? ".nii.gz" : ".nii") ? ds_fail_nomem(err)
                                                                            : 0;
}

static int put_line(const writer *w, ds_fmtblock *b, bool image, ds_err *err)
{
    const ds_buf *name = &b->scratch;
    ds_buf *line = &b->row.out;
    ds_buf_reset(line);
    int bad = ds_buf_puts(line, "{\"file\":");
    bad = bad     ? bad
          : image ? ds_json_name(line, (const char *)name->data, name->len)
                  : ds_buf_puts(line, "null");
    if (bad || (w->form.members && ds_buf_putc(line, ',')))
        return ds_fail_nomem(err);
    int rc = ds_jsonrow_members(&b->row, &w->form, b->block, err);
    if (rc == 0 && ds_buf_puts(line, "}\n"))
        rc = ds_fail_nomem(err);
    rc = rc ? rc : ds_fmtblock_u64(b, image ? name->len : 0, err);
    rc = rc ? rc : ds_fmtblock_u64(b, line->len, err);
    rc = rc ? rc : ds_fmtblock_put(b, name->data, image ? name->len : 0, err);
    return rc ? rc : ds_fmtblock_put(b, line->data, line->len, err);
}

/* All values of a list; false when there are not `n`, or one is not finite. */
static bool take_reals(const ds_fmtblock *b, size_t column, double *v, size_t n)
{
    const ds_value *x = column < b->schema->n ? &b->row.values[column] : NULL;
    ds_items it;
    ds_value item;
    if (!x || x->null || x->count != n)
        return false;
    ds_value_items(&it, &b->row.views[column], x);
    for (size_t i = 0; ds_items_next(&it, &item); i++) {
        v[i] = item.f;
        if (item.null || item.f - item.f != 0)
            return false;
    }
    return true;
}

static void find_place(const writer *w, const ds_fmtblock *b, ds_nifti *n)
{
    double v[3] = {0};
    n->has_affine = take_reals(b, w->affine, n->affine, 16);
    if (take_reals(b, w->spacing, v, 3) || take_reals(b, w->spacing, v + 1, 2))
        for (int i = 0; i < 3; i++)
            n->spacing[i] = v[2 - i];
}

/* ---- the file ---- */

typedef struct packer {
    ds_fmtblock *b;
    z_stream z;
    uint8_t *out;
    bool packed;
} packer;

static int pack(packer *p, const void *data, size_t len, bool last, ds_err *err)
{
    const uint8_t *at = data;
    int rc = 0, said = Z_OK;
    if (!p->packed)
        return ds_fmtblock_put(p->b, data, len, err);
    do {
        const size_t part = len < PART ? len : PART;
        const int flush = last && part == len ? Z_FINISH : Z_NO_FLUSH;
        p->z.next_in = (Bytef *)(uintptr_t)at;
        p->z.avail_in = (uInt)part;
        do {
            p->z.next_out = p->out;
            p->z.avail_out = PART;
            said = deflate(&p->z, flush);
            if (said == Z_STREAM_ERROR)
                return ds_fail(err, DS_FAIL, "nifti: zlib fails");
            rc = ds_fmtblock_put(p->b, p->out, PART - p->z.avail_out, err);
        } while (rc == 0 && p->z.avail_out == 0);
        at += part;
        len -= part;
    } while (rc == 0 && len > 0);
    return rc;
}

/* Values as they lie in the file: by plane, where there are several, and of a type it has. */
static int pack_values(packer *p, const ds_value *x, unsigned planes, ds_err *err)
{
    enum { MANY = 4096 };
    const size_t size = ds_dtype_size(x->dtype), n = x->len / size, step = planes * size;
    const bool wider = ds_nifti_dtype(x->dtype) != x->dtype;
    uint8_t some[8 * MANY];
    size_t len = 0, left = n;
    int rc = 0;
    if (planes == 1 && !wider)
        return pack(p, x->p, x->len, true, err);
    for (unsigned k = 0; k < planes; k++)
        for (size_t at = k * size; at < x->len && rc == 0; at += step) {
            if (wider) {
                const uint16_t h = (uint16_t)(x->p[at] | x->p[at + 1] << 8);
                const float f = x->dtype == DS_F16 ? ds_f16_to(h) : ds_bf16_to(h);
                uint32_t u;
                memcpy(&u, &f, sizeof u);
                ds_set_u32(some + len, u);
                len += sizeof u;
            } else {
                memcpy(some + len, x->p + at, size);
                len += size;
            }
            if (--left == 0 || len + 8 > sizeof some) {
                rc = pack(p, some, len, left == 0, err);
                len = 0;
            }
        }
    return rc;
}

static int put_image(const writer *w, ds_fmtblock *b, ds_err *err)
{
    const ds_value *x = &b->row.values[w->image];
    uint8_t head[DS_NIFTI_HEAD];
    ds_nifti n = {.dtype = x->dtype, .ndim = x->ndim};
    packer p = {.b = b, .packed = w->o.level > 0};
    memcpy(n.dims, x->dims, sizeof n.dims);
    find_place(w, b, &n);
    if (b->scratch.len > NAME_MAX)
        return ds_fail(err, DS_FAIL, "%.40s...: the key is too long for the name of a file",
                       (const char *)b->scratch.data);
    const char *why = ds_nifti_head(head, &n);
    if (why)
        return ds_fail(err, DS_FAIL, "%.*s: %s", (int)b->scratch.len, (const char *)b->scratch.data,
                       why);
    if (p.packed && (!(p.out = malloc(PART)) || deflateInit2(&p.z, w->o.level, Z_DEFLATED, 15 + 16,
                                                             9, Z_DEFAULT_STRATEGY) != Z_OK)) {
        free(p.out);
        return ds_fail_nomem(err);
    }
    int rc = pack(&p, head, sizeof head, false, err);
    rc = rc ? rc : pack_values(&p, x, ds_nifti_planes(&n), err);
    if (p.packed)
        (void)deflateEnd(&p.z);
    free(p.out);
    return rc;
}

static int row(const void *v, ds_fmtblock *b, ds_err *err)
{
    const writer *w = v;
    const ds_value *x = &b->row.values[w->image];
    for (size_t i = 0; i < b->schema->n; i++)
        if (w->lost[i] && (i != w->image ? ds_fmtblock_json_loses(b, i)
                                         : !x->null && ds_nifti_dtype(x->dtype) != x->dtype))
            b->lost[w->lost[i] - 1]++;
    int rc = name_file(w, b, err);
    rc = rc ? rc : put_line(w, b, !x->null, err);
    return rc || x->null ? rc : put_image(w, b, err);
}

static int put(void *v, const uint8_t *p, size_t len, ds_err *err)
{
    writer *w = v;
    const size_t name_len = (size_t)ds_get_u64(p), line_len = (size_t)ds_get_u64(p + 8);
    const uint8_t *line = p + 16 + name_len, *file = line + line_len;
    int rc = ds_out_put(&w->lines, line, line_len, err);
    if (rc || !name_len)
        return rc;
    char *name = strndup((const char *)p + 16, name_len);
    if (!name)
        return ds_fail_nomem(err);
    rc = ds_fmtdir_write(&w->dir, name, file, (size_t)(p + len - file), err);
    free(name);
    w->done.files++;
    w->done.bytes += (uint64_t)(p + len - file);
    return rc;
}

static int finish(void *v, ds_fmtwritten *done, ds_err *err)
{
    writer *w = v;
    int rc = ds_out_flush(&w->lines, err);
    w->done.files++;
    w->done.bytes += w->lines.pos;
    rc = rc ? rc : ds_fsync(w->fd, LINES, err);
    rc = rc ? rc : ds_close(&w->fd, LINES, err);
    rc = rc ? rc : ds_fmtdir_commit(&w->dir, err);
    *done = w->done;
    return rc;
}

static void free_writer(void *v)
{
    writer *w = v;
    if (!w)
        return;
    ds_out_fini(&w->lines);
    if (w->fd >= 0)
        (void)ds_io_active->close(w->fd);
    ds_fmtdir_abort(&w->dir);
    ds_jsonform_fini(&w->form);
    free(w->lost);
    free(w);
}

extern const ds_format ds_format_nifti;
const ds_format ds_format_nifti = {
    .name = "nifti",
    .summary = "a folder of NIfTI-1 images",
    .ext = ".nii",
    .flags = DS_FORMAT_FOLDER | DS_FORMAT_EACH | DS_FORMAT_LEVEL,
    .begin = begin,
    .open = open_out,
    .row = row,
    .put = put,
    .finish = finish,
    .free = free_writer,
    .read_open = ds_niftiread_open,
    .schema = ds_niftiread_schema,
    .read = ds_niftiread_read,
    .close = ds_niftiread_close,
};
