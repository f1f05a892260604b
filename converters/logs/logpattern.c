/* logpattern.c - records by a pattern of the user's, whose named groups are columns and fields. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "logrow.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#define MATCH_LIMIT 1000000
#define HEAP_LIMIT (64u << 10) /* KiB */
#define GROUPS_MAX 64

typedef struct group {
    const char *name;
    uint32_t number;
    int col; /* -1 = fields */
} group;

struct ds_logpattern {
    pcre2_code *re;
    group groups[GROUPS_MAX];
    size_t n;
};

typedef struct matcher {
    pcre2_match_data *data;
    pcre2_match_context *ctx;
    pcre2_jit_stack *stack;
} matcher;

static int group_column(const char *name)
{
    unsigned rank;
    for (int c = 0; c < DS_LC_FIELDS; c++)
        if (strcmp(ds_logcol_names[c], name) == 0)
            return c;
    return ds_logcol_of((const uint8_t *)name, strlen(name), &rank);
}

static int read_groups(ds_logpattern *p, ds_err *err)
{
    uint32_t n = 0, size = 0;
    PCRE2_SPTR table = NULL;
    pcre2_pattern_info(p->re, PCRE2_INFO_NAMECOUNT, &n);
    pcre2_pattern_info(p->re, PCRE2_INFO_NAMEENTRYSIZE, &size);
    pcre2_pattern_info(p->re, PCRE2_INFO_NAMETABLE, &table);
    if (n == 0 || n > GROUPS_MAX)
        return ds_fail(err, DS_USAGE,
                       "--pattern: it has %u named groups: from 1 to %d are wanted, "
                       "as in (?<time>...) (?<message>...)",
                       n, GROUPS_MAX);
    for (p->n = 0; p->n < n; p->n++, table += size)
        p->groups[p->n] = (group){.name = (const char *)table + 2,
                                  .number = (uint32_t)(table[0] << 8 | table[1]),
                                  .col = group_column((const char *)table + 2)};
    return 0;
}

int ds_logpattern_new(ds_logpattern **out, const char *regex, ds_err *err)
{
    int code;
    PCRE2_SIZE at;
    ds_logpattern *p = calloc(1, sizeof *p);
    *out = NULL;
    if (!p)
        return ds_fail_nomem(err);
    p->re = pcre2_compile((PCRE2_SPTR)regex, PCRE2_ZERO_TERMINATED,
                          PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
    int rc = 0;
    if (!p->re) {
        PCRE2_UCHAR msg[256];
        pcre2_get_error_message(code, msg, sizeof msg);
        rc = ds_fail(err, DS_USAGE, "--pattern: at %zu: %s", (size_t)at, (const char *)msg);
    } else {
        pcre2_jit_compile(p->re, PCRE2_JIT_COMPLETE); /* without a JIT it is interpreted */
        rc = read_groups(p, err);
    }
    if (rc != 0) {
        ds_logpattern_free(p);
        return rc;
    }
    *out = p;
    return 0;
}

void ds_logpattern_free(ds_logpattern *p)
{
    if (p)
        pcre2_code_free(p->re);
    free(p);
}

uint32_t ds_logpattern_columns(const ds_logpattern *p)
{
    uint32_t mask = 1u << DS_LC_TEXT | 1u << DS_LC_TIME | 1u << DS_LC_FIELDS;
    for (size_t i = 0; i < p->n; i++)
        if (p->groups[i].col >= 0)
            mask |= 1u << p->groups[i].col;
    return mask & 1u << DS_LC_LEVEL ? mask | 1u << DS_LC_SEVERITY : mask;
}

void *ds_logpattern_match_new(const ds_logpattern *p)
{
    matcher *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->data = pcre2_match_data_create_from_pattern(p->re, NULL);
    m->ctx = pcre2_match_context_create(NULL);
    m->stack = pcre2_jit_stack_create(32 << 10, 1 << 20, NULL);
    if (!m->data || !m->ctx || !m->stack) {
        ds_logpattern_match_free(m);
        return NULL;
    }
    pcre2_jit_stack_assign(m->ctx, NULL, m->stack);
    pcre2_set_match_limit(m->ctx, MATCH_LIMIT);
    pcre2_set_heap_limit(m->ctx, HEAP_LIMIT);
    return m;
}

void ds_logpattern_match_free(void *match)
{
    matcher *m = match;
    if (!m)
        return;
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->ctx);
    pcre2_jit_stack_free(m->stack);
    free(m);
}

static int take_group(ds_logline *l, const group *g, const uint8_t *v, size_t n)
{
    if (ds_logtake(l, g->col, v, n))
        return 0;
    return ds_logfield(l, g->name, v, n);
}

int ds_logparse_pattern(ds_logline *l, const uint8_t *p, size_t len)
{
    const ds_logpattern *k = l->s->o->pattern;
    matcher *m = l->match;
    int n = pcre2_match(k->re, p, len, 0, PCRE2_NO_UTF_CHECK, m->data, m->ctx);
    if (n == PCRE2_ERROR_NOMATCH)
        return ds_logfail(l, 0, "the pattern does not match");
    if (n == PCRE2_ERROR_NOMEMORY)
        return DS_NOMEM;
    if (n < 0)
        return ds_logfail(l, 0, "the pattern took more steps or memory than it may");
    const PCRE2_SIZE *ov = pcre2_get_ovector_pointer(m->data);
    for (size_t i = 0; i < k->n; i++) {
        const group *g = &k->groups[i];
        PCRE2_SIZE from = ov[2 * g->number], to = ov[2 * g->number + 1];
        if (from == PCRE2_UNSET || to < from)
            continue; /* it took no part */
        int rc = take_group(l, g, p + from, to - from);
        if (rc != 0)
            return rc;
    }
    if (!l->row->v[DS_LC_TEXT].p)
        ds_logset(l, DS_LC_TEXT, p, len);
    return 0;
}
