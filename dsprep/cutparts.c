/* cutparts.c - see cutparts.h. Two passes: all parts into a set, then each text without those that
 * the set lists for it. */
#include "cutparts.h"

#include <stdlib.h>
#include <string.h>

#include "firstpass.h"
#include "partset.h"
#include "twice.h"

enum { REASON_NOTHING_LEFT };
static const char *const reasons[] = {"nothing_left"};

typedef struct cut {
    const ds_cutopts *o;
    ds_partrules rules;
    ds_wordfold *fold;
    ds_partset *set;
    uint64_t before; /* records of --against */
    const ds_schema *schema;
    size_t column;
    ds_firstpass pass;
    uint64_t parts, bytes, records; /* that were cut, and of how many records */
} cut;

/* ---- the first pass: all parts ---- */

typedef struct marker {
    ds_partwork parts;
    ds_colview *views;
    ds_buf hashes; /* of the block's parts, one after the other */
    ds_buf ends;   /* u64 a record: of its hashes */
} marker;

static int put_hash(void *ctx, const ds_textpart *part, ds_err *err)
{
    marker *m = ctx;
    return ds_buf_put(&m->hashes, part->hash, DS_PART_HASH) ? ds_fail_nomem(err) : 0;
}

static int marker_work(void *ctx, void *state, const ds_block *b, ds_err *err)
{
    const cut *c = ctx;
    marker *m = state;
    ds_value x;
    int rc = 0;
    if (!m->views && !(m->views = calloc(c->schema->n + 1, sizeof *m->views)))
        return ds_fail_nomem(err);
    ds_buf_reset(&m->hashes);
    ds_buf_reset(&m->ends);
    rc = ds_block_views(b, c->schema, m->views, err);
    if (rc == 0)
        rc = ds_colview_check(&m->views[c->column], b->chunks[c->column].spool, err);
    for (uint64_t row = 0; rc == 0 && row < b->rows; row++) {
        (void)ds_colview_next(&m->views[c->column], &x);
        if (!x.null)
            rc = ds_textparts(&c->rules, &m->parts, x.p, x.len, put_hash, m, err);
        if (rc == 0 && ds_buf_u64(&m->ends, m->hashes.len))
            rc = ds_fail_nomem(err);
    }
    return rc;
}

static int marker_done(void *ctx, void *state, const ds_block *b, ds_err *err)
{
    cut *c = ctx;
    const marker *m = state;
    size_t at = 0;
    int rc = 0;
    for (uint64_t row = 0; rc == 0 && row < b->rows; row++) {
        const size_t end = (size_t)ds_get_u64(m->ends.data + 8 * row);
        rc = ds_partset_record(c->set, err);
        for (; rc == 0 && at < end; at += DS_PART_HASH)
            rc = ds_partset_part(c->set, m->hashes.data + at, err);
    }
    ds_firstpass_at(&c->pass);
    return rc;
}

static void marker_fini(void *state)
{
    marker *m = state;
    ds_partwork_fini(&m->parts);
    free(m->views);
    ds_buf_fini(&m->hashes);
    ds_buf_fini(&m->ends);
}

static const ds_blockpipe_ops marker_ops = {
    .state_size = sizeof(marker), .work = marker_work, .done = marker_done, .fini = marker_fini};

static int begin_marks(void *ctx, ds_err *err)
{
    cut *c = ctx;
    c->schema = ds_instream_schema(c->pass.in);
    return ds_rowcolumn_find(&c->column, c->pass.in, c->o->column, 1u << DS_UTF8, err);
}

/* ---- the second pass ---- */

typedef struct cutter {
    ds_partwork parts;
    ds_buf text; /* what is left */
    const uint8_t *p;
    size_t upto;               /* of the text that was looked at, what is not cut is in `text` */
    const uint64_t *again;     /* parts that go */
    size_t nagain, next, part; /* the next of them; the next of the text */
    size_t gone;               /* bytes */
    uint64_t nparts, bytes, nrecords; /* of the block */
} cutter;

