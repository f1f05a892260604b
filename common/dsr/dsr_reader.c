/* dsr_reader.c - reading a DSR stream; see dsr_io.h and docs/dsr-format.md, section 1. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "dsr_frame.h"
#include "dsr_prov.h"
#include "dsr_sources.h"
#include "json.h"

/* A chunk as it is put together: one piece in mem, more in the spool. */
typedef struct rchunk {
    uint64_t len, pieces;
    ds_buf mem;
    ds_spool spool;
    ds_buf ends; /* size_t: where pieces end */
    ds_refs refs;
} rchunk;

struct ds_reader {
    ds_in in;
    ds_schema schema;
    ds_buf provenance;
    XXH3_state_t *sum, *sums;
    ZSTD_DCtx *zstd;
    uint64_t seq;
    /* the frame in hand */
    ds_frame f;
    uint64_t at; /* its offset */
    const uint8_t *payload;
    size_t hold; /* bytes of the input to skip before the next frame */
    bool failed, done;
    bool ended; /* the end frame was read */
    bool expect_more, has_more;
    unsigned nth; /* stream of its input, from 0 */
    bool has_store; /* references into `store` are understood */
    ds_storeid store;

    ds_block block;
    rchunk *chunk; /* schema.n + 1 */
    uint8_t *last; /* the piece in hand of a chunk of many, and the two bytes after it */

    ds_source source;
    uint64_t sources_left; /* in the S frame in hand */
    size_t sources_pos;
    size_t sources_bytes; /* of the S frame before, when the frame in hand follows one; else 0 */

    ds_buf index; /* what the index must hold, should there be one */
    uint64_t last_offset;
    ds_counts counts;
    bool has_root;
    ds_sha root;
};

/* ---- frames ---- */

static int bad(ds_reader *r, int code, const char *why, ds_err *err)
{
    r->failed = true;
    return ds_fail(err, code, "%s: frame %" PRIu64 " at byte %" PRIu64 ": %s", r->in.path,
                   r->seq ? r->seq - 1 : 0, r->at, why);
}

/* Puts the frame's place before a message made further down. */
static int within(ds_reader *r, int rc, ds_err *err)
{
    r->failed = true;
    ds_err_prefix(err, "%s: frame %" PRIu64 " at byte %" PRIu64, r->in.path,
                  r->seq ? r->seq - 1 : 0, r->at);
    return rc;
}

static int cut_off(ds_reader *r, ds_err *err)
{
    uint64_t end = r->in.pos + r->in.len;
    r->failed = true;
    if (r->ended)
        return ds_fail(err, DS_CORRUPT,
                       "%s: the index after the end of the stream is cut off at byte %" PRIu64,
                       r->in.path, end);
    return ds_fail(err, DS_CORRUPT, "%s: ends at byte %" PRIu64 " without its end frame: truncated",
                   r->in.path, end);
}

static bool lengths_ok(const ds_frame *f)
{
    return f->stored >= 1 && f->stored <= f->raw && f->raw <= DS_FRAME_MAX;
}

static bool is_known(uint8_t type)
{
    return type != 0 && strchr("HVBPRSEAX", type) != NULL;
}

/* What a frame's header may say beside its lengths. */
static int check_header(ds_reader *r, ds_err *err)
{
    const ds_frame *f = &r->f;
    if (f->seq != r->seq - 1)
        return bad(r, DS_CORRUPT, "frames are missing, repeated or out of order", err);
    if (f->type == 'R' && !r->has_store)
        return bad(r, DS_CORRUPT,
                   "reference frames need a store: what dsprep files --store writes is for dsver "
                   "commit, without --append and --every",
                   err);
    if (!is_known(f->type))
        return bad(r, DS_CORRUPT, "unknown type of frame", err);
    if (f->codec > 1 || (f->codec == 1 && f->type != 'P'))
        return bad(r, DS_CORRUPT, "unknown codec", err);
    if (f->codec == 0 ? f->stored != f->raw : f->stored >= f->raw)
        return bad(r, DS_CORRUPT, "stored and raw length do not fit the codec", err);
    if (f->type != 'P' && f->type != 'R' && f->column != 0)
        return bad(r, DS_CORRUPT, "a column number where none belongs", err);
    return 0;
}

