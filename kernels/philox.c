/* philox.c - words of a stream, from the generator in common/order.h.
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3" (SC 2011); the
 * test checks its known answers. */
#include "kernels.h"
#include "order.h"

void ds_philox4(uint32_t out[4], const uint32_t key[2], const uint32_t counter[4])
{
    ds_philox_block(out, (uint64_t)key[0] | (uint64_t)key[1] << 32, counter);
}

uint32_t ds_philox(uint64_t seed, uint64_t stream, uint64_t i)
{
    const uint64_t block = i >> 2;
    const uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)stream,
                                 (uint32_t)(stream >> 32)};
    uint32_t out[4];

    ds_philox_block(out, seed, counter);
    return out[i & 3];
}
