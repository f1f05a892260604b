/* tok_queue.h - pretokens on their way to ids.
 *
 * Finding pretokens, asking the cache's memory for them, and taking what it has are three loops
 * over some hundred pretokens each: most of the time goes by waiting for memory, and for branches
 * that turn out otherwise, and long plain loops have the least of both.
 */
#ifndef DS_TOK_QUEUE_H
#define DS_TOK_QUEUE_H

#include "tok_priv.h"

typedef struct tok_queue {
    const uint8_t *p; /* places count from here */
    size_t n;
    uint32_t at[TOK_QUEUE + 1]; /* where each begins */
} tok_queue;

static inline void tok_queue_begin(tok_queue *q, const uint8_t *p)
{
    q->p = p;
    q->n = 0;
}

/* The first bytes of pretokens are the bits of `starts`, from p on. */
static inline void tok_queue_push(tok_queue *q, const uint8_t *p, uint64_t starts)
{
    uint32_t at = (uint32_t)(p - q->p);
    size_t k = q->n;
    for (; starts != 0; starts &= starts - 1)
        q->at[k++] = at + (uint32_t)__builtin_ctzll(starts);
    q->n = k;
}

/* No room for another window: it is to be drained. */
static inline bool tok_queue_full(const tok_queue *q)
{
    return q->n > TOK_QUEUE - TOK_WINDOW;
}

/* The ids of all of them; the last one ends at `end`. 16 bytes can be read from each. */
int ds_tok_queue_drain(ds_tok_state *st, tok_queue *q, const uint8_t *end);

#endif
