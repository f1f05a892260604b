/* cmd_filter.c - dsprep filter: keeps the records that rules and expressions let through. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_transform.h"
#include "sig.h"
#include "term.h"
#include "textrules.h"
#include "where.h"
#include "wherelist.h"

static int run(int argc, char **argv);

extern const ds_command ds_cmd_filter;
const ds_command ds_cmd_filter = {
    .prog = "dsprep",
    .name = "filter",
    .summary = "keep the records that rules and expressions let through",
    .operands = "[FILE...]",
    .min_operands = 0,
    .max_operands = -1,
    .example =
        "dsprep text crawl/ | dsprep filter --preset fineweb --rejects rejects.dsr >kept.dsr\n"
        "dsprep filter --where 'status >= 500 and len(text) > 20' logs.dsr | dsprep cat\n"
        "dsprep filter --list seen=old.dsr -w 'key() not in seen' new.dsr | dsprep info\n"
        "dsprep filter --preset gopher --set gopher.words_min=20 --mark s.dsr | dsprep head",
    .description =
        "Reads a DSR stream (from FILEs, which are the shards of one stream, or standard "
        "input) and writes the records that pass every rule, unchanged. Dropped records are "
        "counted in the end frame by reason (held, as 'filter: RULE'), and written to "
        "--rejects with columns reason and note, where the note says what was measured. With "
        "--mark nothing is dropped: a column filter names the rule that fails, or is null.\n\n"
        "Presets are the rules of the papers and of datatrove with their thresholds: gopher is "
        "gopher-quality (words, symbols, bullets, letters, stop words) and gopher-repetition "
        "(repeated lines, paragraphs and n-grams); c4 drops lines (without final punctuation, "
        "too short, about cookies or javascript) and documents (braces, lorem ipsum, fewer "
        "than five sentences), so it changes the text; fineweb is gopher, c4 without the "
        "demand for punctuation, and fineweb-quality. --set changes one threshold or switches "
        "it off. docs/transforms.md lists the rules and their limits. Where keys are derived "
        "from a text that changes, they change with it.\n\n"
        "An expression (--where) looks at columns and at members of JSON (meta.user.id): == != "
        "< <= > >= in [..], is null, contains, startswith, endswith, matches (a regular "
        "expression), + - * / %, and or not, len size words lower trim nfc nfkc replace number "
        "time text coalesce key. A comparison with null gives null, and a record is kept only when "
        "the result is true.\n\n"
        "--list NAME=FILE gives expressions a list to ask: 'meta.id in NAME', 'key() not in "
        "NAME' (what two streams have in common, and what they have not), 'hasword(text, NAME)' "
        "(words, or several one behind the other, in any case and with or without accents), "
        "'onsite(url, NAME)' (the host of a URL, or a domain above it). FILE has a value a line, "
        "or is a DSR stream, whose keys, or with NAME:EXPR what EXPR gives, are the values. A list "
        "of ten million takes some hundred megabytes.\n\n"
        "Rules are looked at in this order: lengths, presets, expressions; the first that "
        "fails is the reason. Output is the same for any number of threads.",
    .run = run,
};

enum { REASON_NULL = DS_NRULES, REASON_TOO_LARGE, REASON_WHERE, REASON_WHERE_NULL, NREASONS };

typedef struct filter_opts {
    ds_rowopts row;
    ds_opt_list presets, sets, where, lists;
    const char *column;
    int64_t chars_min, chars_max, words_min, words_max, max_text;
    bool mark;
} filter_opts;

typedef struct filter {
    ds_textrules rules;
    ds_textclass *classes;
    ds_where **where;
    size_t nwhere;
    ds_wherelists lists;
    size_t column, made_text, made_mark;
    bool judges, mark, rewrites;
    size_t max_text;
} filter;

typedef struct work {
    ds_textjudge judge;
    ds_wherework *where;
    size_t nwhere;
    ds_value *values;
} work;

static int work_begin(work *w, const filter *f, const ds_rowblock *b, ds_err *err)
{
    if (!w->values)
        w->values = calloc(b->schema->n + 1, sizeof *w->values);
    if (!w->where)
        w->where = calloc(f->nwhere + 1, sizeof *w->where);
    w->nwhere = f->nwhere;
    return w->values && w->where ? 0 : ds_fail_nomem(err);
}

/* The reason to drop a row, or -1. */
static int judge(work *w, const filter *f, const ds_rowblock *b, char note[80], int *why,
                 ds_err *err)
{
    const ds_value *x = &w->values[f->column];
    ds_wval v;
    int rc = 0;
    *why = -1;
    note[0] = 0;
    if (f->judges && x->null) {
        *why = REASON_NULL;
    } else if (f->judges && x->len > f->max_text) {
        *why = REASON_TOO_LARGE;
        (void)snprintf(note, 80, "%zu bytes", x->len);
    } else if (f->judges) {
        rc = ds_textjudge_text(&w->judge, &f->rules, f->classes, x->p, x->len, why, err);
        if (rc == 0 && *why >= 0)
            (void)snprintf(note, 80, "%.6g, limit %.6g", w->judge.found, f->rules.limit[*why]);
    }
    for (size_t i = 0; rc == 0 && *why < 0 && i < f->nwhere; i++) {
        rc = ds_where_eval(f->where[i], &w->where[i], b->views, w->values, &v, err);
        const int t = ds_where_truth(&v);
        if (t != 1)
            *why = t < 0 ? REASON_WHERE_NULL : REASON_WHERE;
        if (t != 1 && f->nwhere > 1)
            (void)snprintf(note, 80, "expression %zu", i + 1);
    }
    return rc;
}

