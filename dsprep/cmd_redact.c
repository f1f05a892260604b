/* cmd_redact.c - dsprep redact: what points to a person, or opens a door, is masked or replaced. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd_transform.h"
#include "json.h"
#include "jsonrow.h"
#include "redact.h"
#include "sig.h"
#include "term.h"
#include "plural.h"

static int run(int argc, char **argv);

extern const ds_command ds_cmd_redact;
const ds_command ds_cmd_redact = {
    .prog = "dsprep",
    .name = "redact",
    .summary = "mask or replace what points to a person, and keys and tokens",
    .operands = "[FILE...]",
    .min_operands = 0,
    .max_operands = -1,
    .example = "dsprep logs /var/log | dsprep redact --report pii.json | dsver commit -m logs ops\n"
               "dsprep redact --key-file site.key --names staff.txt tickets.dsr | dsprep cat",
    .description =
        "Reads a DSR stream (from FILEs, which are the shards of one stream, or standard "
        "input) and writes it with what it finds in columns of text and JSON replaced: "
        "[EMAIL], or with --key-file a pseudonym (EMAIL_1f0c2b7a9d3e) that is the same for the "
        "same address in every run with this key.\n\n"
        "Kinds: email; phone (international, China, North America, France, and numbers with a "
        "leading 0 and a separator); card (with Luhn); iban (MOD 97); ip (public addresses; "
        "--all-ips private ones too); cn_id (China's resident identity number), us_ssn, es_dni "
        "(and NIE), de_tax (Steuer-ID), fr_nir, uk_nhs: all of these only where their check "
        "digits or rules are met; secret (keys and tokens of AWS, GitHub, GitLab, Slack, "
        "Google, Stripe, OpenAI, Hugging Face, npm, PyPI, Alibaba, JWTs, private keys in PEM); "
        "name (with --names: one a line). --kinds selects some of them. docs/transforms.md has "
        "the forms.\n\n"
        "Only values of text and JSON columns are changed. Names of JSON members, columns of "
        "whole numbers and lists are searched too, and a warning says what they hold: dsprep "
        "map --cast turns numbers into text. Tokens made before are not changed, so redact "
        "before you tokenize.\n\n"
        "--report writes how many of which kind were found in which column. --mark adds a "
        "column redacted with the counts of each record. Keys that are derived from a text "
        "that changes are derived anew: a digest of what was removed could give it away. "
        "Explicit keys are not changed; when something is found in one, the run fails unless "
        "--keys=ignore. Sources keep their names and digests. Rules do not find everything: "
        "see the limits in docs/transforms.md.",
    .run = run,
};

enum { COLUMNS_MAX = DS_ROWPLAN_MADE };

typedef struct redact_opts {
    ds_rowopts row;
    ds_opt_list columns;
    const char *kinds, *names, *key_file, *report;
    bool all_ips, mark;
    int keys;
} redact_opts;

typedef struct redact {
    const redact_opts *o;
    ds_redactor r;
    ds_piinames *names;
    ds_sha names_sha;
    ds_buf key;
    size_t column[COLUMNS_MAX], ncolumns; /* that are changed */
    size_t nall;                          /* and behind them those that are only looked at */
    bool check_key;
    size_t made_mark;
    uint64_t found[COLUMNS_MAX][DS_NPII], records, changed;
    uint64_t named[COLUMNS_MAX][DS_NPII]; /* in names of members, which stay */
    uint64_t open_keys;                   /* texts at whose end a private key begins */
} redact;

typedef struct work {
    ds_redactwork w;
    ds_spool scratch;
    ds_value *values;
    ds_buf text;
    uint64_t found[COLUMNS_MAX][DS_NPII], named[COLUMNS_MAX][DS_NPII], changed; /* of the block */
} work;