static int fail_abort(ds_reader *r, ds_err *err)
{
    json_t *v = NULL;
    ds_buf again = {0};
    int rc = ds_json_parse(&v, r->payload, r->f.raw, "abort frame", NULL);
    const char *reason = json_string_value(json_object_get(v, "abort"));
    if (!rc && (!reason || ds_json_dump(&again, v, NULL) || again.len != r->f.raw ||
                memcmp(again.data, r->payload, again.len) != 0 || json_object_size(v) != 1))
        rc = DS_CORRUPT;
    r->failed = true;
    if (rc)
        rc = bad(r, DS_CORRUPT, "bad abort frame", err);
    else
        rc = ds_fail(err, DS_FAIL, "%s: its producer failed: %s", r->in.path, reason);
    json_decref(v);
    ds_buf_fini(&again);
    return rc;
}

/* Takes the next frame; its payload is lent until the next call. */
static int next_frame(ds_reader *r, ds_err *err)
{
    const uint8_t *p;
    size_t got;
    ds_in_skip(&r->in, r->hold);
    r->hold = 0;
    r->at = r->in.pos;
    int rc = ds_in_peek(&r->in, DS_FRAME_HEAD, &p, &got, err);
    if (rc)
        return rc;
    if (got < DS_FRAME_HEAD)
        return cut_off(r, err);
    r->seq++;
    ds_frame_decode(&r->f, p);
    if (!lengths_ok(&r->f))
        return bad(r, DS_CORRUPT, "impossible length", err);
    size_t all = DS_FRAME_HEAD + (size_t)r->f.stored;
    rc = ds_in_peek(&r->in, all, &p, &got, err);
    if (rc)
        return rc;
    if (got < all)
        return cut_off(r, err);
    ds_x128 sum = ds_frame_sum(r->sum, p, p + DS_FRAME_HEAD, r->f.stored, NULL, 0);
    if (memcmp(sum.b, p + 16, sizeof sum.b) != 0)
        return bad(r, DS_CORRUPT, "checksum does not match", err);
    r->payload = p + DS_FRAME_HEAD;
    r->hold = all;
    rc = check_header(r, err);
    if (!rc && r->f.type == 'A' && r->seq > 2 && !r->ended)
        rc = fail_abort(r, err);
    if (!rc && r->f.type != 'E')
        XXH3_128bits_update(r->sums, sum.b, sizeof sum.b);
    return rc;
}

static int want_frame(ds_reader *r, uint8_t type, const char *what, ds_err *err)
{
    int rc = next_frame(r, err);
    if (!rc && r->f.type != type)
        rc = bad(r, DS_CORRUPT, what, err);
    return rc;
}

/* ---- opening ---- */

static int read_magic(ds_reader *r, ds_err *err)
{
    const uint8_t *p;
    size_t got;
    int rc = ds_in_peek(&r->in, DS_MAGIC_LEN, &p, &got, err);
    if (rc)
        return rc;
    if (got == 0)
        return ds_fail(err, DS_CORRUPT, "%s: empty: not even the beginning of a DSR stream",
                       r->in.path);
    if (memcmp(p, DS_MAGIC, got) != 0)
        return ds_fail(err, DS_CORRUPT, "%s: not a DSR stream (its first bytes are others)",
                       r->in.path);
    if (got < DS_MAGIC_LEN)
        return cut_off(r, err);
    r->hold = DS_MAGIC_LEN;
    return 0;
}

