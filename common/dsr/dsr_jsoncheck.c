/* dsr_jsoncheck.c - see dsr_jsoncheck.h. The grammar is that of RFC 8259 without white space. */
#include "dsr_jsoncheck.h"

#include <string.h>

#include "utf8.h"

#define STEP ((size_t)1 << 20) /* text is looked at, and released, in steps of this size */

typedef struct walk {
    const uint8_t *p;
    size_t len, at;
    size_t depth;
    uint8_t object[DS_JSON_DEPTH / 8]; /* bit per level: it is an object */
    ds_spool *spool;
    size_t base, released;
    const char *why;
} walk;

static bool bad(walk *w, const char *why)
{
    w->why = why;
    return false;
}

static void passed(walk *w)
{
    if (w->spool && w->at - w->released >= STEP) {
        ds_spool_release(w->spool, w->base + w->at);
        w->released = w->at;
    }
}

static bool hex4(walk *w, unsigned *v)
{
    *v = 0;
    if (w->len - w->at < 4)
        return bad(w, "escape cut off");
    for (int i = 0; i < 4; i++) {
        uint8_t c = w->p[w->at++];
        unsigned d = c >= '0' && c <= '9'   ? c - 48u
                     : c >= 'a' && c <= 'f' ? c - 87u
                     : c >= 'A' && c <= 'F' ? c - 55u
                                            : 16u;
        if (d == 16)
            return bad(w, "\\u without four hex digits");
        *v = *v << 4 | d;
    }
    return true;
}

/* at is past the backslash. */
static bool escape(walk *w)
{
    unsigned v, low;
    if (w->at == w->len)
        return bad(w, "escape cut off");
    uint8_t c = w->p[w->at++];
    if (c != 'u')
        return c != 0 && strchr("\"\\/bfnrt", c) ? true : bad(w, "unknown escape");
    if (!hex4(w, &v))
        return false;
    if (v >= 0xdc00 && v <= 0xdfff)
        return bad(w, "low surrogate without a high one");
    if (v < 0xd800 || v > 0xdbff)
        return true;
    if (w->len - w->at < 2 || w->p[w->at] != '\\' || w->p[w->at + 1] != 'u')
        return bad(w, "high surrogate without a low one");
    w->at += 2;
    if (!hex4(w, &low))
        return false;
    return low >= 0xdc00 && low <= 0xdfff ? true : bad(w, "high surrogate without a low one");
}

/* Length of the run without quote, backslash and control bytes, eight bytes at a time. */
static size_t plain_run(const uint8_t *p, size_t len)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    size_t i = 0;
    for (; len - i >= 8; i += 8) {
        uint64_t w, q, b;
        memcpy(&w, p + i, 8);
        q = w ^ ones * '"';
        b = w ^ ones * '\\';
        /* A false alarm after a true one does no harm: the bytes are looked at one by one then. */
        if ((((q - ones) & ~q) | ((b - ones) & ~b) | ((w - ones * 0x20) & ~w)) & high)
            break;
    }
    while (i < len && p[i] >= 0x20 && p[i] != '"' && p[i] != '\\')
        i++;
    return i;
}

/* at is past the opening quote. */
static bool string(walk *w)
{
    for (;;) {
        size_t left = w->len - w->at, n = left < STEP ? left : STEP;
        /* A step must not cut a character in two. */
        for (int back = 0; n < left && back < 3 && (w->p[w->at + n] & 0xc0) == 0x80; back++)
            n--;
        n = plain_run(w->p + w->at, n);
        size_t good = ds_utf8_check(w->p + w->at, n);
        w->at += good;
        if (good < n)
            return bad(w, "not UTF-8");
        if (w->at == w->len)
            return bad(w, "string without an end");
        passed(w);
        uint8_t c = w->p[w->at];
        if (c == '"') {
            w->at++;
            return true;
        }
        if (c < 0x20)
            return bad(w, "control byte in a string");
        if (c == '\\') {
            w->at++;
            if (!escape(w))
                return false;
        }
    }
}

