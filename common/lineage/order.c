/* order.c - see order.h. */
#include "order.h"

void ds_philox_block(uint32_t out[4], uint64_t key, const uint32_t counter[4])
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];

    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

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
