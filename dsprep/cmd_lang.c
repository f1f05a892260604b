/* cmd_lang.c - dsprep lang: which language each text is in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_transform.h"
#include "langpart.h"
#include "sharedobj.h"
#include "term.h"
#include "utf8.h"

static int run(int argc, char **argv);

extern const ds_command ds_cmd_lang;
const ds_command ds_cmd_lang = {
    .prog = "dsprep",
    .name = "lang",
    .summary = "say which language each text is in, and keep some",
    .operands = "[FILE...]",
    .min_operands = 0,
    .max_operands = -1,
    .example = "dsprep text crawl/ | dsprep lang --keep zh,en --min-share 0.6 >kept.dsr\n"
               "dsprep lang s.dsr | dsprep filter --where 'lang == \"und\"' | dsprep head",
    .description =
        "Reads a DSR stream (from FILEs, which are the shards of one stream, or standard "
        "input) and adds two columns: lang, a code of BCP 47 (en, zh, zh-Hant), and "
        "lang_share, the share of the text's letters that are of this language, from 0 to 1. "
        "Where the language cannot be told, because the text is short, mixed, or no language, "
        "lang is und and the share is 0; of a null text both are null. --best-effort answers "
        "for short texts too, and is more often wrong.\n\n"
        "--keep A,B drops records of other languages, as 'lang: other' or 'lang: null', and, "
        "with --min-share, those with less of it, as 'lang: share'; a code keeps its variants "
        "(zh keeps zh-Hant), und keeps what cannot be told. What is dropped goes to --rejects, "
        "where the note says what was found. A code that the detector never answers with is "
        "refused, with those that it knows.\n\n"
        "The detector is Compact Language Detector 2 (96 languages, by letters of four and by "
        "script, in one pass), loaded when the command runs (it needs Debian's libcld2-dev "
        "when the program is built). It looks at the first --max-text bytes. Its version is in "
        "the provenance. Output is the same for any number of threads.",
    .run = run,
};

enum { OTHER, SHARE, NONE, NREASONS };
static const char *const reasons[] = {"other", "share", "null"};

typedef struct args {
    ds_rowopts row;
    const char *column, *keep, *name;
    int64_t max_text;
    double min_share;
    bool best;
} args;

typedef struct lang {
    const args *a;
    const ds_langpart *part;
    size_t column, made, made_share;
} lang;

typedef struct work {
    ds_buf text;
} work;

static bool kept(const char *list, const char *code)
{
    const size_t n = strlen(code);
    while (*list) {
        const size_t len = strcspn(list, ",");
        if (len && len <= n && memcmp(list, code, len) == 0 && (code[len] == 0 || code[len] == '-'))
            return true;
        list += len + (list[len] == ',');
    }
    return false;
}

/* Is it a code that the detector answers with, or the beginning of one? */
static bool answered(const char *codes, const char *code, size_t len)
{
    if (len == 3 && memcmp(code, "und", 3) == 0)
        return true;
    for (const char *p = codes; *p; p += strcspn(p, " ") + 1)
        if (strncmp(p, code, len) == 0 && (p[len] == ' ' || p[len] == '-'))
            return true;
    return false;
}

/* A code that is never answered would keep nothing, and drop without a word. */
static int check_codes(const lang *l, ds_err *err)
{
    for (const char *p = l->a->keep; p; p = *p ? p + 1 : NULL) {
        const size_t len = strcspn(p, ","), first = strcspn(p, ",-");
        if (!answered(l->part->codes, p, len) && first < len && answered(l->part->codes, p, first))
            return ds_fail(err, DS_USAGE, "--keep %.*s: the detector does not tell it from %.*s",
                           (int)len, p, (int)first, p);
        if (!answered(l->part->codes, p, len))
            return ds_fail(err, DS_USAGE, "--keep %.*s: the detector answers with %sand und",
                           (int)len, p, l->part->codes);
        p += len;
    }
    return 0;
}

/* What is looked at: whole characters, control characters as spaces. */
static int look_at(work *w, const uint8_t *p, size_t len, size_t most, ds_err *err)
{
    len = ds_utf8_whole(p, len, most);
    ds_buf_reset(&w->text);
    if (ds_buf_put(&w->text, p, len) || ds_buf_putc(&w->text, 0))
        return ds_fail_nomem(err);
    w->text.len = len; /* the NUL stands behind it */
    for (size_t i = 0; i < len; i++)
        if (w->text.data[i] < 0x20 || w->text.data[i] == 0x7f)
            w->text.data[i] = ' ';
    return 0;
}

static int judge(const lang *l, ds_rowblock *b, uint64_t row, const ds_langguess *g, ds_err *err)
{
    char note[40];
    if (!l->a->keep)
        return 0;
    if (!g)
        return ds_rowblock_drop(b, row, NONE, NULL, err);
    (void)snprintf(note, sizeof note, "%s %.2f", g->code, g->percent / 100.0);
    if (!kept(l->a->keep, g->code))
        return ds_rowblock_drop(b, row, OTHER, note, err);
    return strcmp(g->code, "und") != 0 && g->percent / 100.0 < l->a->min_share
               ? ds_rowblock_drop(b, row, SHARE, note, err)
               : 0;
}

static int guess_row(const lang *l, work *w, ds_rowblock *b, uint64_t row, const ds_value *x,
                     ds_err *err)
{
    ds_langguess g;
    int rc = look_at(w, x->p, x->len, (size_t)l->a->max_text, err);
    if (rc)
        return rc;
    l->part->guess(&g, (const char *)w->text.data, w->text.len, l->a->best);
    if (!g.reliable && !l->a->best)
        g = (ds_langguess){.code = "und"};
    rc = ds_made_bytes(&b->made[l->made], g.code, strlen(g.code), err);
    rc = rc ? rc : ds_made_f64(&b->made[l->made_share], g.percent / 100.0, err);
    return rc ? rc : judge(l, b, row, &g, err);
}

