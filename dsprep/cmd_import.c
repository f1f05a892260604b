/* cmd_import.c - dsprep import: records out of a format of other tools. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "cmd_format.h"
#include "cmd_transform.h"
#include "csv.h"
#include "dsr_prov.h"
#include "hivepath.h"
#include "jitems.h"
#include "options.h"
#include "plural.h"
#include "sidecar.h"
#include "sig.h"
#include "term.h"
#include "walk.h"

static int run(int argc, char **argv);

extern const ds_command ds_cmd_import;
const ds_command ds_cmd_import = {
    .prog = "dsprep",
    .name = "import",
    .summary = "read records from a format of other tools",
    .operands = "INPUT...",
    .min_operands = 1,
    .max_operands = -1,
    .example = "dsprep import corpus-mds/ | dsver commit -m 'theirs' corpus\n"
               "dsprep import --key-field id posts.jsonl.zst | dsprep head\n"
               "dsprep import sft-*.parquet | dsprep tokenize -t tok.json --chat auto -o sft.dsr\n"
               "dsprep import --format webdataset shards/*.tar | dsprep info",
    .description =
        "Reads files that other tools, or dsprep export, have written, and writes a DSR stream "
        "to standard output, or shard files into a folder with -o. An INPUT is a file, a "
        "folder (everything below it whose name ends as the format's files do), for megatron "
        "what INPUT.bin and INPUT.idx begin with, or - for standard input. gz, xz, zst and bz2 "
        "are unpacked. Unless --format sets it, the format follows from the name's ending; for "
        "a folder, from its index.json, which means MDS, or the endings of the names in it; for a "
        "file whose name tells nothing, from how it begins (parquet, arrow, npy, llmc, tfrecord, "
        "a tar, an object or array of JSON), which is said.\n\n"
        "Columns and types are those of dsr-schema.json beside the first input, or of "
        "--schema; without one, those that the format itself says, and for jsonl, tfrecord and "
        "webdataset those found in the first megabyte. --key-field names the field that is the "
        "key; without it a field called key is taken, and where there is none, keys are "
        "derived from the records. A document of JSON that is an array of objects is read "
        "element by element, and so is the array that --records-at names.\n\n"
        "Values are converted exactly or not at all: a number that does not fit its column, "
        "text that is not UTF-8, a key that is empty, longer than 4096 bytes or holds a NUL, a "
        "damaged record are bad input, reported with file, offset and reason; --on-error says "
        "what happens then. Nothing in a file is run or unpickled. Hashes and checksums that "
        "the format has are checked.\n\n"
        "The records do not depend on how the input is packed, on locale or machine.",
    .run = run,
};

typedef struct importing {
    const char *format, *schema_file, *key, *quarantine, *delimiter, *columns, *records_at;
    ds_shardopts shards;
    bool infer, hive, quiet, json;
    int on_error;
    int64_t max_record, max_ratio, separator;
    /* what is open */
    const ds_format *f;
    ds_sidecar side;
    bool known;       /* the schema is */
    ds_hivepath path; /* of the file at hand, where folders name columns */
    ds_fval *row;     /* its values, with those of the path */
    bool warned;
    ds_shardout *out;
    ds_badlog bad;
    ds_fvalwork work;
    ds_buf prov;
    ds_fmtsink sink;
    ds_fmtread read;
    uint64_t records, left_out;
} importing;

/* ---- the sink ---- */

static int problem(importing *m, const char *reason, uint64_t at, uint64_t offset, const uint8_t *p,
                   size_t len, bool lost, const char *why, ds_err *err)
{
    const ds_textproblem t = {.source = m->read.name,
                              .reason = reason,
                              .why = why,
                              .located = true,
                              .lost = lost,
                              .offset = offset,
                              .len = len,
                              .at = at,
                              .bytes = p,
                              .nbytes = p ? len : 0};
    return ds_badlog_add(&m->bad, &t, err);
}

static int on_bad(void *ctx, const char *reason, uint64_t at, uint64_t offset, const uint8_t *p,
                  size_t len, bool lost, const char *why, ds_err *err)
{
    return problem(ctx, reason, at, offset, p, len, lost, why, err);
}

