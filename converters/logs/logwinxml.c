/* logwinxml.c - Windows events as XML: <Event> elements, one behind the other or within <Events>
 * (the schema http://schemas.microsoft.com/win/2004/08/events/event; wevtutil qe /f:xml). */
#include "logrow.h"

#include <stdio.h>
#include <string.h>

#include "html.h"
#include "json.h"
#include "utf8.h"

/* A tag, and the text behind it up to the next one. */
typedef struct tag {
    const uint8_t *name, *attrs, *text;
    size_t name_len, attrs_len, text_len;
    bool closes, empty; /* </x>, <x/> */
} tag;

/* The tag at or behind *at. False: there is none, or (why) it does not end. */
static bool next_tag(ds_logline *l, const uint8_t *p, size_t len, size_t *at, tag *t)
{
    const uint8_t *end = p + len, *q = memchr(p + *at, '<', len - *at);
    uint8_t quote = 0;
    l->why = NULL;
    if (!q)
        return false;
    *t = (tag){.name = q + 1};
    for (q++; q < end && (quote || *q != '>'); q++)
        if (quote ? *q == quote : *q == '"' || *q == '\'')
            quote = quote ? 0 : *q;
    if (q == end) {
        ds_logfail(l, (size_t)(t->name - p) - 1, "the tag does not end");
        return false;
    }
    *at = (size_t)(q + 1 - p);
    t->empty = q > t->name && q[-1] == '/';
    const uint8_t *stop = q - t->empty;
    t->closes = t->name < stop && *t->name == '/';
    t->name += t->closes;
    t->attrs = t->name;
    while (t->attrs<stop && * t->attrs> ' ')
        t->attrs++;
    t->name_len = (size_t)(t->attrs - t->name);
    t->attrs_len = (size_t)(stop - t->attrs);
    t->text = q + 1;
    const uint8_t *next = memchr(t->text, '<', (size_t)(end - t->text));
    t->text_len = (size_t)((next ? next : end) - t->text);
    return true;
}

static bool is(const uint8_t *p, size_t n, const char *word)
{
    return strlen(word) == n && memcmp(p, word, n) == 0;
}

static bool blank(const uint8_t *p, size_t n)
{
    size_t i = 0;
    while (i < n && p[i] <= ' ')
        i++;
    return i == n;
}

/* Character references undone. */
static int plain(ds_logline *l, const uint8_t **p, size_t *n)
{
    ds_buf *s = &l->b->scratch;
    const uint8_t *q = *p, *end = q + *n, *amp;
    s->len = 0;
    if (!memchr(q, '&', *n))
        return 0;
    for (; (amp = memchr(q, '&', (size_t)(end - q))) != NULL;) {
        if (ds_buf_put(s, q, (size_t)(amp - q)) != 0)
            return DS_NOMEM;
        const long k = ds_html_reference(s, amp, (size_t)(end - amp));
        if (k < 0 || (k == 0 && ds_buf_putc(s, '&') != 0))
            return DS_NOMEM;
        q = amp + (k ? k : 1);
    }
    if (ds_buf_put(s, q, (size_t)(end - q)) != 0 ||
        !(*p = ds_textbatch_copy(l->b, s->data, s->len)))
        return DS_NOMEM;
    *n = s->len;
    return 0;
}

/* name='value' at *at of the attributes. */
static bool next_attr(const tag *t, size_t *at, const uint8_t **name, size_t *len,
                      const uint8_t **v, size_t *n)
{
    const uint8_t *end = t->attrs + t->attrs_len, *p = t->attrs + *at, *close;
    while (p < end && *p <= ' ')
        p++;
    *name = p;
    while (p < end && *p != '=' && *p > ' ')
        p++;
    *len = (size_t)(p - *name);
    while (p < end && *p <= ' ')
        p++;
    if (end - p < 2 || *p != '=')
        return false;
    for (p++; p < end && *p <= ' ';)
        p++;
    if (p == end || (*p != '"' && *p != '\'') ||
        !(close = memchr(p + 1, *p, (size_t)(end - p - 1))))
        return false;
    *v = p + 1;
    *n = (size_t)(close - *v);
    *at = (size_t)(close + 1 - t->attrs);
    return true;
}

