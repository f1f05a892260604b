/* logsource.c - see logsource.h. */
#include "logsource.h"

#include <stdlib.h>
#include <string.h>

#include "jitems.h"
#include "logtable.h"
#include "logtrace.h"

static const ds_logparser parsers[DS_LOG_NFORMATS] = {
    [DS_LOG_SYSLOG] = ds_logparse_syslog,  [DS_LOG_SYSLOG5] = ds_logparse_syslog5,
    [DS_LOG_JEXPORT] = ds_logparse_export, [DS_LOG_JJSON] = ds_logparse_json,
    [DS_LOG_COMMON] = ds_logparse_web,     [DS_LOG_COMBINED] = ds_logparse_web,
    [DS_LOG_JSON] = ds_logparse_json,      [DS_LOG_LOGFMT] = ds_logparse_logfmt,
    [DS_LOG_CSV] = ds_logparse_table,      [DS_LOG_CRI] = ds_logparse_cri,
    [DS_LOG_DOCKER] = ds_logparse_json,    [DS_LOG_APP] = ds_logparse_app,
    [DS_LOG_LINES] = ds_logparse_lines,    [DS_LOG_PATTERN] = ds_logparse_pattern,
    [DS_LOG_CEF] = ds_logparse_cef,        [DS_LOG_LEEF] = ds_logparse_leef,
    [DS_LOG_W3C] = ds_logparse_named,      [DS_LOG_ZEEK] = ds_logparse_named,
    [DS_LOG_VPC] = ds_logparse_named,      [DS_LOG_JARRAY] = ds_logparse_json,
    [DS_LOG_WINXML] = ds_logparse_winxml,  [DS_LOG_ALB] = ds_logparse_alb,
};

/* ---- one source ---- */

/* "123 <": the octet count of RFC 6587 before a message. */
static bool is_framed(const uint8_t *p, size_t len)
{
    size_t n = 0;
    while (n < len && n < 8 && (uint8_t)(p[n] - '0') < 10)
        n++;
    return n > 0 && *p != '0' && len - n >= 2 && p[n] == ' ' && p[n + 1] == '<';
}

/* Where the elements are. */
static int find_array(ds_logsource *s, const uint8_t *p, size_t len)
{
    s->path = s->o->records_at ? s->o->records_at : ds_jitems_guess(p, len, true);
    return s->path ? 0 : DS_FAIL;
}

int ds_logsource_make(ds_logsource **out, const ds_logopts *o, enum ds_logformat f,
                      const uint8_t *p, size_t len, size_t *used, const char **why)
{
    ds_logsource *s = calloc(1, sizeof *s);
    int rc = 0;
    *out = NULL;
    *used = 0;
    if (!s)
        return DS_NOMEM;
    *s = (ds_logsource){.o = o, .format = f};
    s->framed = (f == DS_LOG_SYSLOG || f == DS_LOG_SYSLOG5) && is_framed(p, len);
    if (f == DS_LOG_CSV)
        rc = ds_logtable_csv(&s->table, o->delimiter, p, len, used);
    if (f == DS_LOG_JARRAY)
        rc = find_array(s, p, len);
    *why = f == DS_LOG_CSV ? "its first line is not a header that names a time or a message"
                           : "no array of records is seen at its beginning (--records-at)";
    if (rc != 0)
        ds_logsource_close(s);
    else
        *out = s;
    return rc;
}

void ds_logsource_close(void *source)
{
    ds_logsource *s = source;
    if (!s)
        return;
    ds_logtable_fini(&s->table);
    free(s);
}

/* ---- units: lines, entries, frames ---- */

static size_t next_line(const uint8_t *p, size_t len, ds_logunit *u)
{
    const uint8_t *lf = memchr(p, '\n', len);
    size_t all = lf ? (size_t)(lf + 1 - p) : len;
    *u = (ds_logunit){.n = ds_text_without_end(p, all), .ended = lf != NULL};
    return all;
}

