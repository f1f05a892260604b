/* blockjob.c - see blockjob.h. */
#include "blockjob.h"

#include <stdlib.h>
#include <string.h>

#include "commitpass.h"
#include "statread.h"

#define LARGE ((size_t)8 << 20)             /* a block of more bytes is not copied */
enum { SMALL = 8 << 10, SMALL_HASHES = 3 }; /* a short piece's sketch would outweigh it */
enum { LONG_ROW = 16 << 10 };               /* a longer record is looked into */
enum { DELTA_MIN = 512 };                   /* the store makes no deltas of shorter pieces */
enum { GATHER = 32, FEW = 8 }; /* pieces hashed together, at most; those of a value in a file */

/* ---- what jobs share ---- */

int ds_blockctx_init(ds_blockctx *c, const ds_schema *s, ds_objstore *objs, ds_err *err)
{
    *c = (ds_blockctx){.schema = s, .objs = objs, .salts = calloc(s->n + 1, sizeof *c->salts)};
    if (!c->salts)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < s->n; i++)
        c->salts[i] = ds_xxh64(s->cols[i].name, strlen(s->cols[i].name));
    c->salts[s->n] = ds_xxh64("origin", 7); /* with its NUL: no column's name */
    return 0;
}

void ds_blockctx_fini(ds_blockctx *c)
{
    free(c->salts);
    *c = (ds_blockctx){0};
}

/* ---- filling ---- */

static int reserve(ds_blockjob *j, size_t n, ds_err *err)
{
    if (n <= j->cap)
        return 0;
    ds_chunk *c = realloc(j->chunks, n * sizeof *c);
    if (c)
        j->chunks = c;
    ds_buf *b = realloc(j->copies, n * sizeof *b);
    if (b)
        j->copies = b;
    ds_refs *r = realloc(j->refs, n * sizeof *r);
    if (r)
        j->refs = r;
    if (!c || !b || !r)
        return ds_fail_nomem(err);
    memset(b + j->cap, 0, (n - j->cap) * sizeof *b);
    memset(r + j->cap, 0, (n - j->cap) * sizeof *r);
    j->cap = n;
    return 0;
}

static int begin(ds_blockjob *j, size_t nchunks, ds_err *err)
{
    j->page = j->large = j->erased = false;
    j->err.code = 0;
    j->nchunks = nchunks;
    ds_buf_reset(&j->ends);
    ds_buf_reset(&j->known);
    ds_buf_reset(&j->sketches);
    ds_buf_reset(&j->keys);
    ds_buf_reset(&j->stats);
    ds_manline_reset(&j->line);
    if (!j->hasher && ds_hasher_new(&j->hasher, err))
        return err->code;
    return reserve(j, nchunks, err);
}

int ds_blockjob_block(ds_blockjob *j, const ds_block *b, ds_reader *from, ds_err *err)
{
    size_t total = 0;
    int rc = begin(j, b->nchunks, err);
    if (rc)
        return rc;
    j->line.rows = b->rows;
    j->offset = b->offset;
    for (size_t i = 0; i < b->nchunks; i++)
        total += b->chunks[i].refs ? 0 : b->chunks[i].body_len;
    j->large = total > LARGE;
    for (size_t i = 0; i < b->nchunks; i++) {
        uint64_t len = b->chunks[i].body_len, n = b->npieces[i];
        j->chunks[i] = b->chunks[i];
        if (ds_buf_put(&j->line.lens, &len, sizeof len) ||
            ds_buf_put(&j->line.npieces, &n, sizeof n) ||
            ds_buf_put(&j->ends, b->piece_ends[i], b->npieces[i] * sizeof *b->piece_ends[i]))
            return ds_fail_nomem(err);
        j->line.nchunks++;
        if (b->chunks[i].refs) {
            if (ds_refs_copy(&j->refs[i], b->chunks[i].refs))
                return ds_fail_nomem(err);
            j->chunks[i].refs = &j->refs[i];
            continue;
        }
        if (j->large)
            continue;
        if (!from || !ds_reader_swap(from, i, &j->copies[i])) {
            ds_buf_reset(&j->copies[i]);
            if (ds_buf_put(&j->copies[i], b->chunks[i].body, b->chunks[i].body_len))
                return ds_fail_nomem(err);
        }
        j->chunks[i] = (ds_chunk){.body = j->copies[i].data, .body_len = j->copies[i].len};
    }
    return 0;
}

