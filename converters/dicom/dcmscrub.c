/* dcmscrub.c - see dcmscrub.h. */
#include "dcmscrub.h"

#include <stdlib.h>
#include <string.h>

#include "dcmids.h"

typedef struct span {
    size_t at, end;
    const char *as;
} span;

typedef struct spans {
    span *v;
    size_t n, cap;
    bool failed, keep_dates;
} spans;

static void add(spans *s, size_t at, size_t end, const char *as)
{
    if (ds_grow(&s->v, &s->cap, s->n, sizeof *s->v))
        s->failed = true;
    else
        s->v[s->n++] = (span){at, end, as};
}

static bool on_hit(void *ctx, const dcm_hit *hit)
{
    static const char *const as[] = {"", "[NAME]", "[ID]", "[DATE]", "[UID]", "[PLACE]"};
    spans *s = ctx;
    if (hit->kind != DCM_ID_DATE || !s->keep_dates)
        add(s, hit->at, hit->at + hit->len, as[hit->kind]);
    return s->failed;
}

static void patterns(spans *s, const uint8_t *p, size_t len)
{
    static const char *const as[] = {"",      "[DATE]", "[PHONE]", "[ID]",    "[EMAIL]",
                                     "[URL]", "[UID]",  "[NAME]",  "[PLACE]", "90+"};
    for (size_t at = 0; at < len && !s->failed;) {
        enum dcm_pattern what;
        size_t begin = at, end = dcm_pattern_at(p, len, at, &what, &begin);
        if (end > 0 && !(what == DCM_PAT_DATE && s->keep_dates))
            add(s, begin, end, as[what]);
        at = end > at ? end : at + 1;
    }
}

/* Longer spans first where two begin together. */
static int by_place(const void *a, const void *b)
{
    const span *x = a, *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return (x->end < y->end) - (x->end > y->end);
}

int dcm_scrub(const dcm_search *s, const void *data, size_t len, bool keep_dates, ds_buf *out,
              unsigned *found, ds_err *err)
{
    const uint8_t *p = data;
    spans v = {.keep_dates = keep_dates};
    size_t done = 0;
    int bad = 0;
    *found = 0;
    if (s)
        dcm_search_each(s, p, len, 0, on_hit, &v);
    patterns(&v, p, len);
    if (v.n > 1)
        qsort(v.v, v.n, sizeof *v.v, by_place);
    for (size_t i = 0; i < v.n && !bad; i++) {
        if (v.v[i].at < done) { /* overlaps what was just replaced */
            done = v.v[i].end > done ? v.v[i].end : done;
            continue;
        }
        bad = ds_buf_put(out, p + done, v.v[i].at - done) | ds_buf_puts(out, v.v[i].as);
        done = v.v[i].end;
        (*found)++;
    }
    if (!bad && done < len)
        bad = ds_buf_put(out, p + done, len - done);
    free(v.v);
    return bad || v.failed ? ds_fail_nomem(err) : 0;
}
