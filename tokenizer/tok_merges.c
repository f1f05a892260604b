/* tok_merges.c - see tok_merges.h. */
#include "tok_merges.h"

#include <stdlib.h>
#include <string.h>

bool ds_tok_merges_init(tok_merges *m, size_t n)
{
    unsigned bits = 4;
    while (((size_t)1 << bits) * 5 < n * 8) /* at most five in eight are taken */
        bits++;
    size_t cap = (size_t)1 << bits;
    m->slot = malloc(cap * sizeof *m->slot);
    m->to = malloc((n ? n : 1) * sizeof *m->to);
    m->byte = malloc(65536 * sizeof *m->byte);
    if (m->slot == NULL || m->to == NULL || m->byte == NULL)
        return false;
    memset(m->slot, 0xff, cap * sizeof *m->slot);
    m->mask = cap - 1;
    m->shift = 64 - bits;
    m->n = (uint32_t)n;
    return true;
}

void ds_tok_merges_fini(tok_merges *m)
{
    free(m->slot);
    free(m->to);
    free(m->byte);
    memset(m, 0, sizeof *m);
}

void ds_tok_merges_add(tok_merges *m, uint32_t a, uint32_t b, uint32_t rank, uint32_t id)
{
    uint64_t pair = (uint64_t)a << 20 | b;
    size_t i = tok_merges_first(m, pair);
    while (m->slot[i] != UINT64_MAX && m->slot[i] >> 24 != pair)
        i = (i + 1) & m->mask;
    m->slot[i] = pair << 24 | rank;
    m->to[rank] = id;
}

void ds_tok_merges_bytes(tok_merges *m, const uint32_t byte_id[256])
{
    for (unsigned a = 0; a < 256; a++)
        for (unsigned b = 0; b < 256; b++)
            m->byte[a << 8 | b] = byte_id[a] == UINT32_MAX || byte_id[b] == UINT32_MAX
                                      ? TOK_NO_MERGE
                                      : tok_merges_get(m, byte_id[a], byte_id[b]);
}
