/* buf.c - see buf.h. */
#include "buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ds_buf_fini(ds_buf *b)
{
    free(b->data);
    *b = (ds_buf){0};
}

void ds_buf_reset(ds_buf *b)
{
    b->len = 0;
}

int ds_buf_reserve(ds_buf *b, size_t more)
{
    size_t need, cap;
    if (!ds_add_size(b->len, more, &need) || need > PTRDIFF_MAX)
        return DS_NOMEM;
    if (need <= b->cap)
        return 0;
    cap = b->cap < 64 ? 64 : b->cap;
    while (cap < need)
        if (!ds_add_size(cap, cap / 2, &cap))
            cap = need;
    uint8_t *p = realloc(b->data, cap);
    if (!p && cap > need) {
        cap = need; /* growing by half did not fit: what is needed may */
        p = realloc(b->data, cap);
    }
    if (!p)
        return DS_NOMEM;
    b->data = p;
    b->cap = cap;
    return 0;
}

int ds_buf_put_slow(ds_buf *b, const void *data, size_t len)
{
    int rc = ds_buf_reserve(b, len);
    if (rc)
        return rc;
    memcpy(b->data + b->len, data, len);
    b->len += len;
    return 0;
}

int ds_buf_puts(ds_buf *b, const char *s)
{
    return ds_buf_put(b, s, strlen(s));
}

int ds_buf_printf(ds_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return DS_NOMEM;
    int rc = ds_buf_reserve(b, (size_t)n + 1); /* vsnprintf writes a NUL past the text */
    if (rc)
        return rc;
    va_start(ap, fmt);
    n = vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    if (n < 0)
        return DS_NOMEM;
    b->len += (size_t)n;
    return 0;
}

int ds_buf_u32(ds_buf *b, uint32_t v)
{
    uint8_t p[4];
    ds_set_u32(p, v);
    return ds_buf_put(b, p, sizeof p);
}

int ds_buf_u64(ds_buf *b, uint64_t v)
{
    uint8_t p[8];
    ds_set_u64(p, v);
    return ds_buf_put(b, p, sizeof p);
}

int ds_buf_varint_slow(ds_buf *b, uint64_t v)
{
    uint8_t p[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        p[n++] = (uint8_t)(v | 0x80);
    p[n++] = (uint8_t)v;
    return ds_buf_put(b, p, n);
}

bool ds_digits_get(const uint8_t *p, size_t len, size_t *pos, uint64_t *v)
{
    size_t i = *pos;
    uint64_t n = 0;
    for (; i < len && p[i] >= '0' && p[i] <= '9'; i++)
        if (__builtin_mul_overflow(n, 10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(p[i] - '0'), &n))
            return false;
    if (i == *pos)
        return false;
    *pos = i;
    *v = n;
    return true;
}

bool ds_digits_next(const char **s, uint64_t *v)
{
    size_t pos = 0;
    if (!ds_digits_get((const uint8_t *)*s, strlen(*s), &pos, v))
        return false;
    *s += pos;
    return true;
}

int ds_buf_hex(ds_buf *b, const void *data, size_t len)
{
    static const char digit[] = "0123456789abcdef";
    const uint8_t *p = data;
    size_t need;
    if (!ds_mul_size(len, 2, &need))
        return DS_NOMEM;
    int rc = ds_buf_reserve(b, need);
    if (rc)
        return rc;
    for (size_t i = 0; i < len; i++) {
        b->data[b->len++] = (uint8_t)digit[p[i] >> 4];
        b->data[b->len++] = (uint8_t)digit[p[i] & 15];
    }
    return 0;
}

const char *ds_buf_cstr(ds_buf *b)
{
    if (ds_buf_reserve(b, 1))
        return NULL;
    b->data[b->len] = '\0';
    return (const char *)b->data;
}

bool ds_varint_get(const uint8_t *p, size_t len, size_t *pos, uint64_t *v)
{
    size_t i = *pos;
    uint64_t r = 0;
    for (unsigned shift = 0; shift < 64 && i < len; shift += 7) {
        uint8_t c = p[i++];
        if (shift == 63 && c > 1)
            return false; /* past 64 bits */
        r |= (uint64_t)(c & 0x7f) << shift;
        if (c & 0x80)
            continue;
        if (c == 0 && shift > 0)
            return false; /* not the shortest form */
        *pos = i;
        *v = r;
        return true;
    }
    return false;
}

bool ds_varint_get_any(const uint8_t *p, size_t len, size_t *pos, uint64_t *v)
{
    *v = 0;
    for (unsigned shift = 0; shift < 64 && *pos < len; shift += 7) {
        const uint8_t c = p[(*pos)++];
        *v |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80)
            return true;
    }
    return false;
}

#define GROW_MIN 16

int ds_grow_slow(void *array, size_t *cap, size_t size)
{
    void *v;
    size_t want = GROW_MIN, bytes;
    memcpy(&v, array, sizeof v);
    if ((*cap && !ds_mul_size(*cap, 2, &want)) || !ds_mul_size(want, size, &bytes) ||
        bytes > PTRDIFF_MAX || !(v = realloc(v, bytes)))
        return DS_NOMEM;
    memcpy(array, &v, sizeof v);
    *cap = want;
    return 0;
}

bool ds_hex_decode(const char *hex, size_t digits, uint8_t *out, size_t n)
{
    if (digits / 2 != n || digits % 2)
        return false;
    for (size_t i = 0; i < n; i++) {
        int hi = ds_hex_digit((uint8_t)hex[2 * i]), lo = ds_hex_digit((uint8_t)hex[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    return true;
}