static size_t next_frame(const ds_logsource *s, const uint8_t *p, size_t len, ds_logunit *u)
{
    size_t i = 0, v = 0;
    while (i < len && (p[i] == '\n' || p[i] == '\r')) /* some senders end frames twice */
        i++;
    const size_t digits = i;
    while (i < len && i - digits < 9 && (uint8_t)(p[i] - '0') < 10)
        v = v * 10 + (size_t)(p[i++] - '0');
    *u = (ds_logunit){.at = digits, .n = i - digits};
    if (i == len)
        return len;
    if (i == digits || p[i] != ' ' || v > s->o->max_record) { /* lost: a line is given up */
        size_t all = next_line(p + digits, len - digits, u);
        u->at = digits;
        return digits + all;
    }
    u->at = ++i;
    u->ended = len - i >= v;
    u->n = u->ended ? v : len - i;
    return i + u->n;
}

/* An entry of journald's export ends with an empty line. Bytes of a field may hold anything; a
 * length that cannot be is taken for a line like others, so that the next entry is found. */
static size_t next_entry(const ds_logsource *s, const uint8_t *p, size_t len, ds_logunit *u)
{
    size_t i = 0;
    bool sure = true; /* more bytes would not change where it ends */
    while (i < len && p[i] != '\n') {
        const uint8_t *lf = memchr(p + i, '\n', len - i);
        size_t line = lf ? (size_t)(lf - p) : len, rest = len - line;
        if (lf && !memchr(p + i, '=', line - i)) {
            uint64_t size = rest >= 9 ? ds_get_u64(lf + 1) : 0;
            if (rest < 9 || (size <= s->o->max_record && size > rest - 9))
                sure = false;
            else if (size <= s->o->max_record)
                line += 9 + (size_t)size;
        }
        i = line + (line < len);
    }
    *u = (ds_logunit){.n = i, .ended = sure && i < len};
    return i + (i < len);
}

static size_t next_row(const ds_logsource *s, const uint8_t *p, size_t len, ds_logunit *u)
{
    ds_csvrec r = {0};
    size_t used;
    int rc = ds_csv_record(&r, p, len, false, s->table.delimiter, &used);
    const bool ended = rc == 0 || rc == DS_FAIL;
    if (!ended && (rc = ds_csv_record(&r, p, len, true, s->table.delimiter, &used)) == DS_NOMEM)
        used = len;
    ds_csv_fini(&r);
    *u = (ds_logunit){.n = ds_text_without_end(p, used), .ended = ended};
    return used;
}

static size_t next_element(const ds_logsource *s, const uint8_t *p, size_t len, ds_logunit *u)
{
    ds_jitem i;
    const size_t all = ds_jitems_next(s->path, p, len, &i);
    *u = (ds_logunit){.at = i.at, .n = i.len, .ended = i.ended, .open = i.open, .why = i.why};
    return all;
}

static size_t next_event(const uint8_t *p, size_t len, ds_logunit *u)
{
    *u = (ds_logunit){0};
    const size_t all = ds_logwinxml_next(p, len, &u->at, &u->n, &u->why);
    u->ended = all > 0;
    return all ? all : len;
}

size_t ds_logsource_next(const ds_logsource *s, const uint8_t *p, size_t len, ds_logunit *u)
{
    if (s->format == DS_LOG_JEXPORT)
        return next_entry(s, p, len, u);
    if (s->format == DS_LOG_JARRAY)
        return next_element(s, p, len, u);
    if (s->format == DS_LOG_WINXML)
        return next_event(p, len, u);
    if (s->format == DS_LOG_CSV)
        return next_row(s, p, len, u);
    return s->framed ? next_frame(s, p, len, u) : next_line(p, len, u);
}

bool ds_logsource_lines(const ds_logsource *s)
{
    return !s->framed && s->format != DS_LOG_JEXPORT && s->format != DS_LOG_JARRAY &&
           s->format != DS_LOG_WINXML && s->format != DS_LOG_CSV;
}

