/* mail.c - see mail.h. */
#include "mail.h"

#include <string.h>

#include "headfield.h"
#include "json.h"
#include "mailcode.h"
#include "mailpart.h"
#include "textfact.h"
#include "utf8.h"

/* ---- where a message of a box ends ---- */

/* The line at p begins a message: "From ", and somewhere in it a time. */
static bool postmark(const uint8_t *p, size_t len)
{
    const uint8_t *lf = len > 5 && memcmp(p, "From ", 5) == 0 ? memchr(p, '\n', len) : NULL;
    for (const uint8_t *q = p + 5; lf && q + 2 < lf; q++)
        if (*q == ':' && q[-1] >= '0' && q[-1] <= '9' && q[1] >= '0' && q[1] <= '9')
            return true;
    return false;
}

/* Where the next message begins behind p, which is behind a blank line (or LF); 0: none does. */
static size_t next_message(const uint8_t *p, size_t len)
{
    const uint8_t *q = p, *end = p + len;
    while (len > 0 && (q = memmem(q, (size_t)(end - q), "\nFrom ", 6)) != NULL) {
        const bool blank =
            (q > p && q[-1] == '\n') || (q > p + 1 && q[-1] == '\r' && q[-2] == '\n');
        if (blank && postmark(q + 1, (size_t)(end - q) - 1))
            return (size_t)(q + 1 - p);
        q++;
    }
    return 0;
}

typedef struct frame {
    size_t head, end; /* of the message, behind its "From " line; of it, without the blank line */
    size_t all;       /* where the next one begins */
    bool counted;     /* its Content-Length led there */
} frame;

static size_t over_line(const uint8_t *p, size_t len)
{
    const uint8_t *lf = len ? memchr(p, '\n', len) : NULL;
    return lf ? (size_t)(lf + 1 - p) : len;
}

/* A message begins with a field: a word without blanks, and a colon. */
static bool begins_as_mail(const uint8_t *p, size_t len)
{
    size_t n = 0;
    while (n < len && n < 200 && p[n] > ' ' && p[n] < 0x7f && p[n] != ':')
        n++;
    while (n > 0 && n < len && (p[n] == ' ' || p[n] == '\t'))
        n++;
    return n > 0 && n < len && p[n] == ':';
}

/* Whether other messages seem to begin in it: a "From " line and a field. Then a Content-Length
 * that leads behind them is one that was true of the message somewhere else. */
static bool holds_messages(const uint8_t *p, size_t len)
{
    for (size_t at = 0, n; (n = next_message(p + at, len - at)) > 0;) {
        at += n;
        const size_t line = over_line(p + at, len - at);
        if (begins_as_mail(p + at + line, len - at - line))
            return true;
    }
    return false;
}

/* The end that a Content-Length leads to; 0: to none. SIZE_MAX: more is needed to tell. */
static size_t counted_end(const frame *f, const uint8_t *p, size_t len, size_t most, bool last)
{
    ds_headfield h;
    const size_t nhead = ds_headfield_end(p + f->head, len - f->head);
    size_t n = 0;
    if (nhead == 0 || !ds_headfield_find(p + f->head, nhead, "Content-Length", &h) ||
        h.value_len == 0)
        return 0;
    for (size_t i = 0; i < h.value_len; i++) {
        if (h.value[i] < '0' || h.value[i] > '9' || n > most)
            return 0;
        n = n * 10 + (size_t)(h.value[i] - '0');
    }
    const size_t body = f->head + nhead;
    if (n > most || n > len - body)
        return n > most || last ? 0 : SIZE_MAX;
    size_t at = body + n;
    while (at < len && (p[at] == '\n' || p[at] == '\r'))
        at++;
    if (at == len && last)
        return holds_messages(p + f->head, body + n - f->head) ? 0 : body + n;
    if (at == len)
        return SIZE_MAX;
    if (over_line(p + at, len - at) == len - at && p[len - 1] != '\n' && !last)
        return SIZE_MAX;
    return at > body && p[at - 1] == '\n' && postmark(p + at, len - at) &&
                   !holds_messages(p + f->head, body + n - f->head)
               ? body + n
               : 0;
}