static int mark_row(work *w, const redact *d, ds_rowblock *b, const uint64_t n[DS_NPII],
                    ds_err *err)
{
    ds_buf_reset(&w->text);
    const char *sep = "{";
    for (unsigned k = 0; k < DS_NPII; k++) {
        if (!n[k])
            continue;
        if (ds_buf_printf(&w->text, "%s\"%s\":%llu", sep, ds_pii_names[k],
                          (unsigned long long)n[k]))
            return ds_fail_nomem(err);
        sep = ",";
    }
    if (w->text.len == 0)
        return ds_made_null(&b->made[d->made_mark], err);
    if (ds_buf_putc(&w->text, '}'))
        return ds_fail_nomem(err);
    return ds_made_bytes(&b->made[d->made_mark], w->text.data, w->text.len, err);
}

static int redact_value(work *w, const redact *d, ds_rowblock *b, size_t k, uint64_t n[DS_NPII],
                        ds_err *err)
{
    const ds_value *x = &w->values[d->column[k]];
    ds_madecol *m = &b->made[k];
    const uint64_t began = ds_spool_len(&m->data);
    if (x->null)
        return ds_made_null(m, err);
    memset(w->w.counts, 0, sizeof w->w.counts);
    memset(w->w.named, 0, sizeof w->w.named);
    int rc = m->type == DS_JSON ? ds_redact_json(&d->r, &w->w, x->p, x->len, &m->data, err)
                                : ds_redact_text(&d->r, &w->w, x->p, x->len, &m->data, err);
    for (unsigned i = 0; i < DS_NPII; i++) {
        w->found[k][i] += w->w.counts[i];
        w->named[k][i] += w->w.named[i];
        n[i] += w->w.counts[i];
    }
    return rc ? rc : ds_made_end(m, began, err);
}

/* A key is not changed: what stands in it would go out. */
static int look_at_key(work *w, const redact *d, ds_err *err)
{
    const ds_value *x = &w->values[0];
    memset(w->w.counts, 0, sizeof w->w.counts);
    ds_spool_reset(&w->scratch);
    int rc = ds_redact_text(&d->r, &w->w, x->p, x->len, &w->scratch, err);
    for (unsigned i = 0; rc == 0 && i < DS_NPII; i++)
        if (w->w.counts[i])
            rc = ds_fail(
                err, DS_FAIL,
                "its key holds what is to be redacted (%s): make keys of something else, or "
                "give --keys=ignore",
                ds_pii_names[i]);
    return rc;
}

static int look_at_number(work *w, const redact *d, int64_t v, ds_err *err)
{
    ds_buf_reset(&w->text);
    if (v < 100000000) /* fewer digits than any has */
        return 0;
    if (ds_decimal(&w->text, (uint64_t)v))
        return ds_fail_nomem(err);
    return ds_redact_text(&d->r, &w->w, w->text.data, w->text.len, &w->scratch, err);
}

/* A value that is not changed, whatever it holds. */
static int look_at_value(work *w, const redact *d, const ds_rowblock *b, size_t k, ds_err *err)
{
    const ds_value *x = &w->values[d->column[k]];
    const ds_colview *v = &b->views[d->column[k]];
    ds_items items;
    ds_value item;
    int rc = 0;
    memset(w->w.counts, 0, sizeof w->w.counts);
    ds_spool_reset(&w->scratch);
    if (!x->null && v->type == DS_I64)
        rc = look_at_number(w, d, x->i, err);
    if (!x->null && v->type == DS_LIST) {
        ds_value_items(&items, v, x);
        while (rc == 0 && ds_items_next(&items, &item))
            rc = v->item == DS_I64
                     ? look_at_number(w, d, item.i, err)
                     : ds_redact_text(&d->r, &w->w, item.p, item.len, &w->scratch, err);
    }
    for (unsigned i = 0; i < DS_NPII; i++)
        w->found[k][i] += w->w.counts[i];
    return rc;
}

