/* dsr_cut.h - where blocks and pieces end: pure functions of content (docs/dsr-format.md, "Cuts").
 *
 * Blocks: after record i with probability size_i / target, decided by a hash over the hashes of the
 * last 8 records, between min and max. size_i = 8 + bytes of the primary values. The window runs on
 * over cuts, so that the same records resynchronise. Pieces: a chunk of at most 1 MiB is one piece;
 * a longer one is cut by FastCDC (Xia et al. 2020; min 256 KiB, normal 512 KiB, max 1 MiB,
 * normalisation 2).
 */
#ifndef DS_DSR_CUT_H
#define DS_DSR_CUT_H

#include "dsr_column.h"

#define DS_PIECE_MAX (1u << 20)

typedef struct ds_cutter {
    uint64_t min, target, max;
    uint64_t hashes[128]; /* of the last records: little endian, the window is the 8 before `at` */
    size_t at;
    uint64_t size; /* of the block so far */
} ds_cutter;
void ds_cutter_init(ds_cutter *c, const ds_schema *s);
/* As it is behind the last block of a stream that goes on: hashes of its last records, at least 7
 * where there are so many. */
void ds_cutter_resume(ds_cutter *c, const uint64_t *hashes, size_t n);
/* Tells of one record; true when the block ends after it. */
bool ds_cutter_record(ds_cutter *c, uint64_t hash, uint64_t size);

/* The hash of a record's primary values, value by value in column order: begin, add*, end. */
typedef struct ds_rowhash {
    void *state; /* XXH3_state_t */
    uint64_t size;
} ds_rowhash;
int ds_rowhash_init(ds_rowhash *h, ds_err *err);
void ds_rowhash_fini(ds_rowhash *h);
void ds_rowhash_begin(ds_rowhash *h);
void ds_rowhash_value(ds_rowhash *h, const ds_colview *v, const ds_value *x);
uint64_t ds_rowhash_end(ds_rowhash *h, uint64_t *size);

/* Length of the first piece of the n remaining bytes (head ++ body seen as one run) of a chunk
 * longer than DS_PIECE_MAX. Looks at no more than DS_PIECE_MAX bytes. */
size_t ds_piece_len(const uint8_t *p, size_t n);
/* Whether ds_piece_len would cut here: the piece has `len` bytes, `left` bytes of the chunk begin
 * at p, and the first `have` of them can be looked at. A cut is decided by the bytes just past it:
 * have >= len + 2 unless the chunk ends before. */
bool ds_piece_ok(const uint8_t *p, size_t len, size_t have, uint64_t left);

/* The derived key of a record: hex of the first 16 bytes of SHA-256 over its keyed values (see the
 * format). */
struct ds_hasher;
int ds_key_derive(char out[33], struct ds_hasher *h, const ds_schema *s, const ds_colview *views,
                  const ds_value *values, ds_err *err);

#endif
