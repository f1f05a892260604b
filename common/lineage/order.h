/* order.h - the order in which a run visits records: a pure function of (seed, epoch, number of
 * records).
 *
 * Source: docs/lineage-format.md, "Order". A Feistel permutation with cycle walking: any place is
 * found in O(1), nothing is stored.
 */
#ifndef DS_ORDER_H
#define DS_ORDER_H

#include <stdint.h>

/* The i-th of n (n >= 1, i < n) in epoch e. */
uint64_t ds_order_at(uint64_t seed, uint32_t epoch, uint64_t n, uint64_t i);

#endif
