/* cmd_map.c - dsprep map: columns renamed, dropped, converted, and made from others. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_transform.h"
#include "mapcol.h"
#include "sig.h"
#include "term.h"
#include "wherelist.h"

static int run(int argc, char **argv);

extern const ds_command ds_cmd_map;
const ds_command ds_cmd_map = {
    .prog = "dsprep",
    .name = "map",
    .summary = "rename, drop, convert and make columns",
    .operands = "[FILE...]",
    .min_operands = 0,
    .max_operands = -1,
    .example = "dsprep map --text 'text=Q: {text}\\nA: {meta.answer}' qa.dsr -o t.dsr\n"
               "dsprep map --set age:i64=meta.age --drop meta.age s.dsr | dsprep head\n"
               "dsprep map --set 'text=trim(replace(nfc(text), \"[ \\t]+\", \" \"))' s.dsr >t.dsr\n"
               "dsprep map --cast n=f64 --on-error skip --rejects r.dsr s.dsr >t.dsr",
    .description =
        "Reads a DSR stream (from FILEs, which are the shards of one stream, or standard "
        "input) and writes its records with other columns. Columns are dropped first, then "
        "renamed, then made; names, expressions and templates on the right of = are about the "
        "record as it came (expressions are those of dsprep filter), names on the left are "
        "those of the result. A column that exists keeps its place, new ones are added at the "
        "end. An explicit key stays as it is.\n\n"
        "--set COLUMN=EXPR makes a column of the expression's type, --set COLUMN:TYPE=EXPR "
        "converts it; types are utf8, bytes, json, bool, i64, f64 and timestamp. --set "
        "COLUMN.MEMBER=EXPR puts the value into the object in a column of JSON, and --drop "
        "COLUMN.MEMBER takes it out. A template is text with expressions between braces; \\n "
        "\\t \\\\ \\{ \\} are escapes. Null stays null, in templates too: {coalesce(meta.a, "
        "'')} says otherwise.\n\n"
        "Conversions are checked: a value becomes another type only where nothing of it is "
        "lost. What cannot be converted stops the run, or its record is dropped (held, as "
        "'map: convert.COLUMN', and can be written to --rejects), or it becomes null; then the "
        "exit status is 3. Output is the same for any number of threads.",
    .run = run,
};

enum { FAIL, SKIP, TO_NULL };
static const char *const on_error_names[] = {"fail", "skip", "null", NULL};

typedef struct args {
    ds_rowopts row;
    ds_opt_list drop, keep, rename, cast, set, text, lists;
    int on_error;
} args;

typedef struct map {
    const args *a;
    ds_wherelists lists;
    ds_colnames names;
    const ds_schema *in; /* names.schema */
    ds_mapcol *made[DS_ROWPLAN_MADE];
    const char *name[DS_ROWPLAN_MADE]; /* in the result */
    char *reason[DS_ROWPLAN_MADE];
    uint64_t nulls[DS_ROWPLAN_MADE]; /* what could not be converted */
    size_t n;
} map;

typedef struct work {
    ds_mapwork made[DS_ROWPLAN_MADE];
    uint64_t nulls[DS_ROWPLAN_MADE]; /* of this block */
    ds_value *values;
} work;

/* ---- records ---- */

static int not_made(const map *m, work *w, ds_rowblock *b, uint64_t row, size_t i, ds_err *err)
{
    const char *why = (const char *)w->made[i].why.data;
    if (m->a->on_error == FAIL)
        return ds_fail(err, DS_FAIL,
                       "record %llu: column '%s': %s (--on-error skip or null goes on)",
                       (unsigned long long)(b->first + row), m->name[i], why);
    if (m->a->on_error == SKIP)
        return b->verdict[row] & DS_VERDICT_DROP ? 0
                                                 : ds_rowblock_drop(b, row, (uint32_t)i, why, err);
    w->nulls[i]++;
    return 0;
}

