/* logtable.c - see logtable.h. */
#include "logtable.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "json.h"

#define COLUMNS_MAX 4096
#define HEAD_MAX (64u << 10) /* bytes of a line that names fields */

/* What is put together before it is a column: beside the numbers of enum ds_logcol. */
enum { PART_DATE = DS_LC_N, PART_CLOCK, PART_QUERY, PART_N };

void ds_logtable_fini(ds_logtable *t)
{
    free(t->columns);
    free(t->ends);
    ds_buf_fini(&t->names);
    ds_buf_fini(&t->kind);
    ds_buf_fini(&t->unset);
    ds_buf_fini(&t->empty);
    *t = (ds_logtable){0};
}

static void forget_names(ds_logtable *t, const char *why)
{
    t->n = 0;
    t->names.len = 0;
    t->why = why;
}

static int add_name(ds_logtable *t, const uint8_t *name, size_t len, int column)
{
    if (t->n == t->cap) {
        const size_t cap = t->cap ? 2 * t->cap : 32;
        int8_t *columns = realloc(t->columns, cap * sizeof *columns);
        t->columns = columns ? columns : t->columns;
        size_t *ends = columns ? realloc(t->ends, cap * sizeof *ends) : NULL;
        if (!ends)
            return DS_NOMEM;
        t->ends = ends;
        t->cap = cap;
    }
    if (ds_json_str(&t->names, (const char *)name, len) != 0)
        return DS_NOMEM;
    t->columns[t->n] = (int8_t)column;
    t->ends[t->n++] = t->names.len;
    return 0;
}

static int to_field(ds_logline *l, const ds_logtable *t, size_t i, const uint8_t *p, size_t n)
{
    const size_t from = i ? t->ends[i - 1] : 0;
    return ds_logfield_raw(l, t->names.data + from, t->ends[i] - from, true, p, n);
}

/* A field's bytes without the doubling of its quotes. */
static int field_text(ds_logline *l, const ds_csvfield *f, const uint8_t **p, size_t *n)
{
    *p = f->p;
    *n = f->len;
    if (!f->doubled)
        return 0;
    uint8_t *out = ds_textbatch_alloc(l->b, f->len);
    if (!out)
        return DS_NOMEM;
    *n = ds_csv_unquote(out, f);
    *p = out;
    return 0;
}

/* ---- CSV ---- */

int ds_logtable_csv(ds_logtable *t, uint8_t delimiter, const uint8_t *p, size_t len, size_t *used)
{
    ds_csvrec r = {0};
    ds_buf raw = {0};
    uint32_t mask = 0;
    const uint8_t *lf = memchr(p, '\n', len);
    size_t line = lf ? (size_t)(lf - p) : len;
    const bool tabs = memchr(p, '\t', line) && !memchr(p, ',', line);
    t->delimiter = delimiter ? delimiter : tabs ? '\t' : ',';
    int rc = ds_csv_record(&r, p, len, true, t->delimiter, used);
    if (rc == 0 && (r.n < 2 || r.n > COLUMNS_MAX || !ds_text_clean(p, *used)))
        rc = DS_FAIL;
    for (size_t i = 0; rc == 0 && i < r.n; i++) {
        unsigned rank;
        raw.len = 0;
        if (ds_buf_reserve(&raw, r.v[i].len + 1) != 0)
            rc = DS_NOMEM;
        else {
            raw.len = ds_csv_unquote(raw.data, &r.v[i]);
            const int column = ds_logcol_of(raw.data, raw.len, &rank);
            rc = add_name(t, raw.data, raw.len, column);
            mask |= column >= 0 ? 1u << column : 0;
        }
    }
    ds_buf_fini(&raw);
    ds_csv_fini(&r);
    return rc ? rc : mask & (1u << DS_LC_TIME | 1u << DS_LC_TEXT) ? 0 : DS_FAIL;
}

