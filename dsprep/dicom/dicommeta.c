/* dicommeta.c - see dicommeta.h. */
#include "dicommeta.h"

#include <stdlib.h>
#include <string.h>

#include "jsonmember.h"

/* A member: its name with quotes, and all of it. */
typedef struct member {
    const char *p;
    size_t name, len;
} member;

typedef struct members {
    member *v;
    size_t n, cap;
} members;

static int add(members *m, member x, ds_err *err)
{
    if (ds_grow(&m->v, &m->cap, m->n, sizeof *m->v))
        return ds_fail_nomem(err);
    m->v[m->n++] = x;
    return 0;
}

static int scan(members *m, const void *text, size_t len, ds_err *err)
{
    ds_jsonmembers it;
    ds_jsonmember x;
    int rc = 0;
    ds_jsonmembers_begin(&it, text, len);
    while (rc == 0 && ds_jsonmembers_next(&it, &x)) {
        const char *p = (const char *)x.name - 1;
        const size_t all = (size_t)((const char *)x.value + x.value_len - p);
        rc = add(m, (member){.p = p, .name = x.name_len + 2, .len = all}, err);
    }
    if (rc == 0 && !ds_jsonmembers_whole(&it))
        rc = ds_fail(err, DS_CORRUPT, "metadata is no JSON object");
    return rc;
}

static int by_bytes(const void *x, const void *y)
{
    const member *a = x, *b = y;
    int c = memcmp(a->p, b->p, a->len < b->len ? a->len : b->len);
    return c ? c : (a->len > b->len) - (a->len < b->len);
}

static int keep(ds_buf *out, const member *m)
{
    return (out->len > 1 ? ds_buf_putc(out, ',') : 0) | ds_buf_put(out, m->p, m->len);
}

int ds_dicom_common_add(ds_dicom_common *c, const void *json, size_t len, ds_err *err)
{
    members have = {0}, more = {0};
    ds_buf out = {0};
    int rc = scan(&more, json, len, err);
    if (rc == 0 && c->text.len == 0)
        rc = ds_buf_put(&c->text, json, len) ? ds_fail_nomem(err) : 0;
    else if (rc == 0)
        rc = scan(&have, (const char *)c->text.data, c->text.len, err);
    if (more.n)
        qsort(more.v, more.n, sizeof *more.v, by_bytes);
    int bad = ds_buf_putc(&out, '{');
    for (size_t i = 0; i < have.n; i++)
        if (more.n && bsearch(&have.v[i], more.v, more.n, sizeof *more.v, by_bytes))
            bad |= keep(&out, &have.v[i]);
    bad |= ds_buf_putc(&out, '}');
    if (rc == 0 && bad)
        rc = ds_fail_nomem(err);
    if (rc == 0 && have.n) {
        ds_buf t = c->text;
        c->text = out;
        out = t;
    }
    free(have.v);
    free(more.v);
    ds_buf_fini(&out);
    return rc;
}

int ds_dicom_common_drop(ds_dicom_common *c, const char *name, ds_err *err)
{
    members have = {0};
    ds_buf out = {0};
    size_t n = strlen(name);
    int rc = scan(&have, (const char *)c->text.data, c->text.len, err);
    int bad = ds_buf_putc(&out, '{');
    for (size_t i = 0; i < have.n; i++)
        if (have.v[i].name != n + 2 || memcmp(have.v[i].p + 1, name, n) != 0)
            bad |= keep(&out, &have.v[i]);
    bad |= ds_buf_putc(&out, '}');
    if (rc == 0 && bad)
        rc = ds_fail_nomem(err);
    if (rc == 0) {
        ds_buf t = c->text;
        c->text = out;
        out = t;
    }
    free(have.v);
    ds_buf_fini(&out);
    return rc;
}

void ds_dicom_common_reset(ds_dicom_common *c)
{
    ds_buf_reset(&c->text);
}

void ds_dicom_common_fini(ds_dicom_common *c)
{
    ds_buf_fini(&c->text);
}