/* ---- a line ---- */

int ds_logline_init(ds_logline *l, const ds_logsource *s, ds_textbatch *b)
{
    *l = (ds_logline){.s = s, .b = b};
    if (s->format == DS_LOG_PATTERN && !(l->match = ds_logpattern_match_new(s->o->pattern)))
        return DS_NOMEM;
    return 0;
}

void ds_logline_fini(ds_logline *l)
{
    ds_logpattern_match_free(l->match);
    ds_buf_fini(&l->fields);
    ds_buf_fini(&l->cols);
    ds_logtable_fini(&l->table);
}

int ds_logline_parse(ds_logline *l, const uint8_t *p, size_t len)
{
    memset(l->row, 0, sizeof *l->row);
    l->fields.len = 0;
    l->stream = NULL;
    l->stream_len = 0;
    l->partial = l->quoted = false;
    return parsers[l->s->format](l, p, len);
}

/* ---- what belongs together ---- */

static bool in_container(const ds_logsource *s)
{
    return s->format == DS_LOG_CRI || s->format == DS_LOG_DOCKER;
}

/* Lines may go on what the line before began. */
static bool joins(const ds_logsource *s)
{
    static const uint32_t plain = 1u << DS_LOG_SYSLOG | 1u << DS_LOG_SYSLOG5 | 1u << DS_LOG_APP |
                                  1u << DS_LOG_PATTERN | 1u << DS_LOG_LOGFMT | 1u << DS_LOG_LINES;
    return s->o->join != DS_LOGJOIN_NONE && !s->framed && plain >> s->format & 1;
}

/* The line goes on what the one before it began. */
static bool goes_on(ds_logline *l, const uint8_t *p, size_t len)
{
    if (l->s->o->join == DS_LOGJOIN_TRACE)
        return ds_logtrace_goes_on(p, len);
    ds_logrow row, *kept = l->row;
    l->row = &row;
    bool on = ds_logline_parse(l, p, len) == DS_FAIL;
    l->row = kept;
    return on;
}

/* Of a container's lines: the facts that decide whether two belong together. */
typedef struct piece {
    const uint8_t *stream, *text;
    size_t stream_len, len;
    bool sound, partial;
} piece;

static piece piece_of(ds_logline *l, int rc)
{
    if (rc != 0)
        return (piece){0};
    const ds_logcell *t = &l->row->v[DS_LC_TEXT];
    return (piece){.stream = l->stream,
                   .stream_len = l->stream_len,
                   .text = t->p,
                   .len = (size_t)t->n,
                   .sound = true,
                   .partial = l->partial};
}

static bool belongs(const ds_logsource *s, const piece *before, const piece *now)
{
    if (!before->sound || !now->sound || before->stream_len != now->stream_len ||
        (now->stream_len && memcmp(before->stream, now->stream, now->stream_len) != 0))
        return false;
    return before->partial ||
           (s->o->join != DS_LOGJOIN_NONE && ds_logtrace_goes_on(now->text, now->len));
}

/* ---- where a block may end ---- */

/* Beginning of the line that ends before `end` (which is behind a line feed, or 0). */
static size_t line_before(const uint8_t *p, size_t end)
{
    const uint8_t *lf = end > 1 ? memrchr(p, '\n', end - 1) : NULL;
    return lf ? (size_t)(lf + 1 - p) : 0;
}

/* Whether the line (from, end), which is not the first, begins a record. */
static bool begins(ds_logline *l, const uint8_t *p, size_t from, size_t end)
{
    size_t n = ds_text_without_end(p + from, end - from);
    if (n == 0)
        return false;
    if (!in_container(l->s))
        return !goes_on(l, p + from, n);
    ds_logrow row;
    size_t prev = line_before(p, from);
    l->row = &row;
    piece before =
        piece_of(l, ds_logline_parse(l, p + prev, ds_text_without_end(p + prev, from - prev)));
    piece now = piece_of(l, ds_logline_parse(l, p + from, n));
    return !belongs(l->s, &before, &now);
}