int ds_logparse_table(ds_logline *l, const uint8_t *p, size_t len)
{
    const ds_logtable *t = &l->s->table;
    ds_csvrec *r = &l->b->csv;
    size_t used, n;
    const uint8_t *v;
    int rc = ds_csv_record(r, p, len, true, t->delimiter, &used);
    if (rc == DS_FAIL)
        return ds_logfail(l, r->at, r->why);
    if (rc != 0)
        return DS_NOMEM;
    if (r->n != t->n)
        return ds_logfail(l, 0, "more or fewer fields than the header has");
    for (size_t i = 0; i < r->n; i++) {
        if (field_text(l, &r->v[i], &v, &n) != 0)
            return DS_NOMEM;
        if ((n == 0 && t->columns[i] >= 0) || ds_logtake(l, t->columns[i], v, n))
            continue;
        if (to_field(l, t, i, v, n) != 0)
            return DS_NOMEM;
    }
    if (!l->row->v[DS_LC_TEXT].p)
        ds_logset(l, DS_LC_TEXT, p, len);
    return 0;
}

/* ---- heads ---- */

bool ds_logtable_headed(enum ds_logformat f)
{
    return f == DS_LOG_W3C || f == DS_LOG_ZEEK || f == DS_LOG_VPC;
}

/* Which column a field has by its name. */
static int column_of(enum ds_logformat f, const uint8_t *name, size_t len)
{
    static const struct {
        enum ds_logformat f;
        int column;
        const char *name;
    } known[] = {{DS_LOG_W3C, PART_DATE, "date"},
                 {DS_LOG_W3C, PART_CLOCK, "time"},
                 {DS_LOG_W3C, PART_QUERY, "cs-uri-query"},
                 {DS_LOG_W3C, DS_LC_TIME, "date-time"}, /* Exchange */
                 {DS_LOG_W3C, DS_LC_TIME, "timestamp"},
                 {DS_LOG_W3C, DS_LC_HOST, "s-computername"},
                 {DS_LOG_W3C, DS_LC_HOST, "cs-host"},
                 {DS_LOG_W3C, DS_LC_HOST, "cs(host)"},
                 {DS_LOG_W3C, DS_LC_HOST, "server-hostname"},
                 {DS_LOG_W3C, DS_LC_REMOTE, "c-ip"},
                 {DS_LOG_W3C, DS_LC_REMOTE, "client-ip"},
                 {DS_LOG_W3C, DS_LC_REMOTE, "src-ip"}, /* the Windows firewall */
                 {DS_LOG_W3C, DS_LC_USER, "cs-username"},
                 {DS_LOG_W3C, DS_LC_METHOD, "cs-method"},
                 {DS_LOG_W3C, DS_LC_PATH, "cs-uri-stem"},
                 {DS_LOG_W3C, DS_LC_PATH, "cs-uri"},
                 {DS_LOG_W3C, DS_LC_PROTOCOL, "cs-version"},
                 {DS_LOG_W3C, DS_LC_PROTOCOL, "cs-protocol-version"},
                 {DS_LOG_W3C, DS_LC_STATUS, "sc-status"},
                 {DS_LOG_W3C, DS_LC_BYTES, "sc-bytes"},
                 {DS_LOG_W3C, DS_LC_REFERER, "cs(referer)"},
                 {DS_LOG_W3C, DS_LC_AGENT, "cs(user-agent)"},
                 {DS_LOG_ZEEK, DS_LC_TIME, "ts"},
                 {DS_LOG_ZEEK, DS_LC_TEXT, "msg"},
                 {DS_LOG_ZEEK, DS_LC_TEXT, "message"},
                 {DS_LOG_ZEEK, DS_LC_HOST, "host"},
                 {DS_LOG_ZEEK, DS_LC_REMOTE, "id.orig_h"},
                 {DS_LOG_ZEEK, DS_LC_USER, "username"},
                 {DS_LOG_ZEEK, DS_LC_METHOD, "method"},
                 {DS_LOG_ZEEK, DS_LC_PATH, "uri"},
                 {DS_LOG_ZEEK, DS_LC_STATUS, "status_code"},
                 {DS_LOG_ZEEK, DS_LC_BYTES, "response_body_len"},
                 {DS_LOG_ZEEK, DS_LC_REFERER, "referrer"},
                 {DS_LOG_ZEEK, DS_LC_AGENT, "user_agent"},
                 {DS_LOG_VPC, DS_LC_TIME, "start"},
                 {DS_LOG_VPC, DS_LC_REMOTE, "srcaddr"},
                 {DS_LOG_VPC, DS_LC_BYTES, "bytes"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].f == f && strlen(known[i].name) == len &&
            strncasecmp(known[i].name, (const char *)name, len) == 0)
            return known[i].column;
    return -1;
}

