/* cmd_finetune.h - the options of dstrain finetune, apart from what it does. */
#ifndef DS_CMD_FINETUNE_H
#define DS_CMD_FINETUNE_H

#include "cmd_train.h"

/* Reads them: -1 to go on, or the exit status. What they say is in *c, whose pointers hold until
 * finetune_options_fini; settings that cannot be are in *err. */
int finetune_options(ds_trainconf *c, const ds_command *cmd, int argc, char **argv, ds_err *err);
void finetune_options_fini(void);

#endif