/* Before the last line that begins a record: what follows it may still go on. */
static size_t whole_lines(const ds_logsource *s, const uint8_t *p, size_t len)
{
    const uint8_t *lf = memrchr(p, '\n', len);
    size_t end = lf ? (size_t)(lf + 1 - p) : 0;
    if (!joins(s) && !in_container(s))
        return end;
    ds_textbatch b = {0};
    ds_logline l;
    size_t from = 0;
    if (ds_logline_init(&l, s, &b) == 0)
        for (; end > 0; end = from) {
            from = line_before(p, end);
            if (from == 0 || begins(&l, p, from, end))
                break;
            ds_textbatch_reset(&b);
        }
    ds_logline_fini(&l);
    ds_textbatch_fini(&b);
    return from;
}

size_t ds_logsource_whole(const void *source, const uint8_t *p, size_t len)
{
    const ds_logsource *s = source;
    if (s->format == DS_LOG_CSV) {
        ds_csvrec r = {0};
        size_t n = ds_csv_whole(&r, p, len, s->table.delimiter);
        ds_csv_fini(&r);
        return n;
    }
    if (ds_logsource_lines(s))
        return whole_lines(s, p, len);
    size_t whole = 0;
    ds_logunit u = {.ended = true};
    while (whole < len) {
        size_t all = ds_logsource_next(s, p + whole, len - whole, &u);
        if (!u.ended)
            break;
        whole += all;
    }
    return whole;
}

/* ---- records ---- */

/* The records of a block on their way into the batch. */
typedef struct run {
    ds_logline l;
    const uint8_t *p;
    size_t len;
    uint64_t base;
    bool clean;
    /* of a container's lines: the row that may go on */
    bool open;
    size_t row;
    piece before;
    ds_buf joined; /* its text, once it is of several lines */
} run;

/* End of a record that begins with the line (at, end): the lines that go on it. */
static size_t extend(run *r, size_t end)
{
    size_t pos = end, rec = end;
    ds_logunit u;
    const uint8_t *lf = memchr(r->p + pos, '\n', r->len - pos);
    pos = lf ? (size_t)(lf + 1 - r->p) : r->len;
    while (pos < r->len) {
        size_t all = next_line(r->p + pos, r->len - pos, &u);
        if (u.n > 0 && !goes_on(&r->l, r->p + pos, u.n))
            break;
        if (u.n > 0)
            rec = pos + u.n;
        pos += all;
    }
    return rec;
}

/* The text gets the lines behind the first: most often it ends where they begin. */
static int text_goes_on(run *r, const uint8_t *p, size_t first, size_t len)
{
    ds_logcell *t = &r->l.row->v[DS_LC_TEXT];
    size_t more = len - first;
    if (t->p + t->n == p + first) {
        t->n += (int64_t)more;
        return 0;
    }
    uint8_t *out = ds_textbatch_alloc(r->l.b, (size_t)t->n + more);
    if (!out)
        return DS_NOMEM;
    memcpy(out, t->p, (size_t)t->n);
    memcpy(out + t->n, p + first, more);
    *t = (ds_logcell){out, t->n + (int64_t)more};
    return 0;
}

