/* charset.c - see charset.h. */
#include "charset.h"

#include <errno.h>
#include <iconv.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct ds_charset {
    iconv_t cd;
    char *name;
    uint8_t tail[32]; /* the beginning of a sequence whose end has not come yet */
    size_t ntail;
    uint64_t done; /* bytes converted so far */
};

const char *ds_charset_bom(const uint8_t *p, size_t len, size_t *mark)
{
    static const struct {
        const char *name;
        size_t n;
        uint8_t b[4];
    } marks[] = {
        /* UTF-32LE begins like UTF-16LE: longer marks first. */
        {"UTF-32LE", 4, {0xff, 0xfe, 0, 0}}, {"UTF-32BE", 4, {0, 0, 0xfe, 0xff}},
        {"UTF-8", 3, {0xef, 0xbb, 0xbf, 0}}, {"UTF-16LE", 2, {0xff, 0xfe, 0, 0}},
        {"UTF-16BE", 2, {0xfe, 0xff, 0, 0}},
    };
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (len >= marks[i].n && memcmp(p, marks[i].b, marks[i].n) == 0) {
            *mark = marks[i].n;
            return marks[i].name;
        }
    *mark = 0;
    return NULL;
}

int ds_charset_is_utf8(const char *name)
{
    return strcasecmp(name, "UTF-8") == 0 || strcasecmp(name, "UTF8") == 0;
}

/* Without a mark these take the byte order of the machine: say little endian instead, on every
 * machine. */
static const char *fixed_order(const char *name)
{
    if (strcasecmp(name, "UTF-16") == 0 || strcasecmp(name, "UTF16") == 0 ||
        strcasecmp(name, "UCS-2") == 0)
        return "UTF-16LE";
    if (strcasecmp(name, "UTF-32") == 0 || strcasecmp(name, "UTF32") == 0 ||
        strcasecmp(name, "UCS-4") == 0)
        return "UTF-32LE";
    return name;
}

int ds_charset_new(ds_charset **out, const char *name, ds_err *err)
{
    *out = NULL;
    if (!*name || strchr(name, '/'))
        return ds_fail(err, DS_USAGE, "no such encoding: %s (`iconv -l` lists them)", name);
    ds_charset *c = calloc(1, sizeof *c);
    if (!c)
        return ds_fail_nomem(err);
    c->cd = iconv_open("UTF-8", fixed_order(name));
    c->name = strdup(name);
    if (c->cd == (iconv_t)-1 || !c->name) {
        int rc = c->name
                     ? ds_fail(err, DS_USAGE, "no such encoding: %s (`iconv -l` lists them)", name)
                     : ds_fail_nomem(err);
        ds_charset_free(c);
        return rc;
    }
    *out = c;
    return 0;
}

int ds_charset_check(const char *name, ds_err *err)
{
    ds_charset *c;
    int rc = ds_charset_new(&c, name, err);
    ds_charset_free(c);
    return rc;
}

void ds_charset_free(ds_charset *c)
{
    if (!c)
        return;
    if (c->cd != (iconv_t)-1)
        iconv_close(c->cd);
    free(c->name);
    free(c);
}

static int bad(ds_charset *c, ds_err *err)
{
    return ds_fail(err, DS_FAIL, "offset %" PRIu64 ": not valid %s", c->done, c->name);
}

/* Converts until the input is used up or ends in the middle of a sequence. *used counts what was
 * taken. */
static int convert(ds_charset *c, const uint8_t *p, size_t len, size_t *used, ds_buf *out,
                   ds_err *err)
{
    /* iconv's prototype lacks a const: it does not write there. */
    union {
        const uint8_t *in;
        char *out;
    } u = {.in = p};
    char *in = u.out;
    size_t left = len;
    int rc = 0;
    while (left > 0) {
        size_t room = left + left / 2 + 64;
        if (ds_buf_reserve(out, room) != 0)
            return ds_fail_nomem(err);
        char *o = (char *)out->data + out->len;
        size_t oleft = room, before = left;
        size_t n = iconv(c->cd, &in, &left, &o, &oleft);
        int e = errno;
        out->len += room - oleft;
        c->done += before - left;
        if (n != (size_t)-1 || e == EINVAL)
            break;
        if (e != E2BIG) {
            rc = bad(c, err);
            break;
        }
    }
    *used = len - left;
    return rc;
}

/* Completes the sequence that the last call left unfinished, byte by byte. */
static int finish_tail(ds_charset *c, const uint8_t **p, size_t *len, ds_buf *out, ds_err *err)
{
    while (c->ntail > 0 && *len > 0) {
        if (c->ntail == sizeof c->tail)
            return bad(c, err);
        c->tail[c->ntail++] = *(*p)++;
        --*len;
        size_t used;
        int rc = convert(c, c->tail, c->ntail, &used, out, err);
        if (rc != 0)
            return rc;
        c->ntail -= used;
        memmove(c->tail, c->tail + used, c->ntail);
    }
    return 0;
}

int ds_charset_feed(ds_charset *c, const uint8_t *p, size_t len, int final, ds_buf *out,
                    ds_err *err)
{
    int rc = finish_tail(c, &p, &len, out, err);
    if (rc != 0)
        return rc;
    size_t used = 0;
    if (len > 0 && (rc = convert(c, p, len, &used, out, err)) != 0)
        return rc;
    if (len - used > sizeof c->tail)
        return bad(c, err);
    if (len > used) {
        memcpy(c->tail, p + used, len - used);
        c->ntail = len - used;
    }
    if (!final)
        return 0;
    if (c->ntail > 0)
        return ds_fail(err, DS_FAIL,
                       "offset %" PRIu64 ": the input ends in the middle of a %s character",
                       c->done, c->name);
    /* Stateful encodings keep a character back until they are told of the end. */
    if (ds_buf_reserve(out, 64) != 0)
        return ds_fail_nomem(err);
    char *o = (char *)out->data + out->len;
    size_t oleft = 64;
    if (iconv(c->cd, NULL, NULL, &o, &oleft) == (size_t)-1)
        return bad(c, err);
    out->len += 64 - oleft;
    return 0;
}
