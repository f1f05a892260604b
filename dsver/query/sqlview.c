/* sqlview.c - see sqlview.h. */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "sig.h"
#include "sqlview_priv.h"

enum { OPCODES = 10000 };

int ds_sqlview_fail(const ds_sqlview *v, int code, const char *doing, ds_err *err)
{
    const int rc = code & 0xff;
    if (ds_check_interrupt(err))
        return err ? err->code : DS_FAIL;
    if (rc == SQLITE_INTERRUPT)
        return ds_fail(err, DS_FAIL, "%s: the time that it may take (--timeout) is over", doing);
    if (rc == SQLITE_NOMEM)
        return ds_fail(err, DS_NOMEM, "%s: it needs more memory than it may take (--memory)",
                       doing);
    if (rc == SQLITE_TOOBIG)
        return ds_fail(err, DS_FAIL, "%s: a value is longer than the %d bytes that SQLite takes",
                       doing, sqlite3_limit(v->db, SQLITE_LIMIT_LENGTH, -1));
    if (rc == SQLITE_FULL)
        return ds_fail(err, DS_NOROOM, "%s: %s", doing, sqlite3_errmsg(v->db));
    if (rc == SQLITE_IOERR || rc == SQLITE_CANTOPEN)
        return ds_fail(err, DS_IO, "%s: %s", doing, sqlite3_errmsg(v->db));
    return ds_fail(err, DS_USAGE, "%s: %s", doing, sqlite3_errmsg(v->db));
}

/* The last call failed. */
static int failed(const ds_sqlview *v, const char *doing, ds_err *err)
{
    return ds_sqlview_fail(v, sqlite3_errcode(v->db), doing, err);
}

static int exec(ds_sqlview *v, const char *sql, ds_err *err)
{
    return sqlite3_exec(v->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : failed(v, "tables", err);
}

/* ---- tables ---- */

static const struct {
    const char *name, *columns;
    int n;
    bool of_versions; /* of those that are named; else of the store */
    int (*fill)(ds_sqlput *p, ds_err *err);
} tables[DS_SQL_TABLES] = {
    {"commits", "dataset,version,parent,merged,date,author,message,records,root", 9, false,
     ds_sqlfill_commits},
    {"refs", "name,version", 2, false, ds_sqlfill_refs},
    {"columns", "dataset,version,n,name,type,item,nullable,keyed,\"primary\"", 9, true,
     ds_sqlfill_columns},
    {"blocks", "dataset,version,block,shard,first,records,bytes,address,erased", 9, true,
     ds_sqlfill_blocks},
    {"sources", "dataset,version,source,name,size,sha256", 6, true, ds_sqlfill_sources},
    {"origins", "dataset,version,record,source,offset,length", 6, true, ds_sqlfill_origins},
    {"runs", "run,digest,steps,\"rows\",seq_len,seed,model,trainer", 8, false, ds_sqlfill_runs},
    {"checkpoints", "run,digest,step", 3, false, ds_sqlfill_checkpoints},
    {"consumed", "run,digest,step,\"row\",dataset,version,record,offset,length", 9, false,
     ds_sqlfill_consumed},
    {"records", "dataset,version,record,key", 4, true, ds_sqlfill_records},
};
enum { RECORDS = DS_SQL_TABLES - 1 };
static const char *const own[] = {"dataset", "version", "record", "key"}; /* of a record */

static const char views[] =
    "CREATE VIEW shards AS SELECT dataset, version, shard, min(first) AS first, sum(records) AS"
    " records, count(*) AS blocks, sum(bytes) AS bytes FROM blocks GROUP BY dataset, version, "
    "shard;"
    "CREATE VIEW lineage AS SELECT c.*, (SELECT min(k.step) FROM checkpoints k WHERE k.digest ="
    " c.digest AND k.step >= c.step) AS checkpoint FROM consumed c;";

/* The columns of all versions, by name: the first type counts. */
static int join_schemas(ds_sqlview *v, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < v->n; i++) {
        ds_version ver = {0};
        ds_schema s;
        ds_schema_init(&s);
        rc = ds_version_get(&ver, v->store->cat, &v->versions[i], err);
        rc = rc ? rc : ds_version_schema(&s, v->store->cat, &ver.tree, err);
        for (size_t k = 0; !rc && k < s.n; k++)
            if (strcmp(s.cols[k].name, "key") != 0 && ds_schema_find(&v->all, s.cols[k].name) < 0)
                rc = ds_schema_add(&v->all, NULL, s.cols[k].name, DS_UTF8, DS_COL_NULLABLE, NULL,
                                   err);
        ds_schema_fini(&s);
        ds_version_fini(&ver);
    }
    return rc;
}

