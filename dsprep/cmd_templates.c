/* cmd_templates.c - dsprep templates: the templates of log lines, mined and put beside each record.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "blockpipe.h"
#include "cmd_transform.h"
#include "drain.h"
#include "dsr_prov.h"
#include "opt.h"
#include "rowstage.h"
#include "sig.h"
#include "stageout.h"
#include "term.h"
#include "twice.h"
#include "plural.h"

static int run(int argc, char **argv);

extern const ds_command ds_cmd_templates;
const ds_command ds_cmd_templates = {
    .prog = "dsprep",
    .name = "templates",
    .summary = "mine the templates of log lines, and add them to each record",
    .operands = "[FILE]",
    .min_operands = 0,
    .max_operands = 1,
    .example =
        "dsprep logs /var/log/syslog | dsprep templates --catalog t.jsonl | dsver commit ops\n"
        "dsprep templates logs.dsr | dsprep cat -c template_id,variables",
    .description =
        "Reads a DSR stream from FILE or standard input and writes it with three columns more: "
        "template, the text of a record with <*> for what varies; template_id, 16 hex digits "
        "that depend on that text alone and so are the same in every run; and variables, the "
        "words that stand for the <*>, in order. Only the first line of a text counts. All "
        "other columns, blocks, origins and sources pass through unchanged.\n\n"
        "Templates are mined with Drain from the whole stream before the first record is "
        "written: the input is read twice, and kept in a temporary file where that is not "
        "possible. They do not depend on the number of threads. --catalog writes them as JSON "
        "lines, in the order of their first records, with how many records and shapes (lines "
        "without their numbers) each has, and its first line.\n\n"
        "Memory grows with the number of shapes, up to --max-shapes; records whose shape is "
        "not among the first so many have null in the three columns, and are counted.",
    .run = run,
};

typedef struct args {
    const char *column, *catalog;
    double similarity;
    int64_t children, max_shapes;
    ds_rowopts row;
} args;

typedef struct tmpl_ctx {
    const args *a;
    size_t column;
    ds_shapes shapes;
    ds_spool numbers; /* uint32_t: the shape of each record */
    const uint8_t *shape_of;
    ds_drain drain;
    ds_schema schema;
    ds_stageout out;
    ds_chunk *chunks;
    ds_instream *in;
    ds_progress progress;
    uint64_t records, without, at; /* at: first record of the next block */
    ds_buf catalog, prov;
} tmpl_ctx;

/* Views of a block and the value of the column in its next record. */
static int open_column(const tmpl_ctx *c, const ds_block *b, ds_colview *v, ds_err *err)
{
    const ds_chunk *k = &b->chunks[c->column];
    return ds_colview_open(v, &ds_instream_schema(c->in)->cols[c->column], k->body, k->body_len,
                           b->rows, err);
}

/* ---- first: the shapes ---- */

typedef struct shape_state {
    ds_shapes shapes;
    ds_buf numbers, map; /* uint32_t: by record, by shape */
} shape_state;

static int shape_work(void *ctx, void *state, const ds_block *b, ds_err *err)
{
    shape_state *s = state;
    ds_colview v;
    ds_value x;
    ds_shapes_reset(&s->shapes);
    s->numbers.len = 0;
    int rc = open_column(ctx, b, &v, err);
    while (rc == 0 && ds_colview_next(&v, &x)) {
        uint32_t number = DS_SHAPE_NONE;
        if (!x.null)
            rc = ds_shapes_add(&s->shapes, x.p, x.len, &number, err);
        if (rc == 0 && ds_buf_put(&s->numbers, &number, sizeof number) != 0)
            rc = ds_fail_nomem(err);
    }
    return rc;
}

static int shape_done(void *ctx, void *state, const ds_block *b, ds_err *err)
{
    tmpl_ctx *c = ctx;
    shape_state *s = state;
    s->map.len = 0;
    if (ds_buf_reserve(&s->map, (s->shapes.n + 1) * sizeof(uint32_t)) != 0)
        return ds_fail_nomem(err);
    uint32_t *map = (uint32_t *)(void *)s->map.data, *n = (uint32_t *)(void *)s->numbers.data;
    int rc = ds_shapes_merge(&c->shapes, &s->shapes, map, err);
    for (uint64_t i = 0; i < b->rows; i++)
        if (n[i] != DS_SHAPE_NONE)
            n[i] = map[n[i]];
    ds_progress_at(&c->progress, ds_instream_pos(c->in));
    return rc ? rc : ds_spool_put(&c->numbers, n, s->numbers.len, err);
}

