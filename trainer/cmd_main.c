/* cmd_main.c - dstrain: the program's table of commands, and what they share. */
#include "cmd_train.h"

#include <stdlib.h>
#include <string.h>

#include "plugin.h"

extern const ds_command ds_train_init, ds_train_finetune, ds_train_eval, ds_train_generate,
    ds_train_merge, ds_train_plan, ds_train_replay, ds_train_selftest, ds_train_report,
    ds_train_classify;

const char *const TRAIN_RECOMPUTES[] = {"auto", "none", "attention", "mlp", "layer", NULL};

const char **train_list_ended(const ds_opt_list *l, ds_err *err)
{
    const char **v = calloc(l->n + 1, sizeof *v);

    if (!v)
        ds_fail_nomem(err);
    else if (l->n)
        memcpy(v, l->v, l->n * sizeof *v);
    return v;
}

int train_open_model(ds_kernels **k, ds_net **net, const char *dir, const char *adapter,
                     enum ds_kfmt f, int32_t positions, const char *device, int threads,
                     ds_err *err)
{
    ds_modelconf c = {0};
    int rc = ds_modelconf_read(&c, dir, err);

    *k = NULL;
    *net = NULL;
    rc = rc ? rc : ds_kernels_open(k, device ? device : "cpu", threads, err);
    rc = rc ? rc
            : ds_net_new(net, *k, &c, f,
                         positions > 0 && positions < c.max_pos ? positions : c.max_pos, err);
    rc = rc ? rc : ds_net_load(*net, dir, err);
    if (!rc && adapter)
        rc = ds_adapter_load(*net, adapter, err);
    ds_modelconf_fini(&c);
    if (rc) {
        ds_net_free(*net);
        *net = NULL;
        if (*k)
            (*k)->close(*k);
        *k = NULL;
    }
    return rc;
}

int main(int argc, char **argv)
{
    static const ds_command *const commands[] = {&ds_train_init,
                                                 &ds_train_plan,
                                                 &ds_train_finetune,
                                                 &ds_train_replay,
                                                 &ds_train_eval,
                                                 &ds_train_classify,
                                                 &ds_train_generate,
                                                 &ds_train_merge,
                                                 &ds_train_report,
                                                 &ds_train_selftest,
                                                 NULL};
    return ds_program_main(
        "dstrain", "fine-tune models on versioned data, with the lineage of every checkpoint",
        commands, argc, argv);
}
