/* tok_norm.c - see tok_norm.h. */
#include "tok_norm.h"

#include <stdlib.h>
#include <string.h>

#include "tok_parts.h"
#include "utf8.h"

void ds_tok_norms_fini(tok_norms *n)
{
    for (unsigned i = 0; i < n->n; i++)
        ds_tok_replace_fini(&n->v[i].replace);
    memset(n, 0, sizeof *n);
}

static int flag(const json_t *o, const char *name, bool *out, ds_err *err)
{
    const json_t *v = json_object_get(o, name);
    *out = v == NULL || json_is_true(v);
    return v == NULL || json_is_boolean(v)
               ? 0
               : ds_fail(err, DS_FAIL, "normalizer Strip: %s is neither true nor false", name);
}

/* Those without parameters. */
static const struct {
    const char *name;
    enum tok_norm_kind kind;
    enum ds_uni_form form;
} plain[] = {{"NFC", TOK_NORM_FORM, DS_UNI_NFC},
             {"NFD", TOK_NORM_FORM, DS_UNI_NFD},
             {"NFKC", TOK_NORM_FORM, DS_UNI_NFKC},
             {"NFKD", TOK_NORM_FORM, DS_UNI_NFKD},
             {"Lowercase", TOK_NORM_LOWER, 0},
             {"StripAccents", TOK_NORM_ACCENTS, 0},
             {"Nmt", TOK_NORM_NMT, 0}};

static int read_kind(tok_norm *s, const json_t *o, const char *type, ds_err *err)
{
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        if (strcmp(type, plain[i].name) == 0) {
            s->kind = plain[i].kind;
            s->form = plain[i].form;
            return 0;
        }
    }
    if (strcmp(type, "Strip") == 0) {
        s->kind = TOK_NORM_STRIP;
        int rc = flag(o, "strip_left", &s->left, err);
        return rc ? rc : flag(o, "strip_right", &s->right, err);
    }
    if (strcmp(type, "Prepend") == 0) {
        s->kind = TOK_NORM_PREPEND;
        return ds_tok_text_read(json_object_get(o, "prepend"), "normalizer Prepend has no text",
                                true, &s->replace.to, &s->replace.to_len, err);
    }
    if (strcmp(type, "Replace") == 0) {
        s->kind = TOK_NORM_REPLACE;
        return ds_tok_replace_read(&s->replace, o, "normalizer Replace", err);
    }
    return ds_fail(err, DS_FAIL,
                   "normalizer %s is not supported (NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, "
                   "Nmt, Replace, Prepend, Strip are)",
                   type);
}

static int read_one(void *ctx, const json_t *o, const char *type, ds_err *err)
{
    tok_norms *out = ctx;
    if (out->n == TOK_NORMS)
        return ds_fail(err, DS_FAIL, "normalizer: more than %d steps", TOK_NORMS);
    int rc = read_kind(&out->v[out->n++], o, type, err);
    size_t used = strlen(out->name);
    if (rc == 0 && used + strlen(type) + 3 < sizeof out->name)
        snprintf(out->name + used, sizeof out->name - used, "%s%s", used ? ", " : "", type);
    return rc;
}

int ds_tok_norms_read(tok_norms *out, const json_t *normalizer, ds_err *err)
{
    int rc = ds_tok_parts_each(normalizer, "normalizer", "normalizers", read_one, out, err);
    if (out->n == 0)
        snprintf(out->name, sizeof out->name, "none");
    return rc;
}

static bool one_char(const char *s, size_t len)
{
    unsigned n;
    if (len == 0)
        return false;
    ds_uni_get((const uint8_t *)s, &n);
    return n == len;
}

bool ds_tok_norms_local(const tok_norms *n, const char **space)
{
    *space = " ";
    for (unsigned i = 0; i < n->n; i++) {
        const tok_norm *s = &n->v[i];
        const tok_replace *r = &s->replace;
        if (s->kind == TOK_NORM_STRIP || s->kind == TOK_NORM_NMT)
            return false;
        if (s->kind != TOK_NORM_REPLACE)
            continue;
        if (r->from == NULL || strcmp(r->from, " ") != 0 || strcmp(*space, " ") != 0 ||
            !one_char(r->to, r->to_len))
            return false;
        *space = r->to;
    }
    return true;
}

