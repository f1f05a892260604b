/* refchunk.c - see refchunk.h. */
#include "refchunk.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "refs.h"

/* Lines of the version before that are remembered, and how far they may be read ahead of the last
 * one that was met: what the stream left out or has more than that version must fit between. */
enum { LINES = 1024, AHEAD = 512 };

struct ds_refcheck {
    ds_store *store;
    const ds_schema *schema;
    const char *ref;
    bool looked; /* for the version before */
    bool more;   /* it has lines that were not read */
    ds_manscan scan;
    ds_manline *lines;  /* the last LINES that were read, line k at k % LINES */
    uint64_t read, met; /* lines read; the one met last, + 1 */
    ds_block block;     /* what is handed out */
    ds_spool *spools;   /* one a column */
    ds_buf piece;
};

void ds_refcheck_free(ds_refcheck *c)
{
    if (!c)
        return;
    ds_manscan_close(&c->scan);
    for (size_t i = 0; c->lines && i < LINES; i++)
        ds_manline_fini(&c->lines[i]);
    for (size_t i = 0; c->spools && i < c->schema->n; i++)
        ds_spool_fini(&c->spools[i]);
    free(c->lines);
    free(c->spools);
    free(c->block.chunks);
    ds_buf_fini(&c->piece);
    free(c);
}

int ds_refcheck_new(ds_refcheck **out, ds_store *s, const ds_schema *schema, const char *ref,
                    ds_err *err)
{
    ds_refcheck *c = calloc(1, sizeof *c);
    *out = c;
    if (!c)
        return ds_fail_nomem(err);
    *c = (ds_refcheck){.store = s, .schema = schema, .ref = ref};
    c->spools = calloc(schema->n + 1, sizeof *c->spools);
    c->block.chunks = calloc(schema->n + 1, sizeof *c->block.chunks);
    c->lines = calloc(LINES, sizeof *c->lines);
    if (c->spools && c->block.chunks && c->lines)
        return 0;
    ds_refcheck_free(c);
    *out = NULL;
    return ds_fail_nomem(err);
}

/* ---- the version before
 * -------------------------------------------------------------------------------- */

/* Without one, or one that cannot be read, everything is read from the store. */
static void look(ds_refcheck *c)
{
    git_oid head;
    ds_version v = {0};
    ds_schema was = {0};
    ds_sha ours, theirs;

    c->looked = true;
    if (!c->ref || ds_ref_get(c->store->cat, c->ref, &head, NULL) != 1)
        return;
    if (ds_version_get(&v, c->store->cat, &head, NULL) == 0 &&
        ds_version_schema(&was, c->store->cat, &v.tree, NULL) == 0 &&
        ds_schema_digest(&ours, c->schema, NULL) == 0 &&
        ds_schema_digest(&theirs, &was, NULL) == 0 && ds_sha_eq(&ours, &theirs))
        c->more = ds_manscan_open(&c->scan, c->store->cat, &v.tree, "blocks", NULL) == 0;
    ds_schema_fini(&was);
    ds_version_fini(&v);
}

/* Whether a line has this chunk, for as many rows. */
static bool has_chunk(const ds_manline *l, uint64_t rows, size_t column, const ds_refs *r)
{
    size_t n, at = 0;
    const ds_pieceref *p = ds_refs_pieces(r, &n);

    if (l->rows != rows || column >= l->nchunks || ds_manline_len(l, column) != r->len ||
        ds_manline_npieces(l, column) != n)
        return false;
    for (size_t i = 0; i < column; i++)
        at += ds_manline_npieces(l, i);
    const ds_sha *ids = ds_manline_pieces(l) + at;
    for (size_t i = 0; i < n; i++)
        if (!ds_sha_eq(&ids[i], &p[i].id))
            return false;
    return true;
}