static int read_start(ds_reader *r, ds_err *err)
{
    int rc = read_magic(r, err);
    if (!rc)
        rc = want_frame(r, 'H', "a schema must come first", err);
    if (!rc) {
        rc = ds_schema_parse(&r->schema, r->payload, r->f.raw, err);
        if (rc)
            return within(r, rc, err);
    }
    if (!rc)
        rc = want_frame(r, 'V', "provenance must follow the schema", err);
    if (!rc) {
        rc = ds_prov_check(r->payload, r->f.raw, err);
        if (rc)
            return within(r, rc == DS_NOMEM ? rc : DS_CORRUPT, err);
    }
    if (!rc && ds_buf_put(&r->provenance, r->payload, r->f.raw))
        rc = ds_fail_nomem(err);
    return rc;
}

static int alloc_block(ds_reader *r, ds_err *err)
{
    size_t n = r->schema.n + 1;
    r->block.nchunks = n;
    r->block.path = r->in.path;
    r->chunk = calloc(n, sizeof *r->chunk);
    r->block.chunks = calloc(n, sizeof *r->block.chunks);
    r->block.piece_ends = calloc(n, sizeof *r->block.piece_ends);
    r->block.npieces = calloc(n, sizeof *r->block.npieces);
    return r->chunk && r->block.chunks && r->block.piece_ends && r->block.npieces
               ? 0
               : ds_fail_nomem(err);
}

/* Blocks are larger than a pipe usually is: with room for a whole one, the stage before goes on
 * while this one works, and both wake a fifth as often. What is no pipe, or may not grow, stays as
 * it is. */
static void widen(int fd)
{
#ifdef F_SETPIPE_SZ
    const int want = 1 << 20;
    int is = fcntl(fd, F_GETPIPE_SZ);
    if (is > 0 && is < want)
        (void)fcntl(fd, F_SETPIPE_SZ, want);
#else
    (void)fd;
#endif
}

int ds_reader_new(ds_reader **out, int fd, const char *path, ds_err *err)
{
    return ds_reader_after(out, NULL, 0, fd, path, err);
}

/* Of an input that is open. Takes `in`; frees r when it fails. */
static int start_reader(ds_reader **out, ds_reader *r, ds_err *err)
{
    int rc = 0;
    r->sum = XXH3_createState();
    r->sums = XXH3_createState();
    r->zstd = ZSTD_createDCtx();
    if (!r->sum || !r->sums || !r->zstd)
        rc = ds_fail_nomem(err);
    if (!rc) {
        XXH3_128bits_reset(r->sums);
        rc = read_start(r, err);
    }
    if (!rc)
        rc = alloc_block(r, err);
    if (rc)
        ds_reader_free(r);
    else
        *out = r;
    return rc;
}

int ds_reader_after(ds_reader **out, const void *head, size_t n, int fd, const char *path,
                    ds_err *err)
{
    ds_reader *r = calloc(1, sizeof *r);
    *out = NULL;
    if (!r)
        return ds_fail_nomem(err);
    widen(fd);
    int rc = ds_in_init(&r->in, fd, strcmp(path, "-") == 0 ? "standard input" : path, err);
    if (rc) {
        ds_reader_free(r);
        return rc;
    }
    if (n)
        ds_in_before(&r->in, head, n);
    return start_reader(out, r, err);
}

void ds_reader_expect_more(ds_reader *r)
{
    r->expect_more = true;
}

bool ds_reader_has_more(const ds_reader *r)
{
    return r->has_more;
}

int ds_reader_wait(const ds_reader *r, int64_t ms, ds_err *err)
{
    struct pollfd p = {.fd = r->in.fd, .events = POLLIN};
    if (r->in.len > r->hold || r->in.eof)
        return 1;
    int n = poll(&p, 1, ms < 0 ? -1 : ms > INT_MAX ? INT_MAX : (int)ms);
    if (n < 0 && errno != EINTR)
        return ds_fail_errno(err, errno, "%s: poll", r->in.path);
    return n > 0;
}