/* Closes the object of fields, and the row. */
static int add_row(run *r, const uint8_t *p, size_t len)
{
    ds_logline *l = &r->l;
    ds_textrow *row = ds_textbatch_row(l->b, r->base + (uint64_t)(p - r->p), len);
    if (!row)
        return DS_NOMEM;
    if (l->fields.len > 0) {
        const uint8_t *f = ds_buf_putc(&l->fields, '}') == 0
                               ? ds_textbatch_copy(l->b, l->fields.data, l->fields.len)
                               : NULL;
        if (!f)
            return DS_NOMEM;
        l->row->v[DS_LC_FIELDS] = (ds_logcell){f, (int64_t)l->fields.len};
    }
    l->row->named_year = (int16_t)l->s->named_year;
    l->row->named_month = (int8_t)l->s->named_month;
    l->row->named_day = (int8_t)l->s->named_day;
    const char *name = ds_logformat_names[l->s->format];
    l->row->v[DS_LC_FORMAT] = (ds_logcell){(const uint8_t *)name, (int64_t)strlen(name)};
    if (l->s->o->whole_line)
        l->row->v[DS_LC_TEXT] = (ds_logcell){p, (int64_t)len};
    row->cells = l->row;
    row->raw = p;
    return 0;
}

/* The text of a container's record that took several lines. */
static int close_open(run *r)
{
    r->open = false;
    if (r->joined.len == 0 || r->l.s->o->whole_line)
        return 0;
    const uint8_t *t = ds_textbatch_copy(r->l.b, r->joined.data, r->joined.len);
    if (!t)
        return DS_NOMEM;
    ds_logrow *row = (ds_logrow *)(uintptr_t)r->l.b->v[r->row].cells;
    row->v[DS_LC_TEXT] = (ds_logcell){t, (int64_t)r->joined.len};
    r->joined.len = 0;
    return 0;
}

/* 1 when the line that was parsed became part of the row before it. */
static int join_container(run *r, const uint8_t *p, size_t len)
{
    piece now = piece_of(&r->l, 0);
    if (!r->open || !belongs(r->l.s, &r->before, &now)) {
        int rc = close_open(r);
        r->open = true;
        r->row = r->l.b->n;
        r->before = now;
        return rc;
    }
    ds_textrow *row = &r->l.b->v[r->row];
    if (r->joined.len == 0 && ds_buf_put(&r->joined, r->before.text, r->before.len) != 0)
        return DS_NOMEM;
    if ((!r->before.partial && ds_buf_putc(&r->joined, '\n') != 0) ||
        ds_buf_put(&r->joined, now.text, now.len) != 0)
        return DS_NOMEM;
    row->len = (uint64_t)(p + len - row->raw);
    if (r->l.s->o->whole_line) {
        ds_logrow *cells = (ds_logrow *)(uintptr_t)row->cells;
        cells->v[DS_LC_TEXT] = (ds_logcell){row->raw, (int64_t)row->len};
    }
    r->before = now;
    return 1;
}

/* One record: (at, first) its first line, (at, end) all of it; or why it is none. */
static int one_record(run *r, size_t at, size_t first, size_t end, const char *why)
{
    ds_logline *l = &r->l;
    const uint8_t *p = r->p + at;
    size_t len = end - at;
    uint64_t offset = r->base + at;
    int rc = ds_textbatch_check(l->b, l->s->o->max_record, p, len, offset, r->clean);
    if (rc == 0) {
        l->row = (ds_logrow *)(void *)ds_textbatch_alloc(l->b, sizeof *l->row + 15);
        if (!l->row)
            return DS_NOMEM;
        l->row = (ds_logrow *)(((uintptr_t)l->row + 15) & ~(uintptr_t)15);
        rc = why ? ds_logfail(l, 0, why) : ds_logline_parse(l, p, first);
        if (rc == 0 && l->row->when.yearless && l->s->o->year == 0 && l->s->named_year == 0)
            return ds_textbatch_problem(
                l->b, "no year", offset, offset, p, len,
                "the time has no year: --year, or a date in the file's name");
        if (rc == 0 && end > at + first)
            rc = text_goes_on(r, p, first, len);
        if (rc == 0 && in_container(l->s) && (rc = join_container(r, p, len)) == 1)
            return 0;
        if (rc == 0)
            return add_row(r, p, len);
        if (rc == DS_FAIL)
            rc = ds_textbatch_problem(l->b, "malformed", offset + l->at, offset, p, len, "%s: %s",
                                      ds_logformat_names[l->s->format], l->why);
    }
    if (rc < 0)
        return rc;
    return r->open ? close_open(r) : 0;
}

