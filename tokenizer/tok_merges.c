/* tok_merges.c - see tok_merges.h. */
#include "tok_merges.h"

#include <stdlib.h>
#include <string.h>

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
    free(m->pair);
    memset(m, 0, sizeof *m);
}

bool ds_tok_merges_push(tok_merges *m, uint32_t a, uint32_t b, uint32_t id)
{
    if (m->n == m->cap) {
        size_t cap = m->cap ? m->cap * 2 : 1024;
        uint32_t *to = realloc(m->to, cap * sizeof *to);
        m->to = to != NULL ? to : m->to;
        uint64_t *pair = realloc(m->pair, cap * sizeof *pair);
        m->pair = pair != NULL ? pair : m->pair;
        if (to == NULL || pair == NULL)
            return false;
        m->cap = cap;
    }
    m->to[m->n] = id;
    m->pair[m->n++] = (uint64_t)a << 20 | b;
    return true;
}

bool ds_tok_merges_finish(tok_merges *m)
{
    unsigned bits = 4;
    while (((size_t)1 << bits) * 5 < (size_t)m->n * 8) /* at most five in eight are taken */
        bits++;
    size_t cap = (size_t)1 << bits;
    m->slot = malloc(cap * sizeof *m->slot);
    if (m->slot == NULL)
        return false;
    memset(m->slot, 0xff, cap * sizeof *m->slot);
    m->mask = cap - 1;
    m->shift = 64 - bits;
    for (uint32_t r = 0; r < m->n; r++) {
        if (r + 8 < m->n)
            __builtin_prefetch(&m->slot[tok_merges_first(m, m->pair[r + 8])]);
        size_t i = tok_merges_first(m, m->pair[r]);
        while (m->slot[i] != UINT64_MAX && m->slot[i] >> 24 != m->pair[r])
            i = (i + 1) & m->mask;
        m->slot[i] = m->pair[r] << 24 | r;
    }
    free(m->pair);
    m->pair = NULL;
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
