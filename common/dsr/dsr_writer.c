/* dsr_writer.c - writing a DSR stream; see dsr_io.h and docs/dsr-format.md, section 1. */
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "dsr_frame.h"
#include "dsr_sources.h"
#include "json.h"
#include "utf8.h"

struct ds_writer {
    ds_out *out;
    ds_schema schema;
    ds_writer_opts opts;
    uint64_t seq;
    bool done;                /* ended or aborted */
    bool broken;              /* a write failed: no frame may follow */
    XXH3_state_t *sum, *sums; /* of one frame; over the sums of all */
    ZSTD_CCtx *zstd;
    uint8_t *window; /* a piece whose bytes are not in one place */
    uint8_t *packed; /* a compressed piece */
    ds_buf payload, refs;
    bool has_store; /* that chunks may refer to */
    ds_storeid store;
    ds_buf origin;  /* made up where the caller has none */
    ds_buf cuts;    /* size_t: lengths of the pieces of all chunks of a block */
    ds_buf sources; /* told of and not yet written, without the count */
    uint64_t nsources;
    ds_buf index; /* delta and rows of each block */
    uint64_t last_offset;
    ds_counts counts;
};

/* ---- frames ---- */

typedef struct span {
    const void *p;
    size_t len;
} span;

static int put_frame(ds_writer *w, int type, int codec, size_t column, size_t raw, span a, span b,
                     ds_err *err)
{
    uint8_t head[DS_FRAME_HEAD];
    size_t stored = a.len + b.len;
    if (w->broken || w->done)
        return ds_fail(err, DS_FAIL, "%s: the stream has already ended or failed", w->out->path);
    if (stored < 1 || raw > DS_FRAME_MAX)
        return ds_fail(err, DS_FAIL, "%s: a '%c' frame of %zu bytes; 1 MiB is the limit",
                       w->out->path, type, raw);
    if (w->seq > UINT32_MAX)
        return ds_fail(err, DS_FAIL, "%s: more than 2^32 frames", w->out->path);
    ds_frame f = {(uint8_t)type,    (uint8_t)codec, (uint16_t)column,
                  (uint32_t)stored, (uint32_t)raw,  (uint32_t)w->seq};
    ds_frame_encode(head, &f);
    ds_x128 sum = ds_frame_sum(w->sum, head, a.p, a.len, b.p, b.len);
    memcpy(head + 16, sum.b, sizeof sum.b);
    ds_xxh3_128_put(w->sums, sum.b, sizeof sum.b);
    w->seq++;
    int rc = ds_out_put(w->out, head, sizeof head, err);
    if (!rc)
        rc = ds_out_put(w->out, a.p, a.len, err);
    if (!rc)
        rc = ds_out_put(w->out, b.p, b.len, err);
    w->broken = rc != 0;
    return rc;
}

static int put_plain(ds_writer *w, int type, const void *p, size_t len, ds_err *err)
{
    return put_frame(w, type, 0, 0, len, (span){p, len}, (span){0}, err);
}

static int put_schema(ds_writer *w, ds_err *err)
{
    int rc = ds_schema_dump(&w->payload, &w->schema, err);
    if (!rc)
        rc = ds_out_put(w->out, DS_MAGIC, DS_MAGIC_LEN, err);
    return rc ? rc : put_plain(w, 'H', w->payload.data, w->payload.len, err);
}

int ds_writer_new(ds_writer **out, ds_out *to, const ds_schema *schema, const void *provenance,
                  size_t provenance_len, const ds_writer_opts *opts, ds_err *err)
{
    ds_writer *w = calloc(1, sizeof *w);
    *out = NULL;
    if (!w)
        return ds_fail_nomem(err);
    w->out = to;
    w->opts = opts ? *opts : (ds_writer_opts){0};
    w->sum = XXH3_createState();
    w->sums = XXH3_createState();
    w->window = malloc(DS_PIECE_MAX);
    int rc = ds_schema_copy(&w->schema, schema, err);
    if (!rc && w->opts.level) {
        w->zstd = ZSTD_createCCtx();
        w->packed = malloc(DS_PIECE_MAX);
    }
    if (!rc && (!w->sum || !w->sums || !w->window || (w->opts.level && (!w->zstd || !w->packed))))
        rc = ds_fail_nomem(err);
    if (!rc) {
        XXH3_128bits_reset(w->sums);
        rc = put_schema(w, err);
    }
    if (!rc)
        rc = put_plain(w, 'V', provenance_len ? provenance : "[]",
                       provenance_len ? provenance_len : 2, err);
    if (rc)
        ds_writer_free(w);
    else
        *out = w;
    return rc;
}