static int map_work(const void *ctx, void *state, ds_rowblock *b, ds_err *err)
{
    const map *m = ctx;
    work *w = state;
    int rc = 0;
    memset(w->nulls, 0, sizeof w->nulls);
    if (!w->values && !(w->values = calloc(b->schema->n + 1, sizeof *w->values)))
        return ds_fail_nomem(err);
    for (uint64_t row = 0; rc == 0 && row < b->block->rows; row++) {
        for (size_t i = 0; i < b->schema->n; i++)
            (void)ds_colview_next(&b->views[i], &w->values[i]);
        for (size_t i = 0; rc == 0 && i < m->n; i++) {
            rc = ds_mapcol_make(m->made[i], &w->made[i], b->views, w->values, &b->made[i], err);
            if (rc == 1)
                rc = not_made(m, w, b, row, i, err);
        }
    }
    return rc;
}

static int map_done(void *ctx, void *state, ds_rowblock *b, ds_err *err)
{
    map *m = ctx;
    const work *w = state;
    (void)b;
    (void)err;
    for (size_t i = 0; i < m->n; i++)
        m->nulls[i] += w->nulls[i];
    return 0;
}

static void map_fini(void *state)
{
    work *w = state;
    for (size_t i = 0; i < DS_ROWPLAN_MADE; i++)
        ds_mapwork_fini(&w->made[i]);
    free(w->values);
}

static const ds_rowops map_ops = {
    .state_size = sizeof(work), .work = map_work, .done = map_done, .fini = map_fini};

/* ---- which columns ---- */

/* "LEFT=RIGHT": *left is a copy. */
static int split_at(char **left, const char **right, const char *option, const char *text,
                    ds_err *err)
{
    const char *eq = strchr(text, '=');
    if (!eq || eq == text || !eq[1])
        return ds_fail(err, DS_USAGE, "--%s %s: a name, = and something behind it are wanted",
                       option, text);
    *right = eq + 1;
    *left = strndup(text, (size_t)(eq - text));
    return *left ? 0 : ds_fail_nomem(err);
}

/* A name for a type that columns can be made of; DS_NTYPES for others. */
static enum ds_type type_named(const char *name)
{
    for (int t = DS_UTF8; t <= DS_TIMESTAMP; t++)
        if (strcmp(ds_type_name((enum ds_type)t), name) == 0)
            return (enum ds_type)t;
    return DS_NTYPES;
}

/* Gives the made column to the plan; takes it over, in every case. */
static int put_column(map *m, ds_rowplan *p, const char *name, ds_mapcol *c, ds_err *err)
{
    size_t made;
    int rc = ds_rowplan_make(p, name, ds_mapcol_type(c), &made, err);
    if (rc) {
        ds_mapcol_free(c);
        return rc;
    }
    m->made[made] = c;
    m->n = made + 1;
    const long k = ds_schema_find(&p->schema, name);
    if (asprintf(&m->reason[made], "convert.%s", p->schema.cols[k].name) < 0) {
        m->reason[made] = NULL;
        return ds_fail_nomem(err);
    }
    m->name[made] = m->reason[made] + strlen("convert.");
    return 0;
}

/* The result has no such column, or the input neither. */
static int no_column(const map *m, const char *name, ds_err *err)
{
    return ds_schema_find(m->in, name) < 0
               ? ds_colname_missing(&m->names, name, err)
               : ds_fail(err, DS_USAGE, "no column '%s' in the result", name);
}

/* The object of a column of the result to put members in, or to take them from. */
static int object_of(map *m, ds_rowplan *p, const char *column, ds_mapcol **out, ds_err *err)
{
    const long k = ds_schema_find(&p->schema, column);
    const int from = k < 0 ? -1 : p->from[k];
    if (k >= 0 && from < 0) {
        *out = m->made[-1 - from];
        return 0;
    }
    if (k >= 0 && p->schema.cols[k].type != DS_JSON)
        return ds_fail(err, DS_USAGE, "column '%s' is %s; only JSON has members", column,
                       ds_type_name(p->schema.cols[k].type));
    int rc = ds_mapcol_object(out, from, &m->names, err);
    return rc ? rc : put_column(m, p, column, *out, err);
}

