/* cmd_sql.c - dsver sql. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_verb.h"
#include "json.h"
#include "jsonrow.h"
#include "pin.h"
#include "revision.h"
#include "sig.h"
#include "sqlview.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_sql;
const ds_command ds_ver_sql = {
    .prog = "dsver",
    .name = "sql",
    .summary = "ask a store questions in SQL",
    .operands = "[DATASET[@REV]...] SQL",
    .min_operands = 1,
    .max_operands = -1,
    .example = "dsver sql docs@v1 docs \"SELECT version, meta->>'label', count(*)\n"
               "    FROM records GROUP BY 1, 2\"\n"
               "dsver sql docs \"SELECT DISTINCT run, checkpoint FROM sources\n"
               "    JOIN origins USING (version, source)\n"
               "    JOIN lineage USING (version, record) WHERE name = 'a.jsonl'\"",
    .description =
        "SQL is one SELECT of SQLite's, and can change nothing. Of the whole store it sees\n\n"
        "commits(dataset, version, parent, merged, date, author, message, records, root), "
        "refs(name, version), runs(run, digest, steps, rows, seq_len, seed, model, trainer), "
        "checkpoints(run, digest, step), consumed(run, digest, step, row, dataset, version, "
        "record, "
        "offset, length), and lineage: consumed, with the first checkpoint that had seen it;\n\n"
        "and of the versions that are named (none: the newest one of the store's default "
        "dataset)\n\n"
        "records(dataset, version, record, key, and each column by its name), "
        "columns(dataset, version, n, name, type, item, nullable, keyed, primary), "
        "blocks(dataset, version, block, shard, first, records, bytes, address, erased), "
        "shards(dataset, version, shard, first, records, blocks, bytes), "
        "sources(dataset, version, source, name, size, sha256), "
        "origins(dataset, version, record, source, offset, length).\n\n"
        "version is a commit; record and block count from 0. Text and JSON are text, bytes are "
        "blobs, timestamps nanoseconds since 1970, NaN is NULL; tokens, runs, tensors and lists "
        "are "
        "JSON as dsprep cat prints it. A column named dataset, version or record is "
        "column_dataset, ... here, and so is one whose name another one has in other case (SQL "
        "does not tell them apart). Only tables and columns that are asked for are read, into a "
        "temporary database below $TMPDIR.",
    .run = run,
};

enum form { AS_TEXT, AS_CSV, AS_JSON };

typedef struct say {
    enum form form;
    ds_buf out;
} say;

static int csv(ds_buf *b, const uint8_t *p, size_t n)
{
    bool quote = n == 0;
    for (size_t i = 0; i < n && !quote; i++)
        quote = p[i] == '"' || p[i] == ',' || p[i] == '\n' || p[i] == '\r';
    if (!quote)
        return ds_buf_put(b, p, n);
    int rc = ds_buf_putc(b, '"');
    for (size_t i = 0; !rc && i < n; i++)
        rc = p[i] == '"' ? ds_buf_puts(b, "\"\"") : ds_buf_putc(b, p[i]);
    return rc ? rc : ds_buf_putc(b, '"');
}

static int words(const say *s, ds_buf *b, const void *p, size_t n)
{
    const uint8_t *c = p;
    int rc = 0;
    if (s->form == AS_JSON)
        return ds_json_name(b, p ? p : "", n);
    if (s->form == AS_CSV)
        return csv(b, p, n);
    for (size_t i = 0; !rc && i < n; i++)
        rc = ds_buf_putc(b, c[i] < 0x20 || c[i] == 0x7f ? '?' : c[i]);
    return rc;
}

static int real(const say *s, ds_buf *b, double v)
{
    if (isfinite(v))
        return ds_json_real(b, v);
    return s->form == AS_JSON ? ds_buf_puts(b, "null") : ds_buf_puts(b, v > 0 ? "inf" : "-inf");
}

static int blob(const say *s, ds_buf *b, const void *p, size_t n)
{
    if (s->form == AS_JSON) {
        int rc = ds_buf_putc(b, '"');
        rc = rc ? rc : ds_base64(b, p, n);
        return rc ? rc : ds_buf_putc(b, '"');
    }
    int rc = ds_buf_puts(b, "X'");
    rc = rc ? rc : ds_buf_hex(b, p, n);
    return rc ? rc : ds_buf_putc(b, '\'');
}

/* A value that was asked for is not there because memory ended. */
static bool no_memory(sqlite3_stmt *st, const void *p)
{
    return !p && sqlite3_errcode(sqlite3_db_handle(st)) == SQLITE_NOMEM;
}