static size_t digits(walk *w)
{
    size_t from = w->at;
    while (w->at < w->len && w->p[w->at] >= '0' && w->p[w->at] <= '9')
        w->at++;
    return w->at - from;
}

static bool number(walk *w)
{
    if (w->p[w->at] == '-')
        w->at++;
    size_t from = w->at, n = digits(w);
    if (n == 0)
        return bad(w, "number without digits");
    if (n > 1 && w->p[from] == '0')
        return bad(w, "number with a leading zero");
    if (w->at < w->len && w->p[w->at] == '.') {
        w->at++;
        if (digits(w) == 0)
            return bad(w, "number without digits after its point");
    }
    if (w->at < w->len && (w->p[w->at] == 'e' || w->p[w->at] == 'E')) {
        w->at++;
        if (w->at < w->len && (w->p[w->at] == '+' || w->p[w->at] == '-'))
            w->at++;
        if (digits(w) == 0)
            return bad(w, "number without an exponent");
    }
    return true;
}

static bool word(walk *w, const char *text)
{
    size_t n = strlen(text);
    if (w->len - w->at < n || memcmp(w->p + w->at, text, n) != 0)
        return bad(w, "no JSON value");
    w->at += n;
    return true;
}

static bool member_name(walk *w)
{
    if (w->at == w->len || w->p[w->at] != '"')
        return bad(w, "no member name");
    w->at++;
    if (!string(w))
        return false;
    if (w->at == w->len || w->p[w->at] != ':')
        return bad(w, "no colon after a member name");
    w->at++;
    return true;
}

/* Goes down into an array or object. *value is false when it turned out empty and is done. */
static bool enter(walk *w, bool object, bool *value)
{
    if (w->depth == DS_JSON_DEPTH)
        return bad(w, "nested deeper than 128");
    w->at++;
    if (w->at < w->len && w->p[w->at] == (object ? '}' : ']')) {
        w->at++;
        *value = false;
        return true;
    }
    uint8_t bit = (uint8_t)(1u << w->depth % 8), *byte = &w->object[w->depth / 8];
    *byte = object ? *byte | bit : *byte & (uint8_t)~bit;
    w->depth++;
    return object ? member_name(w) : true;
}

/* After a value: closes what ends here. *value is true when another value must follow. */
static bool leave(walk *w, bool *value)
{
    *value = false;
    while (w->depth > 0) {
        size_t d = w->depth - 1;
        bool object = w->object[d / 8] >> d % 8 & 1;
        if (w->at == w->len)
            return bad(w, object ? "object without an end" : "array without an end");
        uint8_t c = w->p[w->at];
        if (c == ',') {
            w->at++;
            *value = true;
            return object ? member_name(w) : true;
        }
        if (c != (object ? '}' : ']'))
            return bad(w, c <= 0x20 ? "white space" : "no comma");
        w->at++;
        w->depth--;
    }
    return w->at == w->len ? true : bad(w, "bytes after the value");
}

/* One value, or the beginning of one: *value is true when a value must follow at once. */
static bool one(walk *w, bool *value)
{
    bool ok;
    if (w->at == w->len)
        return bad(w, "no JSON value");
    uint8_t c = w->p[w->at];
    switch (c) {
    case '{':
    case '[':
        *value = true;
        if (!enter(w, c == '{', value))
            return false;
        return *value ? true : leave(w, value);
    case '"':
        w->at++;
        ok = string(w);
        break;
    case 't':
        ok = word(w, "true");
        break;
    case 'f':
        ok = word(w, "false");
        break;
    case 'n':
        ok = word(w, "null");
        break;
    default:
        if (c != '-' && (c < '0' || c > '9'))
            return bad(w, c <= 0x20 ? "white space" : "no JSON value");
        ok = number(w);
    }
    return ok && leave(w, value);
}

const char *ds_jsoncheck(const uint8_t *p, size_t len, ds_spool *spool, size_t base, size_t *at)
{
    walk w = {.p = p, .len = len, .spool = spool, .base = base};
    bool value = true;
    while (value) {
        if (!one(&w, &value)) {
            *at = w.at;
            return w.why;
        }
        passed(&w);
    }
    return NULL;
}
