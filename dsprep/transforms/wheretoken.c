/* wheretoken.c - see whereparse.h: tokens of an expression. */
#include <stdio.h>
#include <string.h>

#include "utf8.h"
#include "whereparse.h"

int ds_wparse_fail(ds_wparse *s, size_t at, const char *what)
{
    const size_t n = at < s->len ? ds_utf8_whole(s->p + at, s->len - at, 20) : 0;
    return ds_fail(s->err, DS_USAGE, "expression, at byte %zu (%.*s): %s", at, n ? (int)n : 7,
                   n ? s->p + at : "its end", what);
}

static bool name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (c & 0x80);
}

/* A name is parts with dots between: of letters and digits, or anything between backticks. */
static int lex_name(ds_wparse *s)
{
    for (;;) {
        if (s->at < s->len && s->p[s->at] == '`') {
            const char *e = memchr(s->p + s->at + 1, '`', s->len - s->at - 1);
            if (!e)
                return ds_wparse_fail(s, s->at, "a backtick is not closed");
            s->at = (size_t)(e - s->p) + 1;
        } else {
            while (s->at < s->len && name_byte(s->p[s->at]))
                s->at++;
        }
        if (s->at + 1 >= s->len || s->p[s->at] != '.' ||
            !(name_byte(s->p[s->at + 1]) || s->p[s->at + 1] == '`'))
            return 0;
        s->at++;
    }
}

static void lex_number(ds_wparse *s)
{
    const char *p = s->p;
    while (s->at < s->len && p[s->at] >= '0' && p[s->at] <= '9')
        s->at++;
    if (s->at < s->len && p[s->at] == '.')
        s->at++;
    while (s->at < s->len && p[s->at] >= '0' && p[s->at] <= '9')
        s->at++;
    if (s->at < s->len && (p[s->at] | 0x20) == 'e') {
        s->at++;
        if (s->at < s->len && (p[s->at] == '+' || p[s->at] == '-'))
            s->at++;
        while (s->at < s->len && p[s->at] >= '0' && p[s->at] <= '9')
            s->at++;
    }
}

static int lex_text(ds_wparse *s)
{
    const char quote = s->p[s->at++];
    while (s->at < s->len && s->p[s->at] != quote)
        s->at += s->p[s->at] == '\\' ? 2 : 1;
    if (s->at >= s->len)
        return ds_wparse_fail(s, s->from, "a text is not closed");
    s->at++;
    return 0;
}

int ds_wtoken_next(ds_wparse *s)
{
    static const char *const pairs[] = {"==", "!=", "<=", ">=", NULL};
    while (s->at < s->len && strchr(" \t\r\n", s->p[s->at]) && s->p[s->at])
        s->at++;
    s->from = s->at;
    int rc = 0;
    const char c = s->at < s->len ? s->p[s->at] : 0;
    if (s->at >= s->len) {
        s->kind = T_END;
    } else if (c >= '0' && c <= '9') {
        s->kind = T_NUMBER;
        lex_number(s);
    } else if (c == '"' || c == '\'') {
        s->kind = T_TEXT;
        rc = lex_text(s);
    } else if (name_byte(c) || c == '`') {
        s->kind = T_NAME;
        rc = lex_name(s);
    } else if (c && strchr("()[],+-*/%<>=!", c)) {
        s->kind = T_SIGN;
        for (size_t i = 0; pairs[i]; i++)
            if (s->at + 1 < s->len && memcmp(s->p + s->at, pairs[i], 2) == 0)
                s->at++;
        s->at++;
    } else {
        return ds_wparse_fail(s, s->at, "this cannot stand here");
    }
    s->to = s->at;
    return rc;
}

bool ds_wtoken_is(const ds_wparse *s, const char *w)
{
    return s->kind != T_TEXT && s->to - s->from == strlen(w) &&
           memcmp(s->p + s->from, w, s->to - s->from) == 0;
}

int ds_wtoken_accept(ds_wparse *s, const char *w)
{
    if (!ds_wtoken_is(s, w))
        return 0;
    int rc = ds_wtoken_next(s);
    return rc ? rc : 1;
}

int ds_wtoken_expect(ds_wparse *s, const char *w)
{
    char what[40];
    int rc = ds_wtoken_accept(s, w);
    if (rc)
        return rc < 0 ? rc : 0;
    (void)snprintf(what, sizeof what, "'%s' is wanted", w);
    return ds_wparse_fail(s, s->from, what);
}