/* The values with those that stand in the path: what the file itself has goes before. */
static const ds_fval *with_path(importing *m, const ds_fval *values)
{
    const ds_schema *s = m->sink.schema;
    if (!m->path.n)
        return values;
    memcpy(m->row, values, s->n * sizeof *values);
    for (size_t i = 0; i < m->path.n; i++) {
        const ds_hivepart *p = &m->path.v[i];
        ds_fval *v = &m->row[ds_schema_find(s, p->name)];
        if (v->kind == DS_FV_NULL && !p->null)
            *v = (ds_fval){.kind = DS_FV_TEXT,
                           .p = p->value.len ? p->value.data : (const uint8_t *)"",
                           .len = p->value.len};
    }
    return m->row;
}

static int on_row(void *ctx, const ds_fval *row, uint64_t offset, uint64_t len, ds_err *err)
{
    importing *m = ctx;
    const ds_schema *s = m->sink.schema;
    const ds_fval *values = with_path(m, row);
    const char *why = NULL;
    char text[256];
    ds_rows *rows;
    size_t i = 0;
    int rc = ds_shardout_rows(m->out, &rows, err);
    if (rc == 0)
        rc = ds_rows_begin(rows, err);
    if (rc == 0 && s->explicit_key)
        rc = ds_fval_key(&m->work, ds_rows_col(rows, 0), &s->cols[0], &values[0], &why, err);
    for (i = rc == 0 && s->explicit_key; rc == 0 && i < s->n; i++)
        if ((rc = ds_fval_put(&m->work, ds_rows_col(rows, i), &s->cols[i], &values[i], &why,
                              err)) != 0)
            break;
    if (rc == 1) {
        (void)snprintf(text, sizeof text, "%s: %s", s->cols[i].name, why);
        rc = ds_rows_drop(rows, err);
        return rc ? rc : problem(m, "value", offset, offset, NULL, (size_t)len, false, text, err);
    }
    if (rc == 0)
        rc = ds_shardout_row(m->out, offset, len, err);
    m->records += rc == 0;
    return rc;
}

static int on_source(void *ctx, const char *name, uint64_t size, const ds_sha *sha, ds_err *err)
{
    importing *m = ctx;
    const ds_source s = {.name = name, .len = strlen(name), .size = size, .sha = *sha};
    return ds_shardout_source(m->out, &s, err);
}

/* ---- the run ---- */

static int provenance(importing *m, ds_err *err)
{
    json_t *o = json_pack("{s:s,s:s,s:I,s:s}", "format", m->f->name, "on_error",
                          ds_onerror_names[m->on_error], "max_record", (json_int_t)m->max_record,
                          "columns", m->side.schema.n ? "given" : "found");
    int rc = o ? 0 : ds_fail_nomem(err);
    if (rc == 0 && m->key && json_object_set_new(o, "key_field", json_string(m->key)))
        rc = ds_fail(err, DS_USAGE, "--key-field is not UTF-8");
    if (rc == 0 && m->delimiter && json_object_set_new(o, "delimiter", json_string(m->delimiter)))
        rc = ds_fail_nomem(err);
    if (rc == 0 && m->hive && json_object_set_new(o, "hive", json_true()))
        rc = ds_fail_nomem(err);
    if (rc == 0 && m->columns && json_object_set_new(o, "only", json_string(m->columns)))
        rc = ds_fail(err, DS_USAGE, "--columns is not UTF-8");
    if (rc == 0 && m->records_at &&
        json_object_set_new(o, "records_at", json_string(m->records_at)))
        rc = ds_fail(err, DS_USAGE, "--records-at is not UTF-8");
    if (rc == 0 && m->separator >= 0 &&
        json_object_set_new(o, "separator", json_integer(m->separator)))
        rc = ds_fail_nomem(err);
    if (rc == 0)
        rc = ds_prov_append(&m->prov, m->side.provenance.data, m->side.provenance.len,
                            "dsprep import", o, NULL, err);
    json_decref(o);
    return rc;
}

