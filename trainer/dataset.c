/* dataset.c - see dataset.h. A file's token column is copied once into an unlinked temporary; a
 * store's blocks are decoded as they are needed and the last CACHE of them kept. */
#include "dataset.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "colread.h"
#include "json.h"
#include "revision.h"

#define CACHE 256

#define TRY(call)                                                                                  \
    do {                                                                                           \
        int rc_ = (call);                                                                          \
        if (rc_)                                                                                   \
            return rc_;                                                                            \
    } while (0)

typedef struct cached {
    size_t block;
    bool filled;
    uint64_t used;
    ds_buf buf;
    ds_colview view;
    uint32_t *at; /* first token of each row in the block's data; rows + 1 */
    const uint8_t *data;
} cached;

struct ds_dataset {
    ds_dataset_info info;
    char *name, *tokenizer;
    ds_buf lengths;
    bool wide; /* u32 tokens */
    /* a store */
    ds_store store;
    ds_colread *col;
    cached *cache;
    uint64_t clock;
    /* a file */
    ds_spool spool;
    ds_buf starts; /* uint64_t: first token of each record */
    const uint8_t *tokens;
};

/* ---- both ---- */

static int add_length(ds_dataset *d, const ds_value *x, ds_err *err)
{
    const uint64_t n = x->null ? 0 : x->count;
    const uint32_t n32 = (uint32_t)n;

    if (n > UINT32_MAX)
        return ds_fail(err, DS_FAIL, "record %llu has %llu tokens: more than a record may have",
                       (unsigned long long)d->info.records, (unsigned long long)n);
    if (ds_buf_put(&d->lengths, &n32, sizeof n32))
        return ds_fail_nomem(err);
    d->info.records++;
    d->info.tokens += n;
    return 0;
}

/* What the column must be, and the tokenizer that it names. */
static int take_column(ds_dataset *d, const ds_column *c, ds_err *err)
{
    json_t *attrs = NULL;
    const char *t = NULL;
    int rc = 0;

    if (c->type != DS_TOKENS16 && c->type != DS_TOKENS32)
        return ds_fail(err, DS_FAIL,
                       "'%s': column '%s' holds %s, not tokens (dsprep tokenize adds them)",
                       d->name, c->name, ds_type_name(c->type));
    d->wide = c->type == DS_TOKENS32;
    if (c->attrs)
        rc = ds_json_parse(&attrs, c->attrs, strlen(c->attrs), "column attributes", err);
    if (attrs)
        t = json_string_value(json_object_get(attrs, "tokenizer"));
    if (!rc && !(d->tokenizer = strdup(t ? t : "")))
        rc = ds_fail_nomem(err);
    json_decref(attrs);
    return rc;
}

static int no_column(const ds_dataset *d, const char *column, ds_err *err)
{
    return ds_fail(err, DS_FAIL,
                   "'%s' has no column '%s': it is not tokenized (dsprep tokenize adds it)",
                   d->name, column);
}

/* ---- a store ---- */

static int open_store(ds_dataset *d, const char *spec, const char *store, const char *column,
                      ds_err *err)
{
    ds_revision rev = {0};
    ds_buf buf = {0};
    ds_colview v;
    ds_value x;
    int rc = ds_store_open(&d->store, store, DS_OBJ_READ, err);

    rc = rc ? rc : ds_revision_find(&rev, &d->store, spec, err);
    if (!rc && !(d->name = strdup(rev.dataset)))
        rc = ds_fail_nomem(err);
    if (!rc) {
        rc = ds_colread_open(&d->col, &d->store, &rev.id, column, err);
        if (rc == DS_FAIL && err && strstr(err->msg, "has no column")) {
            ds_err_clear(err);
            rc = no_column(d, column, err);
        }
    }
    rc = rc ? rc : take_column(d, ds_colread_column(d->col), err);
    for (size_t b = 0; !rc && b < ds_colread_blocks(d->col); b++) {
        rc = ds_colread_block(d->col, b, &buf, &v, err);
        while (!rc && ds_colview_next(&v, &x))
            rc = add_length(d, &x, err);
    }
    if (!rc) {
        git_oid_tostr(d->info.commit, sizeof d->info.commit, &rev.id);
        d->info.root = ds_colread_version(d->col)->root;
        d->cache = calloc(CACHE, sizeof *d->cache);
        rc = d->cache ? 0 : ds_fail_nomem(err);
    }
    ds_buf_fini(&buf);
    ds_revision_fini(&rev);
    return rc;
}

