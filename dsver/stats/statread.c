/* statread.c - see statread.h. */
#include "statread.h"

#include <stdlib.h>
#include <string.h>

#include "blockwalk.h"
#include "refs.h"

enum { FLUSH = 4 << 20 };

typedef struct column {
    bool want;    /* and not stored as a whole */
    ds_sha *ids;  /* of its chunks */
    bool *lacks;  /* chunks that are not stored */
    ds_sha whole; /* the entry's name for all of it */
} column;

typedef struct reading {
    ds_verside side;
    ds_statcache *cache;
    column cols[256];
    ds_verstats *out;
    size_t next;
    ds_buf entries; /* to be stored */
    ds_err *err;
} reading;

void ds_verstats_fini(ds_verstats *v)
{
    for (size_t i = 0; v->cols && i < v->schema.n; i++)
        ds_colstat_fini(&v->cols[i]);
    free(v->cols);
    ds_schema_fini(&v->schema);
    ds_version_fini(&v->version);
    *v = (ds_verstats){0};
}

/* ---- names ---- */

static bool is_key(const ds_schema *s, size_t i)
{
    return s->explicit_key && i == 0;
}

int ds_stat_chunk_id(ds_sha *out, const ds_schema *s, const ds_manline *l, size_t i, ds_err *err)
{
    const ds_sha *pieces = ds_manline_pieces(l);
    ds_sha chunk;
    for (size_t k = 0; k < i; k++)
        pieces += ds_manline_npieces(l, k);
    int rc = ds_addr_chunk(&chunk, ds_manline_len(l, i), pieces, ds_manline_npieces(l, i), err);
    return rc ? rc : ds_statcache_id(out, &s->cols[i], is_key(s, i), &chunk, err);
}

/* A column's names, and that of the whole. */
static int name_column(reading *r, size_t i, ds_err *err)
{
    static const char tag[] = "ds.stats";
    const ds_verside *v = &r->side;
    column *c = &r->cols[i];
    ds_hasher *h = NULL;
    c->ids = calloc(v->n + 1, sizeof *c->ids);
    c->lacks = calloc(v->n + 1, sizeof *c->lacks);
    int rc = c->ids && c->lacks ? ds_hasher_new(&h, err) : ds_fail_nomem(err);
    rc = rc ? rc : ds_hasher_put(h, tag, sizeof tag, err);
    for (size_t b = 0; !rc && b < v->n; b++) {
        rc = ds_stat_chunk_id(&c->ids[b], &v->schema, &v->lines[b], i, err);
        rc = rc ? rc : ds_hasher_put(h, c->ids[b].b, sizeof c->ids[b].b, err);
    }
    rc = rc ? rc : ds_hasher_end(h, &c->whole, err);
    ds_hasher_free(h);
    return rc;
}

/* ---- what is not stored ---- */

static int flush(reading *r, ds_err *err)
{
    const int rc = ds_statcache_store(r->cache, r->entries.data, r->entries.len, err);
    ds_buf_reset(&r->entries);
    return rc;
}

typedef struct look {
    ds_blocklook look;
    ds_colstat stat;
    ds_buf bytes, entries;
    uint64_t read;
} look;

static bool lacking(const reading *r, size_t block)
{
    for (size_t i = 0; i < r->side.schema.n; i++)
        if (r->cols[i].want && r->cols[i].lacks[block])
            return true;
    return false;
}

static bool next_block(void *ctx, ds_blocklook *l)
{
    reading *r = ctx;
    while (r->next < r->side.n && !lacking(r, r->next))
        r->next++;
    if (r->next == r->side.n)
        return false;
    l->side = &r->side;
    l->block = r->next++;
    return true;
}

static int make(ds_colstat *s, ds_buf *bytes, const ds_recblock *rec, size_t i, ds_err *err)
{
    const ds_schema *sc = &rec->side->schema;
    int rc = ds_colstat_chunk(s, &sc->cols[i], rec->bufs[i].data, rec->bufs[i].len, rec->lent.rows,
                              is_key(sc, i), NULL, err);
    ds_buf_reset(bytes);
    if (!rc && ds_colstat_put(bytes, s, true))
        rc = ds_fail_nomem(err);
    return rc;
}

static int work(void *ctx, ds_blocklook *l)
{
    const reading *r = ctx;
    look *k = (look *)l;
    int rc = 0;
    ds_buf_reset(&k->entries);
    k->read = 0;
    for (size_t i = 0; !rc && i < r->side.schema.n; i++) {
        if (!r->cols[i].want || !r->cols[i].lacks[l->block])
            continue;
        rc = make(&k->stat, &k->bytes, &l->rec, i, &l->err);
        if (!rc && ds_statcache_entry(&k->entries, &r->cols[i].ids[l->block], false, &k->bytes))
            rc = ds_fail_nomem(&l->err);
        k->read++;
    }
    return rc;
}

