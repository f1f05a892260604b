/* attn.h - causal attention over packed sequences: what the three forms of it share. attnany.cu
 * works for f32 and any widths of heads up to ATTN_WIDEST, attntile.cu on tensor cores for bf16,
 * f16 and the usual widths, attnwg.cu the same where warpgroups have products of their own.
 *
 * A block takes an item: a tile of queries (forward, dQ) or of keys (dK, dV) of one sequence, and
 * one head. dQ has a pass of its own, so nothing is added from two blocks (Dao 2023 needs atomics
 * there): the same bits every time, at seven products instead of five.
 */
#ifndef DS_ATTN_H
#define DS_ATTN_H

#include "cudak.h"

#define ATTN_WIDEST 256

/* len 0: there is nothing to do. */
typedef struct attn_item {
    int32_t first; /* the first query or key of the tile, in the sequence */
    int32_t len;   /* keys of the sequence */
    int32_t krow;  /* row of its key 0 */
    int32_t qrow;  /* row of its query 0: krow, less the tokens that have keys only */
} attn_item;

typedef struct attn_args {
    const void *q, *k, *v, *dout;
    void *o, *dq, *dk, *dv;
    float *lse;         /* [T, heads]; NULL when not asked for */
    const float *delta; /* [T, heads]: rowsum(dO . O) */
    const attn_item *item;
    int32_t heads, kv_heads, qk, vd;
    float scale;
} attn_args;

#define LOG2E 1.44269504088896341f

/* Tiles of the three forms. */
#define ANY_TILE 32
#define TILE 64
#define WG_TILE 128

bool ds_attn_tiles(enum ds_kfmt f, int32_t qk, int32_t vd);
void ds_attn_any(dev_stream st, enum ds_kfmt f, const attn_args *a, unsigned items);
void ds_attn_any_back(dev_stream st, enum ds_kfmt f, const attn_args *a, unsigned items);
/* Where ds_attn_tiles says so. */
void ds_attn_tile(dev_stream st, enum ds_kfmt f, const attn_args *a, unsigned items);
void ds_attn_tile_back(dev_stream st, enum ds_kfmt f, const attn_args *a, unsigned items);

/* Where rt_warpgroups does so too. */
void ds_attn_wg(dev_stream st, enum ds_kfmt f, const attn_args *a, unsigned items);
void ds_attn_wg_back(dev_stream st, enum ds_kfmt f, const attn_args *a, unsigned items);

#endif