void ds_writer_free(ds_writer *w)
{
    if (!w)
        return;
    ds_schema_fini(&w->schema);
    XXH3_freeState(w->sum);
    XXH3_freeState(w->sums);
    ZSTD_freeCCtx(w->zstd);
    free(w->window);
    free(w->packed);
    ds_buf_fini(&w->payload);
    ds_buf_fini(&w->refs);
    ds_buf_fini(&w->origin);
    ds_buf_fini(&w->cuts);
    ds_buf_fini(&w->sources);
    ds_buf_fini(&w->index);
    ds_counts_fini(&w->counts);
    free(w);
}

/* ---- sources ---- */

static int flush_sources(ds_writer *w, ds_err *err)
{
    if (w->nsources == 0)
        return 0;
    ds_buf_reset(&w->payload);
    int rc = ds_buf_varint(&w->payload, w->nsources);
    if (!rc)
        rc = ds_buf_put(&w->payload, w->sources.data, w->sources.len);
    if (rc)
        return ds_fail_nomem(err);
    w->nsources = 0;
    ds_buf_reset(&w->sources);
    return put_plain(w, 'S', w->payload.data, w->payload.len, err);
}

int ds_writer_source(ds_writer *w, const ds_source *s, ds_err *err)
{
    if (!ds_source_name_ok(s->name, s->len))
        return ds_fail(err, DS_FAIL, "source \"%.*s\": a name is UTF-8 of 1 to %d bytes",
                       s->len > 200 ? 200 : (int)s->len, s->name, DS_SOURCE_NAME_MAX);
    size_t before = w->sources.len;
    if (ds_source_put(&w->sources, s))
        return ds_fail_nomem(err);
    if (w->sources.len > DS_SOURCES_BYTES) { /* this one begins the next frame */
        w->sources.len = before;
        int rc = flush_sources(w, err);
        if (rc)
            return rc;
        if (ds_source_put(&w->sources, s))
            return ds_fail_nomem(err);
    }
    w->nsources++;
    w->counts.sources++;
    return 0;
}

/* ---- blocks ---- */

void ds_writer_refs(ds_writer *w, const ds_storeid *store)
{
    w->has_store = true;
    w->store = *store;
}

static size_t chunk_len(const ds_chunk *c)
{
    return c->refs ? (size_t)c->refs->len : c->head_len + c->body_len;
}

/* Bytes [at, at + n) of a chunk as one or two spans. */
static void chunk_spans(const ds_chunk *c, size_t at, size_t n, span s[2])
{
    size_t from_head = at < c->head_len ? c->head_len - at : 0;
    if (from_head > n)
        from_head = n;
    s[0] = (span){from_head ? c->head + at : NULL, from_head};
    s[1] = (span){NULL, n - from_head};
    if (s[1].len)
        s[1].p = c->body + (at + from_head - c->head_len);
    if (!s[0].len) {
        s[0] = s[1];
        s[1] = (span){0};
    }
}

/* The same in one place: where they are, or in the window. n <= DS_PIECE_MAX. */
static const uint8_t *chunk_bytes(ds_writer *w, const ds_chunk *c, size_t at, size_t n)
{
    span s[2];
    chunk_spans(c, at, n, s);
    if (!s[1].len)
        return s[0].p;
    memcpy(w->window, s[0].p, s[0].len);
    memcpy(w->window + s[0].len, s[1].p, s[1].len);
    return w->window;
}

/* The view may be dropped behind the byte `at` of the chunk. */
static void chunk_passed(const ds_chunk *c, size_t at)
{
    if (c->spool && at > c->head_len)
        ds_spool_release(c->spool, at - c->head_len);
}

