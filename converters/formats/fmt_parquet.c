/* fmt_parquet.c - Apache Parquet, written. Reading is parquet/pqread.c's.
 *
 * A block of records becomes a page of each leaf (pqpage.h) on any thread; what is small, or comes
 * again so often that a dictionary pays (pqdict.h), waits for more of its kind. Pages of a leaf lie
 * in a spool until their group of rows is full, since columns of a group stand one behind the
 * other.
 *
 *   type               leaf
 *   utf8, json, runs   BYTE_ARRAY: STRING, JSON, JSON
 *   bytes              BYTE_ARRAY
 *   bool               BOOLEAN
 *   i64, timestamp     INT64; TIMESTAMP in UTC, nanoseconds
 *   f64                DOUBLE
 *   tokens             a list of INT32: of 16 or 32 bits, unsigned
 *   list               a list of the above
 *   tensor             a group of dtype: STRING, shape: a list of INT64, data: BYTE_ARRAY
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fmtout.h"
#include "pqcodec.h"
#include "pqfooter.h"
#include "pqpage.h"
#include "pqread.h"
#include "try.h"

#define PAGE_BYTES ((size_t)1 << 20)  /* of values that waited */
#define PAGE_ALONE ((size_t)64 << 10) /* values of a block that need not wait */
#define GROUP_BYTES ((uint64_t)64 << 20)
#define GROUP_ROWS ((uint64_t)1 << 20)
enum { LEVEL = 3, LEAVES_MOST = 3 * 256, PARTS = 3 };

/* Pages of a leaf on their way into a group. */
typedef struct stream {
    const ds_pqnode *leaf;
    ds_spool pages;
    ds_pqpart waiting;
    ds_pqdict dictionary;
    ds_buf numbers; /* of a page's values in it */
    ds_pqdone done;
} stream;

/* What a block is encoded with. A thread borrows one for it, so that there are only as many as
 * work at the same time, and the next block finds memory and zstd's tables there. */
typedef struct bench {
    struct bench *next;
    ds_pqpart *parts; /* by leaf */
    ds_pqpress press;
} bench;

typedef struct shelf {
    pthread_mutex_t lock;
    bench *first;
} shelf;

typedef struct writer {
    ds_fmtout out; /* first: ds_fmtwriter_finish */
    ds_fmtwrite o;
    const ds_schema *schema;
    ds_pqfile file;
    size_t nodes[LEAVES_MOST]; /* of the leaves */
    size_t first[256];         /* by column: its first leaf */
    stream *streams;
    shelf *benches;
    ds_pqpress press;           /* of the one thread that writes */
    uint64_t rows, group_bytes; /* of the group at hand; of a full one */
    ds_spool group;
    ds_pqgroupdone *groups; /* of the file at hand */
    size_t ngroups, cap_groups;
} writer;

/* ---- the schema ---- */

static ds_pqnode leaf_of(enum ds_type t)
{
    ds_pqnode n = {.type = DS_PQ_BYTES};

    switch (t) {
    case DS_UTF8:
        n.meaning = DS_PQ_TEXT;
        break;
    case DS_JSON:
    case DS_RUNS:
        n.meaning = DS_PQ_JSON;
        break;
    case DS_BOOL:
        n.type = DS_PQ_BOOLEAN;
        break;
    case DS_I64:
        n.type = DS_PQ_INT64;
        break;
    case DS_TIMESTAMP:
        n.type = DS_PQ_INT64;
        n.meaning = DS_PQ_TIMESTAMP;
        break;
    case DS_F64:
        n.type = DS_PQ_DOUBLE;
        break;
    case DS_TOKENS16:
    case DS_TOKENS32:
        n.type = DS_PQ_INT32;
        n.meaning = DS_PQ_INTEGER;
        n.bits = t == DS_TOKENS16 ? 16 : 32;
        n.is_unsigned = true;
        break;
    default:
        break;
    }
    return n;
}

static int add_leaf(writer *w, size_t parent, const char *name, ds_pqnode n)
{
    n.name = (char *)(uintptr_t)name;
    return ds_pqfile_add(&w->file, parent, &n, &w->nodes[w->file.nleaves]);
}