static bool met_before(ds_refcheck *c, uint64_t rows, size_t column, const ds_refs *r)
{
    const uint64_t oldest = c->read > LINES ? c->read - LINES : 0;

    if (!c->looked)
        look(c);
    /* The line met last again, for another column; then those behind it, as in the stream. */
    for (uint64_t k = c->met ? c->met - 1 : 0;; k++) {
        if (k < oldest)
            k = oldest;
        if (k == c->read) {
            if (!c->more || c->read >= c->met + AHEAD)
                break;
            c->more = ds_manscan_next(&c->scan, &c->lines[k % LINES], NULL) == 1;
            if (!c->more)
                break;
            c->read++;
        }
        if (has_chunk(&c->lines[k % LINES], rows, column, r)) {
            c->met = k + 1;
            return true;
        }
    }
    for (uint64_t k = c->read > LINES ? c->read - LINES : 0; k + 1 < c->met; k++)
        if (has_chunk(&c->lines[k % LINES], rows, column, r))
            return true;
    return false;
}

/* ---- pieces
 * -------------------------------------------------------------------------------------------- */

static int piece_there(ds_refcheck *c, const ds_block *b, const ds_pieceref *p, ds_err *err)
{
    char hex[65];
    uint32_t raw = 0;
    const int rc = ds_objstore_stat(c->store->objs, &p->id, &raw, NULL, NULL, err);

    if (rc < 0 || (rc == 1 && raw == p->len))
        return rc < 0 ? rc : 0;
    ds_sha_hex(hex, &p->id);
    return ds_fail(err, DS_FAIL,
                   "%s: block at byte %" PRIu64 " refers to piece %s of %" PRIu32
                   " bytes, which this store does not have%s: run the producer again",
                   b->path ? b->path : "stream", b->offset, hex, p->len,
                   rc == 1 ? " in that length" : " any more");
}

/* A chunk's bytes from the store, as the reader would hand them on. */
static int fetch(ds_refcheck *c, const ds_block *b, size_t column, ds_chunk *out, ds_err *err)
{
    size_t n;
    const ds_pieceref *p = ds_refs_pieces(b->chunks[column].refs, &n);
    ds_spool *s = &c->spools[column];
    int rc = 0;

    ds_spool_reset(s);
    for (size_t i = 0; !rc && i < n; i++) {
        rc = ds_objstore_get(c->store->objs, &p[i].id, true, &c->piece, err);
        rc = rc ? rc : ds_spool_put(s, c->piece.data, c->piece.len, err);
    }
    *out = (ds_chunk){.spool = n > 1 ? s : NULL};
    rc = rc ? rc : ds_spool_view(s, &out->body, &out->body_len, err);
    for (size_t i = 0, at = 0; !rc && n > 1 && i < n; at += p[i++].len)
        if (ds_piece_len(out->body + at, out->body_len - at) != p[i].len)
            rc = ds_fail(err, DS_CORRUPT,
                         "%s: block at byte %" PRIu64 ": a referenced piece is not cut where it "
                         "must be",
                         b->path ? b->path : "stream", b->offset);
    return rc;
}

int ds_refcheck_block(ds_refcheck *c, const ds_block *b, const ds_block **out, ds_err *err)
{
    ds_chunk *chunks = c->block.chunks;
    bool changed = false;
    int rc = 0;

    for (size_t i = 0; !rc && i < b->nchunks; i++) {
        const ds_refs *r = b->chunks[i].refs;
        size_t n;
        chunks[i] = b->chunks[i];
        if (!r)
            continue;
        const ds_pieceref *p = ds_refs_pieces(r, &n);
        for (size_t k = 0; !rc && k < n; k++)
            rc = piece_there(c, b, &p[k], err);
        if (rc || met_before(c, b->rows, i, r))
            continue;
        changed = true;
        rc = fetch(c, b, i, &chunks[i], err);
    }
    *out = b;
    if (!rc && changed) {
        c->block = *b;
        c->block.chunks = chunks;
        *out = &c->block;
    }
    return rc;
}