/* The names in (p, len), a delimiter between them. */
static int set_names(ds_logtable *t, enum ds_logformat f, const uint8_t *p, size_t len)
{
    const bool blanks = t->delimiter == ' ';
    forget_names(t, NULL);
    if (!ds_text_clean(p, len)) {
        t->why = "the line before it that names the fields is no text";
        return 0;
    }
    for (size_t at = 0, n; len > 0 && at <= len; at += n + 1) {
        for (n = 0; at + n < len && p[at + n] != t->delimiter && (!blanks || p[at + n] != '\t');)
            n++;
        if (n == 0 && blanks)
            continue;
        if (t->n == COLUMNS_MAX) {
            forget_names(t, "the line before it names more than 4096 fields");
            return 0;
        }
        if (add_name(t, p + at, n, column_of(f, p + at, n)) != 0)
            return DS_NOMEM;
    }
    return 0;
}

/* Lines of a head by the words that they begin with: each takes the place of the one before it. */
enum head { FIELDS, DATE, SEPARATOR, NAMES, PATH, UNSET, EMPTY, NHEADS };
static const char *const words[NHEADS] = {"#Fields:", "#Date:",       "#separator",  "#fields",
                                          "#path",    "#unset_field", "#empty_field"};

/* NHEADS: nothing depends on the line. */
static enum head head_of(const uint8_t *p, size_t len)
{
    enum head h = FIELDS;
    while (h < NHEADS && (len < strlen(words[h]) || memcmp(p, words[h], strlen(words[h])) != 0))
        h++;
    return h;
}

/* (p, len): what stands behind the word; so below. */
static int w3c_line(ds_logtable *t, enum head h, const uint8_t *p, size_t len)
{
    while (len > 0 && *p == ' ') {
        p++;
        len--;
    }
    if (h == DATE) {
        const bool date = len >= 10 && p[4] == '-' && p[7] == '-';
        memcpy(t->date, date ? p : (const uint8_t[10]){0}, 10);
    }
    if (h != FIELDS)
        return 0;
    const bool commas =
        memchr(p, ',', len) && !memchr(p, ' ', len) && !memchr(p, '\t', len); /* Exchange */
    t->delimiter = commas ? ',' : ' ';
    return set_names(t, DS_LOG_W3C, p, len);
}

/* The byte that two hex digits write; -1 where they are none. */
static int hex_pair(const uint8_t *p)
{
    const int a = ds_hex_digit(p[0]), b = ds_hex_digit(p[1]);
    return a < 0 || b < 0 ? -1 : a << 4 | b;
}

/* Begins a head. */
static void set_separator(ds_logtable *t, const uint8_t *p, size_t len)
{
    const int coded = len == 5 && p[1] == '\\' && p[2] == 'x' ? hex_pair(p + 3) : -1;
    forget_names(t, NULL);
    t->kind.len = t->unset.len = t->empty.len = 0;
    t->delimiter = coded >= 0 ? (uint8_t)coded : len == 2 ? p[1] : '\t';
}

