/* dsr_io.h - DSR streams: writing and reading blocks, sources, provenance (docs/dsr-format.md).
 *
 * Writer and reader work on whole blocks of canonical chunks; dsr_rows.h puts rows on top. One
 * thread each. A stream without its end frame, with a frame whose checksum fails or which is out of
 * order makes the reader fail with DS_CORRUPT naming the input and the offset; an abort frame gives
 * DS_FAIL with the producer's reason.
 */
#ifndef DS_DSR_IO_H
#define DS_DSR_IO_H

#include "dsr_cut.h"
#include "dsr_refs.h"
#include "io.h"

/* Counts of the end frame: what came in and what became of it. */
typedef struct ds_reason {
    char *reason;
    uint64_t count;
} ds_reason;
typedef struct ds_counts {
    uint64_t records, blocks, sources;
    ds_reason *held, *failed; /* quarantined or skipped, and lost; sorted by reason */
    size_t nheld, nfailed;
} ds_counts;
int ds_counts_add(ds_counts *c, bool failed, const char *reason, uint64_t n, ds_err *err);
/* What was held and failed, from another one. */
int ds_counts_join(ds_counts *to, const ds_counts *c, ds_err *err);
uint64_t ds_counts_total(const ds_counts *c, bool failed);
void ds_counts_fini(ds_counts *c);

typedef struct ds_source {
    const char *name; /* relative; not NUL-terminated in a reader's hands: use len */
    size_t len;
    uint64_t size;
    ds_sha sha;
} ds_source;

/* ---- writing ---- */

typedef struct ds_writer ds_writer;
typedef struct ds_writer_opts {
    int level;  /* zstd level of pieces; 0 = stored raw (for pipes) */
    bool index; /* footer index for random access: a file, not a pipe */
} ds_writer_opts;

/* Writes header, schema and provenance at once. `provenance` is the canonical JSON array of steps
 * (dsr_prov.h). The writer borrows `out` and copies the schema. */
int ds_writer_new(ds_writer **w, ds_out *out, const ds_schema *schema, const void *provenance,
                  size_t provenance_len, const ds_writer_opts *opts, ds_err *err);
/* One block: schema->n chunks of `rows` rows each, and the origin chunk (NULL = no origins: an
 * origin chunk of empty ranges is written). Trusts the caller that the cut is canonical. */
int ds_writer_block(ds_writer *w, uint64_t rows, const ds_chunk *chunks, const ds_chunk *origin,
                    ds_err *err);
/* Chunks may be references into this store from now on. */
void ds_writer_refs(ds_writer *w, const ds_storeid *store);
/* Sources in order of their ordinals, each after the last block that refers to it. */
int ds_writer_source(ds_writer *w, const ds_source *s, ds_err *err);
/* End frame (records, blocks and sources are counted by the writer; held and failed come from
 * counts, may be NULL), flush. */
int ds_writer_end(ds_writer *w, const ds_counts *counts, const ds_sha *root, ds_err *err);
/* Best effort: an abort frame with the reason, flushed; for producers that fail. */
void ds_writer_abort(ds_writer *w, const char *reason);
void ds_writer_free(ds_writer *w);

/* ---- reading ---- */

typedef struct ds_reader ds_reader;

/* A block as read. Everything is lent until the next ds_reader_next. chunk[i] is whole: head_len ==
 * 0, body = the bytes, spool set when it came in several pieces; or, where references are allowed,
 * one: refs set, body NULL, body_len its length. piece_ends: offsets in the chunk where its pieces
 * end. */
typedef struct ds_block {
    uint64_t rows;
    const char *path; /* of the input, for messages; may be NULL */
    uint64_t offset;  /* of its first frame in the input, for messages */
    uint64_t sources; /* told of before it: it refers to none of these */
    size_t nchunks;   /* schema->n + 1: the last is the origin chunk */
    ds_chunk *chunks;
    size_t **piece_ends;
    size_t *npieces;
} ds_block;

enum ds_event { DS_EV_BLOCK, DS_EV_SOURCE, DS_EV_END };

/* Reads up to the provenance. `fd` is borrowed; `path` is for messages ("-" reads as "standard
 * input"). */
int ds_reader_new(ds_reader **r, int fd, const char *path, ds_err *err);
/* The same, when n bytes at `head` (at most 64 KiB) were read of it before. */
int ds_reader_after(ds_reader **r, const void *head, size_t n, int fd, const char *path,
                    ds_err *err);
