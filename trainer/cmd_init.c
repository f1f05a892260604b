/* cmd_init.c - dstrain init: a small model with seeded random weights. */
#include <stdio.h>
#include <stdlib.h>

#include "cmd_train.h"
#include "io.h"
#include "tok_config.h"
#include "try.h"

static int run(int argc, char **argv);

extern const ds_command ds_train_init;
const ds_command ds_train_init = {
    .prog = "dstrain",
    .name = "init",
    .summary = "make a small model with random weights",
    .operands = "",
    .max_operands = 0,
    .example = "dstrain init --arch llama --preset tiny --tokenizer tok.json -o base/\n"
               "dstrain finetune --model base/ --data docs --steps 300 -o runs/1\n"
               "dsver audit runs/1/step-000300",
    .description = "Writes a Hugging Face model folder: config.json, model.safetensors and a copy "
                   "of the tokenizer. The vocabulary's size is the "
                   "tokenizer's, and so is the token that ends a text, by what lies beside it or "
                   "its usual names. The same seed gives the same weights on every machine.",
    .run = run,
};

/* The token that ends a text, as what lies beside the tokenizer names it, or by its usual names. */
static int name_end(ds_modelconf *c, const ds_tok *tok, const char *tokenizer, ds_err *err)
{
    ds_tokconf conf = {0};

    TRY(ds_tokconf_load(&conf, NULL, tokenizer, err));
    const uint32_t end = ds_tokconf_eos(&conf, tok);
    ds_tokconf_fini(&conf);
    if (end != DS_TOK_NONE)
        c->eos[c->neos++] = (int32_t)end;
    return 0;
}

static int make(enum ds_arch a, const char *preset, const char *tokenizer, uint64_t seed,
                const char *out, enum ds_kfmt f, ds_err *err)
{
    char path[DS_PATH];
    ds_modelconf c = {0};
    ds_tok *tok = NULL;
    ds_kernels *k = NULL;
    ds_net *net = NULL;
    int64_t all;
    int rc = ds_path_join(path, out, "config.json", err);

    if (!rc && ds_path_exists(path))
        rc = ds_fail(err, DS_FAIL, "%s: there is a model already", out);
    rc = rc ? rc : ds_tok_load(&tok, tokenizer, err);
    rc = rc ? rc : ds_modelconf_preset(&c, a, preset, (int32_t)ds_tok_max_id(tok) + 1, err);
    rc = rc ? rc : name_end(&c, tok, tokenizer, err);
    rc = rc ? rc : ds_kernels_cpu(&k, 0, NULL, err);
    rc = rc ? rc : ds_net_new(&net, k, &c, f, 8, err);
    rc = rc ? rc : ds_net_init(net, seed, err);
    rc = rc ? rc : ds_mkdirs(out, err);
    rc = rc ? rc : ds_path_join(path, out, "tokenizer.json", err);
    rc = rc ? rc : ds_copy_file(tokenizer, path, 0644, err);
    rc = rc ? rc : ds_net_save(net, out, err);
    if (!rc) {
        ds_net_trained(net, &all);
        printf("%s: %s, %lld parameters, vocabulary of %d\n", out, ds_arch_name(a), (long long)all,
               (int)c.vocab);
    }
    ds_net_free(net);
    if (k)
        k->close(k);
    ds_tok_free(tok);
    ds_modelconf_fini(&c);
    return rc;
}

static int run(int argc, char **argv)
{
    static const char *const archs[] = {"llama", "qwen2", "deepseek_v2",
                                        NULL}; /* as enum ds_arch */
    const char *preset = "tiny", *tokenizer = NULL, *out = NULL;
    int64_t seed = 1;
    int arch = DS_LLAMA, format = DS_KF32;
    const ds_opt opts[] = {
        OPT_CHOICE(0, "arch", arch, "NAME", archs, "llama (default), qwen2 or deepseek_v2"),
        OPT_STR(0, "preset", preset, "SIZE", "tiny, small or 100m; default tiny"),
        OPT_STR('t', "tokenizer", tokenizer, "FILE", "tokenizer.json of the model"),
        OPT_INT(0, "seed", seed, "N", 0, 0, "of the weights; default 1"),
        TRAIN_WRITTEN(format),
        TRAIN_OUTPUT(out, "DIR", "folder to write"),
        OPT_END};
    char **operands;
    ds_err err = {0};
    int n;
    const int begun = ds_opt_begin(&ds_train_init, opts, argc, argv, &operands, &n);

    if (begun >= 0)
        return begun;
    if (!train_named(tokenizer) || !train_named(out))
        ds_fail(&err, DS_USAGE, "%s is missing (dstrain init -h)",
                train_named(tokenizer) ? "-o DIR" : "--tokenizer FILE");
    else
        make((enum ds_arch)arch, preset, tokenizer, (uint64_t)seed, out, (enum ds_kfmt)format,
             &err);
    return ds_command_end(&ds_train_init, &err, false);
}