static int redact_work(const void *ctx, void *state, ds_rowblock *b, ds_err *err)
{
    const redact *d = ctx;
    work *w = state;
    int rc = 0;
    if (!w->values && !(w->values = calloc(b->schema->n + 1, sizeof *w->values)))
        return ds_fail_nomem(err);
    memset(w->found, 0, sizeof w->found);
    memset(w->named, 0, sizeof w->named);
    w->changed = w->w.open_keys = 0;
    for (uint64_t row = 0; rc == 0 && row < b->block->rows; row++) {
        uint64_t n[DS_NPII] = {0}, sum = 0;
        for (size_t i = 0; i < b->schema->n; i++)
            (void)ds_colview_next(&b->views[i], &w->values[i]);
        if (d->check_key)
            rc = look_at_key(w, d, err);
        for (size_t k = 0; rc == 0 && k < d->ncolumns; k++)
            rc = redact_value(w, d, b, k, n, err);
        for (size_t k = d->ncolumns; rc == 0 && k < d->nall; k++)
            rc = look_at_value(w, d, b, k, err);
        for (unsigned i = 0; i < DS_NPII; i++)
            sum += n[i];
        w->changed += sum > 0;
        if (rc == 0 && d->o->mark)
            rc = mark_row(w, d, b, n, err);
        if (rc)
            ds_err_prefix(err, "record %llu of the block", (unsigned long long)row);
    }
    return rc;
}

static int redact_done(void *ctx, void *state, ds_rowblock *b, ds_err *err)
{
    redact *d = ctx;
    const work *w = state;
    (void)err;
    for (size_t k = 0; k < d->nall; k++)
        for (unsigned i = 0; i < DS_NPII; i++) {
            d->found[k][i] += w->found[k][i];
            d->named[k][i] += w->named[k][i];
        }
    d->records += b->block->rows;
    d->changed += w->changed;
    d->open_keys += w->w.open_keys;
    return 0;
}

static void redact_fini(void *state)
{
    work *w = state;
    ds_redactwork_fini(&w->w);
    ds_spool_fini(&w->scratch);
    ds_buf_fini(&w->text);
    free(w->values);
}

static const ds_rowops redact_ops = {
    .state_size = sizeof(work), .work = redact_work, .done = redact_done, .fini = redact_fini};

/* ---- options ---- */

static int no_kind(const char *word, size_t n, unsigned k, ds_err *err)
{
    char all[512];
    size_t len = 0;
    if (k == DS_PII_NAME)
        return ds_fail(err, DS_USAGE, "--kinds: name needs --names FILE, the names to find");
    for (unsigned i = 0; i < DS_NPII && len < sizeof all; i++)
        len +=
            (size_t)snprintf(all + len, sizeof all - len, "%s%s", i ? ", " : "", ds_pii_names[i]);
    return ds_fail(err, DS_USAGE, "--kinds: '%.*s' is none of %s", (int)(n > 40 ? 40 : n), word,
                   all);
}

/* Kinds that were chosen make no use of it. */
static int unused(const redact_opts *o, const char *option, const char *kinds, ds_err *err)
{
    return ds_fail(err, DS_USAGE, "%s is of %s, and --kinds %s has none", option, kinds, o->kinds);
}

static int read_kinds(redact *d, const redact_opts *o, ds_err *err)
{
    d->r.kinds = o->all_ips ? DS_PII_ALL_IPS : 0;
    if (!o->kinds) {
        d->r.kinds |= (1u << DS_PII_NAME) - 1;
        return 0;
    }
    for (const char *p = o->kinds; *p;) {
        const size_t n = strcspn(p, ",");
        unsigned k = 0;
        while (k < DS_NPII &&
               !(strlen(ds_pii_names[k]) == n && strncmp(ds_pii_names[k], p, n) == 0))
            k++;
        if (k == DS_NPII || (k == DS_PII_NAME && !o->names))
            return no_kind(p, n, k, err);
        d->r.kinds |= 1u << k;
        p += n + (p[n] == ',');
    }
    if (o->all_ips && !(d->r.kinds & 1u << DS_PII_IP))
        return unused(o, "--all-ips", "ip", err);
    return o->names && !(d->r.kinds & 1u << DS_PII_NAME) ? unused(o, "--names", "name", err) : 0;
}

/* Secrets do not lie about: a key that others can read is refused. */
static int read_key(redact *d, const char *path, ds_err *err)
{
    struct stat st;
    int rc = ds_read_file(&d->key, path, 65536, err);
    if (rc == 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077))
        rc = ds_fail(err, DS_FAIL, "%s: others may read it: chmod 600", path);
    if (rc == 0 && d->key.len < 16)
        rc = ds_fail(err, DS_FAIL, "%s: a key has at least 16 bytes", path);
    d->r.key = d->key.data;
    d->r.key_len = d->key.len;
    return rc;
}