int ds_blockjob_page(ds_blockjob *j, ds_buf *page, uint64_t rows, ds_err *err)
{
    int rc = begin(j, 1, err);
    if (rc)
        return rc;
    uint64_t len = page->len, n = 1;
    size_t end = page->len;
    j->page = true;
    j->line.rows = rows;
    j->line.nchunks = 1;
    if (ds_buf_put(&j->line.lens, &len, sizeof len) || ds_buf_put(&j->line.npieces, &n, sizeof n) ||
        ds_buf_put(&j->ends, &end, sizeof end))
        return ds_fail_nomem(err);
    ds_buf t = j->copies[0];
    j->copies[0] = *page;
    *page = t;
    ds_buf_reset(page);
    j->chunks[0] = (ds_chunk){.body = j->copies[0].data, .body_len = j->copies[0].len};
    return 0;
}

void ds_blockjob_fini(ds_blockjob *j)
{
    for (size_t i = 0; i < j->cap; i++) {
        ds_buf_fini(&j->copies[i]);
        ds_refs_fini(&j->refs[i]);
    }
    free(j->copies);
    free(j->refs);
    free(j->chunks);
    ds_buf_fini(&j->ends);
    ds_buf_fini(&j->known);
    ds_buf_fini(&j->sketches);
    ds_buf_fini(&j->keys);
    ds_buf_fini(&j->stats);
    ds_buf_fini(&j->statbytes);
    ds_colstat_fini(&j->stat);
    ds_manline_fini(&j->line);
    ds_hasher_free(j->hasher);
    *j = (ds_blockjob){0};
}

/* ---- computing ---- */

static const size_t *ends_of(const ds_blockjob *j)
{
    return (const size_t *)(const void *)j->ends.data;
}

/* A chunk that the store has (refchunk.h). */
static int address_refs(ds_blockjob *j, const ds_refs *r)
{
    size_t n;
    const ds_pieceref *p = ds_refs_pieces(r, &n);
    for (size_t k = 0; k < n; k++)
        if (ds_buf_put(&j->line.pieces, &p[k].id, sizeof p[k].id) ||
            ds_buf_putc(&j->known, DS_PIECE_KNOWN))
            return ds_fail_nomem(&j->err);
    return 0;
}

/* Room for the address of each piece that is here, and those of others. */
static int lay_out(ds_blockjob *j)
{
    static const ds_sha later;
    int rc = 0;
    for (size_t i = 0; !rc && i < j->nchunks; i++) {
        if (j->chunks[i].refs) {
            rc = address_refs(j, j->chunks[i].refs);
            continue;
        }
        for (size_t k = 0; !rc && k < ds_manline_npieces(&j->line, i); k++)
            if (ds_buf_put(&j->line.pieces, &later, sizeof later) ||
                ds_buf_putc(&j->known, DS_PIECE_NEW))
                rc = ds_fail_nomem(&j->err);
    }
    return rc;
}

/* Pieces whose addresses are computed together, whosever they are. */
typedef struct gather {
    ds_bytes v[GATHER];
    uint8_t *to[GATHER]; /* where the address goes */
    size_t n;
    int rc;
    ds_err err;
} gather;

static void address_gathered(gather *g)
{
    ds_sha got[GATHER];
    if (!g->rc && g->n)
        g->rc = ds_addr_pieces(got, g->v, g->n, &g->err);
    for (size_t i = 0; !g->rc && i < g->n; i++)
        memcpy(g->to[i], got[i].b, sizeof got[i].b);
    g->n = 0;
}

/* The pieces of one job. Of a value in a file no more is looked at than is hashed together. */
static void gather_pieces(gather *g, ds_blockjob *j)
{
    const size_t *end = ends_of(j);
    uint8_t *to = j->line.pieces.data;
    for (size_t i = 0; i < j->nchunks; i++) {
        const ds_chunk *c = &j->chunks[i];
        const size_t n = ds_manline_npieces(&j->line, i);
        for (size_t k = 0, at = 0; k < n && !c->refs; at = end[k++]) {
            g->v[g->n] = (ds_bytes){c->body + at, end[k] - at};
            g->to[g->n++] = to + k * sizeof(ds_sha);
            const bool release = c->spool && (g->n >= FEW || k + 1 == n);
            if (release || g->n == GATHER)
                address_gathered(g);
            if (release)
                ds_spool_release(c->spool, end[k]);
        }
        end += n;
        to += n * sizeof(ds_sha);
    }
}