/* "standard input (stream 3)": offsets begin anew with each. */
static int rename_input(ds_in *in, unsigned nth, ds_err *err)
{
    char *path = NULL, *was = in->path;
    size_t len = strlen(was);
    if (nth > 1)
        len = (size_t)(strrchr(was, '(') - was) - 1;
    if (asprintf(&path, "%.*s (stream %u)", (int)len, was, nth + 1) < 0)
        return ds_fail_nomem(err);
    free(was);
    in->path = path;
    in->pos = 0;
    return 0;
}

int ds_reader_follow(ds_reader **out, ds_reader *old, ds_err *err)
{
    ds_reader *r = calloc(1, sizeof *r);
    *out = NULL;
    if (!r || !old->has_more) {
        int rc = r ? ds_fail(err, DS_FAIL, "%s: no other stream follows", old->in.path)
                   : ds_fail_nomem(err);
        free(r);
        ds_reader_free(old);
        return rc;
    }
    r->in = old->in;
    old->in = (ds_in){.fd = -1};
    r->nth = old->nth + 1;
    r->expect_more = true;
    ds_reader_free(old);
    int rc = rename_input(&r->in, r->nth, err);
    if (rc)
        ds_reader_free(r);
    return rc ? rc : start_reader(out, r, err);
}

void ds_reader_free(ds_reader *r)
{
    if (!r)
        return;
    for (size_t i = 0; r->chunk && i <= r->schema.n; i++) {
        ds_buf_fini(&r->chunk[i].mem);
        ds_spool_fini(&r->chunk[i].spool);
        ds_buf_fini(&r->chunk[i].ends);
        ds_refs_fini(&r->chunk[i].refs);
    }
    free(r->chunk);
    free(r->last);
    free(r->block.chunks);
    free(r->block.piece_ends);
    free(r->block.npieces);
    ds_schema_fini(&r->schema);
    ds_in_fini(&r->in);
    ds_buf_fini(&r->provenance);
    ds_buf_fini(&r->index);
    XXH3_freeState(r->sum);
    XXH3_freeState(r->sums);
    ZSTD_freeDCtx(r->zstd);
    ds_counts_fini(&r->counts);
    free(r);
}

/* ---- blocks ---- */

/* The B frame in hand: what is to come. */
static int parse_block(ds_reader *r, ds_err *err)
{
    size_t pos = 0, len = r->f.raw;
    uint64_t n;
    ds_block *b = &r->block;
    if (!ds_varint_get(r->payload, len, &pos, &b->rows) || b->rows < 1)
        return bad(r, DS_CORRUPT, "block without rows", err);
    if (!ds_varint_get(r->payload, len, &pos, &n) || n != r->schema.n + 1)
        return bad(r, DS_CORRUPT, "block with a wrong number of chunks", err);
    for (size_t i = 0; i <= r->schema.n; i++) {
        rchunk *c = &r->chunk[i];
        if (!ds_varint_get(r->payload, len, &pos, &c->len) ||
            !ds_varint_get(r->payload, len, &pos, &c->pieces) || c->len < 1 ||
            c->len >= INT64_MAX || c->len > SIZE_MAX)
            return bad(r, DS_CORRUPT, "bad length of a chunk", err);
        uint64_t least = (c->len + DS_PIECE_MAX - 1) / DS_PIECE_MAX;
        uint64_t most = c->len <= DS_PIECE_MAX ? 1 : c->len / (DS_PIECE_MAX / 4) + 1;
        if (c->pieces < least || c->pieces > most)
            return bad(r, DS_CORRUPT, "impossible number of pieces", err);
    }
    if (pos != len)
        return bad(r, DS_CORRUPT, "bytes after the list of chunks", err);
    b->offset = r->at;
    b->sources = r->counts.sources;
    if (ds_buf_varint(&r->index, r->at - r->last_offset) || ds_buf_varint(&r->index, b->rows))
        return ds_fail_nomem(err);
    r->last_offset = r->at;
    return 0;
}

