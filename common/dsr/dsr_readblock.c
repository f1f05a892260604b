/* dsr_readblock.c - the frames of a block put together; see dsr_reader_priv.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dsr_reader_priv.h"

int ds_reader_ready(ds_reader *r, ds_err *err)
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

/* The B frame in hand: what is to come. */
static int parse_block(ds_reader *r, ds_err *err)
{
    size_t pos = 0, len = r->f.raw;
    uint64_t n;
    ds_block *b = &r->block;
    if (!ds_varint_get(r->payload, len, &pos, &b->rows) || b->rows < 1)
        return ds_reader_bad(r, DS_CORRUPT, "block without rows", err);
    if (!ds_varint_get(r->payload, len, &pos, &n) || n != r->schema.n + 1)
        return ds_reader_bad(r, DS_CORRUPT, "block with a wrong number of chunks", err);
    for (size_t i = 0; i <= r->schema.n; i++) {
        ds_readchunk *c = &r->chunk[i];
        if (!ds_varint_get(r->payload, len, &pos, &c->len) ||
            !ds_varint_get(r->payload, len, &pos, &c->pieces) || c->len < 1 ||
            c->len >= INT64_MAX || c->len > SIZE_MAX)
            return ds_reader_bad(r, DS_CORRUPT, "bad length of a chunk", err);
        uint64_t least = (c->len + DS_PIECE_MAX - 1) / DS_PIECE_MAX;
        uint64_t most = c->len <= DS_PIECE_MAX ? 1 : c->len / (DS_PIECE_MAX / 4) + 1;
        if (c->pieces < least || c->pieces > most)
            return ds_reader_bad(r, DS_CORRUPT, "impossible number of pieces", err);
    }
    if (pos != len)
        return ds_reader_bad(r, DS_CORRUPT, "bytes after the list of chunks", err);
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
        return ds_reader_bad(r, DS_CORRUPT, "not one zstd frame", err);
    if (ZSTD_decompressDCtx(r->zstd, to, r->f.raw, r->payload, r->f.stored) != r->f.raw)
        return ds_reader_bad(r, DS_CORRUPT, "zstd data does not decode to its length", err);
    return 0;
}

/* Of the frame in hand. */
static int check_piece(ds_reader *r, size_t column, uint64_t left, ds_err *err)
{
    int rc = 0;
    if (r->f.type != 'P')
        rc = ds_reader_bad(r, DS_CORRUPT, "a piece of the block is missing", err);
    if (!rc && r->f.column != column)
        rc = ds_reader_bad(r, DS_CORRUPT, "a piece of another column", err);
    if (!rc && r->f.raw > left)
        rc = ds_reader_bad(r, DS_CORRUPT, "pieces are longer than their chunk", err);
    return rc;
}

static int note_end(ds_readchunk *c, size_t end, ds_err *err)
{
    return ds_buf_put(&c->ends, &end, sizeof end) ? ds_fail_nomem(err) : 0;
}

static int read_single(ds_reader *r, size_t column, ds_err *err)
{
    ds_readchunk *c = &r->chunk[column];
    int rc = check_piece(r, column, c->len, err);
    if (!rc && r->f.raw != c->len)
        rc = ds_reader_bad(r, DS_CORRUPT, "pieces are shorter than their chunk", err);
    const bool taken = c->mem.len > 0 && r->payload == c->mem.data;
    if (!rc && !taken && ds_buf_reserve(&c->mem, r->f.raw))
        rc = ds_fail_nomem(err);
    if (!rc && !taken)
        rc = decode(r, c->mem.data, err);
    c->mem.len = r->f.raw;
    return rc ? rc : note_end(c, c->mem.len, err);
}