/* References into this store are understood from now on, which are an error otherwise. */
void ds_reader_refs(ds_reader *r, const ds_storeid *store);
const ds_schema *ds_reader_schema(const ds_reader *r);
const char *ds_reader_provenance(const ds_reader *r, size_t *len);
/* The next event: a block (lent), a source (lent), or the end: counts and, when the stream carries
 * one, *root. After the end nothing may follow but a footer index. Checks checksums, order, piece
 * cuts; not values and not block cuts: see ds_blockcheck. */
int ds_reader_next(ds_reader *r, enum ds_event *ev, ds_err *err);
const ds_block *ds_reader_block(const ds_reader *r);
/* The bytes of a chunk of the block in hand, if they are one piece: *b has them from now on, and
 * the reader takes what *b had for blocks to come. The block still shows them while *b is not
 * changed. */
bool ds_reader_swap(ds_reader *r, size_t chunk, ds_buf *b);
const ds_source *ds_reader_source(const ds_reader *r);
const ds_counts *ds_reader_counts(const ds_reader *r);
const ds_sha *ds_reader_root(const ds_reader *r); /* NULL when the end frame carries none */
uint64_t ds_reader_pos(const ds_reader *r);
void ds_reader_free(ds_reader *r);

/* Streams that follow each other in one input, each whole by itself (docs/dsr-format.md, section
 * 1). Without the first call, made before the end is read, another stream there is an error like
 * other bytes. */
void ds_reader_expect_more(ds_reader *r);
bool ds_reader_has_more(const ds_reader *r); /* after the end: another stream follows */
/* Waits until something of the stream can be read (its end counts), at most so many ms, -1 = for
 * ever: 1, or 0 when nothing came or a signal did. */
int ds_reader_wait(const ds_reader *r, int64_t ms, ds_err *err);
/* The reader of the stream that follows; r is freed in every case. */
int ds_reader_follow(ds_reader **next, ds_reader *r, ds_err *err);

/* Opens views of all columns of a block, references excepted. `views` has schema->n places. */
int ds_block_views(const ds_block *b, const ds_schema *s, ds_colview *views, ds_err *err);
/* The same, with the values of texts and JSON checked: for what looks into them. No references. */
int ds_block_texts(const ds_block *b, const ds_schema *s, ds_colview *views, ds_err *err);

/* What `check` and `commit` demand of each block beyond its checksums: every value well formed,
 * origin chunk sound, and the cut canonical (a pure function of all records so far: one checker a
 * stream, blocks in order; the last block may be short). */
typedef struct ds_blockcheck ds_blockcheck;
int ds_blockcheck_new(ds_blockcheck **c, const ds_schema *s, ds_err *err);
/* Before the first block: they go on others. As ds_rows_resume has it. */
struct ds_origin_state;
void ds_blockcheck_resume(ds_blockcheck *c, const uint64_t *hashes, size_t n,
                          const struct ds_origin_state *origin);
int ds_blockcheck_block(ds_blockcheck *c, const ds_block *b, ds_err *err);
void ds_blockcheck_free(ds_blockcheck *c);

/* ---- addresses (docs/dsr-format.md, "Addresses") ---- */
int ds_addr_piece(ds_sha *out, const void *p, size_t len, ds_err *err);
int ds_addr_pieces(ds_sha *out, const ds_bytes *v, size_t n, ds_err *err); /* faster (hash.h) */
int ds_addr_chunk(ds_sha *out, uint64_t len, const ds_sha *pieces, size_t n, ds_err *err);
/* Without the origin chunk. */
int ds_addr_block(ds_sha *out, uint64_t rows, const ds_sha *chunks, size_t n, ds_err *err);
/* Dataset root over schema digest and blocks in order; origin root over origin chunks and sources
 * in order. */
typedef struct ds_rootsum ds_rootsum;
int ds_rootsum_new(ds_rootsum **r, ds_err *err);
int ds_rootsum_block(ds_rootsum *r, const ds_sha *block, const ds_sha *origin_chunk, ds_err *err);
int ds_rootsum_source(ds_rootsum *r, const ds_source *s, ds_err *err);
int ds_rootsum_end(ds_rootsum *r, const ds_sha *schema_digest, ds_sha *root, ds_sha *origin_root,
                   ds_err *err);
void ds_rootsum_free(ds_rootsum *r);

#endif
