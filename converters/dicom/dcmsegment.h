/* dcmsegment.h - palettes written in segments (PS3.3 C.7.9.2): runs of values, straight lines from
 * the value before, and copies of segments that stood earlier. */
#ifndef DS_DCMSEGMENT_H
#define DS_DCMSEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Expands len bytes into exactly n values; bytes: of 8 bits each, else of 16, little endian. false
 * when they are more or fewer, or make no sense. */
bool dcm_segments_expand(uint16_t *out, size_t n, const uint8_t *p, size_t len, bool bytes);

#endif
