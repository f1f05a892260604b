/* crc32c.c - see crc32c.h. With the instruction of SSE 4.2 where there is one; else by half bytes,
 * whose table is 64 bytes and no state that threads would share. */
#include "crc32c.h"

#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const uint8_t *p,
                                                                 size_t len)
{
    uint64_t c = crc, v;
    for (; len >= 8; p += 8, len -= 8) {
        memcpy(&v, p, 8);
        c = _mm_crc32_u64(c, v);
    }
    for (; len; p++, len--)
        c = _mm_crc32_u8((uint32_t)c, *p);
    return (uint32_t)c;
}
#endif

static uint32_t by_table(uint32_t crc, const uint8_t *p, size_t len)
{
    /* Of the reflected polynomial 0x82f63b78: what four zero bits make of each half byte. */
    static const uint32_t t[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
                                   0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
                                   0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
                                   0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
    for (; len; p++, len--) {
        crc ^= *p;
        crc = crc >> 4 ^ t[crc & 15];
        crc = crc >> 4 ^ t[crc & 15];
    }
    return crc;
}

uint32_t ds_crc32c(uint32_t crc, const void *p, size_t len)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return ~by_instruction(~crc, p, len);
#endif
    return ~by_table(~crc, p, len);
}
