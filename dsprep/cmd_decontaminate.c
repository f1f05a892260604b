/* cmd_decontaminate.c - dsprep decontaminate: drops records that overlap evaluation sets. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blockpipe.h"
#include "cmd_transform.h"
#include "gramindex.h"
#include "json.h"
#include "operand.h"
#include "pool.h"
#include "spool.h"
#include "term.h"
#include "utf8.h"

static int run(int argc, char **argv);

extern const ds_command ds_cmd_decontaminate;
const ds_command ds_cmd_decontaminate = {
    .prog = "dsprep",
    .name = "decontaminate",
    .summary = "drop records that overlap evaluation sets",
    .operands = "[FILE...]",
    .min_operands = 0,
    .max_operands = -1,
    .example =
        "dsver cat corpus | dsprep decontaminate --against gsm8k@test --report hits.jsonl >c.dsr\n"
        "dsprep decontaminate --against mmlu.dsr --ngram 8 --share 0.5 --mark s.dsr | dsprep cat",
    .description =
        "Reads a DSR stream (from FILEs, which are the shards of one stream, or standard input) "
        "and drops every record whose text has runs of words in common with a record of an "
        "evaluation set: a DSR file, a folder of shards, or DATASET[@REV], a version in a store. "
        "What is dropped is held as 'decontaminate: overlap' and goes to --rejects with a note "
        "such as 'gsm8k q17: 31 of 40'. With --mark nothing is dropped: a column overlap of JSON "
        "says the same. --report names every record of an evaluation set that any record overlaps, "
        "and the words that they share first.\n\n"
        "A run is --ngram words: 13, as GPT-3 and lm-evaluation-harness have it (datatrove: 12; "
        "8 for Tulu 3 and Llama 3). Words: letters in lower case without accents, digits as they "
        "are or with --numbers zero every number 0 (as datatrove has it), all else between "
        "words, each Han or kana character by itself. An evaluation record of fewer words, but at "
        "least --min-words, is one run of all of them; shorter ones are counted and not looked "
        "for. A record overlaps when it has --hits different runs of one evaluation record, and "
        "--share of those that it has: 1 and 0, one run is enough, unless something else is said. "
        "--max-records leaves out runs that many evaluation records share, such as "
        "instructions.\n\n"
        "A record whose text is over 4 GiB is dropped as 'decontaminate: too_large'; with --mark "
        "it ends the run. "
        "Evaluation sets are held in --memory, 32 bytes a run, and 25 a record for each thread; "
        "more is refused. The stream itself passes. Output is the same for any number of threads.",
    .run = run,
};

enum { OVERLAP, TOO_LARGE, NREASONS };
static const char *const reasons[] = {"overlap", "too_large"};
#define TEXT_MAX UINT32_MAX /* places in a text are 32 bits */
enum { QUOTE = 300 };       /* bytes of a text in the report */

typedef struct args {
    ds_rowopts row;
    ds_opt_list against, against_columns;
    const char *column, *report;
    int64_t ngram, min_words, hits, max_records, memory;
    double share;
    int numbers;
    bool mark;
} args;

typedef struct evalset {
    ds_operand operand;
    char *name;
    uint64_t records;
} evalset;

typedef struct decon {
    const args *a;
    ds_wordfold *fold;
    ds_gramindex *index;
    evalset *sets;
    size_t nsets;
    const ds_schema *schema; /* of what is read */
    size_t column;
    size_t columns[64], ncolumns; /* of an evaluation set */
    size_t made;
    ds_atomic file; /* the report */
    ds_out out;
    ds_buf touched; /* a bit by evaluation record: did anything overlap it? */
    uint64_t overlapped;
} decon;

/* ---- evaluation sets ---- */

typedef struct evalwork {
    ds_hasher *hasher;
    ds_colview *views;
    ds_value *values;
} evalwork;

