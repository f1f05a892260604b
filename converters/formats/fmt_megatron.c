/* fmt_megatron.c - Megatron's indexed dataset: OUT.bin has the ids, OUT.idx where they lie.
 *
 *   idx := "MMIDIDX\0\0", u64 1, u8 dtype, u64 sequences, u64 documents + 1,
 *          i32 length[], i64 offset[] in bytes, i64 first sequence of each document[], their end
 *          [i8 mode[]]
 *
 * dtype: 1 u8, 2 i8, 3 i16, 4 i32, 5 i64, 8 u16 (6, 7: floats). A record is a sequence, and a
 * document of it. Read, documents of several sequences have their number in a column `document`.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fmtguess.h"
#include "idstream.h"

static const uint8_t magic[9] = "MMIDIDX\0";
static const int dtype_of[] = {0, DS_U8, DS_I8, DS_I16, DS_I32, DS_I64T, 0, 0, DS_U16};
enum { FIXED = 34 };

/* ---- writing ---- */

typedef struct writer {
    ds_fmtwrite o;
    size_t column, lost;
    bool nullable;
    enum ds_type type;
    ds_atomic bin, idx;
    ds_out out;
    ds_spool lens; /* u32 */
    uint64_t n;
} writer;

static int begin(void **out, const ds_fmtwrite *o, const ds_schema *s, ds_fmtloss *l, ds_err *err)
{
    writer *w = *out = calloc(1, sizeof *w);
    if (!w)
        return ds_fail_nomem(err);
    w->o = *o;
    int rc = ds_idcolumn_find(&w->column, s, o->column, l, err);
    if (rc)
        return rc;
    const ds_column *c = &s->cols[w->column];
    w->type = c->type;
    w->nullable = c->nullable;
    return c->nullable
               ? ds_fmtloss_count(l, &w->lost, c->name, "no value becomes an empty sequence", err)
               : 0;
}

static int open_one(ds_atomic *a, const char *prefix, const char *ext, ds_err *err)
{
    char *path;
    if (asprintf(&path, "%s%s", prefix, ext) < 0)
        return ds_fail_nomem(err);
    int rc = ds_atomic_open(a, path, 0666, err);
    free(path);
    return rc;
}

static int open_out(void *v, ds_err *err)
{
    writer *w = v;
    int rc = open_one(&w->bin, w->o.path, ".bin", err);
    if (rc == 0)
        rc = open_one(&w->idx, w->o.path, ".idx", err);
    return rc ? rc : ds_out_init(&w->out, w->bin.fd, w->bin.path, err);
}

static int row(const void *v, ds_fmtblock *b, ds_err *err)
{
    const writer *w = v;
    const ds_value *x = &b->row.values[w->column];
    if (x->null) {
        b->lost[w->lost]++;
        return 0;
    }
    if (x->count > INT32_MAX)
        return ds_fail(err, DS_FAIL, "megatron: more than 2^31 - 1 ids in a sequence");
    if (w->type == DS_TOKENS32)
        for (uint64_t i = 0; i < x->count; i++)
            if (ds_get_u32(x->p + 4 * i) > INT32_MAX)
                return ds_fail(err, DS_FAIL, "megatron: the id %u does not fit 31 bits",
                               ds_get_u32(x->p + 4 * i));
    return ds_fmtblock_put(b, x->p, x->len, err);
}

static int put(void *v, const uint8_t *p, size_t len, ds_err *err)
{
    writer *w = v;
    uint8_t n[4];
    ds_set_u32(n, (uint32_t)(len / (w->type == DS_TOKENS16 ? 2 : 4)));
    w->n++;
    int rc = ds_spool_put(&w->lens, n, sizeof n, err);
    return rc ? rc : ds_out_put(&w->out, p, len, err);
}

static int put_u64(ds_out *o, uint64_t v, ds_err *err)
{
    uint8_t p[8];
    ds_set_u64(p, v);
    return ds_out_put(o, p, sizeof p, err);
}

static int write_index(writer *w, ds_out *o, ds_err *err)
{
    const uint8_t code = w->type == DS_TOKENS16 ? 8 : 4, width = w->type == DS_TOKENS16 ? 2 : 4;
    const uint8_t *lens;
    size_t len;
    uint64_t at = 0;
    int rc = ds_spool_view(&w->lens, &lens, &len, err);
    rc = rc ? rc : ds_out_put(o, magic, sizeof magic, err);
    rc = rc ? rc : put_u64(o, 1, err);
    rc = rc ? rc : ds_out_put(o, &code, 1, err);
    rc = rc ? rc : put_u64(o, w->n, err);
    rc = rc ? rc : put_u64(o, w->n + 1, err);
    rc = rc ? rc : ds_out_put(o, lens, len, err);
    for (uint64_t i = 0; rc == 0 && i < w->n; i++) {
        rc = put_u64(o, at, err);
        at += (uint64_t)ds_get_u32(lens + 4 * i) * width;
    }
    for (uint64_t i = 0; rc == 0 && i <= w->n; i++)
        rc = put_u64(o, i, err);
    return rc ? rc : ds_out_flush(o, err);
}

