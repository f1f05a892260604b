/* sqlrow.c - values and rows into a table; see sqlview_priv.h. */
#include <string.h>

#include "sig.h"
#include "sqlview_priv.h"

void ds_sqlput_num(ds_sqlput *p, uint64_t n)
{
    sqlite3_bind_int64(p->st, ++p->at, (sqlite3_int64)n);
}

void ds_sqlput_text(ds_sqlput *p, const void *s, size_t len)
{
    if (s)
        sqlite3_bind_text64(p->st, ++p->at, s, len, SQLITE_TRANSIENT, SQLITE_UTF8);
    else
        sqlite3_bind_null(p->st, ++p->at);
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
    const int rc = sqlite3_step(p->st);
    sqlite3_reset(p->st);
    p->at = 0;
    return rc == SQLITE_DONE ? 0 : ds_sqlview_fail(p->v, "tables", err);
}
