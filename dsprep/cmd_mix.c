/* cmd_mix.c - dsprep mix: several streams as one, in shares. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_transform.h"
#include "dsr_prov.h"
#include "dsr_rowcopy.h"
#include "interleave.h"
#include "mixplan.h"
#include "mixture.h"
#include "sig.h"
#include "sourcenums.h"
#include "stageout.h"
#include "term.h"

static int run(int argc, char **argv);

extern const ds_command ds_cmd_mix;
const ds_command ds_cmd_mix = {
    .prog = "dsprep",
    .name = "mix",
    .summary = "several streams as one, in shares",
    .operands = "INPUT[=WEIGHT]...",
    .min_operands = 1,
    .max_operands = -1,
    .example = "dsprep mix web@main=0.7 books@v2=0.3 --when-dry repeat --keys prefix -o mix.dsr\n"
               "dsprep mix code.dsr=3 text.dsr=1 --by 'len(tokens)' --count 100000 | dsprep info\n"
               "dsprep filter --preset c4 crawl.dsr | dsprep mix - notes.dsr=0.2 --seed 7 >m.dsr",
    .description =
        "Reads several DSR streams side by side and writes their records as one stream: each "
        "in its own order, and of each as much as its weight says. An INPUT is a file, a "
        "folder of shards, - for standard input, or DATASET[@REV], a version in a store (a "
        "file of that name comes first), whose commit and root the provenance then holds. "
        "Weights are relative: 0.7 and 0.3 are 7 and 3; without one it is 1.\n\n"
        "The next record comes from the input that is furthest behind its share, so shares are "
        "right at every moment; with --seed it is drawn, in proportion to the weights (SHA-256 "
        "of the seed and the number of the draw), so they are right on average. Shares are of "
        "records, or of what --by gives for each: --by 'len(tokens)', --by 'size(text)'. Null, "
        "and anything that is not a whole number above 0, counts as nothing.\n\n"
        "When the input whose turn it is has ended, --when-dry says what happens: stop (the "
        "default) ends the mix, so that shares are what was asked for; rest goes on with the "
        "others until all have ended; repeat starts it again, until every input was read to "
        "its end once (or until --count), and no input more often than --max-epochs: then the "
        "others go on. An input that counts as nothing is read once. Pipes are copied to "
        "$TMPDIR so that they can be repeated. Records left in an input are held, as 'mix: "
        "not_drawn' or 'mix: cap'.\n\n"
        "Columns are those of all inputs; where one lacks a column it is null. Types, "
        "tokenizers and kinds of keys must agree. Explicit keys must all differ, which is "
        "checked: --keys prefix makes NAME/KEY of each, and the second reading of an input "
        "makes KEY~2 of it, the third KEY~3. Names are those of datasets, and of files without "
        "folder and .dsr.",
    .run = run,
};

enum dry { STOP, REST, REPEAT };
enum { PREFIX = 1, INPUTS_MAX = 256 };

typedef struct args {
    ds_rowopts row;
    ds_opt_list caps;
    const char *seed, *by, *label, *names;
    int64_t count, max_epochs, memory;
    int dry, keys;
} args;

typedef struct mix {
    const args *a;
    ds_mixin *in;
    ds_lane *lanes;
    uint64_t *cap; /* UINT64_MAX: none */
    size_t n;
    ds_schema schema;
    ds_rows *rows;
    ds_mixkeys keys;
    ds_buf key;
    ds_sourcenums sources; /* of the output */
    uint64_t output;
} mix;

/* ---- operands ---- */

/* "A=0.7": where the weight stands, or NULL. */
static char *weight_of(char *operand)
{
    char *eq = strrchr(operand, '=');
    return eq && eq[1] && strspn(eq + 1, "0123456789.") == strlen(eq + 1) ? eq : NULL;
}

static int read_weights(mix *m, char **operands, ds_err *err)
{
    uint64_t weights[INPUTS_MAX];
    ds_buf text = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < m->n; i++) {
        char *eq = weight_of(operands[i]);
        if (ds_buf_printf(&text, "%s%s", i ? "," : "", eq ? eq + 1 : "1") || !ds_buf_cstr(&text))
            rc = ds_fail_nomem(err);
        if (eq)
            *eq = '\0';
    }
    if (rc == 0)
        rc = ds_weights_parse(weights, m->n, (const char *)text.data, err);
    for (size_t i = 0; rc == 0 && i < m->n; i++)
        m->lanes[i].weight = weights[i];
    ds_buf_fini(&text);
    return rc;
}

