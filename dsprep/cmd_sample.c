/* cmd_sample.c - dsprep sample: some of the records, the same ones whenever it is asked for. */
#include <stdlib.h>
#include <string.h>

#include "blockpipe.h"
#include "cmd_transform.h"
#include "groupcount.h"
#include "sig.h"
#include "term.h"
#include "twice.h"
#include "where.h"

static int run(int argc, char **argv);

extern const ds_command ds_cmd_sample;
const ds_command ds_cmd_sample = {
    .prog = "dsprep",
    .name = "sample",
    .summary = "keep some of the records, drawn by their keys",
    .operands = "[FILE...]",
    .min_operands = 0,
    .max_operands = -1,
    .example = "dsver cat corpus | dsprep sample --rate 0.01 | dsprep cat\n"
               "dsprep sample --count 5000 --seed pilot corpus.dsr | dsver commit -m pilot pilot\n"
               "dsprep sample --cap 20 --group meta.site corpus.dsr | dsprep info",
    .description =
        "Reads a DSR stream (from FILEs, which are the shards of one stream, or standard "
        "input) and keeps some of its records, in their order. A record is drawn by a hash of "
        "its key and --seed, or of --by: whether it is kept does not depend on what else is in "
        "the stream, so the same records stay when others are added, and a larger --rate keeps "
        "all that a smaller one does. Records with the same --by go together.\n\n"
        "--rate keeps each record with this probability; --weight multiplies it, record by "
        "record (null, and anything that is not a number, counts as 0). --count keeps this "
        "many, those with the lowest hashes: it reads the input twice, copies what comes from "
        "a pipe to $TMPDIR first, and takes 16 bytes of memory for each record that is kept. "
        "--cap then keeps at most that many of each --group, the first in the stream; it takes "
        "48 bytes of memory a group.\n\n"
        "The draw is the first eight bytes, big endian, of SHA-256(seed, NUL, text): the "
        "record is kept when it is below rate * weight * 2^64. What is dropped is held as "
        "'sample: not_drawn' or 'sample: cap', and can be written to --rejects. Output is the "
        "same for any number of threads.",
    .run = run,
};

enum { NOT_DRAWN, CAP };
static const char *const reasons[] = {"not_drawn", "cap"};

typedef struct args {
    ds_rowopts row;
    const char *seed, *by, *weight, *group;
    double rate;
    int64_t count, cap;
} args;

/* A record's place among all: by its draw, then by its number. */
typedef struct draw {
    uint64_t h, row;
} draw;

typedef struct sample {
    const args *a;
    const ds_schema *schema;
    ds_where *by, *weight, *group;
    draw *heap; /* of --count: the largest of the least is on top */
    size_t nheap;
    uint64_t rows; /* of the first pass */
    ds_groupcount groups;
} sample;

typedef struct work {
    ds_wherework by, weight, group;
    ds_colview *views; /* of the first pass */
    ds_value *values;
    ds_hasher *hasher;
    ds_buf text, groups; /* what is hashed; ds_sha by row */
    ds_buf draws;        /* u64 by row */
} work;

static int hash_text(work *w, const char *seed, const void *p, size_t len, ds_sha *sha, ds_err *err)
{
    ds_buf_reset(&w->text);
    if (ds_buf_put(&w->text, seed, strlen(seed) + 1) || ds_buf_put(&w->text, p, len))
        return ds_fail_nomem(err);
    return ds_sha_bytes(sha, w->text.data, w->text.len, err);
}

static int draw_of(const sample *s, work *w, const ds_colview *views, const ds_value *values,
                   uint64_t *h, ds_err *err)
{
    char derived[33];
    ds_wval v;
    ds_sha sha;
    int rc = 0;
    if (s->by) {
        rc = ds_where_eval(s->by, &w->by, views, values, &v, err);
        if (rc == 0 && v.type != DS_W_TEXT)
            v = (ds_wval){.p = (const uint8_t *)"", .len = 0};
    } else if (s->schema->explicit_key) {
        v = (ds_wval){.p = values[0].p, .len = values[0].len};
    } else {
        if (!w->hasher)
            rc = ds_hasher_new(&w->hasher, err);
        if (rc == 0)
            rc = ds_key_derive(derived, w->hasher, s->schema, views, values, err);
        v = (ds_wval){.p = (const uint8_t *)derived, .len = 32};
    }
    if (rc == 0)
        rc = hash_text(w, s->a->seed, v.p, v.len, &sha, err);
    *h = 0;
    for (int i = 0; rc == 0 && i < 8; i++)
        *h = *h << 8 | sha.b[i];
    return rc;
}