/* The message at p. False: more is needed to tell. */
static bool read_frame(frame *f, const uint8_t *p, size_t len, size_t most, bool last)
{
    *f = (frame){.all = len, .end = len};
    if (len >= 5 && memcmp(p, "From ", 5) == 0)
        f->head = over_line(p, len);
    const size_t counted = counted_end(f, p, len, most, last);
    if (counted == SIZE_MAX)
        return false;
    if (counted > 0) {
        f->counted = true;
        f->end = f->all = counted;
        while (f->all < len && (p[f->all] == '\n' || p[f->all] == '\r'))
            f->all++;
        return true;
    }
    const size_t next = next_message(p + f->head - (f->head > 0), len - f->head + (f->head > 0));
    if (next == 0 && !last)
        return false;
    if (next > 0)
        f->end = f->all = f->head - (f->head > 0) + next;
    /* The blank line before the next one is not the message's. */
    if (f->end > f->head && p[f->end - 1] == '\n' &&
        (f->end < 2 || p[f->end - 2] == '\n' ||
         (f->end > 2 && p[f->end - 2] == '\r' && p[f->end - 3] == '\n')))
        f->end -= p[f->end - 2] == '\r' ? 2 : 1;
    return true;
}

/* ---- one message ---- */

typedef struct desk {
    const ds_textopts *o;
    ds_textbatch *b;
    ds_mailtext m;
    ds_buf value, plain;
} desk;

/* ">From " at the beginning of a line was "From ", ">>From " was ">From ": in d->plain, if any. */
static int unquote(desk *d, const uint8_t **p, size_t *len)
{
    const uint8_t *from = *p, *end = *p + *len, *q = *p;
    d->plain.len = 0;
    while (q < end && (q = memmem(q, (size_t)(end - q), "From ", 5)) != NULL) {
        const uint8_t *c = q;
        while (c > *p && c[-1] == '>')
            c--;
        if (c < q && c > *p && c[-1] == '\n') {
            if (ds_buf_put(&d->plain, from, (size_t)(c - from)) != 0)
                return DS_NOMEM;
            from = c + 1;
        }
        q += 5;
    }
    if (from == *p)
        return 0;
    if (ds_buf_put(&d->plain, from, (size_t)(end - from)) != 0)
        return DS_NOMEM;
    *p = d->plain.data;
    *len = d->plain.len;
    return 0;
}

/* An id without its brackets and what stands around them. */
static void unbracket(const uint8_t **p, size_t *len)
{
    const uint8_t *a = *len ? memchr(*p, '<', *len) : NULL;
    const uint8_t *z = a ? memchr(a, '>', *len - (size_t)(a - *p)) : NULL;
    if (z && z > a + 1) {
        *len = (size_t)(z - a) - 1;
        *p = a + 1;
    }
}

static int add_id(desk *d, ds_textfacts *f, const char *fact, const uint8_t *h, size_t n,
                  const char *name)
{
    ds_headfield v;
    (void)ds_headfield_find(h, n, name, &v);
    unbracket(&v.value, &v.value_len);
    d->value.len = 0;
    if (ds_mail_header(&d->value, v.value, v.value_len) != 0)
        return DS_NOMEM;
    return ds_textfacts_add(f, d->b, fact, d->value.len ? d->value.data : (const uint8_t *)"",
                            d->value.len);
}

static int add_decoded(desk *d, ds_textfacts *f, const char *fact, const uint8_t *h, size_t n,
                       const char *name, int (*decode)(ds_buf *, const uint8_t *, size_t))
{
    ds_headfield v;
    if (!ds_headfield_find(h, n, name, &v))
        return 0;
    d->value.len = 0;
    if (decode(&d->value, v.value, v.value_len) != 0)
        return DS_NOMEM;
    return d->value.len ? ds_textfacts_add(f, d->b, fact, d->value.data, d->value.len) : 0;
}

static int add_text(desk *d, ds_textfacts *f, const char *fact, const uint8_t *h, size_t n,
                    const char *name)
{
    return add_decoded(d, f, fact, h, n, name, ds_mail_header);
}

static int add_addresses(desk *d, ds_textfacts *f, const char *fact, const uint8_t *h, size_t n,
                         const char *name)
{
    return add_decoded(d, f, fact, h, n, name, ds_mail_addresses);
}