/* --names A,B in place of those that inputs have; they must differ. */
static int name_all(mix *m, ds_err *err)
{
    const char *p = m->a->names;
    for (size_t i = 0; p && i < m->n; i++) {
        const size_t len = strcspn(p, ",");
        free(m->in[i].name);
        m->in[i].name = strndup(p, len);
        if (!m->in[i].name)
            return ds_fail_nomem(err);
        if (!len || (p[len] == ',') != (i + 1 < m->n) || memchr(p, '/', len))
            return ds_fail(err, DS_USAGE, "--names: one for each input is wanted, without a slash");
        p += len + 1;
    }
    for (size_t i = 0; i < m->n; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(m->in[i].name, m->in[k].name) == 0)
                return ds_fail(err, DS_USAGE,
                               "two inputs are called '%s': --names tells them apart",
                               m->in[i].name);
    return 0;
}

static int read_caps(mix *m, ds_err *err)
{
    for (size_t i = 0; i < m->n; i++)
        m->cap[i] = UINT64_MAX;
    for (size_t k = 0; k < m->a->caps.n; k++) {
        const char *text = m->a->caps.v[k], *eq = strrchr(text, '=');
        size_t i = 0;
        while (eq && i < m->n &&
               (strlen(m->in[i].name) != (size_t)(eq - text) ||
                memcmp(m->in[i].name, text, (size_t)(eq - text)) != 0))
            i++;
        if (!eq || i == m->n)
            return ds_fail(err, DS_USAGE, "--cap %s: NAME=N is wanted, of an input's name", text);
        const char *number = eq + 1;
        if (!ds_digits_next(&number, &m->cap[i]) || *number || m->cap[i] > INT64_MAX)
            return ds_fail(err, DS_USAGE, "--cap %s: '%s' is no number of records", text, eq + 1);
    }
    return 0;
}

static int open_all(mix *m, char **operands, ds_err *err)
{
    int rc = read_weights(m, operands, err);
    for (size_t i = 0; rc == 0 && i < m->n; i++) {
        rc = ds_mixin_open(&m->in[i], operands[i], m->a->by, m->a->dry == REPEAT, err);
        if (rc && strcmp(operands[i], "-") != 0)
            ds_err_prefix(err, "%s", operands[i]);
    }
    rc = rc ? rc : name_all(m, err);
    rc = rc ? rc : read_caps(m, err);
    return rc ? rc : ds_mixplan_schema(&m->schema, m->in, m->n, m->a->label, err);
}

/* ---- records ---- */

/* The key that a record gets, in m->key. */
static int make_key(mix *m, const ds_mixin *in, ds_err *err)
{
    ds_buf_reset(&m->key);
    if ((m->a->keys == PREFIX && ds_buf_printf(&m->key, "%s/", in->name)) ||
        ds_buf_put(&m->key, in->values[0].p, in->values[0].len) ||
        (in->epoch && ds_buf_printf(&m->key, "~%llu", (unsigned long long)in->epoch + 1)))
        return ds_fail_nomem(err);
    return ds_mixkeys_put(&m->keys, m->key.data, m->key.len, err);
}

static int put_columns(mix *m, ds_mixin *in, ds_err *err)
{
    int rc = 0;
    for (size_t c = 0; rc == 0 && c < m->schema.n; c++) {
        ds_colbuild *col = ds_rows_col(m->rows, c);
        const int from = in->column[c];
        if (c == 0 && m->schema.explicit_key) {
            rc = make_key(m, in, err);
            rc = rc ? rc : ds_colbuild_bytes(col, m->key.data, m->key.len, err);
        } else if (m->a->label && c + 1 == m->schema.n) {
            rc = ds_colbuild_bytes(col, in->name, strlen(in->name), err);
        } else {
            rc = from < 0 ? ds_colbuild_null(col, err)
                          : ds_colbuild_value(col, &in->views[from], &in->values[from], err);
        }
    }
    return rc;
}

static int put_record(mix *m, size_t i, ds_err *err)
{
    ds_mixin *in = &m->in[i];
    const ds_range *g = (const ds_range *)(const void *)in->ranges.data;
    uint64_t amount, source;
    int rc = ds_mixin_amount(in, &amount, err);
    if (rc == 0)
        rc = ds_rows_begin(m->rows, err);
    if (rc == 0)
        rc = put_columns(m, in, err);
    for (size_t k = 0; rc == 0 && k < in->ranges.len / sizeof *g; k++) {
        rc = ds_sourcenums_of(&m->sources, i, g[k].source, &source, err);
        if (rc == 0)
            rc = ds_rows_origin(m->rows, source, g[k].offset, g[k].len, err);
    }
    if (rc == 0)
        rc = ds_rows_end(m->rows, err);
    ds_block_release(in->block, in->views, in->values, in->schema.n);
    if (__builtin_add_overflow(m->lanes[i].taken, amount, &m->lanes[i].taken))
        m->lanes[i].taken = UINT64_MAX;
    in->taken++;
    m->output++;
    return rc;
}

