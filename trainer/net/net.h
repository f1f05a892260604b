/* net.h - the network: forward, loss and gradients of LLaMA, Qwen2 and DeepSeek-V2 on packed
 * sequences.
 *
 * Sources: Touvron et al. 2023 (LLaMA); Qwen2 technical report 2024; DeepSeek-V2 2024 (multi-head
 * latent attention, experts). Names of parameters are those of the Hugging Face files. One thread
 * uses a net; the backend has its own workers.
 *
 * What the batch is cut into does not matter: gradients are chains over tokens in order, dropout is
 * keyed by (seed, step, module, place in the global batch), so 8 micro-batches of 1 row give the
 * bits of 1 of 8.
 */
#ifndef DS_NET_H
#define DS_NET_H

#include "params.h"

/* Names of projections of all architectures. */
extern const char *const DS_PROJECTIONS[];

typedef struct ds_lora_conf {
    int32_t r;
    double alpha, dropout;
    bool rslora, dora;
    double lr_ratio;            /* LoRA+: learning rate of B over that of A; 1 = plain */
    const char *const *targets; /* names of projections ("q_proj") or suffixes of parameter names;
                                   NULL-terminated */
    const char *const *tokens; /* that are trained with it, as the user named them; NULL-terminated,
                                  or NULL */
    const uint32_t *rows;      /* their ids: rows of the embedding and of the head */
    size_t nrows;
    bool rows_in_only; /* not of a head of its own */
    bool rows_fixed;   /* they are used, and not trained: nothing is kept for a way back */
    /* r and alpha of a module, by its name, where these are not the same of all; NULL: they are */
    int (*of_module)(void *ctx, const char *module, int32_t *r, double *alpha, ds_err *err);
    void *of_ctx;
} ds_lora_conf;

/* What is not kept on the way forward but computed again on the way back; it changes no bit. The
 * outputs of norms and of SwiGLU never are kept. In a layer of a dense LLaMA of width d and ffn f,
 * a token keeps the input and about
 *
 *     DS_AGAIN_NONE       5 d + 2 f elements
 *     DS_AGAIN_ATTENTION  d + 2 f; queries, keys, values and attention again
 *     DS_AGAIN_MLP        5 d; gate and up again, and of experts their outputs
 *     DS_AGAIN_LAYER      0; all of it again
 */
enum ds_recompute { DS_AGAIN_NONE, DS_AGAIN_ATTENTION, DS_AGAIN_MLP, DS_AGAIN_LAYER };
#define DS_RECOMPUTES 4
const char *ds_recompute_name(enum ds_recompute r); /* "none", "attention", "mlp", "layer" */
bool ds_recompute_attention(enum ds_recompute r);   /* is that half computed again? */
bool ds_recompute_mlp(enum ds_recompute r);

typedef struct ds_net ds_net;
typedef struct ds_kvcache ds_kvcache;

/* One micro-batch. Rows of the global batch follow each other; each row holds packed sequences. All
 * arrays are the caller's. */
typedef struct ds_netbatch {
    int64_t t;             /* tokens */
    const int32_t *ids;    /* t; an id >= vocab is virtual token (id - vocab) of the prompt */
    const int32_t *pos;    /* t; restart at 0 in every sequence */
    const int32_t *target; /* t; the id that follows */
    const float *weight;   /* t; 0 where there is nothing to learn */
    ds_kseqs seqs;
    uint64_t seed, step;
    uint64_t first_token; /* place of token 0 in the global batch (rows padded to their full
                             length), for dropout */
    const struct ds_netbatch *next; /* the batch after it, whose numbers are sent while this one is
                                       computed; NULL: not known */
} ds_netbatch;

/* Builds an empty network (zero weights) of format f; positions: longest sequence. */
int ds_net_new(ds_net **net, ds_kernels *k, const ds_modelconf *c, enum ds_kfmt f,
               int32_t positions, ds_err *err);
int ds_net_load(ds_net *net, const char *dir,
                ds_err *err); /* from a Hugging Face folder; every tensor must be there */
