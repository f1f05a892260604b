/* consumed.c - see consumed.h. */
#include "consumed.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

#define SHOWN 16   /* values of a facet that are named */
#define BUCKETS 32 /* of lengths: powers of two */

typedef struct tally {
    uint64_t sequences, tokens;
} tally;

typedef struct part {
    const ds_recfacts *facts;
    uint64_t targets;
    tally all;
    uint64_t lengths[BUCKETS];
    tally **facets; /* of each facet, by number of the value */
} part;

struct ds_consumed {
    part *parts;
    size_t n;
};

static size_t numbers(const ds_facet *f)
{
    return DS_FACET_FIRST + f->values;
}

static int new_part(part *p, const ds_recfacts *facts)
{
    p->facts = facts;
    p->facets = calloc(facts->nfacets + 1, sizeof *p->facets);
    if (!p->facets)
        return DS_NOMEM;
    for (size_t i = 0; i < facts->nfacets; i++) {
        p->facets[i] = calloc(numbers(facts->facets[i]), sizeof(tally));
        if (!p->facets[i])
            return DS_NOMEM;
    }
    return 0;
}

int ds_consumed_new(ds_consumed **out, const ds_recfacts *const *facts, size_t n, ds_err *err)
{
    ds_consumed *c = calloc(1, sizeof *c);
    int rc = 0;

    if (!c || !(c->parts = calloc(n + 1, sizeof *c->parts))) {
        free(c);
        return ds_fail_nomem(err);
    }
    c->n = n;
    for (size_t i = 0; !rc && i < n; i++)
        rc = new_part(&c->parts[i], facts[i]);
    if (rc) {
        ds_consumed_free(c);
        return ds_fail_nomem(err);
    }
    *out = c;
    return 0;
}

void ds_consumed_free(ds_consumed *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n; i++) {
        part *p = &c->parts[i];
        for (size_t k = 0; p->facets && k < p->facts->nfacets; k++)
            free(p->facets[k]);
        free(p->facets);
    }
    free(c->parts);
    free(c);
}

void ds_consumed_reset(ds_consumed *c)
{
    for (size_t i = 0; i < c->n; i++) {
        part *p = &c->parts[i];
        p->targets = 0;
        p->all = (tally){0};
        memset(p->lengths, 0, sizeof p->lengths);
        for (size_t k = 0; k < p->facts->nfacets; k++)
            memset(p->facets[k], 0, numbers(p->facts->facets[k]) * sizeof(tally));
    }
}

static void count(tally *t, uint32_t len)
{
    t->sequences++;
    t->tokens += len;
}

int ds_consumed_add(ds_consumed *c, const ds_span *spans, size_t n, const uint64_t *firsts,
                    ds_err *err)
{
    for (size_t i = 0; i < n; i++) {
        const ds_span *s = &spans[i];
        size_t d = c->n - 1;
        while (d > 0 && firsts[d] > s->record)
            d--;
        part *p = &c->parts[d];
        const uint64_t record = s->record - firsts[d];
        count(&p->all, s->len);
        p->targets +=
            ds_lossmask_targets(ds_recfacts_lossmask(p->facts), record, s->offset, s->len);
        if (s->len)
            p->lengths[31 - __builtin_clz(s->len)]++;
        for (size_t k = 0; k < p->facts->nfacets; k++) {
            const ds_facet *f = p->facts->facets[k];
            if (record >= f->ids.len / sizeof(uint16_t))
                return ds_fail(err, DS_FAIL, "there is no record %" PRIu64 " to count", record);
            count(&p->facets[k][((const uint16_t *)(const void *)f->ids.data)[record]], s->len);
        }
    }
    return 0;
}

/* ---- as JSON ---- */

static int put_tally(ds_buf *b, const char *name, const tally *t)
{
    return ds_buf_printf(b, ",\"%s\":[%" PRIu64 ",%" PRIu64 "]", name, t->sequences, t->tokens);
}

/* Does value a come before b? More sequences first, then by bytes. */
static bool before(const ds_facet *f, const tally *t, uint16_t a, uint16_t b)
{
    size_t x, y;
    const char *s = ds_facet_value(f, a, &x), *r = ds_facet_value(f, b, &y);

    if (t[a].sequences != t[b].sequences)
        return t[a].sequences > t[b].sequences;
    const int c = memcmp(s, r, x < y ? x : y);
    return c ? c < 0 : x < y;
}

