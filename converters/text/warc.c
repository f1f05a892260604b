/* warc.c - see warc.h. */
#include "warc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "headfield.h"
#include "html.h"
#include "httpbody.h"
#include "textfact.h"
#include "utf8.h"
#include "warcframe.h"
#include "webcharset.h"
#include "webdigest.h"

#define TYPE_MAX 80 /* bytes of a type, as it is counted by */

/* What a block's records share while they are read. */
typedef struct desk {
    const ds_textopts *o;
    ds_textbatch *b;
    ds_buf mem[3], text, title, said, page; /* what a body was, its text, and what it says it is */
} desk;

/* One record. */
typedef struct item {
    const uint8_t *head, *body; /* its fields, its block */
    size_t nhead, nbody;
    const uint8_t *http, *payload; /* of a response: HTTP's fields; the document as it was sent */
    size_t nhttp, npayload;
    ds_httpbody doc;
    char type[TYPE_MAX + 1]; /* of the document, in lower case */
    ds_headfield status, charset_of;
    bool cut, wrong; /* it was not kept to its end; its payload is not what a digest says */
    ds_textrow where;
} item;

static bool field(const item *r, const char *name, ds_headfield *f)
{
    return ds_headfield_find(r->head, r->nhead, name, f);
}

/* ---- what becomes of a record that gives no row ---- */

static const char empty[] = "no content" DS_NO_TEXT; /* of a redirection, for one */

static int aside(desk *d, const item *r, enum ds_textfate fate, const char *reason)
{
    ds_textrow *row = ds_textbatch_row(d->b, r->where.offset, r->where.len);
    if (!row || !(row->reason = (const char *)ds_textbatch_copy(d->b, reason, strlen(reason) + 1)))
        return DS_NOMEM;
    row->why = row->reason;
    row->raw = r->where.raw;
    row->at = row->offset;
    row->fate = fate;
    return 0;
}

static int refuse(desk *d, const item *r, const char *reason, const char *why)
{
    return ds_textbatch_problem(d->b, reason, r->where.offset, r->where.offset, r->where.raw,
                                (size_t)r->where.len, "%s", why);
}

static int no_text(desk *d, const item *r)
{
    char reason[TYPE_MAX + 16];
    snprintf(reason, sizeof reason, "%s" DS_NO_TEXT, r->type);
    return aside(d, r, DS_FATE_HELD, reason);
}

/* ---- of which type a document is ---- */

/* The type of a value such as "text/HTML; charset=x", if it is one that can be counted by. */
static bool read_type(item *r, const ds_headfield *f)
{
    size_t n = 0, slashes = 0;
    while (n < f->value_len && n < TYPE_MAX && f->value[n] != ';' && f->value[n] != ',' &&
           !ds_ascii_white(f->value[n])) {
        const uint8_t c = f->value[n];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '\\')
            return false;
        slashes += c == '/';
        r->type[n++] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    r->type[n] = '\0';
    return slashes == 1 && r->type[0] != '/' && r->type[n - 1] != '/' && n < TYPE_MAX;
}

/* Of a document of which nobody says what it is: whether it begins as a page. */
static bool looks_like_page(const uint8_t *p, size_t len)
{
    while (len > 0 && ds_ascii_white(*p)) {
        p++;
        len--;
    }
    return ds_bytes_begin(p, len, "<!doctype html") || ds_bytes_begin(p, len, "<html") ||
           ds_bytes_begin(p, len, "<head") || ds_bytes_begin(p, len, "<body");
}

/* What a detector found counts more than what the server said. False: nobody says. */
static bool find_type(item *r)
{
    ds_headfield f;
    const bool own = r->http ? ds_headfield_find(r->http, r->nhttp, "Content-Type", &r->charset_of)
                             : field(r, "Content-Type", &r->charset_of);
    return (field(r, "WARC-Identified-Payload-Type", &f) && read_type(r, &f)) ||
           (own && read_type(r, &r->charset_of));
}

static bool is_page(const item *r)
{
    return strcmp(r->type, "text/html") == 0 || strcmp(r->type, "application/xhtml+xml") == 0;
}

static bool is_text(const item *r)
{
    static const char *const types[] = {"text/plain", "text/markdown", "text/x-markdown",
                                        "text/csv",   "text/x-rst",    "text/tab-separated-values"};
    bool is = false;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        is |= strcmp(r->type, types[i]) == 0;
    return is;
}

/* ---- its digests ---- */

