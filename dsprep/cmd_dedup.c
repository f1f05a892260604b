/* cmd_dedup.c - dsprep dedup: keeps the first of records that are the same, or nearly so. */
#include <stdlib.h>
#include <string.h>

#include "cmd_transform.h"
#include "cutparts.h"
#include "firstpass.h"
#include "hash.h"
#include "nearopts.h"
#include "rowmarks.h"
#include "sig.h"
#include "twice.h"

static int run(int argc, char **argv);

extern const ds_command ds_cmd_dedup;
const ds_command ds_cmd_dedup = {
    .prog = "dsprep",
    .name = "dedup",
    .summary = "keep the first of records that are the same, or nearly so",
    .operands = "[FILE...]",
    .min_operands = 0,
    .max_operands = -1,
    .example =
        "dsprep text crawl/ | dsprep dedup --near --rejects copies.dsr >kept.dsr\n"
        "dsprep dedup --parts line --min-chars 20 kept.dsr >clean.dsr\n"
        "dsprep dedup -c key new.dsr --against <(dsver cat corpus) | dsver commit -m new new",
    .description =
        "Reads a DSR stream (from FILEs, which are the shards of one stream, or standard "
        "input) and drops every record whose text was there before. What is dropped is counted "
        "in the end frame (held, as 'dedup: duplicate' or 'dedup: against') and written to "
        "--rejects, where the note is the key of the record that stays. With --mark nothing is "
        "dropped: a column duplicate_of holds that key, or null.\n\n"
        "By default texts must be the same bytes (by SHA-256). With --near they are compared "
        "by MinHash: words in lower case without accents and punctuation, numbers as 0, runs "
        "of 5 words, 14 bands of 8 minima, so that texts that share 80 % of their runs are "
        "found with probability 0.92, 70 % with 0.56, 50 % with 0.05; with other --bands and "
        "--rows a share s is found with probability 1 - (1 - s^rows)^bands. What belongs "
        "together with the same record belongs together; the first in the stream stays. Texts "
        "without a word are compared with nothing.\n\n"
        "--parts cuts out of the texts what stood in the stream before, in another record or "
        "the same: lines, paragraphs (between blank lines), or every run of N words, as "
        "substrings are removed by those who follow Lee et al. 2022. Lines and paragraphs must "
        "be the same bytes, white space around them aside; with --near the same words, numbers "
        "as 0. Runs always go by words. The first stays. A record of which nothing is left is "
        "dropped, as 'dedup: nothing_left'. With --mark nothing is cut: a column "
        "duplicate_share says what part of the text would go, for dsprep filter.\n\n"
        "--against FILE names records that count as read before all others, such as data that "
        "a model has seen already; they are not written.\n\n"
        "The input is read twice; from a pipe it is copied to $TMPDIR first. Sorting takes "
        "--memory, and room in $TMPDIR past it; groups take 4 bytes a record in a mapped file. "
        "Output is the same for any number of threads and any --memory.",
    .run = run,
};

enum { REASON_DUPLICATE, REASON_AGAINST };
static const char *const reasons[] = {"duplicate", "against"};

typedef struct dedup_opts {
    ds_rowopts row;
    ds_opt_list against;
    const char *column;
    const char *parts, *count;
    ds_nearopts like;
    int64_t memory, min_chars;
    bool near, mark;
} dedup_opts;

typedef struct dedup {
    const dedup_opts *o;
    const ds_schema *schema; /* of the stream that is read */
    size_t column;
    bool keys;
    ds_wordfold *fold;
    ds_minhash minhash;
    ds_dupset *set;
    uint64_t before; /* records of --against */
    ds_firstpass pass;
} dedup;

/* ---- the first pass: marks ---- */

typedef struct work {
    ds_rowmarks marks;
    ds_hasher *hasher;
    ds_colview *views;
    ds_value *values;
    ds_buf keys, key_ends;
} work;

static int row_marks(work *w, const dedup *d, ds_err *err)
{
    const ds_value *x = &w->values[d->column];
    int rc = 0;
    if (!x->null)
        rc = d->o->near ? ds_rowmarks_near(&w->marks, &d->minhash, x->p, x->len, err)
                        : ds_rowmarks_same(&w->marks, x->p, x->len, err);
    if (rc == 0 && d->keys) {
        char derived[33];
        const bool own = d->schema->explicit_key;
        if (!own)
            rc = ds_key_derive(derived, w->hasher, d->schema, w->views, w->values, err);
        if (rc == 0 && (ds_buf_put(&w->keys, own ? w->values[0].p : (const uint8_t *)derived,
                                   own ? w->values[0].len : 32) ||
                        ds_buf_u64(&w->key_ends, w->keys.len)))
            rc = ds_fail_nomem(err);
    }
    return rc ? rc : ds_rowmarks_end(&w->marks, err);
}

