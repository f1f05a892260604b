/* tok_norm.c - see tok_norm.h. */
#include "tok_norm.h"

#include <stdlib.h>
#include <string.h>

#include "tok_uni.h"

void ds_tok_norms_fini(tok_norms *n)
{
    for (unsigned i = 0; i < n->n; i++) {
        free(n->v[i].from);
        free(n->v[i].to);
    }
    memset(n, 0, sizeof *n);
}

static int text_of(const json_t *v, const char *what, bool empty, char **out, size_t *len,
                   ds_err *err)
{
    if (!json_is_string(v) || (!empty && json_string_length(v) == 0))
        return ds_fail(err, DS_FAIL, "normalizer %s", what);
    *out = strdup(json_string_value(v));
    *len = json_string_length(v);
    return *out != NULL ? 0 : ds_fail_nomem(err);
}

static int flag(const json_t *o, const char *name, bool *out, ds_err *err)
{
    const json_t *v = json_object_get(o, name);
    *out = v == NULL || json_is_true(v);
    return v == NULL || json_is_boolean(v)
               ? 0
               : ds_fail(err, DS_FAIL, "normalizer Strip: %s is neither true nor false", name);
}

static int read_one(tok_norms *out, const json_t *o, const char *type, ds_err *err)
{
    if (out->n == TOK_NORMS)
        return ds_fail(err, DS_FAIL, "normalizer: more than %d steps", TOK_NORMS);
    tok_norm *s = &out->v[out->n++];
    int rc = 0;
    if (strcmp(type, "NFC") == 0) {
        s->kind = TOK_NORM_NFC;
    } else if (strcmp(type, "Strip") == 0) {
        s->kind = TOK_NORM_STRIP;
        rc = flag(o, "strip_left", &s->left, err);
        rc = rc ? rc : flag(o, "strip_right", &s->right, err);
    } else if (strcmp(type, "Prepend") == 0) {
        s->kind = TOK_NORM_PREPEND;
        rc = text_of(json_object_get(o, "prepend"), "Prepend has no text", true, &s->to, &s->to_len,
                     err);
    } else if (strcmp(type, "Replace") == 0) {
        const json_t *pattern = json_object_get(o, "pattern");
        s->kind = TOK_NORM_REPLACE;
        if (json_object_get(pattern, "Regex") != NULL)
            return ds_fail(err, DS_FAIL, "normalizer Replace of a regex is not supported");
        rc = text_of(json_object_get(pattern, "String"), "Replace has no pattern", false, &s->from,
                     &s->from_len, err);
        rc = rc ? rc
                : text_of(json_object_get(o, "content"), "Replace has no content", true, &s->to,
                          &s->to_len, err);
    } else {
        rc = ds_fail(err, DS_FAIL,
                     "normalizer %s is not supported (NFC, Replace, Prepend, Strip are)", type);
    }
    size_t used = strlen(out->name);
    if (rc == 0 && used + strlen(type) + 3 < sizeof out->name)
        snprintf(out->name + used, sizeof out->name - used, "%s%s", used ? ", " : "", type);
    return rc;
}

static int read_any(tok_norms *out, const json_t *o, int depth, ds_err *err)
{
    if (o == NULL || json_is_null(o))
        return 0;
    const char *type = json_string_value(json_object_get(o, "type"));
    if (type == NULL)
        return ds_fail(err, DS_FAIL, "normalizer %s",
                       json_is_object(o) ? "has no type" : "is not an object");
    if (strcmp(type, "Sequence") != 0)
        return read_one(out, o, type, err);
    const json_t *list = json_object_get(o, "normalizers");
    if (!json_is_array(list))
        return ds_fail(err, DS_FAIL, "normalizer: Sequence without a list of normalizers");
    if (depth > 8)
        return ds_fail(err, DS_FAIL, "normalizer: Sequences nest too deeply");
    int rc = 0;
    for (size_t i = 0; i < json_array_size(list) && rc == 0; i++)
        rc = read_any(out, json_array_get(list, i), depth + 1, err);
    return rc;
}

int ds_tok_norms_read(tok_norms *out, const json_t *normalizer, ds_err *err)
{
    int rc = read_any(out, normalizer, 0, err);
    if (out->n == 0)
        snprintf(out->name, sizeof out->name, "none");
    return rc;
}

bool ds_tok_norms_only_nfc(const tok_norms *n)
{
    for (unsigned i = 0; i < n->n; i++)
        if (n->v[i].kind != TOK_NORM_NFC)
            return false;
    return true;
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
        if (s->kind == TOK_NORM_STRIP)
            return false;
        if (s->kind != TOK_NORM_REPLACE)
            continue;
        if (strcmp(s->from, " ") != 0 || strcmp(*space, " ") != 0 || !one_char(s->to, s->to_len))
            return false;
        *space = s->to;
    }
    return true;
}

static int replace(ds_buf *out, const tok_norm *s, const uint8_t *p, size_t len)
{
    const uint8_t *end = p + len, *at;
    int rc = ds_buf_reserve(out, len + len / 2);
    while (rc == 0 && (at = memmem(p, (size_t)(end - p), s->from, s->from_len)) != NULL) {
        rc = ds_buf_put(out, p, (size_t)(at - p));
        rc = rc ? rc : ds_buf_put(out, s->to, s->to_len);
        p = at + s->from_len;
    }
    return rc ? rc : ds_buf_put(out, p, (size_t)(end - p));
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
        if ((s->kind == TOK_NORM_NFC && ds_uni_is_nfc(cls, p, len)) ||
            (s->kind == TOK_NORM_PREPEND && (!first || len == 0)))
            continue;
        ds_buf_reset(b);
        if (s->kind == TOK_NORM_NFC) {
            rc = ds_uni_nfc(b, cls, p, len, err);
        } else {
            rc = s->kind == TOK_NORM_REPLACE ? replace(b, s, p, len)
                                             : ds_buf_put(b, s->to, s->to_len);
            if (rc == 0 && s->kind == TOK_NORM_PREPEND)
                rc = ds_buf_put(b, p, len);
            rc = rc ? ds_fail_nomem(err) : 0;
        }
        p = b->data;
        len = b->len;
        to = 1 - to;
    }
    *out = p;
    *out_len = len;
    return rc;
}
