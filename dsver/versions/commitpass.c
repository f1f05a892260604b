/* commitpass.c - see commitpass.h. */
#include "commitpass.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "blockjob.h"
#include "keycheck.h"
#include "keyclash.h"
#include "keyread.h"
#include "pool.h"
#include "refchunk.h"
#include "sig.h"
#include "sourcepage.h"
#include "sourcescan.h"
#include "term.h"

/* Blocks and pages that follow each other, computed by one thread: a pool's job. Of two, the long
 * pieces are too unlike in length to be hashed side by side all the way; more take more memory for
 * little. */
enum { GROUP = 3, GROUP_BYTES = 1 << 20 };
typedef struct group {
    ds_blockjob v[GROUP];
    size_t n;
    uint64_t bytes; /* no block is added to more than GROUP_BYTES */
} group;

typedef struct pass {
    ds_store *store;
    ds_objtx *tx;
    ds_reader *reader;
    ds_blockcheck *check;
    ds_refcheck *refs;
    ds_blockctx ctx;
    ds_pool *pool;
    group *groups;
    group **idle;
    size_t ngroups, nidle;
    group *filling; /* NULL, or has room for one more */
    ds_manwriter *man;
    ds_rootsum *sum;
    ds_keycheck *keys; /* NULL when keys are derived */
    ds_keyclash clash;
    ds_pagebuild page;
    uint64_t blocks; /* read so far */
    ds_pass *out;
} pass;

void ds_pass_fini(ds_pass *p)
{
    ds_meta_fini(&p->meta);
    ds_spool_fini(&p->stats);
    *p = (ds_pass){0};
}

/* ---- one job's result, in stream order ---- */

static int take_keys(pass *p, const ds_blockjob *j, ds_err *err)
{
    const ds_keyhash *h = (const ds_keyhash *)(const void *)j->keys.data;
    int rc = ds_keyclash_block(&p->clash, &j->line, err);
    for (size_t i = 0; !rc && i < j->keys.len / sizeof *h; i++)
        rc = ds_keycheck_add(p->keys, &h[i], err);
    return rc;
}

static int take(pass *p, ds_blockjob *j, ds_err *err)
{
    int rc = j->err.code;
    if (rc) {
        ds_fail_as(err, &j->err);
        return rc;
    }
    rc = ds_blockjob_put(j, &p->ctx, p->tx, err);
    if (!rc && j->page) {
        rc = ds_manwriter_page(p->man, &j->line, err);
        if (!rc && p->keys)
            rc = ds_keyclash_page(&p->clash, &j->line, err);
        return rc;
    }
    if (!rc)
        rc = ds_spool_put(&p->out->stats, j->stats.data, j->stats.len, err);
    if (!rc)
        rc = ds_manwriter_block(p->man, &j->line, &j->addr, err);
    if (!rc)
        rc = ds_rootsum_block(p->sum, &j->addr, &j->origin, err);
    if (!rc && p->keys)
        rc = take_keys(p, j, err);
    p->out->meta.records += j->line.rows;
    p->out->meta.blocks++;
    p->out->erased += j->erased;
    for (size_t i = 0; i < j->nchunks; i++)
        p->out->meta.bytes += ds_manline_len(&j->line, i);
    return rc;
}

static int take_next(pass *p, ds_err *err)
{
    group *g = ds_pool_next(p->pool);
    int rc = 0;
    for (size_t i = 0; !rc && i < g->n; i++)
        rc = take(p, &g->v[i], err);
    g->n = g->bytes = 0;
    p->idle[p->nidle++] = g;
    return rc;
}

static int submit(pass *p, ds_err *err)
{
    int rc = 0;
    while (!rc && ds_pool_full(p->pool))
        rc = take_next(p, err);
    rc = rc ? rc : ds_pool_submit(p->pool, p->filling, err);
    if (!rc)
        p->filling = NULL;
    return rc;
}

static int take_all(pass *p, ds_err *err)
{
    int rc = p->filling ? submit(p, err) : 0;
    while (!rc && !ds_pool_empty(p->pool))
        rc = take_next(p, err);
    return rc;
}

/* One to be filled; it counts once it is added. */
static int free_job(pass *p, ds_blockjob **j, ds_err *err)
{
    while (!p->filling && p->nidle == 0) {
        int rc = take_next(p, err);
        if (rc)
            return rc;
    }
    if (!p->filling)
        p->filling = p->idle[--p->nidle];
    *j = &p->filling->v[p->filling->n];
    return 0;
}

static int add(pass *p, const ds_blockjob *j, ds_err *err)
{
    group *g = p->filling;
    g->n++;
    for (size_t i = 0; i < j->nchunks; i++)
        g->bytes += ds_manline_len(&j->line, i);
    /* A large block is not copied: done with before the reader goes on. */
    if (j->large)
        return take_all(p, err);
    return g->n == GROUP || g->bytes >= GROUP_BYTES ? submit(p, err) : 0;
}

static void run_group(void *job, void *ctx)
{
    group *g = job;
    ds_blockjob_run(g->v, g->n, ctx);
}

/* ---- events ---- */