static int done(void *ctx, ds_blocklook *l, ds_err *err)
{
    reading *r = ctx;
    const look *k = (const look *)l;
    r->out->read += k->read;
    if (ds_buf_put(&r->entries, k->entries.data, k->entries.len))
        return ds_fail_nomem(err);
    return r->entries.len < FLUSH ? 0 : flush(r, err);
}

static void look_fini(ds_blocklook *l)
{
    look *k = (look *)l;
    ds_colstat_fini(&k->stat);
    ds_buf_fini(&k->bytes);
    ds_buf_fini(&k->entries);
}

static int fill(reading *r, int threads, ds_err *err)
{
    bool only[256] = {false};
    ds_buf data = {0};
    const ds_blockwalk w = {.size = sizeof(look),
                            .only = only,
                            .next = next_block,
                            .work = work,
                            .done = done,
                            .fini = look_fini,
                            .ctx = r};
    int rc = 0;
    for (size_t i = 0; !rc && i < r->side.schema.n; i++) {
        only[i] = r->cols[i].want;
        for (size_t b = 0; rc >= 0 && r->cols[i].want && b < r->side.n; b++) {
            rc = ds_statcache_get(r->cache, &r->cols[i].ids[b], &data, err);
            r->cols[i].lacks[b] = rc == 0;
        }
        rc = rc < 0 ? rc : 0;
    }
    ds_buf_fini(&data);
    rc = rc ? rc : ds_blockwalk_run(&w, threads, err);
    return rc ? rc : flush(r, err);
}

/* ---- merging ---- */

/* Somebody removed it since: it is made once more. */
static int make_again(reading *r, size_t b, size_t i, ds_buf *data, ds_err *err)
{
    bool only[256] = {false};
    ds_recblock rec = {.only = only};
    ds_colstat s = {0};
    only[i] = true;
    int rc = ds_recblock_load(&rec, &r->side, b, false, err);
    rc = rc ? rc : make(&s, data, &rec, i, err);
    ds_recblock_fini(&rec);
    ds_colstat_fini(&s);
    return rc;
}

static int merge_column(reading *r, size_t i, ds_err *err)
{
    ds_colstat *s = &r->out->cols[i];
    ds_buf data = {0};
    int rc = 0;
    for (size_t b = 0; !rc && b < r->side.n; b++) {
        rc = ds_statcache_get(r->cache, &r->cols[i].ids[b], &data, err);
        if (rc == 0)
            rc = make_again(r, b, i, &data, err);
        rc = rc < 0 ? rc : ds_colstat_add(s, data.data, data.len, err);
    }
    ds_buf_reset(&data);
    if (!rc && ds_colstat_put(&data, s, false))
        rc = ds_fail_nomem(err);
    if (!rc && ds_statcache_entry(&r->entries, &r->cols[i].whole, true, &data))
        rc = ds_fail_nomem(err);
    ds_buf_fini(&data);
    return rc;
}

/* What comes from blocks and what was stored of them as a whole must tell the same: so the bytes
 * are what is told of. */
static int take_whole(reading *r, size_t i, const ds_column *col, ds_buf *data, ds_err *err)
{
    int rc = ds_statcache_get(r->cache, &r->cols[i].whole, data, err);
    if (rc <= 0)
        return rc;
    ds_colstat_fini(&r->out->cols[i]);
    ds_colstat_init(&r->out->cols[i], col);
    rc = ds_colstat_add(&r->out->cols[i], data->data, data->len, err);
    ds_colstat_settle(&r->out->cols[i]);
    r->out->cols[i].key = is_key(&r->out->schema, i);
    return rc ? rc : 1;
}

/* The column's number, by its name or that of a member of its objects; -1: none. */
static long column_of(const ds_schema *s, const char *name)
{
    const long i = ds_schema_find(s, name);
    for (size_t k = 0; i < 0 && k < s->n; k++) {
        const size_t n = strlen(s->cols[k].name);
        if (s->cols[k].type == DS_JSON && strncmp(name, s->cols[k].name, n) == 0 && name[n] == '.')
            return (long)k;
    }
    return i;
}