static int cut_part(void *ctx, const ds_textpart *part, ds_err *err)
{
    cutter *w = ctx;
    const size_t i = w->part++;
    if (w->next == w->nagain || (uint32_t)w->again[w->next] != i)
        return 0;
    w->next++;
    if (part->from > w->upto && ds_buf_put(&w->text, w->p + w->upto, part->from - w->upto))
        return ds_fail_nomem(err);
    const size_t from = part->from > w->upto ? part->from : w->upto;
    w->gone += part->to > from ? part->to - from : 0;
    w->upto = part->to > w->upto ? part->to : w->upto;
    return 0;
}

/* White space that has come to stand at an end goes, too. */
static void trim(cutter *w, size_t len)
{
    const ds_buf *b = &w->text;
    size_t from = 0;
    if (b->len && !ds_text_blank(w->p + len - 1, 1))
        while (w->text.len && ds_text_blank(b->data + b->len - 1, 1))
            w->text.len--;
    if (b->len && !ds_text_blank(w->p, 1))
        while (from < b->len && ds_text_blank(b->data + from, 1))
            from++;
    if (from)
        memmove(w->text.data, w->text.data + from, b->len - from);
    w->text.len -= from;
}

/* What is left of a text lies in w->text, when anything was cut. */
static int cut_text(const cut *c, cutter *w, const ds_value *x, uint64_t record, ds_err *err)
{
    ds_buf_reset(&w->text);
    w->again = ds_partset_again(c->set, record, &w->nagain);
    w->p = x->p;
    w->upto = w->next = w->part = w->gone = 0;
    if (x->null || w->nagain == 0)
        return 0;
    int rc = ds_textparts(&c->rules, &w->parts, x->p, x->len, cut_part, w, err);
    if (rc == 0 && w->next != w->nagain)
        rc = ds_fail(err, DS_FAIL, "the input changed between two readings");
    if (rc == 0 && ds_buf_put(&w->text, x->p + w->upto, x->len - w->upto))
        rc = ds_fail_nomem(err);
    if (rc == 0)
        trim(w, x->len);
    w->nparts += w->nagain;
    w->bytes += x->len - w->text.len;
    w->nrecords++;
    return rc;
}

static int put_text(const cut *c, cutter *w, ds_rowblock *b, uint64_t row, const ds_value *x,
                    ds_err *err)
{
    char note[64];
    int rc = 0;
    if (c->o->mark)
        return x->null
                   ? ds_made_null(&b->made[0], err)
                   : ds_made_f64(&b->made[0], x->len ? (double)w->gone / (double)x->len : 0, err);
    if (x->null)
        return ds_made_null(&b->made[0], err);
    if (w->nagain == 0)
        return ds_made_bytes(&b->made[0], x->p, x->len, err);
    if (ds_text_blank(w->text.data, w->text.len)) {
        (void)snprintf(note, sizeof note, "%zu parts, %zu bytes", w->nagain, x->len);
        rc = ds_rowblock_drop(b, row, REASON_NOTHING_LEFT, note, err);
    }
    return rc ? rc : ds_made_bytes(&b->made[0], w->text.data, w->text.len, err);
}

static int cut_work(const void *ctx, void *state, ds_rowblock *b, ds_err *err)
{
    const cut *c = ctx;
    cutter *w = state;
    ds_value x;
    int rc = 0;
    w->nparts = w->bytes = w->nrecords = 0;
    if (c->before + b->first + b->block->rows > ds_partset_records(c->set))
        return ds_fail(err, DS_FAIL, "the input changed between two readings");
    for (uint64_t row = 0; rc == 0 && row < b->block->rows; row++) {
        (void)ds_colview_next(&b->views[c->column], &x);
        rc = cut_text(c, w, &x, c->before + b->first + row, err);
        if (rc == 0)
            rc = put_text(c, w, b, row, &x, err);
    }
    return rc;
}

static int cut_done(void *ctx, void *state, ds_rowblock *b, ds_err *err)
{
    cut *c = ctx;
    const cutter *w = state;
    (void)b;
    (void)err;
    c->parts += w->nparts;
    c->bytes += w->bytes;
    c->records += w->nrecords;
    return 0;
}

static void cut_fini(void *state)
{
    cutter *w = state;
    ds_partwork_fini(&w->parts);
    ds_buf_fini(&w->text);
}