/* Addresses of all pieces of the jobs that are sound. */
static void address(ds_blockjob *v, size_t n)
{
    gather g = {.n = 0};
    for (size_t i = 0; i < n; i++)
        if (!lay_out(&v[i]))
            gather_pieces(&g, &v[i]);
    address_gathered(&g);
    for (size_t i = 0; i < n && g.rc; i++)
        (void)ds_fail(&v[i].err, g.rc, "%s", g.err.msg);
}

/* True when the store lacks some pieces. */
static bool look_up(ds_blockjob *j, const ds_blockctx *c)
{
    ds_objstore_has_each(c->objs, ds_manline_pieces(&j->line), j->known.len, j->known.data);
    return memchr(j->known.data, DS_PIECE_NEW, j->known.len) != NULL;
}

/* Data that came again after something was erased from them: what was, stays so. *fresh as
 * look_up has it. */
static void leave_erased(ds_blockjob *j, const ds_blockctx *c, bool *fresh)
{
    const ds_sha *ids = ds_manline_pieces(&j->line);
    size_t len;
    j->erased = ds_overlay_find(c->erased, j->page ? ids : &j->addr, &len) != NULL;
    if (!j->erased)
        return;
    *fresh = false;
    for (size_t i = 0; i < j->known.len; i++) {
        if (j->known.data[i] == DS_PIECE_NEW && ds_overlay_is_gone(c->erased, &ids[i]))
            j->known.data[i] = DS_PIECE_ERASED;
        *fresh |= j->known.data[i] == DS_PIECE_NEW;
    }
}

static int open_views(const ds_blockjob *j, const ds_blockctx *c, ds_colview *views,
                      bool (*want)(const ds_schema *, size_t), ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < c->schema->n; i++)
        if (want(c->schema, i))
            rc = ds_colview_open(&views[i], &c->schema->cols[i], j->chunks[i].body,
                                 j->chunks[i].body_len, j->line.rows, err);
    return rc;
}

static bool is_primary(const ds_schema *s, size_t i)
{
    return s->primary[i] != 0;
}

static bool is_key(const ds_schema *s, size_t i)
{
    (void)s;
    return i == 0;
}

static int claimed_rows(ds_blockjob *j, const ds_refs *r, ds_buf *hashes)
{
    size_t n;
    const ds_rowclaim *c = ds_refs_claims(r, &n);
    for (size_t i = 0; i < n; i++)
        if (ds_buf_put(hashes, &c[i].hash, sizeof c[i].hash))
            return ds_fail_nomem(&j->err);
    return 0;
}

/* The row hashes that cut the block also tell which known block resembles it: the same rows, in
 * every column. */
static int hash_rows(ds_blockjob *j, const ds_blockctx *c, ds_buf *hashes)
{
    const ds_schema *s = c->schema;
    for (size_t i = 0; i < s->n; i++)
        if (s->primary[i] && j->chunks[i].refs)
            return claimed_rows(j, j->chunks[i].refs, hashes);
    ds_colview *views = calloc(s->n, sizeof *views);
    ds_rowhash h = {0};
    int rc = views ? ds_rowhash_init(&h, &j->err) : ds_fail_nomem(&j->err);
    if (!rc)
        rc = open_views(j, c, views, is_primary, &j->err);
    for (uint64_t r = 0; !rc && r < j->line.rows; r++) {
        ds_value v;
        uint64_t size, hash;
        ds_rowhash_begin(&h);
        for (size_t i = 0; i < s->n; i++)
            if (s->primary[i] && ds_colview_next(&views[i], &v))
                ds_rowhash_value(&h, &views[i], &v);
        hash = ds_rowhash_end(&h, &size);
        if (ds_buf_put(hashes, &hash, sizeof hash))
            rc = ds_fail_nomem(&j->err);
    }
    ds_rowhash_fini(&h);
    free(views);
    return rc;
}

/* Of the rows in the part [at, end) of a chunk of `len` bytes, taking rows for equally long: it is
 * a hint only, but must be of the same kind however many pieces a chunk is cut into. */
