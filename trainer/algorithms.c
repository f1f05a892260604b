/* algorithms.c - see algorithms.h. */
#include "algorithms.h"

#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "jsonfile.h"
#include "trainconf.h"
#include "try.h"

#define NAME "algorithms.json"
#define ALIGN_MOST 256

static const char *const EXTRAS[] = {"none", "bias", "bias_back"};

/* What a device's bits depend on: its detail up to a semicolon. */
static json_t *made_by(const ds_kernels *k)
{
    return json_stringn(k->detail, strcspn(k->detail, ";"));
}

/* ---- writing ---- */

static json_t *plan_json(const ds_kplan *p)
{
    ds_buf hex = {0};
    json_t *o =
        json_pack("{s:I,s:I,s:I,s:s,s:s,s:b,s:b,s:b,s:i,s:s}", "m", (json_int_t)p->m, "n",
                  (json_int_t)p->n, "k", (json_int_t)p->k, "in", DS_FORMAT_NAMES[p->in], "out",
                  DS_FORMAT_NAMES[p->out], "ta", (int)p->ta, "tb", (int)p->tb, "accumulate",
                  (int)p->accumulate, "align", (int)p->align, "extra", EXTRAS[p->extra]);

    if (p->none)
        json_object_set_new(o, "algorithm", json_null());
    else if (ds_buf_hex(&hex, p->algorithm, sizeof p->algorithm) || !ds_buf_cstr(&hex) ||
             json_object_set_new(o, "algorithm", json_string((const char *)hex.data))) {
        json_decref(o);
        o = NULL;
    }
    ds_buf_fini(&hex);
    return o;
}

