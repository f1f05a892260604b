/* cmd_driftsay.c - see cmd_statsay.h: how two versions' statistics differ. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_statsay.h"
#include "cmd_verb.h"
#include "drift.h"
#include "json.h"
#include "jsonrow.h"
#include "statmember.h"

enum { SHOWN = 16 };

/* ---- limits ---- */

int statsay_limits(ds_limits *l, const char *text, ds_err *err)
{
    static const char *const names[] = {"psi", "kl", "js", "ks", "nulls", "similarity"};
    *l = (ds_limits){.psi = -1, .kl = -1, .js = -1, .ks = -1, .nulls = -1, .similarity = -1};
    double *const to[] = {&l->psi, &l->kl, &l->js, &l->ks, &l->nulls, &l->similarity};
    l->any = text != NULL;
    for (const char *p = text; p;) {
        const size_t n = strcspn(p, "=");
        size_t i = 0;
        char *end;
        while (i < 6 && (strlen(names[i]) != n || strncmp(names[i], p, n) != 0))
            i++;
        if (i == 6 || p[n] != '=')
            return ds_fail(err, DS_USAGE,
                           "--threshold %s: psi, kl, js, ks, nulls or similarity, = and a number",
                           text);
        errno = 0;
        *to[i] = strtod(p + n + 1, &end);
        if (errno || end == p + n + 1 || !(*to[i] >= 0) || isinf(*to[i]) || (*end && *end != ','))
            return ds_fail(err, DS_USAGE, "--threshold %s: a number from 0 is wanted for %s", text,
                           names[i]);
        p = *end ? end + 1 : NULL;
    }
    return 0;
}

/* ---- one column ---- */

typedef struct say {
    const ds_limits *l;
    const ds_opt_list *only;
    bool *found; /* of those: is it there? */
    bool json;
    uint64_t crossed;
    ds_buf why; /* limits that the column at hand has passed: as text, or as members of an array */
    ds_buf out;
} say;

static int cross(say *s, const char *what, const char *measure, double v, double limit)
{
    s->crossed++;
    if (s->json)
        return ds_buf_printf(&s->why, "%s\"%s%s%s\"", s->why.len ? "," : "", what, *what ? " " : "",
                             measure);
    return ds_buf_printf(&s->why, "%s%s%s%s %.4g (limit %g)", s->why.len ? ", " : "", what,
                         *what ? " " : "", measure, v, limit);
}

/* A distance that chance alone would explain crosses nothing. */
static int check_part(say *s, const char *what, const ds_driftpart *p, bool steps)
{
    const ds_limits *l = s->l;
    const bool beyond = p->psi > 2 * p->noise;
    int rc = 0;
    if (l->psi >= 0 && p->psi > l->psi && beyond)
        rc = cross(s, what, "PSI", p->psi, l->psi);
    if (!rc && l->kl >= 0 && p->kl > l->kl && beyond)
        rc = cross(s, what, "KL", p->kl, l->kl);
    if (!rc && l->js >= 0 && p->js > l->js && beyond)
        rc = cross(s, what, "JS", p->js, l->js);
    if (!rc && steps && l->ks >= 0 && p->ks > l->ks)
        rc = cross(s, what, "KS", p->ks, l->ks);
    return rc;
}

static int check_all(say *s, const ds_drift *d)
{
    int rc = 0;
    for (int k = 0; !rc && k < DS_DRIFT_PARTS; k++)
        if (d->parts[k].there)
            rc = check_part(s, ds_driftpart_name(k), &d->parts[k], k <= DS_DRIFT_NUMBERS);
    if (!rc && s->l->nulls >= 0 && fabs(d->nulls[1] - d->nulls[0]) > s->l->nulls)
        rc = cross(s, "", "nulls", fabs(d->nulls[1] - d->nulls[0]), s->l->nulls);
    if (!rc && s->l->nulls >= 0 && fabs(d->nans[1] - d->nans[0]) > s->l->nulls)
        rc = cross(s, "", "NaN", fabs(d->nans[1] - d->nans[0]), s->l->nulls);
    if (!rc && s->l->similarity >= 0 && d->profiled && d->similarity < s->l->similarity)
        rc = cross(s, "", "similarity", d->similarity, s->l->similarity);
    return rc;
}

