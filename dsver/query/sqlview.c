/* sqlview.c - see sqlview.h. */
#include "sqlview.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dsr_origin.h"
#include "history.h"
#include "jsonrow.h"
#include "recblock.h"
#include "refs.h"
#include "revision.h"
#include "runs.h"
#include "runset.h"
#include "sig.h"
#include "sourcescan.h"

enum { TABLES = 10, OPCODES = 10000 };

struct ds_sqlview {
    ds_store *store;
    const git_oid *versions;
    size_t n;
    sqlite3 *db;
    struct timespec end;
    bool limited;
    ds_schema all; /* the columns of records: those of all versions, by name */
    bool wanted[TABLES];
    bool columns[3 + 1 + 256]; /* of records */
};

typedef struct put { /* rows into a table */
    ds_sqlview *v;
    sqlite3_stmt *st;
    int at;
} put;

static int fail(ds_sqlview *v, const char *doing, ds_err *err)
{
    const int rc = sqlite3_errcode(v->db) & 0xff;
    if (ds_check_interrupt(err))
        return err ? err->code : DS_FAIL;
    if (rc == SQLITE_INTERRUPT)
        return ds_fail(err, DS_FAIL, "%s: the time that it may take (--timeout) is over", doing);
    if (rc == SQLITE_NOMEM)
        return ds_fail(err, DS_NOMEM, "%s: it needs more memory than it may take (--memory)",
                       doing);
    if (rc == SQLITE_FULL || rc == SQLITE_IOERR || rc == SQLITE_CANTOPEN)
        return ds_fail(err, DS_IO, "%s: %s", doing, sqlite3_errmsg(v->db));
    return ds_fail(err, DS_USAGE, "%s: %s", doing, sqlite3_errmsg(v->db));
}

static int exec(ds_sqlview *v, const char *sql, ds_err *err)
{
    return sqlite3_exec(v->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(v, "tables", err);
}

/* ---- rows ---- */

static void num(put *p, uint64_t n)
{
    sqlite3_bind_int64(p->st, ++p->at, (sqlite3_int64)n);
}

static void text(put *p, const void *s, size_t len)
{
    if (s)
        sqlite3_bind_text64(p->st, ++p->at, s, len, SQLITE_TRANSIENT, SQLITE_UTF8);
    else
        sqlite3_bind_null(p->st, ++p->at);
}

static void str(put *p, const char *s)
{
    text(p, s, s ? strlen(s) : 0);
}

static void oid(put *p, const git_oid *id)
{
    str(p, id ? git_oid_tostr_s(id) : NULL);
}

static void sha(put *p, const ds_sha *s)
{
    char hex[65];
    ds_sha_hex(hex, s);
    str(p, hex);
}

static int row(put *p, ds_err *err)
{
    const int rc = sqlite3_step(p->st);
    sqlite3_reset(p->st);
    p->at = 0;
    return rc == SQLITE_DONE ? 0 : fail(p->v, "tables", err);
}

/* ---- of the catalog ---- */

static int one_commit(void *ctx, const git_oid *id, const ds_version *v, const ds_err *why,
                      ds_err *err)
{
    put *p = ctx;
    char date[32];
    if (!v)
        return ds_fail(err, why->code, "version %s: %s", git_oid_tostr_s(id), why->msg);
    if (!*v->dataset)
        return 0;
    ds_date_text(date, v->time);
    str(p, v->dataset);
    oid(p, id);
    oid(p, v->has_parent ? &v->parent : NULL);
    oid(p, v->has_merged ? &v->merged : NULL);
    str(p, date);
    str(p, v->author);
    str(p, v->message);
    num(p, v->records);
    sha(p, &v->root);
    return row(p, err);
}

static int fill_commits(put *p, ds_err *err)
{
    return ds_history_each(p->v->store->cat, one_commit, p, err);
}

static int one_ref(void *ctx, const char *name, const git_oid *id, ds_err *err)
{
    put *p = ctx;
    str(p, name);
    oid(p, id);
    return row(p, err);
}

static int fill_refs(put *p, ds_err *err)
{
    return ds_ref_each(p->v->store->cat, one_ref, p, err);
}

/* ---- of versions ---- */

typedef int (*side_fn)(put *p, const ds_verside *side, ds_err *err);

static int each_side(put *p, side_fn fn, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < p->v->n; i++) {
        ds_verside side = {0};
        rc = ds_verside_open(&side, p->v->store, &p->v->versions[i], NULL, NULL, err);
        rc = rc ? rc : fn(p, &side, err);
        ds_verside_fini(&side);
    }
    return rc;
}