/* A date that can be read, in UTC; another as it stands. */
static int add_date(desk *d, ds_textfacts *f, const uint8_t *h, size_t n)
{
    ds_headfield v;
    char utc[DS_MAIL_DATE];
    if (!ds_headfield_find(h, n, "Date", &v))
        return 0;
    return ds_mail_date(utc, v.value, v.value_len)
               ? ds_textfacts_add(f, d->b, "date", utc, strlen(utc))
               : add_text(d, f, "date_said", h, n, "Date");
}

static int add_references(desk *d, ds_textfacts *f, const uint8_t *h, size_t n)
{
    ds_headfield v;
    ds_buf *s = &d->value;
    if (!ds_headfield_find(h, n, "References", &v))
        return 0;
    s->len = 0;
    for (size_t at = 0; at < v.value_len;) {
        const uint8_t *p = v.value + at;
        size_t len = v.value_len - at;
        const uint8_t *a = memchr(p, '<', len),
                      *z = a ? memchr(a, '>', len - (size_t)(a - p)) : NULL;
        if (!z)
            break;
        at += (size_t)(z + 1 - p);
        const size_t k = (size_t)(z - a) - 1;
        if (k == 0 || ds_utf8_check(a + 1, k) != k || memchr(a + 1, 0, k))
            continue;
        if (ds_buf_putc(s, s->len ? ',' : '[') != 0 || ds_json_str(s, (const char *)a + 1, k) != 0)
            return DS_NOMEM;
    }
    if (s->len == 0)
        return 0;
    return ds_buf_putc(s, ']') ? DS_NOMEM
                               : ds_textfacts_json(f, d->b, "references", s->data, s->len);
}

static int find_facts(desk *d, ds_textfacts *f, const uint8_t *h, size_t n)
{
    ds_buf *s = &d->value;
    int rc = add_id(d, f, "message_id", h, n, "Message-ID");
    rc |= add_addresses(d, f, "from", h, n, "From");
    rc |= add_addresses(d, f, "to", h, n, "To");
    rc |= add_addresses(d, f, "cc", h, n, "Cc");
    rc |= add_date(d, f, h, n);
    rc |= add_text(d, f, "subject", h, n, "Subject");
    rc |= add_id(d, f, "in_reply_to", h, n, "In-Reply-To");
    rc |= add_references(d, f, h, n);
    if (d->m.attachments.len > 0) {
        s->len = 0;
        rc |= ds_buf_putc(s, '[');
        rc |= ds_buf_put(s, d->m.attachments.data, d->m.attachments.len);
        rc |= ds_buf_putc(s, ']');
        if (rc == 0)
            rc = ds_textfacts_json(f, d->b, "attachments", s->data, s->len);
    }
    if (d->m.encrypted)
        rc |= ds_textfacts_json(f, d->b, "encrypted", "true", 4);
    return rc ? DS_NOMEM : 0;
}

static int refuse(desk *d, const ds_textrow *w, const char *reason, const char *why)
{
    return ds_textbatch_problem(d->b, reason, w->offset, w->offset, w->raw, (size_t)w->len, "%s",
                                why);
}

static int one_message(desk *d, const ds_textrow *where, const uint8_t *p, size_t len)
{
    ds_err why = {0};
    ds_textfacts facts = {0};
    if (where->len > d->o->max_record)
        return ds_textbatch_problem(d->b, "too long", where->offset, where->offset, where->raw,
                                    (size_t)where->len, "longer than %zu bytes (--max-record)",
                                    d->o->max_record);
    if (!begins_as_mail(p, len))
        return refuse(d, where, "malformed", "it does not begin with a header field: no message");
    int rc = ds_mailtext_read(&d->m, p, len, d->o->encoding, &why);
    if (rc == DS_FAIL)
        return refuse(d, where, "bad message", why.msg);
    if (rc != 0 || find_facts(d, &facts, p, ds_mail_head(p, len)) != 0)
        return DS_NOMEM;
    const uint8_t *text = ds_textbatch_copy(d->b, d->m.text.data, d->m.text.len);
    return text ? ds_textfacts_rows(&facts, d->b, d->o, where, text, d->m.text.len) : DS_NOMEM;
}

