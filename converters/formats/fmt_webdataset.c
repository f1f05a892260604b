/* fmt_webdataset.c - WebDataset: tar archives in which files that follow each other with one name
 * up to its first dot are one sample (https://github.com/webdataset/webdataset).
 *
 * The key is that name, with dots and what is no name of a file as %XX; where keys are derived it
 * is the record's number. A column NAME is a file KEY.NAME.txt (text, times), .json (JSON, truths,
 * real numbers, runs, lists), .cls (whole numbers), .bin (bytes) or .npy (tensors, tokens); three
 * have short names: text is KEY.txt, meta KEY.json, label KEY.cls. A column without a value has no
 * file.
 */
#include <stdlib.h>
#include <string.h>

#include "fmtguess.h"
#include "fmtout.h"
#include "npy.h"
#include "tarball.h"

static const char *const ext_of[DS_NTYPES] = {
    [DS_UTF8] = "txt",     [DS_BYTES] = "bin",    [DS_JSON] = "json",     [DS_BOOL] = "json",
    [DS_I64] = "cls",      [DS_F64] = "json",     [DS_TIMESTAMP] = "txt", [DS_TENSOR] = "npy",
    [DS_TOKENS16] = "npy", [DS_TOKENS32] = "npy", [DS_RUNS] = "json",     [DS_LIST] = "json",
};
static const struct {
    const char *name, *ext;
    enum ds_type type;
} shorts[] = {{"text", "txt", DS_UTF8}, {"meta", "json", DS_JSON}, {"label", "cls", DS_I64}};
enum { SHORTS = sizeof shorts / sizeof *shorts };

/* What is in no name of a file that others would read back. */
static int escaped(ds_buf *out, const uint8_t *p, size_t len, bool dots)
{
    for (size_t i = 0; i < len; i++) {
        const bool odd = p[i] < 0x20 || p[i] == 0x7f || p[i] == '%' || (dots && p[i] == '.') ||
                         (p[i] == '/' && (!dots || i == 0 || i + 1 == len || p[i - 1] == '/'));
        if (odd ? ds_buf_printf(out, "%%%02X", p[i]) : ds_buf_putc(out, p[i]))
            return DS_NOMEM;
    }
    return len ? 0 : ds_buf_putc(out, '%');
}

/* What follows the key and its dot. */
static int suffix_of(ds_buf *out, const ds_column *c)
{
    for (size_t i = 0; i < SHORTS; i++)
        if (c->type == shorts[i].type && strcmp(c->name, shorts[i].name) == 0)
            return ds_buf_puts(out, shorts[i].ext);
    return escaped(out, (const uint8_t *)c->name, strlen(c->name), false) ||
           ds_buf_printf(out, ".%s", ext_of[c->type]);
}

static int suffixes(ds_buf *v, const ds_schema *s, ds_err *err)
{
    for (size_t i = 0; i < s->n; i++)
        if (suffix_of(&v[i], &s->cols[i]) || !ds_buf_cstr(&v[i]))
            return ds_fail_nomem(err);
    return 0;
}

/* ---- writing ---- */

typedef struct writer {
    ds_fmtout out; /* first: ds_fmtwriter_put */
    ds_fmtwrite o;
    ds_buf suffix[256];
    size_t lost[256];
    size_t n;
} writer;

static int begin(void **out, const ds_fmtwrite *o, const ds_schema *s, ds_fmtloss *l, ds_err *err)
{
    writer *w = *out = calloc(1, sizeof *w);
    if (!w)
        return ds_fail_nomem(err);
    w->o = *o;
    w->n = s->n;
    int rc = suffixes(w->suffix, s, err);
    for (size_t i = 0; rc == 0 && i < s->n; i++) {
        const ds_column *c = &s->cols[i];
        if (c->type == DS_TENSOR) {
            rc = ds_fmtloss_count(l, &w->lost[i], c->name,
                                  "bf16 tensors become their bits as uint16", err);
            w->lost[i]++;
        } else if (c->type == DS_F64 || c->type == DS_LIST) {
            rc = ds_fmtloss_json(l, &w->lost[i], c, err);
        }
    }
    return rc;
}

