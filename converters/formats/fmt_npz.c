/* fmt_npz.c - all columns as arrays of NumPy in one zip: np.load("x.npz").
 *
 * Which arrays a column becomes is in npzarray.h. A head says how many elements follow, so columns
 * lie in $TMPDIR until all records are there. Reading is npzread.c's.
 */
#include <stdlib.h>
#include <string.h>

#include "fmtout.h"
#include "npy.h"
#include "npzarray.h"
#include "npzread.h"
#include "zipout.h"

const char *const ds_npz_suffix[DS_NPZ_PARTS] = {"", ".offsets", ".dtype", ".shape", ".valid"};

static enum ds_npzform form_of(const ds_column *c)
{
    switch (c->type) {
    case DS_BOOL:
        return DS_NPZ_BOOL;
    case DS_I64:
        return DS_NPZ_I64;
    case DS_F64:
        return DS_NPZ_F64;
    case DS_TIMESTAMP:
        return DS_NPZ_TIME;
    case DS_TOKENS16:
    case DS_TOKENS32:
        return DS_NPZ_IDS;
    case DS_TENSOR:
        return DS_NPZ_TENSORS;
    case DS_LIST:
        return c->item == DS_I64 || c->item == DS_F64 || c->item == DS_TIMESTAMP ? DS_NPZ_NUMBERS
                                                                                 : DS_NPZ_BYTES;
    default:
        return DS_NPZ_BYTES;
    }
}

enum { DTYPE_BYTES = 16 }; /* <U4 */

typedef struct column {
    const ds_column *c;
    enum ds_npzform form;
    ds_spool part[DS_NPZ_PARTS];
    uint64_t end; /* elements of the data so far */
    /* of tensors: are all like the first? */
    bool any, mixed;
    int dtype, ndim;
    uint64_t dims[8];
} column;

typedef struct writer {
    ds_fmtout out;
    ds_fmtwrite o;
    ds_zipout zip;
    column *cols;
    size_t n;
    uint64_t records;
} writer;

/* Two arrays of one name would be one. */
static int check_names(const ds_schema *s, ds_err *err)
{
    for (size_t i = 0; i < s->n; i++)
        for (size_t k = 0; k < s->n; k++)
            for (int p = DS_NPZ_OFFSETS; p < DS_NPZ_PARTS; p++) {
                const size_t len = strlen(s->cols[i].name);
                if (strncmp(s->cols[k].name, s->cols[i].name, len) == 0 &&
                    strcmp(s->cols[k].name + len, ds_npz_suffix[p]) == 0)
                    return ds_fail(err, DS_FAIL,
                                   "npz: column '%s' has the name of an array of '%s'",
                                   s->cols[k].name, s->cols[i].name);
            }
    return 0;
}

static int begin(void **out, const ds_fmtwrite *o, const ds_schema *s, ds_fmtloss *l, ds_err *err)
{
    writer *w = *out = calloc(1, sizeof *w);
    if (!w || !(w->cols = calloc(s->n + 1, sizeof *w->cols)))
        return ds_fail_nomem(err);
    w->o = *o;
    w->n = s->n;
    size_t limit = (size_t)(o->memory / (s->n * DS_NPZ_PARTS + 1));
    limit = limit > (size_t)4 << 20 ? (size_t)4 << 20 : limit < 65536 ? 65536 : limit;
    int rc = check_names(s, err);
    (void)l; /* nothing is lost */
    for (size_t i = 0; rc == 0 && i < s->n; i++) {
        column *c = &w->cols[i];
        *c = (column){.c = &s->cols[i], .form = form_of(&s->cols[i])};
        for (int p = 0; p < DS_NPZ_PARTS; p++)
            c->part[p].limit = limit;
    }
    return rc;
}

/* ---- a record's bytes: of each column a flag, and what put takes ---- */

static int encode_items(ds_fmtblock *b, size_t i, ds_err *err)
{
    const ds_value *x = &b->row.values[i];
    const bool real = b->schema->cols[i].item == DS_F64;
    ds_items it;
    ds_value item;
    int rc = ds_fmtblock_u64(b, 8 * x->count, err);
    ds_value_items(&it, &b->row.views[i], x);
    while (rc == 0 && ds_items_next(&it, &item))
        rc = real ? ds_fmtblock_put(b, &item.f, sizeof item.f, err)
                  : ds_fmtblock_u64(b, (uint64_t)item.i, err);
    return rc;
}

