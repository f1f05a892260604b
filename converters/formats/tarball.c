/* tarball.c - see tarball.h. */
#include "tarball.h"

#include <stdio.h>
#include <string.h>

#define LONG_MAX_LEN 65536 /* bytes of a pax record or a GNU long name */

static void set_octal(uint8_t *p, size_t n, uint64_t v)
{
    for (size_t i = n - 1; i-- > 0; v >>= 3)
        p[i] = (uint8_t)('0' + (v & 7));
    p[n - 1] = '\0';
}

static void seal(uint8_t *h)
{
    unsigned sum = 0;
    memset(h + 148, ' ', 8);
    for (size_t i = 0; i < 512; i++)
        sum += h[i];
    set_octal(h + 148, 7, sum);
}

static int plain_head(ds_buf *out, const char *name, size_t len, uint64_t size, char type)
{
    uint8_t h[512] = {0};
    memcpy(h, name, len < 100 ? len : 100);
    set_octal(h + 100, 8, 0644);
    set_octal(h + 108, 8, 0);
    set_octal(h + 116, 8, 0);
    set_octal(h + 124, 12, size >> 33 ? 0 : size); /* what is larger stands in a pax record */
    set_octal(h + 136, 12, 0);
    h[156] = (uint8_t)type;
    memcpy(h + 257, "ustar\00000", 8);
    seal(h);
    return ds_buf_put(out, h, sizeof h);
}

/* "LENGTH path=NAME\n", LENGTH being that of all of it. */
static int pax_record(ds_buf *out, const char *key, const void *value, size_t len)
{
    const size_t rest = strlen(key) + len + 3;
    size_t n = rest + 1;
    char text[24];
    for (int i = 0; i < 3; i++)
        n = rest + (size_t)snprintf(text, sizeof text, "%zu", n);
    return ds_buf_printf(out, "%zu %s=", n, key) || ds_buf_put(out, value, len) ||
           ds_buf_putc(out, '\n');
}

int ds_tarball_head(ds_buf *out, const char *name, size_t len, uint64_t size)
{
    static const uint8_t zeros[512];
    ds_buf pax = {0};
    char text[24];
    const int n = snprintf(text, sizeof text, "%llu", (unsigned long long)size);
    bool bad = (len > 100 && pax_record(&pax, "path", name, len)) ||
               (size >> 33 && pax_record(&pax, "size", text, (size_t)n));
    if (!bad && pax.len)
        bad = plain_head(out, "pax", 3, pax.len, 'x') || ds_buf_put(out, pax.data, pax.len) ||
              ds_buf_put(out, zeros, ds_tarball_fill(pax.len));
    bad = bad || plain_head(out, name, len, size, '0');
    ds_buf_fini(&pax);
    return bad ? DS_NOMEM : 0;
}

/* ---- reading ---- */

static bool octal(const uint8_t *p, size_t n, uint64_t *v)
{
    size_t i = 0;
    *v = 0;
    if (*p & 0x80) { /* binary, big endian: GNU's form for large numbers */
        for (i = 1; i < n; i++) {
            if (*v >> 55)
                return false;
            *v = *v << 8 | p[i];
        }
        return *p == 0x80;
    }
    while (i < n && p[i] == ' ')
        i++;
    for (; i < n && p[i] >= '0' && p[i] <= '7'; i++)
        *v = *v << 3 | (uint64_t)(p[i] - '0');
    return i == n || p[i] == '\0' || p[i] == ' ';
}

static bool sealed(const uint8_t *h)
{
    uint64_t want;
    unsigned sum = 0;
    for (size_t i = 0; i < 512; i++)
        sum += i >= 148 && i < 156 ? ' ' : h[i];
    return octal(h + 148, 8, &want) && want == sum;
}

static size_t text_len(const uint8_t *p, size_t n)
{
    const uint8_t *end = memchr(p, 0, n);
    return end ? (size_t)(end - p) : n;
}

