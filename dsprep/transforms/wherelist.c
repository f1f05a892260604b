/* wherelist.c - see wherelist.h. */
#include "wherelist.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dsr_frame.h"
#include "fmtin.h"
#include "normwords.h"
#include "instream.h"
#include "sig.h"
#include "term.h"
#include "twice.h"
#include "utf8.h"
#include "where.h"

enum { WORDS_MAX = 63, RATIO_MAX = 200, SPEC_MAX = 1000 };

/* ---- reading ---- */

static int add_line(ds_wherelist *l, const char *path, uint64_t line, const uint8_t *p, size_t len,
                    ds_err *err)
{
    len -= len > 0 && p[len - 1] == '\r';
    if (len == 0)
        return 0;
    int rc = ds_utf8_check(p, len) == len ? ds_valueset_add(&l->values, p, len, err)
                                          : ds_fail(err, DS_FAIL, "it is not valid UTF-8");
    return rc ? ds_err_prefix(err, "%s: line %" PRIu64, path, line) : 0;
}

static int read_lines(ds_wherelist *l, ds_fmtin *in, ds_err *err)
{
    size_t want = DS_FMTIN_PEEK;
    uint64_t line = 1;
    int rc = ds_fmtin_skip_mark(in, err);
    while (rc == 0 && (rc = ds_fmtin_want(in, want, err)) == 0 && ds_fmtin_have(in) > 0) {
        const uint8_t *p = ds_fmtin_at(in);
        const size_t have = ds_fmtin_have(in);
        const uint8_t *end = memchr(p, '\n', have);
        if (!end && !in->eof && have <= DS_VALUESET_MOST + 1) {
            want = have + DS_FMTIN_PEEK;
            continue;
        }
        const size_t len = end ? (size_t)(end - p) : have;
        rc = add_line(l, in->name, line++, p, len, err);
        ds_fmtin_skip(in, len + (end != NULL));
        want = 1;
    }
    return rc;
}

static int take_sum(void *ctx, const char *name, uint64_t size, const ds_sha *sha, ds_err *err)
{
    ds_wherelist *l = ctx;
    (void)name, (void)size, (void)err;
    l->sha = *sha;
    return 0;
}

/* The values of each record of a stream. */
typedef struct records {
    ds_wherework where;
    ds_colview *views;
    ds_value *values;
} records;

static int add_block(ds_wherelist *l, records *r, const ds_where *w, const ds_schema *s,
                     const ds_block *b, ds_err *err)
{
    int rc = ds_block_texts(b, s, r->views, err);
    for (uint64_t row = 0; rc == 0 && row < b->rows; row++) {
        ds_wval v;
        for (size_t i = 0; i < s->n; i++)
            (void)ds_colview_next(&r->views[i], &r->values[i]);
        rc = ds_where_eval(w, &r->where, r->views, r->values, &v, err);
        if (rc == 0 && v.type == DS_W_TEXT)
            rc = ds_valueset_add(&l->values, v.p, v.len, err);
    }
    return rc;
}

static int read_records(ds_wherelist *l, char *path, ds_err *err)
{
    const char *expr = l->spec[l->name_len] ? l->spec + l->name_len + 1 : "key()";
    ds_instream *in = NULL;
    ds_where *w = NULL;
    records r = {0};
    enum ds_event ev = DS_EV_BLOCK;
    int rc = ds_instream_open(&in, &path, 1, err);
    const ds_schema *s = rc ? NULL : ds_instream_schema(in);
    if (rc == 0) {
        const ds_colnames names = ds_colnames_of(in);
        r.views = calloc(s->n + 1, sizeof *r.views);
        r.values = calloc(s->n + 1, sizeof *r.values);
        rc = r.views && r.values ? ds_where_text_new(&w, expr, &names, err) : ds_fail_nomem(err);
    }
    while (rc == 0 && (ev != DS_EV_END || !ds_instream_last(in))) {
        rc = ds_instream_next(in, &ev, err);
        if (rc == 0 && ev == DS_EV_BLOCK)
            rc = add_block(l, &r, w, s, ds_reader_block(ds_instream_reader(in)), err);
        rc = rc ? rc : ds_check_interrupt(err);
    }
    ds_where_free(w);
    ds_wherework_fini(&r.where);
    free(r.views);
    free(r.values);
    ds_instream_free(in);
    return rc;
}

/* A pipe is copied: it is hashed, and then perhaps read as a stream. The digest is of the file as
 * it lies, packed or not, by which it can be found again. */
