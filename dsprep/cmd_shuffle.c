/* cmd_shuffle.c - dsprep shuffle: records in an order that a seed and their keys decide. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blockpipe.h"
#include "cmd_transform.h"
#include "dsr_prov.h"
#include "extsort.h"
#include "rowpack.h"
#include "sig.h"
#include "stageout.h"
#include "term.h"

static int run(int argc, char **argv);

extern const ds_command ds_cmd_shuffle;
const ds_command ds_cmd_shuffle = {
    .prog = "dsprep",
    .name = "shuffle",
    .summary = "put records in a random order that a seed decides",
    .operands = "[FILE...]",
    .min_operands = 0,
    .max_operands = -1,
    .example = "dsver cat corpus | dsprep shuffle --seed 7 | dsprep export --format mds -o mds/\n"
               "dsprep shuffle a.dsr | dsprep head -n 100",
    .description =
        "Reads a DSR stream (from FILEs, which are the shards of one stream, or standard input) "
        "to its end and writes its records in the order of SHA-256(seed, NUL, \"shuffle\", NUL, "
        "key). So the order follows from the seed and the keys, not from the order of the input: "
        "the same records in another order, or from other shards, come out the same. Records with "
        "equal keys, which derived keys allow, stay in the order of the input.\n\n"
        "The records lie in a file without a name in $TMPDIR meanwhile, of about the size of the "
        "uncompressed stream, which is mapped and read in the new order; what they are sorted by, "
        "32 bytes a record, takes --memory and more room there. Blocks are cut anew. Origins, "
        "sources and counts of what was held before are kept. Output is the same for any number "
        "of threads and any --memory.\n\n"
        "Training does not need this: dstrain draws the order of each epoch itself.",
    .run = run,
};

/* Sorted bytewise: half of the digest, the record's number and where it lies, in big endian. */
enum { DRAW = 16, ENTRY = DRAW + 16 };

typedef struct args {
    ds_rowopts row;
    const char *seed;
    int64_t memory;
} args;

typedef struct shuffle {
    const args *a;
    const ds_schema *schema;
    ds_instream *in;
    ds_spool store;
    ds_extsort *order;
    ds_origin_state origin;
    uint64_t base, rows; /* sources of the files before; records so far */
    ds_buf ranges, prov;
    ds_buf sources; /* as they came: name length, size, digest, name */
    ds_counts held;
    ds_progress progress;
} shuffle;

typedef struct work {
    ds_rowpack pack;
    ds_colview *views;
    ds_value *values;
    ds_hasher *hasher;
    ds_spool rows;
    ds_buf ends, draws, text; /* u64 by row; DRAW bytes by row */
} work;

static int draw(work *w, const shuffle *s, ds_err *err)
{
    char derived[33];
    const uint8_t *key = w->values[0].p;
    size_t len = w->values[0].len;
    ds_sha sha;
    int rc = 0;
    if (!s->schema->explicit_key) {
        rc = w->hasher ? 0 : ds_hasher_new(&w->hasher, err);
        if (rc == 0)
            rc = ds_key_derive(derived, w->hasher, s->schema, w->views, w->values, err);
        key = (const uint8_t *)derived;
        len = 32;
    }
    ds_buf_reset(&w->text);
    if (rc == 0 && (ds_buf_put(&w->text, s->a->seed, strlen(s->a->seed) + 1) ||
                    ds_buf_put(&w->text, "shuffle", 8) || ds_buf_put(&w->text, key, len)))
        rc = ds_fail_nomem(err);
    if (rc == 0)
        rc = ds_sha_bytes(&sha, w->text.data, w->text.len, err);
    if (rc == 0 &&
        (ds_buf_put(&w->draws, sha.b, DRAW) || ds_buf_u64(&w->ends, ds_spool_len(&w->rows))))
        rc = ds_fail_nomem(err);
    return rc;
}

static int ready(work *w, const shuffle *s, ds_err *err)
{
    const size_t n = s->schema->n + 1;
    if (!w->views)
        w->views = calloc(n, sizeof *w->views);
    if (!w->values)
        w->values = calloc(n, sizeof *w->values);
    return w->views && w->values ? 0 : ds_fail_nomem(err);
}

static int shuffle_work(void *ctx, void *state, const ds_block *b, ds_err *err)
{
    const shuffle *s = ctx;
    work *w = state;
    ds_spool_reset(&w->rows);
    ds_buf_reset(&w->ends);
    ds_buf_reset(&w->draws);
    int rc = ready(w, s, err);
    if (rc == 0)
        rc = ds_block_views(b, s->schema, w->views, err);
    for (uint64_t row = 0; rc == 0 && row < b->rows; row++) {
        for (size_t i = 0; i < s->schema->n; i++)
            (void)ds_colview_next(&w->views[i], &w->values[i]);
        rc = ds_rowpack_put(&w->pack, &w->rows, s->schema, w->views, w->values, err);
        if (rc == 0)
            rc = draw(w, s, err);
    }
    return rc;
}