static int marks_work(void *ctx, void *state, const ds_block *b, ds_err *err)
{
    const dedup *d = ctx;
    work *w = state;
    const size_t columns = d->schema->n;
    int rc = 0;
    if (!w->views) {
        w->views = calloc(columns + 1, sizeof *w->views);
        w->values = calloc(columns + 1, sizeof *w->values);
        rc = w->views && w->values ? ds_hasher_new(&w->hasher, err) : ds_fail_nomem(err);
    }
    ds_rowmarks_reset(&w->marks);
    ds_buf_reset(&w->keys);
    ds_buf_reset(&w->key_ends);
    if (rc == 0)
        rc = ds_block_views(b, d->schema, w->views, err);
    if (rc == 0)
        rc = ds_colview_check(&w->views[d->column], b->chunks[d->column].spool, err);
    for (uint64_t row = 0; rc == 0 && row < b->rows; row++) {
        for (size_t i = 0; i < columns; i++)
            (void)ds_colview_next(&w->views[i], &w->values[i]);
        rc = row_marks(w, d, err);
    }
    return rc;
}

static int marks_done(void *ctx, void *state, const ds_block *b, ds_err *err)
{
    dedup *d = ctx;
    work *w = state;
    uint64_t from = 0;
    size_t at = 0;
    int rc = 0;
    for (uint64_t row = 0; rc == 0 && row < b->rows; row++) {
        const uint64_t to = d->keys ? ds_get_u64(w->key_ends.data + 8 * row) : 0;
        rc = ds_dupset_record(d->set, d->keys ? w->keys.data + from : NULL, (size_t)(to - from),
                              err);
        from = to;
        if (rc == 0)
            rc = ds_rowmarks_tell(&w->marks, row, &at, d->set, err);
    }
    ds_firstpass_at(&d->pass);
    return rc;
}

static void marks_fini(void *state)
{
    work *w = state;
    ds_rowmarks_fini(&w->marks);
    ds_hasher_free(w->hasher);
    free(w->views);
    free(w->values);
    ds_buf_fini(&w->keys);
    ds_buf_fini(&w->key_ends);
}

static const ds_blockpipe_ops marks_ops = {
    .state_size = sizeof(work), .work = marks_work, .done = marks_done, .fini = marks_fini};

static int begin_marks(void *ctx, ds_err *err)
{
    dedup *d = ctx;
    d->schema = ds_instream_schema(d->pass.in);
    return ds_rowcolumn_find(&d->column, d->pass.in, d->o->column, 1u << DS_UTF8, err);
}

/* ---- the second pass ---- */

static int drop_row(const dedup *d, ds_rowblock *b, uint64_t row, uint64_t first, ds_buf *text,
                    ds_err *err)
{
    const uint32_t why = first < d->before ? REASON_AGAINST : REASON_DUPLICATE;
    size_t len = 0;
    const uint8_t *key = d->keys ? ds_dupset_key(d->set, first, &len) : NULL;
    if (d->o->mark)
        return ds_made_bytes(&b->made[0], key, len, err);
    ds_buf_reset(text);
    if (ds_buf_put(text, key, len) || !ds_buf_cstr(text))
        return ds_fail_nomem(err);
    return ds_rowblock_drop(b, row, why, (const char *)text->data, err);
}

static int dedup_work(const void *ctx, void *state, ds_rowblock *b, ds_err *err)
{
    const dedup *d = ctx;
    int rc = 0;
    for (uint64_t row = 0; rc == 0 && row < b->block->rows; row++) {
        const uint64_t i = d->before + b->first + row;
        if (i >= ds_dupset_records(d->set))
            return ds_fail(err, DS_FAIL, "the input changed between two readings");
        const uint64_t first = ds_dupset_first(d->set, i);
        if (first != i)
            rc = drop_row(d, b, row, first, state, err);
        else if (d->o->mark)
            rc = ds_made_null(&b->made[0], err);
        if (rc == 0 && d->o->count)
            rc = ds_made_i64(&b->made[d->o->mark], ds_dupset_size(d->set, i), err);
    }
    return rc;
}

static void dedup_fini(void *state)
{
    ds_buf_fini(state);
}

static const ds_rowops dedup_ops = {
    .state_size = sizeof(ds_buf), .work = dedup_work, .fini = dedup_fini};

static json_t *options_of(const dedup_opts *o)
{
    json_t *j = json_pack("{s:s,s:b,s:b,s:i}", "column", o->column, "mark", o->mark, "near",
                          o->near, "against", (int)o->against.n);
    if (j && o->near && json_object_set_new(j, "minhash", ds_nearopts_json(&o->like))) {
        json_decref(j);
        return NULL;
    }
    if (j && o->count && json_object_set_new(j, "count", json_string(o->count))) {
        json_decref(j);
        return NULL;
    }
    return j;
}

