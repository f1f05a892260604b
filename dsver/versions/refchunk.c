/* refchunk.c - see refchunk.h. */
#include "refchunk.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dsr_cut.h"
#include "refs.h"

/* Lines of the version before that are remembered, and how far they may be read ahead of the last
 * one that was met: what the stream left out or has more than that version must fit between.
 * CONTEXT: records before a block on which its cuts depend. */
enum { LINES = 1024, AHEAD = 512, CONTEXT = 7 };
#define NO_LINE UINT64_MAX

/* A block whose claims were taken as they are. */
typedef struct believed {
    ds_refs refs;
    uint64_t rows, offset;
} believed;

struct ds_refcheck {
    ds_store *store;
    const ds_schema *schema;
    const char *ref;
    bool looked; /* for the version before */
    bool more;   /* it has lines that were not read */
    ds_manscan scan;
    ds_manline *lines;  /* the last LINES that were read, line k at k % LINES */
    bool *gone;         /* something was erased from the line */
    uint64_t read, met; /* lines read; the one met last, + 1 */
    long primary;       /* the only primary column; -1: there are several */
    uint64_t before;    /* the line of the stream's block before; NO_LINE: none */
    uint64_t context;   /* records up to its end that come one behind the other in both */
    believed last[CONTEXT];
    size_t nlast, oldest; /* of those; the first of them */
    ds_rowhash hash;
    ds_block block;   /* what is handed out */
    ds_spool *spools; /* one a column */
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
    for (size_t i = 0; i < CONTEXT; i++)
        ds_refs_fini(&c->last[i].refs);
    ds_rowhash_fini(&c->hash);
    free(c->lines);
    free(c->gone);
    free(c->spools);
    free(c->block.chunks);
    ds_buf_fini(&c->piece);
    free(c);
}

int ds_refcheck_new(ds_refcheck **out, ds_store *s, const ds_schema *schema, const char *ref,
                    ds_err *err)
{
    ds_refcheck *c = calloc(1, sizeof *c);
    size_t n = 0;
    *out = c;
    if (!c)
        return ds_fail_nomem(err);
    *c = (ds_refcheck){.store = s,
                       .schema = schema,
                       .ref = ref,
                       .before = NO_LINE,
                       .context = UINT64_MAX,
                       .primary = -1};
    c->spools = calloc(schema->n + 1, sizeof *c->spools);
    c->block.chunks = calloc(schema->n + 1, sizeof *c->block.chunks);
    c->lines = calloc(LINES, sizeof *c->lines);
    c->gone = calloc(LINES, sizeof *c->gone);
    for (size_t i = 0; i < schema->n; i++)
        if (schema->primary[i])
            c->primary = n++ ? -1 : (long)i;
    int rc = c->spools && c->block.chunks && c->lines && c->gone ? 0 : ds_fail_nomem(err);
    rc = rc ? rc : ds_rowhash_init(&c->hash, err);
    if (!rc)
        return 0;
    ds_refcheck_free(c);
    *out = NULL;
    return rc;
}

/* ---- the version before ---- */

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

/* Line k, read as far as it takes; NULL: there is none, or it is too far away. */
static const ds_manline *line_at(ds_refcheck *c, uint64_t k)
{
    while (c->more && c->read <= k && c->read < c->met + AHEAD) {
        ds_manline *l = &c->lines[c->read % LINES];
        c->more = ds_manscan_next(&c->scan, l, NULL) == 1;
        if (c->more)
            c->gone[c->read++ % LINES] = c->scan.erased;
    }
    return k < c->read && k + LINES >= c->read ? &c->lines[k % LINES] : NULL;
}

static bool is_at(ds_refcheck *c, uint64_t k, uint64_t rows, size_t column, const ds_refs *r)
{
    const ds_manline *l = line_at(c, k);
    if (!l || !has_chunk(l, rows, column, r))
        return false;
    c->met = k + 1 > c->met ? k + 1 : c->met;
    return true;
}

/* The line that has this chunk: the one behind that of the block before, the one met last (again,
 * for another column), those behind it, as in the stream; then any that is remembered. */
static uint64_t met_before(ds_refcheck *c, uint64_t rows, size_t column, const ds_refs *r)
{
    if (!c->looked)
        look(c);
    if (c->before != NO_LINE && is_at(c, c->before + 1, rows, column, r))
        return c->before + 1;
    const uint64_t oldest = c->read > LINES ? c->read - LINES : 0, met = c->met ? c->met - 1 : 0,
                   from = met > oldest ? met : oldest;
    for (uint64_t k = from; line_at(c, k); k++)
        if (is_at(c, k, rows, column, r))
            return k;
    for (uint64_t k = c->read > LINES ? c->read - LINES : 0; k < from; k++)
        if (is_at(c, k, rows, column, r))
            return k;
    return NO_LINE;
}