int ds_logsource_pass(const void *source, ds_buf *before, const uint8_t *p, size_t len)
{
    const ds_logsource *s = source;
    return ds_logtable_headed(s->format) ? ds_logtable_pass(before, p, len) : 0;
}

int ds_logsource_records(const void *source, ds_textbatch *b, const ds_textblock *k)
{
    const ds_logsource *s = source;
    const uint8_t *p = k->p;
    const size_t len = k->len;
    run r = {.p = p, .len = len, .base = k->base};
    int rc = ds_logline_init(&r.l, s, b);
    if (rc == 0 && k->before && ds_logtable_headed(s->format))
        rc = ds_logtable_begin(&r.l.table, s->format, k->before);
    /* An entry's bytes are no text as a whole; a frame may end within a character. */
    r.clean = s->format == DS_LOG_JEXPORT || (!s->framed && ds_text_clean(p, len));
    for (size_t pos = 0; rc == 0 && pos < len;) {
        ds_logunit u;
        size_t all = ds_logsource_next(s, p + pos, len - pos, &u);
        bool head = false;
        rc = ds_logtable_line(&r.l.table, s->format, p + pos + u.at, u.n, &head);
        if (rc == 0 && u.n > 0 && !head) {
            size_t end = pos + u.at + u.n;
            if (joins(s)) {
                end = extend(&r, end);
                if (end > pos + all)
                    all = end - pos;
            }
            rc = one_record(&r, pos + u.at, u.n, end, u.why);
            if (rc == 0 && u.open && k->last)
                rc = ds_textbatch_problem(b, "malformed", k->base + end, k->base + end, p + end, 0,
                                          "%s", DS_JITEMS_OPEN);
        }
        pos += all;
    }
    if (rc == 0 && r.open)
        rc = close_open(&r);
    ds_logline_fini(&r.l);
    ds_buf_fini(&r.joined);
    return rc;
}

/* ---- as textread wants it ---- */

const char ds_logsource_no_text[] = "no text";

int ds_logsource_open(void *opts, void **source, const char *name, const uint8_t *p, size_t len,
                      size_t *used, ds_buf *note, const char **reason, ds_err *err)
{
    const ds_logopts *o = opts;
    enum ds_logformat f = o->format;
    ds_logsource *s;
    *source = NULL;
    if (f == DS_LOG_AUTO) {
        ds_logguess g;
        if (ds_logguess_look(&g, o, p, len) != 0)
            return DS_NOMEM;
        f = g.format;
        if (f == DS_LOG_AUTO) {
            *reason = ds_logsource_no_text;
            return ds_fail(err, DS_FAIL, "it is no text: a NUL byte at offset %zu%s", g.nul,
                           g.wide ? "; UTF-16 without a mark wants --encoding" : "");
        }
        if (ds_logguess_say(&g, note) != 0)
            return DS_NOMEM;
    }
    const char *why;
    int rc = ds_logsource_make(&s, o, f, p, len, used, &why);
    if (rc == 0) {
        ds_logtime_name(name, &s->named_year, &s->named_month, &s->named_day);
        *source = s;
    }
    *reason = f == DS_LOG_CSV ? "invalid table" : "no records";
    return rc != DS_FAIL ? rc : ds_fail(err, DS_FAIL, "%s", why);
}

static bool enough(void *opts, const uint8_t *p, size_t len)
{
    const ds_logopts *o = opts;
    return o->format != DS_LOG_AUTO || ds_logguess_enough(o, p, len);
}

const ds_rowparser ds_logsource_parser = {.open = ds_logsource_open,
                                          .enough = enough,
                                          .whole = ds_logsource_whole,
                                          .pass = ds_logsource_pass,
                                          .records = ds_logsource_records,
                                          .close = ds_logsource_close};