static void name_side(put *p, const ds_verside *s)
{
    str(p, s->version.dataset);
    oid(p, &s->version.id);
}

static int side_columns(put *p, const ds_verside *s, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < s->schema.n; i++) {
        const ds_column *c = &s->schema.cols[i];
        name_side(p, s);
        num(p, i);
        str(p, c->name);
        str(p, ds_type_name(c->type));
        str(p, c->type == DS_LIST ? ds_type_name(c->item) : NULL);
        num(p, c->nullable);
        num(p, s->schema.keyed[i] || (s->schema.explicit_key && i == 0));
        num(p, s->schema.primary[i]);
        rc = row(p, err);
    }
    return rc;
}

static int fill_columns(put *p, ds_err *err)
{
    return each_side(p, side_columns, err);
}

static int side_blocks(put *p, const ds_verside *s, ds_err *err)
{
    uint64_t first = 0, shard = 0;
    int rc = 0;
    for (size_t i = 0; !rc && i < s->n; i++) {
        const ds_manline *l = &s->lines[i];
        ds_sha addr, origin;
        uint64_t bytes = 0;
        for (size_t k = 0; k < l->nchunks; k++)
            bytes += ds_manline_len(l, k);
        shard += i && !git_oid_equal(&s->files[i], &s->files[i - 1]);
        rc = ds_manline_addr(l, &addr, &origin, err);
        if (rc)
            break;
        name_side(p, s);
        num(p, i);
        num(p, shard);
        num(p, first);
        num(p, l->rows);
        num(p, bytes);
        sha(p, &s->was[i]);
        num(p, !ds_sha_eq(&addr, &s->was[i]));
        rc = row(p, err);
        first += l->rows;
    }
    return rc;
}

static int fill_blocks(put *p, ds_err *err)
{
    return each_side(p, side_blocks, err);
}

static int version_sources(put *p, const ds_version *v, ds_err *err)
{
    ds_sourcescan scan = {0};
    ds_source src;
    uint64_t n = 0;
    int rc = ds_sourcescan_open(&scan, p->v->store, &v->tree, err);
    while (!rc && (rc = ds_sourcescan_next(&scan, &src, err)) > 0) {
        str(p, v->dataset);
        oid(p, &v->id);
        num(p, n++);
        text(p, src.name, src.len);
        num(p, src.size);
        sha(p, &src.sha);
        rc = row(p, err);
    }
    ds_sourcescan_close(&scan);
    return rc;
}

static int fill_sources(put *p, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < p->v->n; i++) {
        ds_version v = {0};
        rc = ds_version_get(&v, p->v->store->cat, &p->v->versions[i], err);
        rc = rc ? rc : version_sources(p, &v, err);
        ds_version_fini(&v);
    }
    return rc;
}

static int side_origins(put *p, const ds_verside *s, ds_err *err)
{
    ds_origin_state st = {0};
    ds_buf body = {0}, one = {0};
    uint64_t record = 0, rows = 0;
    int rc = 0;
    for (size_t i = 0; !rc && i < s->n; i++) {
        const ds_manline *l = &s->lines[i];
        const size_t n = ds_manline_npieces(l, l->nchunks - 1);
        size_t pos = 0;
        rc = ds_objstore_get_all(s->store->objs,
                                 ds_manline_pieces(l) + l->pieces.len / sizeof(ds_sha) - n, n,
                                 &body, err);
        if (!rc && !ds_varint_get(body.data, body.len, &pos, &rows))
            rc = ds_fail(err, DS_CORRUPT, "a block's origins are malformed");
        for (uint64_t r = 0; !rc && r < l->rows; r++, record++) {
            rc = ds_origin_get(body.data, body.len, &pos, &st, &one, err);
            for (size_t k = 0; !rc && k < one.len / sizeof(ds_range); k++) {
                const ds_range *range = (const ds_range *)(const void *)one.data + k;
                name_side(p, s);
                num(p, record);
                num(p, range->source);
                num(p, range->offset);
                num(p, range->len);
                rc = row(p, err);
            }
        }
        rc = rc ? rc : ds_check_interrupt(err);
    }
    ds_buf_fini(&body);
    ds_buf_fini(&one);
    return rc;
}

static int fill_origins(put *p, ds_err *err)
{
    return each_side(p, side_origins, err);
}

/* ---- records ---- */

typedef struct reading {
    ds_recblock rec;
    ds_jsonform form;
    ds_jsonrow json;
    ds_hasher *hasher;
    bool only[256], complex;
    long from[256]; /* of each column of the table: the version's, or -1 */
} reading;

