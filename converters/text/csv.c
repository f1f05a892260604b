/* csv.c - see csv.h. */
#include "csv.h"

#include <stdlib.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "buf.h"

static ds_csvfield *add_field(ds_csvrec *r)
{
    if (ds_grow(&r->v, &r->cap, r->n, sizeof *r->v))
        return NULL;
    return &r->v[r->n++];
}

/* The first delimiter, quote, CR or LF. */
static const uint8_t *find_end(const uint8_t *p, const uint8_t *end, uint8_t delimiter)
{
#ifdef __SSE2__
    const __m128i d = _mm_set1_epi8((char)delimiter), q = _mm_set1_epi8('"');
    const __m128i lf = _mm_set1_epi8('\n'), cr = _mm_set1_epi8('\r');
    while (end - p >= 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, d), _mm_cmpeq_epi8(v, q)),
                                   _mm_or_si128(_mm_cmpeq_epi8(v, lf), _mm_cmpeq_epi8(v, cr)));
        unsigned mask = (unsigned)_mm_movemask_epi8(hit);
        if (mask)
            return p + __builtin_ctz(mask);
        p += 16;
    }
#endif
    while (p < end && *p != delimiter && *p != '"' && *p != '\n' && *p != '\r')
        p++;
    return p;
}

typedef struct csvscan {
    const uint8_t *start, *p, *end;
    uint8_t delimiter;
    bool final;
} csvscan;

/* A bad record: the next one begins after this line. */
static int bad(ds_csvrec *r, csvscan *s, const uint8_t *at, const char *why, size_t *used)
{
    const uint8_t *lf = memchr(at, '\n', (size_t)(s->end - at));
    if (!lf && !s->final)
        return DS_CSV_MORE;
    r->at = (size_t)(at - s->start);
    r->why = why;
    *used = (size_t)((lf ? lf + 1 : s->end) - s->start);
    return DS_FAIL;
}

/* Behind the opening quote: finds the closing one. Leaves s->p behind it. 0, or DS_CSV_MORE when
 * the input ends first. */
static int quoted(csvscan *s, ds_csvfield *f)
{
    f->p = s->p;
    f->doubled = false;
    for (;;) {
        const uint8_t *q = memchr(s->p, '"', (size_t)(s->end - s->p));
        if (!q)
            return DS_CSV_MORE;
        if (q + 1 < s->end && q[1] == '"') {
            f->doubled = true;
            s->p = q + 2;
            continue;
        }
        if (q + 1 == s->end && !s->final)
            return DS_CSV_MORE; /* the next byte may be a quote too */
        f->len = (size_t)(q - f->p);
        s->p = q + 1;
        return 0;
    }
}

static void unquoted(csvscan *s, ds_csvfield *f)
{
    f->p = s->p;
    f->doubled = false;
    s->p = find_end(s->p, s->end, s->delimiter);
    const bool strict = s->delimiter == ',' || s->delimiter == ';';
    while (!strict && s->p < s->end && *s->p == '"')
        s->p = find_end(s->p + 1, s->end, s->delimiter);
    f->len = (size_t)(s->p - f->p);
}

int ds_csv_record(ds_csvrec *r, const uint8_t *p, size_t len, bool final, uint8_t delimiter,
                  size_t *used)
{
    csvscan s = {p, p, p + len, delimiter, final};
    r->n = 0;
    r->why = NULL;
    for (;;) {
        ds_csvfield *f = add_field(r);
        if (!f)
            return DS_NOMEM;
        bool in_quotes = s.p < s.end && *s.p == '"';
        if (in_quotes) {
            const uint8_t *open = s.p++;
            if (quoted(&s, f) != 0)
                return final ? bad(r, &s, open, "the quoted field does not end", used)
                             : DS_CSV_MORE;
        } else {
            unquoted(&s, f);
        }
        if (s.p == s.end) {
            if (!final)
                return DS_CSV_MORE;
            *used = len;
            return 0;
        }
        if (*s.p == delimiter) {
            s.p++;
            continue;
        }
        if (*s.p == '\r') {
            if (s.p + 1 == s.end && !final)
                return DS_CSV_MORE;
            if (s.p + 1 < s.end && s.p[1] != '\n')
                return bad(r, &s, s.p, "a carriage return without a line feed", used);
            *used = s.p + 1 == s.end ? len : (size_t)(s.p + 2 - p);
            return 0;
        }
        if (*s.p == '\n') {
            *used = (size_t)(s.p + 1 - p);
            return 0;
        }
        return bad(r, &s, s.p,
                   in_quotes ? "text after the closing quote"
                             : "a quote in a field that is not quoted",
                   used);
    }
}

void ds_csv_fini(ds_csvrec *r)
{
    free(r->v);
    memset(r, 0, sizeof *r);
}

size_t ds_csv_whole(ds_csvrec *scratch, const uint8_t *p, size_t len, uint8_t delimiter)
{
    size_t whole = 0;
    while (whole < len) {
        size_t used = 0;
        int rc = ds_csv_record(scratch, p + whole, len - whole, false, delimiter, &used);
        if (rc != 0 && rc != DS_FAIL)
            break;
        whole += used;
    }
    return whole;
}

int ds_csv_delimiter(uint8_t *out, const char *word, ds_err *err)
{
    const uint8_t c = word ? (uint8_t)word[0] : 0;
    const bool tab = word && (!strcmp(word, "tab") || !strcmp(word, "\\t") || !strcmp(word, "\t")),
               wordly = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'),
               one = c > ' ' && c < 0x7f && c != '"' && !wordly && !word[1];
    *out = tab ? '\t' : one ? c : 0;
    return *out || !word
               ? 0
               : ds_fail(err, DS_USAGE,
                         "--delimiter %.20s: tab, or one character such as ';' is wanted", word);
}

size_t ds_csv_unquote(uint8_t *out, const ds_csvfield *f)
{
    if (!f->doubled) {
        memcpy(out, f->p, f->len);
        return f->len;
    }
    size_t n = 0;
    for (size_t i = 0; i < f->len; i++) {
        out[n++] = f->p[i];
        if (f->p[i] == '"')
            i++;
    }
    return n;
}