static int cut_chunk(ds_writer *w, const ds_chunk *c, uint64_t *pieces, ds_err *err)
{
    size_t len = chunk_len(c), n;
    *pieces = 0;
    if (c->refs) {
        ds_refs_pieces(c->refs, &n);
        *pieces = n;
        return 0;
    }
    for (size_t at = 0; at < len; at += n) {
        size_t left = len - at;
        n = left;
        if (len > DS_PIECE_MAX) {
            /* A cut looks at no more than one piece's worth, and must know whether more follows. */
            const uint8_t *p = chunk_bytes(w, c, at, left < DS_PIECE_MAX ? left : DS_PIECE_MAX);
            n = ds_piece_len(p, left);
        }
        if (ds_buf_put(&w->cuts, &n, sizeof n))
            return ds_fail_nomem(err);
        ++*pieces;
        chunk_passed(c, at + n);
    }
    return 0;
}

static int put_piece(ds_writer *w, size_t column, const ds_chunk *c, size_t at, size_t n,
                     ds_err *err)
{
    span s[2];
    if (w->zstd) {
        const uint8_t *p = chunk_bytes(w, c, at, n);
        /* What does not become smaller does not fit, and is stored raw. */
        size_t z = ZSTD_compressCCtx(w->zstd, w->packed, n - 1, p, n, w->opts.level);
        if (!ZSTD_isError(z))
            return put_frame(w, 'P', 1, column, n, (span){w->packed, z}, (span){0}, err);
    }
    chunk_spans(c, at, n, s);
    return put_frame(w, 'P', 0, column, n, s[0], s[1], err);
}

static int put_refs(ds_writer *w, size_t column, const ds_refs *r, ds_err *err)
{
    size_t pieces, rows, piece = 0, row = 0;
    int rc = w->has_store ? 0 : ds_fail(err, DS_FAIL, "a reference, and no store for it");
    ds_refs_pieces(r, &pieces);
    ds_refs_claims(r, &rows);
    while (!rc && (piece < pieces || row < rows)) {
        rc = ds_refs_frame(&w->refs, r, &w->store, &piece, &row) ? ds_fail_nomem(err) : 0;
        rc = rc ? rc
                : put_frame(w, 'R', 0, column, w->refs.len, (span){w->refs.data, w->refs.len},
                            (span){0}, err);
    }
    return rc;
}

static int put_chunk(ds_writer *w, size_t column, const ds_chunk *c, const size_t *cuts, size_t *k,
                     ds_err *err)
{
    size_t len = chunk_len(c);
    int rc = 0;
    if (c->refs)
        return put_refs(w, column, c->refs, err);
    for (size_t at = 0; at < len && !rc; at += cuts[(*k)++]) {
        rc = put_piece(w, column, c, at, cuts[*k], err);
        chunk_passed(c, at);
    }
    chunk_passed(c, len);
    return rc;
}

static int no_origins(ds_writer *w, uint64_t rows, ds_chunk *c, ds_err *err)
{
    ds_buf_reset(&w->origin);
    if (rows > SIZE_MAX / 2 || ds_buf_varint(&w->origin, rows) ||
        ds_buf_reserve(&w->origin, (size_t)rows))
        return ds_fail_nomem(err);
    memset(w->origin.data + w->origin.len, 0, (size_t)rows);
    w->origin.len += (size_t)rows;
    *c = (ds_chunk){.body = w->origin.data, .body_len = w->origin.len};
    return 0;
}

static int note_index(ds_writer *w, uint64_t rows, ds_err *err)
{
    uint64_t at = w->out->pos;
    if (!w->opts.index)
        return 0;
    if (ds_buf_varint(&w->index, at - w->last_offset) || ds_buf_varint(&w->index, rows))
        return ds_fail_nomem(err);
    w->last_offset = at;
    return 0;
}