static bool is_complex(enum ds_type t)
{
    return t == DS_TENSOR || t == DS_TOKENS16 || t == DS_TOKENS32 || t == DS_RUNS || t == DS_LIST;
}

static int bind(put *p, reading *r, long col, ds_err *err)
{
    const ds_value *x = col < 0 ? NULL : &r->rec.values[col];
    const enum ds_type t = col < 0 ? DS_UTF8 : r->rec.side->schema.cols[col].type;
    int rc = 0;
    if (!x || !r->only[col] || x->null)
        text(p, NULL, 0);
    else if (t == DS_UTF8 || t == DS_JSON)
        text(p, x->len ? (const void *)x->p : "", x->len);
    else if (t == DS_BYTES)
        sqlite3_bind_blob64(p->st, ++p->at, x->len ? (const void *)x->p : "", x->len,
                            SQLITE_TRANSIENT);
    else if (t == DS_F64)
        sqlite3_bind_double(p->st, ++p->at, x->f);
    else if (!is_complex(t))
        num(p, (uint64_t)x->i);
    else {
        ds_buf_reset(&r->json.out);
        rc = ds_jsonrow_value(&r->json, &r->form, &r->rec.lent, (size_t)col, err);
        if (!rc)
            text(p, r->json.out.data, r->json.out.len);
    }
    return rc;
}

static int block_rows(put *p, reading *r, uint64_t *record, ds_err *err)
{
    const ds_verside *s = r->rec.side;
    int rc = r->complex ? ds_jsonrow_open(&r->json, &r->form, &r->rec.lent, err) : 0;
    while (!rc && ds_recblock_next(&r->rec)) {
        char hex[33];
        rc = r->complex ? ds_jsonrow_step(&r->json, &r->form, err) : 0;
        if (rc)
            break;
        name_side(p, s);
        num(p, (*record)++);
        if (!p->v->columns[3])
            text(p, NULL, 0);
        else if (s->schema.explicit_key)
            text(p, r->rec.values[0].len ? (const void *)r->rec.values[0].p : "",
                 r->rec.values[0].len);
        else {
            rc = ds_key_derive(hex, r->hasher, &s->schema, r->rec.views, r->rec.values, err);
            text(p, hex, 32);
        }
        for (size_t i = 0; !rc && i < p->v->all.n; i++)
            rc = bind(p, r, r->from[i], err);
        rc = rc ? rc : row(p, err);
    }
    return rc;
}

/* What of the version is read. */
static int ready(reading *r, put *p, const ds_verside *s, ds_err *err)
{
    int rc = ds_hasher_new(&r->hasher, err);
    rc = rc ? rc : ds_jsonform_init(&r->form, &s->schema, NULL, false, false, false, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < s->schema.n; i++)
        r->only[i] = p->v->columns[3] && (s->schema.explicit_key ? i == 0 : s->schema.keyed[i]);
    for (size_t i = 0; i < p->v->all.n; i++) {
        const long c = ds_schema_find(&s->schema, p->v->all.cols[i].name);
        r->from[i] = c;
        if (c >= 0 && p->v->columns[4 + i])
            r->only[c] = true;
    }
    for (size_t i = 0; i < s->schema.n; i++) {
        r->form.want[i] = r->only[i] && is_complex(s->schema.cols[i].type);
        r->complex |= r->form.want[i];
    }
    for (size_t i = 0; r->complex && i < s->schema.n; i++)
        r->only[i] = true; /* jsonrow steps through all of them */
    r->rec.only = r->only;
    return 0;
}

static int side_records(put *p, const ds_verside *s, ds_err *err)
{
    reading *r = calloc(1, sizeof *r);
    uint64_t record = 0;
    if (!r)
        return ds_fail_nomem(err);
    int rc = ready(r, p, s, err);
    for (size_t b = 0; !rc && b < s->n; b++) {
        rc = ds_recblock_load(&r->rec, s, b, false, err);
        rc = rc ? rc : block_rows(p, r, &record, err);
        rc = rc ? rc : ds_check_interrupt(err);
    }
    ds_recblock_fini(&r->rec);
    ds_jsonrow_fini(&r->json);
    if (r->form.schema)
        ds_jsonform_fini(&r->form);
    ds_hasher_free(r->hasher);
    free(r);
    return rc;
}

static int fill_records(put *p, ds_err *err)
{
    return each_side(p, side_records, err);
}

/* ---- runs ---- */

