/* jitems.c - see jitems.h. */
#include "jitems.h"

#include <string.h>

#include "jstring.h"

/* A reading of some bytes. Where a function returns NULL they ran out, or why says what is wrong.
 */
typedef struct reading {
    const uint8_t *end;
    const char *why;
    const uint8_t *at; /* where */
} reading;

static const uint8_t *fault(reading *r, const uint8_t *at, const char *why)
{
    r->why = why;
    r->at = at;
    return NULL;
}

static const uint8_t *space(const reading *r, const uint8_t *p)
{
    while (p < r->end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

/* The first byte behind white space, `skip` and white space again. */
static const uint8_t *behind(reading *r, const uint8_t *p, uint8_t skip, const char *why)
{
    p = space(r, p);
    if (p == r->end)
        return NULL;
    if (*p != skip)
        return fault(r, p, why);
    p = space(r, p + 1);
    return p == r->end ? NULL : p;
}

/* Behind the string whose opening quote is at p. */
static const uint8_t *string(const reading *r, const uint8_t *p)
{
    for (p++; (p = ds_jstring_special(p, r->end)) < r->end; p++) {
        if (*p == '"')
            return p + 1;
        p += *p == '\\' && p + 1 < r->end;
    }
    return NULL;
}

enum { PLAIN, QUOTE, OPENS, CLOSES, STOPS };
static const uint8_t kinds[256] = {
    ['"'] = QUOTE, ['{'] = OPENS, ['['] = OPENS,  ['}'] = CLOSES, [']'] = CLOSES, [','] = STOPS,
    [':'] = STOPS, [' '] = STOPS, ['\n'] = STOPS, ['\r'] = STOPS, ['\t'] = STOPS};

/* A place within an object or array. */
typedef struct nesting {
    size_t depth;
    bool quoted; /* within a string */
} nesting;

#ifdef __SSE2__
/* Which of 64 bytes are c, or (bit set) differ from it in `bit` alone. */
static uint64_t which(const __m128i v[4], uint8_t c, uint8_t bit)
{
    const __m128i want = _mm_set1_epi8((char)(c | bit)), more = _mm_set1_epi8((char)bit);
    uint64_t all = 0;
    for (int i = 0; i < 4; i++)
        all |= (uint64_t)(uint16_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_or_si128(v[i], more), want))
               << 16 * i;
    return all;
}

/* Passes over 64 bytes at once. False: it may end in them, or they hold a backslash. */
static bool pass64(const uint8_t *p, nesting *n)
{
    __m128i v[4];
    for (int i = 0; i < 4; i++)
        v[i] = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));
    if (which(v, '\\', 0))
        return false;
    uint64_t in = which(v, '"', 0); /* from each opening quote to before the closing one */
    for (int k = 1; k < 64; k *= 2)
        in ^= in << k;
    in = n->quoted ? ~in : in;
    const int closing = __builtin_popcountll(which(v, ']', 0x20) & ~in);
    if (n->depth <= (size_t)closing)
        return false;
    n->depth += (size_t)__builtin_popcountll(which(v, '[', 0x20) & ~in) - (size_t)closing;
    n->quoted = in >> 63;
    return true;
}
#else
static bool pass64(const uint8_t *p, nesting *n)
{
    (void)p, (void)n;
    return false;
}
#endif

/* Behind the object or array whose first bracket is at p, by its strings and brackets. */
static const uint8_t *container(const reading *r, const uint8_t *p)
{
    nesting n = {.depth = 1};
    for (p++; p < r->end;) {
        if (r->end - p >= 64 && pass64(p, &n)) {
            p += 64;
            continue;
        }
        for (const uint8_t *stop = r->end - p < 64 ? r->end : p + 64; p < stop; p++) {
            const uint8_t kind = kinds[*p];
            if (*p == '\\' && n.quoted)
                p += p + 1 < r->end;
            else if (kind == QUOTE)
                n.quoted = !n.quoted;
            else if (!n.quoted && kind == OPENS)
                n.depth++;
            else if (!n.quoted && kind == CLOSES && --n.depth == 0)
                return p + 1;
        }
    }
    return NULL;
}

/* Behind the value at p. */
static const uint8_t *value(reading *r, const uint8_t *p)
{
    if (p == r->end)
        return NULL;
    switch (kinds[*p]) {
    case QUOTE:
        return string(r, p);
    case OPENS:
        return container(r, p);
    case PLAIN:
        while (p < r->end && kinds[*p] == PLAIN)
            p++;
        return p;
    default:
        return fault(r, p, "a value is expected here");
    }
}

/* The member whose name is at p: its value begins at the place returned; *is: it is called so. */
static const uint8_t *member(reading *r, const uint8_t *p, const char *name, size_t len, bool *is)
{
    if (*p != '"')
        return fault(r, p, "a member's name is expected here");
    const uint8_t *q = string(r, p);
    *is = q && (size_t)(q - p) == len + 2 && memcmp(p + 1, name, len) == 0;
    return q ? behind(r, q, ':', "a colon is expected here") : NULL;
}

