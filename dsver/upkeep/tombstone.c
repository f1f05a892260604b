/* tombstone.c - see tombstone.h. */
#include "tombstone.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dsr_rowcopy.h"
#include "dsr_sources.h"
#include "sourcepage.h"

void ds_tombstone_mark(char out[DS_TOMBSTONE_MARK + 1], const uint8_t salt[32])
{
    snprintf(out, DS_TOMBSTONE_MARK + 1, DS_TOMBSTONE "%02x%02x%02x%02x", salt[0], salt[1], salt[2],
             salt[3]);
}

/* The name in place of a key: the same for equal keys under one salt, of which the mark is kept and
 * the rest thrown away. */
static int name_erased(ds_erasedrow *r, const uint8_t salt[32], const void *key, size_t len,
                       ds_err *err)
{
    ds_buf b = {0};
    ds_sha sum;
    char hex[65], mark[DS_TOMBSTONE_MARK + 1];
    int rc = ds_buf_put(&b, salt, 32) || ds_buf_put(&b, key, len) ? ds_fail_nomem(err) : 0;
    rc = rc ? rc : ds_sha_bytes(&sum, b.data, b.len, err);
    ds_buf_fini(&b);
    if (rc)
        return rc;
    ds_sha_hex(hex, &sum);
    ds_tombstone_mark(mark, salt);
    snprintf(r->name, sizeof r->name, "%s%.24s", mark + sizeof DS_TOMBSTONE - 1, hex);
    return 0;
}

/* The whole of it, for which out has room. */
static void whole_name(char out[sizeof DS_TOMBSTONE + 32], const ds_erasedrow *r)
{
    snprintf(out, sizeof DS_TOMBSTONE + 32, DS_TOMBSTONE "%s", r->name);
}

/* ---- a block ---- */

static int put_zeros(ds_colbuild *b, uint64_t n, ds_err *err)
{
    static const uint32_t zeros[256];
    int rc = ds_colbuild_begin(b, err);
    while (!rc && n) {
        const size_t k = n < 256 ? (size_t)n : 256;
        rc = ds_colbuild_part_tokens(b, zeros, k, err);
        n -= k;
    }
    return rc ? rc : ds_colbuild_end(b, err);
}

static int put_empty(ds_colbuild *b, const ds_colview *v, const ds_value *x, ds_err *err)
{
    static const uint64_t none[1] = {0};
    if (!x->null && (v->type == DS_TOKENS16 || v->type == DS_TOKENS32))
        return put_zeros(b, x->count, err);
    if (v->type == DS_RUNS)
        return ds_colbuild_value(b, v, x, err);
    if (b->nullable)
        return ds_colbuild_null(b, err);
    switch (v->type) {
    case DS_BOOL:
        return ds_colbuild_bool(b, false, err);
    case DS_I64:
    case DS_TIMESTAMP:
        return ds_colbuild_i64(b, 0, err);
    case DS_F64:
        return ds_colbuild_f64(b, 0, err);
    case DS_JSON:
        return ds_colbuild_bytes(b, "null", 4, err);
    case DS_TENSOR:
        return ds_colbuild_tensor(b, x->dtype, 1, none, "", 0, err);
    case DS_LIST: {
        int rc = ds_colbuild_list_begin(b, err);
        return rc ? rc : ds_colbuild_list_end(b, err);
    }
    default:
        return ds_colbuild_bytes(b, "", 0, err);
    }
}

typedef struct tomb {
    const ds_verside *v;
    ds_recblock rec;
    ds_colbuild *cols;
    ds_buf *bytes; /* a chunk each */
    ds_buf ends;   /* size_t: of all chunks' pieces */
    ds_chunk *chunks;
    size_t *npieces, **piece_ends;
} tomb;