static int put_names(say *s, const char *label, const ds_buf *list, const ds_colstat *c)
{
    const size_t n = list->len / sizeof(const ds_named *);
    int rc = s->json ? ds_buf_printf(&s->out, ",\"%s\":[", label)
             : n     ? ds_buf_printf(&s->out, "  %s:", label)
                     : 0;
    for (size_t i = 0; !rc && i < n && (s->json || i < SHOWN); i++) {
        const ds_named *x = ((const ds_named *const *)(const void *)list->data)[i];
        ds_buf text = {0};
        rc = ds_colstat_value_text(&text, c, c->values.bytes.data + x->at, x->len);
        rc = rc ? rc : ds_buf_puts(&s->out, s->json ? (i ? ",[" : "[") : i ? ", " : " ");
        rc = rc        ? rc
             : s->json ? ds_json_name(&s->out, (const char *)text.data, text.len)
                       : ds_buf_put(&s->out, text.data, text.len);
        rc = rc ? rc : ds_buf_printf(&s->out, s->json ? ",%" PRIu64 "]" : " (%" PRIu64 ")", x->n);
        ds_buf_fini(&text);
    }
    if (!rc && !s->json && n > SHOWN)
        rc = ds_buf_printf(&s->out, " and %zu more", n - SHOWN);
    return rc ? rc : s->json ? ds_buf_putc(&s->out, ']') : n ? ds_buf_putc(&s->out, '\n') : 0;
}

static int measure(say *s, const char *name, double v)
{
    int rc = ds_buf_printf(&s->out, "\"%s\":", name);
    return rc ? rc : ds_json_real(&s->out, v);
}

static int json_part(say *s, int k, const ds_driftpart *p)
{
    int rc = ds_buf_printf(&s->out, ",\"%s\":{\"bins\":%zu,", ds_driftpart_name(k), p->bins);
    rc = rc ? rc : measure(s, "psi", p->psi);
    rc = rc ? rc : ds_buf_putc(&s->out, ',');
    rc = rc ? rc : measure(s, "kl", p->kl);
    rc = rc ? rc : ds_buf_putc(&s->out, ',');
    rc = rc ? rc : measure(s, "js", p->js);
    if (k <= DS_DRIFT_NUMBERS) {
        rc = rc ? rc : ds_buf_putc(&s->out, ',');
        rc = rc ? rc : measure(s, "ks", p->ks);
    }
    rc = rc ? rc : ds_buf_putc(&s->out, ',');
    rc = rc ? rc : measure(s, "noise", p->noise);
    return rc ? rc : ds_buf_putc(&s->out, '}');
}

static int json_column(say *s, const char *name, const ds_drift *d, const ds_colstat *a,
                       const ds_colstat *b)
{
    int rc = ds_buf_puts(&s->out, "{\"type\":\"drift\",\"column\":");
    rc = rc ? rc : ds_json_name(&s->out, name, strlen(name));
    rc = rc ? rc : ds_buf_puts(&s->out, ",");
    rc = rc ? rc : measure(s, "nulls_before", d->nulls[0]);
    rc = rc ? rc : ds_buf_puts(&s->out, ",");
    rc = rc ? rc : measure(s, "nulls_after", d->nulls[1]);
    if (!rc && a->type == DS_F64) {
        rc = ds_buf_puts(&s->out, ",");
        rc = rc ? rc : measure(s, "nans_before", d->nans[0]);
        rc = rc ? rc : ds_buf_puts(&s->out, ",");
        rc = rc ? rc : measure(s, "nans_after", d->nans[1]);
    }
    for (int k = 0; !rc && k < DS_DRIFT_PARTS; k++)
        if (d->parts[k].there)
            rc = json_part(s, k, &d->parts[k]);
    if (!rc && d->profiled) {
        rc = ds_buf_puts(&s->out, ",");
        rc = rc ? rc : measure(s, "similarity", d->similarity);
    }
    rc = rc ? rc : put_names(s, "new", &d->fresh, b);
    rc = rc ? rc : put_names(s, "vanished", &d->gone, a);
    rc = rc ? rc : ds_buf_puts(&s->out, ",\"crossed\":[");
    rc = rc ? rc : ds_buf_put(&s->out, s->why.data, s->why.len);
    return rc ? rc : ds_buf_puts(&s->out, "]}\n");
}

