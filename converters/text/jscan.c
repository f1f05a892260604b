/* jscan.c - see jscan.h. */
#include "jscan.h"

#include <stdlib.h>
#include <string.h>

typedef struct cursor {
    const uint8_t *p, *end;
    const char *why;
    bool spaced;  /* white space was stepped over since this was cleared */
    bool escaped; /* the last string held escapes */
} cursor;

static bool fail(cursor *c, const char *why)
{
    if (!c->why)
        c->why = why;
    return false;
}

static inline void skip_space(cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\n' || *c->p == '\r')) {
        c->p++;
        c->spaced = true;
    }
}

/* c->p stands on the opening quote; afterwards behind the closing one. */
static bool scan_string(cursor *c)
{
    const char *why = NULL;
    c->p = ds_jstring_scan(c->p + 1, c->end, &c->escaped, &why);
    return why ? fail(c, why) : true;
}

static inline bool digit(const cursor *c)
{
    return c->p < c->end && *c->p >= '0' && *c->p <= '9';
}

static bool scan_number(cursor *c)
{
    if (*c->p == '-')
        c->p++;
    if (!digit(c))
        return fail(c, "a number wants a digit here");
    if (*c->p == '0')
        c->p++;
    else
        while (digit(c))
            c->p++;
    if (c->p < c->end && *c->p == '.') {
        c->p++;
        if (!digit(c))
            return fail(c, "a number wants a digit here");
        while (digit(c))
            c->p++;
    }
    if (c->p < c->end && (*c->p | 0x20) == 'e') {
        c->p++;
        if (c->p < c->end && (*c->p == '+' || *c->p == '-'))
            c->p++;
        if (!digit(c))
            return fail(c, "a number wants a digit here");
        while (digit(c))
            c->p++;
    }
    return true;
}

static bool scan_word(cursor *c, const char *word, size_t n)
{
    if ((size_t)(c->end - c->p) < n || memcmp(c->p, word, n) != 0)
        return fail(c, "a value is expected here");
    c->p += n;
    return true;
}

/* Any value but an object or array. */
static bool scan_scalar(cursor *c, enum ds_jkind *kind)
{
    switch (*c->p) {
    case '"':
        *kind = DS_J_STRING;
        return scan_string(c);
    case 't':
        *kind = DS_J_TRUE;
        return scan_word(c, "true", 4);
    case 'f':
        *kind = DS_J_FALSE;
        return scan_word(c, "false", 5);
    case 'n':
        *kind = DS_J_NULL;
        return scan_word(c, "null", 4);
    default:
        *kind = DS_J_NUMBER;
        if (*c->p != '-' && !digit(c))
            return fail(c, "a value is expected here");
        return scan_number(c);
    }
}

/* "name" : with the spaces around it. */
static bool scan_name(cursor *c)
{
    if (c->p == c->end)
        return fail(c, "the text ends in the middle of an object");
    if (*c->p != '"')
        return fail(c, "a member's name is expected here");
    if (!scan_string(c))
        return false;
    skip_space(c);
    if (c->p == c->end || *c->p != ':')
        return fail(c, "a colon is expected here");
    c->p++;
    skip_space(c);
    return true;
}

/* Which of the open containers are objects: one bit each. */
typedef struct nesting {
    uint64_t bits[DS_JSCAN_DEPTH_RECORD / 64 + 1];
    unsigned depth, max;
} nesting;

static bool nest_open(cursor *c, nesting *n, bool object)
{
    if (n->depth == n->max)
        return fail(c, "nested deeper than the limit");
    uint64_t bit = (uint64_t)1 << n->depth % 64;
    uint64_t *w = &n->bits[n->depth / 64];
    *w = object ? *w | bit : *w & ~bit;
    n->depth++;
    c->p++;
    skip_space(c);
    return true;
}

static bool nest_object(const nesting *n)
{
    unsigned at = n->depth - 1;
    return n->bits[at / 64] >> at % 64 & 1;
}

/* Closes what ends here, and steps over the comma before the next value. *done when the outermost
 * container closed. */
