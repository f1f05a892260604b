/* cmd_statsay.c - see cmd_statsay.h: the statistics of a version. */
#include "cmd_statsay.h"

#include <inttypes.h>
#include <string.h>

#include "cmd_verb.h"
#include "json.h"
#include "jsonrow.h"
#include "revision.h"
#include "statmember.h"
#include "plural.h"

enum { SHOWN = 3, LISTED = 20 };

static const double points[] = {0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99};
static const char *const point_names[] = {"p1", "p5", "p25", "p50", "p75", "p95", "p99"};
enum { POINTS = sizeof points / sizeof *points };

static const ds_named *named(const ds_buf *b, size_t i)
{
    return ((const ds_named *const *)(const void *)b->data)[i];
}

/* ---- numbers ---- */

typedef struct span { /* of lengths or numbers */
    bool there;
    double lo, hi, at[POINTS];
} span;

static int span_of(span *s, const ds_colstat *c, bool lengths, ds_err *err)
{
    const bool days = !lengths && c->item == DS_TIMESTAMP;
    ds_buf sorted = {0};

    const bool real = c->item == DS_F64 || c->member;
    s->there = lengths ? c->lens.used : c->any;
    if (!s->there)
        return 0;
    s->lo = lengths ? (double)c->len_min : real ? c->fmin : (double)c->imin;
    s->hi = lengths ? (double)c->len_max : real ? c->fmax : (double)c->imax;
    int rc = ds_tally_sorted(&sorted, lengths ? &c->lens : &c->nums);
    for (size_t i = 0; !rc && i < POINTS; i++)
        s->at[i] = ds_stat_quantile(&sorted, days, points[i], s->lo, s->hi);
    ds_buf_fini(&sorted);
    return rc ? ds_fail_nomem(err) : 0;
}

static int put_number(ds_buf *b, enum ds_type t, bool json, double v)
{
    int rc;
    if (t != DS_TIMESTAMP)
        return json ? ds_json_real(b, v) : ds_buf_printf(b, "%.6g", v);
    rc = json ? ds_buf_putc(b, '"') : 0;
    rc = rc ? rc : ds_time_text(b, v >= 0x1p63 ? INT64_MAX : v < -0x1p63 ? INT64_MIN : (int64_t)v);
    if (!rc && !json && b->len > 20)
        b->len -= sizeof "T00:00:00.000000000Z" - 1; /* the day */
    return rc ? rc : json ? ds_buf_putc(b, '"') : 0;
}

/* The least or the greatest, exactly. */
static int put_end(ds_buf *b, const ds_colstat *c, bool json, bool greatest)
{
    if (c->item == DS_I64)
        return ds_buf_printf(b, "%" PRId64, greatest ? c->imax : c->imin);
    if (c->item == DS_TIMESTAMP && json) {
        int rc = ds_buf_putc(b, '"');
        rc = rc ? rc : ds_time_text(b, greatest ? c->imax : c->imin);
        return rc ? rc : ds_buf_putc(b, '"');
    }
    return put_number(b, c->item, json,
                      c->item == DS_F64 || c->member ? (greatest ? c->fmax : c->fmin)
                                                     : (double)(greatest ? c->imax : c->imin));
}

/* ---- names ---- */

static int put_name(ds_buf *b, const ds_colstat *c, const ds_names *t, const ds_named *s, bool json,
                    bool word)
{
    const uint8_t *p = t->bytes.data + s->at;
    ds_buf text = {0};
    if (json && c->member) /* JSON text as it is */
        return ds_buf_put(b, p, s->len);
    int rc = word ? ds_colstat_word_text(&text, c, p, s->len)
                  : ds_colstat_value_text(&text, c, p, s->len);
    if (!rc)
        rc = json ? ds_json_name(b, (const char *)text.data, text.len)
                  : ds_buf_put(b, text.data, text.len);
    ds_buf_fini(&text);
    return rc;
}

