/* adapter.h - adapters in PEFT's format: adapter_config.json, and adapter_model.safetensors, whose
 * names are ours behind "base_model.model." (LoRA), or the one tensor prompt_embeddings (prompt
 * tuning).
 */
#ifndef DS_ADAPTER_H
#define DS_ADAPTER_H

#include "trainconf.h"

/* The adapter that c's method trains. model: name of the base, for PEFT. */
int ds_adapter_write(ds_net *net, const char *dir, const ds_trainconf *c, const char *model,
                     ds_err *err);
/* Into a net that has the adapter already: every tensor of the one must be in the other. */
int ds_adapter_read(ds_net *net, const char *dir, bool lora, ds_err *err);
/* Adds the adapter or prompt of a checkpoint, or of any PEFT folder, to a net, for evaluation and
 * merging; modules may have ranks and alphas of their own (adapterpattern.h). What PEFT has and is
 * not done here is refused by its name. */
int ds_adapter_load(ds_net *net, const char *dir, ds_err *err);

#endif
