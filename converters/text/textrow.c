/* textrow.c - see textrow.h. */
#include "textrow.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "html.h"
#include "json.h"
#include "mail.h"
#include "utf8.h"
#include "warc.h"

#define KEY_MAX 4096
#define CHUNK_MIN (64u << 10)

const char *const ds_textformat_names[] = {"auto", "text", "markdown", "jsonl", "csv", "tsv",
                                           "html", "warc", "eml",      "mbox",  NULL};

enum ds_textformat ds_textformat_of(const char *name)
{
    static const struct {
        const char *end;
        enum ds_textformat f;
    } ends[] = {
        {".jsonl", DS_TEXT_JSONL},       {".ndjson", DS_TEXT_JSONL}, {".csv", DS_TEXT_CSV},
        {".tsv", DS_TEXT_TSV},           {".tab", DS_TEXT_TSV},      {".html", DS_TEXT_HTML},
        {".htm", DS_TEXT_HTML},          {".xhtml", DS_TEXT_HTML},   {".md", DS_TEXT_MARKDOWN},
        {".markdown", DS_TEXT_MARKDOWN}, {".warc", DS_TEXT_WARC},    {".wet", DS_TEXT_WARC},
        {".eml", DS_TEXT_EML},           {".mbox", DS_TEXT_MBOX}};
    size_t n = ds_packmark_bare(name);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t k = strlen(ends[i].end);
        if (n > k && strncasecmp(name + n - k, ends[i].end, k) == 0)
            return ends[i].f;
    }
    return DS_TEXT_PLAIN;
}

bool ds_textformat_rows(enum ds_textformat f)
{
    return f == DS_TEXT_JSONL || ds_textformat_headed(f);
}

bool ds_textformat_headed(enum ds_textformat f)
{
    return f == DS_TEXT_CSV || f == DS_TEXT_TSV || f == DS_TEXT_PARSED || ds_textformat_keyed(f);
}

bool ds_textformat_keyed(enum ds_textformat f)
{
    return f == DS_TEXT_WARC || f == DS_TEXT_EML || f == DS_TEXT_MBOX;
}

bool ds_textformat_bytes(enum ds_textformat f)
{
    return ds_textformat_keyed(f);
}

const ds_rowparser *ds_textformat_parser(const ds_textopts *o, enum ds_textformat f)
{
    return f == DS_TEXT_PARSED ? o->parser
           : f == DS_TEXT_WARC ? &ds_warc_parser
           : f == DS_TEXT_EML  ? &ds_eml_parser
           : f == DS_TEXT_MBOX ? &ds_mbox_parser
                               : NULL;
}

static uint8_t delimiter_of(const ds_textopts *o, enum ds_textformat f)
{
    return o->delimiter ? o->delimiter : f == DS_TEXT_TSV ? '\t' : ',';
}

/* ---- the batch's memory: chunks that never move; the newest first ---- */

typedef struct chunk {
    struct chunk *next;
    size_t used, cap;
    uint8_t bytes[];
} chunk;

uint8_t *ds_textbatch_alloc(ds_textbatch *b, size_t n)
{
    chunk *c = b->chunks;
    if (!c || c->cap - c->used < n) {
        size_t cap = c ? c->cap * 2 : CHUNK_MIN, bytes;
        if (cap < n)
            cap = n;
        if (!ds_add_size(sizeof *c, cap, &bytes) || !(c = malloc(bytes)))
            return NULL;
        c->next = b->chunks;
        c->used = 0;
        c->cap = cap;
        b->chunks = c;
    }
    uint8_t *p = c->bytes + c->used;
    c->used += n;
    return p;
}

/* Gives back the end of what was taken last. */
static void give_back(ds_textbatch *b, size_t n)
{
    chunk *c = b->chunks;
    if (c)
        c->used -= n;
}