static int add_group(writer *w, size_t parent, const char *name, enum ds_pqrepetition r,
                     enum ds_pqmeaning m, size_t *at)
{
    const ds_pqnode n = {
        .name = (char *)(uintptr_t)name, .type = DS_PQ_GROUP, .repetition = r, .meaning = m};

    return ds_pqfile_add(&w->file, parent, &n, at);
}

/* A list, and the node that its items go below. */
static int add_list(writer *w, size_t parent, const char *name, enum ds_pqrepetition r, size_t *at)
{
    TRY(add_group(w, parent, name, r, DS_PQ_LIST, at));
    return add_group(w, *at, "list", DS_PQ_REPEATED, DS_PQ_PLAIN, at);
}

static int add_tensor(writer *w, const char *name, enum ds_pqrepetition r)
{
    size_t group, shape;

    TRY(add_group(w, 0, name, r, DS_PQ_PLAIN, &group));
    TRY(add_leaf(w, group, "dtype", leaf_of(DS_UTF8)));
    TRY(add_list(w, group, "shape", DS_PQ_REQUIRED, &shape));
    TRY(add_leaf(w, shape, "element", leaf_of(DS_I64)));
    return add_leaf(w, group, "data", leaf_of(DS_BYTES));
}

static bool is_tokens(enum ds_type t)
{
    return t == DS_TOKENS16 || t == DS_TOKENS32;
}

static int add_column(writer *w, const ds_column *c)
{
    const enum ds_pqrepetition r = c->nullable ? DS_PQ_OPTIONAL : DS_PQ_REQUIRED;
    ds_pqnode leaf = leaf_of(c->type == DS_LIST ? c->item : c->type);
    size_t at = 0;

    if (c->type == DS_TENSOR)
        return add_tensor(w, c->name, r);
    if (c->type != DS_LIST && !is_tokens(c->type)) {
        leaf.repetition = r;
        return add_leaf(w, 0, c->name, leaf);
    }
    TRY(add_list(w, 0, c->name, r, &at));
    if (c->type == DS_LIST && is_tokens(c->item))
        TRY(add_list(w, at, "element", DS_PQ_REQUIRED, &at));
    return add_leaf(w, at, "element", leaf);
}

static int begin(void **out, const ds_fmtwrite *o, const ds_schema *s, ds_fmtloss *l, ds_err *err)
{
    writer *w = *out = calloc(1, sizeof *w);
    const uint64_t shard = o->shards ? o->shard_size : 0;

    if (!w || add_group(w, 0, "schema", DS_PQ_REQUIRED, DS_PQ_PLAIN, NULL))
        return ds_fail_nomem(err);
    (void)l; /* nothing is lost */
    w->o = *o;
    w->o.level = o->level < 0 ? LEVEL : o->level;
    w->schema = s;
    w->group_bytes = shard && shard < GROUP_BYTES ? shard : GROUP_BYTES;
    for (size_t i = 0; i < s->n; i++) {
        w->first[i] = w->file.nleaves;
        if (add_column(w, &s->cols[i]))
            return ds_fail_nomem(err);
    }
    w->streams = calloc(w->file.nleaves + 1, sizeof *w->streams);
    if (!w->streams || !(w->benches = calloc(1, sizeof *w->benches)))
        return ds_fail_nomem(err);
    pthread_mutex_init(&w->benches->lock, NULL);
    const uint64_t limit = o->memory / (w->file.nleaves + 1);
    for (size_t i = 0; i < w->file.nleaves; i++) {
        w->streams[i].leaf = &w->file.nodes[w->nodes[i]];
        w->streams[i].pages.limit = limit < 65536 ? 65536 : (size_t)limit;
    }
    return 0;
}

/* ---- what blocks are encoded with ---- */

static bench *borrow(const writer *w)
{
    pthread_mutex_lock(&w->benches->lock);
    bench *x = w->benches->first;
    if (x)
        w->benches->first = x->next;
    pthread_mutex_unlock(&w->benches->lock);
    if (x || !(x = calloc(1, sizeof *x)))
        return x;
    x->parts = calloc(w->file.nleaves + 1, sizeof *x->parts);
    if (x->parts)
        return x;
    free(x);
    return NULL;
}

