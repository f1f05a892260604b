/* dataset.c - see dataset.h. A file's token column is copied once into an unlinked temporary; a
 * store's blocks are decoded as they are needed and the last CACHE of them kept. */
#include "dataset.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "erasedlist.h"
#include "factread.h"
#include "json.h"
#include "pin.h"
#include "revision.h"
#include "try.h"

#define CACHE 256

typedef struct cached {
    size_t block;
    bool filled, loading;
    int readers;
    uint64_t used;
    ds_buf buf;
    ds_colview view;
    uint32_t *at; /* first token of each row in the block's data; rows + 1 */
    const uint8_t *data;
} cached;

struct ds_dataset {
    ds_dataset_info info;
    char *name, *tokenizer;
    const char *want_mask; /* as ds_dataset_open was told; borrowed while it runs */
    char *mask;
    ds_recfacts facts;
    ds_buf lengths;  /* of all records */
    ds_buf erased;   /* ds_records: tombstones */
    ds_buf left_out; /* ds_records */
    ds_buf used;     /* lengths, where some are left out */
    bool wide;       /* u32 tokens */
    bool pairs;      /* some record has two tokens: one can be predicted */
    /* a store */
    ds_store store;
    ds_pin pin; /* gc leaves the version alone while it is open */
    ds_colread *col;
    cached *cache;
    uint64_t clock;
    pthread_mutex_t lock; /* of the cache's places, not of what a reader holds or a loader fills */
    pthread_cond_t loaded;
    /* a file */
    ds_spool spool;
    ds_buf starts; /* uint64_t: first token of each record */
    const uint8_t *tokens;
};

/* ---- both ---- */

static const uint32_t *lengths_of(const ds_dataset *d)
{
    return (const uint32_t *)(const void *)d->lengths.data;
}

/* The largest of n ids. */
static uint32_t largest_of(const uint8_t *p, uint64_t n, bool wide)
{
    uint32_t most = 0;

    for (uint64_t i = 0; i < n; i++) {
        const uint32_t id = wide ? ds_get_u32(p + 4 * i) : (uint32_t)(p[2 * i] | p[2 * i + 1] << 8);
        most = id > most ? id : most;
    }
    return most;
}

static int add_record(ds_dataset *d, const ds_value *x, ds_err *err)
{
    const uint64_t n = x->null ? 0 : x->count;
    const uint32_t most = largest_of(x->p, n, d->wide);
    const uint32_t n32 = (uint32_t)n;

    if (n > UINT32_MAX)
        return ds_fail(err, DS_FAIL, "record %llu has %llu tokens: more than a record may have",
                       (unsigned long long)d->info.records, (unsigned long long)n);
    if (ds_buf_put(&d->lengths, &n32, sizeof n32))
        return ds_fail_nomem(err);
    if (most > d->info.largest) {
        d->info.largest = most;
        d->info.largest_at = d->info.records;
    }
    d->pairs = d->pairs || n > 1;
    d->info.records++;
    d->info.tokens += n;
    return 0;
}

static int in_dataset(const ds_dataset *d, int rc, ds_err *err)
{
    if (rc)
        ds_err_prefix(err, "'%s'", d->name);
    return rc;
}

static const ds_records *records_of(const ds_buf *b)
{
    return (const ds_records *)(const void *)b->data;
}

int ds_dataset_leave_out(ds_dataset *d, const ds_records *v, size_t n, ds_err *err)
{
    ds_buf list = {0};
    uint32_t *l;

    if (ds_buf_put(&list, v, n * sizeof *v))
        return ds_fail_nomem(err);
    ds_buf_fini(&d->left_out);
    d->left_out = list;
    ds_buf_reset(&d->used);
    if (n && ds_buf_put(&d->used, d->lengths.data, d->lengths.len))
        return ds_fail_nomem(err);
    l = (uint32_t *)(void *)d->used.data;
    TRY(in_dataset(d, ds_run_leave_out(l, d->info.records, v, n, err), err));
    d->info.lengths = n ? l : lengths_of(d);
    d->info.left_out = records_of(&d->left_out);
    d->info.nleft_out = n;
    d->info.tokens = d->info.gone = 0;
    for (uint64_t i = 0; i < d->info.records; i++)
        d->info.tokens += d->info.lengths[i];
    for (size_t i = 0; i < d->erased.len / sizeof(ds_records); i++)
        for (uint64_t k = 0; k < records_of(&d->erased)[i].n; k++)
            d->info.gone += d->info.lengths[records_of(&d->erased)[i].first + k] != 0;
    return 0;
}

