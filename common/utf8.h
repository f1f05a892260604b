/* utf8.h - is it UTF-8? RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF. */
#ifndef DS_UTF8_H
#define DS_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Offset of the first byte of the first bad sequence, or len when all is well. SIMD where the CPU
 * has it. */
size_t ds_utf8_check(const uint8_t *p, size_t len);
/* A checker for text that comes in parts: feed, then end. State 0 to begin; returns false at the
 * first bad byte. */
typedef struct ds_utf8_state {
    uint8_t pending[4];
    uint8_t n, need;
    uint64_t
        offset; /* bytes accepted; the offset of the bad sequence once feed or end returned false */
} ds_utf8_state;
_Bool ds_utf8_feed(ds_utf8_state *s, const uint8_t *p, size_t len);
_Bool ds_utf8_end(ds_utf8_state *s);

#endif