static void give_back(const writer *w, bench *x)
{
    for (size_t i = 0; i < w->file.nleaves; i++)
        ds_pqpart_reset(&x->parts[i]);
    ds_pqpress_reset(&x->press);
    pthread_mutex_lock(&w->benches->lock);
    x->next = w->benches->first;
    w->benches->first = x;
    pthread_mutex_unlock(&w->benches->lock);
}

static void free_benches(writer *w)
{
    for (bench *x = w->benches->first, *next; x; x = next) {
        next = x->next;
        for (size_t i = 0; i < w->file.nleaves; i++)
            ds_pqpart_fini(&x->parts[i]);
        free(x->parts);
        ds_pqpress_fini(&x->press);
        free(x);
    }
    pthread_mutex_destroy(&w->benches->lock);
    free(w->benches);
}

/* ---- a block's values ---- */

typedef struct encoder {
    const writer *w;
    ds_fmtblock *b;
    ds_pqpart *parts; /* by leaf, of the bench */
    bench *bench;
} encoder;

static int put_bytes(ds_pqpart *p, const void *data, size_t len)
{
    return ds_buf_u32(&p->values, (uint32_t)len) || ds_buf_put(&p->values, data, len); /* a page is
                                                                                          checked */
}

static int put_whole(ds_pqpart *p, int64_t v)
{
    ds_pqpart_range(p, v, v);
    return ds_buf_u64(&p->values, (uint64_t)v);
}

static int put_value(ds_pqpart *p, enum ds_type t, const ds_value *x)
{
    switch (t) {
    case DS_BOOL:
        return ds_buf_putc(&p->values, (uint8_t)x->i);
    case DS_I64:
    case DS_TIMESTAMP:
        return put_whole(p, x->i);
    case DS_F64:
        return ds_buf_put(&p->values, &x->f, sizeof x->f);
    default:
        return put_bytes(p, x->p, x->len);
    }
}

/* A level of leaf k of those of a column. */
static int level(const encoder *e, size_t leaf, int rep, int def)
{
    return ds_pqpart_level(&e->parts[leaf], e->w->streams[leaf].leaf, rep, def);
}

/* Ids below a list: its first one comes with the level `rep`. */
static int put_ids(const encoder *e, size_t leaf, size_t column, const ds_value *x, int rep)
{
    const ds_pqnode *n = e->w->streams[leaf].leaf;
    ds_pqpart *p = &e->parts[leaf];

    if (!x->count)
        return level(e, leaf, rep, n->def - 1);
    for (uint64_t k = 0; k < x->count; k++)
        if (level(e, leaf, k ? n->rep : rep, n->def) ||
            ds_buf_u32(&p->values, ds_value_token(&e->b->row.views[column], x, k)))
            return DS_NOMEM;
    return 0;
}

static int put_list(const encoder *e, size_t leaf, size_t column, const ds_value *x)
{
    const ds_column *c = &e->w->schema->cols[column];
    const ds_pqnode *n = e->w->streams[leaf].leaf;
    ds_items it;
    ds_value item;
    int rep = 0;

    if (!x->count)
        return level(e, leaf, 0, c->nullable);
    ds_value_items(&it, &e->b->row.views[column], x);
    for (; ds_items_next(&it, &item); rep = 1)
        if (is_tokens(c->item)
                ? put_ids(e, leaf, column, &item, rep)
                : level(e, leaf, rep, n->def) || put_value(&e->parts[leaf], c->item, &item))
            return DS_NOMEM;
    return 0;
}

static int put_tensor(const encoder *e, size_t leaf, const ds_column *c, const ds_value *x)
{
    const char *dtype = ds_dtype_name(x->dtype);
    int rc = level(e, leaf, 0, c->nullable);

    rc = rc ? rc : put_bytes(&e->parts[leaf], dtype, strlen(dtype));
    rc = rc || x->ndim ? rc : level(e, leaf + 1, 0, c->nullable);
    for (int d = 0; d < x->ndim && !rc; d++)
        rc = level(e, leaf + 1, d > 0, c->nullable + 1) ||
             put_whole(&e->parts[leaf + 1], (int64_t)x->dims[d]);
    rc = rc ? rc : level(e, leaf + 2, 0, c->nullable);
    return rc ? rc : put_bytes(&e->parts[leaf + 2], x->p, x->len);
}