/* Decodes the P frame in hand to `to`, which has room for f.raw bytes. */
static int decode(ds_reader *r, uint8_t *to, ds_err *err)
{
    if (r->f.codec == 0) {
        memcpy(to, r->payload, r->f.raw);
        return 0;
    }
    /* One frame, not skippable, without a dictionary, and of exactly these lengths. */
    if (r->f.stored < 4 || ds_get_u32(r->payload) != ZSTD_MAGICNUMBER ||
        ZSTD_getDictID_fromFrame(r->payload, r->f.stored) != 0 ||
        ZSTD_findFrameCompressedSize(r->payload, r->f.stored) != r->f.stored)
        return bad(r, DS_CORRUPT, "not one zstd frame", err);
    if (ZSTD_decompressDCtx(r->zstd, to, r->f.raw, r->payload, r->f.stored) != r->f.raw)
        return bad(r, DS_CORRUPT, "zstd data does not decode to its length", err);
    return 0;
}

/* Of the frame in hand. */
static int check_piece(ds_reader *r, size_t column, uint64_t left, ds_err *err)
{
    int rc = 0;
    if (r->f.type != 'P')
        rc = bad(r, DS_CORRUPT, "a piece of the block is missing", err);
    if (!rc && r->f.column != column)
        rc = bad(r, DS_CORRUPT, "a piece of another column", err);
    if (!rc && r->f.raw > left)
        rc = bad(r, DS_CORRUPT, "pieces are longer than their chunk", err);
    return rc;
}

static int note_end(rchunk *c, size_t end, ds_err *err)
{
    return ds_buf_put(&c->ends, &end, sizeof end) ? ds_fail_nomem(err) : 0;
}

static int read_single(ds_reader *r, size_t column, ds_err *err)
{
    rchunk *c = &r->chunk[column];
    int rc = check_piece(r, column, c->len, err);
    if (!rc && r->f.raw != c->len)
        rc = bad(r, DS_CORRUPT, "pieces are shorter than their chunk", err);
    if (!rc && ds_buf_reserve(&c->mem, r->f.raw))
        rc = ds_fail_nomem(err);
    if (!rc)
        rc = decode(r, c->mem.data, err);
    c->mem.len = r->f.raw;
    return rc ? rc : note_end(c, c->mem.len, err);
}

/* Several pieces go through `last`: whether one ends rightly is seen in the two bytes after it. */
static int read_pieces(ds_reader *r, size_t column, ds_err *err)
{
    rchunk *c = &r->chunk[column];
    size_t before = 0; /* length of the piece in `last` */
    uint64_t done = 0;
    int rc = 0;
    if (!r->last && !(r->last = malloc(2 * (size_t)DS_PIECE_MAX)))
        return ds_fail_nomem(err);
    for (uint64_t i = 0; i < c->pieces; i++) {
        /* Decoded behind the piece before: it has room for both. */
        uint8_t *to = r->last + before;
        rc = i ? next_frame(r, err) : 0; /* the first one is in hand */
        rc = rc ? rc : check_piece(r, column, c->len - done, err);
        if (!rc)
            rc = decode(r, to, err);
        if (rc)
            return rc;
        size_t n = r->f.raw, peek = n < 2 ? n : 2;
        if (before && !ds_piece_ok(r->last, before, before + peek, c->len - done + before))
            return bad(r, DS_CORRUPT, "the piece before ends where no piece may end", err);
        rc = ds_spool_put(&c->spool, to, n, err);
        done += n;
        if (!rc)
            rc = note_end(c, (size_t)done, err);
        if (rc)
            return rc;
        memmove(r->last, to, n);
        before = n;
    }
    if (done != c->len)
        return bad(r, DS_CORRUPT, "pieces are shorter than their chunk", err);
    if (!ds_piece_ok(r->last, before, before, before))
        return bad(r, DS_CORRUPT, "a piece is not cut where it must be", err);
    return 0;
}

/* Which columns may be told of by references: neither explicit keys, which are compared, nor
 * origins, nor one of several that decide about cuts. *claims = there is a claim a row. */
