/* trainconf.h - everything that a fine-tuning run is told, and the part of it that the run is a
 * function of. */
#ifndef DS_TRAINCONF_H
#define DS_TRAINCONF_H

#include "lineage.h"
#include "net.h"
#include "optim.h"
#include "preference.h"
#include "promptinit.h"
#include "ranks.h"
#include "spike.h"

#define DS_SLICES_MAX 65536
/* What is not said. */
#define DS_LORA_RANK 16
#define DS_PROMPT_TOKENS 32

/* Number formats by name, in the order of enum ds_kfmt, and NULL. */
#define DS_FORMATS 3
extern const char *const DS_FORMAT_NAMES[DS_FORMATS + 1];

enum ds_method { DS_METHOD_LORA, DS_METHOD_FULL, DS_METHOD_PROMPT, DS_METHOD_AUTO };

typedef struct ds_trainconf {
    const char *model; /* folder */
    const char *const *data;
    size_t ndata;
    const char *column, *mask; /* mask: as for ds_dataset_open */
    const char *const *masks;  /* of each dataset instead; NULL: mask is for all */
    const uint64_t *weights;   /* of each dataset; NULL: they have none */
    const char *store, *out, *resume;
    bool over_is_done;     /* `resume` was found, not named: where no step is left, all is well */
    const char *again;     /* a checkpoint that is computed anew, as it was: a replay */
    enum ds_method method; /* AUTO until ds_trainer_open has chosen */
    int64_t memory;        /* that there is, for what is auto; 0: as the system says */
    uint64_t seed, steps, epochs; /* epochs: instead of steps, 0 = not */
    uint64_t batch, accumulate, checkpoint_every;
    uint32_t slices;           /* slices.h; 0: one for each rank. accumulate is a multiple of it */
    const ds_ranks *ranks;     /* NULL: alone. Not described */
    uint64_t keep, keep_every; /* retain.h; keep 0: all */
    const char *const *eval_data; /* each a loss of its own */
    size_t neval;                 /* 0: no evaluation */
    uint64_t eval_every, eval_stretches;
    uint64_t patience; /* evaluations without a better one before the run stops; 0: it goes on */
    double min_delta;
    const json_t *early_stop; /* how it is described; borrowed */
    ds_spike_conf spike;
    ds_lossscale_conf scaling; /* of f16 */
    ds_pref_conf preference;   /* kind NONE: tokens are learned as they stand */
    uint32_t seq_len, window;
    enum ds_long longer;
    enum ds_kfmt format;
    enum ds_recompute recompute;
    bool auto_recompute; /* until ds_trainer_open has chosen: the least that fits */
    bool abandon;        /* set aside what came after the checkpoint that is gone on from */
    const char *device; /* kernels' plugin.h; NULL: the CPU. Not described: a checkpoint tells it */
    bool eager;         /* on a device no step is captured */
    int threads;
    int data_threads;                 /* that fetch, at most; 0: as the loader has it */
    double warmup_share, decay_share; /* of the steps, once these are known, into optim; 0: as it
                                         has it */
    ds_optim_conf optim;
    ds_lora_conf lora;
    int32_t prompt_tokens; /* 0: as many as the text has, or 32 */
    enum ds_prompt_init prompt_init;
    const char *prompt_text;    /* for TEXT */
    const uint32_t *prompt_ids; /* its tokens, known after ds_trainer_open */
    size_t prompt_nids;
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