/* ---- pieces ---- */

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
static int fetch(ds_refcheck *c, const ds_block *b, size_t column, const ds_refs *refs,
                 ds_chunk *out, ds_err *err)
{
    size_t n;
    const ds_pieceref *p = ds_refs_pieces(refs, &n);
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

/* ---- what rows are said to be ----
 *
 * Cuts depend on a block's records and on CONTEXT before it. Where both stand one behind the other
 * as in the version before, they were checked when that was committed, unless the block was its
 * last, which no cut ended: claims decide nothing then. They do once a block follows that is
 * checked itself, behind records that were only told of: those are read, then. */

static bool cuts_known(ds_refcheck *c, uint64_t k)
{
    const bool follows = c->before == NO_LINE ? k == 0 && c->context == UINT64_MAX
                                              : k == c->before + 1 && c->context >= CONTEXT;
    return k != NO_LINE && follows && line_at(c, k + 1);
}

static int believe(ds_refcheck *c, const ds_block *b, const ds_refs *r, ds_err *err)
{
    believed *v = &c->last[(c->oldest + c->nlast) % CONTEXT];
    if (c->nlast < CONTEXT)
        c->nlast++;
    else
        c->oldest = (c->oldest + 1) % CONTEXT;
    v->rows = b->rows;
    v->offset = b->offset;
    return ds_refs_copy(&v->refs, r) ? ds_fail_nomem(err) : 0;
}

/* Whether the last `n` rows of a block, or all, are what is told of them. */
static int check_claims(ds_refcheck *c, const ds_block *b, const believed *v, uint64_t n,
                        ds_err *err)
{
    const size_t column = (size_t)c->primary;
    ds_colview view;
    ds_chunk chunk;
    size_t nclaims;
    const ds_rowclaim *claims = ds_refs_claims(&v->refs, &nclaims);
    int rc = fetch(c, b, column, &v->refs, &chunk, err);
    rc = rc ? rc
            : ds_colview_open(&view, &c->schema->cols[column], chunk.body, chunk.body_len, v->rows,
                              err);
    for (uint64_t i = 0; !rc && i < v->rows; i++) {
        ds_value x;
        uint64_t size;
        if (!ds_colview_next(&view, &x) || i + n < v->rows)
            continue;
        ds_rowhash_begin(&c->hash);
        ds_rowhash_value(&c->hash, &view, &x);
        if (ds_rowhash_end(&c->hash, &size) != claims[i].hash || size != claims[i].size)
            rc = ds_fail(err, DS_CORRUPT,
                         "%s: block at byte %" PRIu64 ": record %" PRIu64
                         " is not what its reference says of it",
                         b->path ? b->path : "stream", v->offset, i);
    }
    return rc;
}

/* Before a block that is checked itself: the records that its cuts depend on. */
static int check_believed(ds_refcheck *c, const ds_block *b, ds_err *err)
{
    int rc = 0;
    for (uint64_t n = CONTEXT; !rc && n && c->nlast;) {
        const believed *v = &c->last[(c->oldest + --c->nlast) % CONTEXT];
        rc = check_claims(c, b, v, n, err);
        n -= v->rows < n ? v->rows : n;
    }
    c->nlast = 0;
    return rc;
}

/* The primary column: *known says that its cuts are. */
static int place_block(ds_refcheck *c, const ds_block *b, const ds_refs *r, bool *known,
                       ds_err *err)
{
    uint64_t k = r ? met_before(c, b->rows, (size_t)c->primary, r) : NO_LINE;
    if (k != NO_LINE && c->gone[k % LINES]) /* it was cut by records that are not there any more */
        k = NO_LINE;
    const bool first = c->before == NO_LINE && c->context == UINT64_MAX && k == 0,
               follows = k != NO_LINE && c->before != NO_LINE && k == c->before + 1;
    *known = cuts_known(c, k);
    int rc = *known ? believe(c, b, r, err) : check_believed(c, b, err);
    if (first)
        c->context = UINT64_MAX;
    else if (!follows)
        c->context = b->rows;
    else if (c->context < UINT64_MAX - b->rows)
        c->context += b->rows;
    c->before = k;
    return rc;
}

static int look_for_pieces(ds_refcheck *c, const ds_block *b, const ds_refs *r, ds_err *err)
{
    size_t n;
    const ds_pieceref *p = ds_refs_pieces(r, &n);
    int rc = 0;
    for (size_t k = 0; !rc && k < n; k++)
        rc = piece_there(c, b, &p[k], err);
    return rc;
}

int ds_refcheck_block(ds_refcheck *c, const ds_block *b, const ds_block **out, ds_err *err)
{
    ds_chunk *chunks = c->block.chunks;
    bool changed = false, known = false;
    int rc = 0;

    for (size_t i = 0; !rc && i < b->nchunks; i++)
        rc = b->chunks[i].refs ? look_for_pieces(c, b, b->chunks[i].refs, err) : 0;
    if (!rc && c->primary >= 0)
        rc = place_block(c, b, b->chunks[c->primary].refs, &known, err);
    for (size_t i = 0; !rc && i < b->nchunks; i++) {
        const ds_refs *r = b->chunks[i].refs;
        chunks[i] = b->chunks[i];
        if (!r || ((long)i == c->primary ? known : met_before(c, b->rows, i, r) != NO_LINE))
            continue;
        changed = true;
        rc = fetch(c, b, i, r, &chunks[i], err);
    }
    *out = b;
    if (!rc && changed) {
        c->block = *b;
        c->block.chunks = chunks;
        *out = &c->block;
    }
    return rc;
}