/* Whole numbers, and lists of these and of texts: not changed, but told of. */
static bool is_looked_at(const ds_column *c)
{
    return c->type == DS_I64 ||
           (c->type == DS_LIST && (c->item == DS_I64 || c->item == DS_UTF8 || c->item == DS_JSON));
}

static int pick_columns(redact *d, const redact_opts *o, ds_instream *in, ds_err *err)
{
    const ds_schema *s = ds_instream_schema(in);
    const unsigned types = 1u << DS_UTF8 | 1u << DS_JSON;
    const size_t first = s->explicit_key ? 1 : 0;
    int rc = 0;
    if (o->columns.n > COLUMNS_MAX)
        return ds_fail(err, DS_USAGE, "-c is there more often than there can be columns");
    for (size_t i = 0; rc == 0 && i < o->columns.n; i++) {
        rc = ds_rowcolumn_find(&d->column[d->ncolumns], in, o->columns.v[i], types, err);
        if (rc == 0 && d->column[d->ncolumns] < first)
            rc = ds_fail(err, DS_USAGE, "-c key: keys are not changed");
        d->ncolumns++;
    }
    for (size_t i = first; o->columns.n == 0 && i < s->n; i++)
        if (types >> s->cols[i].type & 1)
            d->column[d->ncolumns++] = i;
    d->nall = d->ncolumns;
    for (size_t i = first; o->columns.n == 0 && i < s->n; i++)
        if (is_looked_at(&s->cols[i]))
            d->column[d->nall++] = i;
    if (rc == 0 && d->ncolumns == 0)
        rc = ds_fail(err, DS_FAIL, "no column of text or JSON in the stream");
    d->check_key = s->explicit_key && o->keys == 0;
    return rc;
}

static json_t *kinds_json(const redact *d)
{
    json_t *j = json_array();
    for (unsigned k = 0; j && k < DS_NPII; k++)
        if ((d->r.kinds >> k & 1) || (k == DS_PII_NAME && d->r.names))
            if (json_array_append_new(j, json_string(ds_pii_names[k]))) {
                json_decref(j);
                return NULL;
            }
    return j;
}

static json_t *names_json(const redact *d, const ds_schema *s)
{
    json_t *j = json_array();
    for (size_t k = 0; j && k < d->ncolumns; k++)
        if (json_array_append_new(j, json_string(s->cols[d->column[k]].name))) {
            json_decref(j);
            return NULL;
        }
    return j;
}

static json_t *options_of(const redact *d, const ds_schema *s)
{
    return json_pack("{s:b,s:o,s:o,s:b,s:s,s:s}", "all_ips", d->o->all_ips, "columns",
                     names_json(d, s), "kinds", kinds_json(d), "mark", d->o->mark, "with",
                     d->r.key ? "pseudonyms" : "masks", "keys", d->o->keys ? "ignore" : "check");
}

static json_t *digests_of(const redact *d)
{
    char hex[65];
    if (!d->names)
        return json_object();
    ds_sha_hex(hex, &d->names_sha);
    return json_pack("{s:o}", "names", json_sprintf("sha256:%s", hex));
}

static json_t *counts_json(const uint64_t n[DS_NPII])
{
    json_t *j = json_object();
    for (unsigned k = 0; j && k < DS_NPII; k++)
        if (n[k] && json_object_set_new(j, ds_pii_names[k], json_integer((json_int_t)n[k]))) {
            json_decref(j);
            return NULL;
        }
    return j;
}

static bool any_found(const uint64_t n[DS_NPII])
{
    for (unsigned k = 0; k < DS_NPII; k++)
        if (n[k])
            return true;
    return false;
}