static void say_shares(const char *name, const char *what, const double share[2])
{
    if (share[0] <= 0 && share[1] <= 0)
        return;
    verb_cell(name, 16);
    printf(" %-8s %.4g%% -> %.4g%%\n", what, 100 * share[0], 100 * share[1]);
}

static int text_column(say *s, const char *name, const ds_drift *d, const ds_colstat *a,
                       const ds_colstat *b)
{
    for (int k = 0; k < DS_DRIFT_PARTS; k++) {
        const ds_driftpart *p = &d->parts[k];
        if (!p->there)
            continue;
        verb_cell(name, 16);
        printf(" %-8s %9.4f %9.4f %9.4f", ds_driftpart_name(k), p->psi, p->kl, p->js);
        if (k <= DS_DRIFT_NUMBERS)
            printf(" %9.4f\n", p->ks);
        else
            printf(" %9s\n", "");
    }
    say_shares(name, "nulls", d->nulls);
    say_shares(name, "NaN", d->nans);
    if (d->profiled) {
        verb_cell(name, 16);
        printf(" values   %.0f%% in common\n", 100 * d->similarity);
    }
    int rc = put_names(s, "new", &d->fresh, b);
    rc = rc ? rc : put_names(s, "vanished", &d->gone, a);
    if (!rc)
        verb_text(stdout, s->out.data, s->out.len ? s->out.len - 1 : 0);
    if (!rc && s->out.len)
        putchar('\n');
    if (!rc && s->why.len) {
        printf("  too far: ");
        fwrite(s->why.data, 1, s->why.len, stdout);
        putchar('\n');
    }
    return rc;
}

/* Is it, or what it is a member of, among the columns that were asked for? */
static bool is_asked(say *s, const char *name)
{
    bool asked = s->only->n == 0;
    for (size_t i = 0; i < s->only->n; i++) {
        const size_t n = strlen(s->only->v[i]);
        if (strncmp(s->only->v[i], name, n) == 0 && (name[n] == '\0' || name[n] == '.'))
            asked = s->found[i] = true;
    }
    return asked;
}

static int column(say *s, const char *name, const ds_colstat *a, const ds_colstat *b, ds_err *err)
{
    ds_drift d = {0};
    int rc = is_asked(s, name) ? ds_drift_make(&d, a, b, err) : 0;
    if (rc || !is_asked(s, name))
        return rc;
    ds_buf_reset(&s->why);
    ds_buf_reset(&s->out);
    rc = check_all(s, &d);
    if (!rc && s->json) {
        rc = json_column(s, name, &d, a, b);
        fwrite(s->out.data, 1, s->out.len, stdout);
    } else if (!rc)
        rc = text_column(s, name, &d, a, b);
    ds_drift_fini(&d);
    return rc ? ds_fail_nomem(err) : 0;
}

/* ---- two versions ---- */