static enum ds_webdigest_says check_digest(const item *r, const char *name, const uint8_t *p,
                                           size_t len)
{
    ds_headfield f;
    return field(r, name, &f) ? ds_webdigest_check(f.value, f.value_len, p, len)
                              : DS_WEBDIGEST_UNKNOWN;
}

/* Writers differ in whether a payload is what was sent, or that without its chunks, or without its
 * encoding (and a record that was cut off has the digest of the whole): any of them is right, and
 * none of them says less than a block's digest does. */
static bool wrong_payload(const item *r)
{
    static const char name[] = "WARC-Payload-Digest";
    return !r->cut && check_digest(r, name, r->payload, r->npayload) == DS_WEBDIGEST_WRONG &&
           check_digest(r, name, r->doc.whole, r->doc.whole_len) == DS_WEBDIGEST_WRONG &&
           check_digest(r, name, r->doc.p, r->doc.len) == DS_WEBDIGEST_WRONG;
}

/* ---- its text ---- */

/* The document's bytes, without what was for the way. 0, 1: refused, or DS_NOMEM. */
static int open_body(desk *d, item *r)
{
    const ds_httplimits limits = {
        .most = d->o->max_record, .max_ratio = d->o->limits.max_ratio, .cut = r->cut};
    ds_err why = {0};
    r->doc = (ds_httpbody){
        .p = r->payload, .len = r->npayload, .whole = r->payload, .whole_len = r->npayload};
    int rc = r->http ? ds_httpbody_read(&r->doc, d->mem, r->http, r->nhttp, r->payload, r->npayload,
                                        &limits, &why)
                     : 0;
    if (rc == DS_FAIL)
        rc = refuse(d, r, "damaged body", why.msg);
    else if (rc == 0)
        return 0;
    return rc ? DS_NOMEM : 1;
}

/* What HTTP or the page itself say of the encoding, as C strings in d->said; "" = nothing. */
static int find_charset(desk *d, const item *r, const char *said[2])
{
    ds_buf *s = &d->said;
    s->len = 0;
    if (ds_headfield_param(r->charset_of.value, r->charset_of.value_len, "charset", s) < 0 ||
        ds_buf_putc(s, 0) != 0)
        return DS_NOMEM;
    const size_t second = s->len;
    if ((is_page(r) && ds_webcharset_meta(r->doc.p, r->doc.len, s) < 0) || ds_buf_putc(s, 0) != 0)
        return DS_NOMEM;
    said[0] = (const char *)s->data;
    said[1] = (const char *)s->data + second;
    return 0;
}

/* The document's text, in the batch's memory. 0, 1: refused, or DS_NOMEM. */
static int read_text(desk *d, const item *r, const uint8_t **text, size_t *len)
{
    const char *said[2];
    ds_err why = {0};
    d->text.len = d->page.len = d->title.len = 0;
    if (find_charset(d, r, said) != 0)
        return DS_NOMEM;
    int rc =
        ds_webcharset_text(&d->text, r->doc.p, r->doc.len, said, 2, d->o->encoding, r->cut, &why);
    if (rc == DS_FAIL)
        rc = refuse(d, r, "bad encoding", why.msg) ? DS_NOMEM : 1;
    else if (rc == 0 && is_page(r))
        rc = ds_html_text(&d->page, &d->title, d->text.data, d->text.len);
    if (rc != 0)
        return rc;
    const ds_buf *from = is_page(r) ? &d->page : &d->text;
    *len = from->len;
    *text = ds_textbatch_copy(d->b, from->data, from->len);
    return *text ? 0 : DS_NOMEM;
}

/* ---- what else is known of it ---- */

/* A value without the angle brackets that ids, and addresses in version 1.0, stand in. */
static void unbracket(ds_headfield *f)
{
    if (f->value_len > 2 && f->value[0] == '<' && f->value[f->value_len - 1] == '>') {
        f->value++;
        f->value_len -= 2;
    }
}

static int add_field(desk *d, const item *r, ds_textfacts *f, const char *name, const char *of)
{
    ds_headfield v;
    (void)field(r, of, &v);
    unbracket(&v);
    return ds_textfacts_add(f, d->b, name, v.value ? v.value : (const uint8_t *)"", v.value_len);
}

static int add_http(desk *d, const item *r, ds_textfacts *f)
{
    ds_headfield v;
    if (!r->http)
        return 0;
    if (ds_textfacts_json(f, d->b, "status", r->status.value, r->status.value_len) != 0)
        return DS_NOMEM;
    return ds_headfield_find(r->http, r->nhttp, "Content-Language", &v)
               ? ds_textfacts_add(f, d->b, "language", v.value, v.value_len)
               : 0;
}