static int put_names(ds_buf *b, const ds_colstat *c, const ds_names *t, bool words, bool json,
                     size_t most)
{
    const uint64_t all = words ? c->words : c->rows;
    ds_buf sorted = {0};
    int rc = ds_names_sorted(&sorted, t, DS_BY_COUNT);
    for (size_t i = 0; !rc && i < t->used && i < most; i++) {
        const ds_named *s = named(&sorted, i);
        rc = json ? ds_buf_puts(b, i ? ",[" : "[") : ds_buf_puts(b, i ? ", " : "");
        rc = rc ? rc : put_name(b, c, t, s, json, words);
        rc = rc     ? rc
             : json ? ds_buf_printf(b, ",%" PRIu64 "]", s->n)
                    : ds_buf_printf(b, " %.3g%%", all ? 100 * (double)s->n / (double)all : 0);
    }
    ds_buf_fini(&sorted);
    return rc;
}

/* ---- JSON ---- */

static int json_span(ds_buf *b, const ds_colstat *c, bool lengths, const span *s)
{
    const enum ds_type t = lengths ? DS_I64 : c->item;
    int rc = ds_buf_printf(b, ",\"%s\":{", lengths ? "lengths" : "numbers");
    if (lengths)
        rc = rc ? rc
                : ds_buf_printf(b, "\"sum\":%" PRIu64 ",\"min\":%" PRIu64 ",\"max\":%" PRIu64,
                                c->len_sum, c->len_min, c->len_max);
    else {
        rc = rc ? rc : ds_buf_printf(b, "\"nan\":%" PRIu64 ",\"min\":", c->nans);
        rc = rc ? rc : put_end(b, c, true, false);
        rc = rc ? rc : ds_buf_puts(b, ",\"max\":");
        rc = rc ? rc : put_end(b, c, true, true);
    }
    for (size_t i = 0; !rc && i < POINTS; i++) {
        rc = ds_buf_printf(b, ",\"%s\":", point_names[i]);
        rc = rc ? rc : put_number(b, t, true, s->at[i]);
    }
    return rc ? rc : ds_buf_putc(b, '}');
}

/* "utf8", ..., or "member" */
static const char *type_name(const ds_colstat *c)
{
    return c->member ? "member" : ds_type_name(c->type);
}

static int json_words(ds_buf *b, const ds_colstat *c)
{
    int rc =
        ds_buf_printf(b, ",\"words\":{\"counted\":%" PRIu64 ",\"looked_at\":%" PRIu64 ",\"top\":[",
                      c->words, c->looked);
    rc = rc ? rc : put_names(b, c, &c->top, true, true, DS_STAT_WORDS);
    rc = rc ? rc : ds_buf_puts(b, "],\"buckets\":[");
    for (size_t i = 0; !rc && i < DS_STAT_BUCKETS; i++)
        rc = ds_buf_printf(b, "%s%" PRIu64, i ? "," : "", c->buckets[i]);
    return rc ? rc : ds_buf_puts(b, "]}");
}

static int json_column(ds_buf *b, const char *name, const ds_colstat *c, const span *len,
                       const span *num)
{
    int rc = ds_buf_puts(b, "{\"type\":\"column\",\"name\":");
    rc = rc ? rc : ds_json_name(b, name, strlen(name));
    rc = rc ? rc
            : ds_buf_printf(b,
                            ",\"column_type\":\"%s\",\"rows\":%" PRIu64 ",\"nulls\":%" PRIu64
                            ",\"distinct\":%.0f",
                            type_name(c), c->rows, c->nulls, ds_colstat_distinct(c));
    if (len->there)
        rc = rc ? rc : json_span(b, c, true, len);
    if (num->there)
        rc = rc ? rc : json_span(b, c, false, num);
    rc = rc ? rc : ds_buf_puts(b, ",\"values\":");
    if (c->values.full)
        rc = rc ? rc : ds_buf_puts(b, "null");
    else {
        rc = rc ? rc : ds_buf_putc(b, '[');
        rc = rc ? rc : put_names(b, c, &c->values, false, true, SIZE_MAX);
        rc = rc ? rc : ds_buf_putc(b, ']');
    }
    if (c->looked)
        rc = rc ? rc : json_words(b, c);
    rc = rc ? rc : ds_buf_puts(b, ",\"profile\":[");
    for (size_t i = 0; !rc && i < c->nlow; i++)
        rc = ds_buf_printf(b, "%s\"%016" PRIx64 "\"", i ? "," : "", c->low[i]);
    return rc ? rc : ds_buf_puts(b, "]}\n");
}