static int cell(const say *s, ds_buf *b, sqlite3_stmt *st, int i)
{
    switch (sqlite3_column_type(st, i)) {
    case SQLITE_INTEGER:
        return ds_buf_printf(b, "%" PRId64, (int64_t)sqlite3_column_int64(st, i));
    case SQLITE_FLOAT:
        return real(s, b, sqlite3_column_double(st, i));
    case SQLITE_TEXT: {
        const void *p = sqlite3_column_text(st, i);
        return no_memory(st, p) ? DS_NOMEM : words(s, b, p, (size_t)sqlite3_column_bytes(st, i));
    }
    case SQLITE_BLOB: {
        const void *p = sqlite3_column_blob(st, i);
        return no_memory(st, p) ? DS_NOMEM : blob(s, b, p, (size_t)sqlite3_column_bytes(st, i));
    }
    default:
        return s->form == AS_CSV ? 0 : ds_buf_puts(b, s->form == AS_JSON ? "null" : "NULL");
    }
}

/* A row, or the names of the columns. */
static int line(say *s, sqlite3_stmt *st, bool names)
{
    const int n = sqlite3_column_count(st);
    ds_buf *b = &s->out;
    int rc = s->form == AS_JSON ? ds_buf_putc(b, '{') : 0;
    for (int i = 0; !rc && i < n; i++) {
        const char *name = sqlite3_column_name(st, i);
        name = name ? name : "?";
        if (i)
            rc = ds_buf_putc(b, s->form == AS_TEXT ? '\t' : ',');
        if (!rc && (names || s->form == AS_JSON))
            rc = words(s, b, name, strlen(name));
        if (!rc && s->form == AS_JSON)
            rc = ds_buf_putc(b, ':');
        if (!rc && !names)
            rc = cell(s, b, st, i);
    }
    rc = rc ? rc : ds_buf_puts(b, s->form == AS_JSON ? "}\n" : s->form == AS_CSV ? "\r\n" : "\n");
    if (!rc)
        fwrite(b->data, 1, b->len, stdout);
    ds_buf_reset(b);
    return rc;
}

static int answer(ds_sqlview *v, const char *sql, enum form form, ds_err *err)
{
    say s = {.form = form};
    sqlite3_stmt *st = NULL;
    int rc = ds_sqlview_prepare(&st, v, sql, err);
    if (rc == DS_USAGE && !strchr(sql, ' ')) /* no statement is so short: the operand is another */
        ds_err_prefix(err, "the last operand, '%s', is to be the SQL", sql);
    if (!rc && form != AS_JSON && line(&s, st, true))
        rc = ds_fail_nomem(err);
    while (!rc && (rc = ds_sqlview_step(v, st, err)) > 0)
        rc = line(&s, st, false) ? ds_fail_nomem(err) : 0;
    sqlite3_finalize(st);
    ds_buf_fini(&s.out);
    return rc;
}

static int ask(const char *store, char **operands, int n, enum form form, const ds_sqlview_opts *o,
               ds_err *err)
{
    ds_store s = {0};
    ds_sqlview *v = NULL;
    const size_t versions = n > 1 ? (size_t)n - 1 : 1;
    git_oid *ids = calloc(versions, sizeof *ids);
    ds_pin *pins = calloc(versions, sizeof *pins);
    int rc = ids && pins ? ds_store_open(&s, store, DS_OBJ_READ, err) : ds_fail_nomem(err);
    size_t pinned = 0, found = 0;
    for (size_t i = 0; !rc && i < versions; i++) {
        ds_revision rev = {0};
        rc = ds_pin_begin(&pins[i], &s, err);
        pinned++;
        rc = rc ? rc : ds_revision_find(&rev, &s, n > 1 ? operands[i] : NULL, err);
        if (rc && n == 1 &&
            err->code == DS_USAGE) { /* no dataset is meant: the store's tables alone */
            ds_err_clear(err);
            rc = 0;
            ds_revision_fini(&rev);
            break;
        }
        if (!rc) {
            ids[found++] = rev.id;
            rc = ds_pin_set(&pins[i], &s, &rev.id, err);
        }
        ds_revision_fini(&rev);
    }
    rc = rc ? rc : ds_sqlview_open(&v, &s, ids, found, o, err);
    rc = rc ? rc : answer(v, operands[n - 1], form, err);
    ds_sqlview_close(v);
    for (size_t i = 0; i < pinned; i++)
        ds_pin_end(&pins[i]);
    ds_store_close(&s);
    free(ids);
    free(pins);
    return rc;
}

static int run(int argc, char **argv)
{
    bool json = false, as_csv = false;
    const char *store = NULL;
    ds_sqlview_opts o = {.memory = (int64_t)1 << 30};
    const ds_opt opts[] = {
        OPT_FLAG(0, "csv", as_csv, "comma-separated values (RFC 4180)"),
        OPT_TIME(0, "timeout", o.timeout, "TIME",
                 "end it after so long (90, 30m, 2h; default never)"),
        OPT_SIZE(0, "memory", o.memory, "SIZE", "memory that SQLite may take (default 1G)"),
        VERB_STORE(store),
        VERB_JSON(json),
        OPT_END,
    };
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_sql, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    ds_sig_setup();
    if (as_csv && json)
        ds_fail(&err, DS_USAGE, "--csv and --json exclude each other");
    else
        ask(store, operands, n, json ? AS_JSON : as_csv ? AS_CSV : AS_TEXT, &o, &err);
    status = ds_command_end(&ds_ver_sql, &err, json);
    ds_sig_reraise();
    return status;
}