/* The column that the loss mask is taken from. */
static int take_mask(ds_dataset *d, const ds_schema *s, const char *tokens, ds_err *err)
{
    const char *m = d->want_mask;

    if (!m)
        m = ds_recfacts_mask(s, tokens);
    else if (!strcmp(m, "none"))
        m = "";
    if (!(d->mask = strdup(m)))
        return ds_fail_nomem(err);
    TRY(in_dataset(d, ds_recfacts_init(&d->facts, s, tokens, m, err), err));
    return ds_recfacts_paired(s, tokens) ? ds_recfacts_sides(&d->facts, s, tokens, err) : 0;
}

/* What the column must be, and the tokenizer that it names. */
static int take_column(ds_dataset *d, const ds_schema *schema, const ds_column *c, ds_err *err)
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
    return rc ? rc : take_mask(d, schema, c->name, err);
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

    rc = rc ? rc : ds_pin_begin(&d->pin, &d->store, err);
    rc = rc ? rc : ds_revision_find(&rev, &d->store, spec, err);
    rc = rc ? rc : ds_pin_set(&d->pin, &d->store, &rev.id, err);
    if (!rc && !(d->name = strdup(rev.dataset)))
        rc = ds_fail_nomem(err);
    if (!rc) {
        rc = ds_colread_open(&d->col, &d->store, &rev.id, column, err);
        if (rc == DS_FAIL && err && strstr(err->msg, "has no column")) {
            ds_err_clear(err);
            rc = no_column(d, column, err);
        }
    }
    rc = rc ? rc : take_column(d, ds_colread_schema(d->col), ds_colread_column(d->col), err);
    for (size_t b = 0; !rc && b < ds_colread_blocks(d->col); b++) {
        rc = ds_colread_block(d->col, b, &buf, &v, err);
        while (!rc && ds_colview_next(&v, &x))
            rc = add_record(d, &x, err);
    }
    if (!rc)
        rc = in_dataset(d,
                        ds_factread(&d->facts, &d->store, &rev.id, ds_colread_schema(d->col),
                                    lengths_of(d), d->info.records, err),
                        err);
    if (!rc && ds_colread_erased(d->col))
        rc = in_dataset(d, ds_erasedlist(&d->erased, &d->store, &rev.id, err), err);
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
    return 0;
}

/* The place that holds the block; else the one that was not used for longest, and that nobody
 * reads.
 */
static cached *find_place(ds_dataset *d, size_t block)
{
    cached *oldest = NULL;

    for (size_t i = 0; i < CACHE; i++) {
        cached *c = &d->cache[i];
        if ((c->filled || c->loading) && c->block == block)
            return c;
        if (!c->loading && !c->readers && (!oldest || c->used < oldest->used))
            oldest = c;
    }
    return oldest;
}

/* The block's tokens, from the cache or into it; put_block gives them back. */
static int get_block(ds_dataset *d, size_t block, cached **out, ds_err *err)
{
    cached *c;
    int rc = 0;

    pthread_mutex_lock(&d->lock);
    while (!(c = find_place(d, block)) || c->loading)
        pthread_cond_wait(&d->loaded, &d->lock);
    c->used = ++d->clock;
    c->readers++;
    if (!c->filled || c->block != block) {
        c->loading = true;
        c->filled = false;
        c->block = block;
        pthread_mutex_unlock(&d->lock);
        rc = fill_slot(d, c, block, err);
        pthread_mutex_lock(&d->lock);
        c->loading = false;
        c->filled = !rc;
        c->readers -= rc != 0;
        pthread_cond_broadcast(&d->loaded);
    }
    pthread_mutex_unlock(&d->lock);
    *out = c;
    return rc;
}