static int read_file(ds_wherelist *l, const char *file, ds_err *err)
{
    const ds_fmtsink sum = {.ctx = l, .source = take_sum};
    char *operand = strdup(file);
    ds_twice t = {0};
    ds_fmtin in = {.fd = -1};
    uint64_t size;
    int rc = operand ? ds_twice_open(&t, &operand, 1, err) : ds_fail_nomem(err);
    const ds_fmtread how = {.path = rc ? "" : t.paths[0], .name = file, .max_ratio = RATIO_MAX};
    rc = rc ? rc : ds_fmtin_open(&in, &how, err);
    rc = rc ? rc : ds_fmtin_want(&in, DS_MAGIC_LEN, err);
    const bool stream = rc == 0 && ds_fmtin_have(&in) >= DS_MAGIC_LEN &&
                        memcmp(ds_fmtin_at(&in), DS_MAGIC, DS_MAGIC_LEN) == 0;
    if (rc == 0 && stream)
        rc = read_records(l, t.paths[0], err);
    else if (rc == 0 && l->spec[l->name_len])
        rc =
            ds_fail(err, DS_USAGE, "%s: an expression is for a DSR stream, and this is none", file);
    else if (rc == 0)
        rc = read_lines(l, &in, err);
    rc = rc ? rc : ds_fmtin_end(&in, &sum, err);
    if (rc == 0 && in.unpack)
        rc = ds_sha_file(&l->sha, &size, t.paths[0], err);
    ds_fmtin_close(&in);
    ds_twice_fini(&t);
    free(operand);
    return rc ? rc : ds_valueset_done(&l->values, err);
}

/* ---- all of them ---- */

static int read_one(ds_wherelists *all, const char *option, ds_err *err)
{
    const size_t spec = strcspn(option, "="), name = strcspn(option, ":=");
    for (size_t i = 0; i < name; i++)
        if (!(option[i] == '_' || (option[i] >= '0' && option[i] <= '9' && i > 0) ||
              ((option[i] | 0x20) >= 'a' && (option[i] | 0x20) <= 'z')))
            return ds_fail(err, DS_USAGE,
                           "--list %s: a name has letters, digits and _, and begins with none of "
                           "the digits",
                           option);
    if (!name || !option[spec] || !option[spec + 1] || spec == name + 1)
        return ds_fail(err, DS_USAGE, "--list %s: NAME=FILE or NAME:EXPR=FILE is wanted", option);
    if (spec > SPEC_MAX || ds_utf8_check((const uint8_t *)option, spec) != spec)
        return ds_fail(err, DS_USAGE, "--list %.*s..: NAME:EXPR is UTF-8, of %d bytes at most",
                       (int)name, option, SPEC_MAX);
    if (ds_wherelists_find(all, option, name))
        return ds_fail(err, DS_USAGE, "--list: '%.*s' is there twice", (int)name, option);
    ds_wherelist *l = &all->v[all->n];
    l->name_len = name;
    if (!(l->spec = strndup(option, spec)))
        return ds_fail_nomem(err);
    all->n++;
    int rc = read_file(l, option + spec + 1, err);
    if (rc)
        ds_err_prefix(err, "--list %s", l->spec);
    else if (l->values.n == 0)
        ds_warn("--list %s: there is nothing in %s", l->spec, option + spec + 1);
    return rc;
}

int ds_wherelists_read(ds_wherelists *l, const ds_opt_list *options, ds_err *err)
{
    int rc = 0;
    if (options->n && !(l->v = calloc(options->n, sizeof *l->v)))
        return ds_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < options->n; i++)
        rc = read_one(l, options->v[i], err);
    return rc;
}

ds_wherelist *ds_wherelists_find(const ds_wherelists *l, const char *name, size_t len)
{
    for (size_t i = 0; l && i < l->n; i++)
        if (l->v[i].name_len == len && memcmp(l->v[i].spec, name, len) == 0)
            return &l->v[i];
    return NULL;
}

json_t *ds_wherelists_digests(const ds_wherelists *l)
{
    json_t *all = json_object();
    char name[1024], hex[65];
    for (size_t i = 0; all && i < l->n; i++) {
        ds_sha_hex(hex, &l->v[i].sha);
        const int n = snprintf(name, sizeof name, "list %s", l->v[i].spec);
        if (n < 0 || (size_t)n >= sizeof name ||
            json_object_set_new(all, name, json_sprintf("sha256:%s", hex))) {
            json_decref(all);
            all = NULL;
        }
    }
    return all;
}

void ds_wherelists_fini(ds_wherelists *l)
{
    for (size_t i = 0; i < l->n; i++) {
        ds_valueset_fini(&l->v[i].values);
        ds_wordfold_free(l->v[i].fold);
        free(l->v[i].runs);
        free(l->v[i].spec);
    }
    free(l->v);
    *l = (ds_wherelists){0};
}

/* ---- asking ---- */

bool ds_wherelist_has(const ds_wherelist *l, const uint8_t *p, size_t len)
{
    return ds_valueset_has(&l->values, p, len);
}

static uint64_t *run_slot(const ds_wherelist *l, uint64_t h)
{
    uint64_t i = h & l->mask;
    while (l->runs[i] && l->runs[i] != h)
        i = (i + 1) & l->mask;
    return &l->runs[i];
}

