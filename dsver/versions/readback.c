/* readback.c - see readback.h.
 *
 * Two cursors run over the manifest: one that asks for pieces ahead, one that takes blocks apart as
 * their pieces arrive. Where pieces lie afar the first runs further ahead, and says what will be
 * wanted. Sources are read when a block calls for them.
 */
#include "readback.h"

#include <stdlib.h>
#include <string.h>

#include "recut.h"
#include "sig.h"
#include "sourcescan.h"
#include "term.h"

/* Bytes of blocks that are told of before they are asked for. */
#define AHEAD ((uint64_t)32 << 20)

typedef struct back {
    ds_store *store;
    ds_version version;
    ds_meta meta;
    ds_schema schema;
    ds_buf prov;
    ds_writer *w;
    ds_rootsum *sum;
    ds_objreader *reader;
    ds_manscan ahead, at;
    ds_manline ahead_line, line;
    const bool *only;      /* of each block; NULL: all */
    uint64_t ahead_blocks; /* that the first cursor passed */
    ds_buf queue;          /* ds_sha: of blocks that the first cursor passed */
    size_t asked;          /* of the queue */
    uint64_t told, passed; /* bytes of blocks: by the first cursor, by the second */
    bool afar, ahead_end;
    ds_spool *spools; /* one a chunk */
    ds_chunk *chunks;
    /* sources */
    ds_sourcescan from;
    ds_source source; /* the next one */
    bool has_source;
    uint64_t blocks, sources, records;
} back;

static int load(back *b, const git_oid *commit, ds_err *err)
{
    int rc = ds_version_get(&b->version, b->store->cat, commit, err);
    if (!rc)
        rc = ds_version_meta(&b->meta, b->store->cat, &b->version, err);
    if (!rc)
        rc = ds_version_schema(&b->schema, b->store->cat, &b->version.tree, err);
    if (!rc)
        rc = ds_catalog_file(&b->prov, b->store->cat, &b->version.tree, "provenance.json", err);
    if (!rc)
        rc = ds_manscan_open(&b->ahead, b->store->cat, &b->version.tree, "blocks", err);
    if (!rc)
        rc = ds_manscan_open(&b->at, b->store->cat, &b->version.tree, "blocks", err);
    if (!rc)
        rc = ds_sourcescan_open(&b->from, b->store, &b->version.tree, err);
    if (!rc)
        rc = ds_rootsum_new(&b->sum, err);
    if (!rc) {
        b->spools = calloc(b->schema.n + 1, sizeof *b->spools);
        b->chunks = calloc(b->schema.n + 1, sizeof *b->chunks);
        if (!b->spools || !b->chunks)
            rc = ds_fail_nomem(err);
    }
    return rc;
}

static void unload(back *b)
{
    ds_objreader_free(b->reader);
    ds_writer_free(b->w);
    ds_rootsum_free(b->sum);
    ds_manscan_close(&b->ahead);
    ds_manscan_close(&b->at);
    ds_sourcescan_close(&b->from);
    ds_manline_fini(&b->ahead_line);
    ds_manline_fini(&b->line);
    ds_buf_fini(&b->queue);
    for (size_t i = 0; b->spools && i <= b->schema.n; i++)
        ds_spool_fini(&b->spools[i]);
    free(b->spools);
    free(b->chunks);
    ds_buf_fini(&b->prov);
    ds_schema_fini(&b->schema);
    ds_meta_fini(&b->meta);
    ds_version_fini(&b->version);
}

/* ---- pieces ---- */

static size_t queued(const back *b)
{
    return b->queue.len / sizeof(ds_sha);
}

static bool wanted(const back *b, uint64_t block)
{
    return !b->only || b->only[block];
}

static uint64_t bytes_of(const ds_manline *l)
{
    uint64_t n = 0;
    for (size_t i = 0; i < l->nchunks; i++)
        n += ds_manline_len(l, i);
    return n;
}