static int begin(reading *r, const ds_statread_opts *o, ds_err *err)
{
    ds_schema *sc = &r->out->schema;
    ds_buf data = {0};
    long only = -1;
    int rc = ds_schema_copy(sc, &r->side.schema, err);
    if (!rc && o->column && (only = column_of(sc, o->column)) < 0)
        rc = ds_fail(err, DS_FAIL, "dataset '%s' has no column '%s'", r->side.version.dataset,
                     o->column);
    r->out->cols = rc ? NULL : calloc(sc->n + 1, sizeof *r->out->cols);
    if (!rc && !r->out->cols)
        rc = ds_fail_nomem(err);
    for (size_t i = 0; !rc && i < sc->n; i++) {
        ds_colstat_init(&r->out->cols[i], &sc->cols[i]);
        if ((o->column && i != (size_t)only) || !r->side.n)
            continue; /* columns of no blocks would all have one name */
        rc = name_column(r, i, err);
        rc = rc ? rc : take_whole(r, i, &sc->cols[i], &data, err);
        r->cols[i].want = rc == 0;
        rc = rc < 0 ? rc : 0;
    }
    ds_buf_fini(&data);
    return rc;
}

static int merge_all(reading *r, ds_err *err)
{
    ds_buf data = {0};
    int rc = 0;
    for (size_t i = 0; !rc && i < r->side.schema.n; i++)
        if (r->cols[i].want)
            rc = merge_column(r, i, err);
    rc = rc ? rc : flush(r, err);
    for (size_t i = 0; !rc && i < r->side.schema.n; i++)
        if (r->cols[i].want) {
            rc = take_whole(r, i, &r->side.schema.cols[i], &data, err);
            rc = rc < 0 ? rc : 0;
        }
    ds_buf_fini(&data);
    return rc;
}

int ds_verstats_read(ds_verstats *out, ds_store *s, const git_oid *commit,
                     const ds_statread_opts *o, ds_err *err)
{
    reading *r = calloc(1, sizeof *r);
    *out = (ds_verstats){0};
    ds_schema_init(&out->schema);
    if (!r)
        return ds_fail_nomem(err);
    r->out = out;
    int rc = ds_verside_open(&r->side, s, commit, NULL, NULL, err);
    rc = rc ? rc : ds_statcache_open(&r->cache, s->dir, err);
    rc = rc ? rc : ds_statcache_lay_over(r->cache, s->under ? s->under->dir : NULL, err);
    rc = rc ? rc : begin(r, o, err);
    rc = rc ? rc : fill(r, o->threads, err);
    rc = rc ? rc : merge_all(r, err);
    if (!rc) {
        out->version = r->side.version;
        r->side.version = (ds_version){0};
        out->blocks = r->side.n;
    }
    for (size_t i = 0; i < 256; i++) {
        free(r->cols[i].ids);
        free(r->cols[i].lacks);
    }
    ds_buf_fini(&r->entries);
    ds_statcache_close(r->cache);
    ds_verside_fini(&r->side);
    free(r);
    if (rc)
        ds_verstats_fini(out);
    return rc;
}

/* ---- removing ---- */

typedef struct keep {
    ds_store *store;
    ds_shaset ids; /* the part that names entries, and zeros */
} keep;

static int keep_head(void *ctx, const char *name, const git_oid *id, ds_err *err)
{
    keep *k = ctx;
    ds_verside v = {0};
    ds_version version = {0};
    if (strncmp(name, DS_REF_PREFIX, sizeof DS_REF_PREFIX - 1) != 0)
        return 0;
    int rc = ds_version_get(&version, k->store->cat, id, err);
    const bool mine = !rc && *version.dataset;
    ds_version_fini(&version);
    if (rc || !mine)
        return rc;
    rc = ds_verside_open_raw(&v, k->store, id, NULL, NULL, err);
    for (size_t b = 0; !rc && b < v.n; b++)
        for (size_t i = 0; !rc && i < v.schema.n; i++) {
            ds_sha e;
            rc = ds_stat_chunk_id(&e, &v.schema, &v.lines[b], i, err);
            memset(e.b + DS_STATCACHE_ID, 0, sizeof e.b - DS_STATCACHE_ID);
            rc = rc ? rc : ds_shaset_add(&k->ids, &e, NULL, err);
        }
    ds_verside_fini(&v);
    return rc;
}

int ds_stats_prune(ds_store *s, bool wholes, ds_err *err)
{
    keep k = {.store = s};
    ds_statcache *c = NULL;
    if (!ds_statcache_there(s->dir)) /* none is made for it: the disk may be full */
        return ds_statcache_drop(s->dir, err);
    int rc = ds_ref_each(s->cat, keep_head, &k, err);
    rc = rc ? rc : ds_statcache_open(&c, s->dir, err);
    rc = rc ? rc : ds_statcache_prune(c, &k.ids, wholes, err);
    ds_statcache_close(c);
    ds_shaset_fini(&k.ids);
    return rc;
}
