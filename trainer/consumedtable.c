/* consumedtable.c - see consumedtable.h. */
#include "consumedtable.h"

#include <inttypes.h>
#include <string.h>

#include "htmltext.h"

const char ds_consumed_table_head[] =
    "<h2>Consumed</h2>\n<table>\n<tr><th>steps</th><th>dataset</th><th>sequences</th><th>tokens"
    "</th><th>targets</th><th>lengths</th><th>of them</th></tr>\n";

static uint64_t number(const json_t *o, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(o, name));
}

/* "16–31: 20, 32–63: 4" */
static int put_lengths(ds_buf *h, const json_t *lengths)
{
    bool any = false;
    int rc = 0;

    for (size_t k = 0; !rc && k < json_array_size(lengths) && k < 32; k++) {
        const json_int_t n = json_integer_value(json_array_get(lengths, k));
        const uint64_t from = UINT64_C(1) << k;
        if (!n)
            continue;
        rc = ds_buf_printf(h, "%s%" PRIu64 "%s", any ? ", " : "", from, k ? "\xe2\x80\x93" : "");
        if (!rc && k)
            rc = ds_buf_printf(h, "%" PRIu64, 2 * from - 1);
        rc = rc ? rc : ds_buf_printf(h, ": %" JSON_INTEGER_FORMAT, n);
        any = true;
    }
    return rc;
}

/* "meta.label: valve 18, rotor 15, others 3" */
static int put_facet(ds_buf *h, const json_t *facet)
{
    const json_t *values = json_object_get(facet, "values");
    const json_int_t others =
        json_integer_value(json_array_get(json_object_get(facet, "other"), 0));
    int rc = ds_html_text(h, json_string_value(json_object_get(facet, "name")));

    for (size_t i = 0; !rc && i < json_array_size(values); i++) {
        const json_t *v = json_array_get(values, i);
        rc = ds_buf_puts(h, i ? ", " : ": ");
        rc = rc ? rc : ds_html_text(h, json_string_value(json_array_get(v, 0)));
        rc = rc ? rc
                : ds_buf_printf(h, " %" JSON_INTEGER_FORMAT,
                                json_integer_value(json_array_get(v, 1)));
    }
    if (!rc && others)
        rc = ds_buf_printf(h, "%s%" JSON_INTEGER_FORMAT,
                           json_array_size(values) ? ", others " : ": others ", others);
    return rc ? rc : ds_buf_puts(h, "<br>");
}

static int put_part(ds_buf *h, const json_t *all, const json_t *part, const char *name,
                    uint64_t total)
{
    const uint64_t tokens = number(part, "tokens");
    const json_t *facets = json_object_get(part, "facets");
    int rc = ds_buf_printf(h, "<tr><td>%" PRIu64 "\xe2\x80\x93%" PRIu64 "</td><td>",
                           number(all, "first"), number(all, "last"));

    rc = rc ? rc : ds_html_text(h, name);
    rc = rc ? rc
            : ds_buf_printf(
                  h,
                  "</td><td>%" PRIu64 "</td><td>%" PRIu64 " (%.1f %%)</td><td>%" PRIu64 "</td><td>",
                  number(part, "sequences"), tokens,
                  total ? 100.0 * (double)tokens / (double)total : 0.0, number(part, "targets"));
    rc = rc ? rc : put_lengths(h, json_object_get(part, "lengths"));
    rc = rc ? rc : ds_buf_puts(h, "</td><td>");
    for (size_t i = 0; !rc && i < json_array_size(facets); i++)
        rc = put_facet(h, json_array_get(facets, i));
    return rc ? rc : ds_buf_puts(h, "</td></tr>\n");
}

int ds_consumed_table_rows(ds_buf *h, const ds_lineage *l, ds_err *err)
{
    json_t *all = NULL;
    uint64_t total = 0;
    int rc;

    if (!l->consumed)
        return 0;
    rc = ds_json_parse(&all, l->consumed, strlen(l->consumed), "consumed", err);
    if (rc)
        return rc;
    const json_t *parts = json_object_get(all, "datasets");
    const size_t n =
        json_array_size(parts) < l->run.ndatasets ? json_array_size(parts) : l->run.ndatasets;
    for (size_t i = 0; i < n; i++)
        total += number(json_array_get(parts, i), "tokens");
    for (size_t i = 0; !rc && i < n; i++)
        rc = put_part(h, all, json_array_get(parts, i), l->run.datasets[i].name, total);
    json_decref(all);
    return rc ? ds_fail_nomem(err) : 0;
}