static const ds_rowops cut_ops = {
    .state_size = sizeof(cutter), .work = cut_work, .done = cut_done, .fini = cut_fini};

static json_t *options_of(const ds_cutopts *o)
{
    return json_pack("{s:s,s:s,s:I,s:b,s:b,s:i}", "column", o->column, "parts", o->parts,
                     "part_chars", (json_int_t)o->chars, "mark", o->mark, "near", o->near,
                     "against", (int)o->against->n);
}

static void say(const cut *c, const ds_rowjob *job)
{
    const ds_rowopts *row = c->o->row;
    json_t *more = row->json
                       ? json_pack("{s:{s:I,s:I,s:I,s:I}}", "cut", "parts", (json_int_t)c->parts,
                                   "of_parts", (json_int_t)ds_partset_parts(c->set), "bytes",
                                   (json_int_t)c->bytes, "records", (json_int_t)c->records)
                       : NULL;
    ds_transform_say(row, &job->result, &job->plan, more);
    json_decref(more);
    if (ds_log_level > 0)
        fprintf(stderr,
                "dsprep dedup: %llu of %llu parts stood before, %llu bytes, in %llu records\n",
                (unsigned long long)c->parts, (unsigned long long)ds_partset_parts(c->set),
                (unsigned long long)c->bytes, (unsigned long long)c->records);
}

static int write_stream(cut *c, char **paths, int n, ds_err *err)
{
    ds_rowjob job = {0};
    size_t made;
    json_t *options = options_of(c->o);
    int rc = options ? ds_instream_open(&job.in, paths, n, err) : ds_fail_nomem(err);
    if (rc == 0)
        rc = ds_rowplan_init(&job.plan, ds_instream_schema(job.in), err);
    if (rc == 0)
        rc = c->o->mark ? ds_rowplan_add(&job.plan, "duplicate_share", DS_F64, true, NULL, err)
                        : ds_rowplan_replace(&job.plan, c->column, &made, err);
    job.plan.tool = "dsprep dedup";
    job.plan.options = options;
    job.plan.reasons = reasons;
    job.plan.nreasons = sizeof reasons / sizeof *reasons;
    if (rc == 0)
        rc = ds_rowstage_run(&job.result, job.in, &job.plan, &cut_ops, c, c->o->row, err);
    if (rc == 0)
        say(c, &job);
    ds_rowjob_fini(&job);
    return rc;
}

static int cut_all(cut *c, char **operands, int n, ds_err *err)
{
    ds_twice in = {0};
    int rc = ds_twice_open(&in, operands, n, err);
    c->pass = (ds_firstpass){
        .ops = &marker_ops, .begin = begin_marks, .ctx = c, .threads = (int)c->o->row->threads};
    if (rc == 0)
        rc = ds_firstpass_against(&c->pass, c->o->against, err);
    c->before = rc ? 0 : ds_partset_records(c->set);
    if (rc == 0)
        rc = ds_firstpass_run(&c->pass, in.paths, in.n, err);
    if (rc == 0)
        rc = ds_partset_join(c->set, c->before, c->rules.run, err);
    if (rc == 0)
        rc = write_stream(c, in.paths, in.n, err);
    ds_twice_fini(&in);
    return rc;
}

int ds_cutparts_run(const ds_cutopts *o, char **operands, int n, ds_err *err)
{
    cut c = {.o = o, .rules = {.words = o->near, .chars = (uint64_t)o->chars}};
    int rc = ds_partrules_read(&c.rules, o->parts, err);
    if (rc == 0 && o->chars && c.rules.how == DS_PART_WORDS)
        rc = ds_fail(err, DS_USAGE,
                     "--min-chars is for lines and paragraphs: words=%u is as long "
                     "as it says",
                     c.rules.run);
    if (rc == 0)
        rc = ds_wordfold_new(&c.fold, err);
    c.rules.fold = c.fold;
    if (rc == 0)
        rc = ds_partset_new(&c.set, (size_t)o->memory, err);
    if (rc == 0)
        rc = cut_all(&c, operands, n, err);
    ds_partset_free(c.set);
    ds_wordfold_free(c.fold);
    return rc;
}