/* 0 stands for none. */
static uint64_t run_hash(uint64_t h)
{
    h = ds_norm_mix(h);
    return h ? h : 1;
}

int ds_wherelist_words(ds_wherelist *l, ds_err *err)
{
    ds_buf words = {0};
    const uint8_t *p;
    size_t at = 0, len;
    uint64_t slots = 16;
    if (l->runs)
        return 0;
    while (slots / 2 < l->values.n)
        slots *= 2;
    int rc = ds_wordfold_new(&l->fold, err);
    if (rc == 0 && !(l->runs = calloc(slots, sizeof *l->runs)))
        rc = ds_fail_nomem(err);
    l->mask = slots - 1;
    while (rc == 0 && ds_valueset_next(&l->values, &at, &p, &len)) {
        ds_buf_reset(&words);
        rc = ds_normwords(&words, NULL, l->fold, false, p, len) ? ds_fail_nomem(err) : 0;
        const size_t n = words.len / sizeof(uint64_t);
        if (rc == 0 && (n == 0 || n > WORDS_MAX))
            rc = ds_fail(err, DS_FAIL, "list %s: '%.*s%s' has %zu words: from 1 to %d can be found",
                         l->spec, (int)ds_utf8_whole((const char *)p, len, 40), (const char *)p,
                         len > 40 ? ".." : "", n, WORDS_MAX);
        if (rc == 0) {
            const uint64_t h = run_hash(ds_norm_run((const uint64_t *)(void *)words.data, n));
            *run_slot(l, h) = h;
            l->lengths |= UINT64_C(1) << n;
        }
    }
    ds_buf_fini(&words);
    return rc;
}

int ds_wherelist_word(const ds_wherelist *l, ds_buf *words, const uint8_t *p, size_t len,
                      bool *found, ds_err *err)
{
    *found = false;
    ds_buf_reset(words);
    if (ds_normwords(words, NULL, l->fold, false, p, len))
        return ds_fail_nomem(err);
    const uint64_t *w = (const uint64_t *)(void *)words->data;
    const size_t n = words->len / sizeof *w;
    for (size_t i = 0; i < n && !*found; i++) {
        uint64_t h = 0;
        for (size_t k = 1; i + k <= n && l->lengths >> k && !*found; k++) {
            h = (h + w[i + k - 1]) * DS_NORM_PRIME;
            *found = (l->lengths >> k & 1) && *run_slot(l, run_hash(h));
        }
    }
    return 0;
}

/* The host of [SCHEME:]//[USER@]HOST[:PORT][/..], or of what begins with it. */
static void host_of(const uint8_t **p, size_t *len)
{
    const uint8_t *end = *p + *len, *from = memmem(*p, *len, "//", 2), *at;
    const uint8_t *first = memchr(*p, '/', *len);
    from = from && from == first ? from + 2 : *p;
    for (at = from; at < end && !strchr("/?#", *at) && *at; at++)
        ;
    end = at;
    while ((at = memchr(from, '@', (size_t)(end - from))) != NULL)
        from = at + 1;
    at = from < end && *from == '[' ? memchr(from, ']', (size_t)(end - from)) : from;
    at = at ? memchr(at, ':', (size_t)(end - at)) : NULL;
    end = at ? at : end;
    while (end > from && end[-1] == '.')
        end--;
    *p = from;
    *len = (size_t)(end - from);
}

int ds_wherelist_sites(const ds_wherelist *l, ds_err *err)
{
    const uint8_t *p;
    size_t at = 0, len;
    while (ds_valueset_next(&l->values, &at, &p, &len)) {
        const uint8_t *host = p;
        size_t n = len, i = 0;
        if (len)
            host_of(&host, &n);
        while (i < len && !(p[i] >= 'A' && p[i] <= 'Z'))
            i++;
        if (n != len || i < len || (len && *p == '.'))
            return ds_fail(err, DS_FAIL,
                           "list %s: '%.*s%s' is no host in small letters, and nothing is on it",
                           l->spec, (int)ds_utf8_whole((const char *)p, len, 40), (const char *)p,
                           len > 40 ? ".." : "");
    }
    return 0;
}

int ds_wherelist_site(const ds_wherelist *l, ds_buf *host, const uint8_t *p, size_t len,
                      bool *found, ds_err *err)
{
    *found = false;
    if (len == 0)
        return 0;
    host_of(&p, &len);
    ds_buf_reset(host);
    if (ds_buf_put(host, p, len))
        return ds_fail_nomem(err);
    for (size_t i = 0; i < len; i++)
        host->data[i] |= host->data[i] >= 'A' && host->data[i] <= 'Z' ? 0x20 : 0;
    for (size_t from = 0; from < len && !*found;) {
        *found = ds_valueset_has(&l->values, host->data + from, len - from);
        const uint8_t *dot = memchr(host->data + from, '.', len - from);
        from = dot ? (size_t)(dot - host->data) + 1 : len;
    }
    return 0;
}
