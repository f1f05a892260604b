/* cmd_merge.c - dstrain merge: an adapter folded into its base. */
#include <stdio.h>

#include "cmd_train.h"

static int run(int argc, char **argv);

extern const ds_command ds_train_merge;
const ds_command ds_train_merge = {
    .prog = "dstrain",
    .name = "merge",
    .summary = "fold a LoRA adapter into its base model",
    .operands = "",
    .max_operands = 0,
    .example = "dstrain merge --model base/ --adapter runs/1/step-000300 -o merged/",
    .description = "Writes W + s B A for every adapted projection, as a Hugging Face model folder. "
                   "Sums are f32, the result has the base's number format.",
    .run = run,
};

static int merge(const char *model, const char *adapter, const char *out, bool bf16, ds_err *err)
{
    char path[4096];
    ds_kernels *k = NULL;
    ds_net *net = NULL;
    int rc = 0;

    if (snprintf(path, sizeof path, "%s/config.json", out) >= (int)sizeof path)
        rc = ds_fail(err, DS_FAIL, "%s: path too long", out);
    if (!rc && ds_path_exists(path))
        rc = ds_fail(err, DS_FAIL, "%s: there is a model already", out);
    rc =
        rc ? rc
           : train_open_model(&k, &net, model, adapter, bf16 ? DS_KBF16 : DS_KF32, 8, NULL, 0, err);
    if (!rc && ds_params_find(ds_net_params(net), "prompt_embeddings"))
        rc = ds_fail(err, DS_FAIL, "%s: a prompt cannot be folded into weights", adapter);
    rc = rc ? rc : ds_net_merge_lora(net, err);
    rc = rc ? rc : ds_mkdirs(out, err);
    rc = rc ? rc : ds_tokenizer_copy(model, out, err);
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
    const char *model = NULL, *adapter = NULL, *out = NULL;
    bool bf16 = false;
    const ds_opt opts[] = {
        {.name = "model",
         .type = DS_OPT_STR,
         .var = &model,
         .arg = "DIR",
         .help = "Hugging Face folder of the base model"},
        {.name = "adapter",
         .type = DS_OPT_STR,
         .var = &adapter,
         .arg = "DIR",
         .help = "checkpoint or PEFT adapter"},
        {.name = "bf16", .type = DS_OPT_FLAG, .var = &bf16, .help = "write the weights as bf16"},
        {.letter = 'o',
         .name = "output",
         .type = DS_OPT_STR,
         .var = &out,
         .arg = "DIR",
         .help = "folder to write"},
        TRAIN_END};
    char **operands;
    ds_err err = {0};
    int n;
    const int begun = ds_opt_begin(&ds_train_merge, opts, argc, argv, &operands, &n);

    if (begun >= 0)
        return begun;
    if (!model || !adapter || !out)
        ds_fail(&err, DS_USAGE, "%s is missing (dstrain merge -h)",
                !model     ? "--model DIR"
                : !adapter ? "--adapter DIR"
                           : "-o DIR");
    else
        merge(model, adapter, out, bf16, &err);
    return ds_command_end(&ds_train_merge, &err, false);
}