static int tail(void *ctx, ds_out *out, int fd, ds_err *err)
{
    static const uint8_t end[DS_TARBALL_END];
    (void)ctx;
    (void)fd;
    return ds_out_put(out, end, sizeof end, err);
}

static int open_out(void *v, ds_err *err)
{
    writer *w = v;
    w->out.ends = (ds_fmtends){.tail = tail};
    w->out.ext = ".tar";
    w->out.shard_size = w->o.shard_size;
    return ds_fmtout_open(&w->out, w->o.path, w->o.shards, false, err);
}

/* A file of two parts: what was made, and bytes of the value. */
static int put_file(ds_fmtblock *b, size_t key_len, const ds_buf *suffix, const ds_buf *made,
                    const uint8_t *p, size_t len, ds_err *err)
{
    static const uint8_t zeros[512];
    ds_buf *s = &b->scratch; /* begins with the key and a dot */
    const uint64_t size = (uint64_t)len + (made ? made->len : 0);
    ds_buf head = {0};
    s->len = key_len;
    bool bad = ds_buf_put(s, suffix->data, suffix->len) ||
               ds_tarball_head(&head, (const char *)s->data, s->len, size);
    int rc = bad ? ds_fail_nomem(err) : ds_fmtblock_put(b, head.data, head.len, err);
    if (rc == 0 && made)
        rc = ds_fmtblock_put(b, made->data, made->len, err);
    if (rc == 0)
        rc = ds_fmtblock_put(b, p, len, err);
    ds_buf_fini(&head);
    return rc ? rc : ds_fmtblock_put(b, zeros, ds_tarball_fill(size), err);
}

static int column(const writer *w, ds_fmtblock *b, size_t i, size_t key_len, ds_err *err)
{
    const ds_column *c = &b->schema->cols[i];
    const ds_value *x = &b->row.values[i];
    ds_buf *made = &b->row.out;
    ds_buf_reset(made);
    if (w->lost[i] && (c->type == DS_TENSOR ? x->dtype == DS_BF16 : ds_fmtblock_json_loses(b, i)))
        b->lost[w->lost[i] - 1]++;
    switch (c->type) {
    case DS_UTF8:
    case DS_BYTES:
    case DS_JSON:
        return put_file(b, key_len, &w->suffix[i], NULL, x->p, x->len, err);
    case DS_TIMESTAMP:
        return ds_time_text(made, x->i) ? ds_fail_nomem(err)
                                        : put_file(b, key_len, &w->suffix[i], made, NULL, 0, err);
    case DS_TENSOR:
        if (ds_npy_head(made, x->dtype, x->ndim, x->dims))
            return ds_fail_nomem(err);
        return put_file(b, key_len, &w->suffix[i], made, x->p, x->len, err);
    case DS_TOKENS16:
    case DS_TOKENS32:
        if (ds_npy_head(made, c->type == DS_TOKENS16 ? DS_U16 : DS_U32, 1, &x->count))
            return ds_fail_nomem(err);
        return put_file(b, key_len, &w->suffix[i], made, x->p, x->len, err);
    default: {
        int rc = ds_fmtblock_json(b, i, err);
        return rc ? rc : put_file(b, key_len, &w->suffix[i], made, NULL, 0, err);
    }
    }
}

static int row(const void *v, ds_fmtblock *b, ds_err *err)
{
    uint8_t empty[] = {'n', 'o', 'n', 'e'};
    const ds_buf none = {.data = empty, .len = sizeof empty};
    const writer *w = v;
    const bool keyed = b->schema->explicit_key;
    bool any = false;
    ds_buf_reset(&b->scratch);
    const ds_value *key = &b->row.values[0];
    if ((keyed ? escaped(&b->scratch, key->p, key->len, true)
               : ds_buf_printf(&b->scratch, "%010llu", (unsigned long long)b->number)) ||
        ds_buf_putc(&b->scratch, '.'))
        return ds_fail_nomem(err);
    const size_t key_len = b->scratch.len;
    int rc = 0;
    for (size_t i = keyed; rc == 0 && i < w->n; i++)
        if (!b->row.values[i].null) {
            rc = column(w, b, i, key_len, err);
            any = true;
        }
    return rc || any ? rc : put_file(b, key_len, &none, NULL, NULL, 0, err);
}

