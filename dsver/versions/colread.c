/* colread.c - see colread.h. */
#include "colread.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* What is told of the column before it is read in order: bytes of its chunks. */
#define AHEAD ((uint64_t)32 << 20)

typedef struct place {
    uint64_t first;  /* record */
    size_t piece, n; /* into pieces */
    uint64_t len;
} place;

struct ds_colread {
    ds_store *store;
    ds_version version;
    ds_schema schema;
    size_t column;
    ds_buf places; /* place; one more at the end */
    ds_buf pieces; /* ds_sha */
    size_t blocks;
    uint64_t records, erased;
    pthread_mutex_t lock; /* of what follows */
    size_t next, told;    /* the block after the one that was read last; those before it are told */
};

static const place *place_of(const ds_colread *c, size_t i)
{
    return (const place *)(const void *)c->places.data + i;
}

static int add_line(ds_colread *c, const ds_manline *l, ds_err *err)
{
    place p = {.first = c->records, .piece = c->pieces.len / sizeof(ds_sha)};
    const ds_sha *from = ds_manline_pieces(l);

    if (l->nchunks != c->schema.n + 1)
        return ds_fail(err, DS_CORRUPT, "a block of %zu chunks for %zu columns", l->nchunks,
                       c->schema.n);
    for (size_t i = 0; i < c->column; i++)
        from += ds_manline_npieces(l, i);
    p.n = ds_manline_npieces(l, c->column);
    p.len = ds_manline_len(l, c->column);
    if (ds_buf_put(&c->places, &p, sizeof p) || ds_buf_put(&c->pieces, from, p.n * sizeof *from))
        return ds_fail_nomem(err);
    c->records += l->rows;
    c->blocks++;
    return 0;
}

static int read_manifest(ds_colread *c, ds_err *err)
{
    ds_manscan s = {0};
    ds_manline l = {0};
    int rc = ds_manscan_open(&s, c->store->cat, &c->version.tree, "blocks", err);

    while (!rc) {
        rc = ds_manscan_next(&s, &l, err);
        if (rc <= 0)
            break;
        c->erased += s.erased;
        rc = add_line(c, &l, err);
    }
    ds_manscan_close(&s);
    ds_manline_fini(&l);
    if (!rc) {
        const place end = {.first = c->records};
        rc = ds_buf_put(&c->places, &end, sizeof end) ? ds_fail_nomem(err) : 0;
    }
    return rc;
}

/* column NULL: the chunk behind those of all columns. */
static int open_chunks(ds_colread **out, ds_store *s, const git_oid *commit, const char *column,
                       ds_err *err)
{
    ds_colread *c = calloc(1, sizeof *c);
    int rc;

    if (!c)
        return ds_fail_nomem(err);
    c->store = s;
    pthread_mutex_init(&c->lock, NULL);
    ds_schema_init(&c->schema);
    rc = ds_version_get(&c->version, s->cat, commit, err);
    rc = rc ? rc : ds_version_meta(NULL, s->cat, &c->version, err);
    rc = rc ? rc : ds_version_schema(&c->schema, s->cat, &c->version.tree, err);
    if (!rc) {
        const long i = column ? ds_schema_find(&c->schema, column) : (long)c->schema.n;
        if (i < 0)
            rc = ds_fail(err, DS_FAIL, "dataset '%s' has no column '%s'", c->version.dataset,
                         column);
        c->column = (size_t)i;
    }
    rc = rc ? rc : read_manifest(c, err);
    if (rc)
        ds_colread_close(c);
    else
        *out = c;
    return rc;
}

int ds_colread_open(ds_colread **out, ds_store *s, const git_oid *commit, const char *column,
                    ds_err *err)
{
    return open_chunks(out, s, commit, column, err);
}

int ds_colread_origins(ds_colread **out, ds_store *s, const git_oid *commit, ds_err *err)
{
    return open_chunks(out, s, commit, NULL, err);
}

void ds_colread_close(ds_colread *c)
{
    if (!c)
        return;
    ds_buf_fini(&c->places);
    ds_buf_fini(&c->pieces);
    ds_schema_fini(&c->schema);
    ds_version_fini(&c->version);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

const ds_schema *ds_colread_schema(const ds_colread *c)
{
    return &c->schema;
}

const ds_column *ds_colread_column(const ds_colread *c)
{
    return &c->schema.cols[c->column];
}

const ds_version *ds_colread_version(const ds_colread *c)
{
    return &c->version;
}

uint64_t ds_colread_records(const ds_colread *c)
{
    return c->records;
}

uint64_t ds_colread_erased(const ds_colread *c)
{
    return c->erased;
}

size_t ds_colread_blocks(const ds_colread *c)
{
    return c->blocks;
}

uint64_t ds_colread_first(const ds_colread *c, size_t block)
{
    return place_of(c, block)->first;
}

size_t ds_colread_find(const ds_colread *c, uint64_t record)
{
    size_t lo = 0, hi = c->blocks;

    while (hi - lo > 1) {
        const size_t mid = lo + (hi - lo) / 2;
        if (place_of(c, mid)->first <= record)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

/* A column that is read in order is told of ahead, half of AHEAD at a time. */
static void tell(ds_colread *c, size_t block)
{
    uint64_t ahead = 0;
    if (!ds_objstore_expect(c->store->objs, NULL, 0))
        return;
    pthread_mutex_lock(&c->lock);
    const bool in_order = block == c->next;
    c->next = block + 1;
    if (!in_order || c->told < block)
        c->told = block;
    for (size_t b = block; in_order && b < c->told; b++)
        ahead += place_of(c, b)->len;
    for (bool more = in_order && ahead < AHEAD / 2; more && c->told < c->blocks; c->told++) {
        const place *p = place_of(c, c->told);
        ds_objstore_expect(c->store->objs, (const ds_sha *)(const void *)c->pieces.data + p->piece,
                           p->n);
        ahead += p->len;
        more = ahead < AHEAD;
    }
    pthread_mutex_unlock(&c->lock);
}

int ds_colread_bytes(ds_colread *c, size_t block, ds_buf *buf, ds_err *err)
{
    tell(c, block);
    const place *p = place_of(c, block);
    const ds_sha *id = (const ds_sha *)(const void *)c->pieces.data + p->piece;
    int rc = ds_objstore_get_all(c->store->objs, id, p->n, buf, err);
    if (!rc && buf->len != p->len)
        rc = ds_fail(err, DS_CORRUPT, "block %zu of '%s': %zu bytes instead of %llu", block,
                     c->version.dataset, buf->len, (unsigned long long)p->len);
    return rc;
}

int ds_colread_block(ds_colread *c, size_t block, ds_buf *buf, ds_colview *view, ds_err *err)
{
    const uint64_t rows = ds_colread_first(c, block + 1) - ds_colread_first(c, block);
    const int rc = ds_colread_bytes(c, block, buf, err);

    return rc ? rc
              : ds_colview_open(view, &c->schema.cols[c->column], buf->data, buf->len, rows, err);
}
