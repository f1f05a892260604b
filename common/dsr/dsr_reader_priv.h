/* dsr_reader_priv.h - what the files of dsr_reader.c share: a reader at work. */
#ifndef DS_DSR_READER_PRIV_H
#define DS_DSR_READER_PRIV_H

#include <zstd.h>

#include "dsr_frame.h"
#include "dsr_refs.h"

/* A chunk as it is put together: one piece in mem, more in the spool. */
typedef struct ds_readchunk {
    uint64_t len, pieces;
    ds_buf mem;
    ds_spool spool;
    ds_buf ends; /* size_t: where pieces end */
    ds_refs refs;
} ds_readchunk;

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
    unsigned nth;   /* stream of its input, from 0 */
    bool has_store; /* references into `store` are understood */
    ds_storeid store;

    ds_block block;
    ds_readchunk *chunk; /* schema.n + 1 */
    uint8_t *last;       /* the piece in hand of a chunk of many, and the two bytes after it */

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

/* ---- dsr_readframe.c ---- */
/* Fails: "input: frame N at byte N: why". */
int ds_reader_bad(ds_reader *r, int code, const char *why, ds_err *err);
/* The same before a message that is set. */
int ds_reader_within(ds_reader *r, int rc, ds_err *err);
int ds_reader_cut_off(ds_reader *r, ds_err *err); /* the input ends too early */
/* The next frame is in hand, its checksum right. A piece that is stored as it is has its payload in
 * `into` (unless that is NULL), where it stays. */
int ds_reader_frame(ds_reader *r, ds_buf *into, ds_err *err);
/* The same, and it is of this type. */
int ds_reader_want(ds_reader *r, uint8_t type, const char *what, ds_err *err);

/* ---- dsr_readblock.c ---- */
int ds_reader_ready(ds_reader *r, ds_err *err); /* room for blocks, once the schema is known */
/* The B frame in hand, and all frames of the block: r->block. */
int ds_reader_take_block(ds_reader *r, ds_err *err);

#endif