const uint8_t *ds_textbatch_copy(ds_textbatch *b, const void *p, size_t n)
{
    uint8_t *to = ds_textbatch_alloc(b, n ? n : 1);
    if (to && n > 0)
        memcpy(to, p, n);
    return to;
}

void ds_textbatch_reset(ds_textbatch *b)
{
    chunk *c = b->chunks;
    b->n = 0;
    if (!c)
        return;
    while (c->next) { /* the newest is the largest: keep that */
        chunk *old = c->next;
        c->next = old->next;
        free(old);
    }
    c->used = 0;
}

void ds_textbatch_fini(ds_textbatch *b)
{
    ds_textbatch_reset(b);
    free(b->chunks);
    free(b->v);
    ds_jscan_fini(&b->json);
    ds_csv_fini(&b->csv);
    ds_buf_fini(&b->scratch);
    ds_buf_fini(&b->title);
    memset(b, 0, sizeof *b);
}

ds_textrow *ds_textbatch_row(ds_textbatch *b, uint64_t offset, uint64_t len)
{
    if (ds_grow(&b->v, &b->cap, b->n, sizeof *b->v))
        return NULL;
    ds_textrow *r = &b->v[b->n++];
    memset(r, 0, sizeof *r);
    r->offset = offset;
    r->len = len;
    return r;
}

int ds_textbatch_problem(ds_textbatch *b, const char *reason, uint64_t at, uint64_t offset,
                         const uint8_t *raw, size_t len, const char *why, ...)
{
    char words[512];
    va_list ap;
    va_start(ap, why);
    int n = vsnprintf(words, sizeof words, why, ap);
    va_end(ap);
    ds_textrow *r = n < 0 ? NULL : ds_textbatch_row(b, offset, len);
    if (!r)
        return DS_NOMEM;
    r->reason = reason;
    r->why = (const char *)ds_textbatch_copy(b, words, strlen(words) + 1);
    r->raw = raw;
    r->at = at;
    return r->why ? 0 : DS_NOMEM;
}

/* One record of the input while it is looked at. */
typedef struct record {
    const ds_textopts *o;
    const uint8_t *p;
    size_t len;
    uint64_t offset;
} record;

static int refuse(ds_textbatch *b, const record *r, const char *reason, size_t at, const char *why)
{
    return ds_textbatch_problem(b, reason, r->offset + at, r->offset, r->p, r->len, "%s", why);
}

int ds_textbatch_check(ds_textbatch *b, size_t max_record, const uint8_t *p, size_t len,
                       uint64_t offset, bool clean)
{
    int rc = 0;
    if (len > max_record)
        rc = ds_textbatch_problem(b, "too long", offset, offset, p, len,
                                  "longer than %zu bytes (--max-record)", max_record);
    else if (clean)
        return 0;
    else {
        size_t good = ds_utf8_check(p, len);
        const uint8_t *nul = memchr(p, 0, good);
        if (nul)
            rc = ds_textbatch_problem(b, "NUL byte", offset + (uint64_t)(nul - p), offset, p, len,
                                      "a NUL byte: this is not text");
        else if (good < len)
            rc = ds_textbatch_problem(b, "invalid UTF-8", offset + good, offset, p, len,
                                      "not valid UTF-8 (--encoding names another encoding)");
        else
            return 0;
    }
    return rc ? rc : 1;
}

static int check_text(ds_textbatch *b, const record *r, bool clean)
{
    return ds_textbatch_check(b, r->o->max_record, r->p, r->len, r->offset, clean);
}

bool ds_text_clean(const uint8_t *p, size_t len)
{
    return len == 0 || (ds_utf8_check(p, len) == len && !memchr(p, 0, len));
}

const char *ds_key_unfit(const uint8_t *key, size_t len)
{
    return len == 0              ? "the key is empty"
           : len > KEY_MAX       ? "the key is longer than 4096 bytes"
           : memchr(key, 0, len) ? "the key holds a NUL"
                                 : NULL;
}