static void free_writer(void *v)
{
    writer *w = v;
    if (!w)
        return;
    ds_fmtout_abort(&w->out);
    for (size_t i = 0; i < w->n; i++)
        ds_buf_fini(&w->suffix[i]);
    free(w);
}

/* ---- reading ---- */

typedef struct reader {
    ds_fmtin in;
    ds_fmtread o;
    ds_buf name, key, text, data; /* of the file; of the sample; its key as text; its files */
    ds_buf suffix[256];
    size_t nsuffix;
    ds_fval *values; /* positions in data until the sample is whole */
    uint64_t *at;    /* by column: where its bytes lie */
    uint64_t first;  /* offset of the sample */
    bool open;
    const char *why; /* the sample is bad */
} reader;

static int read_open(void **out, const ds_fmtread *o, ds_err *err)
{
    reader *r = *out = calloc(1, sizeof *r);
    if (!r)
        return ds_fail_nomem(err);
    r->o = *o;
    return ds_fmtin_open(&r->in, o, err);
}

/* A name up to the first dot of its last component, and behind it. False: it is of no sample. */
static bool divide(const char *name, size_t *key, const char **suffix)
{
    const char *slash = strrchr(name, '/');
    const char *base = slash ? slash + 1 : name, *dot = strchr(base, '.');
    if (!dot || dot == base)
        return false;
    *key = (size_t)(dot - name);
    *suffix = dot + 1;
    return true;
}

static bool ends_in(const char *s, const char *ext)
{
    const size_t n = strlen(s), e = strlen(ext);
    return n >= e && strcmp(s + n - e, ext) == 0 && (n == e || s[n - e - 1] == '.');
}

/* A file's bytes as a value. NULL, or why they are none. */
static const char *decode(ds_fval *v, const char *suffix, const uint8_t *p, size_t len)
{
    *v = (ds_fval){.kind = DS_FV_TEXT, .p = p, .len = len};
    return ends_in(suffix, "npy") ? ds_npy_value(v, p, len) : NULL;
}

/* The name of the column that a file of this suffix makes: without what says its type. */
static const char *field_of(const char *suffix, size_t *n)
{
    *n = strlen(suffix);
    for (size_t i = 0; i < SHORTS; i++)
        if (strcmp(suffix, shorts[i].ext) == 0) {
            *n = strlen(shorts[i].name);
            return shorts[i].name;
        }
    for (size_t t = 0; t < DS_NTYPES; t++)
        if (ends_in(suffix, ext_of[t]) && *n > strlen(ext_of[t])) {
            *n -= strlen(ext_of[t]) + 1;
            break;
        }
    return suffix;
}

/* The column that a file makes where nothing says which there are. */
static int guess(ds_fguess *g, const char *suffix, const uint8_t *p, size_t len, ds_err *err)
{
    size_t n;
    const char *name = field_of(suffix, &n);
    ds_fval v;
    if (strcmp(suffix, "none") == 0 || decode(&v, suffix, p, len))
        return 0;
    if (ends_in(suffix, "cls")) {
        v.kind = DS_FV_JSON;
        while (v.len && (v.p[v.len - 1] == '\n' || v.p[v.len - 1] == ' '))
            v.len--;
    }
    if (ends_in(suffix, "json"))
        v = (ds_fval){.kind = DS_FV_JSON, .p = (const uint8_t *)"{}", .len = 2};
    return ds_fguess_see(g, name, n, &v, err);
}