static int fill_slot(ds_dataset *d, cached *c, size_t block, ds_err *err)
{
    const uint64_t rows = ds_colread_first(d->col, block + 1) - ds_colread_first(d->col, block);
    ds_value x;
    uint32_t at = 0;

    c->filled = false;
    TRY(ds_colread_block(d->col, block, &c->buf, &c->view, err));
    uint32_t *grown = realloc(c->at, ((size_t)rows + 1) * sizeof *grown);
    if (!grown)
        return ds_fail_nomem(err);
    c->at = grown;
    c->data = c->buf.data + c->view.data_pos;
    for (uint64_t r = 0; r < rows && ds_colview_next(&c->view, &x); r++) {
        c->at[r] = at;
        at += x.null ? 0 : (uint32_t)x.count;
    }
    c->at[rows] = at;
    c->block = block;
    c->filled = true;
    return 0;
}

/* The block's tokens, from the cache or into its oldest place. */
static int get_block(ds_dataset *d, size_t block, cached **out, ds_err *err)
{
    cached *oldest = d->cache;

    for (size_t i = 0; i < CACHE; i++) {
        cached *c = &d->cache[i];
        if (c->filled && c->block == block) {
            c->used = ++d->clock;
            *out = c;
            return 0;
        }
        if (c->used < oldest->used)
            oldest = c;
    }
    oldest->used = ++d->clock;
    *out = oldest;
    return fill_slot(d, oldest, block, err);
}

/* ---- a file ---- */

static int take_block(ds_dataset *d, const ds_block *b, const ds_column *col, size_t column,
                      ds_err *err)
{
    ds_colview v;
    ds_value x;
    uint64_t at = d->info.tokens;

    TRY(ds_colview_open(&v, col, b->chunks[column].body, b->chunks[column].body_len, b->rows, err));
    while (ds_colview_next(&v, &x)) {
        if (ds_buf_put(&d->starts, &at, sizeof at))
            return ds_fail_nomem(err);
        TRY(add_length(d, &x, err));
        at = d->info.tokens;
        if (!x.null)
            TRY(ds_spool_put(&d->spool, x.p, x.len, err));
    }
    return 0;
}

static int sum_block(ds_rootsum *sum, const ds_block *b, ds_err *err)
{
    ds_sha chunk[257], piece[1024], block;

    for (size_t i = 0; i < b->nchunks; i++) {
        size_t from = 0;
        int rc = 0;
        ds_sha *p = b->npieces[i] <= 1024 ? piece : calloc(b->npieces[i], sizeof *p);
        if (!p)
            return ds_fail_nomem(err);
        for (size_t k = 0; !rc && k < b->npieces[i]; k++) {
            rc = ds_addr_piece(&p[k], b->chunks[i].body + from, b->piece_ends[i][k] - from, err);
            from = b->piece_ends[i][k];
        }
        rc = rc ? rc : ds_addr_chunk(&chunk[i], b->chunks[i].body_len, p, b->npieces[i], err);
        if (p != piece)
            free(p);
        if (rc)
            return rc;
    }
    TRY(ds_addr_block(&block, b->rows, chunk, b->nchunks - 1, err));
    return ds_rootsum_block(sum, &block, &chunk[b->nchunks - 1], err);
}

static int read_events(ds_dataset *d, ds_reader *r, const char *column, ds_rootsum *sum,
                       ds_err *err)
{
    const ds_schema *s = ds_reader_schema(r);
    const long col = ds_schema_find(s, column);
    ds_blockcheck *check = NULL;
    enum ds_event ev;
    int rc = col < 0 ? no_column(d, column, err) : take_column(d, &s->cols[col], err);

    rc = rc ? rc : ds_blockcheck_new(&check, s, err);
    while (!rc) {
        rc = ds_reader_next(r, &ev, err);
        if (rc || ev == DS_EV_END)
            break;
        if (ev == DS_EV_SOURCE) {
            rc = ds_rootsum_source(sum, ds_reader_source(r), err);
            continue;
        }
        rc = ds_blockcheck_block(check, ds_reader_block(r), err);
        rc = rc ? rc : take_block(d, ds_reader_block(r), &s->cols[col], (size_t)col, err);
        rc = rc ? rc : sum_block(sum, ds_reader_block(r), err);
    }
    rc = rc ? rc : ds_blockcheck_end(check, err);
    ds_blockcheck_free(check);
    return rc;
}

