/* logtrace.c - see logtrace.h. */
#include "logtrace.h"

#include <string.h>

/* What lines of a trace begin with, where they are not indented. */
static const char *const openings[] = {
    "Caused by: ", /* Java */
    "Suppressed: ",
    "... ",
    "Exception in thread ",
    "Traceback (most recent call last)", /* Python */
    "During handling of the above exception, another ",
    "The above exception was the direct cause of ",
    "goroutine ", /* Go */
    "created by ",
    "panic: ",
    "fatal error: ",
    "[signal SIG",
    "exit status ",
    "thread '", /* Rust */
    "stack backtrace:",
    "note: run with ",
    "--- End of ",  /* .NET */
    "Stack trace:", /* PHP */
    "#0 ",
    "#1 ",
    "#2 ",
    "#3 ",
    "#4 ",
    "#5 ",
    "#6 ",
    "#7 ",
    "#8 ",
    "#9 ",
};

static bool is_name(uint8_t c)
{
    return (uint8_t)((c | 0x20) - 'a') < 26 || (uint8_t)(c - '0') < 10 || c == '_' || c == '.' ||
           c == '$' || c == ':' || c == '/' || c == '\\';
}

static bool ends_with(const uint8_t *p, size_t n, const char *end)
{
    size_t k = strlen(end);
    return n >= k && memcmp(p + n - k, end, k) == 0;
}

/* some.package.SomeError, alone or before ": words". */
static bool is_exception(const uint8_t *p, size_t len)
{
    static const char *const ends[] = {"Error", "Exception", "Interrupt", "Warning",
                                       "Exit",  "Iteration", "Throwable", "Failure"};
    size_t n = 0;
    while (n < len && n < 200 && is_name(p[n]))
        n++;
    if (n < len && p[n] != ' ')
        return false;
    if (n > 0 && p[n - 1] == ':')
        n--;
    else if (n < len)
        return false;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends_with(p, n, ends[i]))
            return true;
    return false;
}

/* net/http.(*conn).serve(0xc000123, {0x7f...}) */
static bool is_go_call(const uint8_t *p, size_t len)
{
    const uint8_t *open = memchr(p, '(', len),
                  *dot = open ? memchr(p, '.', (size_t)(open - p)) : NULL;
    return p[len - 1] == ')' && dot && dot > p && !memchr(p, ' ', (size_t)(open - p));
}

bool ds_logtrace_goes_on(const uint8_t *p, size_t len)
{
    if (len == 0)
        return false;
    if (*p == ' ' || *p == '\t')
        return true;
    if (*p == '<' || (*p >= '0' && *p <= '9'))
        return false; /* priorities and dates: nearly every line */
    for (size_t i = 0; i < sizeof openings / sizeof *openings; i++) {
        size_t n = strlen(openings[i]);
        if (openings[i][0] == (char)*p && len >= n && memcmp(openings[i], p, n) == 0)
            return true;
    }
    return is_exception(p, len) || is_go_call(p, len);
}