static int schema(void *v, ds_schema *s, ds_err *err)
{
    reader *r = v;
    ds_fguess g;
    const ds_fval key = {.kind = DS_FV_TEXT, .p = (const uint8_t *)""};
    const char *suffix, *why = NULL;
    size_t n;
    uint64_t size, got;
    ds_fguess_init(&g);
    int more = 0, rc = ds_fmtin_want(&r->in, DS_FMTIN_PEEK, err);
    if (rc == 0)
        rc = ds_fguess_see(&g, "key", 3, &key, err);
    /* A walk in the window, which then goes back to where it began. */
    ds_fmtin in = r->in;
    in.eof = true;
    while (rc == 0 && (more = ds_tarball_next(&in, &r->name, &size, &why, err)) == 1) {
        if (size > ds_fmtin_have(&in))
            break;
        if (divide((const char *)r->name.data, &n, &suffix))
            rc = guess(&g, suffix, ds_fmtin_at(&in), (size_t)size, err);
        if (rc == 0)
            rc = ds_fmtin_pass(&in, size + ds_tarball_fill(size), &got, err);
    }
    if (rc == 0 && g.names.n == 1)
        rc = ds_fail(err, DS_FAIL, "%s: no sample at its beginning", r->o.name);
    if (rc == 0)
        rc = ds_fguess_schema(&g, s, NULL, err);
    ds_fguess_fini(&g);
    return rc;
}

static long column_of(reader *r, const ds_schema *s, const char *suffix)
{
    for (size_t i = s->explicit_key; i < s->n; i++)
        if (strcmp((const char *)r->suffix[i].data, suffix) == 0)
            return (long)i;
    size_t n;
    const char *name = field_of(suffix, &n);
    const long k = ds_fmtschema_column(s, NULL, name, n);
    return s->explicit_key && k == 0 ? -1 : k;
}

/* The key with %XX undone: as it was exported, or as it stands where that is no key of ours. */
static int key_text(reader *r)
{
    const uint8_t *p = r->key.data;
    ds_buf_reset(&r->text);
    if (r->key.len == 1 && *p == '%')
        return 0;
    for (size_t i = 0; i < r->key.len; i++) {
        uint8_t c = p[i];
        if (c == '%' && i + 2 < r->key.len && ds_hex_decode((const char *)p + i + 1, 2, &c, 1))
            i += 2;
        if (ds_buf_putc(&r->text, c))
            return DS_NOMEM;
    }
    return 0;
}

static int end_sample(reader *r, const ds_fmtsink *sink, uint64_t end, ds_err *err)
{
    const ds_schema *s = sink->schema;
    const char *why = r->why;
    if (!r->open)
        return 0;
    r->open = false;
    for (size_t i = s->explicit_key; !why && i < s->n; i++)
        if (r->values[i].kind != DS_FV_NULL)
            why =
                decode(&r->values[i],
                       s->cols[i].type >= DS_TENSOR && s->cols[i].type <= DS_TOKENS32 ? "npy" : "",
                       r->data.data + r->at[i], r->values[i].len);
    if (why)
        return sink->bad(sink->ctx, "sample", r->first, r->first, NULL, (size_t)(end - r->first),
                         false, why, err);
    if (s->explicit_key) {
        if (key_text(r))
            return ds_fail_nomem(err);
        r->values[0] = (ds_fval){.kind = DS_FV_TEXT,
                                 .p = r->text.data ? r->text.data : (const uint8_t *)"",
                                 .len = r->text.len};
    }
    return sink->row(sink->ctx, r->values, r->first, end - r->first, err);
}

static int begin_sample(reader *r, const ds_schema *s, const char *key, size_t len, uint64_t at,
                        ds_err *err)
{
    r->open = true;
    r->why = NULL;
    r->first = at;
    ds_buf_reset(&r->key);
    ds_buf_reset(&r->data);
    for (size_t i = 0; i < s->n; i++)
        r->values[i] = (ds_fval){.kind = DS_FV_NULL};
    return ds_buf_put(&r->key, key, len) || ds_buf_reserve(&r->data, 1) ? ds_fail_nomem(err) : 0;
}