static size_t part_of(const char *path)
{
    return strcspn(path, ".");
}

/* From the document at p to behind the bracket of its array. first: nothing stands before it. */
static const uint8_t *enter(reading *r, const char *path, bool first, const uint8_t *p)
{
    static const char none[] = "the document has no array where one was expected (--records-at)";
    for (size_t n; p && *path; path += n + (path[n] == '.')) {
        n = part_of(path);
        p = behind(r, p, '{', none);
        for (bool is = false; p && !is;) {
            if (*p == '}')
                return fault(r, p, none);
            p = member(r, p, path, n, &is);
            if (!p || is)
                break;
            p = first ? fault(r, p, none) : value(r, p);
            p = p ? space(r, p) : NULL;
            if (p && p < r->end && *p != '}')
                p = behind(r, p, ',', "a comma is expected here");
            else if (p == r->end)
                p = NULL;
        }
    }
    return p ? behind(r, p, '[', none) : NULL;
}

/* From the bracket that closes the array at p to behind the document. */
static const uint8_t *leave(reading *r, const char *path, const uint8_t *p)
{
    bool is;
    p++;
    for (; p && *path; path += part_of(path) + (path[part_of(path)] == '.')) {
        while ((p = space(r, p)) < r->end && *p == ',') {
            p = behind(r, p, ',', "");
            p = p ? member(r, p, "", 0, &is) : NULL;
            p = p ? value(r, p) : NULL;
            if (!p)
                return NULL;
        }
        if (p == r->end)
            return NULL;
        if (*p != '}')
            return fault(r, p, "a comma or a closing brace is expected behind the array");
        p++;
    }
    return p;
}

/* Gives up a document, or else a line, such that what is wrong lies within it. */
static size_t give_up(ds_jitem *u, const uint8_t *from, const uint8_t *p, const reading *r)
{
    reading again = {.end = r->end};
    const uint8_t *q = NULL;
    if (kinds[*p] == OPENS)
        q = value(&again, p);
    else if ((q = memchr(r->at, '\n', (size_t)(r->end - r->at))) != NULL)
        q++;
    u->ended = q != NULL;
    q = q ? q : r->end;
    u->len = (size_t)(q - p) - (q[-1] == '\n');
    u->why = r->why;
    return (size_t)(q - from);
}

size_t ds_jitems_next(const char *path, const uint8_t *from, size_t len, ds_jitem *u)
{
    reading r = {.end = from + len};
    const uint8_t *start = space(&r, from), *p = start, *q = NULL;
    *u = (ds_jitem){.at = (size_t)(start - from), .ended = true};
    if (start == r.end)
        return len;
    if (*start == ',')
        p = behind(&r, start, ',', "");
    else if (*start != ']')
        p = enter(&r, path, false, start);
    if (p && *p == ']' && *start != ',') {
        q = leave(&r, path, p);
    } else if (p && (q = value(&r, p)) != NULL) {
        u->at = (size_t)(p - from);
        u->len = (size_t)(q - p);
        u->open = space(&r, q) == r.end;
        u->ended = !u->open;
    }
    if (q)
        return u->open ? len : (size_t)(q - from);
    if (r.why)
        return give_up(u, from, start, &r);
    *u = (ds_jitem){.at = (size_t)((p ? p : start) - from), .why = "the document does not end"};
    u->len = len - u->at;
    return len;
}

const char *ds_jitems_guess(const uint8_t *p, size_t len, bool names)
{
    static const struct {
        const char *path;
        bool first;
    } known[] = {{"Records", true}, {"records", true},    {"Findings", true},
                 {"Events", true},  {"logEvents", false}, {"hits.hits", false}};
    reading r = {.end = p + len};
    const uint8_t *start = space(&r, p), *q;
    if (start == r.end)
        return NULL;
    if (*start == '[')
        return (q = enter(&r, "", false, start)) && (*q == '{' || *q == ']') ? "" : NULL;
    for (size_t i = 0; names && i < sizeof known / sizeof *known; i++) {
        r.why = NULL;
        q = enter(&r, known[i].path, known[i].first, start);
        if (q && (*q == '{' || *q == ']'))
            return known[i].path;
    }
    return NULL;
}

int ds_jitems_path(const char **path, const char *word, ds_err *err)
{
    const size_t n = strlen(word);
    const char *p = word + (*word == '.');
    *path = p;
    return n > 0 && n <= 256 && *p != '.' && !strstr(p, "..") && (n == 1 || word[n - 1] != '.')
               ? 0
               : ds_fail(err, DS_USAGE,
                         "--records-at %.40s: a member's name such as Records, hits.hits for one "
                         "of a member, or . for the document itself is wanted",
                         word);
}