static void shape_fini(void *state)
{
    shape_state *s = state;
    ds_shapes_fini(&s->shapes);
    ds_buf_fini(&s->numbers);
    ds_buf_fini(&s->map);
}

static int no_end(void *ctx, ds_instream *in, ds_err *err)
{
    (void)ctx;
    (void)in;
    (void)err;
    return 0;
}

static const ds_blockpipe_ops shape_ops = {.state_size = sizeof(shape_state),
                                           .work = shape_work,
                                           .done = shape_done,
                                           .end = no_end,
                                           .fini = shape_fini};

/* ---- then: the columns ---- */

enum { TEXT, ID, VARIABLES, NCOLS };

typedef struct col_state {
    bool made;
    uint64_t first, without;
    ds_colbuild build[NCOLS];
    ds_buf head[NCOLS];
    ds_chunk chunk[NCOLS];
} col_state;

static int col_prepare(void *ctx, void *state, const ds_block *b, ds_err *err)
{
    tmpl_ctx *c = ctx;
    col_state *s = state;
    (void)err;
    if (!s->made) {
        ds_colbuild_init(&s->build[TEXT], DS_UTF8, DS_UTF8, true);
        ds_colbuild_init(&s->build[ID], DS_UTF8, DS_UTF8, true);
        ds_colbuild_init(&s->build[VARIABLES], DS_LIST, DS_UTF8, true);
    }
    s->made = true;
    s->first = c->at;
    c->at += b->rows;
    return 0;
}

static int put_variables(const tmpl_ctx *c, ds_colbuild *b, const ds_template *t, const ds_value *x,
                         ds_err *err)
{
    ds_word words[DS_SHAPE_LINE / 2 + 2];
    size_t from, n = ds_shape_line(x->p, x->len, &from);
    const uint8_t *line = x->p + from;
    const uint32_t *open = (const uint32_t *)(const void *)c->drain.open.data + t->open;
    if (t->nopen > 0)
        n = ds_shape_words(line, n, words);
    int rc = ds_colbuild_list_begin(b, err);
    for (uint32_t i = 0; i < t->nopen && rc == 0; i++)
        rc = open[i] < n
                 ? ds_colbuild_item_bytes(b, line + words[open[i]].at, words[open[i]].len, err)
                 : ds_fail(err, DS_FAIL, "the input changed while it was read");
    return rc ? rc : ds_colbuild_list_end(b, err);
}

static int put_row(const tmpl_ctx *c, col_state *s, uint32_t shape, const ds_value *x, ds_err *err)
{
    int rc = 0;
    if (shape == DS_SHAPE_NONE || x->null) {
        s->without++;
        for (int i = 0; i < NCOLS && rc == 0; i++)
            rc = ds_colbuild_null(&s->build[i], err);
        return rc;
    }
    const ds_template *t = &c->drain.v[c->drain.of[shape]];
    rc = ds_colbuild_bytes(&s->build[TEXT], c->drain.bytes.data + t->text, t->len, err);
    if (rc == 0)
        rc = ds_colbuild_bytes(&s->build[ID], t->id, 16, err);
    return rc ? rc : put_variables(c, &s->build[VARIABLES], t, x, err);
}

static int col_work(void *ctx, void *state, const ds_block *b, ds_err *err)
{
    const tmpl_ctx *c = ctx;
    col_state *s = state;
    ds_colview v;
    ds_value x;
    s->without = 0;
    for (int i = 0; i < NCOLS; i++)
        ds_colbuild_reset(&s->build[i]);
    int rc = open_column(c, b, &v, err);
    for (uint64_t i = s->first; rc == 0 && ds_colview_next(&v, &x); i++) {
        if (i >= c->records)
            return ds_fail(err, DS_FAIL, "the input changed while it was read");
        rc = put_row(c, s, ds_get_u32(c->shape_of + 4 * i), &x, err);
    }
    for (int i = 0; i < NCOLS && rc == 0; i++)
        rc = ds_colbuild_chunk(&s->build[i], &s->head[i], &s->chunk[i], err);
    return rc;
}

static int col_done(void *ctx, void *state, const ds_block *b, ds_err *err)
{
    tmpl_ctx *c = ctx;
    const col_state *s = state;
    size_t columns = b->nchunks - 1;
    memcpy(c->chunks, b->chunks, columns * sizeof *c->chunks);
    memcpy(c->chunks + columns, s->chunk, sizeof s->chunk);
    c->without += s->without;
    ds_progress_at(&c->progress, ds_instream_pos(c->in));
    return ds_writer_block(c->out.writer, b->rows, c->chunks, &b->chunks[columns], err);
}

static int col_source(void *ctx, const ds_source *s, ds_err *err)
{
    tmpl_ctx *c = ctx;
    return ds_writer_source(c->out.writer, s, err);
}