static int open_file(ds_dataset *d, const char *path, const char *column, ds_err *err)
{
    const char *slash = strrchr(path, '/');
    ds_rootsum *sum = NULL;
    ds_reader *r = NULL;
    ds_sha schema, origin;
    size_t len;
    int fd = -1, rc;

    d->name = strdup(slash ? slash + 1 : path);
    rc = d->name ? ds_open(&fd, path, O_RDONLY, 0, err) : ds_fail_nomem(err);
    rc = rc ? rc : ds_reader_new(&r, fd, path, err);
    rc = rc ? rc : ds_rootsum_new(&sum, err);
    rc = rc ? rc : read_events(d, r, column, sum, err);
    rc = rc ? rc : ds_schema_digest(&schema, ds_reader_schema(r), err);
    rc = rc ? rc : ds_rootsum_end(sum, &schema, &d->info.root, &origin, err);
    rc = rc ? rc : ds_spool_view(&d->spool, &d->tokens, &len, err);
    ds_rootsum_free(sum);
    ds_reader_free(r);
    ds_close(&fd, path, NULL);
    return rc;
}

/* ---- both again ---- */

int ds_dataset_open(ds_dataset **out, const char *spec, const char *store, const char *column,
                    ds_err *err)
{
    const size_t len = strlen(spec);
    ds_dataset *d = calloc(1, sizeof *d);
    int rc;

    if (!d)
        return ds_fail_nomem(err);
    if (len > 4 && !strcmp(spec + len - 4, ".dsr"))
        rc = open_file(d, spec, column, err);
    else
        rc = open_store(d, spec, store, column, err);
    if (rc) {
        ds_dataset_close(d);
        return rc;
    }
    d->info.name = d->name;
    d->info.tokenizer = d->tokenizer;
    d->info.lengths = (const uint32_t *)(const void *)d->lengths.data;
    *out = d;
    return 0;
}

const ds_dataset_info *ds_dataset_about(const ds_dataset *d)
{
    return &d->info;
}

static void widen(int32_t *out, const uint8_t *p, uint32_t n, bool wide)
{
    for (uint32_t i = 0; i < n; i++)
        out[i] = wide ? (int32_t)ds_get_u32(p + 4 * (size_t)i)
                      : (int32_t)(p[2 * (size_t)i] | p[2 * (size_t)i + 1] << 8);
}

int ds_dataset_tokens(ds_dataset *d, uint64_t record, uint32_t offset, uint32_t n, int32_t *out,
                      ds_err *err)
{
    const size_t width = d->wide ? 4 : 2;
    const uint8_t *p;

    if (record >= d->info.records || offset > d->info.lengths[record] ||
        n > d->info.lengths[record] - offset)
        return ds_fail(err, DS_FAIL, "'%s': record %llu has no tokens %u to %llu", d->name,
                       (unsigned long long)record, offset, (unsigned long long)offset + n);
    if (d->col) {
        cached *c = NULL;
        const size_t block = ds_colread_find(d->col, record);
        TRY(get_block(d, block, &c, err));
        p = c->data + (size_t)c->at[record - ds_colread_first(d->col, block)] * width;
    } else {
        p = d->tokens + ((const uint64_t *)(const void *)d->starts.data)[record] * width;
    }
    widen(out, p + (size_t)offset * width, n, d->wide);
    return 0;
}

void ds_dataset_close(ds_dataset *d)
{
    if (!d)
        return;
    for (size_t i = 0; d->cache && i < CACHE; i++) {
        ds_buf_fini(&d->cache[i].buf);
        free(d->cache[i].at);
    }
    free(d->cache);
    ds_colread_close(d->col);
    ds_store_close(&d->store);
    ds_spool_fini(&d->spool);
    ds_buf_fini(&d->starts);
    ds_buf_fini(&d->lengths);
    free(d->name);
    free(d->tokenizer);
    free(d);
}