/* An input is at its end: does the mix go on? */
static int run_dry(mix *m, size_t i, bool *more, ds_err *err)
{
    const args *a = m->a;
    ds_mixin *in = &m->in[i];
    bool all = a->count < 0;
    for (size_t k = 0; k < m->n; k++)
        all = all && (m->in[k].epoch > 0 || m->lanes[k].out);
    *more = a->dry != STOP && !(a->dry == REPEAT && all);
    /* Which counted as nothing would be furthest behind for ever. */
    m->lanes[i].out = a->dry != REPEAT || in->records == 0 || m->lanes[i].taken == 0 ||
                      (a->max_epochs && in->epoch >= (uint64_t)a->max_epochs);
    return *more && !m->lanes[i].out ? ds_mixin_again(in, err) : 0;
}

static int interleave(mix *m, ds_err *err)
{
    ds_interleave order = {.lanes = m->lanes, .n = m->n, .seed = m->a->seed};
    bool more = true;
    int rc = 0;
    while (rc == 0 && more && (m->a->count < 0 || m->output < (uint64_t)m->a->count)) {
        size_t i;
        rc = ds_check_interrupt(err);
        rc = rc ? rc : ds_interleave_next(&order, &i, err);
        if (rc || i == m->n)
            break;
        if (m->in[i].taken >= m->cap[i]) {
            m->lanes[i].out = true;
            continue;
        }
        const int got = ds_mixin_next(&m->in[i], err);
        rc = got < 0 ? got : got ? put_record(m, i, err) : run_dry(m, i, &more, err);
    }
    for (size_t i = 0; rc == 0 && i < m->n; i++)
        if (m->in[i].epoch == 0)
            rc = ds_mixin_drain(&m->in[i], err);
    return rc;
}

/* ---- what stands behind them ---- */

static int tell_source(mix *m, uint64_t input, uint64_t local, const ds_buf *places, ds_err *err)
{
    ds_source src;
    size_t at = local < places[input].len / 8 ? (size_t)ds_get_u64(places[input].data + 8 * local)
                                              : SIZE_MAX;
    if (!ds_sourcelater_next(&m->in[input].sources, &at, &src))
        return ds_fail(err, DS_CORRUPT,
                       "%s: a record names source %llu, which it does not describe",
                       m->in[input].name, (unsigned long long)local);
    return ds_rows_source(m->rows, &src, err);
}

/* In the order in which records named them, then those that none named. */
static int tell_sources(mix *m, ds_err *err)
{
    ds_buf *places = calloc(m->n, sizeof *places); /* u64 by source: where it is told of */
    ds_source src;
    uint64_t number;
    int rc = places ? 0 : ds_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < m->n; i++) {
        size_t at = 0, before = 0;
        while (rc == 0 && ds_sourcelater_next(&m->in[i].sources, &at, &src)) {
            if (ds_buf_u64(&places[i], before))
                rc = ds_fail_nomem(err);
            else
                rc = ds_sourcenums_of(&m->sources, i, places[i].len / 8 - 1, &number, err);
            before = at;
        }
    }
    for (size_t k = 0; rc == 0 && k < m->sources.n; k++)
        rc = tell_source(m, m->sources.v[k].input, m->sources.v[k].local, places, err);
    for (size_t i = 0; places && i < m->n; i++)
        ds_buf_fini(&places[i]);
    free(places);
    return rc;
}

enum { NOT_DRAWN, CAP, NREASONS };
static const char *const reasons[] = {"not_drawn", "cap"};

static int count_all(const mix *m, ds_rowresult *res, ds_counts *held, ds_err *err)
{
    int rc = 0;
    res->dropped = calloc(NREASONS, sizeof *res->dropped);
    if (!res->dropped)
        return ds_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < m->n; i++) {
        const ds_mixin *in = &m->in[i];
        const uint64_t left = in->taken < in->records ? in->records - in->taken : 0;
        res->dropped[in->taken >= m->cap[i] ? CAP : NOT_DRAWN] += left;
        res->input += in->taken < in->records ? in->records : in->taken;
        res->held += left;
        rc = ds_counts_join(held, &in->counts, err);
    }
    res->output = m->output;
    if (rc == 0)
        rc = ds_counts_add(held, false, "mix: not_drawn", res->dropped[NOT_DRAWN], err);
    return rc ? rc : ds_counts_add(held, false, "mix: cap", res->dropped[CAP], err);
}