static int check_key(ds_textbatch *b, const record *r, const uint8_t *key, size_t len)
{
    const char *why = ds_key_unfit(key, len);
    if (!why)
        return 0;
    int rc = refuse(b, r, "bad key", 0, why);
    return rc ? rc : 1;
}

/* ---- JSON lines ---- */

/* A slice of the input, or unescaped into the batch's memory. */
int ds_textbatch_string(ds_textbatch *b, const ds_jmember *m, const uint8_t **p, size_t *len)
{
    *p = m->value + 1;
    *len = m->value_len - 2;
    if (!m->escaped)
        return 0;
    size_t room = *len + DS_JSTRING_SLACK;
    uint8_t *out = ds_textbatch_alloc(b, room);
    if (!out)
        return DS_NOMEM;
    size_t n = ds_jstring_unescape(out, *p, *len);
    give_back(b, room - n);
    *p = out;
    *len = n;
    return 0;
}

/* A member that is no string: its JSON, minified. */
static int member_json(ds_textbatch *b, const ds_jmember *m, const uint8_t **p, size_t *len)
{
    ds_buf *s = &b->scratch;
    s->len = 0;
    if (ds_jscan_minify(s, m->value, m->value_len) || !(*p = ds_textbatch_copy(b, s->data, s->len)))
        return DS_NOMEM;
    *len = s->len;
    return 0;
}

/* Ends the object in the scratch buffer, if anything is in it: the row's meta. */
static int end_meta(ds_textbatch *b, ds_textrow *row)
{
    ds_buf *s = &b->scratch;
    if (s->len == 0)
        return 0;
    if (ds_buf_putc(s, '}') != 0 || !(row->meta = ds_textbatch_copy(b, s->data, s->len)))
        return DS_NOMEM;
    row->meta_len = s->len;
    return 0;
}

/* The members other than text and key, as one minified object; null when there are none. */
static int json_meta(ds_textbatch *b, ds_textrow *row, const ds_jmember *text,
                     const ds_jmember *key)
{
    ds_buf *s = &b->scratch;
    s->len = 0;
    for (size_t i = 0; i < b->json.n; i++) {
        const ds_jmember *m = &b->json.v[i];
        if (m == text || m == key)
            continue;
        if (ds_buf_putc(s, s->len ? ',' : '{') != 0 || ds_buf_putc(s, '"') != 0 ||
            ds_buf_put(s, m->name, m->name_len) != 0 || ds_buf_put(s, "\":", 2) != 0)
            return DS_NOMEM;
        if ((m->spaced ? ds_jscan_minify(s, m->value, m->value_len)
                       : ds_buf_put(s, m->value, m->value_len)) != 0)
            return DS_NOMEM;
    }
    return end_meta(b, row);
}

/* Finds a member that must be there once, and which `option` names. NULL with *rc = 1 (refused) or
 * DS_NOMEM. */
static const ds_jmember *want(ds_textbatch *b, const record *r, const char *name,
                              const char *option, const char *reason, int *rc)
{
    bool twice;
    const ds_jmember *m = ds_jscan_find(&b->json, name, strlen(name), &twice);
    *rc = 1;
    if (m && !twice)
        return m;
    int k = ds_textbatch_problem(b, reason, r->offset, r->offset, r->p, r->len,
                                 m ? "the member \"%.100s\" is there twice"
                                   : "no member \"%.100s\" (%s names the one to take)",
                                 name, option);
    if (k != 0)
        *rc = k;
    return NULL;
}

/* The row's key from its member: a string, or a number as it is written. 0, 1 = refused, DS_NOMEM.
 */
static int json_key(ds_textbatch *b, const record *r, const ds_jmember *m, ds_textrow *row)
{
    if (m->kind == DS_J_NUMBER) {
        row->key = m->value;
        row->key_len = m->value_len;
    } else if (m->kind == DS_J_STRING) {
        if (ds_textbatch_string(b, m, &row->key, &row->key_len) != 0)
            return DS_NOMEM;
    } else {
        int rc = refuse(b, r, "bad key", (size_t)(m->value - r->p),
                        "the key is neither a string nor a number");
        return rc ? rc : 1;
    }
    return check_key(b, r, row->key, row->key_len);
}

