/* fmt_mds.c - MosaicML Streaming's MDS, written: a folder of shards and index.json, version 2.
 *
 *   shard := u32 samples, u32 offset[samples + 1] from the shard's beginning, config JSON, samples
 *
 * A shard is put together when it is full and handed to a pool, which hashes, compresses (zstd) and
 * writes it; how many wait is bounded by `memory`. Reading is mdsread.c's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "fmtdigest.h"
#include "fmtout.h"
#include "json.h"
#include "mdscode.h"
#include "mdsread.h"
#include "pool.h"

#define SHARD_DEFAULT ((uint64_t)64 << 20)
#define PART ((size_t)1 << 20)

/* Where the file goes as it is made: with its own size and digests. */
typedef struct filed {
    char name[64];
    uint64_t bytes;
    ds_fmtdigest digest;
} filed;

typedef struct writer writer;
typedef struct shard {
    writer *w;
    uint64_t number;
    ds_spool samples;
    ds_buf sizes; /* u64: where each sample ends */
    filed raw, zip;
    ZSTD_CCtx *zstd;
    uint8_t *part; /* of compressed bytes */
    ds_err err;
} shard;

/* A column in the order of names, which is that of samples. */
typedef struct column {
    ds_mdscode code;
    const char *name;
    long from;   /* -1: the list of those without a value */
    size_t lost; /* number of the loss and 1 */
} column;

struct writer {
    ds_fmtwrite o;
    const ds_schema *schema;
    ds_fmtdir dir;
    unsigned want;
    uint64_t limit;
    column *cols;
    size_t ncols;
    ds_buf config; /* members of a shard's entry, and the shard's own JSON */
    ds_buf json;
    ds_buf index; /* entries of finished shards */
    ds_pool *pool;
    shard *shards; /* a ring: shard i % nshards */
    size_t nshards;
    shard *now;
    uint64_t made, files, bytes;
};

/* ---- columns ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const column *)a)->name, ((const column *)b)->name);
}

static int declare(writer *w, column *c, ds_fmtloss *l, ds_err *err)
{
    const ds_column *col = &w->schema->cols[c->from];
    if (col->type == DS_LIST)
        return ds_fmtloss_json(l, &c->lost, col, err);
    if (col->type != DS_TENSOR)
        return 0;
    int rc =
        ds_fmtloss_count(l, &c->lost, col->name, "bf16 tensors become their bits as uint16", err);
    c->lost++;
    return rc;
}

static int make_columns(writer *w, ds_fmtloss *l, ds_err *err)
{
    const ds_schema *s = w->schema;
    bool nulls = false;
    int rc = 0;
    for (size_t i = 0; i < s->n; i++) {
        column *c = &w->cols[w->ncols++];
        c->from = (long)i;
        c->name = s->cols[i].name;
        nulls |= s->cols[i].nullable;
        ds_mdscode_of(&c->code, &s->cols[i]);
        if (strcmp(c->name, DS_MDS_NULLS) == 0)
            return ds_fail(err, DS_FAIL, "mds: a column is called " DS_MDS_NULLS);
        rc = declare(w, c, l, err);
        if (rc)
            return rc;
    }
    if (nulls) {
        column *c = &w->cols[w->ncols++];
        c->from = -1;
        c->name = DS_MDS_NULLS;
        (void)ds_mdscode_parse(&c->code, "str");
    }
    qsort(w->cols, w->ncols, sizeof *w->cols, by_name);
    return 0;
}

/* "column_encodings":[],"column_names":[],"column_sizes":[],"compression":"","format":"mds",
 * "hashes":[] : sorted, as json.dumps(sort_keys=True) has them. */