/* SQL's names are the same in upper and lower case; a record's own, and columns before `n`. */
static bool taken(const ds_sqlview *v, const char *name, size_t n)
{
    bool is = false;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        is |= !sqlite3_stricmp(name, own[i]);
    for (size_t i = 0; i < n; i++)
        is |= !sqlite3_stricmp(name, v->names.v[i]);
    return is;
}

static int name_columns(ds_sqlview *v, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < v->all.n; i++) {
        ds_buf name = {0};
        rc =
            ds_buf_puts(&name, v->all.cols[i].name) || !ds_buf_cstr(&name) ? ds_fail_nomem(err) : 0;
        while (!rc && taken(v, (const char *)name.data, i)) {
            const char *was = (const char *)name.data;
            ds_buf longer = {0};
            rc = ds_buf_printf(&longer, "column_%s", was) || !ds_buf_cstr(&longer)
                     ? ds_fail_nomem(err)
                     : 0;
            ds_buf_fini(&name);
            name = longer;
        }
        rc = rc ? rc : ds_strlist_add(&v->names, (const char *)name.data, err);
        ds_buf_fini(&name);
    }
    return rc;
}

static int create_records(ds_sqlview *v, ds_err *err)
{
    ds_buf sql = {0};
    int rc = name_columns(v, err);
    if (rc)
        return rc;
    rc = ds_buf_printf(&sql, "CREATE TABLE records(%s", tables[RECORDS].columns);
    for (size_t i = 0; !rc && i < v->all.n; i++) {
        rc = ds_buf_puts(&sql, ",\"");
        for (const char *c = v->names.v[i]; !rc && *c; c++)
            rc = *c == '"' ? ds_buf_puts(&sql, "\"\"") : ds_buf_putc(&sql, (uint8_t)*c);
        rc = rc ? rc : ds_buf_putc(&sql, '"');
    }
    rc = rc || ds_buf_putc(&sql, ')') || !ds_buf_cstr(&sql) ? ds_fail_nomem(err)
                                                            : exec(v, (const char *)sql.data, err);
    ds_buf_fini(&sql);
    return rc;
}

