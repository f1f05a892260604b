/* error.c - see error.h. */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Names come from strangers: no control byte may reach a terminal through a message. */
static void make_printable(char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = '?';
}

/* vsnprintf cuts in the middle of a character: drop a trailing incomplete UTF-8 sequence. */
static void drop_half_char(char *s, size_t len)
{
    size_t i = len, back = 0;
    while (i > 0 && back < 4 && ((unsigned char)s[i - 1] & 0xc0) == 0x80) {
        i--;
        back++;
    }
    if (i == 0)
        return;
    unsigned char c = (unsigned char)s[i - 1];
    size_t need = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
    if (need > back)
        s[i - 1] = '\0';
}

static void set_message(ds_err *err, const char *fmt, va_list ap, const char *tail)
{
    int n = vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    size_t len = n < 0 ? 0 : (size_t)n;
    if (len >= sizeof err->msg)
        len = sizeof err->msg - 1;
    if (tail) {
        /* The reason matters more than the end of a long path. */
        size_t tlen = strnlen(tail, 200);
        if (len + tlen + 3 > sizeof err->msg) {
            err->msg[sizeof err->msg - tlen - 3] = '\0';
            drop_half_char(err->msg, sizeof err->msg - tlen - 3);
            len = strlen(err->msg);
        }
        len += (size_t)snprintf(err->msg + len, sizeof err->msg - len, ": %.200s", tail);
    }
    err->msg[len] = '\0';
    drop_half_char(err->msg, len);
    make_printable(err->msg);
}

int ds_fail(ds_err *err, int code, const char *fmt, ...)
{
    if (!err)
        return code ? code : DS_FAIL;
    if (err->code)
        return err->code;
    if (code == 0) /* a failure never passes for success, whatever the caller computed */
        code = DS_FAIL;
    va_list ap;
    va_start(ap, fmt);
    set_message(err, fmt, ap, NULL);
    va_end(ap);
    err->code = code;
    return code;
}

int ds_fail_errno(ds_err *err, int errnum, const char *fmt, ...)
{
    int code = errnum == ENOMEM                       ? DS_NOMEM
               : errnum == ENOSPC || errnum == EDQUOT ? DS_NOROOM
                                                      : DS_IO;
    if (!err)
        return code;
    if (err->code)
        return err->code;
    char text[256];
    const char *tail = strerror_r(errnum, text, sizeof text);
    va_list ap;
    va_start(ap, fmt);
    set_message(err, fmt, ap, tail);
    va_end(ap);
    err->code = code;
    return code;
}

int ds_fail_as(ds_err *err, const ds_err *why)
{
    return ds_fail(err, why->code, "%s", why->msg);
}

int ds_fail_nomem(ds_err *err)
{
    return ds_fail(err, DS_NOMEM, "out of memory");
}

int ds_err_prefix(ds_err *err, const char *fmt, ...)
{
    if (!err || !err->code)
        return err ? err->code : 0;
    char old[DS_ERR_MAX];
    memcpy(old, err->msg, sizeof old);
    size_t room = sizeof err->msg;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(err->msg, room, fmt, ap);
    va_end(ap);
    size_t len = n < 0 ? 0 : (size_t)n;
    if (len > room / 2) /* a long prefix must not push the reason out */
        len = room / 2;
    err->msg[len] = '\0';
    drop_half_char(err->msg, len);
    len = strlen(err->msg);
    n = snprintf(err->msg + len, room - len, ": %s", old);
    if (n >= 0 && (size_t)n >= room - len)
        drop_half_char(err->msg, room - 1);
    make_printable(err->msg);
    return err->code;
}

void ds_err_clear(ds_err *err)
{
    if (err) {
        err->code = 0;
        err->msg[0] = '\0';
    }
}

bool ds_is_io(int code)
{
    return code == DS_IO || code == DS_NOROOM;
}

int ds_exit_code(int code)
{
    switch (code) {
    case DS_OK:
        return 0;
    case DS_USAGE:
        return 2;
    case DS_PARTIAL:
        return 3;
    case DS_NOSTORE:
        return 10;
    case DS_LOCKED:
        return 11;
    case DS_CORRUPT:
        return 12;
    case DS_IO:
    case DS_NOROOM:
        return 13;
    default:
        return 1;
    }
}