/* erase: what it is called; NULL: it stays. */
static int put_row(tomb *t, const ds_erasedrow *erase, ds_err *err)
{
    const ds_schema *s = &t->v->schema;
    int rc = 0;
    for (size_t i = 0; !rc && i < s->n; i++) {
        const ds_value *x = &t->rec.values[i];
        char name[sizeof DS_TOMBSTONE + 32];
        if (!erase) {
            rc = ds_colbuild_value(&t->cols[i], &t->rec.views[i], x, err);
        } else if (i == 0 && s->explicit_key) {
            whole_name(name, erase);
            rc = ds_colbuild_bytes(&t->cols[i], name, strlen(name), err);
        } else {
            rc = put_empty(&t->cols[i], &t->rec.views[i], x, err);
        }
    }
    return rc;
}

/* Where a chunk's pieces end. */
static int cut(tomb *t, size_t i, ds_err *err)
{
    const ds_buf *b = &t->bytes[i];
    t->npieces[i] = 0;
    for (size_t at = 0; at < b->len; t->npieces[i]++) {
        const size_t left = b->len - at;
        at += left <= DS_PIECE_MAX ? left : ds_piece_len(b->data + at, left);
        if (ds_buf_put(&t->ends, &at, sizeof at))
            return ds_fail_nomem(err);
    }
    t->chunks[i] = (ds_chunk){.body = b->data, .body_len = b->len};
    return 0;
}

static int seal(tomb *t, ds_err *err)
{
    const size_t n = t->v->schema.n;
    ds_buf head = {0};
    int rc = 0;
    ds_buf_reset(&t->ends);
    for (size_t i = 0; !rc && i <= n; i++) {
        ds_chunk c = t->rec.lent.chunks[n]; /* origins stay as they are */
        if (i < n)
            rc = ds_colbuild_chunk(&t->cols[i], &head, &c, err);
        if (!rc && (ds_buf_put(&t->bytes[i], c.head, c.head_len) ||
                    ds_buf_put(&t->bytes[i], c.body, c.body_len)))
            rc = ds_fail_nomem(err);
        rc = rc ? rc : cut(t, i, err);
    }
    size_t *e = (size_t *)(void *)t->ends.data;
    for (size_t i = 0; !rc && i <= n; i++) {
        t->piece_ends[i] = e;
        e += t->npieces[i];
    }
    ds_buf_fini(&head);
    return rc;
}

/* What the job holds becomes a line and pieces; rc: filling it, before. */
static int put_job(ds_manline *line, ds_blockjob *job, int rc, ds_blockctx *ctx, ds_objtx *tx,
                   ds_err *err)
{
    if (!rc) {
        ds_blockjob_run(job, 1, ctx);
        rc = job->err.code ? ds_fail_as(err, &job->err) : 0;
    }
    rc = rc ? rc : ds_blockjob_put(job, ctx, tx, err);
    *line = job->line;
    job->line = (ds_manline){0};
    ds_blockjob_fini(job);
    return rc;
}

static int put_block(tomb *t, ds_manline *line, ds_objtx *tx, ds_err *err)
{
    const ds_block b = {.rows = t->rec.lent.rows,
                        .nchunks = t->v->schema.n + 1,
                        .chunks = t->chunks,
                        .piece_ends = t->piece_ends,
                        .npieces = t->npieces};
    ds_blockctx ctx = {0};
    ds_blockjob job = {0};
    int rc = ds_blockctx_init(&ctx, &t->v->schema, t->v->store->objs, err);
    rc = rc ? rc : ds_blockjob_block(&job, &b, NULL, err);
    rc = put_job(line, &job, rc, &ctx, tx, err);
    ds_blockctx_fini(&ctx);
    return rc;
}

static int tomb_init(tomb *t, const ds_verside *v, ds_err *err)
{
    const size_t n = v->schema.n + 1;
    *t = (tomb){.v = v,
                .cols = calloc(n, sizeof *t->cols),
                .bytes = calloc(n, sizeof *t->bytes),
                .chunks = calloc(n, sizeof *t->chunks),
                .npieces = calloc(n, sizeof *t->npieces),
                .piece_ends = calloc(n, sizeof *t->piece_ends)};
    if (!t->cols || !t->bytes || !t->chunks || !t->npieces || !t->piece_ends)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < v->schema.n; i++) {
        const ds_column *c = &v->schema.cols[i];
        ds_colbuild_init(&t->cols[i], c->type, c->item, c->nullable);
    }
    return 0;
}