static int key_of(const ds_schema *s, ds_hasher **h, const ds_colview *views,
                  const ds_value *values, char derived[33], const uint8_t **key, size_t *len,
                  ds_err *err)
{
    int rc = 0;
    *key = (const uint8_t *)derived;
    *len = 32;
    if (s->explicit_key) {
        *key = values[0].p;
        *len = values[0].len;
        return 0;
    }
    if (!*h)
        rc = ds_hasher_new(h, err);
    return rc ? rc : ds_key_derive(derived, *h, s, views, values, err);
}

static int eval_block(void *ctx, void *state, const ds_block *b, ds_err *err)
{
    decon *d = ctx;
    evalwork *w = state;
    const uint8_t *key;
    char derived[33];
    size_t len;
    if (!w->views)
        w->views = calloc(d->schema->n + 1, sizeof *w->views);
    if (!w->values)
        w->values = calloc(d->schema->n + 1, sizeof *w->values);
    int rc =
        w->views && w->values ? ds_block_texts(b, d->schema, w->views, err) : ds_fail_nomem(err);
    for (uint64_t row = 0; rc == 0 && row < b->rows; row++) {
        for (size_t i = 0; i < d->schema->n; i++)
            (void)ds_colview_next(&w->views[i], &w->values[i]);
        rc = key_of(d->schema, &w->hasher, w->views, w->values, derived, &key, &len, err);
        rc = rc ? rc : ds_gramindex_record(d->index, key, len, err);
        for (size_t i = 0; rc == 0 && i < d->ncolumns; i++) {
            const ds_value *x = &w->values[d->columns[i]];
            if (!x->null)
                rc = ds_gramindex_text(d->index, x->p, x->len, err);
        }
        rc = rc ? rc : ds_gramindex_end(d->index, err);
    }
    return rc;
}

static int eval_done(void *ctx, void *state, const ds_block *b, ds_err *err)
{
    (void)ctx, (void)state, (void)b, (void)err;
    return 0;
}

static void eval_fini(void *state)
{
    evalwork *w = state;
    ds_hasher_free(w->hasher);
    free(w->views);
    free(w->values);
}

/* One thread: records are numbered as they come. */
static const ds_blockpipe_ops eval_ops = {
    .state_size = sizeof(evalwork), .work = eval_block, .done = eval_done, .fini = eval_fini};

static int pick_columns(decon *d, ds_instream *in, ds_err *err)
{
    const ds_opt_list *l = &d->a->against_columns;
    const size_t most = sizeof d->columns / sizeof *d->columns;
    int rc = l->n > most ? ds_fail(err, DS_USAGE, "more than %zu --against-column", most) : 0;
    d->ncolumns = l->n ? l->n : 1;
    for (size_t i = 0; rc == 0 && i < d->ncolumns; i++)
        rc = ds_rowcolumn_find(&d->columns[i], in, l->n ? l->v[i] : d->a->column, 1u << DS_UTF8,
                               err);
    return rc;
}

static int read_set(decon *d, size_t i, ds_err *err)
{
    evalset *e = &d->sets[i];
    ds_instream *in = NULL;
    const uint64_t before = ds_gramindex_records(d->index);
    int rc = ds_operand_find(&e->operand, d->a->against.v[i], false, err);
    rc = rc ? rc : ds_operand_name(&e->name, &e->operand, err);
    rc = rc ? rc : ds_gramindex_set(d->index, e->name, err);
    rc = rc ? rc : ds_operand_open(&e->operand, &in, err);
    if (rc == 0) {
        d->schema = ds_instream_schema(in);
        rc = pick_columns(d, in, err);
    }
    rc = rc ? rc : ds_blockpipe_run(in, &eval_ops, d, 1, err);
    const int closed = ds_operand_close(&e->operand, in, rc == 0, err);
    e->records = ds_gramindex_records(d->index) - before;
    rc = rc ? rc : closed;
    return rc ? ds_err_prefix(err, "--against %s", d->a->against.v[i]) : 0;
}

static unsigned least_words(const args *a)
{
    return (unsigned)(a->min_words < a->ngram ? a->min_words : a->ngram);
}