static int zeek_line(ds_logtable *t, enum head h, const uint8_t *p, size_t len)
{
    if (h == SEPARATOR)
        set_separator(t, p, len);
    if (h < NAMES || h == NHEADS)
        return 0;
    t->delimiter = t->delimiter ? t->delimiter : '\t';
    const bool said = len > 0 && *p == t->delimiter;
    p += said;
    len = said ? len - 1 : 0;
    if (h == NAMES)
        return set_names(t, DS_LOG_ZEEK, p, len);
    ds_buf *to = h == PATH ? &t->kind : h == UNSET ? &t->unset : &t->empty;
    to->len = 0;
    return h != PATH || ds_text_clean(p, len) ? ds_buf_put(to, p, len) : 0;
}

/* Only words of small letters and hyphens, and among them one that a flow log has: a record has
 * numbers. */
static bool is_vpc_head(const uint8_t *p, size_t len)
{
    if (len == 0 || len > HEAD_MAX || p[0] < 'a' || p[0] > 'z')
        return false;
    for (size_t i = 0; i < len; i++)
        if ((p[i] < 'a' || p[i] > 'z') && p[i] != '-' && p[i] != ' ')
            return false;
    return memmem(p, len, "srcaddr", 7) || memmem(p, len, "interface-id", 12);
}

int ds_logtable_line(ds_logtable *t, enum ds_logformat f, const uint8_t *p, size_t len, bool *head)
{
    *head = ds_logtable_headed(f) && len > 0 && (f == DS_LOG_VPC ? is_vpc_head(p, len) : *p == '#');
    if (!*head)
        return 0;
    const enum head h = f == DS_LOG_VPC ? NHEADS : head_of(p, len);
    const size_t word = h < NHEADS ? strlen(words[h]) : 0;
    if (len > HEAD_MAX) {
        if (word)
            forget_names(t, "a line of the head before it is longer than 64 KiB");
        return 0;
    }
    if (f == DS_LOG_W3C)
        return w3c_line(t, h, p + word, len - word);
    if (f == DS_LOG_ZEEK)
        return zeek_line(t, h, p + word, len - word);
    t->delimiter = ' ';
    return set_names(t, f, p, len);
}

/* Takes the line of the same kind away, and puts this one at the end. One that is too long stands
 * there cut off, and says the same. */
static int put_head(ds_buf *before, const uint8_t *p, size_t len, enum head h)
{
    for (size_t at = 0, n; at < before->len; at += n) {
        const uint8_t *q = before->data + at;
        n = (size_t)((const uint8_t *)memchr(q, '\n', before->len - at) + 1 - q);
        if (head_of(q, n) != h)
            continue;
        memmove(before->data + at, q + n, before->len - at - n);
        before->len -= n;
        break;
    }
    if (len > HEAD_MAX)
        len = HEAD_MAX + 1;
    return ds_buf_put(before, p, len) || ds_buf_putc(before, '\n') ? DS_NOMEM : 0;
}

int ds_logtable_pass(ds_buf *before, const uint8_t *p, size_t len)
{
    struct {
        size_t at, len; /* len 0: there is none */
    } last[NHEADS + 1] = {0}, *first;
    for (size_t at = 0, n; at < len; at += n) {
        const uint8_t *lf = memchr(p + at, '\n', len - at);
        n = lf ? (size_t)(lf + 1 - p) - at : len - at;
        const size_t line = ds_text_without_end(p + at, n);
        const enum head h = p[at] == '#' ? head_of(p + at, line) : NHEADS;
        if (h < NHEADS || is_vpc_head(p + at, line)) {
            last[h].at = at;
            last[h].len = line;
        }
    }
    do { /* in their order */
        first = NULL;
        for (size_t h = 0; h <= NHEADS; h++)
            if (last[h].len && (!first || last[h].at < first->at))
                first = &last[h];
        if (first && put_head(before, p + first->at, first->len, (enum head)(first - last)) != 0)
            return DS_NOMEM;
        if (first)
            first->len = 0;
    } while (first);
    return 0;
}

