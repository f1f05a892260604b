/* order.c - see order.h. */
#include "order.h"

#include "philox.h"

static uint64_t permute(uint64_t seed, uint32_t epoch, unsigned m, uint64_t x)
{
    const uint64_t mask = ((uint64_t)1 << m) - 1;
    uint64_t left = x >> m, right = x & mask;

    for (uint32_t r = 0; r < 6; r++) {
        const uint32_t counter[4] = {(uint32_t)right, (uint32_t)(right >> 32), epoch,
                                     r << 16 | 0x0dd5u};
        uint32_t w[4];
        ds_philox_block(w, seed, counter);
        const uint64_t f = ((uint64_t)w[0] | (uint64_t)w[1] << 32) & mask, next = left ^ f;
        left = right;
        right = next;
    }
    return left << m | right;
}

uint64_t ds_order_at(uint64_t seed, uint32_t epoch, uint64_t n, uint64_t i)
{
    unsigned m = 1;

    while (m < 31 && ((uint64_t)1 << 2 * m) < n)
        m++;
    do
        i = permute(seed, epoch, m, i);
    while (i >= n);
    return i;
}