/* A bit for each evaluation record, in words of 64. */
static int clear_touched(const decon *d, ds_buf *bits, ds_err *err)
{
    const size_t size = ((size_t)ds_gramindex_records(d->index) / 64 + 1) * 8;
    ds_buf_reset(bits);
    if (ds_buf_reserve(bits, size))
        return ds_fail_nomem(err);
    memset(bits->data, 0, size);
    bits->len = size;
    return 0;
}

static int read_sets(decon *d, ds_err *err)
{
    const args *a = d->a;
    const ds_gramrules r = {.n = (unsigned)a->ngram,
                            .least = least_words(a),
                            .zero = a->numbers == 1,
                            .hits = (uint64_t)a->hits,
                            .share = a->share,
                            .common = (uint64_t)a->max_records,
                            .memory = (size_t)a->memory,
                            .threads =
                                (unsigned)(a->row.threads ? a->row.threads : ds_cpu_count())};
    int rc = ds_wordfold_new(&d->fold, err);
    rc = rc ? rc : ds_gramindex_new(&d->index, &r, d->fold, err);
    d->sets = calloc(a->against.n, sizeof *d->sets);
    if (rc == 0 && !d->sets)
        rc = ds_fail_nomem(err);
    for (d->nsets = 0; rc == 0 && d->nsets < a->against.n; d->nsets++)
        rc = read_set(d, d->nsets, err);
    rc = rc ? rc : ds_gramindex_build(d->index, err);
    return rc ? rc : clear_touched(d, &d->touched, err);
}

/* ---- the stream ---- */

typedef struct work {
    ds_gramwork grams;
    ds_value *values;
    ds_hasher *hasher;
    ds_buf text, line;
    ds_spool report;
    ds_buf touched; /* of this block; as decon has it */
    bool any;
} work;

/* {"set":"gsm8k","record":"q17","runs":31,"of":40 - and what follows is the caller's. */
static int put_hit(const decon *d, const ds_gramhit *h, ds_buf *out)
{
    const char *set;
    const uint8_t *key;
    size_t len;
    ds_gramindex_name(d->index, h->record, &set, &key, &len);
    return ds_buf_puts(out, "\"set\":") || ds_json_str(out, set, strlen(set)) ||
           ds_buf_puts(out, ",\"record\":") || ds_json_str(out, (const char *)key, len) ||
           ds_buf_printf(out, ",\"runs\":%u,\"of\":%u", h->common, h->of);
}

/* A line for each evaluation record that this one overlaps. */
static int put_report(const decon *d, work *w, const ds_rowblock *b, const ds_gramhit *h, size_t n,
                      ds_err *err)
{
    const ds_value *x = &w->values[d->column];
    const uint8_t *key;
    char derived[33];
    size_t len;
    int rc = key_of(b->schema, &w->hasher, b->views, w->values, derived, &key, &len, err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        const size_t shown = ds_utf8_whole(x->p + h[i].from, h[i].to - h[i].from, QUOTE);
        ds_buf_reset(&w->line);
        if (ds_buf_puts(&w->line, "{\"key\":") || ds_json_str(&w->line, (const char *)key, len) ||
            ds_buf_putc(&w->line, ',') || put_hit(d, &h[i], &w->line) ||
            ds_buf_puts(&w->line, ",\"text\":") ||
            ds_json_str(&w->line, (const char *)x->p + h[i].from, shown) ||
            ds_buf_puts(&w->line, "}\n"))
            rc = ds_fail_nomem(err);
        rc = rc ? rc : ds_spool_put(&w->report, w->line.data, w->line.len, err);
    }
    return rc;
}

static int put_verdict(const decon *d, work *w, ds_rowblock *b, uint64_t row, const ds_gramhit *h,
                       ds_err *err)
{
    const char *set;
    const uint8_t *key;
    size_t len;
    ds_buf_reset(&w->text);
    if (d->a->mark) {
        if (ds_buf_putc(&w->text, '{') || put_hit(d, h, &w->text) || ds_buf_putc(&w->text, '}'))
            return ds_fail_nomem(err);
        return ds_made_bytes(&b->made[d->made], w->text.data, w->text.len, err);
    }
    ds_gramindex_name(d->index, h->record, &set, &key, &len);
    if (ds_buf_printf(&w->text, "%s ", set) ||
        ds_buf_put(&w->text, key, ds_utf8_whole(key, len, QUOTE)) ||
        ds_buf_printf(&w->text, ": %u of %u", h->common, h->of) || !ds_buf_cstr(&w->text))
        return ds_fail_nomem(err);
    return ds_rowblock_drop(b, row, OVERLAP, (const char *)w->text.data, err);
}

