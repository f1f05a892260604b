/* tok_merges.h - which pairs of tokens merge, at which rank, and into what.
 *
 * A slot packs both ids and the rank into 64 bits, so that looking up a pair costs one cache line.
 * Of merges that are repeated the last rank counts, as for the reference.
 */
#ifndef DS_TOK_MERGES_H
#define DS_TOK_MERGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOK_ID_MAX ((uint32_t)(1 << 20) - 1)   /* more tokens than any model has */
#define TOK_NO_MERGE ((uint32_t)(1 << 24) - 1) /* greater than every rank */

typedef struct tok_merges {
    uint64_t *slot; /* a << 44 | b << 24 | rank; all ones: empty */
    size_t mask;
    unsigned shift;
    uint32_t *to;   /* rank -> id of the merged token */
    uint32_t n;     /* merges so far */
    uint32_t *byte; /* 65536: rank for two single bytes, first << 8 | second; its user fills it */
} tok_merges;

bool ds_tok_merges_init(tok_merges *m); /* false without memory */
void ds_tok_merges_fini(tok_merges *m);
/* Room for n merges, fewer than TOK_NO_MERGE; once, before the first. False without memory. */
bool ds_tok_merges_room(tok_merges *m, size_t n);

/* The least rank of all merges that a token is a part of. Looks at all of them. */
uint32_t ds_tok_merges_first_use(const tok_merges *m, uint32_t id);

static inline size_t tok_merges_first(const tok_merges *m, uint64_t pair)
{
    return (size_t)(pair * 0x9e3779b97f4a7c15u >> m->shift);
}

/* The next merge, whose rank is the number of those before it; there is room. */
static inline void ds_tok_merges_put(tok_merges *m, uint32_t a, uint32_t b, uint32_t id)
{
    uint64_t pair = (uint64_t)a << 20 | b;
    size_t i = tok_merges_first(m, pair);
    while (m->slot[i] != UINT64_MAX && m->slot[i] >> 24 != pair)
        i = (i + 1) & m->mask;
    m->slot[i] = pair << 24 | m->n;
    m->to[m->n++] = id;
}
/* That a pair will be looked for. */
static inline void ds_tok_merges_ask(const tok_merges *m, uint32_t a, uint32_t b)
{
    __builtin_prefetch(&m->slot[tok_merges_first(m, (uint64_t)a << 20 | b)]);
}

/* The rank of a pair, TOK_NO_MERGE when it has none. */
static inline uint32_t tok_merges_get(const tok_merges *m, uint32_t a, uint32_t b)
{
    uint64_t pair = (uint64_t)a << 20 | b, s;
    for (size_t i = tok_merges_first(m, pair); (s = m->slot[i]) != UINT64_MAX;
         i = (i + 1) & m->mask)
        if (s >> 24 == pair)
            return (uint32_t)s & TOK_NO_MERGE;
    return TOK_NO_MERGE;
}

#endif
