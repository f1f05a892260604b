/* cmd_init.c - dstrain init: a small model with seeded random weights. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_train.h"
#include "tok.h"

static int run(int argc, char **argv);

extern const ds_command ds_train_init;
const ds_command ds_train_init = {
    .prog = "dstrain",
    .name = "init",
    .summary = "make a small model with random weights",
    .operands = "",
    .max_operands = 0,
    .example = "dstrain init --arch llama --preset tiny --tokenizer tok.json -o base/",
    .description = "Writes a Hugging Face model folder: config.json, model.safetensors and a copy "
                   "of the tokenizer. The vocabulary's size is the "
                   "tokenizer's. The same seed gives the same weights on every machine.",
    .run = run,
};

static int make(const char *arch, const char *preset, const char *tokenizer, uint64_t seed,
                const char *out, bool bf16, ds_err *err)
{
    char path[4096];
    ds_modelconf c = {0};
    ds_tok *tok = NULL;
    ds_kernels *k = NULL;
    ds_net *net = NULL;
    enum ds_arch a = DS_LLAMA;
    int64_t all;
    int rc = ds_arch_parse(&a, arch, err);

    if (!rc && snprintf(path, sizeof path, "%s/config.json", out) >= (int)sizeof path)
        rc = ds_fail(err, DS_FAIL, "%s: path too long", out);
    if (!rc && ds_path_exists(path))
        rc = ds_fail(err, DS_FAIL, "%s: there is a model already", out);
    rc = rc ? rc : ds_tok_load(&tok, tokenizer, err);
    rc = rc ? rc : ds_modelconf_preset(&c, a, preset, (int32_t)ds_tok_max_id(tok) + 1, err);
    rc = rc ? rc : ds_kernels_cpu(&k, 0, NULL, err);
    rc = rc ? rc : ds_net_new(&net, k, &c, bf16 ? DS_KBF16 : DS_KF32, 8, err);
    rc = rc ? rc : ds_net_init(net, seed, err);
    rc = rc ? rc : ds_mkdirs(out, err);
    if (!rc && snprintf(path, sizeof path, "%s/tokenizer.json", out) >= (int)sizeof path)
        rc = ds_fail(err, DS_FAIL, "%s: path too long", out);
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
    const char *arch = "llama", *preset = "tiny", *tokenizer = NULL, *out = NULL;
    int64_t seed = 1;
    bool bf16 = false;
    const ds_opt opts[] = {
        {.name = "arch",
         .type = DS_OPT_STR,
         .var = &arch,
         .arg = "NAME",
         .help = "llama, qwen2 or deepseek_v2; default llama"},
        {.name = "preset",
         .type = DS_OPT_STR,
         .var = &preset,
         .arg = "SIZE",
         .help = "tiny, small or 100m; default tiny"},
        {.letter = 't',
         .name = "tokenizer",
         .type = DS_OPT_STR,
         .var = &tokenizer,
         .arg = "FILE",
         .help = "tokenizer.json of the model"},
        {.name = "seed",
         .type = DS_OPT_INT,
         .var = &seed,
         .arg = "N",
         .help = "of the weights; default 1"},
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
    const int begun = ds_opt_begin(&ds_train_init, opts, argc, argv, &operands, &n);

    if (begun >= 0)
        return begun;
    if (!tokenizer || !out)
        ds_fail(&err, DS_USAGE, "%s is missing (dstrain init -h)",
                tokenizer ? "-o DIR" : "--tokenizer FILE");
    else
        make(arch, preset, tokenizer, (uint64_t)seed, out, bf16, &err);
    return ds_command_end(&ds_train_init, &err, false);
}
