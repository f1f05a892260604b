/* dcmsegment.c - see dcmsegment.h. */
#include "dcmsegment.h"

#include <math.h>

enum { DISCRETE, LINEAR, INDIRECT };

typedef struct segments {
    const uint8_t *p;
    size_t len, at; /* in values */
    bool bytes;
    uint16_t *out;
    size_t n, done;
} segments;

static unsigned value(const segments *s, size_t i)
{
    return s->bytes ? s->p[i] : (unsigned)(s->p[2 * i] | s->p[2 * i + 1] << 8);
}

static bool one(segments *s);

/* Segments that stood earlier, by the offset of the first in bytes. Copies of copies there are
 * none. */
static bool indirect(segments *s)
{
    const unsigned parts = s->bytes ? 4 : 2, size = s->bytes ? 8 : 16;
    uint32_t offset = 0;
    if (s->len - s->at < 2 + parts)
        return false;
    unsigned n = value(s, s->at + 1);
    for (unsigned i = 0; i < parts; i++)
        offset |= (uint32_t)value(s, s->at + 2 + i) << size * i;
    size_t here = s->at + 2 + parts;
    s->at = s->bytes ? offset : offset / 2;
    if (s->at >= here - 2 - parts)
        return false;
    for (unsigned i = 0; i < n; i++)
        if (s->at >= here || value(s, s->at) == INDIRECT || !one(s))
            return false;
    s->at = here;
    return true;
}

static bool one(segments *s)
{
    if (s->len - s->at < 2)
        return false;
    unsigned what = value(s, s->at), n = value(s, s->at + 1);
    if (what == INDIRECT)
        return indirect(s);
    if (what > INDIRECT || n > s->n - s->done || s->len - s->at - 2 < (what == LINEAR ? 1 : n) ||
        (what == LINEAR && s->done == 0))
        return false;
    s->at += 2;
    if (what == DISCRETE) {
        for (unsigned i = 0; i < n; i++)
            s->out[s->done++] = (uint16_t)value(s, s->at++);
        return true;
    }
    double from = s->out[s->done - 1], to = value(s, s->at++);
    for (unsigned i = 1; i <= n; i++)
        s->out[s->done++] = (uint16_t)rint(from + (to - from) * i / n);
    return true;
}

bool dcm_segments_expand(uint16_t *out, size_t n, const uint8_t *p, size_t len, bool bytes)
{
    segments s = {.p = p, .len = bytes ? len : len / 2, .bytes = bytes, .out = out, .n = n};
    while (s.at < s.len && s.done < n)
        if (!one(&s))
            return false;
    return s.done == n;
}