/* The first cursor goes on by a block, or to the end of what may be told. */
static int go_on(back *b, ds_err *err)
{
    const size_t done = b->asked * sizeof(ds_sha);
    if (done)
        memmove(b->queue.data, b->queue.data + done, b->queue.len - done);
    b->queue.len -= done;
    b->asked = 0;
    do {
        int rc = ds_manscan_next(&b->ahead, &b->ahead_line, err);
        if (rc < 0)
            return rc;
        b->ahead_end = rc == 0;
        if (rc == 0)
            break;
        if (!wanted(b, b->ahead_blocks++))
            continue;
        const ds_buf *pieces = &b->ahead_line.pieces;
        b->told += bytes_of(&b->ahead_line);
        b->afar = ds_objstore_expect(b->store->objs, ds_manline_pieces(&b->ahead_line),
                                     pieces->len / sizeof(ds_sha));
        if (ds_buf_put(&b->queue, pieces->data, pieces->len))
            return ds_fail_nomem(err);
    } while (b->queue.len == 0 || (b->afar && b->told - b->passed < AHEAD));
    return 0;
}

/* Asks for pieces until enough are in flight. */
static int fill(back *b, ds_err *err)
{
    int rc = 0;
    while (!rc && !ds_objreader_full(b->reader)) {
        if (!b->ahead_end &&
            (b->asked == queued(b) || (b->afar && b->told - b->passed < AHEAD / 2)))
            rc = go_on(b, err);
        if (rc || (b->asked == queued(b) && b->ahead_end))
            break;
        if (b->asked < queued(b))
            rc = ds_objreader_put(
                b->reader, (const ds_sha *)(const void *)b->queue.data + b->asked++, NULL, err);
    }
    return rc;
}

static int next_piece(back *b, const ds_sha *want, ds_objread *got, ds_err *err)
{
    int rc = fill(b, err);
    if (!rc)
        rc = ds_objreader_next(b->reader, got, err);
    if (rc < 0)
        return rc;
    if (rc == 0 || !ds_sha_eq(&got->id, want))
        return ds_fail(err, DS_CORRUPT, "pieces arrive out of order");
    return 0;
}

/* All pieces of one chunk into its spool. */
static int get_chunk(back *b, size_t i, const ds_sha *pieces, ds_err *err)
{
    ds_spool *s = &b->spools[i];
    int rc = 0;
    ds_spool_reset(s);
    for (size_t k = 0; !rc && k < ds_manline_npieces(&b->line, i); k++) {
        ds_objread got;
        rc = next_piece(b, &pieces[k], &got, err);
        if (!rc)
            rc = ds_spool_put(s, got.data, got.len, err);
    }
    const uint8_t *p = NULL;
    size_t len = 0;
    if (!rc)
        rc = ds_spool_view(s, &p, &len, err);
    if (!rc && len != ds_manline_len(&b->line, i))
        rc = ds_fail(err, DS_CORRUPT,
                     "manifest file %s line %zu: a chunk's pieces do not add up to its length",
                     git_oid_tostr_s(&b->at.file), b->at.line);
    b->chunks[i] = (ds_chunk){
        .body = p, .body_len = len, .spool = ds_manline_npieces(&b->line, i) > 1 ? s : NULL};
    return rc;
}

/* ---- sources ---- */

/* Reads the next source, if there is one. */
static int next_source(back *b, ds_err *err)
{
    int rc = ds_sourcescan_next(&b->from, &b->source, err);
    b->has_source = rc > 0;
    return rc < 0 ? rc : 0;
}

/* Those that stood before the next block; all of them at the end. */
static int write_sources(back *b, bool all, ds_err *err)
{
    int rc = 0;
    while (!rc && b->has_source && (all || b->from.blocks <= b->blocks)) {
        rc = ds_rootsum_source(b->sum, &b->source, err);
        if (!rc)
            rc = ds_writer_source(b->w, &b->source, err);
        b->sources++;
        if (!rc)
            rc = next_source(b, err);
    }
    return rc;
}