/* The first SHOWN values that were consumed, in order; returns their number. */
static size_t choose(uint16_t *top, const ds_facet *f, const tally *t)
{
    size_t n = 0;

    for (size_t id = DS_FACET_FIRST; id < numbers(f); id++) {
        size_t at = n;
        if (!t[id].sequences)
            continue;
        while (at > 0 && before(f, t, (uint16_t)id, top[at - 1]))
            at--;
        if (at == SHOWN)
            continue;
        n += n < SHOWN;
        memmove(top + at + 1, top + at, (n - 1 - at) * sizeof *top);
        top[at] = (uint16_t)id;
    }
    return n;
}

static int put_facet(ds_buf *b, const ds_facet *f, const tally *t)
{
    uint16_t top[SHOWN];
    const size_t n = choose(top, f, t);
    tally other = {0};
    int rc = ds_buf_puts(b, "{\"name\":");

    for (size_t id = DS_FACET_OTHER; id < numbers(f); id++) {
        other.sequences += t[id].sequences;
        other.tokens += t[id].tokens;
    }
    rc = rc ? rc : ds_json_str(b, f->name, strlen(f->name));
    rc = rc ? rc : ds_buf_puts(b, ",\"values\":[");
    for (size_t i = 0; !rc && i < n; i++) {
        size_t len;
        const char *s = ds_facet_value(f, top[i], &len);
        rc = ds_buf_puts(b, i ? ",[" : "[");
        rc = rc ? rc : ds_json_str(b, s, len);
        rc = rc ? rc
                : ds_buf_printf(b, ",%" PRIu64 ",%" PRIu64 "]", t[top[i]].sequences,
                                t[top[i]].tokens);
        other.sequences -= t[top[i]].sequences;
        other.tokens -= t[top[i]].tokens;
    }
    rc = rc ? rc : ds_buf_puts(b, "]");
    rc = rc ? rc : put_tally(b, "other", &other);
    rc = rc ? rc : put_tally(b, "absent", &t[DS_FACET_ABSENT]);
    return rc ? rc : ds_buf_puts(b, "}");
}

static int put_part(ds_buf *b, const part *p)
{
    size_t used = BUCKETS;
    bool any = false;
    int rc = ds_buf_printf(b,
                           "{\"sequences\":%" PRIu64 ",\"tokens\":%" PRIu64 ",\"targets\":%" PRIu64
                           ",\"lengths\":[",
                           p->all.sequences, p->all.tokens, p->targets);

    while (used && !p->lengths[used - 1])
        used--;
    for (size_t i = 0; !rc && i < used; i++)
        rc = ds_buf_printf(b, "%s%" PRIu64, i ? "," : "", p->lengths[i]);
    rc = rc ? rc : ds_buf_puts(b, "],\"facets\":[");
    for (size_t k = 0; !rc && k < p->facts->nfacets; k++) {
        if (!p->facts->facets[k]->present)
            continue;
        rc = any ? ds_buf_puts(b, ",") : 0;
        rc = rc ? rc : put_facet(b, p->facts->facets[k], p->facets[k]);
        any = true;
    }
    return rc ? rc : ds_buf_puts(b, "]}");
}

int ds_consumed_dump(ds_buf *out, const ds_consumed *c, uint64_t first, uint64_t last, ds_err *err)
{
    int rc = ds_buf_printf(out, "{\"first\":%" PRIu64 ",\"last\":%" PRIu64 ",\"datasets\":[", first,
                           last);

    for (size_t i = 0; !rc && i < c->n; i++) {
        rc = i ? ds_buf_puts(out, ",") : 0;
        rc = rc ? rc : put_part(out, &c->parts[i]);
    }
    rc = rc ? rc : ds_buf_puts(out, "]}");
    return rc ? ds_fail_nomem(err) : 0;
}

int ds_consumed_text(ds_buf *out, const ds_consumed *c, const ds_run *run, ds_err *err)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < c->n; i++)
        rc = ds_buf_printf(out,
                           "%s%s %" PRIu64 " tokens in %" PRIu64 " sequences, %" PRIu64 " targets",
                           i ? "; " : "", run->datasets[i].name, c->parts[i].all.tokens,
                           c->parts[i].all.sequences, c->parts[i].targets);
    return rc ? ds_fail_nomem(err) : 0;
}