static void leave(desk *d)
{
    ds_mailtext_fini(&d->m);
    ds_buf_fini(&d->value);
    ds_buf_fini(&d->plain);
}

/* ---- as textread wants it ---- */

static int eml_open(void *ctx, void **state, const char *name, const uint8_t *p, size_t len,
                    size_t *used, ds_buf *note, const char **reason, ds_err *err)
{
    static const uint8_t mark[] = {0xef, 0xbb, 0xbf};
    (void)name;
    if (ds_textfacts_note(note, ctx) != 0)
        return ds_fail_nomem(err);
    *used = len >= 3 && memcmp(p, mark, 3) == 0 ? 3 : 0;
    *state = ctx;
    *reason = "no message";
    if (len > 5 && memcmp(p, "From ", 5) == 0)
        *used = over_line(p, len);
    return begins_as_mail(p + *used, len - *used)
               ? 0
               : ds_fail(err, DS_FAIL, "it does not begin with a header field: no message");
}

static int mbox_open(void *ctx, void **state, const char *name, const uint8_t *p, size_t len,
                     size_t *used, ds_buf *note, const char **reason, ds_err *err)
{
    (void)name;
    if (ds_textfacts_note(note, ctx) != 0)
        return ds_fail_nomem(err);
    *used = 0;
    *state = ctx;
    *reason = "no mail box";
    while (*used < len && (p[*used] == '\n' || p[*used] == '\r'))
        ++*used;
    return len - *used > 5 && memcmp(p + *used, "From ", 5) == 0
               ? 0
               : ds_fail(err, DS_FAIL, "it does not begin with \"From \": no mail box");
}

static size_t eml_whole(const void *state, const uint8_t *p, size_t len)
{
    (void)state;
    (void)p;
    (void)len;
    return 0; /* it ends where its file does */
}

static size_t mbox_whole(const void *state, const uint8_t *p, size_t len)
{
    const ds_textopts *o = state;
    size_t whole = 0;
    frame f;
    while (whole < len && read_frame(&f, p + whole, len - whole, o->max_record, false))
        whole += f.all;
    return whole;
}

static int mail_pass(const void *state, ds_buf *before, const uint8_t *p, size_t len)
{
    (void)state;
    (void)before;
    (void)p;
    (void)len;
    return 0;
}

static size_t eml_resync(const void *state, const uint8_t *p, size_t len, bool first,
                         uint64_t *skip)
{
    (void)state;
    (void)p;
    (void)len;
    (void)first;
    *skip = 0;
    return 0;
}

static size_t mbox_resync(const void *state, const uint8_t *p, size_t len, bool first,
                          uint64_t *skip)
{
    (void)state;
    (void)first;
    *skip = 0;
    return next_message(p, len);
}

static int eml_records(const void *state, ds_textbatch *b, const ds_textblock *k)
{
    desk d = {.o = state, .b = b};
    const ds_textrow where = {.offset = k->base, .len = k->len, .raw = k->p};
    const int rc = one_message(&d, &where, k->p, k->len);
    leave(&d);
    return rc;
}

static int mbox_records(const void *state, ds_textbatch *b, const ds_textblock *k)
{
    desk d = {.o = state, .b = b};
    frame f;
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < k->len; at += f.all) {
        const uint8_t *from = k->p + at;
        (void)read_frame(&f, from, k->len - at, d.o->max_record, true);
        const ds_textrow where = {.offset = k->base + at, .len = f.end, .raw = from};
        const uint8_t *p = from + f.head;
        size_t len = f.end - f.head;
        rc = f.counted ? 0 : unquote(&d, &p, &len);
        if (rc == 0)
            rc = one_message(&d, &where, p, len);
    }
    leave(&d);
    return rc;
}

static void mail_close(void *state)
{
    (void)state;
}

const ds_rowparser ds_eml_parser = {.open = eml_open,
                                    .whole = eml_whole,
                                    .pass = mail_pass,
                                    .resync = eml_resync,
                                    .records = eml_records,
                                    .close = mail_close};
const ds_rowparser ds_mbox_parser = {.open = mbox_open,
                                     .whole = mbox_whole,
                                     .pass = mail_pass,
                                     .resync = mbox_resync,
                                     .records = mbox_records,
                                     .close = mail_close};
