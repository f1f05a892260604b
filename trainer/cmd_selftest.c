/* cmd_selftest.c - dstrain selftest: the promises of training, tried here. */
#include <stdio.h>

#include "cmd_train.h"
#include "selftest.h"

static int run(int argc, char **argv);

extern const ds_command ds_train_selftest;
const ds_command ds_train_selftest = {
    .prog = "dstrain",
    .name = "selftest",
    .summary = "try the promises of training on this machine",
    .operands = "",
    .max_operands = 0,
    .example = "dstrain selftest --model base/",
    .description =
        "Trains adapters for a few steps in different ways that must give the same bits: "
        "packed and unpacked, in micro-batches, with activations computed again, "
        "interrupted and resumed, with other numbers of threads and other instruction "
        "sets. Prints a line for each. Without --model a small network with random "
        "weights is used. Exit status 1: something differs.",
    .run = run,
};

static void say(void *ctx, const char *name, enum ds_selftest_outcome outcome, const char *detail)
{
    static const char *const words[] = {"ok", "FAILED", "skipped"};

    if (*(const bool *)ctx)
        printf("{\"type\":\"selftest\",\"name\":\"%s\",\"outcome\":\"%s\",\"detail\":\"%s\"}\n",
               name, words[outcome], detail);
    else
        printf("%-8s %s%s%s\n", words[outcome], name, *detail ? ": " : "", detail);
    fflush(stdout);
}

static int run(int argc, char **argv)
{
    const char *model = NULL;
    bool json = false;
    const ds_opt opts[] = {TRAIN_MODEL(model), TRAIN_JSON(json), OPT_END};
    char **operands;
    ds_err err = {0};
    int n, failed = 0;
    const int begun = ds_opt_begin(&ds_train_selftest, opts, argc, argv, &operands, &n);

    if (begun >= 0)
        return begun;
    if (!ds_selftest(model, say, &json, &failed, &err) && failed)
        ds_fail(&err, DS_FAIL, "%d of the promises do not hold here", failed);
    return ds_command_end(&ds_train_selftest, &err, json);
}