/* ---- for people ---- */

static void say_head(void)
{
    printf("%-16s %-9s %8s %10s %12s %10s %10s %10s %12s  %s\n", "COLUMN", "TYPE", "NULLS",
           "DIFFERENT", "MIN", "P5", "P50", "P95", "MAX", "MOST FREQUENT");
}

static int say_cells(const ds_colstat *c, const span *s, bool lengths)
{
    static const size_t shown[] = {1, 3, 5}; /* of points */
    const enum ds_type t = lengths ? DS_I64 : c->item;
    int rc = 0;
    for (size_t i = 0; !rc && i < 5; i++) {
        ds_buf b = {0};
        if (s->there && (i == 0 || i == 4))
            rc = lengths ? ds_buf_printf(&b, "%" PRIu64, i ? c->len_max : c->len_min)
                         : put_end(&b, c, false, i == 4);
        else if (s->there)
            rc = put_number(&b, t, false, s->at[shown[i - 1]]);
        rc = rc ? rc : ds_buf_cstr(&b) ? 0 : DS_NOMEM;
        if (!rc)
            printf(i == 0 || i == 4 ? " %12s" : " %10s", (const char *)b.data);
        ds_buf_fini(&b);
    }
    return rc;
}

static int say_line(const char *name, const ds_colstat *c, const span *len, const span *num)
{
    ds_buf b = {0};
    const bool lengths = !num->there;
    int rc = 0;
    verb_cell(name, 16);
    printf(" %-9s %8" PRIu64 " %10.0f", type_name(c), c->nulls, ds_colstat_distinct(c));
    rc = say_cells(c, lengths ? len : num, lengths);
    if (!rc && !c->values.full && c->values.used < (c->rows + 1) / 2)
        rc = put_names(&b, c, &c->values, false, false, SHOWN);
    else if (!rc && c->looked)
        rc = put_names(&b, c, &c->top, true, false, SHOWN);
    if (!rc) {
        printf("  ");
        verb_text(stdout, b.data, b.len);
        putchar('\n');
    }
    ds_buf_fini(&b);
    return rc;
}

static int say_span(const ds_colstat *c, const span *s, bool lengths)
{
    ds_buf b = {0};
    int rc = lengths ? ds_buf_printf(&b, "lengths   min %" PRIu64, c->len_min)
                     : ds_buf_puts(&b, "numbers   min ");
    if (!lengths)
        rc = rc ? rc : put_end(&b, c, false, false);
    for (size_t i = 0; !rc && i < POINTS; i++) {
        rc = ds_buf_printf(&b, ", %s ", point_names[i]);
        rc = rc ? rc : put_number(&b, lengths ? DS_I64 : c->item, false, s->at[i]);
    }
    rc = rc        ? rc
         : lengths ? ds_buf_printf(&b, ", max %" PRIu64, c->len_max)
                   : ds_buf_puts(&b, ", max ");
    if (!lengths)
        rc = rc ? rc : put_end(&b, c, false, true);
    if (lengths)
        rc = rc ? rc
                : ds_buf_printf(&b, ", mean %.6g",
                                (double)c->len_sum / (double)(c->rows - c->nulls));
    else if (c->nans)
        rc = rc ? rc : ds_buf_printf(&b, ", %" PRIu64 " are no number", c->nans);
    if (!rc) {
        fwrite(b.data, 1, b.len, stdout);
        putchar('\n');
    }
    ds_buf_fini(&b);
    return rc;
}

static int say_list(const char *what, const ds_colstat *c, const ds_names *t, bool words)
{
    ds_buf sorted = {0};
    const uint64_t all = words ? c->words : c->rows;
    int rc = ds_names_sorted(&sorted, t, DS_BY_COUNT);
    for (size_t i = 0; !rc && i < t->used && i < LISTED; i++) {
        ds_buf b = {0};
        const ds_named *s = named(&sorted, i);
        rc = put_name(&b, c, t, s, false, words);
        if (!rc) {
            printf("%-9s %12" PRIu64 " %5.1f%%  ", i ? "" : what, s->n,
                   all ? 100 * (double)s->n / (double)all : 0);
            verb_text(stdout, b.data, b.len);
            putchar('\n');
        }
        ds_buf_fini(&b);
    }
    if (!rc && t->used > LISTED)
        printf("%-9s %12s         and %zu more\n", "", "", t->used - LISTED);
    ds_buf_fini(&sorted);
    return rc;
}