static int on_block(pass *p, ds_err *err)
{
    const ds_block *b;
    ds_blockjob *j = NULL;
    int rc = ds_refcheck_block(p->refs, ds_reader_block(p->reader), &b, err);
    if (!rc)
        rc = ds_blockcheck_block(p->check, b, err);
    if (!rc)
        rc = free_job(p, &j, err);
    if (rc)
        return rc;
    p->blocks++;
    rc = ds_blockjob_block(j, b, b == ds_reader_block(p->reader) ? p->reader : NULL, err);
    return rc ? rc : add(p, j, err);
}

static int end_page(pass *p, ds_err *err)
{
    ds_blockjob *j = NULL;
    if (p->page.rows == 0)
        return 0;
    int rc = free_job(p, &j, err);
    if (rc)
        return rc;
    rc = ds_blockjob_page(j, &p->page.bytes, p->page.rows, err);
    p->page.rows = 0;
    return rc ? rc : add(p, j, err);
}

/* blocks: how many came before it. */
static int on_source(pass *p, const ds_source *s, uint64_t blocks, ds_err *err)
{
    bool before, after;
    int rc = ds_rootsum_source(p->sum, s, err);
    if (!rc)
        rc = ds_pagebuild_add(&p->page, s, blocks, &before, &after, err);
    if (!rc && before) {
        rc = end_page(p, err);
        if (!rc)
            rc = ds_pagebuild_add(&p->page, s, blocks, &before, &after, err);
    }
    p->out->meta.sources++;
    return !rc && after ? end_page(p, err) : rc;
}

static int on_end(pass *p, const char *path, bool strict, ds_err *err)
{
    const ds_counts *c = ds_reader_counts(p->reader);
    uint64_t a, b, failed = ds_counts_total(c, true);
    if (strict && failed)
        return ds_fail(err, DS_FAIL,
                       "%s: the stream counts %" PRIu64
                       " failed records (%s ...), and --strict refuses such",
                       path, failed, c->failed[0].reason);
    int rc = end_page(p, err);
    if (!rc)
        rc = take_all(p, err);
    if (!rc && p->keys) {
        rc = ds_keycheck_end(p->keys, &a, &b, err);
        rc = rc < 0 ? rc
             : rc   ? 0
                    : ds_keyclash_fail(&p->clash, p->tx, ds_reader_schema(p->reader), a, b, err);
    }
    return rc ? rc : ds_counts_join(&p->out->meta.counts, c, err);
}

/* Roots, the manifest's last files, its tree. */
static int finish(pass *p, const char *path, ds_err *err)
{
    const ds_schema *schema = ds_reader_schema(p->reader);
    const ds_sha *claimed = ds_reader_root(p->reader);
    ds_meta *m = &p->out->meta;
    ds_buf json = {0};
    ds_sha digest;
    size_t prov_len;
    const char *prov = ds_reader_provenance(p->reader, &prov_len);
    int rc = ds_schema_digest(&digest, schema, err);
    if (!rc)
        rc = ds_rootsum_end(p->sum, &digest, &m->root, &m->origin_root, err);
    if (!rc && claimed && !ds_sha_eq(claimed, &m->root))
        rc = ds_fail(err, DS_CORRUPT,
                     "%s: the root in the stream's end frame is not that of its records", path);
    if (!rc)
        rc = ds_schema_dump(&json, schema, err);
    if (!rc)
        rc =
            ds_manwriter_finish(p->man, json.data, json.len, prov, prov_len, m, &p->out->tree, err);
    p->out->bytes_read = ds_reader_pos(p->reader);
    ds_buf_fini(&json);
    return rc;
}

/* ---- the whole ---- */

static int start(pass *p, const ds_pass_opts *o, ds_gitpack *pack, ds_err *err)
{
    const ds_schema *schema = ds_reader_schema(p->reader);
    const int threads = o->threads;
    char *tmp = NULL;
    ds_storeid id;
    const int window = threads > 1 ? threads + 1 : 1;
    p->ngroups = (size_t)window + 1; /* one is filled */
    p->groups = calloc(p->ngroups, sizeof *p->groups);
    p->idle = calloc(p->ngroups, sizeof *p->idle);
    int rc = p->groups && p->idle ? 0 : ds_fail_nomem(err);
    for (size_t i = 0; !rc && i < p->ngroups; i++)
        p->idle[p->nidle++] = &p->groups[i];
    if (!rc)
        rc = ds_blockctx_init(&p->ctx, schema, p->store->objs, err);
    if (!rc)
        rc = ds_catalog_overlay(&p->ctx.erased, p->store->cat, false, err);
    if (!rc)
        rc = ds_pool_new(&p->pool, threads, window, run_group, &p->ctx, err);
    if (!rc)
        rc = ds_blockcheck_new(&p->check, schema, err);
    if (!rc)
        rc = ds_refcheck_new(&p->refs, p->store, schema, o->ref, err);
    if (!rc)
        rc = ds_store_id(&id, p->store->dir, false, err);
    if (!rc)
        ds_reader_refs(p->reader, &id);
    if (!rc)
        rc = ds_manwriter_new(&p->man, pack, err);
    if (!rc)
        rc = ds_rootsum_new(&p->sum, err);
    if (!rc && schema->explicit_key) {
        rc = ds_store_path(&tmp, p->store->dir, "tmp", err);
        if (!rc)
            rc = ds_keycheck_new(&p->keys, tmp, 0, err);
        free(tmp);
    }
    return rc;
}