static void put_block(ds_dataset *d, cached *c)
{
    pthread_mutex_lock(&d->lock);
    if (--c->readers == 0)
        pthread_cond_broadcast(&d->loaded); /* somebody may want the place */
    pthread_mutex_unlock(&d->lock);
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
        TRY(add_record(d, &x, err));
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
    int rc = col < 0 ? no_column(d, column, err) : take_column(d, s, &s->cols[col], err);

    rc = rc ? rc : ds_blockcheck_new(&check, s, err);
    while (!rc) {
        rc = ds_reader_next(r, &ev, err);
        if (rc || ev == DS_EV_END)
            break;
        if (ev == DS_EV_SOURCE) {
            rc = ds_rootsum_source(sum, ds_reader_source(r), err);
            rc = rc ? rc : ds_srcfacet_source(&d->facts.origins, ds_reader_source(r), err);
            continue;
        }
        rc = ds_blockcheck_block(check, ds_reader_block(r), err);
        rc = rc ? rc : take_block(d, ds_reader_block(r), &s->cols[col], (size_t)col, err);
        rc = rc ? rc
                : in_dataset(
                      d, ds_recfacts_block(&d->facts, ds_reader_block(r), s, lengths_of(d), err),
                      err);
        rc = rc ? rc : sum_block(sum, ds_reader_block(r), err);
    }
    rc = rc ? rc : ds_recfacts_end(&d->facts, err);
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

bool ds_dataset_erased(const ds_dataset *d, uint64_t record)
{
    const ds_records *v = records_of(&d->erased);
    size_t from = 0, to = d->erased.len / sizeof *v;

    while (from < to) {
        const size_t mid = from + (to - from) / 2;
        if (record < v[mid].first)
            to = mid;
        else if (record - v[mid].first >= v[mid].n)
            from = mid + 1;
        else
            return true;
    }
    return false;
}

bool ds_dataset_pair(const ds_dataset *d, uint64_t record, uint32_t *at)
{
    return d->facts.paired && ds_lossmask_split(&d->facts.sides, record, lengths_of(d)[record], at);
}

int ds_dataset_want_pairs(const ds_dataset *d, bool pairs, ds_err *err)
{
    if (pairs == d->info.paired)
        return 0;
    return pairs ? ds_fail(err, DS_FAIL,
                           "'%s' holds no pairs of answers (dsprep tokenize --chosen --rejected "
                           "makes them)",
                           d->name)
                 : ds_fail(err, DS_FAIL,
                           "'%s' holds pairs of answers, of which one is not to be learned "
                           "(--preference dpo)",
                           d->name);
}

/* Each side is a text of its own: something of it is learned, and its first token is not. */
static int check_pairs(const ds_dataset *d, ds_err *err)
{
    const ds_lossmask *m = ds_recfacts_lossmask(&d->facts);
    const ds_records *gone = records_of(&d->erased), *end = gone + d->erased.len / sizeof *gone;
    const char *what = NULL;
    uint32_t at = 0;
    uint8_t first;

    if (d->facts.paired && !m)
        return ds_fail(err, DS_FAIL,
                       "'%s' holds pairs of answers, and no loss mask says what they are (--mask)",
                       d->name);
    for (uint64_t r = 0; d->facts.paired && r < d->info.records; r++) {
        const uint32_t n = lengths_of(d)[r];
        while (gone < end && r - gone->first >= gone->n && r >= gone->first)
            gone++;
        if (!n || (gone < end && r >= gone->first))
            continue;
        if (!ds_lossmask_split(&d->facts.sides, r, n, &at))
            what = "its sides are not one and then the other";
        else if (!ds_lossmask_targets(m, r, 0, at) || !ds_lossmask_targets(m, r, at, n - at))
            what = "a side has no target";
        ds_lossmask_get(m, r, at, 1, &first);
        if (!what && first)
            what = "the first token of its second side is a target";
        if (what)
            return ds_fail(err, DS_FAIL, "'%s', record %llu is no pair: %s", d->name,
                           (unsigned long long)r, what);
    }
    return 0;
}

int ds_dataset_open(ds_dataset **out, const char *spec, const char *store, const char *column,
                    const char *mask, ds_err *err)
{
    const size_t len = strlen(spec);
    ds_dataset *d = calloc(1, sizeof *d);
    int rc;

    if (!d)
        return ds_fail_nomem(err);
    d->want_mask = mask;
    d->pin = (ds_pin){.gate = -1, .fd = -1};
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->loaded, NULL);
    if (len > 4 && !strcmp(spec + len - 4, ".dsr"))
        rc = open_file(d, spec, column, err);
    else
        rc = open_store(d, spec, store, column, err);
    rc = rc ? rc
            : ds_dataset_leave_out(d, records_of(&d->erased), d->erased.len / sizeof(ds_records),
                                   err);
    if (!rc && d->info.tokens && !d->pairs)
        rc = ds_fail(err, DS_FAIL,
                     "'%s': no record has two tokens, so there is none that others tell of",
                     d->name);
    if (!rc && d->facts.masked && d->info.tokens && !d->facts.mask.targets)
        rc = ds_fail(err, DS_FAIL,
                     "'%s': its loss mask '%s' leaves no token to learn from (--mask none takes "
                     "all)",
                     d->name, d->mask);
    rc = rc ? rc : check_pairs(d, err);
    if (rc) {
        ds_dataset_close(d);
        return rc;
    }
    d->info.paired = d->facts.paired;
    d->info.name = d->name;
    d->info.tokenizer = d->tokenizer;
    d->info.mask = d->mask;
    d->info.facts = &d->facts;
    *out = d;
    return 0;
}