int ds_net_init(ds_net *net, uint64_t seed, ds_err *err); /* random */
int ds_net_save(ds_net *net, const char *dir,
                ds_err *err); /* config.json, model.safetensors; DIR must exist */
void ds_net_free(ds_net *net);
const ds_modelconf *ds_net_conf(const ds_net *net);
ds_params *ds_net_params(ds_net *net);

/* Asks for the memory of steps in one piece: as much as ds_plan_count says that they take. */
int ds_net_reserve(ds_net *net, size_t bytes, ds_err *err);

/* What is trained. Full: everything, or the layers and names that `only` (a NULL-terminated list of
 * shell patterns on names) matches. */
int ds_net_train_full(ds_net *net, const char *const *only, ds_err *err);
int ds_net_add_lora(ds_net *net, const ds_lora_conf *c, uint64_t seed,
                    ds_err *err); /* parameters NAME.lora_A, NAME.lora_B, and of DoRA
                     NAME.lora_magnitude_vector, and of tokens' rows their own (tokenrows.h): after
                     the base is loaded */
int ds_net_merge_lora(ds_net *net,
                      ds_err *err); /* W += s B A, adapters dropped from the arithmetic */
int ds_net_add_prompt(ds_net *net, int32_t n,
                      ds_err *err); /* parameter prompt_embeddings, zero: the caller fills it */
int64_t ds_net_trained(const ds_net *net, int64_t *all);

/* Loss of every token (weight * -log p, f32, host memory of t floats) and, when grads, gradients
 * added to params' g: of scale * sum of losses. */
int ds_net_step(ds_net *net, const ds_netbatch *b, float scale, bool grads, enum ds_recompute r,
                float *loss, ds_err *err);
/* The weights as they are now, and of trained tokens those that they have in the tables, are the
 * model before; without it, it is the one that adapters were put on, which knows nothing of trained
 * tokens. Before any pass. all: of everything; else of what is trained. Adapters are left out. */
int ds_net_keep_before(ds_net *net, bool all, ds_err *err);
/* The same without gradients, of the model before, without adapters. */
int ds_net_look(ds_net *net, const ds_netbatch *b, float *loss, ds_err *err);
/* ds_net_step with gradients in two parts, for weights that follow from the losses: ahead, which
 * keeps what back needs; then back, of the same batch but for its weights, with the same scale and
 * r, before anything else is asked of the network. Bits are those of ds_net_step with back's
 * weights. What is computed twice is the product with the head. */
int ds_net_ahead(ds_net *net, const ds_netbatch *b, float scale, enum ds_recompute r, float *loss,
                 ds_err *err);
int ds_net_back(ds_net *net, const ds_netbatch *b, float scale, enum ds_recompute r, float *loss,
                ds_err *err);
/* After the last micro-batch of a batch, before gradients are used. */
int ds_net_finish_grads(ds_net *net, ds_err *err);
/* Logits of chosen tokens: out[n][vocab], host memory. */
int ds_net_logits(ds_net *net, const ds_netbatch *b, const int32_t *tokens, int64_t n, float *out,
                  ds_err *err);

/* A text that goes on token by token: keys and values of what was fed are kept, so a step costs
 * what its own tokens cost. Of latent attention the latent rows are kept, kv_lora + qk_rope numbers
 * a token and layer, where no adapter is on kv_b_proj; else what the heads see. */
int ds_kvcache_new(ds_kvcache **c, ds_net *net, int64_t positions, ds_err *err);
void ds_kvcache_clear(ds_kvcache *c); /* another text begins */
int64_t ds_kvcache_len(const ds_kvcache *c);
void ds_kvcache_free(ds_kvcache *c);
/* Feeds t more tokens; logits[vocab] of the last, in host memory: the same bits as ds_net_logits of
 * the whole text. From latent rows they are the same up to rounding, but for the first call. */
int ds_net_next(ds_net *net, ds_kvcache *c, const int32_t *ids, int64_t t, float *logits,
                ds_err *err);

#endif
