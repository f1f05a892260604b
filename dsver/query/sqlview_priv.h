/* sqlview_priv.h - what the files of sqlview.c share: a view at work, and rows on their way into a
 * table.
 */
#ifndef DS_SQLVIEW_PRIV_H
#define DS_SQLVIEW_PRIV_H

#include "recblock.h"
#include "sqlview.h"
#include "strlist.h"

enum { DS_SQL_TABLES = 10 };

struct ds_sqlview {
    ds_store *store;
    const git_oid *versions;
    size_t n;
    sqlite3 *db;
    double end; /* ds_seconds */
    bool limited;
    ds_schema all;              /* the columns of records: those of all versions, by name */
    ds_strlist names;           /* what they are called in SQL */
    bool read[DS_SQL_TABLES];   /* by the statement */
    bool wanted[DS_SQL_TABLES]; /* to be filled */
    bool columns[3 + 1 + 256];  /* of records */
};

typedef struct ds_sqlput { /* rows into a table */
    ds_sqlview *v;
    sqlite3_stmt *st;
    int at;
    int refused; /* of SQLite's codes: why it did not take a value of the row at hand; else 0 */
} ds_sqlput;

/* code: of SQLite's, as sqlite3_errcode has it */
int ds_sqlview_fail(const ds_sqlview *v, int code, const char *doing, ds_err *err);

/* ---- sqlrow.c: the next value of the row at hand; then the row, which fails where one of its
 * values was not taken ---- */
void ds_sqlput_num(ds_sqlput *p, uint64_t n);
void ds_sqlput_real(ds_sqlput *p, double x);
void ds_sqlput_blob(ds_sqlput *p, const void *s, size_t len);
void ds_sqlput_text(ds_sqlput *p, const void *s, size_t len);
void ds_sqlput_str(ds_sqlput *p, const char *s);
void ds_sqlput_oid(ds_sqlput *p, const git_oid *id);
void ds_sqlput_sha(ds_sqlput *p, const ds_sha *s);
int ds_sqlput_row(ds_sqlput *p, ds_err *err);
/* ---- sqlversion.c: each version, and what names it in a row ---- */
typedef int (*ds_sqlside_fn)(ds_sqlput *p, const ds_verside *side, ds_err *err);
int ds_sqlput_sides(ds_sqlput *p, ds_sqlside_fn fn, ds_err *err);
void ds_sqlput_side_name(ds_sqlput *p, const ds_verside *s);

/* ---- tables: sqlversion.c, sqlrecord.c, sqlrun.c ---- */
int ds_sqlfill_commits(ds_sqlput *p, ds_err *err);
int ds_sqlfill_refs(ds_sqlput *p, ds_err *err);
int ds_sqlfill_columns(ds_sqlput *p, ds_err *err);
int ds_sqlfill_blocks(ds_sqlput *p, ds_err *err);
int ds_sqlfill_sources(ds_sqlput *p, ds_err *err);
int ds_sqlfill_origins(ds_sqlput *p, ds_err *err);
int ds_sqlfill_records(ds_sqlput *p, ds_err *err);
int ds_sqlfill_runs(ds_sqlput *p, ds_err *err);
int ds_sqlfill_checkpoints(ds_sqlput *p, ds_err *err);
int ds_sqlfill_consumed(ds_sqlput *p, ds_err *err);

#endif