static int col_end(void *ctx, ds_instream *in, ds_err *err)
{
    tmpl_ctx *c = ctx;
    return ds_stageout_end(&c->out, ds_reader_counts(ds_instream_reader(in)), err);
}

static void col_fini(void *state)
{
    col_state *s = state;
    for (int i = 0; i < NCOLS; i++) {
        ds_colbuild_fini(&s->build[i]);
        ds_buf_fini(&s->head[i]);
    }
}

static const ds_blockpipe_ops col_ops = {.state_size = sizeof(col_state),
                                         .prepare = col_prepare,
                                         .work = col_work,
                                         .done = col_done,
                                         .source = col_source,
                                         .end = col_end,
                                         .fini = col_fini};

/* ---- what was mined ---- */

static int make_catalog(tmpl_ctx *c, ds_err *err)
{
    ds_buf *b = &c->catalog;
    int rc = 0;
    for (size_t i = 0; i < c->drain.n && rc == 0; i++) {
        const ds_template *t = &c->drain.v[i];
        const ds_shape *sh = &c->shapes.v[t->first];
        rc =
            ds_buf_printf(b, "{\"id\":\"%s\",\"template\":", t->id) |
            ds_json_str(b, (const char *)c->drain.bytes.data + t->text, t->len) |
            ds_buf_printf(b, ",\"records\":%" PRIu64 ",\"shapes\":%" PRIu32 ",\"first\":", t->count,
                          t->shapes) |
            ds_json_str(b, (const char *)c->shapes.bytes.data + sh->line, sh->len) |
            ds_buf_puts(b, "}\n");
    }
    return rc ? ds_fail_nomem(err) : 0;
}

static int make_provenance(tmpl_ctx *c, ds_err *err)
{
    const args *a = c->a;
    size_t len;
    ds_sha sha;
    char hex[65];
    const char *in = ds_reader_provenance(ds_instream_reader(c->in), &len);
    int rc = ds_sha_bytes(&sha, c->catalog.data, c->catalog.len, err);
    if (rc != 0)
        return rc;
    ds_sha_hex(hex, &sha);
    json_t *o =
        json_pack("{s:s,s:I,s:I,s:f}", "column", a->column, "max_children", (json_int_t)a->children,
                  "max_shapes", (json_int_t)a->max_shapes, "similarity", a->similarity);
    json_t *d = json_pack("{s:o}", "catalog", json_sprintf("sha256:%s", hex));
    rc = o && d ? ds_prov_append(&c->prov, in, len, "dsprep templates", o, d, err)
                : ds_fail(err, DS_USAGE, "an option is not valid UTF-8");
    json_decref(o);
    json_decref(d);
    return rc;
}

static int make_schema(tmpl_ctx *c, ds_err *err)
{
    int rc = ds_schema_copy(&c->schema, ds_instream_schema(c->in), err);
    if (rc == 0)
        rc = ds_schema_add(&c->schema, NULL, "template", DS_UTF8, DS_COL_NULLABLE, NULL, err);
    if (rc == 0)
        rc = ds_schema_add(&c->schema, NULL, "template_id", DS_UTF8, DS_COL_NULLABLE, NULL, err);
    if (rc == 0)
        rc = ds_schema_add_list(&c->schema, NULL, "variables", DS_UTF8, true, err);
    if (rc == 0 && !(c->chunks = calloc(c->schema.n, sizeof *c->chunks)))
        rc = ds_fail_nomem(err);
    return rc;
}

static int check_column(tmpl_ctx *c, ds_err *err)
{
    if (ds_instream_files(c->in) != 1)
        return ds_fail(err, DS_USAGE, "shards are streams of their own: take them one by one");
    return ds_rowcolumn_find(&c->column, c->in, c->a->column, 1u << DS_UTF8, err);
}

static int pass(tmpl_ctx *c, const char *what, const ds_blockpipe_ops *ops, ds_err *err)
{
    ds_progress_begin(&c->progress, what, ds_instream_size(c->in), true);
    int rc = ds_blockpipe_run(c->in, ops, c, (int)c->a->row.threads, err);
    ds_progress_end(&c->progress);
    return rc;
}

