/* sourceend.c - see sourceend.h. */
#include "sourceend.h"

#include <stdlib.h>
#include <string.h>

typedef struct ds_sourcelast {
    ds_source s;
    uint64_t number;
    bool seen;
} last;

static int by_name(const void *x, const void *y)
{
    const ds_source *a = &((const last *)x)->s, *b = &((const last *)y)->s;
    const int c = memcmp(a->name, b->name, a->len < b->len ? a->len : b->len);
    return c ? c : (a->len > b->len) - (a->len < b->len);
}

static int by_name_then_number(const void *x, const void *y)
{
    const last *a = x, *b = y;
    const int c = by_name(a, b);
    return c ? c : (a->number > b->number) - (a->number < b->number);
}

int ds_sourceend_read(ds_sourceend *e, ds_store *s, const git_oid *tree, ds_err *err)
{
    int rc = ds_sourcelist_read(&e->all, s, tree, err);
    size_t n = 0;
    last *v = rc ? NULL : calloc((size_t)e->all.n + 1, sizeof *v);
    if (!v)
        return rc ? rc : ds_fail_nomem(err);
    e->v = v;
    for (size_t pos = 0; ds_sourcelist_next(&e->all, &pos, &v[n].s); n++)
        v[n].number = n;
    if (n)
        qsort(v, n, sizeof *v, by_name_then_number);
    for (size_t i = 0; i < n; i++)
        if (i + 1 == n || by_name(&v[i], &v[i + 1]) != 0)
            v[e->n++] = v[i];
    return 0;
}

int ds_sourceend_check(ds_sourceend *e, const ds_source *s, bool has_records, ds_err *err)
{
    const last key = {.s = *s};
    last *v = e->n ? bsearch(&key, e->v, e->n, sizeof *e->v, by_name) : NULL;
    if (!v || v->seen)
        return 0;
    v->seen = true;
    const bool same = v->s.size == s->size && ds_sha_eq(&v->s.sha, &s->sha);
    if (same && has_records)
        return ds_fail(
            err, DS_FAIL,
            "%.*s: the stream has records of its first %llu bytes, and so has the newest "
            "version: it does not go on there, but begins anew",
            (int)s->len, s->name, (unsigned long long)s->size);
    if (same)
        return 0;
    return ds_fail(err, DS_FAIL,
                   "%.*s: the stream does not go on where the newest version ends (it begins with "
                   "%llu bytes of it read, the version has %llu)",
                   (int)s->len, s->name, (unsigned long long)s->size,
                   (unsigned long long)v->s.size);
}

void ds_sourceend_fini(ds_sourceend *e)
{
    free(e->v);
    ds_sourcelist_fini(&e->all);
    *e = (ds_sourceend){0};
}