/* `name` is COLUMN.MEMBER; expr NULL drops it. */
static int member(map *m, ds_rowplan *p, const char *name, const char *expr, ds_err *err)
{
    const char *dot = strrchr(name, '.');
    ds_mapcol *c = NULL;
    char *column = strndup(name, (size_t)(dot - name));
    int rc = column ? 0 : ds_fail_nomem(err);
    if (rc == 0 && (!*column || !dot[1]))
        rc = ds_fail(err, DS_USAGE, "COLUMN.MEMBER is wanted");
    if (rc == 0 && ds_schema_find(&p->schema, column) < 0 && (strchr(column, '.') || !expr))
        rc = no_column(m, column, err);
    if (rc == 0)
        rc = object_of(m, p, column, &c, err);
    if (rc == 0)
        rc = ds_mapcol_member(c, dot + 1, expr, err);
    free(column);
    return rc;
}

static int make_value(map *m, ds_rowplan *p, const char *name, enum ds_type type, const char *expr,
                      ds_err *err)
{
    ds_mapcol *c = NULL;
    int rc = ds_mapcol_value(&c, expr, strlen(expr), type, &m->names, err);
    if (rc == 0)
        return put_column(m, p, name, c, err);
    ds_mapcol_free(c);
    return rc;
}

/* --set NAME[:TYPE]=EXPR, or COLUMN.MEMBER=EXPR. */
static int set_one(map *m, ds_rowplan *p, const char *text, ds_err *err)
{
    char *name = NULL;
    const char *expr;
    int rc = split_at(&name, &expr, "set", text, err);
    if (rc)
        return rc;
    char *colon = strrchr(name, ':');
    const enum ds_type type = colon ? type_named(colon + 1) : DS_NTYPES;
    if (type != DS_NTYPES)
        *colon = 0;
    if (colon && type == DS_NTYPES && ds_schema_find(&p->schema, name) < 0)
        rc = ds_fail(err, DS_USAGE, "'%s' is not utf8, bytes, json, bool, i64, f64 or timestamp",
                     colon + 1);
    else if (type == DS_NTYPES && strchr(name, '.') && ds_schema_find(&p->schema, name) < 0)
        rc = member(m, p, name, expr, err);
    else
        rc = make_value(m, p, name, type, expr, err);
    if (rc)
        (void)ds_err_prefix(err, "--set %s", text);
    free(name);
    return rc;
}

/* --cast NAME=TYPE: the column of the input that is NAME in the result. */
static int cast_one(map *m, ds_rowplan *p, const char *text, ds_err *err)
{
    char *name = NULL, *expr = NULL;
    const char *to;
    int rc = split_at(&name, &to, "cast", text, err);
    const long k = rc ? -1 : ds_schema_find(&p->schema, name);
    const enum ds_type type = rc ? DS_NTYPES : type_named(to);
    if (rc == 0 && k < 0)
        rc = no_column(m, name, err);
    else if (rc == 0 && type == DS_NTYPES)
        rc = ds_fail(err, DS_USAGE, "'%s' is not utf8, bytes, json, bool, i64, f64 or timestamp",
                     to);
    else if (rc == 0 && p->from[k] < 0)
        rc = ds_fail(err, DS_USAGE, "column '%s' is made twice", name);
    if (rc == 0 && p->schema.cols[k].type != type) {
        if (asprintf(&expr, "`%s`", m->in->cols[p->from[k]].name) < 0) {
            expr = NULL;
            rc = ds_fail_nomem(err);
        } else {
            rc = make_value(m, p, name, type, expr, err);
        }
    }
    if (rc)
        (void)ds_err_prefix(err, "--cast %s", text);
    free(expr);
    free(name);
    return rc;
}

static int text_one(map *m, ds_rowplan *p, const char *text, ds_err *err)
{
    char *name = NULL;
    const char *template;
    ds_mapcol *c = NULL;
    int rc = split_at(&name, &template, "text", text, err);
    if (rc == 0)
        rc = ds_mapcol_text(&c, template, &m->names, err);
    if (rc == 0)
        rc = put_column(m, p, name, c, err);
    else
        ds_mapcol_free(c);
    if (rc)
        (void)ds_err_prefix(err, "--text %s", text);
    free(name);
    return rc;
}