static const char *reason_name(int why)
{
    static const char *const more[] = {"null", "too_large", "where", "where.null"};
    return why < DS_NRULES ? ds_rule_name((unsigned)why) : more[why - DS_NRULES];
}

static int filter_work(const void *ctx, void *state, ds_rowblock *b, ds_err *err)
{
    const filter *f = ctx;
    work *w = state;
    int rc = work_begin(w, f, b, err);
    for (uint64_t row = 0; rc == 0 && row < b->block->rows; row++) {
        char note[80];
        int why;
        for (size_t i = 0; i < b->schema->n; i++)
            (void)ds_colview_next(&b->views[i], &w->values[i]);
        rc = judge(w, f, b, note, &why, err);
        if (rc == 0 && f->mark)
            rc = why < 0 ? ds_made_null(&b->made[f->made_mark], err)
                         : ds_made_bytes(&b->made[f->made_mark], reason_name(why),
                                         strlen(reason_name(why)), err);
        else if (rc == 0 && why >= 0)
            rc = ds_rowblock_drop(b, row, (uint32_t)why, note, err);
        if (rc == 0 && f->rewrites)
            rc = why < 0 ? ds_made_bytes(&b->made[f->made_text], w->judge.text, w->judge.len, err)
                         : ds_made_bytes(&b->made[f->made_text], "", 0, err);
        if (rc)
            ds_err_prefix(err, "record %llu of the block", (unsigned long long)row);
    }
    return rc;
}

static void filter_fini(void *state)
{
    work *w = state;
    ds_textjudge_fini(&w->judge);
    for (size_t i = 0; i < w->nwhere; i++)
        ds_wherework_fini(&w->where[i]);
    free(w->where);
    free(w->values);
}

static const ds_rowops filter_ops = {
    .state_size = sizeof(work), .work = filter_work, .fini = filter_fini};

/* ---- options ---- */