static int make_config(writer *w, ds_err *err)
{
    ds_buf *b = &w->config;
    bool bad = ds_buf_puts(b, "\"column_encodings\":[");
    for (size_t i = 0; !bad && i < w->ncols; i++)
        bad = ds_buf_printf(b, "%s\"%s\"", i ? "," : "", w->cols[i].code.name);
    bad = bad || ds_buf_puts(b, "],\"column_names\":[");
    for (size_t i = 0; !bad && i < w->ncols; i++)
        bad =
            (i && ds_buf_putc(b, ',')) || ds_json_str(b, w->cols[i].name, strlen(w->cols[i].name));
    bad = bad || ds_buf_puts(b, "],\"column_sizes\":[");
    for (size_t i = 0; !bad && i < w->ncols; i++)
        bad = w->cols[i].code.size ? ds_buf_printf(b, "%s%u", i ? "," : "", w->cols[i].code.size)
                                   : ds_buf_puts(b, i ? ",null" : "null");
    bad = bad || (w->o.level ? ds_buf_printf(b, "],\"compression\":\"zstd:%d\"", w->o.level)
                             : ds_buf_puts(b, "],\"compression\":null"));
    bad = bad || ds_buf_puts(b, ",\"format\":\"mds\",\"hashes\":[");
    for (unsigned i = 0, n = 0; !bad && i < DS_DIGESTS; i++)
        if (w->want & 1u << i)
            bad = ds_buf_printf(b, "%s\"%s\"", n++ ? "," : "", ds_digest_names[i]);
    bad = bad || ds_buf_putc(b, ']') || ds_buf_putc(&w->json, '{') ||
          ds_buf_put(&w->json, b->data, b->len) ||
          ds_buf_printf(&w->json, ",\"size_limit\":%llu,\"version\":2}",
                        (unsigned long long)w->limit);
    return bad ? ds_fail_nomem(err) : 0;
}

static int begin(void **out, const ds_fmtwrite *o, const ds_schema *s, ds_fmtloss *l, ds_err *err)
{
    writer *w = *out = calloc(1, sizeof *w);
    if (!w || !(w->cols = calloc(s->n + 1, sizeof *w->cols)))
        return ds_fail_nomem(err);
    w->o = *o;
    w->o.level = o->level < 0 ? 3 : o->level;
    w->schema = s;
    w->limit = o->shard_size ? o->shard_size : SHARD_DEFAULT;
    if (w->limit > UINT32_MAX)
        return ds_fail(err, DS_USAGE, "mds: a shard is below 4 GiB");
    if (!ds_fmtdigest_parse(&w->want, o->hashes))
        return ds_fail(err, DS_USAGE,
                       "--hash %s: of sha256, xxh128, xxh3_64, xxh64, separated by commas, or none",
                       o->hashes);
    int rc = make_columns(w, l, err);
    return rc ? rc : make_config(w, err);
}

/* ---- records into samples, on any thread ---- */

/* A value: generated bytes in b->scratch, then bytes of the value. */
typedef struct cell {
    size_t at, made;
    const uint8_t *p;
    size_t len;
} cell;

static int put_nulls(ds_fmtblock *b)
{
    bool first = true;
    for (size_t i = 0; i < b->schema->n; i++)
        if (b->row.values[i].null) {
            if ((!first && ds_buf_putc(&b->scratch, ',')) ||
                ds_buf_puts(&b->scratch, b->schema->cols[i].name))
                return DS_NOMEM;
            first = false;
        }
    return 0;
}

static int number(const column *c, enum ds_type t, const ds_value *x, ds_buf *out)
{
    uint64_t u = (uint64_t)x->i;
    if (t == DS_F64)
        memcpy(&u, &x->f, 8);
    for (uint32_t i = 0; i < c->code.size; i++)
        if (ds_buf_putc(out, (uint8_t)(u >> 8 * i)))
            return DS_NOMEM;
    return 0;
}

/* What stands for no value: nothing, 0, null, an array of no elements. */
static int put_none(const column *c, ds_buf *out)
{
    const uint64_t none = 0;
    const ds_value zero = {0};
    if (c->code.json)
        return ds_buf_puts(out, "null");
    if (c->code.array)
        return ds_mdscode_head(&c->code, out, DS_U8, 1, &none);
    return number(c, DS_I64, &zero, out);
}

