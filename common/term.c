/* term.c - see term.h. */
#include "term.h"
#include "clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int ds_log_level = 1;

static const char *prog_name = "ds";
static bool bar_shown; /* a progress line stands on the terminal */

void ds_term_prog(const char *prog)
{
    prog_name = prog;
}

static void bar_clear(void)
{
    if (bar_shown)
        fputs("\r\033[K", stderr);
    bar_shown = false;
}

static void say(const char *fmt, va_list ap)
{
    char text[DS_ERR_MAX];
    if (vsnprintf(text, sizeof text, fmt, ap) < 0)
        return;
    for (char *s = text; *s; s++) /* names come from strangers */
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = '?';
    bar_clear();
    fprintf(stderr, "%s: %s\n", prog_name, text);
}

void ds_warn(const char *fmt, ...)
{
    va_list ap;
    if (ds_log_level < 1)
        return;
    va_start(ap, fmt);
    say(fmt, ap);
    va_end(ap);
}

void ds_info(const char *fmt, ...)
{
    va_list ap;
    if (ds_log_level < 2)
        return;
    va_start(ap, fmt);
    say(fmt, ap);
    va_end(ap);
}

static bool fake_tty(void)
{
    const char *fake = getenv("DS_FAKE_TTY");
    return fake && strcmp(fake, "1") == 0;
}

bool ds_term_watched(void)
{
    return ds_log_level >= 1 && (fake_tty() || isatty(STDERR_FILENO));
}

static bool want_progress(void)
{
    const char *term = getenv("TERM");
    if (ds_log_level < 1)
        return false;
    if (fake_tty())
        return true;
    return term && strcmp(term, "dumb") != 0 && isatty(STDERR_FILENO) &&
           tcgetpgrp(STDERR_FILENO) == getpgrp();
}

void ds_progress_begin(ds_progress *p, const char *what, uint64_t total, bool bytes)
{
    *p = (ds_progress){.what = what, .total = total, .bytes = bytes, .on = want_progress()};
    if (!p->on)
        return;
    p->start = ds_seconds();
    /* The first line comes after a second, in a test at once. */
    p->last = p->start + (fake_tty() ? -1.0 : 0.8);
}

/* 1536 -> "1.5 KiB" */
static void amount(char out[32], double v, bool bytes)
{
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    size_t u = 0;
    if (!bytes) {
        snprintf(out, 32, "%.0f", v);
        return;
    }
    for (; v >= 1024 && u + 1 < sizeof unit / sizeof *unit; u++)
        v /= 1024;
    snprintf(out, 32, u ? "%.1f %s" : "%.0f %s", v, unit[u]);
}

/* Columns of the terminal; many where nobody says. */
static int width(void)
{
    struct winsize w = {0};
    const char *env = getenv("COLUMNS");
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col)
        return w.ws_col;
    const long n = env ? strtol(env, NULL, 10) : 0;
    return n > 0 && n < 10000 ? (int)n : 10000;
}

static void show(ds_progress *p, double at)
{
    char done[32], total[32], rate[32], line[256];
    double took = at - p->start;
    double speed = took > 0 ? (double)p->done / took : 0;
    amount(done, (double)p->done, p->bytes);
    amount(rate, speed, p->bytes);
    int n = snprintf(line, sizeof line, "%.60s %s", p->what, done);
    if (p->total) {
        double part = (double)p->done / (double)p->total;
        amount(total, (double)p->total, p->bytes);
        n += snprintf(line + n, sizeof line - (size_t)n, " of %s, %.0f%%", total,
                      part > 1 ? 100.0 : 100.0 * part);
    }
    n += snprintf(line + n, sizeof line - (size_t)n, ", %s/s", rate);
    if (p->total > p->done && speed > 0)
        snprintf(line + n, sizeof line - (size_t)n, ", %.0f s left",
                 (double)(p->total - p->done) / speed);
    /* One that is as wide as the terminal goes on in the next line, and cannot be taken back. */
    fprintf(stderr, "\r\033[K%.*s", width() - 1, line);
    fflush(stderr);
    bar_shown = true;
}

void ds_progress_at(ds_progress *p, uint64_t done)
{
    if (!p->on || done - p->done < (p->bytes ? 65536u : 16u))
        return; /* too little to look at the clock for */
    p->done = done;
    double at = ds_seconds();
    if (at - p->last < 0.2)
        return;
    p->last = at;
    /* A stopped and resumed job may be in the background now. */
    if (fake_tty() || tcgetpgrp(STDERR_FILENO) == getpgrp())
        show(p, at);
}

void ds_progress_end(ds_progress *p)
{
    if (p->on)
        bar_clear();
    p->on = false;
}

int ds_refuse_tty(int fd, const char *hint, ds_err *err)
{
    if (!isatty(fd))
        return 0;
    return ds_fail(err, DS_USAGE, "binary data is not written to a terminal: %s", hint);
}