/* path and size of pax records; false when they are none. */
static bool pax(const uint8_t *p, size_t len, ds_buf *name, uint64_t *size, bool *sized)
{
    for (size_t at = 0; at < len;) {
        size_t n = 0, i = at;
        for (; i < len && p[i] >= '0' && p[i] <= '9' && n < LONG_MAX_LEN; i++)
            n = n * 10 + (size_t)(p[i] - '0');
        if (i == len || p[i] != ' ' || n > len - at || n < i - at + 3 || p[at + n - 1] != '\n')
            return false;
        const uint8_t *key = p + i + 1, *end = p + at + n - 1;
        const uint8_t *eq = memchr(key, '=', (size_t)(end - key));
        if (!eq)
            return false;
        if (eq - key == 4 && memcmp(key, "path", 4) == 0) {
            ds_buf_reset(name);
            if (ds_buf_put(name, eq + 1, (size_t)(end - eq - 1)))
                return false;
        } else if (eq - key == 4 && memcmp(key, "size", 4) == 0) {
            *size = 0;
            for (const uint8_t *d = eq + 1; d < end; d++)
                if (*d < '0' || *d > '9' || __builtin_mul_overflow(*size, 10, size) ||
                    __builtin_add_overflow(*size, (uint64_t)(*d - '0'), size))
                    return false;
            *sized = true;
        }
        at += n;
    }
    return true;
}

/* A head that says more about the next one. 0, or DS_FAIL with *why. */
static int more_head(ds_fmtin *in, char type, uint64_t size, ds_buf *name, uint64_t *next,
                     bool *sized, const char **why, ds_err *err)
{
    const size_t whole = (size_t)size + ds_tarball_fill(size);
    if (size > LONG_MAX_LEN)
        return *why = "a head of more than 64 KiB", DS_FAIL;
    int rc = ds_fmtin_want(in, whole, err);
    if (rc)
        return rc;
    if (ds_fmtin_have(in) < whole)
        return *why = "the archive ends within a head", DS_FAIL;
    const uint8_t *p = ds_fmtin_at(in);
    if (type == 'L') {
        ds_buf_reset(name);
        if (ds_buf_put(name, p, text_len(p, (size_t)size)))
            return ds_fail_nomem(err);
    } else if (type == 'x' && !pax(p, (size_t)size, name, next, sized)) {
        return *why = "a pax head that is none", DS_FAIL;
    }
    ds_fmtin_skip(in, whole);
    return 0;
}

static int name_of(const uint8_t *h, ds_buf *name)
{
    const size_t prefix = memcmp(h + 257, "ustar\0", 6) == 0 ? text_len(h + 345, 155) : 0;
    if (prefix && (ds_buf_put(name, h + 345, prefix) || ds_buf_putc(name, '/')))
        return DS_NOMEM;
    return ds_buf_put(name, h, text_len(h, 100));
}

int ds_tarball_next(ds_fmtin *in, ds_buf *name, uint64_t *size, const char **why, ds_err *err)
{
    static const uint8_t zeros[512];
    uint64_t given = 0, got;
    bool sized = false;
    ds_buf_reset(name);
    for (;;) {
        int rc = ds_fmtin_want(in, 512, err);
        if (rc)
            return rc;
        if (ds_fmtin_have(in) == 0)
            return 0;
        const uint8_t *h = ds_fmtin_at(in);
        if (ds_fmtin_have(in) < 512)
            return *why = "the archive ends within a head", DS_FAIL;
        if (memcmp(h, zeros, 512) == 0)
            return 0;
        if (!sealed(h) || !octal(h + 124, 12, size))
            return *why = "no head of a tar begins here", DS_FAIL;
        const char type = (char)h[156];
        if (type == 'x' || type == 'g' || type == 'L' || type == 'K') {
            ds_fmtin_skip(in, 512);
            rc = more_head(in, type, *size, name, &given, &sized, why, err);
            if (rc)
                return rc;
            continue;
        }
        *size = sized ? given : *size;
        if (name->len == 0 && name_of(h, name))
            return ds_fail_nomem(err);
        ds_fmtin_skip(in, 512);
        if (type == '0' || type == '\0')
            return ds_buf_cstr(name) ? 1 : ds_fail_nomem(err);
        /* Folders, links and devices are stepped over; only files have data. */
        if (type == '7' && (rc = ds_fmtin_pass(in, *size + ds_tarball_fill(*size), &got, err)))
            return rc;
        ds_buf_reset(name);
        sized = false;
    }
}