static int weight_of(const sample *s, work *w, const ds_rowblock *b, double *weight, ds_err *err)
{
    ds_wval v;
    *weight = 1;
    if (!s->weight)
        return 0;
    int rc = ds_where_eval(s->weight, &w->weight, b->views, w->values, &v, err);
    *weight = v.type == DS_W_INT ? (double)v.i : v.type == DS_W_REAL ? v.f : 0;
    return rc;
}

/* Below p * 2^64: never for 0 (and NaN), always for 1. */
static bool below(uint64_t h, double p)
{
    if (!(p > 0))
        return false;
    return p >= 1 || h < (uint64_t)(p * 18446744073709551616.0);
}

/* ---- the first pass: which draws are the least ---- */

static bool before(const draw *a, const draw *b)
{
    return a->h != b->h ? a->h < b->h : a->row < b->row;
}

static void sift_down(draw *v, size_t n, size_t i)
{
    for (size_t k; (k = 2 * i + 1) < n; i = k) {
        k += k + 1 < n && before(&v[k], &v[k + 1]);
        if (!before(&v[i], &v[k]))
            return;
        const draw t = v[i];
        v[i] = v[k];
        v[k] = t;
    }
}

static void keep_least(sample *s, draw d)
{
    size_t i = s->nheap;
    if (i < (size_t)s->a->count) {
        s->heap[s->nheap++] = d;
        for (; i > 0 && before(&s->heap[(i - 1) / 2], &d); i = (i - 1) / 2)
            s->heap[i] = s->heap[(i - 1) / 2];
        s->heap[i] = d;
    } else if (i > 0 && before(&d, &s->heap[0])) {
        s->heap[0] = d;
        sift_down(s->heap, i, 0);
    }
}

static int ready(const sample *s, work *w, bool views, ds_err *err)
{
    if (!w->values)
        w->values = calloc(s->schema->n + 1, sizeof *w->values);
    if (views && !w->views)
        w->views = calloc(s->schema->n + 1, sizeof *w->views);
    return !w->values || (views && !w->views) ? ds_fail_nomem(err) : 0;
}

static int count_work(void *ctx, void *state, const ds_block *b, ds_err *err)
{
    const sample *s = ctx;
    work *w = state;
    uint64_t h;
    ds_buf_reset(&w->draws);
    int rc = ready(s, w, true, err);
    if (rc == 0)
        rc = ds_block_texts(b, s->schema, w->views, err);
    for (uint64_t row = 0; rc == 0 && row < b->rows; row++) {
        for (size_t i = 0; i < s->schema->n; i++)
            (void)ds_colview_next(&w->views[i], &w->values[i]);
        rc = draw_of(s, w, w->views, w->values, &h, err);
        if (rc == 0 && ds_buf_u64(&w->draws, h))
            rc = ds_fail_nomem(err);
    }
    return rc;
}

static int count_done(void *ctx, void *state, const ds_block *b, ds_err *err)
{
    sample *s = ctx;
    const work *w = state;
    (void)err;
    for (uint64_t i = 0; i < b->rows; i++)
        keep_least(s, (draw){ds_get_u64(w->draws.data + 8 * i), s->rows++});
    return 0;
}

static void work_fini(void *state)
{
    work *w = state;
    ds_wherework_fini(&w->by);
    ds_wherework_fini(&w->weight);
    ds_wherework_fini(&w->group);
    ds_hasher_free(w->hasher);
    free(w->views);
    free(w->values);
    ds_buf_fini(&w->text);
    ds_buf_fini(&w->groups);
    ds_buf_fini(&w->draws);
}

static const ds_blockpipe_ops count_ops = {
    .state_size = sizeof(work), .work = count_work, .done = count_done, .fini = work_fini};

/* ---- the second pass, or the only one ---- */

static int group_of(const sample *s, work *w, const ds_rowblock *b, ds_err *err)
{
    ds_wval v;
    ds_sha sha;
    int rc = ds_where_eval(s->group, &w->group, b->views, w->values, &v, err);
    const bool none = v.type != DS_W_TEXT;
    if (rc == 0)
        rc = hash_text(w, none ? "" : "group", v.p, none ? 0 : v.len, &sha, err);
    if (rc == 0 && ds_buf_put(&w->groups, &sha, sizeof sha))
        rc = ds_fail_nomem(err);
    return rc;
}