int ds_logtable_begin(ds_logtable *t, enum ds_logformat f, const ds_buf *before)
{
    int rc = 0;
    bool head;
    for (size_t at = 0, n; rc == 0 && at < before->len; at += n) {
        const uint8_t *p = before->data + at;
        n = (size_t)((const uint8_t *)memchr(p, '\n', before->len - at) + 1 - p);
        rc = ds_logtable_line(t, f, p, n - 1, &head);
    }
    return rc;
}

/* ---- records under a head ---- */

/* Where the fields of a line are looked for. */
typedef struct fields {
    const uint8_t *p;
    size_t len, at;
    uint8_t delimiter;
    bool blanks, quotes, more;
} fields;

/* A quote that a field begins with is one when another stands before the next delimiter or the
 * end. */
static bool quoted(fields *s, ds_csvfield *f)
{
    const uint8_t *end = s->p + s->len, *q = s->p + s->at + 1;
    f->p = q;
    f->doubled = false;
    while ((q = memchr(q, '"', (size_t)(end - q))) != NULL && q + 1 < end && q[1] != s->delimiter) {
        if (q[1] != '"')
            return false;
        f->doubled = true;
        q += 2;
    }
    if (!q)
        return false;
    f->len = (size_t)(q - f->p);
    s->at = (size_t)(q + 1 - s->p);
    return true;
}

static bool next_field(fields *s, ds_csvfield *f)
{
    while (s->blanks && s->at < s->len && s->p[s->at] == ' ')
        s->at++;
    if (s->blanks ? s->at == s->len : !s->more)
        return false;
    if (!s->quotes || s->at == s->len || s->p[s->at] != '"' || !quoted(s, f)) {
        const uint8_t *from = s->p + s->at, *d = memchr(from, s->delimiter, s->len - s->at);
        *f = (ds_csvfield){from, (size_t)((d ? d : s->p + s->len) - from), false};
        s->at += f->len;
    }
    s->more = s->at < s->len;
    s->at += s->more;
    return true;
}

static fields fields_of(const ds_logtable *t, enum ds_logformat f, const uint8_t *p, size_t len)
{
    /* CloudFront separates names by blanks and values by tabs. */
    const bool tabs = t->delimiter == ' ' && memchr(p, '\t', len);
    const uint8_t d = tabs ? '\t' : t->delimiter;
    return (fields){.p = p,
                    .len = len,
                    .delimiter = d,
                    .blanks = d == ' ',
                    .quotes = f == DS_LOG_W3C,
                    .more = len > 0};
}

static bool is_word(const ds_buf *w, const uint8_t *p, size_t n)
{
    return w->len == n && n > 0 && memcmp(w->data, p, n) == 0;
}

/* No value: -, or what the head says. */
static bool is_missing(const ds_logtable *t, const uint8_t *p, size_t n)
{
    return t->unset.len ? is_word(&t->unset, p, n) : n == 0 || (n == 1 && *p == '-');
}

/* What IIS writes for a blank (+), and CloudFront for all that is not plain (%20): undone where the
 * result is text. */
static int undo_agent(ds_logline *l, bool blanks, const uint8_t **p, size_t *n)
{
    if (!memchr(*p, blanks ? '+' : '%', *n) || (blanks && memchr(*p, ' ', *n)))
        return 0;
    uint8_t *out = ds_textbatch_alloc(l->b, *n);
    size_t k = 0;
    if (!out)
        return DS_NOMEM;
    for (size_t i = 0; i < *n; i++) {
        const uint8_t *c = *p + i;
        const int coded = !blanks && *c == '%' && *n - i > 2 ? hex_pair(c + 1) : -1;
        out[k++] = coded >= 0 ? (uint8_t)coded : blanks && *c == '+' ? ' ' : *c;
        i += coded >= 0 ? 2 : 0;
    }
    if (blanks || ds_text_clean(out, k)) {
        *p = out;
        *n = k;
    }
    return 0;
}

typedef struct part {
    const uint8_t *p; /* NULL: not there */
    size_t n, i;      /* i: of the field */
} part;

