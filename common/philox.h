/* philox.h - Philox 4x32-10, random words by number: a counter generator, which keeps no state.
 *
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3" (SC 2011). Any
 * thread.
 */
#ifndef DS_PHILOX_H
#define DS_PHILOX_H

#include <stdint.h>

/* Four words for one counter. */
void ds_philox_block(uint32_t out[4], uint64_t key, const uint32_t counter[4]);
/* Word i of stream (seed, stream), and its words from 4 * block on: the block's counter is its
 * number and the stream's, low halves first. */
uint32_t ds_philox(uint64_t seed, uint64_t stream, uint64_t i);
void ds_philox_words(uint32_t out[4], uint64_t seed, uint64_t stream, uint64_t block);

#endif