static int put_column(const encoder *e, size_t i, ds_err *err)
{
    const ds_column *c = &e->w->schema->cols[i];
    const ds_value *x = &e->b->row.values[i];
    const size_t leaf = e->w->first[i];
    int rc;

    if (x->null) {
        rc = level(e, leaf, 0, 0);
        if (c->type == DS_TENSOR)
            rc = rc || level(e, leaf + 1, 0, 0) || level(e, leaf + 2, 0, 0);
    } else if (c->type == DS_LIST) {
        rc = put_list(e, leaf, i, x);
    } else if (c->type == DS_TENSOR) {
        rc = put_tensor(e, leaf, c, x);
    } else if (is_tokens(c->type)) {
        rc = put_ids(e, leaf, i, x, 0);
    } else if (c->type == DS_RUNS) {
        TRY(ds_fmtblock_json(e->b, i, err));
        rc = level(e, leaf, 0, c->nullable) ||
             put_bytes(&e->parts[leaf], e->b->row.out.data, e->b->row.out.len);
    } else {
        rc = level(e, leaf, 0, c->nullable) || put_value(&e->parts[leaf], c->type, x);
    }
    return rc ? ds_fail_nomem(err) : 0;
}

/* ---- on their way to the one thread that writes ---- */

/* levels, nulls, any, least, most, raw bytes of the page, or 0: then the part itself */
enum { HEAD = 6 * 8 };

static int send_part(const encoder *e, size_t leaf, ds_err *err)
{
    const ds_pqpart *p = &e->parts[leaf];
    ds_fmtblock *b = e->b;
    const ds_buf *bufs[PARTS] = {&p->reps, &p->defs, &p->values};
    const ds_pqnode *node = e->w->streams[leaf].leaf;
    const bool alone = p->reps.len + p->defs.len + p->values.len >= PAGE_ALONE &&
                       !ds_pqdict_pays(node, &p->values);
    ds_pqpress *press = &e->bench->press;
    int rc = alone ? ds_pqpage_make(press, p, node, NULL, e->w->o.level, err) : 0;

    const uint64_t head[] = {
        p->n, p->nulls, p->any, (uint64_t)p->least, (uint64_t)p->most, alone ? press->raw : 0};
    for (size_t i = 0; i < sizeof head / sizeof *head && !rc; i++)
        rc = ds_fmtblock_u64(b, head[i], err);
    if (!rc && alone) {
        rc = ds_fmtblock_u64(b, press->page.len, err);
        rc = rc ? rc : ds_fmtblock_put(b, press->page.data, press->page.len, err);
    }
    for (int i = 0; i < PARTS && !rc && !alone; i++) {
        rc = ds_fmtblock_u64(b, bufs[i]->len, err);
        rc = rc ? rc : ds_fmtblock_put(b, bufs[i]->data, bufs[i]->len, err);
    }
    return rc;
}

static int block(const void *v, ds_fmtblock *b, ds_err *err)
{
    const writer *w = v;
    encoder e = {.w = w, .b = b, .bench = borrow(w)};
    const uint64_t rows = b->block->rows;

    if (!e.bench)
        return ds_fail_nomem(err);
    e.parts = e.bench->parts;
    int rc = ds_fmtblock_u64(b, rows, err);

    for (uint64_t i = 0; i < rows && !rc; i++) {
        rc = ds_jsonrow_step(&b->row, b->form, err);
        for (size_t k = 0; k < w->schema->n && !rc; k++)
            rc = put_column(&e, k, err);
        if (rc)
            ds_err_prefix(err, "record %llu", (unsigned long long)(b->number + i));
    }
    for (size_t i = 0; i < w->file.nleaves && !rc; i++)
        rc = send_part(&e, i, err);
    give_back(w, e.bench);
    return rc;
}

/* ---- into their group ---- */

