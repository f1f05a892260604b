/* colname.c - see colname.h. */
#include "colname.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "colpath.h"
#include "jscan.h"
#include "utf8.h"

ds_colnames ds_colnames_of(ds_instream *in)
{
    return (ds_colnames){.schema = ds_instream_schema(in), .in = in};
}

void ds_namelist_add(ds_namelist *l, const void *name, size_t len)
{
    size_t sep = l->len > 0 ? 2 : 0;
    if (l->full)
        return;
    if (sep + len + sizeof ", ..." > sizeof l->text - l->len) {
        l->full = true;
        name = "...";
        len = 3;
    }
    memcpy(l->text + l->len, ", ", sep);
    memcpy(l->text + l->len + sep, name, len);
    l->len += sep + len;
    l->text[l->len] = 0;
}

/* ---- members of the first records ---- */

enum { MEMBERS_MAX = 1024 };

typedef struct tally {
    ds_buf name; /* with a NUL */
    uint64_t n;
} tally;

typedef struct members {
    tally *v;
    size_t n, cap;
    uint64_t records;
    ds_jscan scan;
} members;

static void members_fini(members *m)
{
    for (size_t i = 0; i < m->n; i++)
        ds_buf_fini(&m->v[i].name);
    free(m->v);
    ds_jscan_fini(&m->scan);
}

/* Members of a record come in the order of those of the one before: `at` is where to look first. */
static int member_add(members *m, const ds_jmember *j, size_t *at)
{
    uint8_t plain[256 + DS_JSTRING_SLACK];
    if (j->name_len > 256)
        return 0;
    const size_t len = ds_jstring_unescape(plain, j->name, j->name_len);
    if (ds_utf8_check(plain, len) != len)
        return 0;
    for (size_t k = 0; k < m->n; k++) {
        const size_t i = (*at + k) % m->n;
        if (m->v[i].name.len == len && memcmp(m->v[i].name.data, plain, len) == 0) {
            m->v[i].n++;
            *at = i + 1;
            return 0;
        }
    }
    if (m->n == MEMBERS_MAX)
        return 0;
    if (ds_grow(&m->v, &m->cap, m->n, sizeof *m->v))
        return DS_NOMEM;
    m->v[m->n] = (tally){.n = 1};
    *at = ++m->n;
    return ds_buf_put(&m->v[m->n - 1].name, plain, len) || !ds_buf_cstr(&m->v[m->n - 1].name)
               ? DS_NOMEM
               : 0;
}

static int members_of(members *m, const ds_value *x, ds_err *err)
{
    size_t at = 0;
    m->records++;
    if (x->null || ds_jscan_text(&m->scan, x->p, x->len, DS_JSCAN_DEPTH_MAX) ||
        m->scan.kind != DS_J_OBJECT)
        return 0; /* what is wrong with it, whoever reads it will say */
    for (size_t i = 0; i < m->scan.n; i++)
        if (member_add(m, &m->scan.v[i], &at))
            return ds_fail_nomem(err);
    return 0;
}

static int members_read(members *m, const ds_colnames *c, size_t column, ds_err *err)
{
    const ds_block *b = NULL;
    ds_value x;
    int rc = c->in ? ds_instream_peek(c->in, &b, err) : 0;
    ds_colview *views = b ? calloc(c->schema->n + 1, sizeof *views) : NULL;
    if (b && !views)
        rc = ds_fail_nomem(err);
    if (rc == 0 && b)
        rc = ds_block_views(b, c->schema, views, err);
    while (rc == 0 && b && ds_colview_next(&views[column], &x))
        rc = members_of(m, &x, err);
    free(views);
    return rc;
}

static int by_count(const void *a, const void *b)
{
    const tally *x = a, *y = b;
    return x->n != y->n ? (x->n < y->n ? 1 : -1)
                        : strcmp((const char *)x->name.data, (const char *)y->name.data);
}

/* ---- names ---- */

static int missing(const ds_colnames *c, const char *name, members *m, long rest, ds_err *err)
{
    ds_namelist columns = {0}, most = {0};
    bool member = false;
    for (size_t i = 0; i < c->schema->n; i++)
        ds_namelist_add(&columns, c->schema->cols[i].name, strlen(c->schema->cols[i].name));
    if (m->n)
        qsort(m->v, m->n, sizeof *m->v, by_count);
    for (size_t i = 0; i < m->n; i++) {
        ds_namelist_add(&most, m->v[i].name.data, m->v[i].name.len);
        member = member || strcmp((const char *)m->v[i].name.data, name) == 0;
    }
    const char *r = rest < 0 ? NULL : c->schema->cols[rest].name;
    char hint[512] = "";
    if (r && member) /* a column itself was wanted */
        snprintf(
            hint, sizeof hint,
            "; %s.%.100s is a member: dsprep map --set '%.60s:utf8=%s.%.60s' makes a column of it",
            r, name, name, r, name);
    else if (r && m->n)
        snprintf(hint, sizeof hint,
                 "; members of %s in its first %llu records: %s (one that "
                 "comes later is named %s.MEMBER)",
                 r, (unsigned long long)m->records, most.text, r);
    else if (r && !c->in)
        snprintf(hint, sizeof hint, "; a member of %s is named %s.MEMBER", r, r);
    return ds_fail(err, DS_USAGE, "no column '%.100s' in the stream, whose columns are: %s%s", name,
                   columns.len ? columns.text : "none", hint);
}

int ds_colname_missing(const ds_colnames *c, const char *name, ds_err *err)
{
    const long rest = ds_colpath_rest(c->schema);
    members m = {0};
    int rc = rest < 0 ? 0 : members_read(&m, c, (size_t)rest, err);
    if (rc == 0)
        rc = missing(c, name, &m, rest, err);
    members_fini(&m);
    return rc;
}

int ds_colname_column(const ds_colnames *c, const char *name, size_t *column, ds_err *err)
{
    const long k = ds_schema_find(c->schema, name);
    *column = k < 0 ? 0 : (size_t)k;
    return k < 0 ? ds_colname_missing(c, name, err) : 0;
}

/* Is there a first record that has the member? Where there are no records, any will do. */
static int check_member(const ds_colnames *c, const char *name, long rest, ds_err *err)
{
    members m = {0};
    bool found = false;
    int rc = members_read(&m, c, (size_t)rest, err);
    for (size_t i = 0; i < m.n; i++)
        found = found || strcmp((const char *)m.v[i].name.data, name) == 0;
    if (rc == 0 && !found && m.records)
        rc = missing(c, name, &m, rest, err);
    members_fini(&m);
    return rc;
}

int ds_colname_find(const ds_colnames *c, const char *parts, size_t n, size_t *column,
                    const char **below, ds_err *err)
{
    const ds_schema *s = c->schema;
    long k = ds_colpath_find(s, parts, n, below);
    const long rest = k < 0 ? ds_colpath_rest(s) : -1;
    if (k >= 0 && *below && s->cols[k].type != DS_JSON)
        return ds_fail(err, DS_USAGE, "column '%s' is %s: only columns of JSON have members",
                       s->cols[k].name, ds_type_name(s->cols[k].type));
    if (k < 0 && rest < 0)
        return ds_colname_missing(c, parts, err);
    if (k < 0) {
        k = rest;
        *below = parts;
    }
    *column = (size_t)k;
    return rest < 0 ? 0 : check_member(c, parts, rest, err);
}