/* 1 critical, 2 error, 3 warning, 4 information, 5 verbose; 0: always logged. */
static void level(ds_logline *l, const uint8_t *p, size_t n)
{
    static const int8_t severities[] = {6, 2, 3, 4, 6, 7};
    ds_logset(l, DS_LC_LEVEL, p, n);
    if (n == 1 && *p >= '0' && *p <= '5')
        ds_logset_number(l, DS_LC_SEVERITY, severities[*p - '0']);
}

/* A child of <System>: what it says itself, and what its attributes do. */
static int system_tag(ds_logline *l, const tag *t)
{
    const uint8_t *name, *v = t->text;
    size_t at = 0, len, n = t->text_len;
    int rc = 0;
    if (!t->empty && !blank(v, n)) {
        rc = plain(l, &v, &n);
        if (rc == 0 && is(t->name, t->name_len, "Level"))
            level(l, v, n);
        else if (rc == 0 && is(t->name, t->name_len, "Computer"))
            ds_logset(l, DS_LC_HOST, v, n);
        else if (rc == 0)
            rc = ds_logfield_named(l, t->name, t->name_len, true, v, n);
    }
    while (rc == 0 && next_attr(t, &at, &name, &len, &v, &n)) {
        rc = plain(l, &v, &n);
        const int column = is(name, len, "Name")         ? DS_LC_PROGRAM
                           : is(name, len, "SystemTime") ? DS_LC_TIME
                           : is(name, len, "ProcessID")  ? DS_LC_PID
                                                         : -1;
        if (rc == 0 && n > 0 && !ds_logtake(l, column, v, n))
            rc = ds_logfield_named(l, name, len, true, v, n);
    }
    return rc;
}

/* A member of the object that was begun in fields. */
static int put_member(ds_logline *l, const uint8_t *name, size_t len, const uint8_t *v, size_t n)
{
    ds_buf *f = &l->fields;
    const bool first = f->data[f->len - 1] == '{';
    if (plain(l, &name, &len) != 0 || plain(l, &v, &n) != 0 || (!first && ds_buf_putc(f, ',') != 0))
        return DS_NOMEM;
    return ds_json_str(f, (const char *)name, len) || ds_buf_putc(f, ':') ||
                   ds_json_str(f, (const char *)v, n)
               ? DS_NOMEM
               : 0;
}

/* <Data Name='x'>v</Data>, or a leaf by its own name; those without a name are param1, param2, ...
 */
static int data_tag(ds_logline *l, const tag *t, unsigned *params)
{
    const uint8_t *name, *v;
    size_t at = 0, len, n;
    const bool data = is(t->name, t->name_len, "Data");
    const size_t text = t->empty ? 0 : t->text_len;
    char number[24];
    if (!data && blank(t->text, text))
        return 0;
    if (!data)
        return put_member(l, t->name, t->name_len, t->text, text);
    if (next_attr(t, &at, &name, &len, &v, &n) && is(name, len, "Name"))
        return put_member(l, v, n, t->text, text);
    const int k = snprintf(number, sizeof number, "param%u", ++*params);
    return put_member(l, (const uint8_t *)number, (size_t)k, t->text, text);
}

static int message(ds_logline *l, const tag *t)
{
    const uint8_t *v = t->text;
    size_t n = t->empty ? 0 : t->text_len;
    const int rc = plain(l, &v, &n);
    if (rc == 0)
        ds_logset(l, DS_LC_TEXT, v, n);
    return rc;
}

/* The parts of an event, and the member of fields that holds what they say. */
static const struct {
    const char *name, *member;
} parts[] = {{"System", NULL},
             {"EventData", "data"},
             {"UserData", "data"},
             {"BinaryEventData", "data"},
             {"ProcessingErrorData", "data"},
             {"RenderingInfo", "rendered"}};
enum { SYSTEM, RENDERED = 5, NPARTS };

