/* tok_pattern.c - see tok_pattern.h. One code point (U+1171E, Mn or Mc) changed its category since
 * Unicode 14; the sets L, N, P, S, M are not affected. */
#include "tok_pattern.h"

#include <stdbool.h>
#include <string.h>

#include "tok_uni.h"

typedef struct reader {
    const uint8_t *p;
    size_t len, i;
    bool in_class;
    ds_buf *out;
    const char *why;
} reader;

static int refuse(reader *r, const char *why)
{
    r->why = why;
    return 0;
}

/* White space is spelled out: PCRE2 counts U+180E, the reference does not. */
static int put_space(reader *r, bool negative)
{
    static const char set[] = "\\t-\\r\\x{85}\\p{Z}";
    if (r->in_class)
        return negative ? refuse(r, "\\S in a class") : ds_buf_puts(r->out, set);
    return ds_buf_printf(r->out, "[%s%s]", negative ? "^" : "", set);
}

static bool is_category(const char *name)
{
    static const char *const known[] = {"L",  "Lu", "Ll", "Lt", "Lm", "Lo", "N",  "Nd",
                                        "Nl", "No", "P",  "Pc", "Pd", "Ps", "Pe", "Pi",
                                        "Pf", "Po", "S",  "Sm", "Sc", "Sk", "So", "M",
                                        "Mn", "Mc", "Me", "Z",  "Zs", "Zl", "Zp"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i], name) == 0)
            return true;
    return false;
}

static int put_category(reader *r, const char *name, bool negative)
{
    if (!is_category(name))
        return refuse(r, "a property that is not a general category");
    if (negative && r->in_class && name[0] != 'Z')
        return refuse(r, "a negated property in a class");
    int rc = 0;
    if (!r->in_class)
        rc = ds_buf_puts(r->out, negative ? "[^" : "[");
    if (rc == 0)
        rc = ds_buf_printf(r->out, "\\%c{%s}", negative && r->in_class ? 'P' : 'p', name);
    for (unsigned k = 0; k < ds_uni_later_n && rc == 0; k++) {
        const ds_uni_gc *g = &ds_uni_later[k];
        if (strncmp(g->gc, name, strlen(name)) == 0)
            rc = ds_buf_printf(r->out, "\\x{%x}-\\x{%x}", g->first, g->first + g->n - 1u);
    }
    return rc == 0 && !r->in_class ? ds_buf_putc(r->out, ']') : rc;
}

/* \p{Name}, \P{Name}, \p{^Name}; r->i is at the letter. */
static int property(reader *r)
{
    bool negative = r->p[r->i] == 'P';
    const uint8_t *open = r->p + r->i + 1, *end = r->p + r->len;
    const uint8_t *close =
        open < end && *open == '{' ? memchr(open, '}', (size_t)(end - open)) : NULL;
    char name[4] = "";
    if (close == NULL)
        return refuse(r, "a property without braces");
    r->i += (size_t)(close - open) + 1;
    open++;
    if (open < close && *open == '^') {
        negative = !negative;
        open++;
    }
    if (close - open > 3)
        return refuse(r, "a property that is not a general category");
    memcpy(name, open, (size_t)(close - open));
    return put_category(r, name, negative);
}

static int escape(reader *r)
{
    if (r->i + 1 >= r->len)
        return refuse(r, "a backslash at the end");
    uint8_t c = r->p[++r->i];
    if (c == 'p' || c == 'P')
        return property(r);
    if (c == 's' || c == 'S')
        return put_space(r, c == 'S');
    if (c == 'd' || c == 'D')
        return put_category(r, "Nd", c == 'D');
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    bool known = strchr(r->in_class ? "nrtfae" : "nrtfaeAz", c) != NULL && c != 0;
    bool hex = c == 'x' && r->i + 1 < r->len && r->p[r->i + 1] == '{';
    if (letter && !known && !hex)
        return refuse(r, "an escape");
    int rc = ds_buf_putc(r->out, '\\');
    rc = rc == 0 ? ds_buf_putc(r->out, c) : rc;
    while (rc == 0 && hex && r->i + 1 < r->len && r->p[r->i] != '}')
        rc = ds_buf_putc(r->out, r->p[++r->i]);
    return rc;
}

/* What follows "(?": plain, atomic, looking around, or without case. */
static bool group_known(const uint8_t *p, size_t n)
{
    return n > 1 && (strchr(":=!>", p[0]) != NULL || memcmp(p, "i:", 2) == 0 ||
                     memcmp(p, "<=", 2) == 0 || memcmp(p, "<!", 2) == 0);
}

/* Without case, the reference also takes one character for these two (U+00DF for ss). */
static bool folds_pairs(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i + 1 < n && p[i] != ')'; i++) {
        uint8_t a = p[i] | 0x20, b = p[i + 1] | 0x20;
        if (p[i] >= 0x80 || (a == 's' && (b == 's' || b == 't')) ||
            (a == 'f' && (b == 'f' || b == 'i' || b == 'l')))
            return true;
    }
    return false;
}

static const char *outside_class(const uint8_t *p, size_t n)
{
    uint8_t c = p[0], d = n > 1 ? p[1] : 0;
    if (c == '}' && (d == '+' || d == '?'))
        return "an interval with a suffix";
    if (c == '{' && d == ',')
        return "an interval without a lower bound";
    if (c == '(' && (d == '*' || (d == '?' && !group_known(p + 2, n - 2))))
        return "a group of a special kind";
    if (c == '(' && d == '?' && n > 3 && p[2] == 'i' && folds_pairs(p + 4, n - 4))
        return "letters without case that have ligatures";
    return NULL;
}

static int class_open(reader *r)
{
    size_t k = r->i + 1;
    int rc = ds_buf_putc(r->out, '[');
    r->in_class = true;
    if (rc == 0 && k < r->len && r->p[k] == '^') {
        rc = ds_buf_putc(r->out, '^');
        r->i = k++;
    }
    if (k < r->len && r->p[k] == ']')
        refuse(r, "a class that begins with ]");
    return rc;
}

static int in_class(reader *r)
{
    uint8_t c = r->p[r->i], d = r->i + 1 < r->len ? r->p[r->i + 1] : 0;
    if (c == '[')
        return refuse(r, "a class inside a class");
    if (c == '&' && d == '&')
        return refuse(r, "an intersection of classes");
    r->in_class = c != ']';
    return ds_buf_putc(r->out, c);
}

int ds_tok_pattern_write(ds_buf *out, const char *pattern, size_t len, const char **why)
{
    reader r = {.p = (const uint8_t *)pattern, .len = len, .out = out};
    int rc = 0;
    for (; r.i < len && rc == 0 && r.why == NULL; r.i++) {
        uint8_t c = r.p[r.i];
        if (c == '\\') {
            rc = escape(&r);
        } else if (r.in_class) {
            rc = in_class(&r);
        } else if (c == '[') {
            rc = class_open(&r);
        } else {
            r.why = outside_class(r.p + r.i, len - r.i);
            rc = ds_buf_putc(out, c);
        }
    }
    *why = r.why;
    return rc;
}