static void set_big(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> 8 * (7 - i));
}

static int shuffle_done(void *ctx, void *state, const ds_block *b, ds_err *err)
{
    shuffle *s = ctx;
    work *w = state;
    const ds_chunk *o = &b->chunks[b->nchunks - 1];
    const uint8_t *data;
    size_t len, at = 0, pos = 0;
    uint64_t rows;
    int rc = ds_spool_view(&w->rows, &data, &len, err);
    if (rc == 0 && (!ds_varint_get(o->body, o->body_len, &pos, &rows) || rows != b->rows))
        rc = ds_fail(err, DS_CORRUPT, "origins: not of as many records as the block has");
    for (uint64_t row = 0; rc == 0 && row < b->rows; row++) {
        const size_t end = (size_t)ds_get_u64(w->ends.data + 8 * row);
        uint8_t e[ENTRY];
        memcpy(e, w->draws.data + DRAW * row, DRAW);
        set_big(e + DRAW, s->rows++);
        set_big(e + DRAW + 8, ds_spool_len(&s->store));
        rc = ds_origin_get(o->body, o->body_len, &pos, &s->origin, &s->ranges, err);
        ds_range *g = (ds_range *)(void *)s->ranges.data;
        for (size_t i = 0; i < s->ranges.len / sizeof *g; i++)
            g[i].source += s->base;
        if (rc == 0)
            rc = ds_spool_put(&s->store, data + at, end - at, err);
        if (rc == 0)
            rc = ds_rowpack_origin(&s->store, g, s->ranges.len / sizeof *g, err);
        if (rc == 0)
            rc = ds_extsort_put(s->order, e, err);
        at = end;
    }
    ds_progress_at(&s->progress, ds_instream_pos(s->in));
    return rc;
}

static int shuffle_source(void *ctx, const ds_source *src, ds_err *err)
{
    shuffle *s = ctx;
    return ds_buf_u64(&s->sources, src->len) || ds_buf_u64(&s->sources, src->size) ||
                   ds_buf_put(&s->sources, src->sha.b, sizeof src->sha) ||
                   ds_buf_put(&s->sources, src->name, src->len)
               ? ds_fail_nomem(err)
               : 0;
}

static int shuffle_end(void *ctx, ds_instream *in, ds_err *err)
{
    shuffle *s = ctx;
    const ds_counts *c = ds_reader_counts(ds_instream_reader(in));
    size_t len;
    const char *prov = ds_reader_provenance(ds_instream_reader(in), &len);
    int rc = 0;
    if (len != s->prov.len || memcmp(prov, s->prov.data, len) != 0)
        return ds_fail(err, DS_FAIL,
                       "%s: it was not made as the file before it was, so they are not shards of "
                       "one stream",
                       ds_instream_path(in));
    s->base += c->sources;
    s->origin = (ds_origin_state){0};
    for (size_t i = 0; rc == 0 && i < c->nheld; i++)
        rc = ds_counts_add(&s->held, false, c->held[i].reason, c->held[i].count, err);
    for (size_t i = 0; rc == 0 && i < c->nfailed; i++)
        rc = ds_counts_add(&s->held, true, c->failed[i].reason, c->failed[i].count, err);
    return rc;
}

static void work_fini(void *state)
{
    work *w = state;
    ds_rowpack_fini(&w->pack);
    ds_hasher_free(w->hasher);
    ds_spool_fini(&w->rows);
    free(w->views);
    free(w->values);
    ds_buf_fini(&w->ends);
    ds_buf_fini(&w->draws);
    ds_buf_fini(&w->text);
}

static const ds_blockpipe_ops shuffle_ops = {
    .state_size = sizeof(work),
    .work = shuffle_work,
    .done = shuffle_done,
    .source = shuffle_source,
    .end = shuffle_end,
    .fini = work_fini,
};

/* ---- out again ---- */

static uint64_t get_big(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

static int put_records(shuffle *s, ds_rows *rows, ds_err *err)
{
    const uint8_t *data;
    const void *entry;
    size_t len, used;
    int more = 0, rc = ds_extsort_sort(s->order, err);
    if (rc == 0)
        rc = ds_spool_view(&s->store, &data, &len, err);
    while (rc == 0 && (more = ds_extsort_next(s->order, &entry, err)) == 1) {
        const size_t at = (size_t)get_big((const uint8_t *)entry + DRAW + 8);
        rc = at <= len ? ds_rowpack_get(rows, &used, s->schema, data + at, len - at, err)
                       : ds_fail(err, DS_FAIL, "a record was put where there is none");
        if (rc == 0)
            rc = ds_check_interrupt(err);
    }
    return rc ? rc : more;
}

/* All of them behind the last record, since any block may name any. */
static int put_sources(const shuffle *s, ds_rows *rows, ds_err *err)
{
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < s->sources.len;) {
        const uint8_t *p = s->sources.data + at;
        ds_source src = {.len = (size_t)ds_get_u64(p), .size = ds_get_u64(p + 8)};
        memcpy(src.sha.b, p + 16, sizeof src.sha);
        src.name = (const char *)p + 16 + sizeof src.sha;
        at += 16 + sizeof src.sha + src.len;
        rc = ds_rows_source(rows, &src, err);
    }
    return rc;
}