static bool may_refer(const ds_schema *s, size_t column, bool *claims)
{
    size_t primaries = 0;
    for (size_t i = 0; i < s->n; i++)
        primaries += s->primary[i] != 0;
    *claims = column < s->n && s->primary[column];
    return column < s->n && !(s->explicit_key && column == 0) && (!*claims || primaries == 1);
}

static int parse_refs(ds_reader *r, rchunk *c, ds_err *err)
{
    char theirs[33], ours[33];
    ds_storeid id;
    bool other;
    const char *why = ds_refs_parse(&c->refs, r->payload, r->f.raw, &r->store, &other, &id);
    if (!other)
        return why ? bad(r, DS_CORRUPT, why, err) : 0;
    ds_storeid_hex(theirs, &id);
    ds_storeid_hex(ours, &r->store);
    r->failed = true;
    return ds_fail(err, DS_FAIL,
                   "%s: frame %" PRIu64 " at byte %" PRIu64
                   ": refers to pieces of store %s, and this is store %s",
                   r->in.path, r->seq - 1, r->at, theirs, ours);
}

/* The first frame is in hand. */
static int read_refs(ds_reader *r, size_t column, ds_err *err)
{
    rchunk *c = &r->chunk[column];
    size_t pieces = 0, rows = 0, end = 0;
    bool claims;
    int rc = may_refer(&r->schema, column, &claims)
                 ? 0
                 : bad(r, DS_CORRUPT, "a reference where none may be", err);
    ds_refs_reset(&c->refs);
    for (bool first = true; !rc; first = false) {
        rc = first ? 0 : want_frame(r, 'R', "the rest of a reference is missing", err);
        if (!rc && r->f.column != column)
            rc = bad(r, DS_CORRUPT, "a reference for another column", err);
        rc = rc ? rc : parse_refs(r, c, err);
        ds_refs_pieces(&c->refs, &pieces);
        ds_refs_claims(&c->refs, &rows);
        if (rc || (pieces >= c->pieces && (!claims || rows >= r->block.rows)))
            break;
    }
    if (!rc &&
        (pieces != c->pieces || c->refs.len != c->len || rows != (claims ? r->block.rows : 0)))
        rc = bad(r, DS_CORRUPT, "a reference does not fit its block", err);
    for (size_t i = 0; !rc && i < pieces; i++)
        rc = note_end(c, end += ds_refs_pieces(&c->refs, &pieces)[i].len, err);
    return rc;
}

static int read_chunk(ds_reader *r, size_t i, ds_err *err)
{
    rchunk *c = &r->chunk[i];
    ds_chunk *out = &r->block.chunks[i];
    *out = (ds_chunk){0};
    ds_buf_reset(&c->ends);
    ds_buf_reset(&c->mem);
    ds_spool_reset(&c->spool);
    int rc = next_frame(r, err);
    const bool refs = !rc && r->f.type == 'R';
    rc = rc               ? rc
         : refs           ? read_refs(r, i, err)
         : c->pieces == 1 ? read_single(r, i, err)
                          : read_pieces(r, i, err);
    if (rc)
        return rc;
    if (refs) {
        out->refs = &c->refs;
        out->body_len = (size_t)c->len;
    } else if (c->pieces == 1) {
        out->body = c->mem.data;
        out->body_len = c->mem.len;
    } else {
        out->spool = &c->spool;
        rc = ds_spool_view(&c->spool, &out->body, &out->body_len, err);
    }
    r->block.piece_ends[i] = (size_t *)(void *)c->ends.data;
    r->block.npieces[i] = (size_t)c->pieces;
    return rc;
}

static int read_block(ds_reader *r, ds_err *err)
{
    int rc = parse_block(r, err);
    for (size_t i = 0; i <= r->schema.n && !rc; i++)
        rc = read_chunk(r, i, err);
    if (rc)
        return rc;
    r->counts.blocks++;
    if (__builtin_add_overflow(r->counts.records, r->block.rows, &r->counts.records))
        return bad(r, DS_CORRUPT, "more than 2^64 records", err);
    return 0;
}

