/* modelconf.h - what a model is: config.json of a Hugging Face folder, read strictly.
 *
 * Architectures: llama (LLaMA, DeepSeek-LLM, R1-Distill-Llama), qwen2 (R1-Distill-Qwen),
 * deepseek_v2. A member that changes the arithmetic and is not supported is refused by name and
 * value; members that do not are ignored.
 */
#ifndef DS_MODELCONF_H
#define DS_MODELCONF_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "error.h"

enum ds_arch { DS_LLAMA, DS_QWEN2, DS_DEEPSEEK_V2 };
enum ds_rope { DS_ROPE_PLAIN, DS_ROPE_LINEAR, DS_ROPE_LLAMA3, DS_ROPE_YARN };

#define DS_EOS_MAX 16
#define DS_VOCAB_MAX (1 << 24) /* rows of an embedding */

typedef struct ds_modelconf {
    enum ds_arch arch;
    int32_t hidden, ffn, layers, heads, kv_heads, head_dim, vocab, max_pos;
    float eps;
    double theta;
    bool tied, qkv_bias, o_bias, mlp_bias;
    int32_t bos; /* -1: none */
    int32_t eos[DS_EOS_MAX], neos;
    float init_range; /* standard deviation of random weights */
    enum ds_rope rope;
    double rope_factor, rope_low,
        rope_high; /* llama3: low and high frequency factors; yarn: beta_slow and beta_fast */
    double mscale, mscale_all; /* yarn */
    int32_t rope_orig;         /* original_max_position_embeddings */
    /* deepseek_v2 */
    int32_t q_lora, kv_lora, qk_nope, qk_rope, v_dim;
    int32_t experts, experts_used, shared_experts, moe_ffn, first_dense, moe_every;
    bool norm_topk;
    float routed_scale;
    float aux_alpha; /* recorded; the balance loss is not added */
    char *extra;     /* the members of config.json that were not read, to be written back: canonical
                        JSON object or NULL */
} ds_modelconf;

void ds_modelconf_fini(ds_modelconf *c);
bool ds_modelconf_ends(const ds_modelconf *c, int32_t id);            /* does a text end with it? */
int ds_modelconf_read(ds_modelconf *c, const char *dir, ds_err *err); /* DIR/config.json */
int ds_modelconf_parse(ds_modelconf *c, const void *json, size_t len, const char *what,
                       ds_err *err);
int ds_modelconf_dump(ds_buf *out, const ds_modelconf *c,
                      ds_err *err); /* a config.json that transformers reads */
int ds_modelconf_check(const ds_modelconf *c, ds_err *err);
/* A small model of an architecture: preset "tiny", "small", "100m". vocab is the tokenizer's. */
int ds_modelconf_preset(ds_modelconf *c, enum ds_arch arch, const char *preset, int32_t vocab,
                        ds_err *err);
const char *ds_arch_name(enum ds_arch a);

/* Width of a head of q and k, and of v. */
int32_t ds_qk_dim(const ds_modelconf *c);
int32_t ds_v_dim(const ds_modelconf *c);
bool ds_layer_is_moe(const ds_modelconf *c, int32_t layer);

#endif