static int put_cell(const column *c, ds_fmtblock *b, cell *x, ds_err *err)
{
    const ds_column *col = &b->schema->cols[c->from];
    const ds_value *v = &b->row.values[c->from];
    bool bad = false;
    if (v->null)
        return put_none(c, &b->scratch) ? ds_fail_nomem(err) : 0;
    if (c->lost &&
        (col->type == DS_TENSOR ? v->dtype == DS_BF16 : ds_fmtblock_json_loses(b, (size_t)c->from)))
        b->lost[c->lost - 1]++;
    if (c->code.number)
        return number(c, col->type, v, &b->scratch) ? ds_fail_nomem(err) : 0;
    if (col->type == DS_RUNS || col->type == DS_LIST) {
        int rc = ds_fmtblock_json(b, (size_t)c->from, err);
        if (rc == 0 && ds_buf_put(&b->scratch, b->row.out.data, b->row.out.len))
            rc = ds_fail_nomem(err);
        return rc;
    }
    if (c->code.array)
        bad = col->type == DS_TENSOR
                  ? ds_mdscode_head(&c->code, &b->scratch, v->dtype, v->ndim, v->dims)
                  : ds_mdscode_head(&c->code, &b->scratch, 0, 1, &v->count);
    x->p = v->p;
    x->len = v->len;
    return bad ? ds_fail_nomem(err) : 0;
}

static int row(const void *ctx, ds_fmtblock *b, ds_err *err)
{
    const writer *w = ctx;
    cell cells[257];
    uint64_t total = 0;
    int rc = 0;
    ds_buf_reset(&b->scratch);
    for (size_t i = 0; rc == 0 && i < w->ncols; i++) {
        cells[i] = (cell){.at = b->scratch.len};
        if (w->cols[i].from >= 0)
            rc = put_cell(&w->cols[i], b, &cells[i], err);
        else if (put_nulls(b))
            rc = ds_fail_nomem(err);
        cells[i].made = b->scratch.len - cells[i].at;
        total += cells[i].made + cells[i].len;
    }
    if (rc == 0 && total > UINT32_MAX - ((uint64_t)1 << 20))
        return ds_fail(err, DS_FAIL, "mds: of 4 GiB or more, which a shard cannot hold");
    for (size_t i = 0; rc == 0 && i < w->ncols; i++)
        if (!w->cols[i].code.size)
            rc = ds_fmtblock_u32(b, (uint32_t)(cells[i].made + cells[i].len), err);
    for (size_t i = 0; rc == 0 && i < w->ncols; i++) {
        rc = ds_fmtblock_put(b, b->scratch.data + cells[i].at, cells[i].made, err);
        if (rc == 0)
            rc = ds_fmtblock_put(b, cells[i].p, cells[i].len, err);
    }
    return rc;
}

/* ---- a shard into files, on a worker ---- */

/* Bytes of the raw shard: to the file, or through zstd to it. */
typedef struct sink {
    shard *s;
    int fd;
} sink;

static int to_file(sink *k, filed *f, const void *p, size_t len, ds_err *err)
{
    f->bytes += len;
    int rc = ds_fmtdigest_put(&f->digest, p, len, err);
    return rc ? rc : ds_write_full(k->fd, f->name, p, len, err);
}

static int feed(sink *k, const void *p, size_t len, bool last, ds_err *err)
{
    shard *s = k->s;
    ZSTD_inBuffer in = {p, len, 0};
    if (!s->w->o.level)
        return to_file(k, &s->raw, p, len, err);
    s->raw.bytes += len;
    int rc = ds_fmtdigest_put(&s->raw.digest, p, len, err);
    for (size_t left = 1; rc == 0 && (in.pos < in.size || (last && left));) {
        ZSTD_outBuffer out = {s->part, PART, 0};
        left = ZSTD_compressStream2(s->zstd, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left))
            return ds_fail(err, DS_FAIL, "%s: %s", s->zip.name, ZSTD_getErrorName(left));
        rc = to_file(k, &s->zip, s->part, out.pos, err);
    }
    return rc;
}

static int make_head(const shard *s, ds_buf *head, ds_err *err)
{
    const size_t n = s->sizes.len / 8;
    const uint64_t base = 4 + 4 * (n + 1) + s->w->json.len;
    bool bad = ds_buf_u32(head, (uint32_t)n) || ds_buf_u32(head, (uint32_t)base);
    for (size_t i = 0; !bad && i < n; i++)
        bad = ds_buf_u32(head, (uint32_t)(base + ds_get_u64(s->sizes.data + 8 * i)));
    bad = bad || ds_buf_put(head, s->w->json.data, s->w->json.len);
    return bad ? ds_fail_nomem(err) : 0;
}