static double share_of(const mix *m, size_t i)
{
    double sum = 0;
    for (size_t k = 0; k < m->n; k++)
        sum += (double)m->lanes[k].taken;
    return sum > 0 ? (double)m->lanes[i].taken / sum : 0;
}

static json_t *inputs_json(const mix *m)
{
    json_t *all = json_array();
    for (size_t i = 0; i < m->n; i++) {
        const ds_mixin *in = &m->in[i];
        (void)json_array_append_new(
            all,
            json_pack("{s:s,s:I,s:I,s:f,s:f}", "name", in->name, "records", (json_int_t)in->records,
                      "taken", (json_int_t)in->taken, "share", share_of(m, i), "epochs",
                      in->records ? (double)in->taken / (double)in->records : 0.0));
    }
    return json_pack("{s:o}", "inputs", all);
}

static void say(const mix *m, const ds_rowresult *res)
{
    const ds_rowplan p = {.tool = "dsprep mix", .reasons = reasons, .nreasons = NREASONS};
    json_t *more = m->a->row.json ? inputs_json(m) : NULL;
    ds_transform_say(&m->a->row, res, &p, more);
    json_decref(more);
    for (size_t i = 0; ds_log_level > 0 && i < m->n; i++) {
        const ds_mixin *in = &m->in[i];
        fprintf(stderr, "  %s: %llu of %llu records, share %.4f", in->name,
                (unsigned long long)in->taken, (unsigned long long)in->records, share_of(m, i));
        if (in->taken > in->records)
            fprintf(stderr, ", %.2f epochs", (double)in->taken / (double)in->records);
        fprintf(stderr, "\n");
    }
}

/* ---- the whole ---- */

static json_t *text_or_null(const char *s)
{
    return s ? json_string(s) : json_null();
}

static json_t *options_of(const mix *m)
{
    static const char *const dry[] = {"stop", "rest", "repeat"}, *const keys[] = {"keep", "prefix"};
    const args *a = m->a;
    json_t *all = json_array();
    for (size_t i = 0; i < m->n; i++) {
        const ds_operand *o = &m->in[i].operand;
        json_t *j =
            json_pack("{s:s,s:I}", "name", m->in[i].name, "weight", (json_int_t)m->lanes[i].weight);
        if (o->version)
            (void)(json_object_set_new(j, "version", json_string(o->version)) ||
                   json_object_set_new(j, "root", json_string(o->root)));
        if (m->cap[i] != UINT64_MAX)
            (void)json_object_set_new(j, "cap", json_integer((json_int_t)m->cap[i]));
        if (!j || json_array_append_new(all, j)) {
            json_decref(all);
            return NULL;
        }
    }
    return json_pack("{s:o,s:o,s:o,s:s,s:I,s:I,s:s,s:o}", "inputs", all, "seed",
                     text_or_null(a->seed), "by", text_or_null(a->by), "when_dry", dry[a->dry],
                     "count", (json_int_t)a->count, "max_epochs", (json_int_t)a->max_epochs, "keys",
                     keys[a->keys], "label", text_or_null(a->label));
}

/* The steps of all inputs, and this one. */
static int provenance(const mix *m, ds_buf *out, ds_err *err)
{
    ds_buf all = {0}, more = {0};
    json_t *options = options_of(m);
    int rc = options ? 0 : ds_fail(err, DS_USAGE, "names and options must be UTF-8");
    for (size_t i = 0; rc == 0 && i < m->n; i++) {
        ds_buf_reset(&more);
        rc = ds_prov_union(&more, all.data, all.len, m->in[i].prov.data, m->in[i].prov.len, err);
        const ds_buf t = all;
        all = more;
        more = t;
    }
    if (rc == 0)
        rc = ds_prov_append(out, all.data, all.len, "dsprep mix", options, NULL, err);
    json_decref(options);
    ds_buf_fini(&all);
    ds_buf_fini(&more);
    return rc;
}

