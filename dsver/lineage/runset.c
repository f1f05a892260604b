/* runset.c - see runset.h. */
#include "runset.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "history.h"

void ds_runset_fini(ds_runset *s)
{
    for (size_t i = 0; s->parts && i < s->run->ndatasets; i++) {
        ds_runset_part *p = &s->parts[i];
        ds_colread_close(p->col);
        free(p->tokenizer);
        ds_recfacts_fini(&p->facts);
        ds_buf_fini(&p->lengths);
        ds_buf_fini(&p->starts);
        ds_buf_fini(&p->ids);
        ds_buf_fini(&p->block);
        ds_buf_fini(&p->block_ids);
        ds_buf_fini(&p->block_starts);
    }
    free(s->parts);
    free(s->firsts);
    *s = (ds_runset){0};
}

/* ---- finding ---- */

static int find_commit(ds_runset *s, ds_runset_part *p, ds_err *err)
{
    ds_version v = {0};
    git_oid id;
    int rc = 0;

    if (!*p->want->commit || git_oid_fromstr(&id, p->want->commit) < 0 ||
        !git_odb_exists(ds_catalog_odb(s->store->cat), &id))
        return 0;
    rc = ds_version_get(&v, s->store->cat, &id, err);
    if (!rc && *v.dataset) {
        p->where = DS_SET_COMMIT;
        p->commit = id;
    }
    ds_version_fini(&v);
    return rc;
}