static int begin_files(shard *s, ds_err *err)
{
    const bool zip = s->w->o.level != 0;
    const size_t level = (size_t)s->w->o.level;
    (void)snprintf(s->raw.name, sizeof s->raw.name, "shard.%05llu.mds",
                   (unsigned long long)s->number);
    (void)snprintf(s->zip.name, sizeof s->zip.name, "shard.%05llu.mds.zstd",
                   (unsigned long long)s->number);
    s->raw.bytes = s->zip.bytes = 0;
    int rc = ds_fmtdigest_begin(&s->raw.digest, s->w->want, err);
    if (rc == 0 && zip)
        rc = ds_fmtdigest_begin(&s->zip.digest, s->w->want, err);
    if (rc || !zip)
        return rc;
    if (!s->zstd && !(s->zstd = ZSTD_createCCtx()))
        return ds_fail_nomem(err);
    if (!s->part && !(s->part = malloc(PART)))
        return ds_fail_nomem(err);
    (void)ZSTD_CCtx_reset(s->zstd, ZSTD_reset_session_and_parameters);
    (void)ZSTD_CCtx_setParameter(s->zstd, ZSTD_c_compressionLevel, (int)level);
    return 0;
}

static int write_shard(shard *s, ds_err *err)
{
    ds_buf head = {0};
    sink k = {.s = s, .fd = -1};
    const uint8_t *p = NULL;
    size_t len = 0;
    int rc = begin_files(s, err);
    const filed *f = s->w->o.level ? &s->zip : &s->raw;
    if (rc == 0)
        rc = make_head(s, &head, err);
    if (rc == 0)
        rc = ds_spool_view(&s->samples, &p, &len, err);
    if (rc == 0)
        rc = ds_fmtdir_create(&s->w->dir, f->name, &k.fd, err);
    if (rc == 0 && s->w->o.level)
        (void)ZSTD_CCtx_setPledgedSrcSize(s->zstd, head.len + len);
    if (rc == 0)
        rc = feed(&k, head.data, head.len, false, err);
    if (rc == 0)
        rc = feed(&k, p, len, true, err);
    if (rc == 0)
        rc = ds_fsync(k.fd, f->name, err);
    const int closed = k.fd >= 0 ? ds_close(&k.fd, f->name, err) : 0;
    if (rc == 0)
        rc = ds_fmtdigest_end(&s->raw.digest, err);
    if (rc == 0 && s->w->o.level)
        rc = ds_fmtdigest_end(&s->zip.digest, err);
    ds_buf_fini(&head);
    return rc ? rc : closed;
}

static void job(void *v, void *ctx)
{
    shard *s = v;
    (void)ctx;
    (void)write_shard(s, &s->err);
}

/* ---- in order ---- */

static int put_file(ds_buf *b, const writer *w, const char *member, const filed *f)
{
    bool bad = ds_buf_printf(b, ",\"%s\":{\"basename\":\"%s\",\"bytes\":%llu,\"hashes\":{", member,
                             f->name, (unsigned long long)f->bytes);
    for (unsigned i = 0, n = 0; !bad && i < DS_DIGESTS; i++)
        if (w->want & 1u << i)
            bad = ds_buf_printf(b, "%s\"%s\":\"%s\"", n++ ? "," : "", ds_digest_names[i],
                                f->digest.hex[i]);
    return bad || ds_buf_puts(b, "}}");
}

/* A shard that its worker is done with: its entry in the index. */
static int take(writer *w, ds_err *err)
{
    shard *s = ds_pool_next(w->pool);
    ds_buf *b = &w->index;
    if (s->err.code)
        return ds_fail_as(err, &s->err);
    w->files++;
    w->bytes += w->o.level ? s->zip.bytes : s->raw.bytes;
    if (ds_buf_puts(b, b->len ? ",\n{" : "{") || ds_buf_put(b, w->config.data, w->config.len) ||
        put_file(b, w, "raw_data", &s->raw) ||
        ds_buf_printf(b, ",\"samples\":%llu,\"size_limit\":%llu,\"version\":2",
                      (unsigned long long)(s->sizes.len / 8), (unsigned long long)w->limit) ||
        (w->o.level ? put_file(b, w, "zip_data", &s->zip) : ds_buf_puts(b, ",\"zip_data\":null")) ||
        ds_buf_putc(b, '}'))
        return ds_fail_nomem(err);
    ds_spool_reset(&s->samples);
    ds_buf_reset(&s->sizes);
    return 0;
}