static int write_stream(mix *m, ds_rowresult *res, ds_err *err)
{
    const ds_rowopts *o = &m->a->row;
    ds_stageout out = {0};
    ds_counts held = {0};
    ds_buf prov = {0};
    int rc = provenance(m, &prov, err);
    if (rc == 0)
        rc = ds_stageout_open(&out, o->output, &m->schema, prov.data, prov.len,
                              ds_stageout_level(o->output, o->level), err);
    if (rc == 0)
        rc = ds_rows_new(&m->rows, out.writer, &m->schema, err);
    if (rc == 0)
        rc = interleave(m, err);
    if (rc == 0 && m->keys.sort)
        rc = ds_mixkeys_end(&m->keys, err);
    if (rc == 0)
        rc = tell_sources(m, err);
    if (rc == 0)
        rc = ds_rows_finish(m->rows, err);
    if (rc == 0)
        rc = count_all(m, res, &held, err);
    if (rc == 0)
        rc = ds_stageout_end(&out, &held, err);
    if (rc)
        ds_stageout_abort(&out, err->msg);
    ds_rows_free(m->rows);
    ds_stageout_fini(&out);
    ds_counts_fini(&held);
    ds_buf_fini(&prov);
    return rc;
}

static int check(const args *a, int n, ds_err *err)
{
    if (n > INPUTS_MAX)
        return ds_fail(err, DS_USAGE, "%d inputs: at most %d go into one mix", n, INPUTS_MAX);
    if (a->seed && a->by)
        return ds_fail(err, DS_USAGE, "--seed draws records, so it does not go with --by");
    if (a->max_epochs && a->dry != REPEAT)
        return ds_fail(err, DS_USAGE, "--max-epochs goes with --when-dry repeat");
    return 0;
}

static int mix_streams(const args *a, char **operands, int n, ds_err *err)
{
    mix m = {.a = a, .n = (size_t)n};
    ds_rowresult res = {0};
    int rc = check(a, n, err);
    if (rc)
        return rc;
    m.in = calloc(m.n, sizeof *m.in);
    m.lanes = calloc(m.n, sizeof *m.lanes);
    m.cap = calloc(m.n, sizeof *m.cap);
    rc = m.in && m.lanes && m.cap ? open_all(&m, operands, err) : ds_fail_nomem(err);
    if (rc == 0 && m.schema.explicit_key)
        rc = ds_mixkeys_new(&m.keys, (size_t)a->memory, err);
    if (rc == 0)
        rc = write_stream(&m, &res, err);
    if (rc == 0)
        say(&m, &res);
    for (size_t i = 0; m.in && i < m.n; i++)
        ds_mixin_fini(&m.in[i]);
    free(m.in);
    free(m.lanes);
    free(m.cap);
    ds_mixkeys_fini(&m.keys);
    ds_schema_fini(&m.schema);
    ds_rowresult_fini(&res);
    ds_buf_fini(&m.key);
    ds_sourcenums_fini(&m.sources);
    return rc;
}

static int run(int argc, char **argv)
{
    static const char *const dry[] = {"stop", "rest", "repeat", NULL};
    static const char *const keys[] = {"keep", "prefix", NULL};
    args a = {.row = {.level = -1}, .count = -1, .memory = 24 << 20};
    const ds_opt opts[] = {
        OPT_CHOICE(0, "when-dry", a.dry, "WHAT", dry,
                   "when an input is at its end: stop, go on with the rest, or repeat it"),
        OPT_STR(0, "seed", a.seed, "TEXT",
                "draw inputs by chance, which this decides; default: who is furthest behind"),
        OPT_STR('b', "by", a.by, "EXPR",
                "what shares are of: 'len(tokens)', 'size(text)'; default records"),
        OPT_INT('n', "count", a.count, "N", 0, INT64_MAX, "end behind this many records"),
        OPT_LIST(0, "cap", a.caps, "NAME=N",
                 "at most this many records of one input; may be given again"),
        OPT_INT(0, "max-epochs", a.max_epochs, "N", 1, INT32_MAX,
                "read no input more often than this; default: as often as it takes"),
        OPT_CHOICE(0, "keys", a.keys, "HOW", keys,
                   "keep explicit keys, which must differ, or prefix them with the input's name"),
        OPT_STR(0, "label", a.label, "COLUMN", "add a column with the name of the input"),
        OPT_STR(0, "names", a.names, "A,B", "other names for the inputs, in their order"),
        OPT_SIZE('m', "memory", a.memory, "SIZE", "what checking keys may take; default 24M"),
        DSPREP_OUTPUT(a.row.output),
        DS_ROWOPTS_REST(a.row),
        OPT_END,
    };
    char **operands;
    int n, rc = ds_opt_begin(&ds_cmd_mix, opts, argc, argv, &operands, &n);
    if (rc >= 0)
        return rc;
    ds_err err = {0};
    ds_transform_begin(&a.row);
    (void)mix_streams(&a, operands, n, &err);
    ds_opt_list_fini(&a.caps);
    return ds_transform_end(&ds_cmd_mix, &a.row, &err, false);
}
