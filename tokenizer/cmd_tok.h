/* cmd_tok.h - what the commands of dstok share. */
#ifndef DS_CMD_TOK_H
#define DS_CMD_TOK_H

#include "opt.h"
#include "tok.h"

extern const ds_command dstok_encode, dstok_decode, dstok_info, dstok_train, dstok_stats,
    dstok_diff;

#endif
