/* tok_merges.c - see tok_merges.h. */
#include "tok_merges.h"

#include <stdlib.h>
#include <string.h>

#include "tok_table.h"

bool ds_tok_merges_init(tok_merges *m)
{
    m->byte = malloc(65536 * sizeof *m->byte);
    for (size_t i = 0; i < 65536 && m->byte != NULL; i++)
        m->byte[i] = TOK_NO_MERGE;
    return m->byte != NULL;
}

void ds_tok_merges_fini(tok_merges *m)
{
    free(m->slot);
    free(m->to);
    free(m->byte);
    memset(m, 0, sizeof *m);
}

bool ds_tok_merges_room(tok_merges *m, size_t n)
{
    unsigned bits = 4;
    while (((size_t)1 << bits) * 5 < n * 8) /* at most five in eight are taken */
        bits++;
    size_t cap = (size_t)1 << bits;
    m->to = malloc((n ? n : 1) * sizeof *m->to);
    m->slot = ds_tok_table(cap * sizeof *m->slot);
    if (m->to == NULL || m->slot == NULL)
        return false;
    memset(m->slot, 0xff, cap * sizeof *m->slot);
    m->mask = cap - 1;
    m->shift = 64 - bits;
    return true;
}

uint32_t ds_tok_merges_first_use(const tok_merges *m, uint32_t id)
{
    uint32_t least = TOK_NO_MERGE;
    for (size_t i = 0; i <= m->mask; i++) {
        uint64_t s = m->slot[i];
        uint32_t rank = (uint32_t)s & TOK_NO_MERGE;
        if (s != UINT64_MAX && (s >> 44 == id || (s >> 24 & TOK_ID_MAX) == id) && rank < least)
            least = rank;
    }
    return least;
}
