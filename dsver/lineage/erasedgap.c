/* erasedgap.c - see erasedgap.h. */
#include "erasedgap.h"

#include <string.h>

#include "json.h"

/* [value, sequences, tokens] of a facet by its value, or NULL. */
static const json_t *value_of(const json_t *values, const char *name)
{
    size_t i;
    const json_t *v;
    json_array_foreach(values, i, v)
    {
        const char *s = json_string_value(json_array_get(v, 0));
        if (s && strcmp(s, name) == 0)
            return v;
    }
    return NULL;
}

static const json_t *facet_of(const json_t *facets, const char *name)
{
    size_t i;
    const json_t *f;
    json_array_foreach(facets, i, f)
    {
        const char *s = json_string_value(json_object_get(f, "name"));
        if (s && strcmp(s, name) == 0)
            return f;
    }
    return NULL;
}

/* What a column of a tombstone holds, where it may not be null. */
static bool of_tombstone(const char *s)
{
    return !*s || strcmp(s, "0") == 0 || strcmp(s, "false") == 0 || strncmp(s, "erased:", 7) == 0;
}

static bool more(const json_t *now, const json_t *told)
{
    for (size_t k = 1; k <= 2; k++)
        if (json_integer_value(json_array_get(now, k)) >
            json_integer_value(json_array_get(told, k)))
            return true;
    return false;
}

static int check_facet(const json_t *told, const json_t *now, const char *name, ds_err *err)
{
    const json_t *values = json_object_get(now, "values");
    size_t i;
    const json_t *v;
    json_array_foreach(json_object_get(told, "values"), i, v)
    {
        const char *s = json_string_value(json_array_get(v, 0));
        const json_t *left = s ? value_of(values, s) : NULL;
        if (left && !of_tombstone(s) && more(left, v))
            return ds_fail(err, DS_FAIL, "%s '%s' was consumed more often than told", name, s);
    }
    return 0;
}

static int check_facets(const json_t *told, const json_t *now, ds_err *err)
{
    size_t i;
    const json_t *f;
    json_array_foreach(now, i, f)
    {
        const char *name = json_string_value(json_object_get(f, "name"));
        const json_t *was = name ? facet_of(told, name) : NULL;
        if (!was)
            return ds_fail(err, DS_FAIL, "the records have '%s', of which nothing is told",
                           name ? name : "");
        const int rc = check_facet(was, f, name, err);
        if (rc)
            return rc;
    }
    return 0;
}

static int check_part(const json_t *told, const json_t *now, bool erased, size_t i, ds_err *err)
{
    static const char *const counts[] = {"sequences", "tokens", "targets", "lengths"};
    const json_t *a = json_object_get(told, "facets"), *b = json_object_get(now, "facets");
    for (size_t k = 0; k < sizeof counts / sizeof *counts; k++)
        if (!json_equal(json_object_get(told, counts[k]), json_object_get(now, counts[k])))
            return ds_fail(err, DS_FAIL, "dataset %zu: %s differ", i, counts[k]);
    if (json_equal(a, b))
        return 0;
    return erased ? check_facets(a, b, err)
                  : ds_fail(err, DS_FAIL, "dataset %zu: facets differ", i);
}

int ds_erasedgap_check(const char *told, const char *now, const bool *erased, size_t n, ds_err *err)
{
    json_t *a = NULL, *b = NULL;
    int rc = ds_json_parse(&a, told, strlen(told), "what is told", err);
    rc = rc ? rc : ds_json_parse(&b, now, strlen(now), "what is counted", err);
    const json_t *x = json_object_get(a, "datasets"), *y = json_object_get(b, "datasets");

    if (!rc && (!json_equal(json_object_get(a, "first"), json_object_get(b, "first")) ||
                !json_equal(json_object_get(a, "last"), json_object_get(b, "last")) ||
                json_array_size(x) != n || json_array_size(y) != n))
        rc = ds_fail(err, DS_FAIL, "it is about other steps or datasets");
    for (size_t i = 0; !rc && i < n; i++)
        rc = check_part(json_array_get(x, i), json_array_get(y, i), erased[i], i, err);
    json_decref(a);
    json_decref(b);
    return rc;
}