static int rename_one(map *m, ds_rowplan *p, const char *text, ds_err *err)
{
    const ds_schema *in = m->in;
    char *old = NULL;
    const char *new;
    int rc = split_at(&old, &new, "rename", text, err);
    const long k = rc ? -1 : ds_schema_find(in, old);
    size_t i = 0;
    while (rc == 0 && i < p->schema.n && p->from[i] != (int)k)
        i++;
    if (rc == 0 && (k < 0 || i == p->schema.n))
        rc = no_column(m, old, err);
    else if (rc == 0 && k == 0 && in->explicit_key)
        rc = ds_fail(err, DS_USAGE, "explicit keys stay as they are");
    if (rc == 0)
        rc = ds_schema_rename(&p->schema, i, new, err);
    if (rc)
        (void)ds_err_prefix(err, "--rename %s", text);
    free(old);
    return rc;
}

/* Calls `each` for the names of a list: an argument is one name, or names with commas between. */
static int names(const ds_opt_list *l, const ds_schema *in, map *m, ds_rowplan *p,
                 int (*each)(map *, ds_rowplan *, const char *, ds_err *), const char *option,
                 ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < l->n; i++) {
        const bool whole = ds_schema_find(in, l->v[i]) >= 0;
        for (const char *s = l->v[i]; rc == 0 && *s;) {
            const size_t len = whole ? strlen(s) : strcspn(s, ",");
            char *name = strndup(s, len);
            rc = name ? each(m, p, name, err) : ds_fail_nomem(err);
            if (rc)
                (void)ds_err_prefix(err, "--%s %s", option, name ? name : "");
            free(name);
            s += len + (s[len] == ',');
        }
    }
    return rc;
}

/* COLUMN.MEMBER, or a name that stands for such. */
static int drop_member(map *m, ds_rowplan *p, const char *name, ds_err *err)
{
    const char *below;
    char *full = NULL;
    size_t column;
    if (strchr(name, '.'))
        return member(m, p, name, NULL, err);
    char *parts = calloc(strlen(name) + 2, 1);
    int rc = parts ? 0 : ds_fail_nomem(err);
    if (rc == 0) {
        memcpy(parts, name, strlen(name));
        rc = ds_colname_find(&m->names, parts, 1, &column, &below, err);
    }
    if (rc == 0 && !below)
        rc = no_column(m, name, err);
    if (rc == 0 && asprintf(&full, "%s.%s", m->in->cols[column].name, name) < 0)
        rc = ds_fail_nomem(err);
    rc = rc ? rc : member(m, p, full, NULL, err);
    free(full);
    free(parts);
    return rc;
}

static bool is_kept(const args *a, const ds_schema *in, const char *name);

static int drop_one(map *m, ds_rowplan *p, const char *name, ds_err *err)
{
    const long k = ds_schema_find(&p->schema, name);
    if (k >= 0 && m->a->keep.n > 0 && is_kept(m->a, m->in, name))
        return ds_fail(err, DS_USAGE, "--keep names it, too");
    if (k < 0)
        return drop_member(m, p, name, err);
    if (k == 0 && p->schema.explicit_key)
        return ds_fail(err, DS_USAGE, "explicit keys stay as they are");
    if (p->from[k] < 0)
        return ds_fail(err, DS_USAGE, "its members are dropped before");
    ds_rowplan_drop(p, (size_t)k);
    return 0;
}

/* Is it there? */
static int keep_one(map *m, ds_rowplan *p, const char *name, ds_err *err)
{
    (void)p;
    return ds_colname_column(&m->names, name, &(size_t){0}, err);
}

