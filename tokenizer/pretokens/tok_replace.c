/* tok_replace.c - see tok_replace.h. */
#include "tok_replace.h"

#include <stdlib.h>
#include <string.h>

int ds_tok_text_read(const json_t *v, const char *complaint, bool empty, char **out, size_t *len,
                     ds_err *err)
{
    if (!json_is_string(v) || (!empty && json_string_length(v) == 0))
        return ds_fail(err, DS_FAIL, "%s", complaint);
    *out = strdup(json_string_value(v));
    *len = json_string_length(v);
    return *out != NULL ? 0 : ds_fail_nomem(err);
}

int ds_tok_replace_read(tok_replace *r, const json_t *o, const char *what, ds_err *err)
{
    const json_t *pattern = json_object_get(o, "pattern"), *rx = json_object_get(pattern, "Regex"),
                 *text = rx != NULL ? rx : json_object_get(pattern, "String");
    char complaint[80];
    int rc = 0;
    if (!json_is_string(text) || json_string_length(text) == 0)
        return ds_fail(err, DS_FAIL, "%s has no pattern, or an empty one", what);
    if (rx != NULL) {
        r->limits = ds_tok_regex_limits();
        rc = r->limits != NULL ? ds_tok_regex_compile(&r->re, what, json_string_value(rx),
                                                      json_string_length(rx), false, err)
                               : ds_fail_nomem(err);
    } else {
        rc = ds_tok_text_read(text, what, false, &r->from, &r->from_len, err);
    }
    snprintf(complaint, sizeof complaint, "%s has no content", what);
    return rc ? rc
              : ds_tok_text_read(json_object_get(o, "content"), complaint, true, &r->to, &r->to_len,
                                 err);
}

void ds_tok_replace_fini(tok_replace *r)
{
    free(r->from);
    free(r->to);
    ds_tok_regex_fini(&r->re);
    pcre2_match_context_free(r->limits);
    memset(r, 0, sizeof *r);
}

static int by_regex(const tok_replace *r, ds_buf *out, const uint8_t *p, size_t len, ds_err *err)
{
    tok_matches m = {.r = &r->re, .p = p, .len = len, .mctx = r->limits};
    size_t prev = 0, start, end;
    int rc = 0, found = 0;
    m.md = len > 0 ? pcre2_match_data_create(1, NULL) : NULL;
    if (len > 0 && m.md == NULL)
        return ds_fail_nomem(err);
    while (len > 0 && rc == 0 && (found = ds_tok_regex_next(&m, &start, &end, err)) > 0) {
        rc = ds_buf_put(out, p + prev, start - prev);
        rc = rc ? rc : ds_buf_put(out, r->to, r->to_len);
        prev = end;
    }
    pcre2_match_data_free(m.md);
    if (found < 0)
        return found;
    return rc == 0 && ds_buf_put(out, p + prev, len - prev) == 0 ? 0 : ds_fail_nomem(err);
}

int ds_tok_replace_apply(const tok_replace *r, ds_buf *out, const uint8_t *p, size_t len,
                         ds_err *err)
{
    const uint8_t *end = p + len, *at;
    if (r->from == NULL)
        return by_regex(r, out, p, len, err);
    int rc = 0;
    while (rc == 0 && (at = memmem(p, (size_t)(end - p), r->from, r->from_len)) != NULL) {
        rc = ds_buf_put(out, p, (size_t)(at - p));
        rc = rc ? rc : ds_buf_put(out, r->to, r->to_len);
        p = at + r->from_len;
    }
    rc = rc ? rc : ds_buf_put(out, p, (size_t)(end - p));
    return rc ? ds_fail_nomem(err) : 0;
}
