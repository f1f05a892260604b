/* sqlrow.c - values and rows into a table; see sqlview_priv.h. */
#include <string.h>

#include "sig.h"
#include "sqlview_priv.h"

/* What is not taken - it is too long, or memory ends - would be NULL in a row that says nothing. */
static void took(ds_sqlput *p, int code)
{
    if (!p->refused)
        p->refused = code;
}

void ds_sqlput_num(ds_sqlput *p, uint64_t n)
{
    took(p, sqlite3_bind_int64(p->st, ++p->at, (sqlite3_int64)n));
}

void ds_sqlput_real(ds_sqlput *p, double x)
{
    took(p, sqlite3_bind_double(p->st, ++p->at, x));
}

void ds_sqlput_blob(ds_sqlput *p, const void *s, size_t len)
{
    took(p, sqlite3_bind_blob64(p->st, ++p->at, len ? s : "", len, SQLITE_TRANSIENT));
}

void ds_sqlput_text(ds_sqlput *p, const void *s, size_t len)
{
    took(p, s ? sqlite3_bind_text64(p->st, ++p->at, s, len, SQLITE_TRANSIENT, SQLITE_UTF8)
              : sqlite3_bind_null(p->st, ++p->at));
}

void ds_sqlput_str(ds_sqlput *p, const char *s)
{
    ds_sqlput_text(p, s, s ? strlen(s) : 0);
}

void ds_sqlput_oid(ds_sqlput *p, const git_oid *id)
{
    ds_sqlput_str(p, id ? git_oid_tostr_s(id) : NULL);
}

void ds_sqlput_sha(ds_sqlput *p, const ds_sha *s)
{
    char hex[65];
    ds_sha_hex(hex, s);
    ds_sqlput_str(p, hex);
}

int ds_sqlput_row(ds_sqlput *p, ds_err *err)
{
    const int code = p->refused ? p->refused : sqlite3_step(p->st);
    sqlite3_reset(p->st);
    p->at = p->refused = 0;
    return code == SQLITE_DONE ? 0 : ds_sqlview_fail(p->v, code, "tables", err);
}