static int mine(tmpl_ctx *c, const ds_twice *t, ds_err *err)
{
    const ds_drainopts o = {.similarity = c->a->similarity, .children = (size_t)c->a->children};
    size_t len;
    int rc = ds_instream_open(&c->in, t->paths, t->n, err);
    if (rc == 0)
        rc = check_column(c, err);
    if (rc == 0)
        rc = make_schema(c, err);
    c->shapes.max = (size_t)c->a->max_shapes;
    if (rc == 0)
        rc = pass(c, "mining", &shape_ops, err);
    if (rc == 0)
        rc = ds_drain_mine(&c->drain, &c->shapes, &o, err);
    if (rc == 0)
        rc = ds_spool_view(&c->numbers, &c->shape_of, &len, err);
    c->records = rc == 0 ? len / 4 : 0;
    ds_instream_free(c->in);
    c->in = NULL;
    return rc ? rc : make_catalog(c, err);
}

static int write_columns(tmpl_ctx *c, const ds_twice *t, ds_err *err)
{
    const args *a = c->a;
    int rc = ds_instream_open(&c->in, t->paths, t->n, err);
    if (rc == 0)
        rc = make_provenance(c, err);
    if (rc == 0)
        rc = ds_stageout_open(&c->out, a->row.output, &c->schema, c->prov.data, c->prov.len,
                              ds_stageout_level(a->row.output, a->row.level), err);
    if (rc == 0)
        rc = pass(c, "writing", &col_ops, err);
    if (rc == 0 && a->catalog)
        rc = ds_atomic_write(a->catalog, 0644, c->catalog.data, c->catalog.len, err);
    if (rc != 0)
        ds_stageout_abort(&c->out, err->msg);
    return rc;
}

static void say(const tmpl_ctx *c, const ds_rowopts *o)
{
    if (o->json) {
        const ds_rowresult all = {.input = c->records, .output = c->records};
        const ds_rowplan plan = {.tool = "dsprep templates"};
        json_t *more = json_pack("{s:I,s:I,s:I}", "templates", (json_int_t)c->drain.n, "shapes",
                                 (json_int_t)c->shapes.n, "without", (json_int_t)c->without);
        ds_transform_say(o, &all, &plan, more);
        json_decref(more);
        return;
    }
    if (ds_log_level > 0)
        fprintf(stderr, "dsprep templates: %" PRIu64 " record%s, %zu template%s from %zu shape%s\n",
                c->records, ds_s(c->records), c->drain.n, ds_s(c->drain.n), c->shapes.n,
                ds_s(c->shapes.n));
    if (c->without > 0)
        ds_warn("%" PRIu64 " records have no template: no text, or past --max-shapes", c->without);
}

static void fini(tmpl_ctx *c)
{
    ds_instream_free(c->in);
    ds_stageout_fini(&c->out);
    ds_shapes_fini(&c->shapes);
    ds_spool_fini(&c->numbers);
    ds_drain_fini(&c->drain);
    ds_schema_fini(&c->schema);
    ds_buf_fini(&c->catalog);
    ds_buf_fini(&c->prov);
    free(c->chunks);
}

static int run(int argc, char **argv)
{
    args a = {.column = "text",
              .similarity = 0.4,
              .children = 100,
              .max_shapes = 1000000,
              .row = {.level = -1}};
    const ds_opt opts[] = {
        OPT_STR('c', "column", a.column, "NAME", "the column of text; default text"),
        OPT_STR(0, "catalog", a.catalog, "FILE", "write the templates as JSON lines"),
        OPT_REAL(0, "similarity", a.similarity, "SHARE",
                 "share of its words that a line must have in common with a template; default 0.4"),
        OPT_INT(0, "max-children", a.children, "N", 2, 1000000,
                "first words that are told apart, for each number of words; default 100"),
        OPT_INT(0, "max-shapes", a.max_shapes, "N", 1, INT32_MAX,
                "shapes that are kept; default 1000000"),
        DSPREP_OUTPUT(a.row.output),
        DS_ROWOPTS_COMMON(a.row),
        OPT_END,
    };
    char **operands;
    int n, rc = ds_opt_begin(&ds_cmd_templates, opts, argc, argv, &operands, &n);
    if (rc >= 0)
        return rc;
    ds_err err = {0};
    tmpl_ctx c = {.a = &a};
    ds_twice t = {0};
    ds_transform_begin(&a.row);
    rc = a.similarity >= 0 && a.similarity <= 1
             ? 0
             : ds_fail(&err, DS_USAGE, "--similarity: from 0 to 1");
    if (rc == 0 && !a.row.output)
        rc = ds_refuse_tty(1, "pipe it on, or give -o FILE", &err);
    if (rc == 0)
        rc = ds_twice_open(&t, operands, n, &err);
    if (rc == 0)
        rc = mine(&c, &t, &err);
    if (rc == 0)
        rc = write_columns(&c, &t, &err);
    if (rc == 0)
        say(&c, &a.row);
    fini(&c);
    ds_twice_fini(&t);
    return ds_transform_end(&ds_cmd_templates, &a.row, &err, false);
}