static int read_rules(filter *f, filter_opts *o, ds_err *err)
{
    const struct {
        int64_t v;
        enum ds_rule rule;
    } limits[] = {{o->chars_min, DS_RULE_CHARS_MIN},
                  {o->chars_max, DS_RULE_CHARS_MAX},
                  {o->words_min, DS_RULE_WORDS_MIN},
                  {o->words_max, DS_RULE_WORDS_MAX}};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < o->presets.n; i++)
        rc = ds_textrules_preset(&f->rules, o->presets.v[i], err);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (limits[i].v >= 0)
            ds_textrules_limit(&f->rules, limits[i].rule, (double)limits[i].v);
    for (size_t i = 0; rc == 0 && i < o->sets.n; i++)
        rc = ds_textrules_set(&f->rules, o->sets.v[i], err);
    rc = rc ? rc : ds_textrules_check(&f->rules, err);
    if (rc)
        return rc;
    f->judges = ds_textrules_any(&f->rules);
    if (!f->judges && o->where.n > 0 && (o->column || o->max_text))
        return ds_fail(err, DS_USAGE,
                       "--column and --max-text are of rules (--preset, --set, lengths), and there "
                       "are none");
    if (o->mark && o->row.rejects)
        return ds_fail(err, DS_USAGE, DS_ROWOPTS_MARKED);
    o->column = o->column ? o->column : "text";
    o->max_text = o->max_text ? o->max_text : 64 << 20;
    f->max_text = (size_t)o->max_text;
    if (o->lists.n && o->where.n == 0)
        return ds_fail(err, DS_USAGE, "--list is asked by --where: 'key() in NAME'");
    if (!f->judges && o->where.n == 0)
        return ds_fail(err, DS_USAGE, "nothing to filter by: give --preset, --where or a length");
    return f->judges ? ds_textclass_new(&f->classes, err) : 0;
}

static int compile(filter *f, const filter_opts *o, const ds_colnames *names, ds_err *err)
{
    int rc = 0;
    f->where = calloc(o->where.n + 1, sizeof *f->where);
    if (!f->where)
        return ds_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < o->where.n; i++) {
        const char *text = o->where.v[i];
        rc = ds_where_new(&f->where[i], text, strlen(text), names, err);
        f->nwhere += rc == 0;
        const enum ds_wtype t = rc == 0 ? ds_where_type(f->where[i]) : DS_W_BOOL;
        if (rc == 0 && t != DS_W_BOOL && t != DS_W_ANY && t != DS_W_NULL)
            rc = ds_fail(err, DS_USAGE, "--where %s: it is neither true nor false", text);
        else if (rc)
            ds_err_prefix(err, "--where");
    }
    return rc;
}

static json_t *options_of(const filter *f, const filter_opts *o)
{
    json_t *j = json_object(), *where = json_array();
    int rc = j && where ? 0 : -1;
    for (size_t i = 0; rc == 0 && i < o->where.n; i++)
        rc = json_array_append_new(where, json_string(o->where.v[i]));
    if (rc == 0 && f->judges) {
        rc = json_object_set_new(j, "column", json_string(o->column)) ||
             json_object_set_new(j, "rules", ds_textrules_json(&f->rules)) ||
             json_object_set_new(j, "max_text", json_integer(o->max_text));
    }
    if (rc == 0)
        rc = json_object_set_new(j, "mark", json_boolean(o->mark));
    if (rc == 0 && o->where.n)
        rc = json_object_set(j, "where", where);
    json_decref(where);
    if (rc == 0)
        return j;
    json_decref(j);
    return NULL;
}

static int plan_columns(ds_rowplan *p, filter *f, const filter_opts *o, ds_instream *in,
                        ds_err *err)
{
    int rc = ds_rowplan_init(p, ds_instream_schema(in), err);
    if (rc == 0 && f->judges)
        rc = ds_rowcolumn_find(&f->column, in, o->column, 1u << DS_UTF8, err);
    f->rewrites = f->judges && f->rules.rewrites && !o->mark;
    if (rc == 0 && f->rewrites)
        rc = ds_rowplan_replace(p, f->column, &f->made_text, err);
    f->made_mark = p->nmade;
    if (rc == 0 && o->mark)
        rc = ds_rowplan_add(p, "filter", DS_UTF8, true, NULL, err);
    return rc;
}

