/* buf.h - a growing byte buffer, and checked size arithmetic.
 *
 * A zeroed ds_buf is a valid empty one. Owns its memory; ds_buf_fini frees it and zeroes the
 * object. Appends return 0 or DS_NOMEM; nothing is appended when they fail. Appended pointers must
 * not point into the buffer itself. `data` is never NUL-terminated unless ds_buf_cstr is used.
 */
#ifndef DS_BUF_H
#define DS_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "error.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__ || SIZE_MAX < UINT64_MAX
#error "64 bits and little endian: what lies in files is read in place"
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ds_buf {
    uint8_t *data;
    size_t len, cap;
} ds_buf;

void ds_buf_fini(ds_buf *b);
void ds_buf_reset(ds_buf *b);               /* len = 0, memory kept */
int ds_buf_reserve(ds_buf *b, size_t more); /* room for `more` bytes after len */
static inline int ds_buf_put(ds_buf *b, const void *data, size_t len);
static inline int ds_buf_putc(ds_buf *b, uint8_t c);
int ds_buf_puts(ds_buf *b, const char *s);
int ds_buf_printf(ds_buf *b, const char *fmt, ...) DS_PRINTF(2, 3);
int ds_buf_u32(ds_buf *b, uint32_t v);                   /* little endian */
int ds_buf_u64(ds_buf *b, uint64_t v);                   /* little endian */
static inline int ds_buf_varint(ds_buf *b, uint64_t v);  /* unsigned LEB128, shortest form */
int ds_buf_hex(ds_buf *b, const void *data, size_t len); /* lower case */
/* NUL-terminates (the NUL is not counted in len) and lends the text; NULL when out of memory. */
const char *ds_buf_cstr(ds_buf *b);

/* Most appends find room. */
int ds_buf_put_slow(ds_buf *b, const void *data, size_t len);
static inline int ds_buf_put(ds_buf *b, const void *data, size_t len)
{
    if (len == 0)
        return 0;
    if (len > b->cap - b->len)
        return ds_buf_put_slow(b, data, len);
    memcpy(b->data + b->len, data, len);
    b->len += len;
    return 0;
}
static inline int ds_buf_putc(ds_buf *b, uint8_t c)
{
    if (b->len == b->cap)
        return ds_buf_put_slow(b, &c, 1);
    b->data[b->len++] = c;
    return 0;
}
int ds_buf_varint_slow(ds_buf *b, uint64_t v);
static inline int ds_buf_varint(ds_buf *b, uint64_t v)
{
    return v < 0x80 ? ds_buf_putc(b, (uint8_t)v) : ds_buf_varint_slow(b, v);
}

/* Reads a shortest-form LEB128 at *pos of (p, len). False, with nothing moved, when it is
 * truncated, longer than 64 bits or not in shortest form. */
bool ds_varint_get(const uint8_t *p, size_t len, size_t *pos, uint64_t *v);
/* The same of other writers, who may take more bytes than they must: up to ten, of which what
 * passes 64 bits is dropped. *pos moves where it is false, too. */
bool ds_varint_get_any(const uint8_t *p, size_t len, size_t *pos, uint64_t *v);
/* Reads the decimal digits at *pos of (p, len). Stricter than strtoull: no blanks, no sign, and no
 * largest number in place of one that is too large. False, with nothing moved, when there is no
 * digit or the number passes 64 bits. */
bool ds_digits_get(const uint8_t *p, size_t len, size_t *pos, uint64_t *v);
/* The same of a C string: *s goes behind them. */
bool ds_digits_next(const char **s, uint64_t *v);
static inline uint64_t ds_zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}
static inline int64_t ds_unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static inline uint32_t ds_get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t ds_get_u64(const uint8_t *p)
{
    return (uint64_t)ds_get_u32(p) | (uint64_t)ds_get_u32(p + 4) << 32;
}
static inline void ds_set_u32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}
/* Big endian: numbers that are ordered as their bytes are. */
static inline uint32_t ds_get_big32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline void ds_set_big32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> 8 * (3 - i));
}
static inline uint64_t ds_get_big(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}
static inline void ds_set_big(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> 8 * (7 - i));
}
static inline void ds_set_u64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

/* Checked arithmetic: false on overflow. */
static inline bool ds_add_size(size_t a, size_t b, size_t *r)
{
    return !__builtin_add_overflow(a, b, r);
}
static inline bool ds_mul_size(size_t a, size_t b, size_t *r)
{
    return !__builtin_mul_overflow(a, b, r);
}

/* Room for one more behind n elements of `size` bytes. `array` is the address of the pointer to
 * them, which moves as they grow, and *cap how many it has room for. 0 or DS_NOMEM. */
int ds_grow_slow(void *array, size_t *cap, size_t size);
static inline int ds_grow(void *array, size_t *cap, size_t n, size_t size)
{
    return n < *cap ? 0 : ds_grow_slow(array, cap, size);
}

/* -1: none. */
static inline int ds_hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
/* Hex text of exactly 2*n digits to n bytes; false when a digit is wrong. */
bool ds_hex_decode(const char *hex, size_t digits, uint8_t *out, size_t n);

#ifdef __cplusplus
}
#endif

#endif
