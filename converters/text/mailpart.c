/* mailpart.c - see mailpart.h. */
#include "mailpart.h"

#include <stdlib.h>
#include <string.h>

#include "headfield.h"
#include "html.h"
#include "json.h"
#include "mailcode.h"
#include "utf8.h"
#include "webcharset.h"

enum show { SHOW_TEXT, SHOW_NAMES }; /* SHOW_NAMES: of what is not shown, what is attached to it */

typedef struct part {
    const uint8_t *head, *body;
    size_t nhead, nbody;
    ds_headfield type, disposition; /* whole values */
    const uint8_t *is;              /* of the type, what is before its parameters */
    size_t nis;
} part;

static int read_part(ds_mailtext *m, const uint8_t *p, size_t len, bool digest, int depth,
                     enum show show, ds_err *err);

void ds_mailtext_fini(ds_mailtext *m)
{
    ds_buf_fini(&m->text);
    ds_buf_fini(&m->attachments);
    ds_buf_fini(&m->type);
    ds_buf_fini(&m->word);
    ds_buf_fini(&m->bytes);
    ds_buf_fini(&m->decoded);
    memset(m, 0, sizeof *m);
}

size_t ds_mail_head(const uint8_t *p, size_t len)
{
    const size_t n = ds_headfield_end(p, len);
    return n ? n : len;
}

/* ---- one part ---- */

static void open_part(part *a, const uint8_t *p, size_t len, bool digest)
{
    static const uint8_t text[] = "text/plain", message[] = "message/rfc822";
    *a = (part){.head = p, .nhead = ds_mail_head(p, len)};
    a->body = p + a->nhead;
    a->nbody = len - a->nhead;
    (void)ds_headfield_find(p, a->nhead, "Content-Disposition", &a->disposition);
    if (ds_headfield_find(p, a->nhead, "Content-Type", &a->type)) {
        a->is = a->type.value;
        while (a->nis < a->type.value_len && a->is[a->nis] != ';' && !ds_ascii_white(a->is[a->nis]))
            a->nis++;
    }
    /* What has no type, or one that is none: RFC 2045, section 5.2, and 2046, section 5.1.5. */
    const uint8_t *slash = a->nis ? memchr(a->is, '/', a->nis) : NULL;
    if (!slash || slash == a->is || slash + 1 == a->is + a->nis) {
        a->is = digest ? message : text;
        a->nis = digest ? sizeof message - 1 : sizeof text - 1;
    }
}

static bool is_type(const part *a, const char *type)
{
    return ds_bytes_are(a->is, a->nis, type);
}

static bool is_a(const part *a, const char *kind)
{
    return ds_bytes_begin(a->is, a->nis, kind);
}

static bool is_attached(const part *a)
{
    const ds_headfield *d = &a->disposition;
    const size_t n = strlen("attachment");
    return ds_bytes_begin(d->value, d->value_len, "attachment") &&
           (d->value_len == n || d->value[n] == ';' || ds_ascii_white(d->value[n]));
}

static bool is_shown(const part *a)
{
    static const char *const types[] = {"text/plain", "text/html", "text/markdown", "text/x-patch",
                                        "text/x-diff"};
    bool is = false;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        is |= is_type(a, types[i]);
    return is && !is_attached(a);
}

/* The content without its transfer encoding: in place, or in m->bytes. */
static int decode(ds_mailtext *m, const part *a, const uint8_t **p, size_t *len)
{
    ds_headfield how;
    (void)ds_headfield_find(a->head, a->nhead, "Content-Transfer-Encoding", &how);
    *p = a->body;
    *len = a->nbody;
    m->bytes.len = 0;
    int rc = 0;
    if (ds_bytes_are(how.value, how.value_len, "base64"))
        rc = ds_mail_base64(&m->bytes, a->body, a->nbody);
    else if (ds_bytes_are(how.value, how.value_len, "quoted-printable"))
        rc = ds_mail_quoted(&m->bytes, a->body, a->nbody);
    else
        return 0;
    *p = m->bytes.data;
    *len = m->bytes.len;
    return rc ? DS_NOMEM : 0;
}