/* Columns of the path go behind the file's. */
static int add_path(importing *m, ds_schema *s, ds_err *err)
{
    for (size_t i = 0; i < m->path.n; i++)
        if (ds_schema_find(s, m->path.v[i].name) < 0) {
            const int rc =
                ds_schema_add(s, NULL, m->path.v[i].name, DS_UTF8,
                              DS_COL_NULLABLE | (s->explicit_key ? 0 : DS_COL_KEYED), NULL, err);
            if (rc)
                return rc;
        }
    return 0;
}

/* What the folders of a file say. */
static int take_path(importing *m, const char *name, ds_err *err)
{
    size_t at, len;
    if (!m->hive && !m->warned && ds_hivepath_first(name, &at, &len)) {
        ds_warn(
            "%s: the folder '%.*s' is named as Hive names a column and its value, which is left "
            "out (--hive takes it)",
            name, (int)len, name + at);
        m->warned = true;
    }
    return m->hive ? ds_hivepath_of(&m->path, name, err) : 0;
}

static int check_path(const importing *m, ds_err *err)
{
    for (size_t i = 0; i < m->path.n; i++)
        if (ds_schema_find(&m->side.schema, m->path.v[i].name) < 0)
            return ds_fail(err, DS_FAIL,
                           "%s: its folders name '%s', which is in no column of the "
                           "schema",
                           m->read.name, m->path.v[i].name);
    return 0;
}

/* Where the stream begins: with the first input, which says its columns when nothing else does. */
static int start(importing *m, void *reader, ds_err *err)
{
    int rc = provenance(m, err);
    if (rc == 0 && !m->side.schema.n) {
        ds_schema_init(&m->side.schema);
        rc = m->f->schema(reader, &m->side.schema, err);
        rc = rc ? rc : add_path(m, &m->side.schema, err);
    }
    if (rc == 0 && !(m->row = calloc(m->side.schema.n, sizeof *m->row)))
        rc = ds_fail_nomem(err);
    if (rc == 0 && m->key && !m->side.schema.explicit_key)
        rc = ds_fail(err, DS_USAGE, "--key-field: the schema has derived keys");
    if (rc == 0)
        rc = ds_shardout_open(&m->out, &m->shards, &m->side.schema, m->prov.data, m->prov.len, err);
    m->sink = (ds_fmtsink){
        .ctx = m, .schema = &m->side.schema, .row = on_row, .bad = on_bad, .source = on_source};
    m->known = true;
    return rc;
}

static int one_file(importing *m, const char *path, const char *name, ds_err *err)
{
    void *reader = NULL;
    m->read = (ds_fmtread){.path = path,
                           .name = name,
                           .max_record = (size_t)m->max_record,
                           .max_ratio = (uint64_t)m->max_ratio,
                           .key = m->key,
                           .separator = m->separator,
                           .delimiter = m->read.delimiter,
                           .columns = m->columns,
                           .records_at = m->read.records_at};
    int rc = take_path(m, name, err);
    rc = rc ? rc : m->f->read_open(&reader, &m->read, err);
    if (rc == 0 && !m->known)
        rc = start(m, reader, err);
    rc = rc ? rc : check_path(m, err);
    if (rc == 0)
        rc = m->f->read(reader, &m->sink, err);
    m->f->close(reader);
    return rc;
}

static bool ends_as(const ds_format *f, const char *name)
{
    return ds_format_of(name) == f;
}

/* What --format says; a file that is called .json is read as jsonl, which may be a document, too.
 */
static const char *format_word(const importing *m, const char *path)
{
    const size_t n = ds_packmark_bare(path);
    return !m->format && n > 5 && memcmp(path + n - 5, ".json", 5) == 0 ? "jsonl" : m->format;
}

/* The log of a table whose folder holds more than its newest version; NULL: it is none. */
static const char *table_of(const char *name)
{
    const size_t n = strlen(name);
    const char *const iceberg = ".metadata.json", *const delta = strstr(name, "_delta_log/");
    if (delta && (delta == name || delta[-1] == '/'))
        return "Delta Lake";
    return n > strlen(iceberg) && strcmp(name + n - strlen(iceberg), iceberg) == 0 ? "Iceberg"
                                                                                   : NULL;
}