/* By shape, whoever computed them in which order. */
static int by_shape(const void *one, const void *other)
{
    const ds_kplan *p = one, *q = other;
    const int64_t a[] = {p->m,  p->n,  p->k,          p->in,    p->out,
                         p->ta, p->tb, p->accumulate, p->align, p->extra};
    const int64_t b[] = {q->m,  q->n,  q->k,          q->in,    q->out,
                         q->ta, q->tb, q->accumulate, q->align, q->extra};

    for (size_t i = 0; i < sizeof a / sizeof *a; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

static size_t products_of(ds_kernels *k, const ds_kplan **list)
{
    return k->plans ? k->plans(k, list) : 0;
}

int ds_algorithms_write(const char *dir, ds_kernels *k, ds_err *err)
{
    const ds_kplan *list;
    const size_t n = products_of(k, &list);
    ds_kplan *sorted = malloc((n + 1) * sizeof *sorted);
    json_t *all = json_array(), *o = json_object();
    int rc = sorted ? 0 : -1;

    if (sorted && n > 0) {
        memcpy(sorted, list, n * sizeof *sorted);
        qsort(sorted, n, sizeof *sorted, by_shape);
    }
    for (size_t i = 0; !rc && i < n; i++)
        rc = json_array_append_new(all, plan_json(&sorted[i]));
    rc = rc || json_object_set_new(o, "by", made_by(k)) || json_object_set(o, "products", all);
    rc = rc ? ds_fail_nomem(err) : n ? ds_jsonfile_write(dir, NAME, o, err) : 0;
    json_decref(all);
    json_decref(o);
    free(sorted);
    return rc;
}

/* ---- reading ---- */

/* Which of n names a member is. */
static bool one_of(int32_t *which, const json_t *o, const char *member, const char *const *names,
                   int32_t n)
{
    const char *s = json_string_value(json_object_get(o, member));

    for (*which = 0; s && *which < n; (*which)++)
        if (!strcmp(s, names[*which]))
            return true;
    return false;
}

static bool plan_of(ds_kplan *p, const json_t *o)
{
    const json_t *algorithm = json_object_get(o, "algorithm");
    const char *hex = json_string_value(algorithm);
    const json_int_t align = json_integer_value(json_object_get(o, "align"));

    *p = (ds_kplan){.m = json_integer_value(json_object_get(o, "m")),
                    .n = json_integer_value(json_object_get(o, "n")),
                    .k = json_integer_value(json_object_get(o, "k")),
                    .ta = json_is_true(json_object_get(o, "ta")),
                    .tb = json_is_true(json_object_get(o, "tb")),
                    .accumulate = json_is_true(json_object_get(o, "accumulate")),
                    .align = (int32_t)(align & (2 * ALIGN_MOST - 1)),
                    .none = json_is_null(algorithm)};
    return p->m > 0 && p->n > 0 && p->k > 0 &&
           one_of(&p->in, o, "in", DS_FORMAT_NAMES, DS_FORMATS) &&
           one_of(&p->out, o, "out", DS_FORMAT_NAMES, DS_FORMATS) &&
           one_of(&p->extra, o, "extra", EXTRAS, 3) && p->align == align && align > 0 &&
           align <= ALIGN_MOST && !(align & (align - 1)) &&
           (p->none || (hex && ds_hex_decode(hex, strlen(hex), p->algorithm, sizeof p->algorithm)));
}

static int take(ds_kernels *k, const char *dir, const json_t *products, ds_err *err)
{
    const size_t n = json_array_size(products);
    ds_kplan *list = calloc(n + 1, sizeof *list);
    int rc = list ? 0 : ds_fail_nomem(err);

    for (size_t i = 0; !rc && i < n; i++)
        if (!plan_of(&list[i], json_array_get(products, i)))
            rc = ds_fail(err, DS_CORRUPT, "%s/" NAME ": product %zu is none", dir, i + 1);
    rc = rc ? rc : k->plans_again(k, list, n, err);
    free(list);
    return rc;
}

int ds_algorithms_read(const char *dir, ds_kernels *k, ds_err *err)
{
    char path[DS_PATH];
    json_t *o = NULL, *by = made_by(k);
    int rc = 0;

    if (k->plans_again)
        rc = ds_path_join(path, dir, NAME, err);
    if (!rc && k->plans_again && ds_path_exists(path))
        rc = ds_jsonfile_read(&o, dir, NAME, err);
    if (!rc && o && json_equal(json_object_get(o, "by"), by))
        rc = take(k, dir, json_object_get(o, "products"), err);
    json_decref(o);
    json_decref(by);
    return rc;
}

/* ---- of several processes ---- */

/* The first n products of rank `from`, by as many at a time as fit on their way. What is asked for
 * is asked of everybody, whatever fails here. */
static int take_from(const ds_ranks *r, ds_kernels *k, int from, size_t n, ds_err *err)
{
    const size_t most = (size_t)DS_RANKS_PART / sizeof(ds_kplan);
    const ds_kplan *mine;
    int rc = 0;

    for (size_t at = 0; at < n; at += most) {
        const size_t part = n - at < most ? n - at : most;
        if (r->rank == from) {
            products_of(k, &mine);
            memcpy(r->part, mine + at, part * sizeof *mine);
        }
        r->spread(r, r->part, (int)(part * sizeof *mine), from);
        if (r->rank != from && !rc)
            rc = k->plans_again(k, (const ds_kplan *)(const void *)r->part, part, err);
    }
    return rc;
}

int ds_algorithms_share(const ds_ranks *r, ds_kernels *k, ds_err *err)
{
    const ds_kplan *list;
    const uint64_t own = products_of(k, &list);
    int rc = 0;

    for (int i = 0; r->size > 1 && i < r->size; i++) {
        uint64_t n = own;
        ds_err unlike = {0};
        r->spread(r, &n, sizeof n, i);
        const int failed = take_from(r, k, i, n, &unlike);
        if (failed && !rc)
            rc = ds_fail(err, failed, "process %d has other products than this one: %s", i,
                         unlike.msg);
    }
    return ds_ranks_agree(r, rc, err);
}