static int one_field(ds_logline *l, const fields *s, size_t i, const ds_csvfield *f, part *parts)
{
    const ds_logtable *t = &l->table;
    const int c = t->columns[i];
    const uint8_t *v;
    size_t n;
    if (is_missing(t, f->p, f->len))
        return 0;
    int rc = field_text(l, f, &v, &n);
    if (rc == 0 && is_word(&t->empty, v, n))
        n = 0;
    if (rc == 0 && c == DS_LC_AGENT && l->s->format == DS_LOG_W3C && s->delimiter != ',')
        rc = undo_agent(l, s->blanks, &v, &n);
    if (rc == 0 && c >= DS_LC_N && !parts[c - DS_LC_N].p) {
        parts[c - DS_LC_N] = (part){v, n, i};
        return 0;
    }
    if (rc != 0 || (c < DS_LC_N && ds_logtake(l, c, v, n)))
        return rc;
    return to_field(l, t, i, v, n);
}

/* Date and time of day, the date perhaps from the head, as one. */
static int put_time(ds_logline *l, const part *date, const part *clock)
{
    const ds_logtable *t = &l->table;
    char text[64];
    const uint8_t *d = date->p ? date->p : (const uint8_t *)t->date;
    const size_t n = date->p ? date->n : t->date[0] ? sizeof t->date : 0;
    if (clock->p && n > 0 && n + 1 + clock->n <= sizeof text) {
        memcpy(text, d, n);
        text[n] = ' ';
        memcpy(text + n + 1, clock->p, clock->n);
        if (ds_logtake(l, DS_LC_TIME, (const uint8_t *)text, n + 1 + clock->n))
            return 0;
    }
    int rc = date->p ? to_field(l, t, date->i, date->p, date->n) : 0;
    return rc == 0 && clock->p ? to_field(l, t, clock->i, clock->p, clock->n) : rc;
}

/* The path with its query, as access logs have it. */
static int put_query(ds_logline *l, const part *query)
{
    ds_logcell *path = &l->row->v[DS_LC_PATH];
    if (!query->p)
        return 0;
    if (!path->p)
        return to_field(l, &l->table, query->i, query->p, query->n);
    const size_t n = (size_t)path->n;
    uint8_t *out = ds_textbatch_alloc(l->b, n + 1 + query->n);
    if (!out)
        return DS_NOMEM;
    memcpy(out, path->p, n);
    out[n] = '?';
    memcpy(out + n + 1, query->p, query->n);
    *path = (ds_logcell){out, (int64_t)(n + 1 + query->n)};
    return 0;
}

int ds_logparse_named(ds_logline *l, const uint8_t *p, size_t len)
{
    const ds_logtable *t = &l->table;
    fields s = fields_of(t, l->s->format, p, len);
    part parts[PART_N - DS_LC_N] = {0};
    ds_csvfield f;
    size_t i = 0;
    int rc = 0;
    if (t->n == 0)
        return ds_logfail(l, 0, t->why ? t->why : "no line before it names the fields");
    for (; rc == 0 && i < t->n && next_field(&s, &f); i++)
        rc = one_field(l, &s, i, &f, parts);
    if (rc == 0 && (i < t->n || next_field(&s, &f)))
        return ds_logfail(l, i < t->n ? len : (size_t)(f.p - p),
                          "more or fewer fields than the line that names them has");
    if (rc == 0)
        rc = put_time(l, &parts[PART_DATE - DS_LC_N], &parts[PART_CLOCK - DS_LC_N]);
    if (rc == 0)
        rc = put_query(l, &parts[PART_QUERY - DS_LC_N]);
    if (rc == 0 && t->kind.len) {
        const uint8_t *kind = ds_textbatch_copy(l->b, t->kind.data, t->kind.len);
        if (!kind)
            return DS_NOMEM;
        ds_logset(l, DS_LC_PROGRAM, kind, t->kind.len);
    }
    if (!l->row->v[DS_LC_TEXT].p)
        ds_logset(l, DS_LC_TEXT, p, len);
    return rc;
}