static int json_line(ds_textbatch *b, const record *r)
{
    int rc = ds_jscan_text(&b->json, r->p, r->len, r->o->max_depth);
    if (rc == DS_FAIL)
        return refuse(b, r, "invalid JSON", b->json.at, b->json.why);
    if (rc != 0)
        return rc;
    if (b->json.kind != DS_J_OBJECT)
        return refuse(b, r, "invalid JSON", 0, "the line is not a JSON object");
    const ds_jmember *key = NULL, *text = want(b, r, r->o->field, "--field", "no text", &rc);
    if (!text)
        return rc < 0 ? rc : 0;
    bool json = r->o->json_text && (text->kind == DS_J_OBJECT || text->kind == DS_J_ARRAY);
    if (text->kind != DS_J_STRING && !json)
        return refuse(b, r, "no text", (size_t)(text->value - r->p), "the text is not a string");
    ds_textrow row = {.offset = r->offset, .len = r->len};
    if (r->o->explicit_key) {
        if (!(key = want(b, r, r->o->key_field, "--key-field", "no key", &rc)) ||
            (rc = json_key(b, r, key, &row)) != 0)
            return rc < 0 ? rc : 0;
    }
    if ((json ? member_json(b, text, &row.text, &row.text_len)
              : ds_textbatch_string(b, text, &row.text, &row.text_len)) != 0 ||
        (r->o->meta && json_meta(b, &row, text, key) != 0))
        return DS_NOMEM;
    ds_textrow *to = ds_textbatch_row(b, 0, 0);
    if (!to)
        return DS_NOMEM;
    *to = row;
    return 0;
}

static bool only_space(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] != ' ' && p[i] != '\t' && p[i] != '\r')
            return false;
    return true;
}