static int create(ds_sqlview *v, ds_err *err)
{
    int rc =
        exec(v, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA trusted_schema=OFF", err);
    for (size_t i = 0; !rc && i < RECORDS; i++) {
        ds_buf sql = {0};
        rc = ds_buf_printf(&sql, "CREATE TABLE %s(%s)", tables[i].name, tables[i].columns) ||
                     !ds_buf_cstr(&sql)
                 ? ds_fail_nomem(err)
                 : exec(v, (const char *)sql.data, err);
        ds_buf_fini(&sql);
    }
    rc = rc ? rc : create_records(v, err);
    return rc ? rc : exec(v, views, err);
}

static int fill(ds_sqlview *v, size_t table, ds_err *err)
{
    ds_buf sql = {0};
    ds_sqlput p = {.v = v};
    const int n = tables[table].n + (table == RECORDS ? (int)v->all.n : 0);
    int rc = ds_buf_printf(&sql, "INSERT INTO %s VALUES(?", tables[table].name);
    for (int i = 1; !rc && i < n; i++)
        rc = ds_buf_puts(&sql, ",?");
    if (rc || ds_buf_putc(&sql, ')') || !ds_buf_cstr(&sql))
        rc = ds_fail_nomem(err);
    if (!rc && sqlite3_prepare_v2(v->db, (const char *)sql.data, -1, &p.st, NULL) != SQLITE_OK)
        rc = failed(v, "tables", err);
    rc = rc ? rc : exec(v, "BEGIN", err);
    rc = rc ? rc : tables[table].fill(&p, err);
    rc = rc ? rc : exec(v, "COMMIT", err);
    sqlite3_finalize(p.st);
    ds_buf_fini(&sql);
    return rc;
}

/* ---- asking ---- */

static void note_column(ds_sqlview *v, const char *name)
{
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        v->columns[i] |= !sqlite3_stricmp(own[i], name);
    for (size_t i = 0; i < v->all.n; i++)
        v->columns[4 + i] |= !sqlite3_stricmp(name, v->names.v[i]);
}

static int allow(void *ctx, int action, const char *a, const char *b, const char *db,
                 const char *in)
{
    ds_sqlview *v = ctx;
    (void)db;
    (void)in;
    if (action == SQLITE_FUNCTION)
        return b && !sqlite3_stricmp(b, "load_extension") ? SQLITE_DENY : SQLITE_OK;
    if (action == SQLITE_READ) {
        for (size_t i = 0; i < DS_SQL_TABLES; i++)
            v->read[i] |= !sqlite3_stricmp(a, tables[i].name);
        if (b && !sqlite3_stricmp(a, tables[RECORDS].name))
            note_column(v, b);
        return SQLITE_OK;
    }
    return action == SQLITE_SELECT || action == SQLITE_RECURSIVE ? SQLITE_OK : SQLITE_DENY;
}

static bool mentions(const char *sql, const char *name)
{
    const size_t n = strlen(name);
    for (; *sql; sql++)
        if (sqlite3_strnicmp(sql, name, (int)n) == 0)
            return true;
    return false;
}

/* The authorizer is not asked about columns that USING or NATURAL join, nor about a table of which
 * nothing else is read: whatever the text names is read too. */
static void note_text(ds_sqlview *v, const char *sql)
{
    const bool natural = mentions(sql, "natural");
    const bool lineage = mentions(sql, "lineage");
    for (size_t i = 0; i < DS_SQL_TABLES; i++)
        v->wanted[i] |= v->read[i] || mentions(sql, tables[i].name) ||
                        (lineage && (tables[i].fill == ds_sqlfill_consumed ||
                                     tables[i].fill == ds_sqlfill_checkpoints)) ||
                        (tables[i].fill == ds_sqlfill_blocks && mentions(sql, "shards"));
    v->columns[3] |= natural || mentions(sql, "key");
    for (size_t i = 0; i < v->all.n; i++) {
        const char *c = v->all.cols[i].name;
        v->columns[4 + i] |= natural || strchr(c, '"') || mentions(sql, c);
    }
}

/* Empty tables would look like an answer. */
static int check_versions(const ds_sqlview *v, ds_err *err)
{
    for (size_t i = 0; v->n == 0 && i < DS_SQL_TABLES; i++)
        if (v->read[i] && tables[i].of_versions)
            return ds_fail(err, DS_USAGE,
                           "SQL: %s is a table of versions: name one, or more (dsver ls lists the "
                           "datasets)",
                           tables[i].name);
    return 0;
}

static int watch(void *ctx)
{
    const ds_sqlview *v = ctx;
    return ds_check_interrupt(NULL) || (v->limited && ds_seconds() >= v->end);
}

int ds_sqlview_open(ds_sqlview **out, ds_store *s, const git_oid *versions, size_t n,
                    const ds_sqlview_opts *o, ds_err *err)
{
    ds_sqlview *v = calloc(1, sizeof *v);
    *out = NULL;
    if (!v)
        return ds_fail_nomem(err);
    v->store = s;
    v->versions = versions;
    v->n = n;
    ds_schema_init(&v->all);
    v->limited = o->timeout > 0;
    v->end = ds_seconds() + (double)o->timeout;
    int rc =
        sqlite3_open_v2("", &v->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) == SQLITE_OK
            ? 0
            : failed(v, "tables", err);
    if (!rc && o->memory > 0) {
        sqlite3_hard_heap_limit64(o->memory);
        sqlite3_soft_heap_limit64(o->memory / 2);
    }
    if (!rc)
        sqlite3_progress_handler(v->db, OPCODES, watch, v);
    rc = rc ? rc : join_schemas(v, err);
    rc = rc ? rc : create(v, err);
    if (rc)
        ds_sqlview_close(v);
    else
        *out = v;
    return rc;
}

void ds_sqlview_close(ds_sqlview *v)
{
    if (!v)
        return;
    sqlite3_close(v->db);
    ds_schema_fini(&v->all);
    ds_strlist_fini(&v->names);
    free(v);
}

int ds_sqlview_prepare(sqlite3_stmt **st, ds_sqlview *v, const char *sql, ds_err *err)
{
    const char *rest = NULL;
    *st = NULL;
    sqlite3_set_authorizer(v->db, allow, v);
    int rc = sqlite3_prepare_v2(v->db, sql, -1, st, &rest) == SQLITE_OK ? 0 : failed(v, "SQL", err);
    sqlite3_set_authorizer(v->db, NULL, NULL);
    if (!rc && (!*st || !sqlite3_stmt_readonly(*st)))
        rc = ds_fail(err, DS_USAGE, "SQL: a SELECT is wanted");
    if (!rc && rest[strspn(rest, " \t\r\n;")])
        rc = ds_fail(err, DS_USAGE, "SQL: one statement is wanted, and more follows");
    rc = rc ? rc : check_versions(v, err);
    note_text(v, sql);
    for (size_t i = 0; !rc && i < DS_SQL_TABLES; i++)
        if (v->wanted[i])
            rc = fill(v, i, err);
    if (!rc)
        sqlite3_set_authorizer(v->db, allow, v);
    if (rc) {
        sqlite3_finalize(*st);
        *st = NULL;
    }
    return rc;
}

int ds_sqlview_step(ds_sqlview *v, sqlite3_stmt *st, ds_err *err)
{
    const int rc = sqlite3_step(st);
    return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : failed(v, "SQL", err);
}