static bool is_kept(const args *a, const ds_schema *in, const char *name)
{
    for (size_t i = 0; i < a->keep.n; i++) {
        const char *s = a->keep.v[i];
        if (strcmp(s, name) == 0)
            return true;
        for (; ds_schema_find(in, a->keep.v[i]) < 0 && *s; s += strcspn(s, ",")) {
            s += *s == ',';
            if (strcspn(s, ",") == strlen(name) && strncmp(s, name, strlen(name)) == 0)
                return true;
        }
    }
    return a->keep.n == 0;
}

/* What keys follow and where blocks are cut may have gone: the first text that is made takes its
 * place, or the first column that can. */
static int appoint(ds_schema *s, const int *from, ds_err *err)
{
    bool primary = false, keyed = s->explicit_key;
    size_t best = s->n;
    for (size_t i = 0; i < s->n; i++) {
        const bool made = from[i] < 0 && s->cols[i].type == DS_UTF8;
        if (s->cols[i].type == DS_LIST || s->cols[i].type == DS_RUNS)
            continue;
        primary = primary || s->primary[i];
        keyed = keyed || s->keyed[i];
        if (!(i == 0 && s->explicit_key) &&
            (best == s->n || (made && !(from[best] < 0 && s->cols[best].type == DS_UTF8))))
            best = i;
    }
    if (best == s->n && s->explicit_key && s->n > 0)
        best = 0;
    if (best < s->n) {
        s->primary[best] |= !primary;
        s->keyed[best] |= !keyed;
    }
    return ds_schema_check(s, err);
}

static int plan_columns(map *m, ds_rowplan *p, ds_err *err)
{
    const args *a = m->a;
    int rc = ds_rowplan_init(p, m->in, err);
    if (rc == 0)
        rc = names(&a->keep, m->in, m, p, keep_one, "keep", err);
    for (size_t i = p->schema.n; rc == 0 && i-- > (size_t)m->in->explicit_key;)
        if (!is_kept(a, m->in, p->schema.cols[i].name))
            ds_rowplan_drop(p, i);
    if (rc == 0)
        rc = names(&a->drop, m->in, m, p, drop_one, "drop", err);
    for (size_t i = 0; rc == 0 && i < a->rename.n; i++)
        rc = rename_one(m, p, a->rename.v[i], err);
    for (size_t i = 0; rc == 0 && i < a->cast.n; i++)
        rc = cast_one(m, p, a->cast.v[i], err);
    for (size_t i = 0; rc == 0 && i < a->set.n; i++)
        rc = set_one(m, p, a->set.v[i], err);
    for (size_t i = 0; rc == 0 && i < a->text.n; i++)
        rc = text_one(m, p, a->text.v[i], err);
    return rc ? rc : appoint(&p->schema, p->from, err);
}

/* ---- the command ---- */

static json_t *list_of(const ds_opt_list *l)
{
    json_t *a = json_array();
    for (size_t i = 0; a && i < l->n; i++)
        if (json_array_append_new(a, json_string(l->v[i]))) {
            json_decref(a);
            return NULL;
        }
    return a;
}

static json_t *options_of(const args *a)
{
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:s}", "keep", list_of(&a->keep), "drop",
                     list_of(&a->drop), "rename", list_of(&a->rename), "cast", list_of(&a->cast),
                     "set", list_of(&a->set), "text", list_of(&a->text), "on_error",
                     on_error_names[a->on_error]);
}

static bool say(const map *m, const ds_rowresult *res, const ds_rowplan *plan)
{
    bool partial = res->held > 0;
    json_t *nulls = json_object(), *more = json_pack("{s:O}", "null", nulls);
    for (size_t i = 0; i < m->n; i++)
        if (m->nulls[i])
            (void)json_object_set_new(nulls, m->name[i], json_integer((json_int_t)m->nulls[i]));
    ds_transform_say(&m->a->row, res, plan, more);
    json_decref(nulls);
    json_decref(more);
    for (size_t i = 0; i < m->n; i++) {
        partial = partial || m->nulls[i] > 0;
        if (m->nulls[i] && ds_log_level > 0)
            fprintf(stderr, "  %s: %llu values could not be converted and are null\n", m->name[i],
                    (unsigned long long)m->nulls[i]);
    }
    return partial;
}

