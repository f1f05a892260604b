/* dcmcoded.c - see dcmcoded.h. */
#include "dcmcoded.h"

#include "jsonrow.h"

#define LINE_MIN 40 /* digits of a line that another one follows */

static bool is_digit(uint8_t c)
{
    return ds_base64_digit(c) >= 0;
}

/* Behind a line end that digits follow, or `at`. */
static size_t next_line(const uint8_t *p, size_t len, size_t at)
{
    size_t to = at;
    if (to < len && p[to] == '\r')
        to++;
    if (to < len && p[to] == '\n')
        to++;
    return to > at && to < len && is_digit(p[to]) ? to : at;
}

/* Where the digits from `at` on end, over lines; *mixed: there is a capital behind a small letter,
 * as in few words. */
static size_t run_end(const uint8_t *p, size_t len, size_t at, bool *mixed)
{
    bool small = false;
    size_t line = at;
    *mixed = false;
    for (;;) {
        for (; at < len && is_digit(p[at]); at++) {
            *mixed |= small && p[at] >= 'A' && p[at] <= 'Z';
            small = p[at] >= 'a' && p[at] <= 'z';
        }
        const size_t next = at - line < LINE_MIN ? at : next_line(p, len, at);
        if (next == at)
            break;
        at = line = next;
    }
    return at;
}

/* Every run of so many digits has one at every so many-th place. */
static bool find_run(dcm_coded *c, const uint8_t *p, size_t len)
{
    const size_t from = c->end;
    for (size_t i = from + DCM_CODED_MIN - 1; i < len; i += DCM_CODED_MIN) {
        if (!is_digit(p[i]))
            continue;
        bool mixed;
        size_t at = i, end;
        while (at > from && is_digit(p[at - 1]))
            at--;
        end = run_end(p, len, at, &mixed);
        if (mixed && end - at >= DCM_CODED_MIN) {
            c->at = at;
            c->end = end;
            for (int k = 0; k < 2 && c->end < len && p[c->end] == '='; k++)
                c->end++;
            return true;
        }
        i = end > i ? end : i;
    }
    return false;
}

bool dcm_coded_next(dcm_coded *c, const uint8_t *p, size_t len)
{
    size_t at = c->more;
    if (!at) {
        if (!find_run(c, p, len))
            return false;
        at = c->at;
    }
    c->more = c->n = 0;
    size_t again = 0; /* where the bytes that come again begin */
    uint32_t v = 0;
    for (unsigned k = 0; at < c->end && c->n < DCM_CODED_PIECE; at++) {
        if (!is_digit(p[at]))
            continue;
        if (k == 0 && c->n == DCM_CODED_PIECE - DCM_CODED_OVERLAP)
            again = at;
        v = v << 6 | (uint32_t)ds_base64_digit(p[at]);
        if (k)
            c->bytes[c->n++] = (uint8_t)(v >> (6 - 2 * k));
        k = (k + 1) % 4;
    }
    c->more = at < c->end ? again : 0;
    return true;
}