static int find_facts(desk *d, const item *r, ds_textfacts *f)
{
    ds_headfield v;
    int rc = add_field(d, r, f, "id", "WARC-Record-ID");
    rc |= add_field(d, r, f, "url", "WARC-Target-URI");
    rc |= add_field(d, r, f, "date", "WARC-Date");
    rc |= ds_textfacts_add(f, d->b, "title", d->title.len ? d->title.data : (const uint8_t *)"",
                           d->title.len);
    rc |= ds_textfacts_add(f, d->b, "mime", r->type, strlen(r->type));
    rc |= add_http(d, r, f);
    rc |= add_field(d, r, f, "digest", "WARC-Payload-Digest");
    if (r->wrong)
        rc |= ds_textfacts_json(f, d->b, "digest_ok", "false", 5);
    rc |= add_field(d, r, f, "truncated", "WARC-Truncated");
    if (field(r, "WARC-Segment-Number", &v) && !field(r, "WARC-Truncated", &v))
        rc |= ds_textfacts_add(f, d->b, "truncated", "segment", 7);
    return rc ? DS_NOMEM : 0;
}

/* ---- one record ---- */

/* HTTP's line with the status, and what follows it. False: it is no response. */
static bool open_response(item *r)
{
    const uint8_t *lf = r->nbody ? memchr(r->body, '\n', r->nbody) : NULL;
    const size_t line = lf ? (size_t)(lf + 1 - r->body) : 0;
    size_t at = 0;
    if (!line || !ds_bytes_begin(r->body, line, "HTTP/"))
        return false;
    while (at < line && !ds_ascii_white(r->body[at]))
        at++;
    while (at < line && r->body[at] == ' ')
        at++;
    r->status = (ds_headfield){.value = r->body + at};
    while (r->status.value_len < 4 && at < line && r->body[at] >= '0' && r->body[at] <= '9') {
        r->status.value_len++;
        at++;
    }
    if (r->status.value_len != 3 || r->status.value[0] == '0')
        return false;
    r->http = r->body + line;
    r->nhttp = ds_headfield_end(r->http, r->nbody - line);
    if (r->nhttp == 0)
        r->nhttp = r->nbody - line;
    r->payload = r->http + r->nhttp;
    r->npayload = r->nbody - line - r->nhttp;
    return true;
}

static int document(desk *d, item *r)
{
    const uint8_t *text = NULL;
    size_t len = 0;
    const bool known = find_type(r);
    if (known && !is_page(r) && !is_text(r))
        return no_text(d, r);
    if (r->npayload == 0)
        return aside(d, r, DS_FATE_HELD, empty);
    if (r->where.len > d->o->max_record)
        return ds_textbatch_problem(d->b, "too long", r->where.offset, r->where.offset,
                                    r->where.raw, (size_t)r->where.len,
                                    "longer than %zu bytes (--max-record)", d->o->max_record);
    const enum ds_webdigest_says block = check_digest(r, "WARC-Block-Digest", r->body, r->nbody);
    if (block == DS_WEBDIGEST_WRONG)
        return refuse(d, r, "wrong digest", "its block is not what its WARC-Block-Digest says");
    int rc = open_body(d, r);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    if (!known) {
        const bool page = looks_like_page(r->doc.p, r->doc.len);
        memcpy(r->type, page ? "text/html" : "unknown type", page ? 10 : 13);
        if (!page)
            return no_text(d, r);
    }
    r->wrong = wrong_payload(r);
    if (r->wrong && block != DS_WEBDIGEST_RIGHT)
        return refuse(d, r, "wrong digest", "its body is not what its WARC-Payload-Digest says");
    if ((rc = read_text(d, r, &text, &len)) != 0)
        return rc < 0 ? rc : 0;
    ds_textfacts facts = {0};
    if (find_facts(d, r, &facts) != 0)
        return DS_NOMEM;
    return ds_textfacts_rows(&facts, d->b, d->o, &r->where, text, len);
}