static int say_column(const char *name, const ds_colstat *c, const span *len, const span *num)
{
    int rc = 0;
    printf("column    ");
    verb_text(stdout, name, strlen(name));
    printf(" (%s)\nrows      %" PRIu64 ", %" PRIu64 " null, about %.0f different\n", type_name(c),
           c->rows, c->nulls, ds_colstat_distinct(c));
    if (len->there)
        rc = say_span(c, len, true);
    if (!rc && num->there)
        rc = say_span(c, num, false);
    if (!rc && !c->values.full)
        rc = say_list("values", c, &c->values, false);
    if (!rc && c->looked)
        rc = say_list(c->item == DS_TOKENS16 || c->item == DS_TOKENS32 ? "tokens" : "words", c,
                      &c->top, true);
    return rc;
}

static int one(const char *name, const ds_colstat *c, bool alone, bool json, ds_err *err)
{
    span len = {0}, num = {0};
    ds_buf b = {0};
    int rc = span_of(&len, c, true, err);
    rc = rc ? rc : span_of(&num, c, false, err);
    if (rc)
        return rc;
    if (json)
        rc = json_column(&b, name, c, &len, &num);
    else
        rc = alone ? say_column(name, c, &len, &num) : say_line(name, c, &len, &num);
    if (b.len)
        fwrite(b.data, 1, b.len, stdout);
    ds_buf_fini(&b);
    return rc ? ds_fail_nomem(err) : 0;
}

int statsay_member(ds_buf *name, const char *column, const struct ds_statmember *m)
{
    ds_buf_reset(name);
    return ds_buf_printf(name, "%s.%s", column, m->name) || !ds_buf_cstr(name) ? DS_NOMEM : 0;
}

/* A column, and the members of its objects; `only`: one of these, or the column alone. */
static int with_members(const char *column, const ds_colstat *c, const char *only, bool json,
                        bool *any, ds_err *err)
{
    ds_buf name = {0};
    const bool mine = !only || strcmp(only, column) == 0;
    int rc = mine ? one(column, c, only != NULL, json, err) : 0;
    *any |= mine;
    for (size_t i = 0; !rc && i < c->nmembers; i++) {
        if (statsay_member(&name, column, &c->members[i]))
            rc = ds_fail_nomem(err);
        else if (!only || (mine && json) || strcmp(only, (const char *)name.data) == 0) {
            rc = one((const char *)name.data, &c->members[i].stat, only != NULL, json, err);
            *any = true;
        }
    }
    ds_buf_fini(&name);
    return rc;
}

int statsay_all(const ds_verstats *v, const char *column, bool json, ds_err *err)
{
    bool any = false;
    int rc = 0;
    if (json) {
        printf("{\"type\":\"stats\",\"commit\":\"%s\",\"dataset\":",
               git_oid_tostr_s(&v->version.id));
        verb_json(stdout, v->version.dataset);
        printf(",\"records\":%" PRIu64 ",\"blocks\":%" PRIu64 ",\"chunks_read\":%" PRIu64 "}\n",
               v->version.records, v->blocks, v->read);
    } else if (!column) {
        verb_words(v->version.dataset);
        printf(" %.10s: %" PRIu64 " record%s in %" PRIu64 " block%s\n",
               git_oid_tostr_s(&v->version.id), v->version.records, ds_s(v->version.records),
               v->blocks, ds_s(v->blocks));
        say_head();
    }
    for (size_t i = 0; !rc && i < v->schema.n; i++)
        if (v->cols[i].rows || !column)
            rc = with_members(v->schema.cols[i].name, &v->cols[i], column, json, &any, err);
    if (!rc && column && !any)
        rc = ds_fail(err, DS_FAIL, "dataset '%s' has no column '%s'", v->version.dataset, column);
    return rc;
}