typedef struct runs {
    put *p;
    int what; /* 0: runs, 1: checkpoints, 2: what they consumed */
    const ds_run_ref *ref;
    ds_run_info info;
    ds_runset set;
    ds_buf spans;
} runs;

static int one_row(void *ctx, const ds_ledger_row *l, ds_err *err)
{
    runs *r = ctx;
    put *p = r->p;
    ds_buf_reset(&r->spans);
    int rc = ds_spans_decode(&r->spans, l->pieces, l->pieces_len, r->set.firsts,
                             r->set.run->ndatasets, err);
    for (size_t i = 0; !rc && i < r->spans.len / sizeof(ds_span); i++) {
        const ds_span *s = (const ds_span *)(const void *)r->spans.data + i;
        const size_t d = ds_runset_part_of(&r->set, s->record);
        const ds_runset_part *part = &r->set.parts[d];
        str(p, r->info.name);
        str(p, r->ref->digest);
        num(p, l->step);
        num(p, l->row);
        str(p, r->set.run->datasets[d].name);
        oid(p, part->where == DS_SET_COMMIT || part->where == DS_SET_ROOT ? &part->commit : NULL);
        num(p, s->record - r->set.firsts[d]);
        num(p, s->offset);
        num(p, s->len);
        rc = row(p, err);
    }
    return rc ? rc : ds_check_interrupt(err);
}

static int consumed(runs *r, ds_err *err)
{
    ds_segments l = {0};
    int rc = ds_runset_open(&r->set, r->p->v->store, &r->info.last.run, NULL, 0, err);
    rc = rc ? rc : ds_segments_tree(&l, r->p->v->store->cat, &r->ref->tree, err);
    rc = rc ? rc : ds_segments_scan(&l, r->p->v->store->cat, one_row, r, err);
    ds_segments_fini(&l);
    if (r->set.run)
        ds_runset_fini(&r->set);
    return rc;
}

static int one_run(void *ctx, const ds_run_ref *ref, ds_err *err)
{
    runs *r = ctx;
    put *p = r->p;
    int rc = ds_run_info_read(&r->info, p->v->store, ref, err);
    r->ref = ref;
    if (!rc && r->what == 0) {
        str(p, r->info.name);
        str(p, ref->digest);
        num(p, r->info.last.step);
        num(p, r->info.last.run.rows);
        num(p, r->info.last.run.seq_len);
        num(p, r->info.last.run.seed);
        str(p, r->info.last.model_name);
        str(p, r->info.last.run.trainer);
        rc = row(p, err);
    }
    for (size_t i = 0; !rc && r->what == 1 && i < r->info.nsteps; i++) {
        str(p, r->info.name);
        str(p, ref->digest);
        num(p, r->info.steps[i]);
        rc = row(p, err);
    }
    if (!rc && r->what == 2)
        rc = consumed(r, err);
    ds_run_info_fini(&r->info);
    return rc;
}

static int each_run(put *p, int what, ds_err *err)
{
    runs r = {.p = p, .what = what};
    const int rc = ds_run_each(p->v->store, one_run, &r, err);
    ds_buf_fini(&r.spans);
    return rc;
}

static int fill_runs(put *p, ds_err *err)
{
    return each_run(p, 0, err);
}

static int fill_checkpoints(put *p, ds_err *err)
{
    return each_run(p, 1, err);
}

static int fill_consumed(put *p, ds_err *err)
{
    return each_run(p, 2, err);
}

/* ---- tables ---- */

static const struct {
    const char *name, *columns;
    int n;
    int (*fill)(put *p, ds_err *err);
} tables[TABLES] = {
    {"commits", "dataset,version,parent,merged,date,author,message,records,root", 9, fill_commits},
    {"refs", "name,version", 2, fill_refs},
    {"columns", "dataset,version,n,name,type,item,nullable,keyed,\"primary\"", 9, fill_columns},
    {"blocks", "dataset,version,block,shard,first,records,bytes,address,erased", 9, fill_blocks},
    {"sources", "dataset,version,source,name,size,sha256", 6, fill_sources},
    {"origins", "dataset,version,record,source,offset,length", 6, fill_origins},
    {"runs", "run,digest,steps,\"rows\",seq_len,seed,model,trainer", 8, fill_runs},
    {"checkpoints", "run,digest,step", 3, fill_checkpoints},
    {"consumed", "run,digest,step,\"row\",dataset,version,record,offset,length", 9, fill_consumed},
    {"records", "dataset,version,record,key", 4, fill_records},
};
enum { RECORDS = TABLES - 1 };

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
                rc = ds_schema_add(&v->all, NULL, s.cols[k].name, DS_UTF8, true, false, false, NULL,
                                   err);
        ds_schema_fini(&s);
        ds_version_fini(&ver);
    }
    return rc;
}