static int one_record(desk *d, item *r)
{
    static const char *const others[] = {"request", "warcinfo", "metadata", "revisit",
                                         "continuation"};
    ds_headfield type, f;
    (void)field(r, "WARC-Type", &type);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (ds_bytes_are(type.value, type.value_len, others[i]))
            return aside(d, r, DS_FATE_LEFT, others[i]);
    const bool response = ds_bytes_are(type.value, type.value_len, "response");
    if (!response && !ds_bytes_are(type.value, type.value_len, "resource") &&
        !ds_bytes_are(type.value, type.value_len, "conversion"))
        return type.value ? aside(d, r, DS_FATE_LEFT, "unknown kind")
                          : refuse(d, r, "malformed", "it has no WARC-Type");
    r->cut = field(r, "WARC-Truncated", &f) || field(r, "WARC-Segment-Number", &f);
    r->payload = r->body;
    r->npayload = r->nbody;
    if (response && field(r, "Content-Type", &f) &&
        ds_bytes_begin(f.value, f.value_len, "text/dns"))
        return aside(d, r, DS_FATE_LEFT, "dns");
    if (response && !open_response(r))
        return refuse(d, r, "malformed", "it is no HTTP response");
    return document(d, r);
}

/* ---- as textread wants it ---- */

static int warc_open(void *ctx, void **state, const char *name, const uint8_t *p, size_t len,
                     size_t *used, ds_buf *note, const char **reason, ds_err *err)
{
    (void)name;
    if (ds_textfacts_note(note, ctx) != 0)
        return ds_fail_nomem(err);
    *used = 0;
    *state = ctx;
    *reason = "no WARC";
    return ds_warcframe_begins(p, len)
               ? 0
               : ds_fail(err, DS_FAIL, "it does not begin as a WARC does (WARC/1.0)");
}

static size_t warc_whole(const void *state, const uint8_t *p, size_t len)
{
    size_t whole = 0;
    ds_warcframe f = {0};
    (void)state;
    while (whole < len && ds_warcframe_next(&f, p + whole, len - whole, false) == DS_WARC_FOUND)
        whole += f.end;
    return whole;
}

static int warc_pass(const void *state, ds_buf *before, const uint8_t *p, size_t len)
{
    (void)state;
    (void)before;
    (void)p;
    (void)len;
    return 0;
}

static size_t warc_resync(const void *state, const uint8_t *p, size_t len, bool first,
                          uint64_t *skip)
{
    (void)state;
    ds_warcframe f;
    *skip = first && ds_warcframe_head(&f, p, len) ? f.body + f.says : 0;
    return *skip ? 0 : ds_warcframe_resync(p, len);
}

static void leave(desk *d)
{
    for (size_t i = 0; i < sizeof d->mem / sizeof *d->mem; i++)
        ds_buf_fini(&d->mem[i]);
    ds_buf_fini(&d->text);
    ds_buf_fini(&d->title);
    ds_buf_fini(&d->said);
    ds_buf_fini(&d->page);
}

/* An image may be as long as it likes: it is held for what it is. */
static int warc_big(const void *state, ds_textbatch *b, const uint8_t *p, size_t len)
{
    desk d = {.o = state, .b = b};
    ds_warcframe f;
    if (!ds_warcframe_head(&f, p, len))
        return 0;
    item r = {.head = p + f.head,
              .nhead = f.nhead,
              .body = p + f.body,
              .nbody = len - f.body,
              .where = {.len = SIZE_MAX, .raw = p}};
    const int rc = one_record(&d, &r);
    leave(&d);
    return rc;
}

static int warc_records(const void *state, ds_textbatch *b, const ds_textblock *k)
{
    desk d = {.o = state, .b = b};
    ds_warcframe f = {0};
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < k->len; at += f.end) {
        const uint8_t *p = k->p + at;
        if (ds_warcframe_next(&f, p, k->len - at, true) == DS_WARC_NONE)
            break;
        const size_t whole = f.why ? f.end : f.body + f.nbody;
        item r = {.head = p + f.head,
                  .nhead = f.nhead,
                  .body = p + f.body,
                  .nbody = f.nbody,
                  .where = {.offset = k->base + at + f.start,
                            .len = whole - f.start,
                            .raw = p + f.start}};
        rc = f.why ? refuse(&d, &r, "damaged record", f.why) : one_record(&d, &r);
    }
    leave(&d);
    return rc;
}

static void warc_close(void *state)
{
    (void)state;
}

const ds_rowparser ds_warc_parser = {.open = warc_open,
                                     .whole = warc_whole,
                                     .pass = warc_pass,
                                     .resync = warc_resync,
                                     .big = warc_big,
                                     .records = warc_records,
                                     .close = warc_close};