/* ---- sources ---- */

static int open_sources(ds_reader *r, ds_err *err)
{
    r->sources_pos = 0;
    if (!ds_varint_get(r->payload, r->f.raw, &r->sources_pos, &r->sources_left) ||
        r->sources_left < 1)
        return bad(r, DS_CORRUPT, "no sources in their frame", err);
    size_t bytes = r->f.raw - r->sources_pos, before = r->sources_bytes, pos = r->sources_pos;
    ds_source first;
    if (!ds_source_get(r->payload, r->f.raw, &pos, &first))
        return bad(r, DS_CORRUPT, "bad source", err);
    if (bytes > DS_SOURCES_BYTES || (before && before + (pos - r->sources_pos) <= DS_SOURCES_BYTES))
        return bad(r, DS_CORRUPT, "sources are not parted as they must be", err);
    r->sources_bytes = bytes;
    return 0;
}

static int next_source(ds_reader *r, ds_err *err)
{
    if (!ds_source_get(r->payload, r->f.raw, &r->sources_pos, &r->source))
        return bad(r, DS_CORRUPT, "bad source", err);
    r->sources_left--;
    r->counts.sources++;
    if (r->sources_left == 0 && r->sources_pos != r->f.raw)
        return bad(r, DS_CORRUPT, "bytes after the last source", err);
    return 0;
}

/* ---- end ---- */

/* The X frames and the trailer, against what was read. */
static int read_index(ds_reader *r, ds_err *err)
{
    const uint8_t *p;
    size_t got, pos = 0;
    uint64_t left = r->counts.blocks, v, first = r->in.pos + r->hold;
    do {
        uint64_t n = left < DS_INDEX_BLOCKS ? left : DS_INDEX_BLOCKS, said;
        size_t from = pos, at = 0;
        int rc = want_frame(r, 'X', "something other than an index follows the end", err);
        if (rc)
            return rc;
        for (uint64_t i = 0; i < 2 * n; i++)
            ds_varint_get(r->index.data, r->index.len, &pos, &v);
        if (!ds_varint_get(r->payload, r->f.raw, &at, &said) || said != n ||
            r->f.raw - at != pos - from ||
            (n && memcmp(r->payload + at, r->index.data + from, pos - from) != 0))
            return bad(r, DS_CORRUPT, "the index does not agree with the blocks", err);
        left -= n;
    } while (left);
    ds_in_skip(&r->in, r->hold);
    r->hold = 0;
    r->at = r->in.pos;
    int rc = ds_in_peek(&r->in, DS_TRAILER_LEN + 1, &p, &got, err);
    if (rc)
        return rc;
    if (got < DS_TRAILER_LEN)
        return cut_off(r, err);
    if (memcmp(p + 8, DS_TRAILER_MAGIC, 8) != 0 || ds_get_u64(p) != first)
        return bad(r, DS_CORRUPT, "the trailer does not point at the index", err);
    ds_in_skip(&r->in, DS_TRAILER_LEN);
    return got > DS_TRAILER_LEN ? bad(r, DS_CORRUPT, "bytes after the end of the stream", err) : 0;
}

/* Behind the end stands what may be the beginning of another stream. */
static int find_more(ds_reader *r, ds_err *err)
{
    const uint8_t *p;
    size_t got;
    int rc = ds_in_peek(&r->in, DS_MAGIC_LEN, &p, &got, err);
    if (rc)
        return rc;
    r->has_more = got == DS_MAGIC_LEN && memcmp(p, DS_MAGIC, got) == 0;
    if (!r->has_more)
        return ds_fail(err, DS_CORRUPT, "%s: bytes after the end of the stream", r->in.path);
    if (r->expect_more)
        return 0;
    return ds_fail(err, DS_CORRUPT, "%s: another stream follows the end of the stream", r->in.path);
}

