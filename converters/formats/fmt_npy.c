/* fmt_npy.c - token ids as a one-dimensional array of NumPy, uint16 or uint32:
 * np.load(mmap_mode="r"). */
#include "idstream.h"
#include "npy.h"

enum { HEAD = 128 };

static int make(ds_buf *out, enum ds_type t, uint64_t n, ds_err *err)
{
    /* Filled up to 64 bytes: for any number of ids as long. */
    return ds_npy_head(out, t == DS_TOKENS16 ? DS_U16 : DS_U32, 1, &n) ? ds_fail_nomem(err) : 0;
}

static const char *parse(const uint8_t *p, size_t len, size_t *head, uint64_t *n, int *dtype)
{
    ds_fval v;
    uint64_t bytes;
    const char *why = ds_npy_parse(&v, head, &bytes, p, len);
    if (why)
        return why;
    *n = bytes / ds_dtype_size(v.dtype);
    *dtype = v.dtype;
    return v.ndim == 1 ? NULL : "an array of more dimensions than one";
}

static const ds_idhead heads = {.len = HEAD, .make = make, .parse = parse};

static int begin(void **w, const ds_fmtwrite *o, const ds_schema *s, ds_fmtloss *l, ds_err *err)
{
    return ds_idstream_begin(w, &heads, ".npy", o, s, l, err);
}

static int read_open(void **r, const ds_fmtread *o, ds_err *err)
{
    return ds_idread_open(r, &heads, o, err);
}

extern const ds_format ds_format_npy;
const ds_format ds_format_npy = {
    .name = "npy",
    .summary = "token ids as one array of NumPy",
    .ext = ".npy",
    .flags = DS_FORMAT_SHARDS | DS_FORMAT_IDS,
    .begin = begin,
    .open = ds_idstream_open,
    .row = ds_idstream_row,
    .put = ds_idstream_put,
    .finish = ds_idstream_finish,
    .free = ds_idstream_free,
    .read_open = read_open,
    .schema = ds_idread_schema,
    .read = ds_idread_read,
    .close = ds_idread_close,
};