int ds_writer_block(ds_writer *w, uint64_t rows, const ds_chunk *chunks, const ds_chunk *origin,
                    ds_err *err)
{
    size_t n = w->schema.n, k = 0;
    ds_chunk made;
    uint64_t pieces;
    int rc = flush_sources(w, err);
    if (!rc && !origin)
        rc = no_origins(w, rows, &made, err);
    if (!rc && rows < 1)
        rc = ds_fail(err, DS_FAIL, "a block without rows");
    if (!rc)
        rc = note_index(w, rows, err);
    if (rc)
        return rc;
    const ds_chunk *last = origin ? origin : &made;
    ds_buf_reset(&w->payload);
    ds_buf_reset(&w->cuts);
    if (ds_buf_varint(&w->payload, rows) || ds_buf_varint(&w->payload, n + 1))
        return ds_fail_nomem(err);
    for (size_t i = 0; i <= n; i++) {
        const ds_chunk *c = i < n ? &chunks[i] : last;
        rc = cut_chunk(w, c, &pieces, err);
        if (rc)
            return rc;
        if (ds_buf_varint(&w->payload, chunk_len(c)) || ds_buf_varint(&w->payload, pieces))
            return ds_fail_nomem(err);
    }
    rc = put_plain(w, 'B', w->payload.data, w->payload.len, err);
    for (size_t i = 0; i <= n && !rc; i++)
        rc = put_chunk(w, i, i < n ? &chunks[i] : last, (const size_t *)(const void *)w->cuts.data,
                       &k, err);
    if (rc)
        return rc;
    w->counts.blocks++;
    w->counts.records += rows;
    return 0;
}

/* ---- end ---- */

static int put_index(ds_writer *w, ds_err *err)
{
    uint8_t trailer[DS_TRAILER_LEN];
    uint64_t left = w->counts.blocks, v;
    size_t pos = 0;
    int rc = 0;
    ds_set_u64(trailer, w->out->pos);
    memcpy(trailer + 8, DS_TRAILER_MAGIC, 8);
    do {
        uint64_t n = left < DS_INDEX_BLOCKS ? left : DS_INDEX_BLOCKS;
        size_t from = pos;
        for (uint64_t i = 0; i < 2 * n; i++)
            ds_varint_get(w->index.data, w->index.len, &pos, &v);
        ds_buf_reset(&w->payload);
        if (ds_buf_varint(&w->payload, n) ||
            (n && ds_buf_put(&w->payload, w->index.data + from, pos - from)))
            return ds_fail_nomem(err);
        rc = put_plain(w, 'X', w->payload.data, w->payload.len, err);
        left -= n;
    } while (left && !rc);
    return rc ? rc : ds_out_put(w->out, trailer, sizeof trailer, err);
}

int ds_writer_end(ds_writer *w, const ds_counts *counts, const ds_sha *root, ds_err *err)
{
    ds_counts c = counts ? *counts : (ds_counts){0};
    int rc = flush_sources(w, err);
    if (rc)
        return rc;
    c.records = w->counts.records;
    c.blocks = w->counts.blocks;
    c.sources = w->counts.sources;
    ds_x128 frames = ds_xxh128_digest(w->sums);
    ds_buf_reset(&w->payload);
    rc = ds_end_dump(&w->payload, &c, root, &frames, err);
    if (!rc)
        rc = put_plain(w, 'E', w->payload.data, w->payload.len, err);
    if (!rc && w->opts.index)
        rc = put_index(w, err);
    if (!rc)
        rc = ds_out_flush(w->out, err);
    w->done |= rc == 0;
    return rc;
}

void ds_writer_abort(ds_writer *w, const char *reason)
{
    ds_buf b = {0};
    size_t len = strnlen(reason, DS_ERR_MAX), bad;
    if (!w || w->done || w->broken)
        return;
    int rc = ds_buf_puts(&b, "{\"abort\":");
    char *text = malloc(len + 1);
    if (!rc && text) {
        memcpy(text, reason, len);
        while ((bad = ds_utf8_check((const uint8_t *)text, len)) < len)
            text[bad] = '?';
        rc = ds_json_str(&b, text, len);
        if (!rc)
            rc = ds_buf_putc(&b, '}');
        if (!rc && !put_plain(w, 'A', b.data, b.len, NULL))
            ds_out_flush(w->out, NULL);
    }
    w->done = true;
    free(text);
    ds_buf_fini(&b);
}