const ds_dataset_info *ds_dataset_about(const ds_dataset *d)
{
    return &d->info;
}

int ds_tokenizer_digest(char out[DS_DIGEST_TEXT], const char *model, ds_err *err)
{
    char path[DS_PATH], hex[65];
    ds_sha sum;

    *out = '\0';
    TRY(ds_path_join(path, model, "tokenizer.json", err));
    if (!ds_path_exists(path))
        return 0;
    TRY(ds_sha_file(&sum, NULL, path, err));
    ds_sha_hex(hex, &sum);
    snprintf(out, DS_DIGEST_TEXT, "sha256:%s", hex);
    return 0;
}

int ds_dataset_tokenizer(const ds_dataset *d, const char *tokenizer, ds_err *err)
{
    const char *was = d->info.tokenizer;

    return *was && *tokenizer && strcmp(tokenizer, was) != 0
               ? ds_fail(err, DS_FAIL,
                         "dataset '%s' was tokenized with %s, the model's tokenizer.json is %s",
                         d->info.name, was, tokenizer)
               : 0;
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
    cached *c = NULL;

    if (record >= d->info.records || offset > d->info.lengths[record] ||
        n > d->info.lengths[record] - offset)
        return ds_fail(err, DS_FAIL, "'%s': record %llu has no tokens %u to %llu", d->name,
                       (unsigned long long)record, offset, (unsigned long long)offset + n);
    if (d->col) {
        const size_t block = ds_colread_find(d->col, record);
        TRY(get_block(d, block, &c, err));
        p = c->data + (size_t)c->at[record - ds_colread_first(d->col, block)] * width;
    } else {
        p = d->tokens + ((const uint64_t *)(const void *)d->starts.data)[record] * width;
    }
    widen(out, p + (size_t)offset * width, n, d->wide);
    if (c)
        put_block(d, c);
    return 0;
}

void ds_dataset_targets(const ds_dataset *d, uint64_t record, uint32_t offset, uint32_t n,
                        uint8_t *learn)
{
    ds_lossmask_get(ds_recfacts_lossmask(&d->facts), record, offset, n, learn);
    if (n)
        learn[0] = 0;
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
    ds_pin_end(&d->pin);
    ds_store_close(&d->store);
    ds_spool_fini(&d->spool);
    ds_buf_fini(&d->starts);
    ds_buf_fini(&d->lengths);
    ds_buf_fini(&d->erased);
    ds_buf_fini(&d->left_out);
    ds_buf_fini(&d->used);
    free(d->name);
    free(d->tokenizer);
    free(d->mask);
    pthread_cond_destroy(&d->loaded);
    pthread_mutex_destroy(&d->lock);
    ds_recfacts_fini(&d->facts);
    free(d);
}
