/* redact.c - see redact.h. */
#include "redact.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "jsonrow.h"

enum { PSEUDONYM_BYTES = 6 };

/* What takes the place of a match. */
static int replacement(const ds_redactor *r, ds_redactwork *w, const ds_piimatch *m,
                       const uint8_t *p, char out[64], ds_err *err)
{
    const char *name = ds_pii_names[m->kind];
    char upper[16];
    size_t n = strlen(name);
    for (size_t i = 0; i <= n; i++)
        upper[i] = name[i] >= 'a' && name[i] <= 'z' ? name[i] & ~0x20 : name[i];
    if (!r->key) {
        (void)snprintf(out, 64, "[%s]", upper);
        return 0;
    }
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned mac_len = 0;
    const size_t len = m->end - m->at;
    ds_buf_reset(&w->plain);
    if (ds_buf_puts(&w->plain, name) || ds_buf_putc(&w->plain, 0) || ds_buf_reserve(&w->plain, len))
        return ds_fail_nomem(err);
    w->plain.len += ds_pii_plain(p + m->at, len, m->kind, w->plain.data + w->plain.len, len);
    if (!HMAC(EVP_sha256(), r->key, (int)r->key_len, w->plain.data, w->plain.len, mac, &mac_len))
        return ds_fail(err, DS_FAIL, "HMAC failed");
    ds_buf_reset(&w->plain);
    if (ds_buf_hex(&w->plain, mac, PSEUDONYM_BYTES) || !ds_buf_cstr(&w->plain))
        return ds_fail_nomem(err);
    (void)snprintf(out, 64, "%s_%s", upper, (const char *)w->plain.data);
    return 0;
}

/* The first name at `from` or behind, before `upto`. */
static bool next_name(const ds_redactor *r, const uint8_t *p, size_t len, size_t from, size_t upto,
                      ds_piimatch *m)
{
    for (size_t at = from; at < upto; at++) {
        if (!ds_piinames_first(r->names, p[at]))
            continue;
        const size_t end = ds_piinames_at(r->names, p, len, at);
        if (end) {
            *m = (ds_piimatch){.kind = DS_PII_NAME, .at = at, .end = end};
            return true;
        }
    }
    return false;
}

/* Matches one after the other; where a name and something else meet, the first wins. */
typedef struct finder {
    bool have, none; /* a pattern waits; there are no more */
    ds_piimatch pattern;
} finder;

static bool next_match(const ds_redactor *r, finder *f, const uint8_t *p, size_t len, size_t from,
                       ds_piimatch *m)
{
    if (f->have && f->pattern.at < from)
        f->have = false;
    if (!f->have && !f->none) {
        f->have = ds_pii_next(p, len, from, r->kinds, &f->pattern);
        f->none = !f->have;
    }
    if (r->names && next_name(r, p, len, from, f->have ? f->pattern.at : len, m))
        return true;
    *m = f->pattern;
    return f->have;
}

/* As it is written. `last`: nothing stands behind it. */
static int as_written(const ds_redactor *r, ds_redactwork *w, const uint8_t *p, size_t len,
                      bool last, ds_spool *out, ds_err *err)
{
    finder f = {0};
    ds_piimatch m;
    char with[64];
    size_t at = 0;
    int rc = 0;
    while (rc == 0 && at < len && next_match(r, &f, p, len, at, &m)) {
        if (m.at > at)
            rc = ds_spool_put(out, p + at, m.at - at, err);
        if (rc == 0)
            rc = replacement(r, w, &m, p, with, err);
        if (rc == 0)
            rc = ds_spool_put(out, with, strlen(with), err);
        w->counts[m.kind]++;
        at = m.end;
    }
    if (last && len - at > 20 && (r->kinds >> DS_PII_SECRET & 1) &&
        ds_pii_opens_key(p + at, len - at))
        w->open_keys++;
    return rc || at == len ? rc : ds_spool_put(out, p + at, len - at, err);
}

/* What is found in the folded text goes first, as a whole; between that, what is found in the text
 * as it is written: two numbers that only something unseen parts are one in the folded text. */
int ds_redact_text(const ds_redactor *r, ds_redactwork *w, const uint8_t *p, size_t len,
                   ds_spool *out, ds_err *err)
{
    finder f = {0};
    ds_piimatch m;
    char with[64];
    size_t at = 0, done = 0; /* in the folded text; in the text */
    int rc = 0;
    if (!ds_piifold_needed(p, len))
        return as_written(r, w, p, len, true, out, err);
    if (ds_piifold_set(&w->fold, p, len))
        return ds_fail_nomem(err);
    const uint8_t *q = w->fold.text.data;
    const size_t n = w->fold.text.len;
    while (rc == 0 && at < n && next_match(r, &f, q, n, at, &m)) {
        size_t from = m.at, to = m.end;
        ds_piifold_range(&w->fold, &from, &to);
        rc = as_written(r, w, p + done, from - done, false, out, err);
        if (rc == 0)
            rc = replacement(r, w, &m, q, with, err);
        if (rc == 0)
            rc = ds_spool_put(out, with, strlen(with), err);
        w->counts[m.kind]++;
        at = m.end;
        done = to;
    }
    return rc ? rc : as_written(r, w, p + done, len - done, true, out, err);
}

