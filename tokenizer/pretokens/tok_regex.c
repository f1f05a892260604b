/* tok_regex.c - see tok_regex.h. */
#include "tok_regex.h"

#include <stdlib.h>
#include <string.h>

#include "tok_pattern.h"
#include "tok_uni.h"

static int compile(tok_regex *r, const char *what, const ds_buf *b, uint32_t flags, ds_err *err)
{
    PCRE2_UCHAR msg[200] = "";
    PCRE2_SIZE at = 0;
    int code = 0;
    pcre2_compile_context *cc = pcre2_compile_context_create(NULL);
    if (cc == NULL)
        return ds_fail_nomem(err);
    pcre2_set_newline(cc, PCRE2_NEWLINE_LF);
    r->re = pcre2_compile(b->data, b->len, flags, &code, &at, cc);
    pcre2_compile_context_free(cc);
    if (r->re == NULL) {
        pcre2_get_error_message(code, msg, sizeof msg);
        return ds_fail(err, DS_FAIL, "%s pattern %s: %s", what, r->pattern, (char *)msg);
    }
    pcre2_jit_compile(r->re, PCRE2_JIT_COMPLETE); /* without a JIT it is interpreted */
    return 0;
}

int ds_tok_regex_compile(tok_regex *r, const char *what, const char *pattern, size_t len,
                         bool literal, ds_err *err)
{
    const char *why = NULL;
    ds_buf b = {0};
    uint32_t flags = PCRE2_UTF | (literal ? PCRE2_LITERAL
                                          : PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C);
    int rc = literal ? ds_buf_put(&b, pattern, len) : ds_tok_pattern_write(&b, pattern, len, &why);
    r->pattern = strdup(pattern);
    if (rc != 0 || r->pattern == NULL)
        rc = ds_fail_nomem(err);
    else if (why != NULL)
        rc = ds_fail(err, DS_FAIL, "%s pattern %s: %s may mean something else to the reference",
                     what, pattern, why);
    else
        rc = compile(r, what, &b, flags, err);
    ds_buf_fini(&b);
    return rc;
}

void ds_tok_regex_fini(tok_regex *r)
{
    pcre2_code_free(r->re);
    free(r->pattern);
    memset(r, 0, sizeof *r);
}

pcre2_match_context *ds_tok_regex_limits(void)
{
    pcre2_match_context *c = pcre2_match_context_create(NULL);
    if (c != NULL) {
        pcre2_set_match_limit(c, 10000000); /* the reference's own limit on retries */
        pcre2_set_heap_limit(c, 256 << 10); /* KiB */
    }
    return c;
}

static int failed(const tok_matches *m, int rc, ds_err *err)
{
    PCRE2_UCHAR msg[200] = "";
    if (rc == PCRE2_ERROR_NOMEMORY)
        return ds_fail_nomem(err);
    pcre2_get_error_message(rc, msg, sizeof msg);
    return ds_fail(err, DS_FAIL, "pattern %s: %s", m->r->pattern, (char *)msg);
}

int ds_tok_regex_next(tok_matches *m, size_t *start, size_t *end, ds_err *err)
{
    while (m->from <= m->len) {
        int n = pcre2_match(m->r->re, m->p, m->len, m->from, PCRE2_NO_UTF_CHECK, m->md, m->mctx);
        if (n == PCRE2_ERROR_NOMATCH)
            break;
        if (n < 0)
            return failed(m, n, err);
        const PCRE2_SIZE *ov = pcre2_get_ovector_pointer(m->md);
        bool empty = ov[0] == ov[1], counts = !empty || !m->any || ov[1] != m->prev;
        if (ov[1] < ov[0] || ov[0] < m->prev)
            return ds_fail(err, DS_FAIL, "pattern %s: a match runs backwards", m->r->pattern);
        *start = ov[0];
        *end = m->from = ov[1];
        if (empty) {
            unsigned step = 1;
            if (*end < m->len)
                ds_uni_get(m->p + *end, &step);
            m->from += step;
        }
        if (!counts)
            continue;
        m->prev = *end;
        m->any = true;
        return 1;
    }
    m->from = m->len + 1;
    return 0;
}