static int add_page(stream *s, const uint8_t *p, size_t len, uint64_t raw, ds_err *err)
{
    s->done.raw += raw;
    s->done.packed += len;
    return ds_spool_put(&s->pages, p, len, err);
}

/* What waited becomes a page. */
static int end_waiting(writer *w, stream *s, ds_err *err)
{
    ds_pqpress *x = &w->press;

    if (!s->waiting.n)
        return 0;
    int rc = ds_pqdict_take(&s->dictionary, s->leaf, &s->waiting.values, &s->numbers)
                 ? ds_fail_nomem(err)
                 : 0;
    const bool plain = s->dictionary.given_up || !s->numbers.len;
    rc = rc ? rc
            : ds_pqpage_make(x, &s->waiting, s->leaf, plain ? NULL : &s->numbers, w->o.level, err);
    rc = rc ? rc : add_page(s, x->page.data, x->page.len, x->raw, err);
    ds_pqpress_reset(x);
    ds_pqpart_reset(&s->waiting);
    return rc;
}

/* Takes a leaf's part off what a block sent. */
static int take_part(writer *w, stream *s, const uint8_t **at, ds_err *err)
{
    ds_buf *bufs[PARTS] = {&s->waiting.reps, &s->waiting.defs, &s->waiting.values};
    const uint8_t *p = *at + HEAD;
    const uint64_t n = ds_get_u64(*at), raw = ds_get_u64(*at + 40);
    ds_pqpart range = {.any = s->done.any, .least = s->done.least, .most = s->done.most};
    int rc = 0;

    s->done.values += n;
    s->done.nulls += ds_get_u64(*at + 8);
    if (ds_get_u64(*at + 16))
        ds_pqpart_range(&range, (int64_t)ds_get_u64(*at + 24), (int64_t)ds_get_u64(*at + 32));
    s->done.any = range.any;
    s->done.least = range.least;
    s->done.most = range.most;
    if (raw) {
        rc = end_waiting(w, s, err);
        rc = rc ? rc : add_page(s, p + 8, (size_t)ds_get_u64(p), raw, err);
        *at = p + 8 + ds_get_u64(p);
        return rc;
    }
    for (int i = 0; i < PARTS && !rc; i++) {
        const size_t len = (size_t)ds_get_u64(p);
        rc = ds_buf_put(bufs[i], p + 8, len) ? ds_fail_nomem(err) : 0;
        p += 8 + len;
    }
    s->waiting.n += n;
    *at = p;
    return rc || s->waiting.values.len < PAGE_BYTES ? rc : end_waiting(w, s, err);
}

/* A leaf's dictionary, if it has one, before its pages. */
static int put_dictionary(writer *w, stream *s, ds_err *err)
{
    ds_pqpress *x = &w->press;

    if (!ds_pqdict_size(&s->dictionary))
        return 0;
    TRY(ds_pqpage_make_dictionary(x, &s->dictionary, w->o.level, err));
    s->done.dictionary = x->page.len;
    s->done.packed += x->page.len;
    s->done.raw += x->raw;
    return ds_spool_put(&w->group, x->page.data, x->page.len, err);
}

static int gather(writer *w, ds_pqdone *leaves, ds_err *err)
{
    const uint8_t *p;
    size_t len;

    for (size_t i = 0; i < w->file.nleaves; i++) {
        stream *s = &w->streams[i];
        TRY(end_waiting(w, s, err));
        s->done.at = ds_spool_len(&w->group);
        TRY(put_dictionary(w, s, err));
        ds_pqdict_reset(&s->dictionary);
        leaves[i] = s->done;
        s->done = (ds_pqdone){0};
        TRY(ds_spool_view(&s->pages, &p, &len, err));
        TRY(ds_spool_put(&w->group, p, len, err));
        ds_spool_reset(&s->pages);
    }
    return 0;
}