static int read_end(ds_reader *r, ds_err *err)
{
    ds_counts said = {0};
    ds_x128 frames, seen = ds_xxh128_digest(r->sums);
    const uint8_t *p;
    size_t got;
    int rc = ds_end_parse(&said, &r->has_root, &r->root, &frames, r->payload, r->f.raw, err);
    if (rc)
        rc = within(r, rc, err);
    else if (said.records != r->counts.records || said.blocks != r->counts.blocks ||
             said.sources != r->counts.sources)
        rc = bad(r, DS_CORRUPT,
                 "the end frame counts other records, blocks or sources than there are", err);
    else if (memcmp(frames.b, seen.b, sizeof seen.b) != 0)
        rc = bad(r, DS_CORRUPT, "the end frame's digest is not that of the frames", err);
    ds_counts_fini(&r->counts);
    r->counts = said;
    if (rc)
        return rc;
    r->ended = true;
    ds_in_skip(&r->in, r->hold);
    r->hold = 0;
    rc = ds_in_peek(&r->in, 1, &p, &got, err);
    if (!rc && got && *p == (uint8_t)DS_MAGIC[0]) /* no frame begins so */
        rc = find_more(r, err);
    else if (!rc && got)
        rc = read_index(r, err);
    r->done = rc == 0;
    return rc;
}

static int dispatch(ds_reader *r, enum ds_event *ev, ds_err *err)
{
    int rc;
    if (r->sources_left) {
        *ev = DS_EV_SOURCE;
        return next_source(r, err);
    }
    rc = next_frame(r, err);
    if (rc)
        return rc;
    if (r->f.type != 'S')
        r->sources_bytes = 0;
    switch (r->f.type) {
    case 'B':
        *ev = DS_EV_BLOCK;
        return read_block(r, err);
    case 'S':
        *ev = DS_EV_SOURCE;
        rc = open_sources(r, err);
        return rc ? rc : next_source(r, err);
    case 'E':
        *ev = DS_EV_END;
        return read_end(r, err);
    default:
        return bad(r, DS_CORRUPT, "out of place: a block, sources or the end belong here", err);
    }
}

int ds_reader_next(ds_reader *r, enum ds_event *ev, ds_err *err)
{
    if (r->done || r->failed)
        return ds_fail(err, DS_FAIL, "%s: read on after its end or a failure", r->in.path);
    int rc = dispatch(r, ev, err);
    if (rc)
        r->failed = true;
    return rc;
}

/* ---- what was read ---- */

void ds_reader_refs(ds_reader *r, const ds_storeid *store)
{
    r->has_store = true;
    r->store = *store;
}

const ds_schema *ds_reader_schema(const ds_reader *r)
{
    return &r->schema;
}

const char *ds_reader_provenance(const ds_reader *r, size_t *len)
{
    *len = r->provenance.len;
    return (const char *)r->provenance.data;
}

const ds_block *ds_reader_block(const ds_reader *r)
{
    return &r->block;
}

const ds_source *ds_reader_source(const ds_reader *r)
{
    return &r->source;
}

const ds_counts *ds_reader_counts(const ds_reader *r)
{
    return &r->counts;
}

const ds_sha *ds_reader_root(const ds_reader *r)
{
    return r->has_root ? &r->root : NULL;
}

uint64_t ds_reader_pos(const ds_reader *r)
{
    return r->in.pos + r->hold;
}

int ds_block_views(const ds_block *b, const ds_schema *s, ds_colview *views, ds_err *err)
{
    for (size_t i = 0; i < s->n; i++) {
        if (b->chunks[i].refs)
            continue;
        int rc = ds_colview_open(&views[i], &s->cols[i], b->chunks[i].body, b->chunks[i].body_len,
                                 b->rows, err);
        if (rc) {
            ds_err_prefix(err, "%s: block at byte %" PRIu64, b->path ? b->path : "block",
                          b->offset);
            return rc;
        }
        views[i].spool = b->chunks[i].spool;
    }
    return 0;
}