/* Is the file no data of a table's: below a folder, or itself, of such a name? */
static int is_hidden(const importing *m, const ds_walk_entry *e, bool *hidden, ds_err *err)
{
    *hidden = false;
    if (e->operand || !(m->f->flags & DS_FORMAT_LAKE))
        return 0;
    for (const char *p = e->name; *p; p += strcspn(p, "/"), p += *p == '/')
        *hidden |= *p == '_' || *p == '.';
    return table_of(e->name)
               ? ds_fail(err, DS_FAIL,
                         "%s: a table of %s: which files are of its newest version its log tells, "
                         "which is not read (name the files, or export the table)",
                         e->name, table_of(e->name))
               : 0;
}

/* Operands as files, in order; those below folders when they end as the format's files do. */
static int walk_files(importing *m, char **operands, int n, ds_err *err)
{
    ds_walk *w;
    ds_walk_entry e;
    bool hidden = false;
    int more, rc = ds_walk_new(&w, operands, (size_t)n, err);
    if (rc)
        return rc;
    while (rc == 0 && (more = ds_walk_next(w, &e, err)) != 0) {
        if (more < 0)
            rc = more;
        else if (e.kind == DS_WALK_PROBLEM)
            rc = ds_fail(err, DS_IO, "%s: %s", e.name, e.message);
        else if ((rc = is_hidden(m, &e, &hidden, err)) != 0)
            break;
        else if (e.kind == DS_WALK_FILE && !e.operand && (hidden || !ends_as(m->f, e.name)))
            m->left_out += strcmp(e.name, DS_SIDECAR_NAME) != 0;
        else
            rc = one_file(m, e.kind == DS_WALK_STDIN ? "-" : e.path, e.name, err);
    }
    ds_walk_free(w);
    return rc;
}

static int find_schema(importing *m, const char *first, ds_err *err)
{
    bool found = false;
    if (m->schema_file)
        return ds_sidecar_read(&m->side, m->schema_file, err);
    if (m->infer || strcmp(first, "-") == 0)
        return 0;
    return ds_sidecar_find(&m->side, &found, first, err);
}

static int check(const importing *m, ds_err *err)
{
    const bool ids = m->f->flags & DS_FORMAT_IDS;
    if (m->infer && m->schema_file)
        return ds_fail(err, DS_USAGE, "--infer and --schema contradict each other");
    if (m->separator >= 0 && !ids)
        return ds_fail(err, DS_USAGE, "--separator is of formats of ids, and this is %s",
                       m->f->name);
    return 0;
}

static int convert(importing *m, char **operands, int n, ds_err *err)
{
    int rc = ds_format_named(&m->f, format_word(m, operands[0]), operands[0], err);
    if (rc == 0 && !m->f->read_open)
        rc = ds_fail(err, DS_USAGE, "--format %s: it can be written only", m->f->name);
    rc = rc ? rc : check(m, err);
    if (rc == 0 && m->delimiter && strcmp(m->f->name, "csv") != 0)
        rc = ds_fail(err, DS_USAGE, "--delimiter is of csv, and this is %s", m->f->name);
    if (rc == 0 && m->columns && !(m->f->flags & DS_FORMAT_COLUMNS))
        rc =
            ds_fail(err, DS_USAGE, "--columns is of parquet and arrow, and this is %s", m->f->name);
    if (rc == 0)
        rc = ds_csv_delimiter(&m->read.delimiter, m->delimiter, err);
    if (rc == 0 && m->records_at && strcmp(m->f->name, "jsonl") != 0)
        rc = ds_fail(err, DS_USAGE, "--records-at is of jsonl, and this is %s", m->f->name);
    if (rc == 0 && m->records_at)
        rc = ds_jitems_path(&m->read.records_at, m->records_at, err);
    if (rc == 0 && !m->shards.dir)
        rc = ds_refuse_tty(1, "pipe it on, or give -o DIR", err);
    if (rc == 0)
        rc = ds_badlog_open(&m->bad, (enum ds_onerror)m->on_error, m->quarantine, err);
    if (rc == 0)
        rc = find_schema(m, operands[0], err);
    if (rc == 0 && m->f->flags & (DS_FORMAT_FOLDER | DS_FORMAT_PREFIX) &&
        !(m->f->flags & DS_FORMAT_EACH))
        for (int i = 0; rc == 0 && i < n; i++)
            rc = one_file(m, operands[i], operands[i], err);
    else if (rc == 0)
        rc = walk_files(m, operands, n, err);
    if (rc == 0 && !m->known)
        rc = ds_fail(err, DS_FAIL, "no file of this format among the inputs");
    if (rc == 0)
        rc = ds_badlog_end(&m->bad, err);
    if (rc == 0)
        rc = ds_shardout_end(m->out, &m->bad.counts, err);
    if (rc && m->out)
        ds_shardout_abort(m->out, err->msg);
    return rc;
}