/* Several pieces go through `last`: whether one ends rightly is seen in the two bytes after it. */
static int read_pieces(ds_reader *r, size_t column, ds_err *err)
{
    ds_readchunk *c = &r->chunk[column];
    size_t before = 0; /* length of the piece in `last` */
    uint64_t done = 0;
    int rc = 0;
    if (!r->last && !(r->last = malloc(2 * (size_t)DS_PIECE_MAX)))
        return ds_fail_nomem(err);
    for (uint64_t i = 0; i < c->pieces; i++) {
        /* Decoded behind the piece before: it has room for both. */
        uint8_t *to = r->last + before;
        rc = i ? ds_reader_frame(r, NULL, err) : 0; /* the first one is in hand */
        rc = rc ? rc : check_piece(r, column, c->len - done, err);
        if (!rc)
            rc = decode(r, to, err);
        if (rc)
            return rc;
        size_t n = r->f.raw, peek = n < 2 ? n : 2;
        if (before && !ds_piece_ok(r->last, before, before + peek, c->len - done + before))
            return ds_reader_bad(r, DS_CORRUPT, "the piece before ends where no piece may end",
                                 err);
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
        return ds_reader_bad(r, DS_CORRUPT, "pieces are shorter than their chunk", err);
    if (!ds_piece_ok(r->last, before, before, before))
        return ds_reader_bad(r, DS_CORRUPT, "a piece is not cut where it must be", err);
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

static int parse_refs(ds_reader *r, ds_readchunk *c, ds_err *err)
{
    char theirs[33], ours[33];
    ds_storeid id;
    bool other;
    const char *why = ds_refs_parse(&c->refs, r->payload, r->f.raw, &r->store, &other, &id);
    if (!other)
        return why ? ds_reader_bad(r, DS_CORRUPT, why, err) : 0;
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
    ds_readchunk *c = &r->chunk[column];
    size_t pieces = 0, rows = 0, end = 0;
    bool claims;
    int rc = may_refer(&r->schema, column, &claims)
                 ? 0
                 : ds_reader_bad(r, DS_CORRUPT, "a reference where none may be", err);
    ds_refs_reset(&c->refs);
    for (bool first = true; !rc; first = false) {
        rc = first ? 0 : ds_reader_want(r, 'R', "the rest of a reference is missing", err);
        if (!rc && r->f.column != column)
            rc = ds_reader_bad(r, DS_CORRUPT, "a reference for another column", err);
        rc = rc ? rc : parse_refs(r, c, err);
        ds_refs_pieces(&c->refs, &pieces);
        ds_refs_claims(&c->refs, &rows);
        if (rc || (pieces >= c->pieces && (!claims || rows >= r->block.rows)))
            break;
    }
    if (!rc &&
        (pieces != c->pieces || c->refs.len != c->len || rows != (claims ? r->block.rows : 0)))
        rc = ds_reader_bad(r, DS_CORRUPT, "a reference does not fit its block", err);
    for (size_t i = 0; !rc && i < pieces; i++)
        rc = note_end(c, end += ds_refs_pieces(&c->refs, &pieces)[i].len, err);
    return rc;
}

static int read_chunk(ds_reader *r, size_t i, ds_err *err)
{
    ds_readchunk *c = &r->chunk[i];
    ds_chunk *out = &r->block.chunks[i];
    *out = (ds_chunk){0};
    ds_buf_reset(&c->ends);
    ds_buf_reset(&c->mem);
    ds_spool_reset(&c->spool);
    int rc = ds_reader_frame(r, c->pieces == 1 ? &c->mem : NULL, err);
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

bool ds_reader_swap(ds_reader *r, size_t chunk, ds_buf *b)
{
    ds_readchunk *c = &r->chunk[chunk];
    if (c->pieces != 1 || r->block.chunks[chunk].refs)
        return false;
    const ds_buf mine = c->mem;
    c->mem = *b;
    *b = mine;
    return true;
}

int ds_reader_take_block(ds_reader *r, ds_err *err)
{
    int rc = parse_block(r, err);
    for (size_t i = 0; i <= r->schema.n && !rc; i++)
        rc = read_chunk(r, i, err);
    if (rc)
        return rc;
    r->counts.blocks++;
    if (__builtin_add_overflow(r->counts.records, r->block.rows, &r->counts.records))
        return ds_reader_bad(r, DS_CORRUPT, "more than 2^64 records", err);
    return 0;
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

int ds_block_texts(const ds_block *b, const ds_schema *s, ds_colview *views, ds_err *err)
{
    int rc = ds_block_views(b, s, views, err);
    for (size_t i = 0; rc == 0 && i < s->n; i++)
        if (s->cols[i].type == DS_UTF8 || s->cols[i].type == DS_JSON)
            rc = ds_colview_check(&views[i], b->chunks[i].spool, err);
    return rc;
}