/* A column that only one of them has, or with another type. */
static void alone(say *s, const char *name, const char *type, bool before)
{
    if (!is_asked(s, name))
        return;
    s->crossed += s->l->any;
    if (s->json) {
        printf("{\"type\":\"drift\",\"column\":");
        verb_json(stdout, name);
        printf(",\"only\":\"%s\",\"column_type\":\"%s\"}\n", before ? "before" : "after", type);
    } else {
        verb_cell(name, 16);
        printf(" only in the version %s (%s)\n", before ? "before" : "after", type);
    }
}

static const ds_colstat *member_of(const ds_colstat *s, const struct ds_statmember *m)
{
    for (size_t i = 0; i < s->nmembers; i++)
        if (s->members[i].len == m->len && memcmp(s->members[i].name, m->name, m->len) == 0)
            return &s->members[i].stat;
    return NULL;
}

static int members(say *s, const char *col, const ds_colstat *a, const ds_colstat *b, ds_err *err)
{
    ds_buf name = {0};
    int rc = 0;
    for (size_t i = 0; !rc && i < a->nmembers; i++)
        if (!member_of(b, &a->members[i])) {
            rc = statsay_member(&name, col, &a->members[i]) ? ds_fail_nomem(err) : 0;
            if (!rc)
                alone(s, (const char *)name.data, "member", true);
        }
    for (size_t i = 0; !rc && i < b->nmembers; i++) {
        const ds_colstat *before = member_of(a, &b->members[i]);
        rc = statsay_member(&name, col, &b->members[i]) ? ds_fail_nomem(err) : 0;
        if (!rc && before)
            rc = column(s, (const char *)name.data, before, &b->members[i].stat, err);
        else if (!rc)
            alone(s, (const char *)name.data, "member", false);
    }
    ds_buf_fini(&name);
    return rc;
}

static long like(const ds_schema *s, const ds_column *c)
{
    const long i = ds_schema_find(s, c->name);
    return i >= 0 && s->cols[i].type == c->type &&
                   (c->type != DS_LIST || s->cols[i].item == c->item)
               ? i
               : -1;
}

int statsay_drift(const ds_verstats *before, const ds_verstats *after, const ds_opt_list *only,
                  const ds_limits *l, bool json, uint64_t *crossed, ds_err *err)
{
    say s = {.l = l, .json = json, .only = only, .found = calloc(only->n + 1, sizeof *s.found)};
    int rc = s.found ? 0 : ds_fail_nomem(err);
    if (!rc && !json)
        printf("%-16s %-8s %9s %9s %9s %9s\n", "COLUMN", "OF", "PSI", "KL", "JS", "KS");
    for (size_t i = 0; !rc && i < before->schema.n; i++)
        if (like(&after->schema, &before->schema.cols[i]) < 0)
            alone(&s, before->schema.cols[i].name, ds_type_name(before->schema.cols[i].type), true);
    for (size_t i = 0; !rc && i < after->schema.n; i++) {
        const ds_column *c = &after->schema.cols[i];
        const long j = like(&before->schema, c);
        if (j < 0) {
            alone(&s, c->name, ds_type_name(c->type), false);
            continue;
        }
        rc = column(&s, c->name, &before->cols[j], &after->cols[i], err);
        rc = rc ? rc : members(&s, c->name, &before->cols[j], &after->cols[i], err);
    }
    for (size_t i = 0; !rc && i < only->n; i++)
        if (!s.found[i])
            rc = ds_fail(err, DS_FAIL, "neither version has a column '%s'", only->v[i]);
    if (!rc && json) {
        printf("{\"type\":\"stats_diff\",\"before\":\"%s\"", git_oid_tostr_s(&before->version.id));
        printf(",\"after\":\"%s\",\"records_before\":%" PRIu64 ",\"records_after\":%" PRIu64
               ",\"crossed\":%" PRIu64 "}\n",
               git_oid_tostr_s(&after->version.id), before->version.records, after->version.records,
               s.crossed);
    }
    *crossed = s.crossed;
    ds_buf_fini(&s.why);
    ds_buf_fini(&s.out);
    free(s.found);
    return rc;
}