/* ---- JSON ---- */

static uint64_t total(const ds_redactwork *w)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < DS_NPII; i++)
        n += w->counts[i];
    return n;
}

/* A value as text; written in quotes when something was found in it, else as it stood. */
static int json_part(const ds_redactor *r, ds_redactwork *w, const uint8_t *raw, size_t raw_len,
                     const uint8_t *text, size_t len, ds_spool *out, ds_err *err)
{
    const uint64_t before = total(w);
    ds_spool s = {0};
    ds_buf quoted = {0};
    const uint8_t *q;
    size_t n;
    int rc = ds_redact_text(r, w, text, len, &s, err);
    if (rc == 0 && total(w) == before) {
        rc = ds_spool_put(out, raw, raw_len, err);
    } else if (rc == 0 && (rc = ds_spool_view(&s, &q, &n, err)) == 0) {
        if (ds_buf_putc(&quoted, '"') || ds_json_escape(&quoted, q, n) || ds_buf_putc(&quoted, '"'))
            rc = ds_fail_nomem(err);
        if (rc == 0)
            rc = ds_spool_put(out, quoted.data, quoted.len, err);
    }
    ds_spool_fini(&s);
    ds_buf_fini(&quoted);
    return rc;
}

static size_t string_end(const uint8_t *p, size_t len, size_t at)
{
    for (at++; at < len && p[at] != '"'; at++)
        at += p[at] == '\\';
    return at < len ? at + 1 : len;
}

static int unescape(ds_redactwork *w, const uint8_t *p, size_t len, ds_err *err)
{
    ds_buf_reset(&w->text);
    if (ds_buf_reserve(&w->text, len + DS_JSTRING_SLACK))
        return ds_fail_nomem(err);
    w->text.len = ds_jstring_unescape(w->text.data, p + 1, len - 2);
    return 0;
}

/* A member's name stays: two that are masked would be one. */
static int json_name(const ds_redactor *r, ds_redactwork *w, const uint8_t *p, size_t len,
                     ds_spool *out, ds_err *err)
{
    finder f = {0};
    ds_piimatch m;
    int rc = unescape(w, p, len, err);
    if (rc == 0 && ds_piifold_needed(w->text.data, w->text.len)) {
        if (ds_piifold_set(&w->fold, w->text.data, w->text.len))
            return ds_fail_nomem(err);
        const ds_buf text = w->text;
        w->text = w->fold.text;
        w->fold.text = text;
    }
    for (size_t at = 0; rc == 0 && next_match(r, &f, w->text.data, w->text.len, at, &m); at = m.end)
        w->named[m.kind]++;
    return rc ? rc : ds_spool_put(out, p, len, err);
}

static int json_string(const ds_redactor *r, ds_redactwork *w, const uint8_t *p, size_t len,
                       ds_spool *out, ds_err *err)
{
    const int rc = unescape(w, p, len, err);
    return rc ? rc : json_part(r, w, p, len, w->text.data, w->text.len, out, err);
}

int ds_redact_json(const ds_redactor *r, ds_redactwork *w, const uint8_t *p, size_t len,
                   ds_spool *out, ds_err *err)
{
    int rc = 0;
    for (size_t at = 0, end; rc == 0 && at < len; at = end) {
        end = at;
        if (p[at] == '"') {
            end = string_end(p, len, at);
            if (end < len && p[end] == ':')
                rc = json_name(r, w, p + at, end - at, out, err);
            else
                rc = json_string(r, w, p + at, end - at, out, err);
        } else if (p[at] >= '0' && p[at] <= '9') {
            while (end < len && ((p[end] >= '0' && p[end] <= '9') || p[end] == '.' ||
                                 p[end] == '-' || p[end] == '+' || (p[end] | 0x20) == 'e'))
                end++;
            /* after a sign it is no number of a person */
            if (end - at >= 9 && !(at > 0 && p[at - 1] == '-'))
                rc = json_part(r, w, p + at, end - at, p + at, end - at, out, err);
            else
                rc = ds_spool_put(out, p + at, end - at, err);
        } else {
            while (end < len && p[end] != '"' && !(p[end] >= '0' && p[end] <= '9'))
                end++;
            rc = ds_spool_put(out, p + at, end - at, err);
        }
    }
    return rc;
}

void ds_redactwork_fini(ds_redactwork *w)
{
    ds_buf_fini(&w->plain);
    ds_buf_fini(&w->text);
    ds_piifold_fini(&w->fold);
}