/* What was found, by column: that was replaced, or that stays. */
static json_t *columns_json(const redact *d, const ds_schema *s, bool left)
{
    json_t *j = json_object();
    for (size_t k = 0; j && k < d->nall; k++) {
        const bool looked = k >= d->ncolumns, named = left && !looked && any_found(d->named[k]);
        const uint64_t *n = named ? d->named[k] : d->found[k];
        if ((looked == left || named) &&
            json_object_set_new(j, s->cols[d->column[k]].name, counts_json(n))) {
            json_decref(j);
            return NULL;
        }
    }
    return j;
}

static int write_report(const redact *d, const ds_schema *s, ds_err *err)
{
    uint64_t all[DS_NPII] = {0};
    ds_buf text = {0};
    for (size_t k = 0; k < d->ncolumns; k++)
        for (unsigned i = 0; i < DS_NPII; i++)
            all[i] += d->found[k][i];
    json_t *j = json_pack("{s:I,s:I,s:o,s:o,s:o,s:I}", "records", (json_int_t)d->records, "changed",
                          (json_int_t)d->changed, "found", counts_json(all), "columns",
                          columns_json(d, s, false), "left", columns_json(d, s, true), "open_keys",
                          (json_int_t)d->open_keys);
    int rc = j ? ds_json_dump(&text, j, err) : ds_fail_nomem(err);
    if (rc == 0 && ds_buf_putc(&text, '\n'))
        rc = ds_fail_nomem(err);
    if (rc == 0)
        rc = ds_atomic_write(d->o->report, 0666, text.data, text.len, err);
    json_decref(j);
    ds_buf_fini(&text);
    return rc;
}

/* "3 that were found (email, ...) and stay", after the column's name; nothing when there are none.
 */
static void warn_of(const ds_column *c, const uint64_t n[DS_NPII], const char *where,
                    const char *remedy)
{
    uint64_t sum = 0;
    const char *kind = "";
    for (unsigned i = DS_NPII; i-- > 0;)
        if (n[i]) {
            sum += n[i];
            kind = ds_pii_names[i];
        }
    if (sum)
        ds_warn("column '%s' (%s) holds %llu that were found (%s) and stay: %s%s", c->name,
                ds_type_name(c->type), (unsigned long long)sum, kind, where, remedy);
}

static void warn_of_left(const redact *d, const ds_schema *s)
{
    for (size_t k = 0; k < d->nall; k++) {
        const ds_column *c = &s->cols[d->column[k]];
        if (k < d->ncolumns)
            warn_of(c, d->named[k], "in names of members", "");
        else
            warn_of(c, d->found[k], "it is not text",
                    c->type == DS_I64 ? " (dsprep map --cast makes text of it)" : "");
    }
    if (d->open_keys)
        ds_warn(
            "%llu text%s where a private key begins: if its lines are records of their own, they "
            "stay (put them together: dsprep logs --join any, dsprep text without --split)",
            (unsigned long long)d->open_keys, d->open_keys == 1 ? " ends" : "s end");
    for (size_t i = 0; d->changed && i < s->n; i++)
        if (s->cols[i].type == DS_TOKENS16 || s->cols[i].type == DS_TOKENS32)
            ds_warn("column '%s' has the tokens of what was there before: redact, then tokenize",
                    s->cols[i].name);
}

static void say(const redact *d, const ds_schema *s, const ds_rowresult *res,
                const ds_rowplan *plan)
{
    uint64_t all[DS_NPII] = {0}, sum = 0;
    for (size_t k = 0; k < d->ncolumns; k++)
        for (unsigned i = 0; i < DS_NPII; i++)
            all[i] += d->found[k][i], sum += d->found[k][i];
    warn_of_left(d, s);
    if (d->o->row.json) {
        json_t *more = json_pack("{s:I,s:I,s:o,s:o}", "changed", (json_int_t)d->changed,
                                 "open_keys", (json_int_t)d->open_keys, "found", counts_json(all),
                                 "left", columns_json(d, s, true));
        ds_transform_say(&d->o->row, res, plan, more);
        json_decref(more);
    }
    if (ds_log_level == 0)
        return;
    fprintf(stderr, "dsprep redact: %llu found in %llu of %llu record%s", (unsigned long long)sum,
            (unsigned long long)d->changed, (unsigned long long)d->records, ds_s(d->records));
    const char *sep = ": ";
    for (unsigned i = 0; i < DS_NPII; i++)
        if (all[i]) {
            fprintf(stderr, "%s%llu %s", sep, (unsigned long long)all[i], ds_pii_names[i]);
            sep = ", ";
        }
    fprintf(stderr, "\n");
}