static void sketch_rows(ds_sketch *s, const ds_buf *hashes, uint64_t salt, size_t at, size_t end,
                        size_t len)
{
    double rows = (double)(hashes->len / 8), scale = len ? rows / (double)len : 0;
    size_t first = (size_t)(scale * (double)at), last = (size_t)(scale * (double)end + 1);
    for (size_t r = first; r < last && r < hashes->len / 8; r++) {
        uint64_t h;
        memcpy(&h, hashes->data + 8 * r, sizeof h);
        ds_sketch_add(s, (uint32_t)(((h ^ salt) * 0x9e3779b97f4a7c15u) >> 32));
    }
}

static size_t row_size(const ds_blockjob *j, size_t chunk)
{
    return j->line.rows ? (size_t)(chunk / j->line.rows) : chunk;
}

/* Few records make few hashes: the rest of a sketch is of the bytes. So long records of which a
 * small part may change, such as files with a header, are like others too, while many are told by
 * themselves alone. */
static void sketch_into(ds_sketch *s, uint64_t salt, const void *data, size_t len)
{
    ds_sketch bytes = {0};
    ds_sketch_sample(&bytes, (uint32_t)salt, data, len);
    for (int i = 0; i < bytes.n && s->n < DS_SKETCH_MAX; i++)
        ds_sketch_add(s, bytes.h[i]);
}

/* Of the piece [at, end) of chunk i, which has `len` bytes. hashes: of the rows; NULL: by bytes. */
static void sketch_piece(ds_sketch *s, const ds_blockjob *j, size_t i, uint64_t salt,
                         const ds_buf *hashes, size_t at, size_t end, size_t len)
{
    const uint8_t *body = j->chunks[i].refs ? NULL : j->chunks[i].body + at;
    *s = (ds_sketch){0};
    if (end - at < DELTA_MIN)
        return;
    if (hashes)
        sketch_rows(s, hashes, salt, at, end, len);
    else
        ds_sketch_bytes(s, (uint32_t)salt, body, end - at);
    if (hashes && body && s->n < DS_SKETCH_MAX && row_size(j, len) >= LONG_ROW)
        sketch_into(s, salt, body, end - at);
    if (end - at < SMALL && s->n > SMALL_HASHES)
        s->n = SMALL_HASHES; /* the smallest: a sketch of fewer */
}

static int sketch(ds_blockjob *j, const ds_blockctx *c)
{
    const size_t *end = ends_of(j);
    ds_buf hashes = {0};
    size_t piece = 0;
    const bool by_rows = !j->large && !j->page;
    int rc = by_rows ? hash_rows(j, c, &hashes) : 0;
    for (size_t i = 0; !rc && i < j->nchunks; i++) {
        size_t at = 0, n = ds_manline_npieces(&j->line, i);
        for (size_t k = 0; !rc && k < n; k++, at = *end++, piece++) {
            ds_sketch s = {0};
            if (!j->known.data[piece])
                sketch_piece(&s, j, i, j->page ? 1 : c->salts[i], by_rows ? &hashes : NULL, at,
                             *end, end[n - 1 - k]);
            if (ds_buf_put(&j->sketches, &s, sizeof s))
                rc = ds_fail_nomem(&j->err);
            if (j->chunks[i].spool)
                ds_spool_release(j->chunks[i].spool, *end);
        }
    }
    ds_buf_fini(&hashes);
    return rc;
}

static int hash_keys(ds_blockjob *j, const ds_blockctx *c)
{
    ds_colview *views = calloc(c->schema->n, sizeof *views);
    ds_value v;
    int rc = views ? open_views(j, c, views, is_key, &j->err) : ds_fail_nomem(&j->err);
    while (!rc && ds_colview_next(&views[0], &v)) {
        ds_keyhash h;
        rc = ds_keyhash_make(&h, j->hasher, v.p, v.len, &j->err);
        if (!rc && ds_buf_put(&j->keys, &h, sizeof h))
            rc = ds_fail_nomem(&j->err);
    }
    free(views);
    return rc;
}

/* Statistics of the columns that have a new piece. */
static int count(ds_blockjob *j, const ds_blockctx *c)
{
    const ds_schema *s = c->schema;
    size_t piece = 0;
    int rc = 0;
    for (size_t i = 0; !rc && i < s->n; i++) {
        const size_t n = ds_manline_npieces(&j->line, i);
        const bool fresh = memchr(j->known.data + piece, DS_PIECE_NEW, n) != NULL;
        ds_sha id;
        piece += n;
        if (!fresh)
            continue;
        rc = ds_colstat_chunk(&j->stat, &s->cols[i], j->chunks[i].body, j->chunks[i].body_len,
                              j->line.rows, s->explicit_key && i == 0, j->chunks[i].spool, &j->err);
        ds_buf_reset(&j->statbytes);
        if (!rc && ds_colstat_put(&j->statbytes, &j->stat, true))
            rc = ds_fail_nomem(&j->err);
        rc = rc ? rc : ds_stat_chunk_id(&id, s, &j->line, i, &j->err);
        if (!rc && ds_statcache_entry(&j->stats, &id, false, &j->statbytes))
            rc = ds_fail_nomem(&j->err);
        if (j->chunks[i].spool)
            ds_spool_release(j->chunks[i].spool, j->chunks[i].body_len);
    }
    return rc;
}