static int judge(const decon *d, work *w, ds_rowblock *b, uint64_t row, ds_err *err)
{
    const ds_value *x = &w->values[d->column];
    if (!x->null && x->len > TEXT_MAX)
        return d->a->mark
                   ? ds_fail(err, DS_FAIL,
                             "row %llu: its text of %zu bytes is over 4 GiB, which --mark cannot "
                             "look at (without it the record is dropped as too_large)",
                             (unsigned long long)row, x->len)
                   : ds_rowblock_drop(b, row, TOO_LARGE, NULL, err);
    int rc = x->null ? 0 : ds_gramindex_find(d->index, &w->grams, x->p, x->len, err);
    const ds_gramhit *h = (const ds_gramhit *)(const void *)w->grams.hits.data;
    const size_t n = x->null ? 0 : w->grams.hits.len / sizeof *h;
    for (size_t i = 0; rc == 0 && i < n; i++)
        ((uint64_t *)(void *)w->touched.data)[h[i].record / 64] |= UINT64_C(1) << h[i].record % 64;
    w->any |= n > 0;
    if (rc == 0 && n && d->a->report)
        rc = put_report(d, w, b, h, n, err);
    if (rc == 0 && n)
        rc = put_verdict(d, w, b, row, h, err);
    else if (rc == 0 && d->a->mark)
        rc = ds_made_null(&b->made[d->made], err);
    return rc;
}

static int decon_work(const void *ctx, void *state, ds_rowblock *b, ds_err *err)
{
    const decon *d = ctx;
    work *w = state;
    if (!w->values && !(w->values = calloc(b->schema->n + 1, sizeof *w->values)))
        return ds_fail_nomem(err);
    ds_spool_reset(&w->report);
    int rc = w->any || !w->touched.len ? clear_touched(d, &w->touched, err) : 0;
    w->any = false;
    for (uint64_t row = 0; rc == 0 && row < b->block->rows; row++) {
        for (size_t i = 0; i < b->schema->n; i++)
            (void)ds_colview_next(&b->views[i], &w->values[i]);
        rc = judge(d, w, b, row, err);
    }
    return rc;
}

static int decon_done(void *ctx, void *state, ds_rowblock *b, ds_err *err)
{
    enum { STEP = 1 << 20 };
    decon *d = ctx;
    work *w = state;
    uint64_t *all = (uint64_t *)(void *)d->touched.data;
    const uint64_t *here = (const uint64_t *)(const void *)w->touched.data;
    const uint8_t *p;
    size_t len;
    (void)b;
    for (size_t i = 0; w->any && i < w->touched.len / 8; i++) {
        d->overlapped += (uint64_t)__builtin_popcountll(here[i] & ~all[i]);
        all[i] |= here[i];
    }
    if (ds_spool_len(&w->report) == 0)
        return 0;
    int rc = ds_spool_view(&w->report, &p, &len, err);
    for (size_t at = 0; rc == 0 && at < len; at += STEP) {
        rc = ds_out_put(&d->out, p + at, len - at < STEP ? len - at : STEP, err);
        ds_spool_release(&w->report, at);
    }
    return rc;
}

static void decon_fini(void *state)
{
    work *w = state;
    ds_gramwork_fini(&w->grams);
    ds_hasher_free(w->hasher);
    free(w->values);
    ds_buf_fini(&w->text);
    ds_buf_fini(&w->line);
    ds_spool_fini(&w->report);
    ds_buf_fini(&w->touched);
}

static const ds_rowops decon_ops = {
    .state_size = sizeof(work), .work = decon_work, .done = decon_done, .fini = decon_fini};

/* ---- the command ---- */