static int finish(void *v, ds_fmtwritten *done, ds_err *err)
{
    writer *w = v;
    ds_out o = {0};
    int rc = ds_out_flush(&w->out, err);
    if (rc == 0)
        rc = ds_out_init(&o, w->idx.fd, w->idx.path, err);
    if (rc == 0)
        rc = write_index(w, &o, err);
    *done = (ds_fmtwritten){2, w->out.pos + o.pos};
    ds_out_fini(&o);
    if (rc == 0)
        rc = ds_atomic_commit(&w->bin, err);
    return rc ? rc : ds_atomic_commit(&w->idx, err);
}

static void free_writer(void *v)
{
    writer *w = v;
    if (!w)
        return;
    ds_out_fini(&w->out);
    ds_atomic_abort(&w->bin);
    ds_atomic_abort(&w->idx);
    ds_spool_fini(&w->lens);
    free(w);
}

/* ---- reading ---- */

typedef struct reader {
    ds_fmtread o;
    char *prefix, *bin, *idx_name, *bin_name;
    ds_spool idx;
    const uint8_t *p; /* of idx */
    size_t len;
    int fd, dtype;
    uint64_t size; /* of the bin */
    uint64_t n, documents;
    bool single; /* every sequence is a document */
    ds_buf data;
    ds_fval *values;
    ds_sha idx_sha;
} reader;

static const uint8_t *lengths(const reader *r)
{
    return r->p + FIXED;
}
static uint64_t offset_of(const reader *r, uint64_t i)
{
    return ds_get_u64(r->p + FIXED + 4 * r->n + 8 * i);
}
static uint64_t document(const reader *r, uint64_t i)
{
    return ds_get_u64(r->p + FIXED + 12 * r->n + 8 * i);
}

/* The index as a copy of our own: nobody can change it under us. */
static int load_index(reader *r, const char *path, ds_err *err)
{
    uint8_t part[65536];
    size_t got = sizeof part;
    int fd, rc = ds_open(&fd, path, O_RDONLY, 0, err);
    if (rc)
        return rc;
    while (rc == 0 && got == sizeof part) {
        rc = ds_read_full(fd, path, part, sizeof part, &got, err);
        if (rc == 0 && got)
            rc = ds_spool_put(&r->idx, part, got, err);
    }
    (void)ds_close(&fd, path, NULL);
    if (rc == 0)
        rc = ds_spool_view(&r->idx, &r->p, &r->len, err);
    return rc ? rc : ds_sha_bytes(&r->idx_sha, r->p, r->len, err);
}

static const char *check_index(reader *r)
{
    if (r->len < FIXED || memcmp(r->p, magic, sizeof magic) != 0)
        return "offset 0: no index of Megatron's";
    if (ds_get_u64(r->p + 9) != 1)
        return "offset 9: its version is not 1";
    const unsigned code = r->p[17];
    r->dtype = code < sizeof dtype_of / sizeof *dtype_of ? dtype_of[code] : 0;
    if (!r->dtype)
        return "offset 17: its numbers are no token ids";
    r->n = ds_get_u64(r->p + 18);
    r->documents = ds_get_u64(r->p + 26);
    const uint64_t body = r->len - FIXED;
    if (r->n > body / 12 || r->documents > (body - 12 * r->n) / 8 || r->documents == 0)
        return "offset 18: more sequences or documents than the file has room for";
    const uint64_t rest = body - 12 * r->n - 8 * r->documents;
    if (rest != 0 && rest != r->n)
        return "its length is not what its numbers demand";
    if (rest == r->n && r->n > 0)
        return "it has modes, of several kinds of data, which are not read";
    r->single = r->documents == r->n + 1;
    for (uint64_t i = 0; i < r->documents; i++) {
        if (document(r, i) > r->n || (i && document(r, i) < document(r, i - 1)))
            return "its documents are not in order";
        r->single &= document(r, i) == i;
    }
    return NULL;
}