static void run_addressed(ds_blockjob *j, const ds_blockctx *c)
{
    bool fresh = look_up(j, c);
    int rc = j->page ? 0 : ds_manline_addr(&j->line, &j->addr, &j->origin, &j->err);
    if (!rc && c->erased)
        leave_erased(j, c, &fresh);
    if (!rc && fresh)
        rc = sketch(j, c);
    if (!rc && fresh && !j->page)
        rc = count(j, c);
    if (!rc && !j->page && c->schema->explicit_key)
        rc = hash_keys(j, c);
}

void ds_blockjob_run(ds_blockjob *v, size_t n, const ds_blockctx *c)
{
    address(v, n);
    for (size_t i = 0; i < n; i++)
        if (!v[i].err.code)
            run_addressed(&v[i], c);
}

/* ---- putting ---- */

/* Bytes of one element of the column, as far as that helps a byte-plane filter; 0 = it does not. */
static uint8_t word_of(const ds_blockctx *c, const ds_blockjob *j, size_t chunk)
{
    if (j->page || chunk >= c->schema->n || j->chunks[chunk].refs)
        return 0;
    const ds_column *col = &c->schema->cols[chunk];
    switch (col->type == DS_LIST ? col->item : col->type) {
    case DS_TOKENS16:
        return 2;
    case DS_TOKENS32:
        return 4;
    case DS_I64:
    case DS_F64:
    case DS_TIMESTAMP:
        return 8;
    case DS_TENSOR: {
        ds_colview view;
        ds_value v;
        if (ds_colview_open(&view, col, j->chunks[chunk].body, j->chunks[chunk].body_len,
                            j->line.rows, NULL) == 0)
            while (ds_colview_next(&view, &v))
                if (!v.null)
                    return ds_dtype_size(v.dtype) > 1 ? (uint8_t)ds_dtype_size(v.dtype) : 0;
        return 0;
    }
    default:
        return 0;
    }
}

int ds_blockjob_put(ds_blockjob *j, const ds_blockctx *c, ds_objtx *tx, ds_err *err)
{
    const size_t *end = ends_of(j);
    const ds_sha *ids = ds_manline_pieces(&j->line);
    const ds_sketch *sketches = (const ds_sketch *)(const void *)j->sketches.data;
    size_t piece = 0;
    int rc = 0;
    for (size_t i = 0; !rc && i < j->nchunks; i++) {
        size_t at = 0, n = ds_manline_npieces(&j->line, i);
        uint8_t word = j->sketches.len ? word_of(c, j, i) : 0;
        for (size_t k = 0; !rc && k < n; k++, at = *end++, piece++) {
            const bool here = !j->chunks[i].refs;
            if (j->known.data[piece] == DS_PIECE_ERASED)
                continue;
            ds_piece p = {.id = ids[piece],
                          .data = here ? j->chunks[i].body + at : NULL,
                          .len = *end - at,
                          .row = j->page ? 0 : row_size(j, end[n - 1 - k]),
                          .known = here && j->known.data[piece] == DS_PIECE_KNOWN,
                          .word = word};
            p.kind = j->page               ? DS_KIND_SOURCES
                     : i == j->nchunks - 1 ? DS_KIND_ORIGIN
                                           : DS_KIND_COLUMN;
            p.stream =
                (uint8_t)(j->page ? UINT8_MAX : i); /* a column's pieces resemble each other */
            if (j->sketches.len)
                p.sketch = sketches[piece];
            if (n == 1 && !j->large && here)
                rc = ds_objtx_put_buf(tx, &p, &j->copies[i], NULL, err);
            else
                rc = ds_objtx_put(tx, &p, NULL, err);
            if (j->large && j->chunks[i].spool)
                ds_spool_release(j->chunks[i].spool, *end);
        }
    }
    return rc;
}
