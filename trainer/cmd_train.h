/* cmd_train.h - what the commands of dstrain share. */
#ifndef DS_CMD_TRAIN_H
#define DS_CMD_TRAIN_H

#include "finetune.h"
#include "opt.h"

#define TRAIN_JSON(v)                                                                              \
    {                                                                                              \
        .name = "json", .type = DS_OPT_FLAG, .var = &(v), .help = "print JSON lines"               \
    }
#define TRAIN_STORE(v)                                                                             \
    {                                                                                              \
        .name = "store", .type = DS_OPT_STR, .var = &(v), .arg = "DIR",                            \
        .help = "the dsver store, or the folder that holds it"                                     \
    }
#define TRAIN_THREADS(v)                                                                           \
    {                                                                                              \
        .letter = 'j', .name = "threads", .type = DS_OPT_INT, .var = &(v), .arg = "N", .min = 0,   \
        .max = 1024,                                                                               \
        .help = "threads of the arithmetic; default one for each processor; changes no bit"        \
    }
#define TRAIN_DEVICE(v)                                                                            \
    {                                                                                              \
        .name = "device", .type = DS_OPT_STR, .var = &(v), .arg = "cpu|cuda|cuda:N",               \
        .help = "where the arithmetic is done; default cpu; each has bits of its own"              \
    }
#define TRAIN_MASK(v)                                                                              \
    {                                                                                              \
        .name = "mask", .type = DS_OPT_STR, .var = &(v), .arg = "COLUMN|none",                     \
        .help = "column of runs: which tokens are targets; default loss where there is one"        \
    }
/* Choices of --recompute. */
extern const char *const TRAIN_RECOMPUTES[]; /* auto, and ds_recompute's names */
static inline enum ds_recompute train_recompute(int choice)
{
    return choice > 0 ? (enum ds_recompute)(choice - 1) : DS_AGAIN_NONE;
}
#define TRAIN_END                                                                                  \
    {                                                                                              \
        .name = NULL                                                                               \
    }

/* Opens a model for use without training: DIR, and an adapter's folder or NULL. Caller frees net,
 * then closes k. A checkpoint of full fine-tuning is a model itself. device NULL: the CPU. */
int train_open_model(ds_kernels **k, ds_net **net, const char *dir, const char *adapter,
                     enum ds_kfmt f, int32_t positions, const char *device, int threads,
                     ds_err *err);

/* The strings of a list option, ended by NULL: one allocation, the caller's. NULL: no memory. */
const char **train_list_ended(const ds_opt_list *l, ds_err *err);

#endif
