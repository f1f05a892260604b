/* cmd_merge.c - dstrain merge: an adapter folded into its base. */
#include <stdio.h>

#include "cmd_train.h"
#include "filesum.h"
#include "io.h"
#include "lineage.h"
#include "term.h"
#include "try.h"

static int run(int argc, char **argv);

extern const ds_command ds_train_merge;
const ds_command ds_train_merge = {
    .prog = "dstrain",
    .name = "merge",
    .summary = "fold a LoRA adapter into its base model",
    .operands = "",
    .max_operands = 0,
    .example = "dstrain merge --model base/ --adapter runs/1/step-000300 -o merged/",
    .description = "Writes W + s B A for every adapted projection, and the rows of tokens that "
                   "were trained with it (--train-token), as a Hugging Face model folder. "
                   "Sums are f32; --dtype says which number format the result has, whatever the "
                   "base's is.",
    .run = run,
};

/* An adapter goes on any model of the same shapes, and is of use on one. That which a checkpoint
 * was trained on is told by its lineage.json; other adapters tell nothing. */
static int check_base(const train_use *u, ds_err *err)
{
    char path[DS_PATH];
    ds_lineage l = {0};
    ds_sha sum;

    TRY(ds_path_join(path, u->adapter, "lineage.json", err));
    if (!ds_path_exists(path))
        return 0;
    int rc = ds_lineage_read(&l, u->adapter, err);
    rc = rc ? rc : ds_model_sum(&sum, u->model, err);
    if (!rc && !ds_sha_eq(&sum, &l.run.model))
        ds_warn("%s is not the model that %s was trained on, '%s': their digests differ", u->model,
                u->adapter, l.model_name);
    ds_lineage_fini(&l);
    return rc;
}

static int merge(const train_use *u, const char *out, ds_err *err)
{
    char path[DS_PATH];
    ds_kernels *k = NULL;
    ds_net *net = NULL;
    int rc = ds_path_join(path, out, "config.json", err);

    if (!rc && ds_path_exists(path))
        rc = ds_fail(err, DS_FAIL, "%s: there is a model already", out);
    rc = rc ? rc : check_base(u, err);
    rc = rc ? rc : train_open_model(&k, &net, u, 8, err);
    if (!rc && ds_params_find(ds_net_params(net), "prompt_embeddings"))
        rc = ds_fail(err, DS_FAIL, "%s: a prompt cannot be folded into weights", u->adapter);
    rc = rc ? rc : ds_net_merge_lora(net, err);
    rc = rc ? rc : ds_mkdirs(out, err);
    rc = rc ? rc : ds_tokenizer_copy(u->model, out, err);
    rc = rc ? rc : ds_net_save(net, out, err);
    if (!rc)
        printf("%s\n", out);
    ds_net_free(net);
    if (k)
        k->close(k);
    return rc;
}

static int run(int argc, char **argv)
{
    train_use u = {0};
    const char *out = NULL;
    const ds_opt opts[] = {TRAIN_MODEL(u.model), TRAIN_ADAPTER(u.adapter), TRAIN_WRITTEN(u.format),
                           TRAIN_OUTPUT(out, "DIR", "folder to write"), OPT_END};
    char **operands;
    ds_err err = {0};
    int n;
    const int begun = ds_opt_begin(&ds_train_merge, opts, argc, argv, &operands, &n);

    if (begun >= 0)
        return begun;
    if (!train_named(u.model) || !train_named(u.adapter) || !train_named(out))
        ds_fail(&err, DS_USAGE, "%s is missing (dstrain merge -h)",
                !train_named(u.model)     ? "--model DIR"
                : !train_named(u.adapter) ? "--adapter DIR"
                                          : "-o DIR");
    else
        merge(&u, out, &err);
    return ds_command_end(&ds_train_merge, &err, false);
}