static int json_lines(ds_textbatch *b, const ds_textopts *o, const uint8_t *p, size_t len,
                      uint64_t base)
{
    bool clean = ds_text_clean(p, len);
    for (size_t at = 0; at < len;) {
        const uint8_t *lf = memchr(p + at, '\n', len - at);
        size_t n = lf ? (size_t)(lf - p) - at : len - at;
        record r = {o, p + at, n, base + at};
        at += n + (lf ? 1 : 0);
        if (only_space(r.p, n))
            continue;
        if (r.p[n - 1] == '\r')
            r.len--;
        int rc = check_text(b, &r, clean);
        if (rc == 0)
            rc = json_line(b, &r);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- tables ---- */

void ds_texthead_fini(ds_texthead *h)
{
    ds_buf_fini(&h->names);
    free(h->ends);
    ds_buf_fini(&h->note);
    if (h->parser)
        h->parser->close(h->state);
    memset(h, 0, sizeof *h);
}

/* Puts a field's literal at the end of names; its text stays in *raw. */
static int head_name(ds_texthead *h, ds_buf *raw, const ds_csvfield *f, size_t i)
{
    raw->len = 0;
    if (ds_buf_reserve(raw, f->len + 1) != 0)
        return DS_NOMEM;
    raw->len = ds_csv_unquote(raw->data, f);
    if (ds_json_str(&h->names, (const char *)raw->data, raw->len) != 0)
        return DS_NOMEM;
    h->ends[i] = h->names.len;
    return 0;
}

/* True when column i has the name of an earlier one. */
static bool repeated(const ds_texthead *h, size_t i)
{
    size_t from = i ? h->ends[i - 1] : 0, n = h->ends[i] - from;
    for (size_t k = 0; k < i; k++) {
        size_t start = k ? h->ends[k - 1] : 0;
        if (h->ends[k] - start == n && memcmp(h->names.data + start, h->names.data + from, n) == 0)
            return true;
    }
    return false;
}

static bool raw_is(const ds_buf *raw, const char *name)
{
    return name && raw->len == strlen(name) && memcmp(raw->data, name, raw->len) == 0;
}

static int no_field(const ds_csvrec *rec, const ds_textopts *o, ds_err *err)
{
    const ds_csvfield *f = &rec->v[0];
    const bool one = rec->n == 1 && !o->delimiter;
    return ds_fail(err, DS_FAIL, "the header has no column \"%.100s\", but %s\"%.*s\" (--field%s)",
                   o->field, rec->n > 1 ? "others, such as " : "only ",
                   (int)(f->len < 100 ? f->len : 100), (const char *)f->p,
                   one ? "; --delimiter, where it is no comma" : "");
}

static int head_columns(ds_texthead *h, const ds_csvrec *rec, const ds_textopts *o, ds_err *err)
{
    ds_buf raw = {0};
    int rc = 0;
    for (size_t i = 0; i < rec->n && rc == 0; i++) {
        if (head_name(h, &raw, &rec->v[i], i) != 0)
            rc = ds_fail_nomem(err);
        else if (repeated(h, i))
            rc = ds_fail(err, DS_FAIL, "the header names a column twice: %.100s",
                         ds_buf_cstr(&raw) ? (char *)raw.data : "");
        else if (raw_is(&raw, o->field))
            h->field = (long)i;
        else if (raw_is(&raw, o->key_field))
            h->key = (long)i;
    }
    ds_buf_fini(&raw);
    if (rc == 0 && h->field < 0)
        rc = no_field(rec, o, err);
    if (rc == 0 && h->key < 0 && o->key_field && o->explicit_key)
        rc = ds_fail(err, DS_FAIL, "the header has no column \"%.100s\" (--key-field)",
                     o->key_field);
    return rc;
}

static int parser_open(ds_texthead *h, const ds_rowparser *k, const ds_textopts *o,
                       const char *name, const uint8_t *p, size_t len, size_t *used, ds_err *err)
{
    void *ctx = k->ctx ? k->ctx : (void *)(uintptr_t)o;
    int rc = k->open(ctx, &h->state, name, p, len, used, &h->note, &h->reason, err);
    if (rc == 0)
        h->parser = k;
    return rc;
}

int ds_texthead_read(ds_texthead *h, ds_csvrec *scratch, const ds_textopts *o, enum ds_textformat f,
                     const char *name, const uint8_t *p, size_t len, size_t *used, ds_err *err)
{
    const ds_rowparser *k = ds_textformat_parser(o, f);
    ds_texthead_fini(h);
    if (k)
        return parser_open(h, k, o, name, p, len, used, err);
    h->field = h->key = -1;
    h->reason = "invalid table";
    int rc = ds_csv_record(scratch, p, len, true, delimiter_of(o, f), used);
    if (rc == DS_FAIL)
        return ds_fail(err, DS_FAIL, "the header is not one: %s", scratch->why);
    if (rc != 0)
        return ds_fail_nomem(err);
    if (scratch->n > 4096)
        return ds_fail(err, DS_FAIL, "the header has more than 4096 columns");
    if (!ds_text_clean(p, *used))
        return ds_fail(err, DS_FAIL, "the header is not valid UTF-8 text");
    h->n = scratch->n;
    h->ends = calloc(h->n, sizeof *h->ends);
    if (!h->ends)
        return ds_fail_nomem(err);
    return head_columns(h, scratch, o, err);
}

static int field_text(ds_textbatch *b, const ds_csvfield *f, const uint8_t **p, size_t *len)
{
    *p = f->p;
    *len = f->len;
    if (!f->doubled)
        return 0;
    uint8_t *out = ds_textbatch_alloc(b, f->len);
    if (!out)
        return DS_NOMEM;
    *len = ds_csv_unquote(out, f);
    *p = out;
    return 0;
}

static int table_meta(ds_textbatch *b, ds_textrow *row, const ds_texthead *h)
{
    ds_buf *s = &b->scratch;
    s->len = 0;
    for (size_t i = 0; i < h->n; i++) {
        const uint8_t *p;
        size_t len, from = i ? h->ends[i - 1] : 0;
        if ((long)i == h->field || (row->key && (long)i == h->key))
            continue;
        if (field_text(b, &b->csv.v[i], &p, &len) != 0 || ds_buf_putc(s, s->len ? ',' : '{') != 0 ||
            ds_buf_put(s, h->names.data + from, h->ends[i] - from) != 0 ||
            ds_buf_putc(s, ':') != 0 || ds_json_str(s, (const char *)p, len) != 0)
            return DS_NOMEM;
    }
    return end_meta(b, row);
}

static int table_row(ds_textbatch *b, const record *r, const ds_texthead *h)
{
    ds_textrow row = {.offset = r->offset, .len = r->len};
    int rc;
    if (b->csv.n != h->n)
        return ds_textbatch_problem(b, "invalid table", r->offset, r->offset, r->p, r->len,
                                    "%zu fields where the header has %zu", b->csv.n, h->n);
    if (r->o->explicit_key && h->key >= 0) {
        if (field_text(b, &b->csv.v[h->key], &row.key, &row.key_len) != 0)
            return DS_NOMEM;
        if ((rc = check_key(b, r, row.key, row.key_len)) != 0)
            return rc < 0 ? rc : 0;
    }
    if (field_text(b, &b->csv.v[h->field], &row.text, &row.text_len) != 0 ||
        (r->o->meta && table_meta(b, &row, h) != 0))
        return DS_NOMEM;
    ds_textrow *to = ds_textbatch_row(b, 0, 0);
    if (!to)
        return DS_NOMEM;
    *to = row;
    return 0;
}

size_t ds_text_without_end(const uint8_t *p, size_t n)
{
    if (n > 0 && p[n - 1] == '\n')
        n--;
    if (n > 0 && p[n - 1] == '\r')
        n--;
    return n;
}

static int table_rows(ds_textbatch *b, const ds_textopts *o, enum ds_textformat f,
                      const ds_texthead *h, const uint8_t *p, size_t len, uint64_t base)
{
    bool clean = ds_text_clean(p, len);
    for (size_t at = 0, used = 0; at < len; at += used) {
        int rc = ds_csv_record(&b->csv, p + at, len - at, true, delimiter_of(o, f), &used);
        record r = {o, p + at, ds_text_without_end(p + at, used), base + at};
        if (rc != 0 && rc != DS_FAIL)
            return DS_NOMEM;
        if (rc == 0 && r.len == 0)
            continue; /* an empty line */
        int bad = check_text(b, &r, clean);
        if (bad == 0)
            bad = rc == DS_FAIL ? refuse(b, &r, "invalid table", b->csv.at, b->csv.why)
                                : table_row(b, &r, h);
        if (bad < 0)
            return bad;
    }
    return 0;
}

/* ---- plain text, pages ---- */

static int split_text(ds_textbatch *b, const ds_textopts *o, const uint8_t *p, size_t len,
                      uint64_t base)
{
    bool clean = ds_text_clean(p, len);
    size_t at = 0, start, n;
    while (ds_textcut_next(o->split, o->split_bytes, p, len, &at, &start, &n)) {
        record r = {o, p + start, n, base + start};
        int rc = check_text(b, &r, clean);
        if (rc < 0)
            return rc;
        if (rc > 0)
            continue;
        ds_textrow *row = ds_textbatch_row(b, r.offset, n);
        if (!row)
            return DS_NOMEM;
        row->text = r.p;
        row->text_len = n;
    }
    return 0;
}

size_t ds_text_whole(ds_csvrec *scratch, const ds_textopts *o, enum ds_textformat f,
                     const ds_texthead *head, const uint8_t *p, size_t len)
{
    if (ds_textformat_parser(o, f))
        return head->parser->whole(head->state, p, len);
    if (f == DS_TEXT_CSV || f == DS_TEXT_TSV)
        return ds_csv_whole(scratch, p, len, delimiter_of(o, f));
    return ds_textcut_whole(f == DS_TEXT_JSONL ? DS_SPLIT_LINE : o->split, o->split_bytes, p, len);
}

int ds_textbatch_records(ds_textbatch *b, const ds_textopts *o, enum ds_textformat f,
                         const ds_texthead *head, const ds_textblock *k)
{
    if (k->len == 0)
        return 0;
    if (ds_textformat_parser(o, f))
        return head->parser->records(head->state, b, k);
    if (f == DS_TEXT_JSONL)
        return json_lines(b, o, k->p, k->len, k->base);
    if (f == DS_TEXT_CSV || f == DS_TEXT_TSV)
        return table_rows(b, o, f, head, k->p, k->len, k->base);
    return split_text(b, o, k->p, k->len, k->base);
}

/* The title of a page, as {"title":...}. */
static int page_meta(ds_textbatch *b, ds_textrow *row)
{
    ds_buf *s = &b->scratch;
    s->len = 0;
    if (b->title.len == 0)
        return 0;
    if (ds_buf_puts(s, "{\"title\":") != 0 ||
        ds_json_str(s, (const char *)b->title.data, b->title.len) != 0 ||
        ds_buf_putc(s, '}') != 0 || !(row->meta = ds_textbatch_copy(b, s->data, s->len)))
        return DS_NOMEM;
    row->meta_len = s->len;
    return 0;
}

static int page_text(ds_textbatch *b, const uint8_t **p, size_t *len)
{
    b->scratch.len = b->title.len = 0;
    if (ds_html_text(&b->scratch, &b->title, *p, *len) != 0)
        return DS_NOMEM;
    *len = b->scratch.len;
    *p = ds_textbatch_copy(b, b->scratch.data, b->scratch.len);
    return *p ? 0 : DS_NOMEM;
}

int ds_textbatch_document(ds_textbatch *b, const ds_textopts *o, enum ds_textformat f,
                          const char *name, const uint8_t *p, size_t len, uint64_t base)
{
    static const uint8_t nothing[1];
    bool page = f == DS_TEXT_HTML;
    record r = {o, len ? p : nothing, len, base};
    if (!page && o->split != DS_SPLIT_NONE)
        return split_text(b, o, p, len, base);
    ds_textopts unlimited = *o;
    if (!page) /* a plain document may be as long as it likes */
        unlimited.max_record = SIZE_MAX;
    r.o = &unlimited;
    int rc = check_text(b, &r, false);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    const uint8_t *text = r.p;
    size_t n = len, first = b->n, at = 0, start = 0, k = 0;
    if (page && page_text(b, &text, &n) != 0)
        return DS_NOMEM;
    if (n == 0 && o->split != DS_SPLIT_NONE)
        return 0;
    /* The pieces of a split page all come from the whole of it. */
    while (n == 0 || ds_textcut_next(page ? o->split : DS_SPLIT_NONE, o->split_bytes, text, n, &at,
                                     &start, &k)) {
        ds_textrow *row = ds_textbatch_row(b, base, len);
        if (!row)
            return DS_NOMEM;
        row->text = text + start;
        row->text_len = n ? k : 0;
        if (o->explicit_key) {
            row->key = ds_textbatch_copy(b, name, strlen(name));
            row->key_len = strlen(name);
            if (!row->key)
                return DS_NOMEM;
        }
        if (n == 0)
            break;
    }
    for (size_t i = first; page && o->meta && i < b->n; i++)
        if (page_meta(b, &b->v[i]) != 0)
            return DS_NOMEM;
    return 0;
}