/* ---- AWS application load balancers, whose fields are always the same ---- */

/* In their order, as the documentation of Elastic Load Balancing names them; newer ones stand
 * behind those before. */
static const struct {
    const char *name;
    int column;
} alb_fields[] = {{"type", -1},
                  {"time", DS_LC_TIME},
                  {"elb", -1},
                  {"client:port", DS_LC_REMOTE},
                  {"target:port", -1},
                  {"request_processing_time", -1},
                  {"target_processing_time", -1},
                  {"response_processing_time", -1},
                  {"elb_status_code", DS_LC_STATUS},
                  {"target_status_code", -1},
                  {"received_bytes", -1},
                  {"sent_bytes", DS_LC_BYTES},
                  {"request", DS_LC_TEXT},
                  {"user_agent", DS_LC_AGENT},
                  {"ssl_cipher", -1},
                  {"ssl_protocol", -1},
                  {"target_group_arn", -1},
                  {"trace_id", -1},
                  {"domain_name", DS_LC_HOST},
                  {"chosen_cert_arn", -1},
                  {"matched_rule_priority", -1},
                  {"request_creation_time", -1},
                  {"actions_executed", -1},
                  {"redirect_url", -1},
                  {"error_reason", -1},
                  {"target:port_list", -1},
                  {"target_status_code_list", -1},
                  {"classification", -1},
                  {"classification_reason", -1},
                  {"conn_trace_id", -1}};
enum { ALB_LEAST = 14, ALB_MOST = sizeof alb_fields / sizeof *alb_fields };

static int alb_field(ds_logline *l, size_t i, const ds_csvfield *f)
{
    const uint8_t *v, *port;
    size_t n;
    const int column = alb_fields[i].column;
    if (f->len == 0 || (f->len == 1 && *f->p == '-'))
        return 0;
    if (field_text(l, f, &v, &n) != 0)
        return DS_NOMEM;
    if (column == DS_LC_TEXT) {
        ds_logset_request(l, v, n);
        return 0;
    }
    if (column == DS_LC_REMOTE && (port = memrchr(v, ':', n)) != NULL) {
        if (ds_logfield(l, "client_port", port + 1, (size_t)(v + n - port) - 1) != 0)
            return DS_NOMEM;
        n = (size_t)(port - v);
    }
    return ds_logtake(l, column, v, n) ? 0 : ds_logfield(l, alb_fields[i].name, v, n);
}

static bool is_alb_type(const uint8_t *p, size_t n)
{
    static const char *const types[] = {"http", "https", "h2", "grpcs", "ws", "wss"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strlen(types[i]) == n && memcmp(p, types[i], n) == 0)
            return true;
    return false;
}

int ds_logparse_alb(ds_logline *l, const uint8_t *p, size_t len)
{
    fields s = {.p = p, .len = len, .delimiter = ' ', .blanks = true, .quotes = true, .more = true};
    ds_csvfield f;
    size_t i = 0;
    int rc = 0;
    for (; rc == 0 && i < ALB_MOST && next_field(&s, &f); i++) {
        if (i == 0 && !is_alb_type(f.p, f.len))
            return ds_logfail(l, 0, "http, https, h2, grpcs, ws or wss is expected here");
        rc = alb_field(l, i, &f);
        if (rc == 0 && i == 1 && !l->row->v[DS_LC_TIME].p)
            return ds_logfail(l, (size_t)(f.p - p), "no time of RFC 3339 behind the type");
    }
    if (rc == 0 && i < ALB_LEAST)
        return ds_logfail(l, len, "fewer fields than up to the user agent");
    if (rc == 0 && s.at < len)
        rc = ds_logfield(l, "extra", p + s.at, len - s.at);
    if (!l->row->v[DS_LC_TEXT].p)
        ds_logset(l, DS_LC_TEXT, p, len);
    return rc;
}