static int open_out(void *v, ds_err *err)
{
    writer *w = v;
    const uint64_t fit = w->o.memory / (2 * w->limit);
    w->nshards = fit < 2 ? 1 : fit > (uint64_t)w->o.threads + 1 ? (size_t)w->o.threads + 1 : fit;
    w->shards = calloc(w->nshards, sizeof *w->shards);
    if (!w->shards)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < w->nshards; i++) {
        w->shards[i].w = w;
        /* What memory allows is in memory; the rest of a large shard goes to $TMPDIR. */
        w->shards[i].samples.limit = (size_t)(w->limit < w->o.memory ? w->limit : w->o.memory);
    }
    int rc =
        ds_pool_new(&w->pool, w->nshards > 1 ? w->o.threads : 1, (int)w->nshards, job, NULL, err);
    return rc ? rc : ds_fmtdir_open(&w->dir, w->o.path, err);
}

static int submit(writer *w, ds_err *err)
{
    int rc = ds_pool_submit(w->pool, w->now, err);
    w->now = NULL;
    return rc;
}

static int put(void *v, const uint8_t *p, size_t len, ds_err *err)
{
    writer *w = v;
    int rc = 0;
    if (w->now) {
        const uint64_t n = w->now->sizes.len / 8, size = ds_spool_len(&w->now->samples);
        if (4 + 4 * (n + 2) + w->json.len + size + len > w->limit)
            rc = submit(w, err);
    }
    if (rc == 0 && !w->now) {
        if (ds_pool_full(w->pool))
            rc = take(w, err);
        w->now = &w->shards[w->made % w->nshards];
        w->now->number = w->made++;
    }
    if (rc == 0 && len)
        rc = ds_spool_put(&w->now->samples, p, len, err);
    if (rc == 0 && ds_buf_u64(&w->now->sizes, ds_spool_len(&w->now->samples)))
        rc = ds_fail_nomem(err);
    return rc;
}

static int finish(void *v, ds_fmtwritten *done, ds_err *err)
{
    writer *w = v;
    ds_buf t = {0};
    int rc = w->now ? submit(w, err) : 0;
    while (rc == 0 && !ds_pool_empty(w->pool))
        rc = take(w, err);
    if (rc == 0 &&
        (ds_buf_puts(&t, "{\"shards\":[") || ds_buf_put(&t, w->index.data, w->index.len) ||
         ds_buf_puts(&t, "],\"version\":2}\n")))
        rc = ds_fail_nomem(err);
    if (rc == 0)
        rc = ds_fmtdir_write(&w->dir, DS_MDS_INDEX, t.data, t.len, err);
    if (rc == 0)
        rc = ds_fmtdir_commit(&w->dir, err);
    *done = (ds_fmtwritten){w->files + 1, w->bytes + t.len};
    ds_buf_fini(&t);
    return rc;
}

static void free_writer(void *v)
{
    writer *w = v;
    if (!w)
        return;
    ds_pool_free(w->pool);
    for (size_t i = 0; w->shards && i < w->nshards; i++) {
        shard *s = &w->shards[i];
        ds_spool_fini(&s->samples);
        ds_buf_fini(&s->sizes);
        ds_fmtdigest_fini(&s->raw.digest);
        ds_fmtdigest_fini(&s->zip.digest);
        ZSTD_freeCCtx(s->zstd);
        free(s->part);
    }
    ds_fmtdir_abort(&w->dir);
    free(w->shards);
    free(w->cols);
    ds_buf_fini(&w->config);
    ds_buf_fini(&w->json);
    ds_buf_fini(&w->index);
    free(w);
}

extern const ds_format ds_format_mds;
const ds_format ds_format_mds = {
    .name = "mds",
    .summary = "MosaicML Streaming shards",
    .ext = ".mds",
    .mark = DS_MDS_INDEX,
    .flags = DS_FORMAT_FOLDER | DS_FORMAT_LEVEL,
    .begin = begin,
    .open = open_out,
    .row = row,
    .put = put,
    .finish = finish,
    .free = free_writer,
    .read_open = ds_mdsread_open,
    .schema = ds_mdsread_schema,
    .read = ds_mdsread_read,
    .close = ds_mdsread_close,
};