static void say_json(const importing *m)
{
    json_t *all = ds_accounts_json("dsprep import", m->records, &m->bad, &m->bad.counts);
    json_t *more = json_pack("{s:s,s:{s:I}}", "format", m->f->name, "left_out", "of_another_kind",
                             (json_int_t)m->left_out);
    if (!more || json_object_update(all, more) != 0) {
        json_decref(all);
        all = NULL;
    }
    json_decref(more);
    ds_accounts_print(all);
}

static void say(const importing *m)
{
    ds_accounts_say("dsprep import", m->records, &m->bad);
    if (m->left_out)
        fprintf(stderr, "; %" PRIu64 " file%s of other names left out", m->left_out,
                ds_s(m->left_out));
    fputc('\n', stderr);
}

static int run(int argc, char **argv)
{
    importing m = {
        .max_record = 64 << 20, .max_ratio = 200, .separator = -1, .shards = DS_SHARDOPTS_DEFAULTS};
    const ds_opt opts[] = {
        OPT_STR('f', "format", m.format, "NAME", DS_FORMAT_NAMES),
        OPT_STR(0, "schema", m.schema_file, "FILE",
                "columns and types, as dsprep export writes them in dsr-schema.json"),
        OPT_FLAG(0, "infer", m.infer, "do not look for dsr-schema.json"),
        OPT_FLAG(0, "hive", m.hive,
                 "folders that are named NAME=VALUE below an INPUT are columns of text"),
        OPT_STR(0, "key-field", m.key, "NAME", "field that is the key; default key"),
        OPT_STR('c', "columns", m.columns, "A,B",
                "parquet, arrow: read these columns only, and the key; of a struct, all that it "
                "becomes"),
        DSPREP_DELIMITER(m.delimiter),
        DSPREP_RECORDS_AT(m.records_at),
        OPT_INT(0, "separator", m.separator, "ID", 0, UINT32_MAX,
                "llmc, npy: the id that stands before each record"),
        DSPREP_BAD_INPUT(m.on_error, m.quarantine),
        DSPREP_SHARDS(m.shards),
        OPT_SIZE(0, "max-record", m.max_record, "SIZE", "longest record; default 64M"),
        DSPREP_MAX_RATIO(m.max_ratio),
        DSPREP_JSON(m.json),
        DSPREP_QUIET(m.quiet),
        OPT_END,
    };
    char **operands;
    int n, rc = ds_opt_begin(&ds_cmd_import, opts, argc, argv, &operands, &n);
    if (rc >= 0)
        return rc;
    ds_err err = {0};
    ds_sig_setup();
    if (m.quiet || m.json)
        ds_log_level = 0;
    if (m.max_record < 1 || m.max_record > (1 << 30))
        rc = ds_fail(&err, DS_USAGE, "--max-record: from 1 byte to 1G");
    else
        rc = convert(&m, operands, n, &err);
    if (rc == 0 && m.json)
        say_json(&m);
    else if (rc == 0 && ds_log_level > 0)
        say(&m);
    const bool partial = m.bad.held + m.bad.failed > 0;
    ds_shardout_free(m.out);
    ds_badlog_fini(&m.bad);
    ds_fvalwork_fini(&m.work);
    ds_sidecar_fini(&m.side);
    ds_hivepath_fini(&m.path);
    free(m.row);
    ds_buf_fini(&m.prov);
    return ds_transform_end(&ds_cmd_import, &(ds_rowopts){.json = m.json}, &err, partial);
}