/* Lines end with LF: what was on the way is not the text's. */
static void unix_lines(ds_buf *b, size_t from)
{
    size_t to = from;
    for (size_t i = from; i < b->len; i++)
        if (b->data[i] != '\r' || i + 1 == b->len || b->data[i + 1] != '\n')
            b->data[to++] = b->data[i];
    b->len = to > from || b->len > from ? to : b->len;
}

/* A blank line between what is there and what comes. */
static int between(ds_buf *text)
{
    if (text->len == 0)
        return 0;
    while (text->len > 0 && text->data[text->len - 1] == '\n')
        text->len--;
    return ds_buf_put(text, "\n\n", 2);
}

/* The encoding that a part says; "" for those that every mail program says without knowing. */
static int said_charset(ds_mailtext *m, const part *a)
{
    static const char *const unsaid[] = {"us-ascii", "ascii",          "unknown-8bit", "x-unknown",
                                         "unknown",  "ansi_x3.4-1968", "default"};
    ds_buf *w = &m->word;
    w->len = 0;
    if (ds_mail_param(w, a->type.value, a->type.value_len, "charset") < 0)
        return DS_NOMEM;
    for (size_t i = 0; w->len > 0 && i < sizeof unsaid / sizeof *unsaid; i++)
        if (ds_bytes_are(w->data, w->len, unsaid[i]))
            w->len = 0;
    return ds_buf_putc(w, 0);
}

static int show_text(ds_mailtext *m, const part *a, ds_err *err)
{
    const uint8_t *p;
    size_t len;
    if (decode(m, a, &p, &len) != 0 || said_charset(m, a) != 0)
        return ds_fail_nomem(err);
    const char *said[2] = {(const char *)m->word.data, NULL};
    const bool page = is_type(a, "text/html");
    const size_t label = m->word.len;
    if (page && (ds_webcharset_meta(p, len, &m->word) < 0 || ds_buf_putc(&m->word, 0) != 0))
        return ds_fail_nomem(err);
    said[0] = (const char *)m->word.data;
    said[1] = page ? said[0] + label : NULL;
    m->decoded.len = 0;
    int rc = ds_webcharset_text(&m->decoded, p, len, said, 2, m->otherwise, false, err);
    if (rc != 0)
        return rc;
    unix_lines(&m->decoded, 0);
    if (m->decoded.len == 0)
        return 0;
    const size_t before = m->text.len;
    if (between(&m->text) != 0)
        return ds_fail_nomem(err);
    const size_t from = m->text.len;
    if ((page ? ds_html_text(&m->text, NULL, m->decoded.data, m->decoded.len)
              : ds_buf_put(&m->text, m->decoded.data, m->decoded.len)) != 0)
        return ds_fail_nomem(err);
    if (m->text.len == from && before > 0)
        m->text.len--; /* a page of nothing: the line's end that was there stays */
    return 0;
}

/* ---- attachments ---- */

static int put_type(ds_buf *out, const part *a)
{
    ds_buf t = {0};
    for (size_t i = 0; i < a->nis; i++)
        if (ds_buf_putc(&t, a->is[i] >= 'A' && a->is[i] <= 'Z' ? a->is[i] | 0x20 : a->is[i]) != 0)
            break;
    const int rc = ds_json_str(out, (const char *)t.data, ds_utf8_check(t.data, t.len));
    ds_buf_fini(&t);
    return rc;
}

static int list_attachment(ds_mailtext *m, const part *a, ds_err *err)
{
    const uint8_t *p;
    size_t len;
    ds_buf *w = &m->word, *out = &m->attachments;
    w->len = 0;
    if (decode(m, a, &p, &len) != 0)
        return ds_fail_nomem(err);
    int got = ds_mail_param(w, a->disposition.value, a->disposition.value_len, "filename");
    if (got == 0)
        got = ds_mail_param(w, a->type.value, a->type.value_len, "name");
    int rc = got < 0;
    if (out->len > 0)
        rc |= ds_buf_putc(out, ',');
    rc |= ds_buf_putc(out, '{');
    if (w->len > 0) {
        rc |= ds_buf_puts(out, "\"name\":");
        rc |= ds_json_str(out, (const char *)w->data, ds_utf8_check(w->data, w->len));
        rc |= ds_buf_putc(out, ',');
    }
    rc |= ds_buf_puts(out, "\"type\":");
    rc |= put_type(out, a);
    rc |= ds_buf_printf(out, ",\"bytes\":%zu}", len);
    return rc ? ds_fail_nomem(err) : 0;
}

