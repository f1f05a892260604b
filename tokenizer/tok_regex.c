/* tok_regex.c - splits by a pattern that is not one of the well-known ones, through PCRE2.
 *
 * tok_pattern.h says how patterns are read. `^` and `$` are about lines, hence PCRE2_MULTILINE.
 * Matching runs under limits: a pattern that backtracks without end fails with an error.
 */
#include "tok_pattern.h"
#include "tok_priv.h"

#include <stdlib.h>
#include <string.h>

int ds_tok_regex_compile(tok_step *s, const char *pattern, size_t len, bool literal, ds_err *err)
{
    const char *why = NULL;
    ds_buf b = {0};
    int code = 0,
        rc = literal ? ds_buf_put(&b, pattern, len) : ds_tok_pattern_write(&b, pattern, len, &why);
    PCRE2_SIZE at = 0;
    uint32_t flags = PCRE2_UTF | (literal ? PCRE2_LITERAL
                                          : PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C);
    pcre2_compile_context *cc = pcre2_compile_context_create(NULL);
    if (rc != 0 || cc == NULL) {
        rc = ds_fail_nomem(err);
        goto out;
    }
    if (why != NULL) {
        rc = ds_fail(err, DS_FAIL, "Split pattern %s: %s may mean something else to the reference",
                     pattern, why);
        goto out;
    }
    pcre2_set_newline(cc, PCRE2_NEWLINE_LF);
    s->re = pcre2_compile(b.data, b.len, flags, &code, &at, cc);
    if (s->re == NULL) {
        PCRE2_UCHAR msg[200] = "";
        pcre2_get_error_message(code, msg, sizeof msg);
        rc = ds_fail(err, DS_FAIL, "Split pattern %s: %s", pattern, (char *)msg);
        goto out;
    }
    pcre2_jit_compile(s->re, PCRE2_JIT_COMPLETE); /* without a JIT it is interpreted */
out:
    pcre2_compile_context_free(cc);
    ds_buf_fini(&b);
    return rc;
}

static int match_failed(ds_tok_state *st, unsigned k, int rc)
{
    PCRE2_UCHAR msg[200] = "";
    if (rc == PCRE2_ERROR_NOMEMORY)
        return ds_fail_nomem(st->err);
    pcre2_get_error_message(rc, msg, sizeof msg);
    return ds_fail(st->err, DS_FAIL, "Split pattern %s: %s", st->tok->step[k].pattern, (char *)msg);
}

int ds_tok_regex_piece(ds_tok_state *st, unsigned k, const uint8_t *p, size_t len,
                       enum tok_place place)
{
    const tok_step *s = &st->tok->step[k];
    tok_behave b = {.st = st, .step = k, .p = p, .place = place};
    size_t prev = 0, from = 0, last = SIZE_MAX;
    int rc = 0;
    while (rc == 0 && from <= len) {
        int n = pcre2_match(s->re, p, len, from, PCRE2_NO_UTF_CHECK, st->md[k], st->mctx);
        if (n == PCRE2_ERROR_NOMATCH)
            break;
        if (n < 0)
            return match_failed(st, k, n);
        const PCRE2_SIZE *ov = pcre2_get_ovector_pointer(st->md[k]);
        size_t start = ov[0], end = ov[1];
        if (end < start || start < prev)
            return ds_fail(st->err, DS_FAIL, "Split pattern %s: a match runs backwards",
                           s->pattern);
        if (end > start ||
            end != last) { /* an empty match right behind another one does not count */
            if (start > prev)
                rc = ds_tok_behave_part(&b, prev, start, false);
            rc = rc ? rc : ds_tok_behave_part(&b, start, end, true);
            prev = last = end;
        }
        from = end;
        if (end == start) {
            unsigned step = 1;
            if (end < len)
                ds_uni_get(p + end, &step);
            from += step;
        }
    }
    if (rc == 0 && prev < len)
        rc = ds_tok_behave_part(&b, prev, len, false);
    return rc ? rc : ds_tok_behave_end(&b);
}