static int write_stream(dedup *d, char **paths, int n, ds_err *err)
{
    ds_rowjob job = {0};
    json_t *options = options_of(d->o);
    int rc = options ? ds_instream_open(&job.in, paths, n, err) : ds_fail_nomem(err);
    if (rc == 0)
        rc = ds_rowplan_init(&job.plan, ds_instream_schema(job.in), err);
    if (rc == 0 && d->o->mark)
        rc = ds_rowplan_add(&job.plan, "duplicate_of", DS_UTF8, true, NULL, err);
    if (rc == 0 && d->o->count)
        rc = ds_rowplan_add(&job.plan, d->o->count, DS_I64, false, NULL, err);
    job.plan.tool = "dsprep dedup";
    job.plan.options = options;
    job.plan.reasons = reasons;
    job.plan.nreasons = sizeof reasons / sizeof *reasons;
    if (rc == 0)
        rc = ds_rowstage_run(&job.result, job.in, &job.plan, &dedup_ops, d, &d->o->row, err);
    if (rc == 0)
        ds_transform_say(&d->o->row, &job.result, &job.plan, NULL);
    ds_rowjob_fini(&job);
    return rc;
}

static int dedup_all(dedup *d, char **operands, int n, ds_err *err)
{
    const dedup_opts *o = d->o;
    ds_twice in = {0};
    d->keys = o->mark || o->row.rejects;
    int rc = ds_wordfold_new(&d->fold, err);
    if (rc == 0)
        rc = ds_nearopts_minhash(&d->minhash, &o->like, d->fold, err);
    if (rc == 0)
        rc = ds_dupset_new(&d->set, (size_t)o->memory, d->keys, o->count != NULL, err);
    if (rc == 0)
        rc = ds_twice_open(&in, operands, n, err);
    d->pass = (ds_firstpass){
        .ops = &marks_ops, .begin = begin_marks, .ctx = d, .threads = (int)o->row.threads};
    if (rc == 0)
        rc = ds_firstpass_against(&d->pass, &o->against, err);
    d->before = rc ? 0 : ds_dupset_records(d->set);
    if (rc == 0)
        rc = ds_firstpass_run(&d->pass, in.paths, in.n, err);
    if (rc == 0)
        rc = ds_dupset_join(d->set, err);
    if (rc == 0)
        rc = write_stream(d, in.paths, in.n, err);
    ds_twice_fini(&in);
    ds_dupset_free(d->set);
    ds_minhash_fini(&d->minhash);
    ds_wordfold_free(d->fold);
    return rc;
}

/* Options that say nothing where they stand are errors: they would be taken for heeded. */
static int check(dedup_opts *o, ds_err *err)
{
    if (o->count && o->parts)
        return ds_fail(err, DS_USAGE, "--count is of whole texts, and --parts cuts some");
    if (o->min_chars && !o->parts)
        return ds_fail(err, DS_USAGE, "--min-chars is of --parts; dsprep filter has it for texts");
    if (o->mark && o->row.rejects)
        return ds_fail(err, DS_USAGE, DS_ROWOPTS_MARKED);
    return ds_nearopts_take(&o->like, o->near && !o->parts, "--near without --parts", err);
}

static int dedup_run(dedup_opts *o, char **operands, int n, ds_err *err)
{
    dedup d = {.o = o};
    int rc = check(o, err);
    if (rc)
        return rc;
    if (o->parts) {
        const ds_cutopts c = {.row = &o->row,
                              .against = &o->against,
                              .column = o->column,
                              .parts = o->parts,
                              .memory = o->memory,
                              .chars = o->min_chars,
                              .near = o->near,
                              .mark = o->mark};
        return ds_cutparts_run(&c, operands, n, err);
    }
    return dedup_all(&d, operands, n, err);
}

static int run(int argc, char **argv)
{
    dedup_opts o = {
        .row = {.level = -1}, .column = "text", .memory = 512 << 20, .like = DS_NEAROPTS_NONE};
    const ds_opt opts[] = {
        OPT_FLAG(0, "near", o.near, "find texts that are nearly the same, by MinHash"),
        OPT_STR(0, "parts", o.parts, "HOW",
                "cut what stood before out of the texts: line, paragraph, or words=N"),
        OPT_INT(0, "min-chars", o.min_chars, "N", 0, INT64_MAX,
                "leave shorter lines and paragraphs where they are"),
        OPT_STR('c', "column", o.column, "NAME", "the text that is compared; default text"),
        OPT_LIST(0, "against", o.against, "FILE",
                 "records that count as read before; may be given again"),
        OPT_FLAG(0, "mark", o.mark,
                 "drop nothing: add a column duplicate_of with the key of the first"),
        DS_NEAROPTS(o.like),
        OPT_STR(0, "count", o.count, "COLUMN",
                "add a column with how many records were the same, the one that stays included"),
        OPT_SIZE_IN('m', "memory", o.memory, "SIZE", 1 << 20, INT64_C(1) << 40,
                    "for sorting; default 512M"),
        DS_ROWOPTS_REJECTS(o.row),
        DSPREP_OUTPUT(o.row.output),
        DS_ROWOPTS_COMMON(o.row),
        OPT_END,
    };
    char **operands;
    int n, rc = ds_opt_begin(&ds_cmd_dedup, opts, argc, argv, &operands, &n);
    if (rc >= 0)
        return rc;
    ds_err err = {0};
    ds_transform_begin(&o.row);
    (void)dedup_run(&o, operands, n, &err);
    ds_opt_list_fini(&o.against);
    return ds_transform_end(&ds_cmd_dedup, &o.row, &err, false);
}