static int sample_work(const void *ctx, void *state, ds_rowblock *b, ds_err *err)
{
    const sample *s = ctx;
    work *w = state;
    ds_buf_reset(&w->groups);
    int rc = ready(s, w, false, err);
    for (uint64_t row = 0; rc == 0 && row < b->block->rows; row++) {
        draw d = {.row = b->first + row};
        double weight;
        for (size_t i = 0; i < b->schema->n; i++)
            (void)ds_colview_next(&b->views[i], &w->values[i]);
        rc = draw_of(s, w, b->views, w->values, &d.h, err);
        if (rc == 0)
            rc = weight_of(s, w, b, &weight, err);
        if (rc)
            break;
        const bool in = s->a->count < 0 ? below(d.h, s->a->rate * weight)
                                        : s->nheap > 0 && !before(&s->heap[0], &d);
        if (!in)
            rc = ds_rowblock_drop(b, row, NOT_DRAWN, NULL, err);
        if (rc == 0 && s->group)
            rc = group_of(s, w, b, err);
    }
    return rc;
}

static int sample_done(void *ctx, void *state, ds_rowblock *b, ds_err *err)
{
    sample *s = ctx;
    work *w = state;
    int rc = 0;
    for (uint64_t row = 0; rc == 0 && s->group && row < b->block->rows; row++) {
        uint64_t seen;
        ds_sha sha;
        if (b->verdict[row] & DS_VERDICT_DROP)
            continue;
        memcpy(&sha, w->groups.data + row * sizeof sha, sizeof sha);
        rc = ds_groupcount_add(&s->groups, &sha, &seen, err);
        if (rc == 0 && seen >= (uint64_t)s->a->cap)
            b->verdict[row] = DS_VERDICT_DROP | CAP;
    }
    return rc;
}

static const ds_rowops sample_ops = {
    .state_size = sizeof(work), .work = sample_work, .done = sample_done, .fini = work_fini};

/* ---- the command ---- */

static int compile(ds_where **out, const char *option, const char *form, const char *expr,
                   const ds_colnames *names, ds_err *err)
{
    ds_buf text = {0};
    if (!expr || *out)
        return 0;
    int rc = ds_buf_puts(&text, form) || ds_buf_puts(&text, expr) || ds_buf_putc(&text, ')')
                 ? ds_fail_nomem(err)
                 : 0;
    if (rc == 0)
        rc = ds_where_new(out, (const char *)text.data, text.len, names, err);
    if (rc)
        ds_err_prefix(err, "%s", option);
    ds_buf_fini(&text);
    return rc;
}

static int compile_all(sample *s, ds_instream *in, ds_err *err)
{
    const ds_colnames names = ds_colnames_of(in);
    s->schema = names.schema;
    int rc = compile(&s->by, "--by", "text(", s->a->by, &names, err);
    rc = rc ? rc : compile(&s->weight, "--weight", "(", s->a->weight, &names, err);
    return rc ? rc : compile(&s->group, "--group", "text(", s->a->group, &names, err);
}

static void forget(sample *s)
{
    ds_where_free(s->by);
    ds_where_free(s->weight);
    ds_where_free(s->group);
    s->by = s->weight = s->group = NULL;
}

static int first_pass(sample *s, char **paths, int n, ds_err *err)
{
    ds_instream *in = NULL;
    size_t bytes;
    if (!ds_mul_size((size_t)s->a->count + 1, sizeof *s->heap, &bytes) ||
        !(s->heap = malloc(bytes)))
        return ds_fail_nomem(err);
    int rc = ds_instream_open(&in, paths, n, err);
    if (rc == 0)
        rc = compile_all(s, in, err);
    if (rc == 0)
        rc = ds_blockpipe_run(in, &count_ops, s, (int)s->a->row.threads, err);
    forget(s); /* expressions lean on the schema of this stream */
    ds_instream_free(in);
    return rc;
}