static int plan_columns(ds_rowplan *p, redact *d, const ds_schema *s, ds_err *err)
{
    size_t made;
    int rc = ds_rowplan_init(p, s, err);
    for (size_t k = 0; rc == 0 && k < d->ncolumns; k++)
        rc = ds_rowplan_replace(p, d->column[k], &made, err);
    d->made_mark = p->nmade;
    if (rc == 0 && d->o->mark)
        rc = ds_rowplan_add(p, "redacted", DS_JSON, true, NULL, err);
    return rc;
}

static int redact_stream(redact *d, char **operands, int n, ds_err *err)
{
    const redact_opts *o = d->o;
    ds_rowjob job = {0};
    int rc = ds_instream_open(&job.in, operands, n, err);
    const ds_schema *s = rc ? NULL : ds_instream_schema(job.in);
    if (rc == 0 && o->report)
        rc = ds_instream_one_file(o->report, err);
    if (rc == 0)
        rc = pick_columns(d, o, job.in, err);
    if (rc == 0)
        rc = plan_columns(&job.plan, d, s, err);
    if (rc == 0 && (!(job.plan.options = options_of(d, s)) || !(job.plan.digests = digests_of(d))))
        rc = ds_fail_nomem(err);
    job.plan.tool = "dsprep redact";
    if (rc == 0)
        rc = ds_rowstage_run(&job.result, job.in, &job.plan, &redact_ops, d, &o->row, err);
    if (rc == 0 && o->report)
        rc = write_report(d, s, err);
    if (rc == 0)
        say(d, s, &job.result, &job.plan);
    ds_rowjob_fini(&job);
    return rc;
}

static int run(int argc, char **argv)
{
    static const char *const keys[] = {"check", "ignore", NULL};
    redact_opts o = {.row = {.level = -1}};
    const ds_opt opts[] = {
        OPT_LIST('c', "column", o.columns, "NAME",
                 "a column of text or JSON; may be given again; default all of them"),
        OPT_STR(0, "kinds", o.kinds, "A,B", "only these kinds; default all"),
        OPT_STR(0, "names", o.names, "FILE", "names to find, one a line"),
        OPT_FLAG(0, "all-ips", o.all_ips, "private, local and documentation addresses too"),
        OPT_STR(0, "key-file", o.key_file, "FILE",
                "replace by pseudonyms under this secret (at least 16 bytes, mode 600)"),
        OPT_CHOICE(0, "keys", o.keys, "WHAT", keys,
                   "explicit keys that hold a match: check (then fail), ignore (check)"),
        OPT_FLAG(0, "mark", o.mark, "add a column redacted with what was found in each record"),
        OPT_STR(0, "report", o.report, "FILE", "write the counts as JSON"),
        DSPREP_OUTPUT(o.row.output),
        DS_ROWOPTS_COMMON(o.row),
        OPT_END,
    };
    char **operands;
    int n, rc = ds_opt_begin(&ds_cmd_redact, opts, argc, argv, &operands, &n);
    if (rc >= 0)
        return rc;
    ds_err err = {0};
    redact d = {.o = &o};
    ds_transform_begin(&o.row);
    rc = read_kinds(&d, &o, &err);
    if (rc == 0 && o.names) {
        rc = ds_piinames_load(&d.names, o.names, &d.names_sha, &err);
        if (!o.kinds || (d.r.kinds >> DS_PII_NAME & 1))
            d.r.names = d.names;
    }
    if (rc == 0 && o.key_file)
        rc = read_key(&d, o.key_file, &err);
    if (rc == 0)
        (void)redact_stream(&d, operands, n, &err);
    ds_piinames_free(d.names);
    ds_buf_fini(&d.key);
    ds_opt_list_fini(&o.columns);
    return ds_transform_end(&ds_cmd_redact, &o.row, &err, false);
}