static int encode(const column *c, ds_fmtblock *b, size_t i, ds_err *err)
{
    const ds_value *x = &b->row.values[i];
    const uint8_t flag = !x->null;
    const uint8_t *p = x->p;
    size_t len = x->len;
    int rc = ds_fmtblock_put(b, &flag, 1, err);
    if (rc || x->null)
        return rc;
    switch (c->form) {
    case DS_NPZ_BOOL:
    case DS_NPZ_I64:
    case DS_NPZ_TIME:
        return ds_fmtblock_u64(b, (uint64_t)x->i, err);
    case DS_NPZ_F64:
        return ds_fmtblock_put(b, &x->f, sizeof x->f, err);
    case DS_NPZ_TENSORS:
        rc = ds_fmtblock_u32(b, (uint32_t)x->dtype, err);
        rc = rc ? rc : ds_fmtblock_u32(b, (uint32_t)x->ndim, err);
        for (int d = 0; rc == 0 && d < x->ndim; d++)
            rc = ds_fmtblock_u64(b, x->dims[d], err);
        break;
    case DS_NPZ_BYTES:
        if (c->c->type != DS_UTF8 && c->c->type != DS_BYTES && c->c->type != DS_JSON) {
            rc = ds_fmtblock_json(b, i, err);
            p = b->row.out.data;
            len = b->row.out.len;
        }
        break;
    case DS_NPZ_NUMBERS:
        return encode_items(b, i, err);
    case DS_NPZ_IDS:
        break;
    }
    rc = rc ? rc : ds_fmtblock_u64(b, len, err);
    return rc ? rc : ds_fmtblock_put(b, p, len, err);
}

static int row(const void *v, ds_fmtblock *b, ds_err *err)
{
    const writer *w = v;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < w->n; i++)
        rc = encode(&w->cols[i], b, i, err);
    return rc;
}

/* ---- and into its arrays ---- */

static int put_u64(ds_spool *s, uint64_t v, ds_err *err)
{
    uint8_t p[8];
    ds_set_u64(p, v);
    return ds_spool_put(s, p, sizeof p, err);
}

/* A tensor's dtype and shape; without one (no value) none. */
static int put_kind(column *c, int dtype, int ndim, const uint8_t *dims, ds_err *err)
{
    uint8_t name[DTYPE_BYTES] = {0};
    const char *s = dtype ? ds_dtype_name(dtype) : "";
    uint64_t d[8] = {0};
    for (size_t i = 0; s[i]; i++)
        name[4 * i] = (uint8_t)s[i];
    int rc = ds_spool_put(&c->part[DS_NPZ_DTYPE], name, sizeof name, err);
    for (int i = 0; rc == 0 && i < 8; i++) {
        d[i] = i < ndim ? ds_get_u64(dims + 8 * i) : 0;
        rc = put_u64(&c->part[DS_NPZ_SHAPE], i < ndim ? d[i] : UINT64_MAX, err);
    }
    if (!c->any) {
        c->dtype = dtype;
        c->ndim = ndim;
        memcpy(c->dims, d, sizeof d);
    }
    c->mixed |= dtype == DS_BF16 || dtype == 0 || ndim > 7 || dtype != c->dtype ||
                ndim != c->ndim || memcmp(d, c->dims, sizeof d) != 0;
    c->any = true;
    return rc;
}

/* Takes a column's value off the record's bytes. */
static int take(column *c, const uint8_t **p, ds_err *err)
{
    const uint8_t valid = *(*p)++;
    ds_spool *data = &c->part[DS_NPZ_DATA];
    uint64_t len = 0;
    int rc = c->c->nullable ? ds_spool_put(&c->part[DS_NPZ_VALID], &valid, 1, err) : 0;
    if (rc)
        return rc;
    if (c->form == DS_NPZ_BOOL) {
        const uint8_t truth = valid ? **p : 0;
        *p += valid ? 8 : 0;
        return ds_spool_put(data, &truth, 1, err);
    }
    if (c->form == DS_NPZ_I64 || c->form == DS_NPZ_F64 || c->form == DS_NPZ_TIME) {
        rc = put_u64(data, valid ? ds_get_u64(*p) : 0, err);
        *p += valid ? 8 : 0;
        return rc;
    }
    if (c->form == DS_NPZ_TENSORS) {
        const int dtype = valid ? (int)ds_get_u32(*p) : 0,
                  ndim = valid ? (int)ds_get_u32(*p + 4) : 0;
        *p += valid ? 8 : 0;
        rc = put_kind(c, dtype, ndim, *p, err);
        *p += 8 * (size_t)ndim;
    }
    if (valid) {
        len = ds_get_u64(*p);
        *p += 8;
    }
    rc = rc ? rc : put_u64(&c->part[DS_NPZ_OFFSETS], c->end, err);
    rc = rc || !len ? rc : ds_spool_put(data, *p, (size_t)len, err);
    *p += len;
    c->end += len / (c->form == DS_NPZ_NUMBERS   ? 8
                     : c->form != DS_NPZ_IDS     ? 1
                     : c->c->type == DS_TOKENS16 ? 2
                                                 : 4);
    return rc;
}

static int put(void *v, const uint8_t *p, size_t len, ds_err *err)
{
    writer *w = v;
    int rc = 0;
    (void)len;
    for (size_t i = 0; rc == 0 && i < w->n; i++)
        rc = take(&w->cols[i], &p, err);
    w->records++;
    return rc;
}

