/* crc32c.h - CRC-32C (Castagnoli; RFC 3720, B.4), and the masked form that TFRecord stores. */
#ifndef DS_CRC32C_H
#define DS_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from crc, 0 at the beginning. Any thread. */
uint32_t ds_crc32c(uint32_t crc, const void *p, size_t len);
static inline uint32_t ds_crc32c_mask(uint32_t crc)
{
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

#endif