static void tomb_fini(tomb *t)
{
    for (size_t i = 0; i <= t->v->schema.n; i++) {
        if (t->cols && i < t->v->schema.n)
            ds_colbuild_fini(&t->cols[i]);
        if (t->bytes)
            ds_buf_fini(&t->bytes[i]);
    }
    free(t->cols);
    free(t->bytes);
    free(t->chunks);
    free(t->npieces);
    free(t->piece_ends);
    ds_buf_fini(&t->ends);
    ds_recblock_fini(&t->rec);
}

int ds_tombstone_block(ds_manline *line, const ds_verside *v, size_t block, ds_buf *rows,
                       const uint8_t *salt, ds_objtx *tx, ds_err *err)
{
    tomb t;
    ds_erasedrow *erased = (ds_erasedrow *)(void *)rows->data;
    const size_t n = rows->len / sizeof *erased;
    size_t k = 0;
    int rc = tomb_init(&t, v, err);
    rc = rc ? rc : ds_recblock_load(&t.rec, v, block, true, err);
    for (uint64_t row = 0; !rc && ds_recblock_next(&t.rec); row++) {
        ds_erasedrow *erase = k < n && erased[k].row == row ? &erased[k++] : NULL;
        if (erase && salt && v->schema.explicit_key)
            rc = name_erased(erase, salt, t.rec.values[0].p, t.rec.values[0].len, err);
        rc = rc ? rc : put_row(&t, erase, err);
    }
    rc = rc ? rc : seal(&t, err);
    rc = rc ? rc : put_block(&t, line, tx, err);
    tomb_fini(&t);
    return rc;
}

/* ---- two of a block ---- */

static bool is_zero(const ds_value *x)
{
    for (size_t i = 0; i < x->len; i++)
        if (x->p[i])
            return false;
    return true;
}

static bool is_empty(const ds_colview *v, const ds_value *x)
{
    if (x->null || v->type == DS_RUNS)
        return true;
    switch (v->type) {
    case DS_BOOL:
    case DS_I64:
    case DS_TIMESTAMP:
        return x->i == 0;
    case DS_F64:
        return x->f == 0;
    case DS_JSON:
        return x->len == 4 && memcmp(x->p, "null", 4) == 0;
    case DS_LIST:
        return x->count == 0;
    case DS_TOKENS16:
    case DS_TOKENS32:
        return is_zero(x);
    default:
        return x->len == 0;
    }
}

/* A record without a key of its own is known by having nothing else either. */
bool ds_tombstone_is(const ds_recblock *r)
{
    const ds_schema *s = &r->side->schema;
    if (s->explicit_key)
        return ds_tombstone_name(r->values[0].p, r->values[0].len);
    for (size_t i = 0; i < s->n; i++)
        if (!is_empty(&r->views[i], &r->values[i]))
            return false;
    return true;
}

bool ds_tombstone_left(const ds_colview *v, const ds_value *was, const ds_value *now)
{
    if (v->type == DS_RUNS)
        return ds_value_same(v, was, v, now);
    if (v->type == DS_TOKENS16 || v->type == DS_TOKENS32)
        return now->null == was->null && now->count == was->count && is_zero(now);
    return is_empty(v, now);
}

/* Of two tombstones the one whose name comes first, so that it does not matter who joins them. */
static bool takes_second(const ds_recblock *a, const ds_recblock *b)
{
    const bool x = ds_tombstone_is(a), y = ds_tombstone_is(b);
    return x && y && a->side->schema.explicit_key
               ? memcmp(b->values[0].p, a->values[0].p, sizeof DS_TOMBSTONE + 31) < 0
               : y && !x;
}