static json_t *sets_json(const decon *d)
{
    json_t *all = json_array();
    for (size_t i = 0; all && i < d->nsets; i++) {
        const evalset *e = &d->sets[i];
        json_t *j = json_pack("{s:s,s:I}", "name", e->name, "records", (json_int_t)e->records);
        if (e->operand.version)
            (void)(json_object_set_new(j, "version", json_string(e->operand.version)) ||
                   json_object_set_new(j, "root", json_string(e->operand.root)));
        if (!j || json_array_append_new(all, j)) {
            json_decref(all);
            return NULL;
        }
    }
    return all;
}

static json_t *columns_json(const args *a)
{
    json_t *all = json_array();
    for (size_t i = 0; all && i < a->against_columns.n; i++)
        if (json_array_append_new(all, json_string(a->against_columns.v[i]))) {
            json_decref(all);
            return NULL;
        }
    return all;
}

static int options_of(json_t **out, const decon *d, ds_err *err)
{
    const args *a = d->a;
    char text[8 + 65] = "sha256:";
    ds_sha sha;
    int rc = ds_gramindex_digest(d->index, &sha, err);
    if (rc)
        return rc;
    ds_sha_hex(text + 7, &sha);
    *out =
        json_pack("{s:s,s:o,s:o,s:s,s:I,s:I,s:I,s:f,s:I,s:s,s:b}", "column", a->column, "against",
                  sets_json(d), "against_columns", columns_json(a), "runs", text, "ngram",
                  (json_int_t)a->ngram, "min_words", (json_int_t)a->min_words, "hits",
                  (json_int_t)a->hits, "share", a->share, "max_records", (json_int_t)a->max_records,
                  "numbers", a->numbers ? "zero" : "keep", "mark", a->mark);
    return *out ? 0 : ds_fail(err, DS_USAGE, "names of columns and sets must be UTF-8");
}

static int report_open(decon *d, ds_err *err)
{
    if (!d->a->report)
        return 0;
    int rc = ds_atomic_open(&d->file, d->a->report, 0666, err);
    return rc ? rc : ds_out_init(&d->out, d->file.fd, d->a->report, err);
}

static int report_close(decon *d, int rc, ds_err *err)
{
    if (!d->a->report)
        return rc;
    rc = rc ? rc : ds_out_flush(&d->out, err);
    rc = rc ? rc : ds_atomic_commit(&d->file, err);
    ds_out_fini(&d->out);
    ds_atomic_abort(&d->file);
    return rc;
}

static void say(const decon *d, const ds_rowresult *res, const ds_rowplan *plan)
{
    const uint64_t records = ds_gramindex_records(d->index), few = ds_gramindex_short(d->index);
    json_t *more = json_pack("{s:I,s:I,s:I}", "evaluation_records", (json_int_t)records,
                             "overlapped", (json_int_t)d->overlapped, "too_short", (json_int_t)few);
    ds_transform_say(&d->a->row, res, plan, more);
    json_decref(more);
    if (ds_log_level == 0)
        return;
    fprintf(stderr, "  %llu of %llu evaluation records were overlapped",
            (unsigned long long)d->overlapped, (unsigned long long)records);
    if (few)
        fprintf(stderr, "; %llu of them have fewer than %u words and were not looked for",
                (unsigned long long)few, least_words(d->a));
    fprintf(stderr, "\n");
}

static int write_stream(decon *d, char **operands, int n, ds_err *err)
{
    ds_rowjob job = {0};
    int rc = ds_instream_open(&job.in, operands, n, err);
    rc = rc ? rc : ds_rowcolumn_find(&d->column, job.in, d->a->column, 1u << DS_UTF8, err);
    rc = rc ? rc : ds_rowplan_init(&job.plan, ds_instream_schema(job.in), err);
    d->made = job.plan.nmade;
    if (rc == 0 && d->a->mark)
        rc = ds_rowplan_add(&job.plan, "overlap", DS_JSON, true, NULL, err);
    rc = rc ? rc : options_of(&job.plan.options, d, err);
    job.plan.tool = "dsprep decontaminate";
    job.plan.reasons = reasons;
    job.plan.nreasons = NREASONS;
    rc = rc ? rc : report_open(d, err);
    rc = rc ? rc : ds_rowstage_run(&job.result, job.in, &job.plan, &decon_ops, d, &d->a->row, err);
    rc = report_close(d, rc, err);
    if (rc == 0)
        say(d, &job.result, &job.plan);
    ds_rowjob_fini(&job);
    return rc;
}

