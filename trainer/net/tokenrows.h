/* tokenrows.h - rows of the embedding and of the head that are trained beside adapters, as those of
 * new tokens; PEFT calls them trainable tokens.
 *
 * A parameter in f32 has them, under PEFT's name. They begin as they are in the table and are
 * written over it before a pass, so that the way forward knows nothing of them. A tied embedding
 * has one set, whose gradient is the sum of two chains: the head's, and that of the look-ups. What
 * goes back through the head is the whole of its logits' gradient times ones in the places of the
 * rows: exact, and without memory of the table's size.
 */
#ifndef DS_TOKENROWS_H
#define DS_TOKENROWS_H

#include "kernels.h"
#include "params.h"

struct ds_net;
struct ds_lora_conf;

typedef struct token_rows {
    ds_param *in, *out; /* of the embedding and of a head of its own; in NULL: no rows are trained;
                           out NULL: of the head none, or the embedding is the head */
    uint32_t *ids;      /* of each row */
    int32_t *row;       /* of each id; -1: it is not trained */
    void *ones;         /* rows x vocabulary, 1 where a row's id is; in the network's format */
    float *looked_up;   /* gradients of a tied embedding's look-ups */
} token_rows;

int token_rows_add(struct ds_net *n, const struct ds_lora_conf *c, ds_err *err);
/* The rows of the tables, before any pass, are what the parameters' `before` is from here on. */
int token_rows_keep(struct ds_net *n, ds_err *err);
/* The tables have the rows as they are now: before a pass. */
int token_rows_refresh(struct ds_net *n, ds_err *err);
/* Gradients: of look-ups, rows[t] the row of each token or -1; and through the head, of m tokens
 * whose normed inputs are y. */
int token_rows_embed_back(struct ds_net *n, const void *dh, const int32_t *rows, int64_t t,
                          ds_err *err);
int token_rows_head_back(struct ds_net *n, const void *dlogits, const void *y, int64_t m,
                         ds_err *err);
int token_rows_finish(struct ds_net *n, ds_err *err); /* after a batch's last micro-batch */
int64_t token_rows_apart(const struct ds_net *n);     /* bytes of looked_up */
void token_rows_fini(struct ds_net *n);
bool ds_is_token_rows(const ds_param *p);

#endif