static void strip(const tok_norm *s, const uint8_t *cls, const uint8_t **p, size_t *len)
{
    const uint8_t *q = *p, *end = q + *len;
    unsigned n;
    while (s->left && q < end && (cls[ds_uni_get(q, &n)] & DS_UNI_WS))
        q += n;
    while (s->right && end > q) {
        const uint8_t *last = ds_uni_back(q, end);
        if (!(cls[ds_uni_get(last, &n)] & DS_UNI_WS))
            break;
        end = last;
    }
    *p = q;
    *len = (size_t)(end - q);
}

static bool nmt_drops(uint32_t c)
{
    return (c >= 1 && c <= 8) || c == 0xb || (c >= 0xe && c <= 0x1f) || c == 0x7f || c == 0x8f ||
           c == 0x9f;
}
static bool nmt_space(uint32_t c)
{
    return c == 9 || c == 0xa || c == 0xc || c == 0xd || c == 0x1680 ||
           (c >= 0x200b && c <= 0x200f) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
           c == 0xfeff || c == 0xfffd;
}

/* Steps that look at one character at a time. */
static int by_character(ds_buf *out, enum tok_norm_kind kind, const uint8_t *p, size_t len)
{
    int rc = ds_buf_reserve(out, len);
    unsigned n;
    for (size_t at = 0; at < len && rc == 0; at += n) {
        uint32_t c = ds_uni_get(p + at, &n), to = c;
        uint8_t b[6];
        if (kind == TOK_NORM_LOWER)
            to = ds_uni_small(c);
        else if (kind == TOK_NORM_NMT)
            to = nmt_space(c) ? ' ' : c;
        if (kind == TOK_NORM_NMT ? nmt_drops(c)
                                 : kind == TOK_NORM_ACCENTS && c >= 0x300 &&
                                       ds_uni_in(ds_uni_accents, ds_uni_accents_n, c))
            continue;
        unsigned k = ds_utf8_put(b, to);
        if (kind == TOK_NORM_LOWER && c == 0x130)
            k += ds_utf8_put(b + k, 0x307);
        rc = ds_buf_put(out, b, k);
    }
    return rc;
}

static int apply_one(const tok_norm *s, const uint8_t *cls, ds_buf *b, const uint8_t *p, size_t len,
                     ds_err *err)
{
    switch (s->kind) {
    case TOK_NORM_FORM:
        return ds_uni_to_form(b, cls, s->form, p, len, err);
    case TOK_NORM_REPLACE:
        return ds_tok_replace_apply(&s->replace, b, p, len, err);
    case TOK_NORM_PREPEND:
        return ds_buf_put(b, s->replace.to, s->replace.to_len) == 0 && ds_buf_put(b, p, len) == 0
                   ? 0
                   : ds_fail_nomem(err);
    default:
        return by_character(b, s->kind, p, len) == 0 ? 0 : ds_fail_nomem(err);
    }
}

int ds_tok_norms_apply(const tok_norms *n, const uint8_t *cls, ds_buf work[2], bool first,
                       const uint8_t *p, size_t len, const uint8_t **out, size_t *out_len,
                       ds_err *err)
{
    unsigned to = 0;
    int rc = 0;
    for (unsigned i = 0; i < n->n && rc == 0; i++) {
        const tok_norm *s = &n->v[i];
        ds_buf *b = &work[to];
        if (s->kind == TOK_NORM_STRIP) {
            strip(s, cls, &p, &len);
            continue;
        }
        if ((s->kind == TOK_NORM_FORM && ds_uni_is_form(cls, s->form, p, len)) ||
            (s->kind == TOK_NORM_PREPEND && (!first || len == 0)))
            continue;
        ds_buf_reset(b);
        rc = apply_one(s, cls, b, p, len, err);
        p = b->data;
        len = b->len;
        to = 1 - to;
    }
    *out = p;
    *out_len = len;
    return rc;
}