static bool nest_after(cursor *c, nesting *n, bool *done)
{
    for (;;) {
        bool object = nest_object(n);
        skip_space(c);
        if (c->p == c->end)
            return fail(c, object ? "the text ends in the middle of an object"
                                  : "the text ends in the middle of an array");
        if (*c->p == ',') {
            c->p++;
            skip_space(c);
            return !object || scan_name(c);
        }
        if (*c->p != (object ? '}' : ']'))
            return fail(c,
                        object ? "a comma or } is expected here" : "a comma or ] is expected here");
        c->p++;
        if (--n->depth == 0) {
            *done = true;
            return true;
        }
    }
}

/* A value of any kind; `base` containers are open around it. */
static bool scan_value(cursor *c, unsigned base, unsigned max, enum ds_jkind *kind)
{
    nesting n = {.depth = 0, .max = max - base};
    enum ds_jkind inner;
    for (bool first = true;; first = false) {
        if (c->p == c->end)
            return fail(c, "the text ends where a value is expected");
        enum ds_jkind *k = first ? kind : &inner;
        if (*c->p == '{' || *c->p == '[') {
            bool object = *c->p == '{';
            *k = object ? DS_J_OBJECT : DS_J_ARRAY;
            if (!nest_open(c, &n, object))
                return false;
            if (c->p < c->end && *c->p == (object ? '}' : ']')) {
                c->p++;
                if (--n.depth == 0)
                    return true;
            } else if (object && !scan_name(c)) {
                return false;
            } else {
                continue;
            }
        } else if (!scan_scalar(c, k)) {
            return false;
        }
        if (n.depth == 0)
            return true;
        bool done = false;
        if (!nest_after(c, &n, &done))
            return false;
        if (done)
            return true;
    }
}

static ds_jmember *add_member(ds_jscan *s)
{
    if (ds_grow(&s->v, &s->cap, s->n, sizeof *s->v))
        return NULL;
    return &s->v[s->n++];
}

/* The closing quote of a string without escapes that begins behind p - 1, or NULL. */
static inline const uint8_t *plain_string(const uint8_t *p, const uint8_t *end)
{
    const uint8_t *q = ds_jstring_special(p, end);
    return q < end && *q == '"' ? q : NULL;
}

/* "name":"text" or "name":123 with a comma or brace behind it, which is what most members are;
 * false, with nothing moved, for all others. */
static inline bool plain_member(cursor *c, ds_jmember *m)
{
    const uint8_t *end = c->end, *name = c->p + 1, *q;
    if (end - c->p < 6 || *c->p != '"' || !(q = plain_string(name, end)) || end - q < 4 ||
        q[1] != ':')
        return false;
    const uint8_t *value = q + 2;
    const bool string = *value == '"';
    *m = (ds_jmember){.name = name,
                      .value = value,
                      .name_len = (size_t)(q - name),
                      .kind = string ? DS_J_STRING : DS_J_NUMBER};
    if (string) {
        if (!(q = plain_string(value + 1, end)))
            return false;
        q++;
    } else {
        if (*value < '1' || *value > '9')
            return false;
        for (q = value + 1; q < end && *q >= '0' && *q <= '9';)
            q++;
    }
    if (q == end || (*q != ',' && *q != '}'))
        return false;
    m->value_len = (size_t)(q - value);
    c->p = q;
    return true;
}

static int scan_member(cursor *c, ds_jmember *m, unsigned depth)
{
    m->name = c->p + 1;
    if (c->p == c->end || *c->p != '"') {
        fail(c, c->p == c->end ? "the text ends in the middle of an object"
                               : "a member's name is expected here");
        return DS_FAIL;
    }
    if (!scan_string(c))
        return DS_FAIL;
    m->name_len = (size_t)(c->p - 1 - m->name);
    m->name_escaped = c->escaped;
    skip_space(c);
    if (c->p == c->end || *c->p != ':') {
        fail(c, "a colon is expected here");
        return DS_FAIL;
    }
    c->p++;
    skip_space(c);
    m->value = c->p;
    c->spaced = false;
    if (!scan_value(c, 1, depth, &m->kind))
        return DS_FAIL;
    m->value_len = (size_t)(c->p - m->value);
    m->escaped = m->kind == DS_J_STRING && c->escaped;
    m->spaced = c->spaced;
    return 0;
}