static int lang_work(const void *ctx, void *state, ds_rowblock *b, ds_err *err)
{
    const lang *l = ctx;
    int rc = 0;
    for (uint64_t row = 0; rc == 0 && row < b->block->rows; row++) {
        ds_value x;
        (void)ds_colview_next(&b->views[l->column], &x);
        if (!x.null) {
            rc = guess_row(l, state, b, row, &x, err);
            continue;
        }
        rc = ds_made_null(&b->made[l->made], err);
        rc = rc ? rc : ds_made_null(&b->made[l->made_share], err);
        rc = rc ? rc : judge(l, b, row, NULL, err);
    }
    return rc;
}

static void lang_fini(void *state)
{
    work *w = state;
    ds_buf_fini(&w->text);
}

static const ds_rowops lang_ops = {
    .state_size = sizeof(work), .work = lang_work, .fini = lang_fini};

static int load(const ds_langpart **part, ds_err *err)
{
    static const ds_so_part so = {.file = "libds-cld2.so",
                                  .env = "DS_LANG_PLUGIN",
                                  .symbol = "ds_cld2_part",
                                  .missing = "no language detector is here",
                                  .instead = "`make` builds it where libcld2-dev is installed"};
    ds_so_fn *fn;
    int rc = ds_so_find(&fn, &so, err);
    if (rc == 0)
        *part = ((const ds_langpart *(*)(void))fn)();
    return rc;
}

static int options_of(json_t **out, const lang *l, ds_err *err)
{
    const args *a = l->a;
    *out = json_pack("{s:s,s:s,s:s,s:f,s:b,s:I,s:s}", "column", a->column, "name", a->name, "keep",
                     a->keep ? a->keep : "", "min_share", a->min_share, "best_effort", a->best,
                     "max_text", (json_int_t)a->max_text, "model", l->part->model);
    return *out ? 0 : ds_fail(err, DS_USAGE, "an option is not valid UTF-8");
}

static int plan_columns(ds_rowplan *p, lang *l, ds_instream *in, ds_err *err)
{
    ds_buf share = {0};
    int rc = ds_rowcolumn_find(&l->column, in, l->a->column, 1u << DS_UTF8, err);
    rc = rc ? rc : ds_rowplan_init(p, ds_instream_schema(in), err);
    if (rc == 0 && (ds_buf_printf(&share, "%s_share", l->a->name) || !ds_buf_cstr(&share)))
        rc = ds_fail_nomem(err);
    l->made = p->nmade;
    l->made_share = l->made + 1;
    rc = rc ? rc : ds_rowplan_add(p, l->a->name, DS_UTF8, true, NULL, err);
    rc = rc ? rc : ds_rowplan_add(p, (const char *)share.data, DS_F64, true, NULL, err);
    ds_buf_fini(&share);
    return rc;
}

static int lang_stream(const args *a, char **operands, int n, ds_err *err)
{
    lang l = {.a = a};
    ds_rowjob job = {0};
    int rc = !(a->min_share >= 0 && a->min_share <= 1)
                 ? ds_fail(err, DS_USAGE, "--min-share: from 0 to 1")
             : a->min_share > 0 && !a->keep ? ds_fail(err, DS_USAGE, "--min-share goes with --keep")
             : a->row.rejects && !a->keep
                 ? ds_fail(err, DS_USAGE, "--rejects goes with --keep: nothing is dropped without")
                 : load(&l.part, err);
    rc = rc ? rc : check_codes(&l, err);
    rc = rc ? rc : ds_instream_open(&job.in, operands, n, err);
    rc = rc ? rc : plan_columns(&job.plan, &l, job.in, err);
    rc = rc ? rc : options_of(&job.plan.options, &l, err);
    job.plan.tool = "dsprep lang";
    job.plan.reasons = reasons;
    job.plan.nreasons = NREASONS;
    rc = rc ? rc : ds_rowstage_run(&job.result, job.in, &job.plan, &lang_ops, &l, &a->row, err);
    if (rc == 0)
        ds_transform_say(&a->row, &job.result, &job.plan, NULL);
    ds_rowjob_fini(&job);
    return rc;
}

static int run(int argc, char **argv)
{
    args a = {.row = {.level = -1}, .column = "text", .name = "lang", .max_text = 256 << 10};
    const ds_opt opts[] = {
        OPT_STR('k', "keep", a.keep, "A,B", "drop records of other languages"),
        OPT_REAL(0, "min-share", a.min_share, "SHARE",
                 "and those of which less is in it, from 0 to 1; default 0"),
        OPT_STR('c', "column", a.column, "NAME", "the text; default text"),
        OPT_STR(0, "name", a.name, "NAME",
                "the column that is added, with NAME_share; "
                "default lang"),
        OPT_FLAG(0, "best-effort", a.best, "an answer for short texts too"),
        OPT_SIZE_IN(0, "max-text", a.max_text, "SIZE", 1, 1 << 30,
                    "how much of a text is looked at; default 256K"),
        DS_ROWOPTS_REJECTS(a.row),
        DSPREP_OUTPUT(a.row.output),
        DS_ROWOPTS_COMMON(a.row),
        OPT_END,
    };
    char **operands;
    int n, rc = ds_opt_begin(&ds_cmd_lang, opts, argc, argv, &operands, &n);
    if (rc >= 0)
        return rc;
    ds_err err = {0};
    ds_transform_begin(&a.row);
    (void)lang_stream(&a, operands, n, &err);
    return ds_transform_end(&ds_cmd_lang, &a.row, &err, false);
}