static int filter_stream(filter *f, const filter_opts *o, char **operands, int n, ds_err *err)
{
    const char *reasons[NREASONS];
    ds_rowjob job = {0};
    for (int i = 0; i < NREASONS; i++)
        reasons[i] = reason_name(i);
    int rc = ds_instream_open(&job.in, operands, n, err);
    if (rc == 0)
        rc = compile(f, o, &(ds_colnames){ds_instream_schema(job.in), job.in, &f->lists}, err);
    if (rc == 0)
        rc = plan_columns(&job.plan, f, o, job.in, err);
    if (rc == 0 && !(job.plan.options = options_of(f, o)))
        rc = ds_fail_nomem(err);
    if (rc == 0 && f->lists.n && !(job.plan.digests = ds_wherelists_digests(&f->lists)))
        rc = ds_fail_nomem(err);
    job.plan.tool = "dsprep filter";
    job.plan.reasons = reasons;
    job.plan.nreasons = NREASONS;
    if (rc == 0)
        rc = ds_rowstage_run(&job.result, job.in, &job.plan, &filter_ops, f, &o->row, err);
    if (rc == 0)
        ds_transform_say(&o->row, &job.result, &job.plan, NULL);
    ds_rowjob_fini(&job);
    return rc;
}

static int run(int argc, char **argv)
{
    filter_opts o = {
        .row = {.level = -1}, .chars_min = -1, .chars_max = -1, .words_min = -1, .words_max = -1};
    const ds_opt opts[] = {
        OPT_LIST('p', "preset", o.presets, "NAME",
                 "a set of rules: gopher, gopher-quality, gopher-repetition, c4, fineweb, "
                 "fineweb-quality; "
                 "may be given again"),
        OPT_LIST(0, "set", o.sets, "RULE=VALUE",
                 "another threshold for one rule, or off; may be given again"),
        OPT_LIST('w', "where", o.where, "EXPR",
                 "keep the records for which this is true; may be given again: all must be"),
        DS_WHERELIST_OPTION(o.lists),
        OPT_INT(0, "min-chars", o.chars_min, "N", 0, INT64_MAX, "fewest characters of the text"),
        OPT_INT(0, "max-chars", o.chars_max, "N", 0, INT64_MAX, "most characters of the text"),
        OPT_INT(0, "min-words", o.words_min, "N", 0, INT64_MAX, "fewest words of the text"),
        OPT_INT(0, "max-words", o.words_max, "N", 0, INT64_MAX, "most words of the text"),
        OPT_STR('c', "column", o.column, "NAME", "the text that rules look at; default text"),
        OPT_SIZE_IN(0, "max-text", o.max_text, "SIZE", 1, INT64_C(2) << 30,
                    "drop texts longer than this as too_large, unread; default 64M"),
        OPT_FLAG(0, "mark", o.mark, "drop nothing: add a column filter with the rule that fails"),
        DS_ROWOPTS_REJECTS(o.row),
        DSPREP_OUTPUT(o.row.output),
        DS_ROWOPTS_COMMON(o.row),
        OPT_END,
    };
    char **operands;
    int n, rc = ds_opt_begin(&ds_cmd_filter, opts, argc, argv, &operands, &n);
    if (rc >= 0)
        return rc;
    ds_err err = {0};
    filter f = {.mark = o.mark};
    ds_transform_begin(&o.row);
    rc = read_rules(&f, &o, &err);
    if (rc == 0)
        rc = ds_wherelists_read(&f.lists, &o.lists, &err);
    if (rc == 0)
        (void)filter_stream(&f, &o, operands, n, &err);
    for (size_t i = 0; i < f.nwhere; i++)
        ds_where_free(f.where[i]);
    free(f.where);
    ds_textclass_free(f.classes);
    ds_opt_list_fini(&o.presets);
    ds_opt_list_fini(&o.sets);
    ds_opt_list_fini(&o.where);
    ds_opt_list_fini(&o.lists);
    ds_wherelists_fini(&f.lists);
    return ds_transform_end(&ds_cmd_filter, &o.row, &err, false);
}