/* The members of the outermost object, whose brace has been stepped over. */
static int scan_members(ds_jscan *s, cursor *c, unsigned depth)
{
    skip_space(c);
    if (c->p < c->end && *c->p == '}') {
        c->p++;
        return 0;
    }
    for (;;) {
        ds_jmember *m = add_member(s);
        if (!m)
            return DS_NOMEM;
        if (!plain_member(c, m) && scan_member(c, m, depth) != 0)
            return DS_FAIL;
        skip_space(c);
        if (c->p < c->end && *c->p == ',') {
            c->p++;
            skip_space(c);
            continue;
        }
        if (c->p < c->end && *c->p == '}') {
            c->p++;
            return 0;
        }
        fail(c, c->p == c->end ? "the text ends in the middle of an object"
                               : "a comma or } is expected here");
        return DS_FAIL;
    }
}

int ds_jscan_text(ds_jscan *s, const uint8_t *p, size_t len, unsigned depth)
{
    static const uint8_t nothing[1];
    cursor c = {.p = len ? p : nothing, .end = len ? p + len : nothing};
    const uint8_t *start = c.p;
    int rc = 0;
    if (depth > DS_JSCAN_DEPTH_RECORD)
        depth = DS_JSCAN_DEPTH_RECORD;
    s->n = 0;
    s->why = NULL;
    skip_space(&c);
    if (c.p < c.end && *c.p == '{' && depth > 0) {
        s->kind = DS_J_OBJECT;
        c.p++;
        rc = scan_members(s, &c, depth);
    } else if (!scan_value(&c, 0, depth, &s->kind)) {
        rc = DS_FAIL;
    }
    if (rc == 0) {
        skip_space(&c);
        if (c.p != c.end) {
            fail(&c, "something follows the value");
            rc = DS_FAIL;
        }
    }
    s->at = (size_t)(c.p - start);
    s->why = c.why;
    return rc;
}

void ds_jscan_fini(ds_jscan *s)
{
    free(s->v);
    memset(s, 0, sizeof *s);
}

static bool name_is(const ds_jmember *m, const char *name, size_t len)
{
    if (!m->name_escaped)
        return m->name_len == len && memcmp(m->name, name, len) == 0;
    if (m->name_len < len || m->name_len > 6 * len)
        return false;
    uint8_t small[256], *out = m->name_len + DS_JSTRING_SLACK <= sizeof small
                                   ? small
                                   : malloc(m->name_len + DS_JSTRING_SLACK);
    if (!out)
        return false;
    bool same =
        ds_jstring_unescape(out, m->name, m->name_len) == len && memcmp(out, name, len) == 0;
    if (out != small)
        free(out);
    return same;
}

const ds_jmember *ds_jscan_find(const ds_jscan *s, const char *name, size_t len, bool *twice)
{
    const ds_jmember *found = NULL;
    *twice = false;
    for (size_t i = 0; i < s->n; i++) {
        if (!name_is(&s->v[i], name, len))
            continue;
        *twice = found != NULL;
        if (found)
            break;
        found = &s->v[i];
    }
    return found;
}

int ds_jscan_minify(ds_buf *out, const uint8_t *p, size_t len)
{
    const uint8_t *end = p + len;
    if (ds_buf_reserve(out, len) != 0)
        return DS_NOMEM;
    while (p < end) {
        if (*p == '"') {
            const uint8_t *start = p++;
            while (p < end && *p != '"') {
                p = ds_jstring_special(p, end);
                if (p < end && *p == '\\')
                    p += end - p >= 2 ? 2 : 1;
                else if (p < end && *p != '"')
                    p++;
            }
            if (p < end)
                p++;
            if (ds_buf_put(out, start, (size_t)(p - start)) != 0)
                return DS_NOMEM;
        } else if (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r') {
            p++;
        } else if (ds_buf_putc(out, *p++) != 0) {
            return DS_NOMEM;
        }
    }
    return 0;
}
