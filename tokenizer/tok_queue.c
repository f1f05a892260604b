/* tok_queue.c - see tok_queue.h. */
#include "tok_queue.h"

#include <string.h>

typedef struct asked {
    uint64_t key[2];
    size_t slot;
} asked;

/* A pretoken that is too long for the short cache has a key that no text has. */
static void ask(const tok_cache *c, const tok_queue *q, asked *v)
{
    for (size_t i = 0; i < q->n; i++) {
        uint32_t len = q->at[i + 1] - q->at[i];
        uint64_t longer = len > TOK_KEY ? UINT64_MAX : 0;
        tok_key_load(v[i].key, q->p + q->at[i], len > TOK_KEY ? TOK_KEY : len);
        v[i].key[1] |= longer;
        v[i].slot = tok_key_slot(c, v[i].key);
        __builtin_prefetch(c->entry + v[i].slot);
    }
}

/* Nearly all are in the short cache: four ids are written whatever there are. */
int ds_tok_queue_drain(ds_tok_state *st, tok_queue *q, const uint8_t *end)
{
    const tok_cache *c = &st->cache;
    asked v[TOK_QUEUE];
    if (q->n == 0)
        return 0;
    if (st->out_n > TOK_OUT - TOK_QUEUE * TOK_VALUE) {
        int rc = ds_tok_flush(st);
        if (rc != 0)
            return rc;
    }
    q->at[q->n] = (uint32_t)(end - q->p);
    ask(c, q, v);
    unsigned bits = c->bits;
    uint32_t *out = st->out + st->out_n;
    for (size_t i = 0; i < q->n; i++) {
        const tok_short *e = tok_short_find(c, v[i].key, v[i].slot);
        if (e != NULL) {
            memcpy(out, e->ids, sizeof e->ids);
            out += tok_short_n(e);
            continue;
        }
        st->out_n = (size_t)(out - st->out);
        int rc = ds_tok_pretoken_new(st, q->p + q->at[i], q->at[i + 1] - q->at[i]);
        if (rc != 0)
            return rc;
        out = st->out + st->out_n;
        if (c->bits != bits) { /* it has grown */
            bits = c->bits;
            for (size_t k = i + 1; k < q->n; k++)
                v[k].slot = tok_key_slot(c, v[k].key);
        }
    }
    st->out_n = (size_t)(out - st->out);
    return 0;
}