/* ---- parts of parts ---- */

/* The next line at *at that is a boundary: "--" and the word, "--" behind the last, blanks. */
static bool find_boundary(const part *a, const ds_buf *word, size_t *at, size_t *end, bool *last)
{
    const uint8_t *p = a->body, *stop = p + a->nbody;
    for (const uint8_t *q = p + *at; q < stop;) {
        const uint8_t *lf = memchr(q, '\n', (size_t)(stop - q)), *next = lf ? lf + 1 : stop;
        size_t n = (size_t)(next - q);
        if (n >= word->len + 2 && q[0] == '-' && q[1] == '-' &&
            memcmp(q + 2, word->data, word->len) == 0) {
            const uint8_t *r = q + 2 + word->len;
            *last = next - r >= 2 && r[0] == '-' && r[1] == '-';
            r += *last ? 2 : 0;
            while (r < next && ds_ascii_white(*r))
                r++;
            if (r == next) {
                *at = (size_t)(q - p);
                *end = (size_t)(next - p);
                return true;
            }
        }
        q = next;
    }
    return false;
}

typedef struct parts {
    size_t *from, *to; /* in the body */
    size_t n, cap, cap2;
} parts;

/* The line end before a boundary is the boundary's. */
static size_t without_end(const uint8_t *p, size_t from, size_t to)
{
    if (to > from && p[to - 1] == '\n')
        to--;
    if (to > from && p[to - 1] == '\r')
        to--;
    return to;
}

static int split(ds_mailtext *m, const part *a, parts *v, ds_err *err)
{
    ds_buf *w = &m->word;
    size_t at = 0, end = 0, from = 0;
    bool last = false, open = false;
    w->len = 0;
    const int got = ds_headfield_param(a->type.value, a->type.value_len, "boundary", w);
    if (got <= 0 || w->len == 0)
        return got < 0 ? ds_fail_nomem(err) : 0;
    while (w->len > 1 && ds_ascii_white(w->data[w->len - 1]))
        w->len--;
    for (;;) {
        const bool found = !last && find_boundary(a, w, &at, &end, &last);
        if (open) {
            if (ds_grow(&v->from, &v->cap, v->n, sizeof *v->from) != 0 ||
                ds_grow(&v->to, &v->cap2, v->n, sizeof *v->to) != 0)
                return ds_fail_nomem(err);
            v->from[v->n] = from;
            v->to[v->n++] = found ? without_end(a->body, from, at) : a->nbody;
        }
        if (!found)
            return 0;
        open = !last;
        from = at = end;
        if (last)
            return 0;
        if (v->n + m->parts > DS_MAIL_PARTS)
            return ds_fail(err, DS_FAIL, "it has more than %d parts", DS_MAIL_PARTS);
    }
}

/* Of alternatives: the first that is plain text and has some, else the last that can be shown. */
static size_t choose(const part *a, const parts *v)
{
    size_t plain = v->n, any = v->n;
    for (size_t i = 0; i < v->n; i++) {
        part k;
        bool blank = true;
        open_part(&k, a->body + v->from[i], v->to[i] - v->from[i], false);
        for (size_t c = 0; blank && c < k.nbody; c++)
            blank = ds_ascii_white(k.body[c]);
        if (plain == v->n && !blank && is_type(&k, "text/plain") && !is_attached(&k))
            plain = i;
        if (is_shown(&k) || is_a(&k, "multipart/"))
            any = i;
    }
    return plain < v->n ? plain : any;
}