static int in_part(ds_logline *l, unsigned part, const tag *t, unsigned *params)
{
    if (part == SYSTEM)
        return system_tag(l, t);
    if (part == RENDERED && is(t->name, t->name_len, "Message"))
        return message(l, t);
    return data_tag(l, t, params);
}

/* Begins the part that the tag names, if it does. Of fields, *began is what was there before. */
static int enter_part(ds_logline *l, const tag *t, unsigned *part, size_t *began)
{
    for (*part = 0; *part < NPARTS && !is(t->name, t->name_len, parts[*part].name);)
        ++*part;
    *began = l->fields.len;
    return *part < NPARTS && parts[*part].member ? ds_logfield_json(l, parts[*part].member, "{")
                                                 : 0;
}

static int leave_part(ds_logline *l, unsigned *part, size_t began)
{
    ds_buf *f = &l->fields;
    const bool member = parts[*part].member != NULL;
    *part = NPARTS;
    if (member && f->data[f->len - 1] == '{') { /* nothing is in it */
        f->len = began;
        return 0;
    }
    return member && ds_buf_putc(f, '}') != 0 ? DS_NOMEM : 0;
}

int ds_logparse_winxml(ds_logline *l, const uint8_t *p, size_t len)
{
    unsigned part = NPARTS, params = 0;
    bool seen = false;
    size_t began = 0;
    int rc = 0;
    tag t;
    for (size_t at = 0; rc == 0 && next_tag(l, p, len, &at, &t);) {
        if (part < NPARTS && t.closes && is(t.name, t.name_len, parts[part].name)) {
            rc = leave_part(l, &part, began);
        } else if (part < NPARTS && !t.closes && *t.name != '!' && *t.name != '?') {
            rc = in_part(l, part, &t, &params);
        } else if (part == NPARTS && !t.closes && !t.empty) {
            rc = enter_part(l, &t, &part, &began);
            seen |= part == SYSTEM;
        }
    }
    if (rc != 0)
        return rc;
    if (l->why)
        return DS_FAIL;
    if (part < NPARTS || !seen)
        return ds_logfail(l, 0, seen ? "a part of the event does not end" : "it has no <System>");
    if (!l->row->v[DS_LC_TEXT].p)
        ds_logset(l, DS_LC_TEXT, p, len);
    return 0;
}

/* ---- where an event ends ---- */

/* What begins at p: 0 when it is not the word, -1 when there is too little to tell. */
static int starts(const uint8_t *p, size_t len, const char *word)
{
    const size_t n = strlen(word);
    return memcmp(p, word, len < n ? len : n) != 0 ? 0 : len < n ? -1 : 1;
}

/* Around events stand <?xml ...?>, comments, <Events ...> and </Events>. */
static int starts_around(const uint8_t *p, size_t len)
{
    static const char *const words[] = {"<?", "<!", "<Events", "</Event"};
    int some = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words && some != 1; i++) {
        const int k = starts(p, len, words[i]);
        some = k ? k : some;
    }
    return some;
}

size_t ds_logwinxml_next(const uint8_t *p, size_t len, size_t *at, size_t *n, const char **why)
{
    static const char close[] = "</Event>";
    size_t i = 0;
    while (i < len && p[i] <= ' ')
        i++;
    const size_t left = len - i;
    const int around = left ? starts_around(p + i, left) : 1, event = starts(p + i, left, "<Event");
    const uint8_t *end = NULL;
    *at = i;
    *n = left;
    *why = NULL;
    if (around == 1) {
        end = left ? memchr(p + i, '>', left) : p + len - 1;
        *n = end ? 0 : left;
    } else if (event == 1) {
        end = memmem(p + i, left, close, sizeof close - 1);
        end = end ? end + sizeof close - 2 : NULL;
        *n = end ? (size_t)(end + 1 - p) - i : left;
    } else if (around == 0 && event == 0) {
        *why = "an <Event> is expected here";
        end = memchr(p + i, '\n', left);
        *n = end ? (size_t)(end - p) - i : left;
    }
    if (!end && !*why)
        *why = "the event does not end";
    return end ? (size_t)(end + 1 - p) : 0;
}