static int end_group(writer *w, ds_err *err)
{
    const uint8_t *p;
    size_t len;
    ds_pqdone *leaves = w->rows ? calloc(w->file.nleaves + 1, sizeof *leaves) : NULL;

    if (!w->rows)
        return 0;
    int rc = leaves ? gather(w, leaves, err) : ds_fail_nomem(err);
    rc = rc ? rc : ds_spool_view(&w->group, &p, &len, err);
    rc = rc ? rc : ds_fmtout_put(&w->out, p, len, err); /* which may begin a file */
    if (!rc && ds_grow(&w->groups, &w->cap_groups, w->ngroups, sizeof *w->groups))
        rc = ds_fail_nomem(err);
    if (rc) {
        free(leaves);
        return rc;
    }
    w->groups[w->ngroups++] =
        (ds_pqgroupdone){.at = w->out.out.pos - len, .rows = w->rows, .leaves = leaves};
    w->rows = 0;
    ds_spool_reset(&w->group);
    return 0;
}

static int put(void *v, const uint8_t *p, size_t len, ds_err *err)
{
    writer *w = v;
    uint64_t bytes = 0;

    (void)len;
    w->rows += ds_get_u64(p);
    p += 8;
    for (size_t i = 0; i < w->file.nleaves; i++) {
        TRY(take_part(w, &w->streams[i], &p, err));
        bytes += ds_spool_len(&w->streams[i].pages) + w->streams[i].waiting.values.len;
    }
    return bytes >= w->group_bytes || w->rows >= GROUP_ROWS ? end_group(w, err) : 0;
}

/* ---- files ---- */

static void forget_groups(writer *w)
{
    for (size_t i = 0; i < w->ngroups; i++)
        free(w->groups[i].leaves);
    w->ngroups = 0;
}

static int head(void *ctx, ds_out *out, ds_err *err)
{
    forget_groups(ctx);
    return ds_out_put(out, "PAR1", 4, err);
}

static int tail(void *ctx, ds_out *out, int fd, ds_err *err)
{
    writer *w = ctx;
    ds_buf b = {0};

    (void)fd;
    int rc = ds_pqfooter_put(&b, &w->file, w->groups, w->ngroups,
                             w->o.level ? DS_PQ_ZSTD : DS_PQ_STORED);
    if (rc || ds_buf_u32(&b, (uint32_t)b.len) || ds_buf_put(&b, "PAR1", 4))
        rc = ds_fail_nomem(err);
    rc = rc ? rc : ds_out_put(out, b.data, b.len, err);
    ds_buf_fini(&b);
    return rc;
}

static int open_out(void *v, ds_err *err)
{
    writer *w = v;

    w->out.ext = ".parquet";
    w->out.shard_size = w->o.shard_size;
    w->out.ends = (ds_fmtends){.head = head, .tail = tail, .ctx = w};
    return ds_fmtout_open(&w->out, w->o.path, w->o.shards, false, err);
}

static int finish(void *v, ds_fmtwritten *done, ds_err *err)
{
    const int rc = end_group(v, err);

    return rc ? rc : ds_fmtwriter_finish(v, done, err);
}

static void free_writer(void *v)
{
    writer *w = v;

    if (!w)
        return;
    ds_fmtout_abort(&w->out);
    for (size_t i = 0; w->streams && i < w->file.nleaves; i++) {
        ds_spool_fini(&w->streams[i].pages);
        ds_pqpart_fini(&w->streams[i].waiting);
        ds_pqdict_fini(&w->streams[i].dictionary);
        ds_buf_fini(&w->streams[i].numbers);
    }
    if (w->benches)
        free_benches(w);
    ds_pqpress_fini(&w->press);
    forget_groups(w);
    free(w->groups);
    free(w->streams);
    ds_spool_fini(&w->group);
    ds_pqfile_fini(&w->file);
    free(w);
}

extern const ds_format ds_format_parquet;
const ds_format ds_format_parquet = {
    .name = "parquet",
    .summary = "Apache Parquet",
    .ext = ".parquet",
    .flags =
        DS_FORMAT_PIPE | DS_FORMAT_SHARDS | DS_FORMAT_COLUMNS | DS_FORMAT_LAKE | DS_FORMAT_LEVEL,
    .begin = begin,
    .open = open_out,
    .block = block,
    .put = put,
    .finish = finish,
    .free = free_writer,
    .read_open = ds_pqread_open,
    .schema = ds_pqread_schema,
    .read = ds_pqread_read,
    .close = ds_pqread_close,
};