static int read_parts(ds_mailtext *m, const part *a, int depth, enum show show, ds_err *err)
{
    parts v = {0};
    const bool digest = is_type(a, "multipart/digest"), alt = is_type(a, "multipart/alternative");
    const bool one = alt || is_type(a, "multipart/related");
    int rc = split(m, a, &v, err);
    if (rc == 0 && is_type(a, "multipart/encrypted"))
        m->encrypted = true;
    if (rc == 0 && v.n == 0 && show == SHOW_TEXT) {
        part text = *a; /* of parts that are not there */
        static const uint8_t plain[] = "text/plain";
        text.is = plain;
        text.nis = sizeof plain - 1;
        rc = show_text(m, &text, err);
    }
    const size_t shown = alt ? choose(a, &v) : 0;
    m->parts += v.n;
    for (size_t i = 0; rc == 0 && i < v.n; i++) {
        const enum show how = show == SHOW_TEXT && (!one || i == shown) ? SHOW_TEXT : SHOW_NAMES;
        part k;
        open_part(&k, a->body + v.from[i], v.to[i] - v.from[i], digest);
        if (how == SHOW_NAMES && is_shown(&k) && alt)
            continue; /* the same again, in another form */
        rc = read_part(m, k.head, k.nhead + k.nbody, digest, depth + 1, how, err);
    }
    free(v.from);
    free(v.to);
    return rc;
}

/* ---- messages within ---- */

static int put_field(ds_mailtext *m, const part *inner, const char *name)
{
    ds_headfield f;
    if (!ds_headfield_find(inner->head, inner->nhead, name, &f))
        return 0;
    m->word.len = 0;
    if (ds_mail_header(&m->word, f.value, f.value_len) != 0)
        return DS_NOMEM;
    const size_t n = ds_utf8_check(m->word.data, m->word.len);
    return ds_buf_puts(&m->text, name) || ds_buf_puts(&m->text, ": ") ||
                   ds_buf_put(&m->text, m->word.data, n) || ds_buf_putc(&m->text, '\n')
               ? DS_NOMEM
               : 0;
}

static int read_message(ds_mailtext *m, const part *a, int depth, enum show show, ds_err *err)
{
    static const char *const names[] = {"From", "To", "Cc", "Date", "Subject"};
    part inner;
    const uint8_t *p;
    size_t len;
    ds_buf own = {0};
    if (decode(m, a, &p, &len) != 0)
        return ds_fail_nomem(err);
    int rc = 0;
    if (p != a->body) { /* m->bytes is used for the parts in it */
        own = m->bytes;
        m->bytes = (ds_buf){0};
    }
    open_part(&inner, p, len, false);
    if (show == SHOW_TEXT && between(&m->text) != 0)
        rc = DS_NOMEM;
    for (size_t i = 0; rc == 0 && show == SHOW_TEXT && i < sizeof names / sizeof *names; i++)
        rc = put_field(m, &inner, names[i]);
    if (rc != 0)
        rc = ds_fail_nomem(err);
    else
        rc = read_part(m, p, len, false, depth + 1, show, err);
    ds_buf_fini(&own);
    return rc;
}

static int read_part(ds_mailtext *m, const uint8_t *p, size_t len, bool digest, int depth,
                     enum show show, ds_err *err)
{
    part a;
    open_part(&a, p, len, digest);
    if (depth > DS_MAIL_DEPTH)
        return ds_fail(err, DS_FAIL, "its parts are nested more than %d deep", DS_MAIL_DEPTH);
    if (is_a(&a, "multipart/"))
        return read_parts(m, &a, depth, show, err);
    if (is_type(&a, "message/rfc822") || is_type(&a, "message/global"))
        return read_message(m, &a, depth, show, err);
    if (is_shown(&a) && show == SHOW_TEXT)
        return show_text(m, &a, err);
    if (is_type(&a, "application/pkcs7-mime") || is_type(&a, "application/x-pkcs7-mime"))
        m->encrypted = true;
    return list_attachment(m, &a, err);
}

int ds_mailtext_read(ds_mailtext *m, const uint8_t *p, size_t len, const char *otherwise,
                     ds_err *err)
{
    m->text.len = m->attachments.len = 0;
    m->parts = 0;
    m->encrypted = false;
    m->otherwise = otherwise;
    return read_part(m, p, len, false, 0, SHOW_TEXT, err);
}
