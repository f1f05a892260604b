/* dicommeta.c - see dicommeta.h. */
#include "dicommeta.h"

#include <stdlib.h>
#include <string.h>

/* A member: its name with quotes, and all of it. */
typedef struct member {
    const char *p;
    size_t name, len;
} member;

typedef struct members {
    member *v;
    size_t n, cap;
} members;

/* Behind the string that begins at i, or 0. */
static size_t string_end(const char *p, size_t len, size_t i)
{
    for (i++; i < len && p[i] != '"'; i++)
        if (p[i] == '\\')
            i++;
    return i < len ? i + 1 : 0;
}

/* Behind the value that begins at i, or 0. */
static size_t value_end(const char *p, size_t len, size_t i)
{
    size_t depth = 0;
    while (i < len) {
        if (p[i] == '"') {
            i = string_end(p, len, i);
            if (i == 0)
                return 0;
            continue;
        }
        if (depth == 0 && (p[i] == ',' || p[i] == '}'))
            return i;
        if (p[i] == '{' || p[i] == '[')
            depth++;
        else if (p[i] == '}' || p[i] == ']')
            depth--;
        i++;
    }
    return 0;
}

static int add(members *m, member x, ds_err *err)
{
    if (ds_grow(&m->v, &m->cap, m->n, sizeof *m->v))
        return ds_fail_nomem(err);
    m->v[m->n++] = x;
    return 0;
}

static int scan(members *m, const char *p, size_t len, ds_err *err)
{
    size_t i = 1;
    int rc = 0;
    bool ok = len >= 2 && p[0] == '{' && p[len - 1] == '}';
    while (ok && rc == 0 && p[i] != '}') {
        member x = {.p = p + i};
        size_t name = p[i] == '"' ? string_end(p, len, i) : 0;
        size_t end = name && name < len && p[name] == ':' ? value_end(p, len, name + 1) : 0;
        ok = end > 0;
        if (!ok)
            break;
        x.name = name - i;
        x.len = end - i;
        rc = add(m, x, err);
        i = end + (p[end] == ',');
    }
    return rc == 0 && !(ok && i == len - 1) ? ds_fail(err, DS_CORRUPT, "metadata is no JSON object")
                                            : rc;
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
