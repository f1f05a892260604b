/* sqlview.h - a store as tables of SQL, to be read only: what dsver sql asks.
 *
 * The tables are those of the command's manual. They lie in a temporary database and are filled
 * when a statement that reads them was prepared, records with the columns that it reads; so what is
 * asked cannot change the store, whatever it says: nothing but SELECT is let through. One thread.
 */
#ifndef DS_SQLVIEW_H
#define DS_SQLVIEW_H

#include <sqlite3.h>

#include "store.h"

typedef struct ds_sqlview ds_sqlview;

typedef struct ds_sqlview_opts {
    int64_t timeout; /* seconds for all of it; 0: none */
    int64_t memory;  /* bytes that SQLite may take; 0: no limit */
} ds_sqlview_opts;

/* versions: those whose records, blocks, columns, sources and origins are the tables'; of none, who
 * asks for these is refused. Borrowed, as the store is. */
int ds_sqlview_open(ds_sqlview **out, ds_store *s, const git_oid *versions, size_t n,
                    const ds_sqlview_opts *o, ds_err *err);
/* One statement, and the tables that it reads. DS_USAGE for one that is wrong or does more than
 * read. Finalized by the caller, before the view is closed. */
int ds_sqlview_prepare(sqlite3_stmt **st, ds_sqlview *v, const char *sql, ds_err *err);
/* 1 a row, 0 the end, < 0 error. */
int ds_sqlview_step(ds_sqlview *v, sqlite3_stmt *st, ds_err *err);
void ds_sqlview_close(ds_sqlview *v); /* NULL is fine */

#endif