/* ---- the stream ---- */

static int write_chunks(back *b, ds_err *err)
{
    const ds_sha *pieces = ds_manline_pieces(&b->line);
    int rc = 0;
    for (size_t i = 0; !rc && i < b->line.nchunks; i++) {
        rc = get_chunk(b, i, pieces, err);
        pieces += ds_manline_npieces(&b->line, i);
    }
    b->passed += bytes_of(&b->line);
    return rc ? rc : ds_writer_block(b->w, b->line.rows, b->chunks, &b->chunks[b->schema.n], err);
}

static int write_block(back *b, ds_err *err)
{
    ds_sha block, origin;
    if (b->line.nchunks != b->schema.n + 1)
        return ds_fail(err, DS_CORRUPT,
                       "manifest file %s line %zu: %zu chunks, the schema has %zu columns",
                       git_oid_tostr_s(&b->at.file), b->at.line, b->line.nchunks, b->schema.n);
    int rc = ds_manscan_addr(&b->at, &b->line, &block, &origin, err);
    if (!rc)
        rc = ds_rootsum_block(b->sum, &block, &origin, err);
    if (!rc && wanted(b, b->blocks))
        rc = write_chunks(b, err);
    b->blocks++;
    b->records += b->line.rows;
    return rc;
}

static int write_end(back *b, ds_err *err)
{
    ds_sha digest, root = {0}, origin = {0};
    int rc = write_sources(b, true, err);
    if (!rc)
        rc = ds_schema_digest(&digest, &b->schema, err);
    if (!rc)
        rc = ds_rootsum_end(b->sum, &digest, &root, &origin, err);
    const bool whole = ds_sha_eq(&origin, &b->meta.origin_root) && b->sources == b->meta.sources;
    if (!rc && (!ds_sha_eq(&root, &b->meta.root) || (!b->only && !whole) ||
                b->records != b->meta.records || b->blocks != b->meta.blocks))
        rc = ds_fail(err, DS_CORRUPT,
                     "version %s: its blocks do not give the root and counts in its meta.json",
                     git_oid_tostr_s(&b->version.id));
    return rc ? rc : ds_writer_end(b->w, &b->meta.counts, b->only ? NULL : &b->meta.root, err);
}

static int write_stream(back *b, ds_err *err)
{
    ds_progress bar = {0};
    int rc = b->only ? 0 : next_source(b, err); /* a part has none */
    ds_progress_begin(&bar, "writing", b->meta.records, false);
    while (!rc) {
        rc = write_sources(b, false, err);
        if (rc)
            break;
        rc = ds_manscan_next(&b->at, &b->line, err);
        if (rc <= 0)
            break;
        rc = write_block(b, err);
        if (!rc)
            rc = ds_check_interrupt(err);
        ds_progress_at(&bar, b->records);
    }
    ds_progress_end(&bar);
    return rc ? rc : write_end(b, err);
}

int ds_readback_write(ds_out *out, ds_store *s, const git_oid *commit, const ds_readback_opts *o,
                      ds_err *err)
{
    back b = {.store = s, .only = o->only};
    bool erased = false;
    int rc = ds_recut_needed(&erased, s, commit, err);
    if (rc || erased)
        return rc ? rc : ds_recut_write(out, s, commit, o, err);
    ds_schema_init(&b.schema);
    rc = load(&b, commit, err);
    if (!rc)
        rc = ds_objreader_new(&b.reader, s->objs, o->threads, true, err);
    if (!rc)
        rc = ds_writer_new(&b.w, out, &b.schema, b.prov.data, b.prov.len, &o->writer, err);
    if (!rc) {
        rc = write_stream(&b, err);
        if (rc)
            ds_writer_abort(b.w, "dsver cat failed");
    }
    unload(&b);
    return rc;
}