/* The bytes of a file into the sample. 1: there are not so many. */
static int take_file(reader *r, const ds_schema *s, const char *suffix, uint64_t size, ds_err *err)
{
    const uint64_t whole = size + ds_tarball_fill(size);
    uint64_t got = 0;
    const long k = column_of(r, s, suffix);
    int rc = 0;
    if (k < 0 && strcmp(suffix, "none") != 0)
        r->why = "a file of the sample has no column";
    else if (k >= 0 && r->values[k].kind != DS_FV_NULL)
        r->why = "a file of the sample is there twice";
    else if (size > r->o.max_record || r->data.len + size > r->o.max_record)
        r->why = "the sample is longer than --max-record";
    if (k < 0 || r->why) {
        rc = ds_fmtin_pass(&r->in, whole, &got, err);
        return rc ? rc : got < size;
    }
    r->at[k] = r->data.len;
    r->values[k] = (ds_fval){.kind = DS_FV_TEXT, .len = (size_t)size};
    for (uint64_t left = size; rc == 0 && left;) {
        rc = ds_fmtin_want(&r->in, 1, err);
        const uint64_t have = ds_fmtin_have(&r->in), n = left < have ? left : have;
        if (rc == 0 && n == 0)
            return 1;
        if (rc == 0 && ds_buf_put(&r->data, ds_fmtin_at(&r->in), (size_t)n))
            rc = ds_fail_nomem(err);
        ds_fmtin_skip(&r->in, (size_t)n);
        left -= n;
    }
    return rc ? rc : ds_fmtin_pass(&r->in, ds_tarball_fill(size), &got, err);
}

static int read_all(void *v, const ds_fmtsink *sink, ds_err *err)
{
    reader *r = v;
    const ds_schema *s = sink->schema;
    const char *suffix, *why = NULL;
    uint64_t size;
    size_t n;
    int more = 0, rc;
    r->nsuffix = s->n;
    r->values = calloc(s->n + 1, sizeof *r->values);
    r->at = calloc(s->n + 1, sizeof *r->at);
    rc = r->values && r->at ? suffixes(r->suffix, s, err) : ds_fail_nomem(err);
    while (rc == 0) {
        const uint64_t at = r->in.pos;
        more = ds_tarball_next(&r->in, &r->name, &size, &why, err);
        if (more != 1)
            break;
        const char *name = (const char *)r->name.data;
        const bool of_sample = divide(name, &n, &suffix);
        if (r->open && (!of_sample || n != r->key.len || memcmp(name, r->key.data, n) != 0))
            rc = end_sample(r, sink, at, err);
        if (rc == 0 && of_sample && !r->open)
            rc = begin_sample(r, s, name, n, at, err);
        if (rc == 0 && of_sample)
            rc = take_file(r, s, suffix, size, err);
        else if (rc == 0)
            rc = ds_fmtin_pass(&r->in, size + ds_tarball_fill(size), &size, err);
        if (rc == 1)
            why = "the archive ends within a file", more = DS_FAIL;
    }
    if (rc == 0 || rc == 1) /* a sample of which the last file is cut short is none */
        rc = rc == 1 ? 0 : end_sample(r, sink, r->in.pos, err);
    if (rc == 0 && more < 0 && why)
        rc = sink->bad(sink->ctx, "tar", r->in.pos, r->in.pos, NULL, 0, true, why, err);
    else if (rc == 0 && more < 0)
        rc = more;
    return rc ? rc : ds_fmtin_end(&r->in, sink, err);
}

static void close_reader(void *v)
{
    reader *r = v;
    if (!r)
        return;
    ds_fmtin_close(&r->in);
    ds_buf_fini(&r->name);
    ds_buf_fini(&r->key);
    ds_buf_fini(&r->text);
    ds_buf_fini(&r->data);
    for (size_t i = 0; i < r->nsuffix; i++)
        ds_buf_fini(&r->suffix[i]);
    free(r->values);
    free(r->at);
    free(r);
}

extern const ds_format ds_format_webdataset;
const ds_format ds_format_webdataset = {
    .name = "webdataset",
    .summary = "WebDataset tar archives",
    .ext = ".tar",
    .flags = DS_FORMAT_PIPE | DS_FORMAT_SHARDS,
    .begin = begin,
    .open = open_out,
    .row = row,
    .put = ds_fmtwriter_put,
    .finish = ds_fmtwriter_finish,
    .free = free_writer,
    .read_open = read_open,
    .schema = schema,
    .read = read_all,
    .close = close_reader,
};