/* ---- the file ---- */

static int put_array(writer *w, column *c, enum ds_npzpart part, const char *descr, int ndim,
                     const uint64_t *dims, ds_err *err)
{
    ds_buf name = {0}, head = {0};
    ds_zippart parts[2] = {{0}, {.spool = &c->part[part]}};
    int rc = 0;
    if (ds_buf_printf(&name, "%s%s.npy", c->c->name, ds_npz_suffix[part]) || !ds_buf_cstr(&name) ||
        ds_npy_head_of(&head, descr, ndim, dims))
        rc = ds_fail_nomem(err);
    parts[0].p = head.data;
    parts[0].len = head.len;
    rc = rc ? rc : ds_spool_view(&c->part[part], &parts[1].p, &parts[1].len, err);
    rc = rc ? rc
            : ds_zipout_put(&w->zip, &w->out.out, (const char *)name.data, parts, 2, w->o.level,
                            err);
    ds_spool_reset(&c->part[part]);
    ds_buf_fini(&name);
    ds_buf_fini(&head);
    return rc;
}

static int put_data(writer *w, column *c, ds_err *err)
{
    static const char *const descrs[] = {
        [DS_NPZ_BOOL] = "|b1",
        [DS_NPZ_I64] = "<i8",
        [DS_NPZ_F64] = "<f8",
        [DS_NPZ_TIME] = "<M8[ns]",
    };
    const uint64_t shape[2] = {w->records, 8}, more = w->records + 1;
    uint64_t dims[9] = {w->records};
    if (c->form == DS_NPZ_TENSORS && c->any && !c->mixed) {
        memcpy(dims + 1, c->dims, sizeof c->dims);
        return put_array(w, c, DS_NPZ_DATA, ds_npy_descr(c->dtype), 1 + c->ndim, dims, err);
    }
    if (c->form < DS_NPZ_BYTES)
        return put_array(w, c, DS_NPZ_DATA, descrs[c->form], 1, dims, err);
    const char *descr = c->form == DS_NPZ_NUMBERS   ? c->c->item == DS_F64 ? "<f8" : "<i8"
                        : c->form != DS_NPZ_IDS     ? "|u1"
                        : c->c->type == DS_TOKENS16 ? "<u2"
                                                    : "<u4";
    int rc = put_array(w, c, DS_NPZ_DATA, descr, 1, &c->end, err);
    rc = rc ? rc : put_u64(&c->part[DS_NPZ_OFFSETS], c->end, err);
    rc = rc ? rc : put_array(w, c, DS_NPZ_OFFSETS, "<i8", 1, &more, err);
    if (rc || c->form != DS_NPZ_TENSORS)
        return rc;
    rc = put_array(w, c, DS_NPZ_DTYPE, "<U4", 1, dims, err);
    return rc ? rc : put_array(w, c, DS_NPZ_SHAPE, "<i8", 2, shape, err);
}

static int tail(void *ctx, ds_out *out, int fd, ds_err *err)
{
    writer *w = ctx;
    int rc = 0;
    (void)out, (void)fd;
    for (size_t i = 0; rc == 0 && i < w->n; i++) {
        rc = put_data(w, &w->cols[i], err);
        if (rc == 0 && w->cols[i].c->nullable)
            rc = put_array(w, &w->cols[i], DS_NPZ_VALID, "|b1", 1, &w->records, err);
    }
    return rc ? rc : ds_zipout_end(&w->zip, &w->out.out, err);
}

static int open_out(void *v, ds_err *err)
{
    writer *w = v;
    w->out.ends = (ds_fmtends){.tail = tail, .ctx = w};
    w->o.level = w->o.level < 0 ? 0 : w->o.level > 9 ? 9 : w->o.level;
    return ds_fmtout_open(&w->out, w->o.path, false, false, err);
}

static void free_writer(void *v)
{
    writer *w = v;
    if (!w)
        return;
    ds_fmtout_abort(&w->out);
    for (size_t i = 0; w->cols && i < w->n; i++)
        for (int p = 0; p < DS_NPZ_PARTS; p++)
            ds_spool_fini(&w->cols[i].part[p]);
    free(w->cols);
    ds_zipout_fini(&w->zip);
    free(w);
}

extern const ds_format ds_format_npz;
const ds_format ds_format_npz = {
    .name = "npz",
    .summary = "all columns as arrays of NumPy in a zip",
    .ext = ".npz",
    .flags = DS_FORMAT_PIPE | DS_FORMAT_LEVEL,
    .begin = begin,
    .open = open_out,
    .row = row,
    .put = put,
    .finish = ds_fmtwriter_finish,
    .free = free_writer,
    .read_open = ds_npzread_open,
    .schema = ds_npzread_schema,
    .read = ds_npzread_read,
    .close = ds_npzread_close,
};
