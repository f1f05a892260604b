/* sortkey.h - what records are sorted by, as bytes that sort as the values do.
 *
 * Values: false before true; numbers by value, whole and real ones compared exactly; times; texts
 * by their bytes. Where one key has several kinds (members of JSON) they stand in this order. Null,
 * NaN, and lists and objects of JSON stand last, in both directions. No key begins with another.
 *
 * Read only once made; a ds_sortwork (zeroed at first) belongs to one thread.
 */
#ifndef DS_SORTKEY_H
#define DS_SORTKEY_H

#include "dsr_origin.h"
#include "where.h"

typedef struct ds_sortkey ds_sortkey;
/* `by`: n keys, the first decides first. Each is an expression (where.h), `key` or `origin`, and
 * may end in " asc" or " desc". numeric: texts are read as numbers, others are null. reverse: each
 * goes the other way. The schema must outlive it. DS_USAGE names the key. */
int ds_sortkey_new(ds_sortkey **out, const ds_colnames *names, const char *const *by, size_t n,
                   bool numeric, bool reverse, ds_err *err);
void ds_sortkey_free(ds_sortkey *k);

typedef struct ds_sortwork {
    ds_wherework *where;
    size_t n;
    ds_hasher *hasher;
} ds_sortwork;

/* Appends a record's key. */
int ds_sortkey_put(const ds_sortkey *k, ds_sortwork *w, const ds_colview *views,
                   const ds_value *values, const ds_range *ranges, size_t nranges, ds_buf *out,
                   ds_err *err);
void ds_sortwork_fini(ds_sortwork *w);

#endif