static int decontaminate(const args *a, char **operands, int n, ds_err *err)
{
    decon d = {.a = a, .file = {.fd = -1}};
    int rc = a->against.n == 0 ? ds_fail(err, DS_USAGE, "--against is needed: an evaluation set")
             : a->mark && a->row.rejects         ? ds_fail(err, DS_USAGE, DS_ROWOPTS_MARKED)
             : !(a->share >= 0 && a->share <= 1) ? ds_fail(err, DS_USAGE, "--share: from 0 to 1")
                                                 : 0;
    rc = rc ? rc : read_sets(&d, err);
    rc = rc ? rc : write_stream(&d, operands, n, err);
    for (size_t i = 0; d.sets && i < a->against.n; i++) {
        ds_operand_fini(&d.sets[i].operand);
        free(d.sets[i].name);
    }
    free(d.sets);
    ds_gramindex_free(d.index);
    ds_wordfold_free(d.fold);
    ds_buf_fini(&d.touched);
    return rc;
}

static int run(int argc, char **argv)
{
    static const char *const numbers[] = {"keep", "zero", NULL};
    args a = {.row = {.level = -1},
              .column = "text",
              .ngram = 13,
              .min_words = 8,
              .hits = 1,
              .memory = 1 << 30};
    const ds_opt opts[] = {
        OPT_LIST(
            'a', "against", a.against, "SET",
            "an evaluation set: a file, a folder of shards, DATASET[@REV]; may be given again"),
        OPT_STR('c', "column", a.column, "NAME", "the text that is compared; default text"),
        OPT_LIST(0, "against-column", a.against_columns, "NAME",
                 "the text of evaluation sets; may be given again; default that of --column"),
        OPT_INT(0, "ngram", a.ngram, "N", 1, DS_GRAM_MAX, "words of a run; default 13"),
        OPT_INT(0, "min-words", a.min_words, "N", 1, DS_GRAM_MAX,
                "the shortest evaluation record that is looked for, as one run; default 8"),
        OPT_INT(0, "hits", a.hits, "N", 1, INT32_MAX,
                "different runs of one evaluation record that are an overlap; default 1"),
        OPT_REAL(0, "share", a.share, "SHARE", "and the share of its runs, from 0 to 1; default 0"),
        OPT_INT(0, "max-records", a.max_records, "N", 1, INT32_MAX,
                "leave out runs that more evaluation records than this share; default none"),
        OPT_CHOICE(0, "numbers", a.numbers, "HOW", numbers,
                   "numbers as they are (keep), or every one as 0 (zero)"),
        OPT_FLAG(0, "mark", a.mark, "drop nothing: add a column overlap that names the record"),
        OPT_STR(0, "report", a.report, "FILE",
                "write a line of JSON for each overlap of two records"),
        OPT_SIZE_IN('m', "memory", a.memory, "SIZE", 1 << 16, INT64_C(1) << 40,
                    "what evaluation sets may take; default 1G"),
        DS_ROWOPTS_REJECTS(a.row),
        DSPREP_OUTPUT(a.row.output),
        DS_ROWOPTS_COMMON(a.row),
        OPT_END,
    };
    char **operands;
    int n, rc = ds_opt_begin(&ds_cmd_decontaminate, opts, argc, argv, &operands, &n);
    if (rc >= 0)
        return rc;
    ds_err err = {0};
    ds_transform_begin(&a.row);
    (void)decontaminate(&a, operands, n, &err);
    ds_opt_list_fini(&a.against);
    ds_opt_list_fini(&a.against_columns);
    return ds_transform_end(&ds_cmd_decontaminate, &a.row, &err, false);
}