static bool taken(const char *name)
{
    return !sqlite3_stricmp(name, "dataset") || !sqlite3_stricmp(name, "version") ||
           !sqlite3_stricmp(name, "record");
}

static int create_records(ds_sqlview *v, ds_err *err)
{
    ds_buf sql = {0};
    int rc = ds_buf_printf(&sql, "CREATE TABLE records(%s", tables[RECORDS].columns);
    for (size_t i = 0; !rc && i < v->all.n; i++) {
        const char *name = v->all.cols[i].name;
        rc = ds_buf_printf(&sql, ",\"%s", taken(name) ? "column_" : "");
        for (const char *c = name; !rc && *c; c++)
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
    put p = {.v = v};
    const int n = tables[table].n + (table == RECORDS ? (int)v->all.n : 0);
    int rc = ds_buf_printf(&sql, "INSERT INTO %s VALUES(?", tables[table].name);
    for (int i = 1; !rc && i < n; i++)
        rc = ds_buf_puts(&sql, ",?");
    if (rc || ds_buf_putc(&sql, ')') || !ds_buf_cstr(&sql))
        rc = ds_fail_nomem(err);
    if (!rc && sqlite3_prepare_v2(v->db, (const char *)sql.data, -1, &p.st, NULL) != SQLITE_OK)
        rc = fail(v, "tables", err);
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
    static const char *const own[] = {"dataset", "version", "record", "key"};
    for (size_t i = 0; i < 4; i++)
        v->columns[i] |= !sqlite3_stricmp(own[i], name);
    for (size_t i = 0; i < v->all.n; i++) {
        const char *c = v->all.cols[i].name;
        const bool mine =
            taken(c) ? !sqlite3_strnicmp(name, "column_", 7) && !sqlite3_stricmp(name + 7, c)
                     : !sqlite3_stricmp(name, c);
        v->columns[4 + i] |= mine;
    }
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
        for (size_t i = 0; i < TABLES; i++)
            v->wanted[i] |= !sqlite3_stricmp(a, tables[i].name);
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
    for (size_t i = 0; i < TABLES; i++)
        v->wanted[i] |=
            mentions(sql, tables[i].name) ||
            (lineage && (tables[i].fill == fill_consumed || tables[i].fill == fill_checkpoints)) ||
            (tables[i].fill == fill_blocks && mentions(sql, "shards"));
    v->columns[3] |= natural || mentions(sql, "key");
    for (size_t i = 0; i < v->all.n; i++) {
        const char *c = v->all.cols[i].name;
        v->columns[4 + i] |= natural || strchr(c, '"') || mentions(sql, c);
    }
}

static int watch(void *ctx)
{
    const ds_sqlview *v = ctx;
    struct timespec now;
    if (ds_check_interrupt(NULL))
        return 1;
    return v->limited && clock_gettime(CLOCK_MONOTONIC, &now) == 0 &&
           (now.tv_sec > v->end.tv_sec ||
            (now.tv_sec == v->end.tv_sec && now.tv_nsec >= v->end.tv_nsec));
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
    v->limited = o->timeout > 0 && clock_gettime(CLOCK_MONOTONIC, &v->end) == 0;
    v->end.tv_sec += o->timeout;
    int rc =
        sqlite3_open_v2("", &v->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) == SQLITE_OK
            ? 0
            : fail(v, "tables", err);
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
    free(v);
}

int ds_sqlview_prepare(sqlite3_stmt **st, ds_sqlview *v, const char *sql, ds_err *err)
{
    const char *rest = NULL;
    *st = NULL;
    sqlite3_set_authorizer(v->db, allow, v);
    int rc = sqlite3_prepare_v2(v->db, sql, -1, st, &rest) == SQLITE_OK ? 0 : fail(v, "SQL", err);
    sqlite3_set_authorizer(v->db, NULL, NULL);
    if (!rc && (!*st || !sqlite3_stmt_readonly(*st)))
        rc = ds_fail(err, DS_USAGE, "SQL: a SELECT is wanted");
    if (!rc && rest[strspn(rest, " \t\r\n;")])
        rc = ds_fail(err, DS_USAGE, "SQL: one statement is wanted, and more follows");
    note_text(v, sql);
    for (size_t i = 0; !rc && i < TABLES; i++)
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
    return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : fail(v, "SQL", err);
}
