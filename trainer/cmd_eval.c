/* cmd_eval.c - dstrain eval: loss and perplexity of a model on a dataset. */
#include <inttypes.h>
#include <stdio.h>

#include "clock.h"
#include "cmd_train.h"
#include "elementary.h"
#include "evaluate.h"
#include "memlimit.h"
#include "sig.h"

#define TOGETHER 2048 /* tokens */

static int run(int argc, char **argv);

extern const ds_command ds_train_eval;
const ds_command ds_train_eval = {
    .prog = "dstrain",
    .name = "eval",
    .summary = "loss and perplexity on a dataset",
    .operands = "",
    .max_operands = 0,
    .example = "dstrain eval --model base/ --adapter runs/1/step-000300 --data docs-test",
    .description = "Every record by itself, in the order of the dataset, cut into stretches of "
                   "--seq-len tokens; the first token of a stretch is not predicted.",
    .run = run,
};

typedef struct asked {
    train_use use;
    const char *data, *store, *column, *mask;
    int64_t seq_len, rows;
    int graphs;
    bool json;
} asked;

static int eval(const asked *a, ds_err *err)
{
    ds_kernels *k = NULL;
    ds_net *net = NULL;
    ds_dataset *d = NULL;
    ds_eval_result r = {0};
    char tokenizer[DS_DIGEST_TEXT];
    double start;
    int rc = ds_dataset_open(&d, a->data, a->store, a->column, a->mask, err);

    rc = rc ? rc : ds_tokenizer_digest(tokenizer, a->use.model, err);
    rc = rc ? rc : ds_dataset_tokenizer(d, tokenizer, err);
    rc = rc ? rc : train_open_model(&k, &net, &a->use, (int32_t)a->seq_len, err);
    start = ds_seconds();
    if (!rc) {
        const int32_t most = ds_net_conf(net)->max_pos;
        k->eager = a->graphs;
        const ds_eval_conf c = {.seq_len = (uint32_t)(a->seq_len < most ? a->seq_len : most),
                                .stretches = (uint64_t)a->rows,
                                .together = TOGETHER};
        rc = ds_evaluate(&r, net, d, &c, err);
    }
    if (!rc) {
        const double time = ds_seconds() - start;
        const long long peak = ds_memory_peak();

        if (a->json)
            printf("{\"type\":\"eval\",\"loss\":%.9g,\"perplexity\":%.9g,\"targets\":%" PRIu64
                   ",\"seconds\":%.6f,\"peak_bytes\":%lld}\n",
                   r.loss, ds_exp(r.loss), r.targets, time, peak);
        else
            printf("loss %.6f  perplexity %.4f  %" PRIu64
                   " tokens, %.0f a second, %.0f MB at most\n",
                   r.loss, ds_exp(r.loss), r.targets, (double)r.targets / time, (double)peak / 1e6);
    }
    ds_net_free(net);
    if (k)
        k->close(k);
    ds_dataset_close(d);
    return rc;
}

static int run(int argc, char **argv)
{
    asked a = {.column = "tokens", .seq_len = 512};
    const ds_opt opts[] = {
        TRAIN_MODEL(a.use.model),
        TRAIN_ADAPTER(a.use.adapter),
        OPT_STR(0, "data", a.data, TRAIN_DATA_ARG, "what to evaluate on"),
        TRAIN_COLUMN(a.column),
        TRAIN_MASK(a.mask),
        TRAIN_STORE(a.store),
        OPT_INT(0, "seq-len", a.seq_len, "N", 2, 1 << 20, "tokens of a stretch; default 512"),
        OPT_INT(0, "stretches", a.rows, "N", 0, INT64_MAX, "look at the first N only; default all"),
        TRAIN_DTYPE(a.use.format),
        TRAIN_DEVICE(a.use.device),
        TRAIN_GRAPHS(a.graphs),
        TRAIN_THREADS(a.use.threads),
        TRAIN_JSON(a.json),
        OPT_END};
    char **operands;
    ds_err err = {0};
    int n;
    const int begun = ds_opt_begin(&ds_train_eval, opts, argc, argv, &operands, &n);

    if (begun >= 0)
        return begun;
    ds_sig_setup();
    if (!a.use.model || !a.data)
        ds_fail(&err, DS_USAGE, "%s is missing (dstrain eval -h)",
                a.use.model ? "--data DATASET" : "--model DIR");
    else
        eval(&a, &err);
    return ds_command_end(&ds_train_eval, &err, a.json);
}