int ds_tombstone_join(ds_manline *line, const ds_verside *a, size_t block_a, const ds_verside *b,
                      size_t block_b, ds_objtx *tx, ds_err *err)
{
    tomb t;
    ds_recblock other = {.side = NULL};
    int rc = tomb_init(&t, a, err);
    rc = rc ? rc : ds_recblock_load(&t.rec, a, block_a, true, err);
    rc = rc ? rc : ds_recblock_load(&other, b, block_b, false, err);
    while (!rc && ds_recblock_next(&t.rec)) {
        if (!ds_recblock_next(&other)) {
            rc = ds_fail(err, DS_CORRUPT, "what two erasures left of a block differs in length");
            break;
        }
        const ds_recblock *r = takes_second(&t.rec, &other) ? &other : &t.rec;
        for (size_t i = 0; !rc && i < a->schema.n; i++)
            rc = ds_colbuild_value(&t.cols[i], &r->views[i], &r->values[i], err);
    }
    rc = rc ? rc : seal(&t, err);
    rc = rc ? rc : put_block(&t, line, tx, err);
    ds_recblock_fini(&other);
    tomb_fini(&t);
    return rc;
}

/* ---- a page ---- */

static int put_page(ds_manline *line, ds_buf *fresh, uint64_t sources, ds_objstore *objs,
                    ds_objtx *tx, ds_err *err)
{
    ds_blockjob job = {0};
    ds_blockctx ctx = {.objs = objs};
    int rc = ds_blockjob_page(&job, fresh, sources, err);
    return put_job(line, &job, rc, &ctx, tx, err);
}

int ds_tombstone_join_page(ds_manline *line, const ds_buf *a, const ds_buf *b, uint64_t sources,
                           ds_objstore *objs, ds_objtx *tx, ds_err *err)
{
    ds_buf fresh = {0};
    int rc = 0;
    for (size_t x = 0, y = 0; !rc && x < a->len;) {
        ds_source one, two;
        uint64_t blocks;
        rc = ds_page_next(a->data, a->len, &x, &blocks, &one, err);
        if (!rc && y == b->len)
            rc = ds_fail(err, DS_CORRUPT, "what two erasures left of a page differs in length");
        rc = rc ? rc : ds_page_next(b->data, b->len, &y, &blocks, &two, err);
        if (rc)
            break;
        const bool gone1 = ds_tombstone_source(&one), gone2 = ds_tombstone_source(&two);
        const bool second = gone2 && (!gone1 || memcmp(two.name, one.name, one.len) < 0);
        if (ds_buf_varint(&fresh, blocks) || ds_source_put(&fresh, second ? &two : &one))
            rc = ds_fail_nomem(err);
    }
    rc = rc ? rc : put_page(line, &fresh, sources, objs, tx, err);
    ds_buf_fini(&fresh);
    return rc;
}

int ds_tombstone_page(ds_manline *line, const ds_buf *page, uint64_t sources, ds_buf *rows,
                      const uint8_t *salt, ds_objstore *objs, ds_objtx *tx, ds_err *err)
{
    ds_erasedrow *erase = (ds_erasedrow *)(void *)rows->data;
    const size_t n = rows->len / sizeof *erase;
    ds_buf fresh = {0};
    size_t k = 0;
    int rc = 0;
    for (uint64_t row = 0, pos = 0; !rc && pos < page->len; row++) {
        ds_source src;
        uint64_t blocks;
        char name[sizeof DS_TOMBSTONE + 32];
        size_t at = (size_t)pos;
        rc = ds_page_next(page->data, page->len, &at, &blocks, &src, err);
        pos = at;
        if (!rc && k < n && erase[k].row == row) {
            rc = salt ? name_erased(&erase[k], salt, src.name, src.len, err) : 0;
            whole_name(name, &erase[k++]);
            src = (ds_source){.name = name, .len = strlen(name)};
        }
        if (!rc && (ds_buf_varint(&fresh, blocks) || ds_source_put(&fresh, &src)))
            rc = ds_fail_nomem(err);
    }
    rc = rc ? rc : put_page(line, &fresh, sources, objs, tx, err);
    ds_buf_fini(&fresh);
    return rc;
}