static int read_open(void **out, const ds_fmtread *o, ds_err *err)
{
    reader *r = *out = calloc(1, sizeof *r);
    char *idx = NULL;
    struct stat st;
    if (!r)
        return ds_fail_nomem(err);
    r->o = *o;
    r->fd = -1;
    size_t n = strlen(o->path);
    if (n > 4 && (strcmp(o->path + n - 4, ".idx") == 0 || strcmp(o->path + n - 4, ".bin") == 0))
        n -= 4;
    r->prefix = strndup(o->path, n);
    const char *slash = r->prefix ? strrchr(r->prefix, '/') : NULL;
    const char *base = slash ? slash + 1 : r->prefix;
    if (!r->prefix || asprintf(&idx, "%s.idx", r->prefix) < 0 ||
        asprintf(&r->bin, "%s.bin", r->prefix) < 0 || asprintf(&r->idx_name, "%s.idx", base) < 0 ||
        asprintf(&r->bin_name, "%s.bin", base) < 0) {
        free(idx);
        return ds_fail_nomem(err);
    }
    int rc = load_index(r, idx, err);
    const char *why = rc ? NULL : check_index(r);
    if (why)
        rc = ds_fail(err, DS_FAIL, "%s: %s", idx, why);
    free(idx);
    if (rc == 0)
        rc = ds_open(&r->fd, r->bin, O_RDONLY, 0, err);
    if (rc == 0 && ds_io_active->fstat(r->fd, &st) != 0)
        rc = ds_fail(err, DS_IO, "%s: stat", r->bin);
    r->size = rc ? 0 : (uint64_t)st.st_size;
    return rc;
}

static int schema(void *v, ds_schema *s, ds_err *err)
{
    reader *r = v;
    int rc = r->single ? 0 : ds_schema_add(s, NULL, "document", DS_I64, 0, NULL, err);
    if (rc == 0)
        rc = ds_idschema(s, r->dtype, err);
    if (rc == 0 && !r->single) { /* the ids are what records are cut by */
        s->primary[0] = 0;
        s->primary[1] = 1;
    }
    return rc;
}

static int sequence(reader *r, const ds_fmtsink *sink, long k, uint64_t i, ds_err *err)
{
    const size_t w = ds_dtype_size(r->dtype);
    const uint64_t at = offset_of(r, i), n = ds_get_u32(lengths(r) + 4 * i), bytes = n * w;
    if (n > INT32_MAX || at > r->size || bytes > r->size - at)
        return sink->bad(sink->ctx, "sequence", at < r->size ? at : r->size, 0, NULL, 0, false,
                         "a sequence lies outside of the file", err);
    if (bytes > r->o.max_record)
        return sink->bad(sink->ctx, "too_large", at, at, NULL, 0, false,
                         "a sequence is longer than --max-record", err);
    ds_buf_reset(&r->data);
    if (ds_buf_reserve(&r->data, (size_t)bytes + 1))
        return ds_fail_nomem(err);
    int rc = bytes ? ds_pread_exact(r->fd, r->bin, r->data.data, (size_t)bytes, at, err) : 0;
    r->values[k] = ds_fval_ids(r->dtype, r->data.data, (size_t)n);
    return rc ? rc : sink->row(sink->ctx, r->values, at, bytes, err);
}

static int read_all(void *v, const ds_fmtsink *sink, ds_err *err)
{
    reader *r = v;
    const long k = ds_idschema_find(sink->schema), doc = ds_schema_find(sink->schema, "document");
    ds_sha sha;
    uint64_t size, d = 0;
    if (k < 0)
        return ds_fail(err, DS_FAIL, "%s: not one column of tokens in the schema", r->o.name);
    r->values = calloc(sink->schema->n + 1, sizeof *r->values);
    int rc = r->values ? 0 : ds_fail_nomem(err);
    for (uint64_t i = 0; rc == 0 && i < r->n; i++) {
        while (d + 1 < r->documents && document(r, d + 1) <= i)
            d++;
        if (doc >= 0)
            r->values[doc] = (ds_fval){.kind = DS_FV_INT, .i = (int64_t)d};
        rc = sequence(r, sink, k, i, err);
    }
    if (rc == 0)
        rc = ds_sha_file(&sha, &size, r->bin, err);
    if (rc == 0)
        rc = sink->source(sink->ctx, r->bin_name, size, &sha, err);
    return rc ? rc : sink->source(sink->ctx, r->idx_name, r->len, &r->idx_sha, err);
}

static void close_reader(void *v)
{
    reader *r = v;
    if (!r)
        return;
    if (r->fd >= 0)
        (void)ds_close(&r->fd, r->bin, NULL);
    free(r->prefix);
    free(r->bin);
    free(r->bin_name);
    free(r->idx_name);
    free(r->values);
    ds_spool_fini(&r->idx);
    ds_buf_fini(&r->data);
    free(r);
}

extern const ds_format ds_format_megatron;
const ds_format ds_format_megatron = {
    .name = "megatron",
    .summary = "Megatron's indexed dataset of token ids",
    .ext = ".idx",
    .flags = DS_FORMAT_IDS | DS_FORMAT_PREFIX,
    .begin = begin,
    .open = open_out,
    .row = row,
    .put = put,
    .finish = finish,
    .free = free_writer,
    .read_open = read_open,
    .schema = schema,
    .read = read_all,
    .close = close_reader,
};
