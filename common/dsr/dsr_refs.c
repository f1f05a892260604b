/* dsr_refs.c - see dsr_refs.h. */
#include "dsr_refs.h"

#include <stdio.h>
#include <string.h>

#include "dsr_cut.h"

/* In one frame, so that it stays below its limit of 1 MiB. */
enum { PIECES_MAX = 8192, ROWS_MAX = 32768 };

void ds_storeid_hex(char out[33], const ds_storeid *id)
{
    for (size_t i = 0; i < sizeof id->b; i++)
        snprintf(out + 2 * i, 3, "%02x", id->b[i]);
}

void ds_refs_reset(ds_refs *r)
{
    r->len = 0;
    ds_buf_reset(&r->pieces);
    ds_buf_reset(&r->claims);
}

void ds_refs_fini(ds_refs *r)
{
    ds_buf_fini(&r->pieces);
    ds_buf_fini(&r->claims);
    *r = (ds_refs){0};
}

int ds_refs_piece(ds_refs *r, const ds_sha *id, uint32_t len)
{
    const ds_pieceref p = {*id, len};

    r->len += len;
    return ds_buf_put(&r->pieces, &p, sizeof p);
}

int ds_refs_claim(ds_refs *r, uint64_t hash, uint64_t size)
{
    const ds_rowclaim c = {hash, size};

    return ds_buf_put(&r->claims, &c, sizeof c);
}

int ds_refs_copy(ds_refs *to, const ds_refs *from)
{
    ds_refs_reset(to);
    to->len = from->len;
    return ds_buf_put(&to->pieces, from->pieces.data, from->pieces.len) ||
                   ds_buf_put(&to->claims, from->claims.data, from->claims.len)
               ? DS_NOMEM
               : 0;
}

static size_t at_most(size_t n, size_t max)
{
    return n < max ? n : max;
}

int ds_refs_frame(ds_buf *out, const ds_refs *r, const ds_storeid *store, size_t *piece,
                  size_t *row)
{
    size_t npieces, nrows;
    const ds_pieceref *p = ds_refs_pieces(r, &npieces);
    const ds_rowclaim *c = ds_refs_claims(r, &nrows);
    const size_t pieces = at_most(npieces - *piece, PIECES_MAX),
                 rows = at_most(nrows - *row, ROWS_MAX);
    int rc;

    ds_buf_reset(out);
    rc = ds_buf_put(out, store->b, sizeof store->b) || ds_buf_varint(out, pieces) ||
         ds_buf_varint(out, rows);
    for (size_t i = 0; !rc && i < pieces; i++, ++*piece)
        rc = ds_buf_varint(out, p[*piece].len) || ds_buf_put(out, &p[*piece].id, sizeof p->id);
    for (size_t i = 0; !rc && i < rows; i++, ++*row)
        rc = ds_buf_varint(out, c[*row].size) || ds_buf_u64(out, c[*row].hash);
    return rc ? DS_NOMEM : 0;
}

static const char *parse_piece(ds_refs *r, const uint8_t *p, size_t len, size_t *at)
{
    uint64_t n;
    ds_sha id;

    if (!ds_varint_get(p, len, at, &n) || n < 1 || n > DS_PIECE_MAX || len - *at < sizeof id)
        return "bad piece in a reference";
    memcpy(&id, p + *at, sizeof id);
    *at += sizeof id;
    return ds_refs_piece(r, &id, (uint32_t)n) ? "out of memory" : NULL;
}

static const char *parse_row(ds_refs *r, const uint8_t *p, size_t len, size_t *at)
{
    uint64_t size;

    if (!ds_varint_get(p, len, at, &size) || len - *at < 8)
        return "bad row in a reference";
    const uint64_t hash = ds_get_u64(p + *at);
    *at += 8;
    return ds_refs_claim(r, hash, size) ? "out of memory" : NULL;
}

const char *ds_refs_parse(ds_refs *r, const uint8_t *p, size_t len, const ds_storeid *store,
                          bool *other, ds_storeid *theirs)
{
    uint64_t pieces, rows;
    size_t at = sizeof theirs->b;
    const char *why = NULL;

    *other = false;
    if (len < at)
        return "a reference without a store";
    memcpy(theirs->b, p, sizeof theirs->b);
    *other = memcmp(theirs->b, store->b, sizeof store->b) != 0;
    if (*other)
        return "a reference into another store";
    if (!ds_varint_get(p, len, &at, &pieces) || !ds_varint_get(p, len, &at, &rows) ||
        pieces > PIECES_MAX || rows > ROWS_MAX || pieces + rows == 0)
        return "bad counts in a reference";
    for (uint64_t i = 0; !why && i < pieces; i++)
        why = parse_piece(r, p, len, &at);
    for (uint64_t i = 0; !why && i < rows; i++)
        why = parse_row(r, p, len, &at);
    return why ? why : at != len ? "bytes after a reference" : NULL;
}