static int provenance(shuffle *s, ds_buf *out, ds_err *err)
{
    json_t *o = json_pack("{s:s}", "seed", s->a->seed);
    int rc = o ? 0 : ds_fail(err, DS_USAGE, "--seed is not UTF-8");
    if (rc == 0)
        rc = ds_prov_append(out, s->prov.data, s->prov.len, "dsprep shuffle", o, NULL, err);
    json_decref(o);
    return rc;
}

static int write_stream(shuffle *s, const ds_buf *prov, ds_err *err)
{
    const ds_rowopts *o = &s->a->row;
    const bool file = o->output && strcmp(o->output, "-") != 0;
    const int level = o->level >= 0 ? (int)o->level : file ? 3 : 0;
    ds_stageout out = {0};
    ds_rows *rows = NULL;
    int rc = ds_stageout_open(&out, o->output, s->schema, prov->data, prov->len, level, err);
    if (rc == 0)
        rc = ds_rows_new(&rows, out.writer, s->schema, err);
    if (rc == 0)
        rc = put_records(s, rows, err);
    if (rc == 0)
        rc = put_sources(s, rows, err);
    if (rc == 0)
        rc = ds_rows_finish(rows, err);
    if (rc == 0)
        rc = ds_stageout_end(&out, &s->held, err);
    if (rc)
        ds_stageout_abort(&out, err->msg);
    ds_rows_free(rows);
    ds_stageout_fini(&out);
    return rc;
}

static int shuffle_stream(const args *a, char **operands, int n, ds_err *err)
{
    shuffle s = {.a = a};
    ds_buf prov = {0};
    size_t len = 0;
    int rc = a->row.output ? 0 : ds_refuse_tty(1, "pipe it on, or give -o FILE", err);
    if (rc == 0)
        rc = ds_instream_open(&s.in, operands, n, err);
    if (rc == 0) {
        s.schema = ds_instream_schema(s.in);
        const char *p = ds_reader_provenance(ds_instream_reader(s.in), &len);
        rc = ds_buf_put(&s.prov, p, len) ? ds_fail_nomem(err) : provenance(&s, &prov, err);
    }
    if (rc == 0)
        rc = ds_extsort_new(&s.order, ENTRY, (size_t)a->memory, NULL, err);
    if (rc == 0) {
        ds_progress_begin(&s.progress, "reading", ds_instream_size(s.in), true);
        rc = ds_blockpipe_run(s.in, &shuffle_ops, &s, (int)a->row.threads, err);
        ds_progress_end(&s.progress);
    }
    if (rc == 0)
        rc = write_stream(&s, &prov, err);
    if (rc == 0 && ds_log_level > 0)
        fprintf(stderr, "dsprep shuffle: %llu input = %llu output + 0 held\n",
                (unsigned long long)s.rows, (unsigned long long)s.rows);
    ds_instream_free(s.in);
    ds_extsort_free(s.order);
    ds_spool_fini(&s.store);
    ds_counts_fini(&s.held);
    ds_buf_fini(&s.ranges);
    ds_buf_fini(&s.prov);
    ds_buf_fini(&s.sources);
    ds_buf_fini(&prov);
    return rc;
}

static int run(int argc, char **argv)
{
    args a = {.row = {.level = -1}, .seed = "", .memory = 24 << 20};
    const ds_opt opts[] = {
        {0, "seed", DS_OPT_STR, &a.seed, "TEXT", "another one gives another order; default none", 0,
         0, NULL, false},
        {'m', "memory", DS_OPT_SIZE, &a.memory, "SIZE", "what sorting may take; default 24M", 0, 0,
         NULL, false},
        DS_ROWOPTS_OUTPUT(a.row),
        DS_ROWOPTS_COMMON(a.row),
        {0},
    };
    char **operands;
    int n, rc = ds_opt_begin(&ds_cmd_shuffle, opts, argc, argv, &operands, &n);
    if (rc >= 0)
        return rc;
    ds_err err = {0};
    ds_sig_setup();
    if (a.row.quiet)
        ds_log_level = 0;
    (void)shuffle_stream(&a, operands, n, &err);
    return ds_command_end(&ds_cmd_shuffle, &err, false);
}
