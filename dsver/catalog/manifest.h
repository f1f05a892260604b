/* manifest.h - the git tree of a dataset version: what it is made of, in text.
 *
 *     schema.json  provenance.json  meta.json
 *     blocks/NNNN/NNNN    one line a block: rows, then for every chunk its length and the addresses
 * of its pieces sources/NNNN/NNNN   one line a page of sources: count, then length and address of
 * the page (a piece)
 *
 * A file ends behind a block whose address, a folder behind a file whose object id, has a certain
 * form: both are pure functions of content, so a commit writes only the files around a change, and
 * their folders. Format: docs/store-format.md, "Manifest". Nothing about a single record stands in
 * git: keys, source names and values are in pieces.
 *
 * What is read here may come from strangers: everything is checked, DS_CORRUPT names the object and
 * line.
 */
#ifndef DS_MANIFEST_H
#define DS_MANIFEST_H

#include "catalog.h"
#include "dsr_io.h"
#include "oidset.h"

typedef struct ds_meta {
    uint64_t records, blocks, sources;
    uint64_t bytes; /* canonical bytes of all chunks */
    ds_sha root, origin_root;
    ds_counts counts; /* held and failed, as in the stream's end frame */
} ds_meta;
void ds_meta_fini(ds_meta *m);

/* One block, or one page of sources (rows = sources in it, one chunk of one piece). Whoever fills
 * it owns it. */
typedef struct ds_manline {
    uint64_t rows;
    size_t nchunks;
    ds_buf lens;    /* nchunks x uint64_t: bytes of each chunk */
    ds_buf npieces; /* nchunks x uint64_t: pieces of each chunk */
    ds_buf pieces;  /* ds_sha: all chunks' pieces, one after the other */
} ds_manline;
void ds_manline_reset(ds_manline *l);
void ds_manline_fini(ds_manline *l);
int ds_manline_chunk(ds_manline *l, uint64_t len, const ds_sha *pieces, size_t n,
                     ds_err *err); /* appends one */
static inline uint64_t ds_manline_len(const ds_manline *l, size_t i)
{
    return ((const uint64_t *)(const void *)l->lens.data)[i];
}
static inline size_t ds_manline_npieces(const ds_manline *l, size_t i)
{
    return (size_t)((const uint64_t *)(const void *)l->npieces.data)[i];
}
static inline const ds_sha *ds_manline_pieces(const ds_manline *l)
{
    return (const ds_sha *)(const void *)l->pieces.data;
}
/* The address of a block (the last chunk is its origin) and that of its origin chunk. */
int ds_manline_addr(const ds_manline *l, ds_sha *block, ds_sha *origin, ds_err *err);

/* ---- writing ---- */
typedef struct ds_manwriter ds_manwriter;
int ds_manwriter_new(ds_manwriter **w, ds_gitpack *pack, ds_err *err); /* borrows the pack */
/* `addr` decides where the files end: the block's address. */
int ds_manwriter_block(ds_manwriter *w, const ds_manline *l, const ds_sha *addr, ds_err *err);
int ds_manwriter_page(ds_manwriter *w, const ds_manline *l, ds_err *err);
/* Everything else, and the root tree. schema and provenance: canonical JSON. */
int ds_manwriter_finish(ds_manwriter *w, const void *schema, size_t schema_len, const void *prov,
                        size_t prov_len, const ds_meta *meta, git_oid *tree, ds_err *err);
void ds_manwriter_free(ds_manwriter *w);

/* ---- reading ---- */
/* The schema in a version's tree; out is initialized. */
int ds_version_schema(ds_schema *out, ds_catalog *c, const git_oid *tree, ds_err *err);
int ds_meta_read(ds_meta *m, ds_catalog *c, const git_oid *tree,
                 ds_err *err); /* zeroed or fini'd before */
/* The same of a version, held against its message, which is what is signed and shown: DS_CORRUPT
 * when that tells of another root or number of records. m NULL: only that. */
int ds_version_meta(ds_meta *m, ds_catalog *c, const ds_version *v, ds_err *err);

/* Walks the lines of "blocks" or "sources". */
typedef struct ds_manscan {
    ds_catalog *cat;
    git_tree *outer, *inner;
    size_t outer_at, inner_at;
    ds_buf text;
    size_t pos, line;
    git_oid file; /* the file that the line came from */
    bool pages;   /* of sources */
    const struct ds_overlay *overlay;
    /* Of the line that came last: something was erased from it, and it is what is read in place of
     * that whose addresses these are. */
    bool erased;
    ds_sha was, was_origin;
    ds_buf origins;  /* its last chunk, which stays: ds_sha */
    ds_oidset *once; /* files of these are left out, others are added. May be NULL. */
    /* Asked for every other file: true = leave it out. May be NULL. */
    bool (*skip)(void *ctx, const git_oid *file);
    void *skip_ctx;
} ds_manscan;
int ds_manscan_open(ds_manscan *s, ds_catalog *c, const git_oid *tree, const char *what,
                    ds_err *err);
int ds_manscan_next(ds_manscan *s, ds_manline *l, ds_err *err); /* 1 a line, 0 the end, < 0 error */
/* The addresses that the version's roots are made of: of the block that came last, as it was
 * committed. Pages: block is the page's. */
int ds_manscan_addr(const ds_manscan *s, const ds_manline *l, ds_sha *block, ds_sha *origin,
                    ds_err *err);
/* What `o` has in place of the line that came last, `own`, which was committed as `was`: 1 with it
 * in *l (may be `own`), the origins of a block being its own; 0 nothing, < 0. */
int ds_manscan_instead(ds_manscan *s, const struct ds_overlay *o, const ds_sha *was,
                       const ds_manline *own, ds_manline *l, ds_err *err);
void ds_manscan_close(ds_manscan *s);
/* A line as it stands in a file, with its newline. DS_NOMEM. */
int ds_manline_text(ds_buf *b, const ds_manline *l);

#endif