/* ---- what the stream goes on ---- */

static int keys_before(pass *p, const ds_tail *t, ds_err *err)
{
    ds_keyread *k = NULL;
    ds_hasher *hasher = NULL;
    int rc = ds_keyread_open(&k, p->store, &t->side.version.id, err);
    rc = rc ? rc : ds_hasher_new(&hasher, err);
    for (size_t i = 0; !rc && i < t->keep; i++) {
        const char *key;
        size_t len;
        ds_keyhash h;
        rc = ds_keyclash_block(&p->clash, &t->side.lines[i], err);
        rc = rc ? rc : ds_keyread_block(k, i, err);
        while (!rc && (rc = ds_keyread_next(k, &key, &len, err)) > 0) {
            rc = ds_keyhash_make(&h, hasher, key, len, err);
            rc = rc ? rc : ds_keycheck_add(p->keys, &h, err);
        }
    }
    ds_hasher_free(hasher);
    ds_keyread_close(k);
    return rc;
}

static int blocks_before(pass *p, const ds_tail *t, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < t->keep; i++) {
        const ds_manline *l = &t->side.lines[i];
        ds_sha addr, origin;
        rc = ds_manline_addr(l, &addr, &origin, err);
        rc = rc ? rc : ds_manwriter_block(p->man, l, &addr, err);
        rc = rc ? rc : ds_rootsum_block(p->sum, &addr, &origin, err);
        p->out->meta.records += l->rows;
        for (size_t k = 0; k < l->nchunks; k++)
            p->out->meta.bytes += ds_manline_len(l, k);
    }
    p->blocks = p->out->meta.blocks = t->keep;
    return rc;
}

static int sources_before(pass *p, const ds_tail *t, ds_err *err)
{
    ds_sourcescan scan = {0};
    ds_source s;
    int rc = ds_sourcescan_open(&scan, p->store, &t->side.version.tree, err);
    while (!rc && (rc = ds_sourcescan_next(&scan, &s, err)) > 0)
        rc = on_source(p, &s, scan.blocks, err);
    ds_sourcescan_close(&scan);
    return rc;
}

/* All that the version has, but for the records of its last block, which the stream begins with. */
static int put_before(pass *p, const ds_tail *t, ds_err *err)
{
    int rc = blocks_before(p, t, err);
    rc = rc ? rc : sources_before(p, t, err);
    rc = rc ? rc : ds_counts_join(&p->out->meta.counts, &t->meta.counts, err);
    rc = rc || !p->keys ? rc : keys_before(p, t, err);
    ds_blockcheck_resume(p->check, t->window, t->nwindow, &t->origin);
    return rc;
}

static void stop(pass *p)
{
    ds_pool_free(p->pool); /* before the jobs that it borrows */
    for (size_t i = 0; p->groups && i < p->ngroups; i++)
        for (size_t k = 0; k < GROUP; k++)
            ds_blockjob_fini(&p->groups[i].v[k]);
    free(p->groups);
    free(p->idle);
    ds_blockctx_fini(&p->ctx);
    ds_blockcheck_free(p->check);
    ds_refcheck_free(p->refs);
    ds_manwriter_free(p->man);
    ds_rootsum_free(p->sum);
    ds_keycheck_free(p->keys);
    ds_keyclash_fini(&p->clash);
    ds_buf_fini(&p->page.bytes);
    ds_reader_free(p->reader);
}

int ds_pass_run(ds_pass *out, ds_store *s, ds_objtx *tx, ds_gitpack *pack, int fd, const char *path,
                const ds_pass_opts *o, ds_err *err)
{
    pass p = {.store = s, .tx = tx, .out = out};
    ds_progress bar = {0};
    enum ds_event ev = DS_EV_BLOCK;
    *out = (ds_pass){0};
    int rc = ds_reader_new(&p.reader, fd, path, err);
    if (!rc)
        rc = start(&p, o, pack, err);
    if (!rc && o->after)
        rc = put_before(&p, o->after, err);
    ds_progress_begin(&bar, "reading", 0, true);
    while (!rc && ev != DS_EV_END) {
        rc = ds_reader_next(p.reader, &ev, err);
        if (!rc && ev == DS_EV_BLOCK)
            rc = on_block(&p, err);
        else if (!rc && ev == DS_EV_SOURCE)
            rc = on_source(&p, ds_reader_source(p.reader), p.blocks, err);
        if (!rc)
            rc = ds_check_interrupt(err);
        ds_progress_at(&bar, p.reader ? ds_reader_pos(p.reader) : 0);
    }
    ds_progress_end(&bar);
    if (!rc)
        rc = on_end(&p, path, o->strict, err);
    if (!rc)
        rc = finish(&p, path, err);
    stop(&p);
    if (rc)
        ds_pass_fini(out);
    return rc;
}
