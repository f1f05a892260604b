/* dsr_refs.h - a chunk told of by the addresses of its pieces, which lie in a store already (R
 * frames: docs/dsr-format.md, section 1).
 *
 * Written by a producer that knows that a store has them, read by `dsver commit` into that very
 * store. Whoever reads on needs the rows' hashes and sizes where the column decides about cuts: the
 * claims.
 */
#ifndef DS_DSR_REFS_H
#define DS_DSR_REFS_H

#include "buf.h"
#include "hash.h"

typedef struct ds_storeid {
    uint8_t b[16];
} ds_storeid;

typedef struct ds_pieceref {
    ds_sha id;
    uint32_t len;
} ds_pieceref;

/* What a row's primary value does to the cut (docs/dsr-format.md, section 5.1). */
typedef struct ds_rowclaim {
    uint64_t hash, size;
} ds_rowclaim;

/* Zeroed is valid and empty. */
typedef struct ds_refs {
    uint64_t len;  /* bytes of all pieces */
    ds_buf pieces; /* ds_pieceref, in order */
    ds_buf claims; /* ds_rowclaim, one a row; empty unless the column is the only primary one */
} ds_refs;

void ds_storeid_hex(char out[33], const ds_storeid *id);
void ds_refs_reset(ds_refs *r);
void ds_refs_fini(ds_refs *r);
static inline const ds_pieceref *ds_refs_pieces(const ds_refs *r, size_t *n)
{
    *n = r->pieces.len / sizeof(ds_pieceref);
    return (const ds_pieceref *)(const void *)r->pieces.data;
}
static inline const ds_rowclaim *ds_refs_claims(const ds_refs *r, size_t *n)
{
    *n = r->claims.len / sizeof(ds_rowclaim);
    return (const ds_rowclaim *)(const void *)r->claims.data;
}
/* Both DS_NOMEM or 0. */
int ds_refs_piece(ds_refs *r, const ds_sha *id, uint32_t len);
int ds_refs_claim(ds_refs *r, uint64_t hash, uint64_t size);
int ds_refs_copy(ds_refs *to, const ds_refs *from); /* replaces what `to` held */

/* The payload of the next R frame: pieces and claims from *piece and *row on, which move. */
int ds_refs_frame(ds_buf *out, const ds_refs *r, const ds_storeid *store, size_t *piece,
                  size_t *row);
/* Appends what the payload of one tells. NULL, or why it is corrupt. *other = it speaks of another
 * store, whose id then stands in *theirs. */
const char *ds_refs_parse(ds_refs *r, const uint8_t *p, size_t len, const ds_storeid *store,
                          bool *other, ds_storeid *theirs);

#endif