/* Any version with the root holds the same records in the same order. */
static int by_root(void *ctx, const git_oid *id, const ds_version *v, const ds_err *why,
                   ds_err *err)
{
    ds_runset *s = ctx;

    if (!v && why->code == DS_NOMEM) /* what is damaged is left to fsck */
        return ds_fail_nomem(err);
    for (size_t i = 0; v && *v->dataset && i < s->run->ndatasets; i++) {
        ds_runset_part *p = &s->parts[i];
        if (p->where == DS_SET_ABSENT && ds_sha_eq(&p->want->root, &v->root)) {
            p->where = DS_SET_ROOT;
            p->commit = *id;
        }
    }
    return 0;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* A file by its name first; what is left in the order in which it was given. */
static void take_files(ds_runset *s, const char *const *files, size_t n)
{
    uint64_t used = 0;

    for (int named = 1; named >= 0; named--)
        for (size_t i = 0; i < s->run->ndatasets; i++) {
            ds_runset_part *p = &s->parts[i];
            for (size_t k = 0; p->where == DS_SET_ABSENT && k < n && k < 64; k++)
                if (!(used >> k & 1) && (!named || !strcmp(last_part(files[k]), p->want->name))) {
                    used |= UINT64_C(1) << k;
                    p->where = DS_SET_FILE;
                    p->path = files[k];
                }
        }
}

int ds_runset_open(ds_runset *s, ds_store *store, const ds_run *run, const char *const *files,
                   size_t nfiles, ds_err *err)
{
    bool missing = false;
    int rc = 0;

    *s = (ds_runset){.store = store, .run = run};
    s->parts = calloc(run->ndatasets, sizeof *s->parts);
    s->firsts = calloc(run->ndatasets, sizeof *s->firsts);
    if (!s->parts || !s->firsts)
        return ds_fail_nomem(err);
    s->records = ds_run_firsts(run, s->firsts);
    for (size_t i = 0; !rc && i < run->ndatasets; i++) {
        s->parts[i].want = &run->datasets[i];
        rc = store ? find_commit(s, &s->parts[i], err) : 0;
        missing |= s->parts[i].where == DS_SET_ABSENT;
    }
    if (!rc && store && missing)
        rc = ds_history_each(store->cat, by_root, s, err);
    if (!rc)
        take_files(s, files, nfiles);
    return rc;
}

/* ---- loading ---- */

static int take_column(ds_runset_part *p, const ds_schema *schema, const ds_column *c, ds_err *err)
{
    json_t *attrs = NULL;
    const char *t = NULL;
    int rc = 0;

    if (c->type != DS_TOKENS16 && c->type != DS_TOKENS32)
        return ds_fail(err, DS_FAIL, "'%s': column '%s' holds no tokens", p->want->name, c->name);
    if (c->attrs)
        rc = ds_json_parse(&attrs, c->attrs, strlen(c->attrs), "column attributes", err);
    if (attrs)
        t = json_string_value(json_object_get(attrs, "tokenizer"));
    free(p->tokenizer);
    if (!rc && !(p->tokenizer = strdup(t ? t : "")))
        rc = ds_fail_nomem(err);
    json_decref(attrs);
    ds_recfacts_fini(&p->facts);
    rc = rc ? rc
            : ds_recfacts_init(&p->facts, schema, p->want->column,
                               p->want->mask ? p->want->mask : "", err);
    if (rc)
        ds_err_prefix(err, "'%s'", p->want->name);
    return rc;
}

static int add_length(ds_runset_part *p, const ds_value *x, ds_err *err)
{
    const uint32_t n = x->null ? 0 : (uint32_t)x->count;

    if (!x->null && x->count > UINT32_MAX)
        return ds_fail(err, DS_FAIL, "'%s': record %" PRIu64 " has %" PRIu64 " tokens",
                       p->want->name, p->records, x->count);
    p->records++;
    return ds_buf_put(&p->lengths, &n, sizeof n) ? ds_fail_nomem(err) : 0;
}

static const uint32_t *lengths_of(const ds_runset_part *p)
{
    return (const uint32_t *)(const void *)p->lengths.data;
}

/* The root again, from the addresses in the manifest. */
static int manifest_root(ds_sha *out, uint64_t *erased, ds_store *s, const ds_version *v,
                         const ds_schema *schema, ds_err *err)
{
    ds_manscan scan = {0};
    ds_manline line = {0};
    ds_rootsum *sum = NULL;
    ds_sha digest, block, origin;
    int rc = ds_rootsum_new(&sum, err);

    rc = rc ? rc : ds_manscan_open(&scan, s->cat, &v->tree, "blocks", err);
    while (!rc) {
        rc = ds_manscan_next(&scan, &line, err);
        if (rc <= 0)
            break;
        *erased += scan.erased;
        rc = ds_manscan_addr(&scan, &line, &block, &origin, err);
        rc = rc ? rc : ds_rootsum_block(sum, &block, &origin, err);
    }
    rc = rc ? rc : ds_schema_digest(&digest, schema, err);
    rc = rc ? rc : ds_rootsum_end(sum, &digest, out, &origin, err);
    ds_manscan_close(&scan);
    ds_manline_fini(&line);
    ds_rootsum_free(sum);
    return rc;
}

static int load_store(ds_runset *s, ds_runset_part *p, ds_err *err)
{
    ds_buf buf = {0};
    ds_colview v;
    ds_value x;
    int rc = ds_colread_open(&p->col, s->store, &p->commit, p->want->column, err);

    rc = rc ? rc : take_column(p, ds_colread_schema(p->col), ds_colread_column(p->col), err);
    rc = rc ? rc
            : manifest_root(&p->root, &p->erased, s->store, ds_colread_version(p->col),
                            ds_colread_schema(p->col), err);
    for (size_t b = 0; !rc && b < ds_colread_blocks(p->col); b++) {
        rc = ds_colread_block(p->col, b, &buf, &v, err);
        while (!rc && ds_colview_next(&v, &x))
            rc = add_length(p, &x, err);
    }
    ds_buf_fini(&buf);
    if (rc)
        return rc;
    rc = ds_factread(&p->facts, s->store, &p->commit, ds_colread_schema(p->col), lengths_of(p),
                     p->records, err);
    if (rc)
        ds_err_prefix(err, "'%s'", p->want->name);
    return rc;
}

/* Token ids behind one another, and where each record's begin. */
static int add_ids(ds_buf *ids, ds_buf *starts, const ds_colview *v, const ds_value *x, ds_err *err)
{
    const uint64_t at = ids->len / sizeof(uint32_t);
    int rc = ds_buf_put(starts, &at, sizeof at);

    for (uint64_t i = 0; !rc && !x->null && i < x->count; i++) {
        const uint32_t id = ds_value_token(v, x, i);
        rc = ds_buf_put(ids, &id, sizeof id);
    }
    return rc ? ds_fail_nomem(err) : 0;
}

static int sum_chunk(ds_sha *out, const ds_block *b, size_t i, ds_err *err)
{
    ds_sha *p = calloc(b->npieces[i] + 1, sizeof *p);
    size_t from = 0;
    int rc = p ? 0 : ds_fail_nomem(err);

    for (size_t k = 0; !rc && k < b->npieces[i]; k++) {
        rc = ds_addr_piece(&p[k], b->chunks[i].body + from, b->piece_ends[i][k] - from, err);
        from = b->piece_ends[i][k];
    }
    rc = rc ? rc : ds_addr_chunk(out, b->chunks[i].body_len, p, b->npieces[i], err);
    free(p);
    return rc;
}

static int sum_block(ds_rootsum *sum, const ds_block *b, ds_err *err)
{
    ds_sha *chunk = calloc(b->nchunks + 1, sizeof *chunk), block;
    int rc = chunk ? 0 : ds_fail_nomem(err);

    for (size_t i = 0; !rc && i < b->nchunks; i++)
        rc = sum_chunk(&chunk[i], b, i, err);
    rc = rc ? rc : ds_addr_block(&block, b->rows, chunk, b->nchunks - 1, err);
    rc = rc ? rc : ds_rootsum_block(sum, &block, &chunk[b->nchunks - 1], err);
    free(chunk);
    return rc;
}

static int file_block(ds_runset_part *p, const ds_block *b, const ds_column *col, size_t column,
                      ds_err *err)
{
    const ds_chunk *c = &b->chunks[column];
    ds_colview v;
    ds_value x;
    int rc = ds_colview_open(&v, col, c->body, c->body_len, b->rows, err);

    while (!rc && ds_colview_next(&v, &x)) {
        rc = add_length(p, &x, err);
        rc = rc ? rc : add_ids(&p->ids, &p->starts, &v, &x, err);
    }
    return rc;
}

static int file_events(ds_runset_part *p, ds_reader *r, ds_rootsum *sum, ds_err *err)
{
    const ds_schema *schema = ds_reader_schema(r);
    const long col = ds_schema_find(schema, p->want->column);
    ds_blockcheck *check = NULL;
    enum ds_event ev = DS_EV_BLOCK;
    int rc = col < 0 ? ds_fail(err, DS_FAIL, "%s: no column '%s'", p->path, p->want->column)
                     : take_column(p, schema, &schema->cols[col], err);

    rc = rc ? rc : ds_blockcheck_new(&check, schema, err);
    while (!rc && ev != DS_EV_END) {
        rc = ds_reader_next(r, &ev, err);
        if (!rc && ev == DS_EV_BLOCK) {
            const ds_block *b = ds_reader_block(r);
            rc = ds_blockcheck_block(check, b, err);
            rc = rc ? rc : sum_block(sum, b, err);
            rc = rc ? rc : file_block(p, b, &schema->cols[col], (size_t)col, err);
            rc = rc ? rc : ds_recfacts_block(&p->facts, b, schema, lengths_of(p), err);
        } else if (!rc && ev == DS_EV_SOURCE) {
            rc = ds_srcfacet_source(&p->facts.origins, ds_reader_source(r), err);
        }
    }
    rc = rc ? rc : ds_recfacts_end(&p->facts, err);
    ds_blockcheck_free(check);
    return rc;
}

static int load_file(ds_runset_part *p, ds_err *err)
{
    ds_rootsum *sum = NULL;
    ds_reader *r = NULL;
    ds_sha schema, origin;
    int fd = -1;
    int rc = ds_open(&fd, p->path, O_RDONLY, 0, err);

    rc = rc ? rc : ds_reader_new(&r, fd, p->path, err);
    rc = rc ? rc : ds_rootsum_new(&sum, err);
    rc = rc ? rc : file_events(p, r, sum, err);
    rc = rc ? rc : ds_schema_digest(&schema, ds_reader_schema(r), err);
    rc = rc ? rc : ds_rootsum_end(sum, &schema, &p->root, &origin, err);
    ds_rootsum_free(sum);
    ds_reader_free(r);
    ds_close(&fd, p->path, NULL);
    return rc;
}

int ds_runset_load(ds_runset *s, size_t part, ds_err *err)
{
    ds_runset_part *p = &s->parts[part];
    int rc;

    if (p->loaded)
        return 0;
    if (p->where == DS_SET_ABSENT)
        return ds_fail(err, DS_FAIL, "dataset '%s' (%s) is not in the store", p->want->name,
                       *p->want->commit ? p->want->commit : "a file");
    rc = p->where == DS_SET_FILE ? load_file(p, err) : load_store(s, p, err);
    p->loaded = !rc;
    return rc;
}

static int add_lengths(const ds_runset_part *p, ds_buf *out, ds_err *err)
{
    const size_t at = out->len;

    if (p->lengths.len && ds_buf_put(out, p->lengths.data, p->lengths.len))
        return ds_fail_nomem(err);
    return ds_run_leave_out((uint32_t *)(void *)(out->data + at), p->records, p->want->erased,
                            p->want->nerased, err);
}

int ds_runset_lengths(ds_runset *s, ds_buf *out, ds_err *err)
{
    int rc = 0;

    ds_buf_reset(out);
    for (size_t i = 0; !rc && i < s->run->ndatasets; i++) {
        const ds_runset_part *p = &s->parts[i];
        if (!p->loaded)
            rc = ds_fail(err, DS_FAIL, "dataset '%s' could not be read", p->want->name);
        else if (p->records != p->want->records)
            rc =
                ds_fail(err, DS_FAIL, "dataset '%s' has %" PRIu64 " records, the run says %" PRIu64,
                        p->want->name, p->records, p->want->records);
        else
            rc = add_lengths(p, out, err);
    }
    return rc;
}

/* ---- tokens ---- */

static int fetch_block(ds_runset_part *p, size_t block, ds_err *err)
{
    ds_colview v;
    ds_value x;
    int rc;

    if (p->block_have && p->block_at == block)
        return 0;
    p->block_have = false;
    ds_buf_reset(&p->block_ids);
    ds_buf_reset(&p->block_starts);
    rc = ds_colread_block(p->col, block, &p->block, &v, err);
    while (!rc && ds_colview_next(&v, &x))
        rc = add_ids(&p->block_ids, &p->block_starts, &v, &x, err);
    p->block_at = block;
    p->block_have = !rc;
    return rc;
}

int ds_runset_tokens(ds_runset *s, size_t part, uint64_t record, uint32_t offset, uint32_t n,
                     ds_buf *out, ds_err *err)
{
    ds_runset_part *p = &s->parts[part];
    const ds_buf *ids = &p->ids, *starts = &p->starts;
    uint64_t first = 0;
    int rc = ds_runset_load(s, part, err);

    if (!rc && (record >= p->records || (uint64_t)offset + n > lengths_of(p)[record]))
        rc = ds_fail(err, DS_FAIL,
                     "'%s' has no tokens %" PRIu32 " to %" PRIu64 " of record %" PRIu64,
                     p->want->name, offset, (uint64_t)offset + n, record);
    if (!rc && p->where != DS_SET_FILE) {
        const size_t block = ds_colread_find(p->col, record);
        rc = fetch_block(p, block, err);
        first = ds_colread_first(p->col, block);
        ids = &p->block_ids;
        starts = &p->block_starts;
    }
    if (!rc && n) {
        const uint64_t at = ((const uint64_t *)(const void *)starts->data)[record - first] + offset;
        const uint32_t *from = (const uint32_t *)(const void *)ids->data + at;
        rc = ds_buf_put(out, from, n * sizeof *from) ? ds_fail_nomem(err) : 0;
    }
    return rc;
}

uint64_t ds_runset_targets(const ds_runset *s, const ds_span *span)
{
    const size_t d = ds_runset_part_of(s, span->record);

    return ds_lossmask_targets(ds_recfacts_lossmask(&s->parts[d].facts),
                               span->record - s->firsts[d], span->offset, span->len);
}

/* ---- text ---- */

size_t ds_runset_part_of(const ds_runset *s, uint64_t record)
{
    size_t d = s->run->ndatasets - 1;

    while (d > 0 && s->firsts[d] > record)
        d--;
    return d;
}

int ds_runset_text(const ds_runset *s, ds_buf *out, const ds_span *spans, size_t n, ds_err *err)
{
    enum { SHOWN = 4 };
    int rc = n ? 0 : ds_buf_puts(out, "none");

    for (size_t i = 0; !rc && i < n && i < SHOWN; i++) {
        const size_t d = ds_runset_part_of(s, spans[i].record);
        rc = ds_buf_printf(out, "%s%s:%" PRIu64 "[%" PRIu32 "+%" PRIu32 "]", i ? " " : "",
                           s->run->datasets[d].name, spans[i].record - s->firsts[d],
                           spans[i].offset, spans[i].len);
    }
    if (!rc && n > SHOWN)
        rc = ds_buf_printf(out, " and %zu more", n - SHOWN);
    return rc ? ds_fail_nomem(err) : 0;
}
