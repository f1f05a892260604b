/* trainconf.h - everything that a fine-tuning run is told, and the part of it that the run is a
 * function of. */
#ifndef DS_TRAINCONF_H
#define DS_TRAINCONF_H

#include "lineage.h"
#include "net.h"
#include "optim.h"

enum ds_method { DS_METHOD_LORA, DS_METHOD_FULL, DS_METHOD_PROMPT };
enum ds_prompt_init { DS_PROMPT_VOCAB, DS_PROMPT_TEXT };

typedef struct ds_trainconf {
    const char *model; /* folder */
    const char *const *data;
    size_t ndata;
    const char *column, *mask; /* mask: as for ds_dataset_open */
    const char *const *masks;  /* of each dataset instead; NULL: mask is for all */
    const uint64_t *weights;   /* of each dataset; NULL: they have none */
    const char *store, *out, *resume, *eval_data;
    enum ds_method method;
    uint64_t seed, steps, epochs; /* epochs: instead of steps, 0 = not */
    uint64_t batch, accumulate, checkpoint_every, eval_every, keep;
    uint32_t seq_len, window;
    enum ds_long longer;
    enum ds_kfmt format;
    bool recompute;
    bool abandon; /* set aside what came after the checkpoint that is gone on from */
    int threads;
    ds_optim_conf optim;
    ds_lora_conf lora;
    int32_t prompt_tokens;
    const char *const
        *only; /* patterns of what full fine-tuning trains; NULL-terminated, or NULL */
    bool json, quiet;
    bool scratch; /* a replay: nothing is registered in the catalog */
} ds_trainconf;

/* The `training` member of the run description. */
int ds_trainconf_dump(ds_buf *out, const ds_trainconf *c, ds_err *err);
/* Back: method, optimizer, LoRA and so on into c; strings point into *keep (caller: json_decref and
 * free *targets). */
int ds_trainconf_parse(ds_trainconf *c, const char *training, json_t **keep, const char ***targets,
                       ds_err *err);
const char *ds_method_name(enum ds_method m);

#endif