static json_t *options_of(const args *a)
{
    json_t *o = json_pack("{s:s}", "seed", a->seed);
    bool bad = !o;
    bad = bad || (a->count < 0 && json_object_set_new(o, "rate", json_real(a->rate)));
    bad = bad || (a->count >= 0 && json_object_set_new(o, "count", json_integer(a->count)));
    bad = bad || (a->by && json_object_set_new(o, "by", json_string(a->by)));
    bad = bad || (a->weight && json_object_set_new(o, "weight", json_string(a->weight)));
    bad = bad || (a->group && (json_object_set_new(o, "group", json_string(a->group)) ||
                               json_object_set_new(o, "cap", json_integer(a->cap))));
    if (bad) {
        json_decref(o);
        return NULL;
    }
    return o;
}

static int write_stream(sample *s, char **paths, int n, ds_err *err)
{
    ds_rowjob job = {0};
    json_t *options = options_of(s->a);
    int rc = options ? ds_instream_open(&job.in, paths, n, err)
                     : ds_fail(err, DS_USAGE, "an option is not valid UTF-8");
    if (rc == 0)
        rc = compile_all(s, job.in, err);
    if (rc == 0)
        rc = ds_rowplan_init(&job.plan, ds_instream_schema(job.in), err);
    job.plan.tool = "dsprep sample";
    job.plan.options = options;
    job.plan.reasons = reasons;
    job.plan.nreasons = 2;
    if (rc == 0)
        rc = ds_rowstage_run(&job.result, job.in, &job.plan, &sample_ops, s, &s->a->row, err);
    if (rc == 0)
        ds_transform_say(&s->a->row, &job.result, &job.plan, NULL);
    forget(s);
    ds_rowjob_fini(&job);
    return rc;
}

static int check(const args *a, ds_err *err)
{
    if (a->rate < 0 && a->count < 0 && a->cap < 0)
        return ds_fail(err, DS_USAGE, "--rate, --count or --cap is needed: how much to keep");
    if (a->rate >= 0 && a->count >= 0)
        return ds_fail(err, DS_USAGE, "--rate and --count do not go together");
    if (a->rate > 1)
        return ds_fail(err, DS_USAGE, "--rate: from 0 to 1");
    if (a->weight && a->rate < 0)
        return ds_fail(err, DS_USAGE, "--weight goes with --rate");
    if ((a->cap >= 0) != (a->group != NULL))
        return ds_fail(err, DS_USAGE, "--cap and --group go together");
    return 0;
}

static int sample_stream(args *a, char **operands, int n, ds_err *err)
{
    sample s = {.a = a};
    ds_twice in = {0};
    int rc = check(a, err);
    if (rc == 0 && a->count >= 0) {
        rc = ds_twice_open(&in, operands, n, err);
        if (rc == 0)
            rc = first_pass(&s, in.paths, in.n, err);
        operands = in.paths;
        n = in.n;
    } else if (a->rate < 0) {
        a->rate = 1;
    }
    if (rc == 0)
        rc = write_stream(&s, operands, n, err);
    ds_twice_fini(&in);
    ds_groupcount_fini(&s.groups);
    free(s.heap);
    return rc;
}

static int run(int argc, char **argv)
{
    args a = {.row = {.level = -1}, .seed = "", .rate = -1, .count = -1, .cap = -1};
    const ds_opt opts[] = {
        OPT_REAL('r', "rate", a.rate, "P", "keep each record with this probability"),
        OPT_INT('n', "count", a.count, "N", 0, 100000000, "keep this many records"),
        OPT_STR(0, "seed", a.seed, "TEXT", "another one draws others; default none"),
        OPT_STR('b', "by", a.by, "EXPR",
                "what is drawn: a column or an expression of dsprep filter; default the key"),
        OPT_STR(0, "weight", a.weight, "EXPR", "multiplies --rate: a column or an expression"),
        OPT_INT(0, "cap", a.cap, "N", 0, INT64_MAX, "keep at most this many of each group"),
        OPT_STR('g', "group", a.group, "EXPR", "the group: a column or an expression"),
        DS_ROWOPTS_REJECTS(a.row),
        DSPREP_OUTPUT(a.row.output),
        DS_ROWOPTS_COMMON(a.row),
        OPT_END,
    };
    char **operands;
    int n, rc = ds_opt_begin(&ds_cmd_sample, opts, argc, argv, &operands, &n);
    if (rc >= 0)
        return rc;
    ds_err err = {0};
    ds_transform_begin(&a.row);
    (void)sample_stream(&a, operands, n, &err);
    return ds_transform_end(&ds_cmd_sample, &a.row, &err, false);
}