static int map_stream(const args *a, char **operands, int n, bool *partial, ds_err *err)
{
    map m = {.a = a};
    ds_rowjob job = {0};
    int rc = ds_wherelists_read(&m.lists, &a->lists, err);
    if (rc == 0)
        rc = ds_instream_open(&job.in, operands, n, err);
    if (rc == 0) {
        m.names = ds_colnames_of(job.in);
        m.names.lists = &m.lists;
        m.in = m.names.schema;
        rc = plan_columns(&m, &job.plan, err);
    }
    if (rc == 0 && !(job.plan.options = options_of(a)))
        rc = ds_fail(err, DS_USAGE, "options are not UTF-8");
    if (rc == 0 && m.lists.n && !(job.plan.digests = ds_wherelists_digests(&m.lists)))
        rc = ds_fail_nomem(err);
    job.plan.tool = "dsprep map";
    job.plan.reasons = (const char *const *)m.reason;
    job.plan.nreasons = m.n;
    if (rc == 0)
        rc = ds_rowstage_run(&job.result, job.in, &job.plan, &map_ops, &m, &a->row, err);
    if (rc == 0)
        *partial = say(&m, &job.result, &job.plan);
    for (size_t i = 0; i < m.n; i++) {
        ds_mapcol_free(m.made[i]);
        free(m.reason[i]);
    }
    ds_rowjob_fini(&job);
    ds_wherelists_fini(&m.lists);
    return rc;
}

static int run(int argc, char **argv)
{
    args a = {.row = {.level = -1}};
    bool partial = false;
    const ds_opt opts[] = {
        OPT_LIST(0, "keep", a.keep, "A,B", "drop all columns but these; may be given again"),
        OPT_LIST(0, "drop", a.drop, "A,B",
                 "drop columns, or members of JSON (meta.age); may be given again"),
        OPT_LIST(0, "rename", a.rename, "OLD=NEW", "may be given again"),
        OPT_LIST(0, "cast", a.cast, "COLUMN=TYPE",
                 "give a column another type; may be given again"),
        OPT_LIST(0, "set", a.set, "COLUMN[:TYPE]=EXPR",
                 "make a column, or a member of one (COLUMN.MEMBER=EXPR); may be given again"),
        OPT_LIST(0, "text", a.text, "COLUMN=TEMPLATE",
                 "make a column of text: 'Q: {q}\\nA: {meta.a}'; may be given again"),
        DS_WHERELIST_OPTION(a.lists),
        OPT_CHOICE(0, "on-error", a.on_error, "WHAT", on_error_names,
                   "what cannot be converted: fail, skip the record, or null"),
        DS_ROWOPTS_REJECTS(a.row),
        DSPREP_OUTPUT(a.row.output),
        DS_ROWOPTS_COMMON(a.row),
        OPT_END,
    };
    char **operands;
    int n, rc = ds_opt_begin(&ds_cmd_map, opts, argc, argv, &operands, &n);
    if (rc >= 0)
        return rc;
    ds_err err = {0};
    ds_transform_begin(&a.row);
    if (!a.keep.n && !a.drop.n && !a.rename.n && !a.cast.n && !a.set.n && !a.text.n)
        (void)ds_fail(&err, DS_USAGE,
                      "nothing to do: --set, --text, --cast, --rename, --drop or --keep is wanted");
    else if (a.lists.n && !a.set.n)
        (void)ds_fail(&err, DS_USAGE, "--list is asked by --set: 'known=key() in NAME'");
    else
        (void)map_stream(&a, operands, n, &partial, &err);
    ds_opt_list_fini(&a.keep);
    ds_opt_list_fini(&a.drop);
    ds_opt_list_fini(&a.rename);
    ds_opt_list_fini(&a.cast);
    ds_opt_list_fini(&a.set);
    ds_opt_list_fini(&a.text);
    ds_opt_list_fini(&a.lists);
    return ds_transform_end(&ds_cmd_map, &a.row, &err, partial);
}
