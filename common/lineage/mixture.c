/* mixture.c - see mixture.h. */
#include "mixture.h"

#include <stdbool.h>
#include <stdlib.h>

#include "order.h"

__extension__ typedef unsigned __int128 wide; /* tokens times weights */

typedef struct part {
    ds_mixpart c;
    uint64_t first, visits, tokens;
} part;

struct ds_mixture {
    uint64_t seed;
    part *parts;
    size_t n, last;
};

int ds_mixture_new(ds_mixture **out, uint64_t seed, const ds_mixpart *parts, size_t n, ds_err *err)
{
    uint64_t first = 0;
    ds_mixture *m = calloc(1, sizeof *m);

    if (!m || !(m->parts = calloc(n, sizeof *m->parts))) {
        free(m);
        return ds_fail_nomem(err);
    }
    m->seed = seed;
    m->n = n;
    for (size_t i = 0; i < n; i++) {
        m->parts[i] = (part){.c = parts[i], .first = first};
        first += parts[i].records;
    }
    *out = m;
    return 0;
}

void ds_mixture_free(ds_mixture *m)
{
    if (!m)
        return;
    free(m->parts);
    free(m);
}

/* Has a had a smaller part of its share than b? */
static bool behind(const part *a, const part *b)
{
    return (wide)a->tokens * b->c.weight < (wide)b->tokens * a->c.weight;
}

uint64_t ds_mixture_next(ds_mixture *m)
{
    m->last = 0;
    for (size_t i = 1; i < m->n; i++)
        if (behind(&m->parts[i], &m->parts[m->last]))
            m->last = i;
    part *p = &m->parts[m->last];
    const uint64_t seed = m->seed ^ UINT64_C(0xd1b54a32d192ed03) * (m->last + 1),
                   visit = p->visits++;
    return p->first +
           ds_order_at(seed, (uint32_t)(visit / p->c.records), p->c.records, visit % p->c.records);
}

void ds_mixture_took(ds_mixture *m, uint64_t tokens)
{
    m->parts[m->last].tokens += tokens;
}

/* ---- weights as text ---- */

#define PLACES 9 /* behind the point */

/* One decimal number times 10^PLACES; *s goes behind it. */
static bool parse_one(uint64_t *out, const char **s)
{
    uint64_t v = 0;
    int digits = 0, places = -1;

    for (; (**s >= '0' && **s <= '9') || (**s == '.' && places < 0); ++*s) {
        if (**s == '.') {
            places = 0;
            continue;
        }
        if (v > DS_WEIGHT_MAX * DS_WEIGHT_MAX / 10 || (places >= 0 && ++places > PLACES))
            return false;
        v = v * 10 + (uint64_t)(**s - '0');
        digits++;
    }
    for (int i = places < 0 ? 0 : places; i < PLACES; i++)
        if (__builtin_mul_overflow(v, UINT64_C(10), &v))
            return false;
    *out = v;
    return digits && v;
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
    while (b) {
        const uint64_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

int ds_weights_parse(uint64_t *out, size_t n, const char *text, ds_err *err)
{
    const char *s = text;
    uint64_t common = 0;
    size_t have = 0;

    for (bool more = true; more; have++) {
        uint64_t v;
        if (!parse_one(&v, &s) || (*s && *s != ','))
            return ds_fail(err, DS_USAGE,
                           "weights '%s': number %zu is no positive decimal number of at most %d "
                           "places",
                           text, have + 1, PLACES);
        if (have < n)
            out[have] = v;
        common = gcd(v, common);
        more = *s == ',';
        s += more;
    }
    if (have != n)
        return ds_fail(err, DS_USAGE, "weights '%s': %zu for %zu datasets", text, have, n);
    for (size_t i = 0; i < n; i++) {
        out[i] /= common;
        if (out[i] > DS_WEIGHT_MAX)
            return ds_fail(err, DS_USAGE, "weights '%s': too far apart", text);
    }
    return 0;
}
