/* dcmcoded.c - see dcmcoded.h. */
#include "dcmcoded.h"

#include "jsonrow.h"

#define LINE_MIN 40 /* digits of a line that another one follows */

/* Digits of base64 by kind; 0: none. Most bytes of a text are asked for it. */
enum { SMALL = 1, CAPITAL, OTHER };
#define FOUR(c, kind) [c] = kind, [(c) + 1] = kind, [(c) + 2] = kind, [(c) + 3] = kind
#define LETTERS(a, kind)                                                                           \
    FOUR(a, kind), FOUR((a) + 4, kind), FOUR((a) + 8, kind), FOUR((a) + 12, kind),                 \
        FOUR((a) + 16, kind), FOUR((a) + 20, kind), [(a) + 24] = kind, [(a) + 25] = kind
static const uint8_t kind_of[256] = {LETTERS('a', SMALL), LETTERS('A', CAPITAL), FOUR('0', OTHER),
                                     FOUR('4', OTHER),    ['8'] = OTHER,         ['9'] = OTHER,
                                     ['+'] = OTHER,       ['/'] = OTHER};

static bool is_digit(uint8_t c)
{
    return kind_of[c] != 0;
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
    uint8_t before = 0, kind;
    size_t line = at;
    *mixed = false;
    for (;;) {
        for (; at < len && (kind = kind_of[p[at]]) != 0; at++) {
            *mixed |= before == SMALL && kind == CAPITAL;
            before = kind;
        }
        const size_t next = at - line < LINE_MIN ? at : next_line(p, len, at);
        if (next == at)
            break;
        at = line = next;
    }
    return at;
}

/* A name of a member of a JSON object, most of which are words that are written together. */
static bool is_member(const uint8_t *p, size_t len, size_t at, size_t end)
{
    return at > 0 && p[at - 1] == '"' && len - end >= 2 && p[end] == '"' && p[end + 1] == ':';
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
        if (mixed && end - at >= DCM_CODED_MIN && !is_member(p, len, at, end)) {
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
