/* cmd_eval.c - dstrain eval: loss and perplexity of a model on datasets. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "cmd_train.h"
#include "evaluate.h"
#include "json.h"
#include "memlimit.h"
#include "sig.h"
#include "try.h"

#define TOGETHER 2048 /* tokens */

static int run(int argc, char **argv);

extern const ds_command ds_train_eval;
const ds_command ds_train_eval = {
    .prog = "dstrain",
    .name = "eval",
    .summary = "loss and perplexity on datasets",
    .operands = "",
    .max_operands = 0,
    .example = "dstrain eval --model base/ --adapter runs/1/step-000300 --data docs-test",
    .description = "Every record is evaluated by itself, in the order of the dataset, cut into "
                   "stretches of --seq-len tokens; the first token of a stretch is not "
                   "predicted. Of pairs of answers (--preference) the loss is that of "
                   "dstrain finetune --preference, and the accuracy the share of the pairs of "
                   "which the chosen answer gained more by the training than the other, or, of "
                   "simpo and orpo, is the likelier one by the mean of its tokens. With "
                   "several datasets there is a line for each, and a last one "
                   "over all their tokens.",
    .run = run,
};

typedef struct asked {
    train_use use;
    ds_opt_list data;
    const char *store, *column, *mask, *before;
    int64_t seq_len, rows;
    train_pref said;
    int graphs;
    bool json;
    ds_pref_conf pref;
} asked;

/* All are there and of the model's tokenizer, before anything is computed. */
static int open_data(ds_dataset **d, const asked *a, ds_err *err)
{
    char tokenizer[DS_DIGEST_TEXT];

    TRY(ds_tokenizer_digest(tokenizer, a->use.model, err));
    for (size_t i = 0; i < a->data.n; i++) {
        TRY(ds_dataset_open(&d[i], a->data.v[i], a->store, a->column, a->mask, err));
        TRY(ds_dataset_tokenizer(d[i], tokenizer, err));
        TRY(ds_dataset_want_pairs(d[i], a->pref.kind, err));
    }
    return 0;
}

/* Of tokens, or of pairs. */
static int put_result(ds_buf *b, const asked *a, const ds_eval_result *r, double time)
{
    const double peak = (double)ds_memory_peak(), rate = (double)r->targets / time;
    const bool pairs = a->pref.kind;
    char words[TRAIN_WORDS];

    if (a->json)
        return ds_buf_printf(b, ",\"loss\":%.9g", ds_eval_loss(r)) ||
               train_put_result(b, r, &a->pref) ||
               ds_buf_printf(b, ",\"seconds\":%.6f,\"peak_bytes\":%.0f}", time, peak);
    train_say_result(words, r, pairs);
    return ds_buf_printf(b, "%s  %" PRIu64 " %s, %.*f a second, %.0f MB at most", words, r->targets,
                         pairs ? "pairs" : "tokens", pairs ? 1 : 0, rate, peak / 1e6);
}

/* data: as the command line has it, which is told where there are several; NULL: all of them. */
static int say(const asked *a, const char *data, const ds_eval_result *r, double time, ds_err *err)
{
    const bool several = a->data.n > 1;
    ds_buf line = {0};
    int rc = 0;

    if (a->json && several && data)
        rc = ds_buf_puts(&line, ",\"data\":") || ds_json_text(&line, data);
    else if (!a->json && several)
        rc = ds_buf_printf(&line, "%s: ", data ? data : "all");
    rc = rc ? rc : put_result(&line, a, r, time);
    if (rc || !ds_buf_cstr(&line))
        rc = ds_fail_nomem(err);
    else
        printf("%s%s\n",
               !a->json ? ""
               : data   ? "{\"type\":\"eval\""
                        : "{\"type\":\"total\"",
               ds_buf_cstr(&line));
    ds_buf_fini(&line);
    return rc;
}

static int eval_all(const asked *a, ds_net *net, ds_dataset *const *d, ds_err *err)
{
    const int32_t most = ds_net_conf(net)->max_pos;
    const ds_eval_conf c = {.seq_len = (uint32_t)(a->seq_len < most ? a->seq_len : most),
                            .stretches = (uint64_t)a->rows,
                            .together = TOGETHER,
                            .preference = &a->pref};
    ds_eval_result all = {.sum = 0};
    double times = 0;

    for (size_t i = 0; i < a->data.n; i++) {
        const double start = ds_seconds();
        ds_eval_result r;
        TRY(ds_evaluate(&r, net, d[i], &c, err));
        if (!isfinite(ds_eval_loss(&r)))
            return ds_fail(err, DS_FAIL, "'%s': the loss is not a finite number", a->data.v[i]);
        const double time = ds_seconds() - start;
        TRY(say(a, a->data.v[i], &r, time, err));
        ds_eval_add(&all, &r);
        times += time;
    }
    return a->data.n > 1 ? say(a, NULL, &all, times, err) : 0;
}

static int eval(const asked *a, ds_err *err)
{
    ds_kernels *k = NULL;
    ds_net *net = NULL;
    ds_dataset **d = calloc(a->data.n, sizeof(ds_dataset *));
    int rc = d ? open_data(d, a, err) : ds_fail_nomem(err);

    train_use use = a->use;
    if (a->before)
        use.model = a->before;
    rc = rc ? rc : train_open_model(&k, &net, &use, (int32_t)a->seq_len, err);
    if (!rc && ds_pref_compares(&a->pref))
        rc = ds_net_keep_before(net, a->before, err);
    if (!rc && a->before)
        rc = ds_net_load(net, a->use.model, err);
    if (!rc) {
        k->eager = a->graphs;
        rc = eval_all(a, net, d, err);
    }
    ds_net_free(net);
    if (k)
        k->close(k);
    for (size_t i = 0; d && i < a->data.n; i++)
        ds_dataset_close(d[i]);
    free(d);
    return rc;
}

static int check_before(const asked *a, ds_err *err)
{
    const bool compares = ds_pref_compares(&a->pref);

    if (compares && !a->use.adapter == !a->before)
        return ds_fail(err, DS_USAGE,
                       "--preference compares a model with what it was: without its --adapter, or "
                       "--reference");
    return a->before && !compares ? ds_fail(err, DS_USAGE, "--reference is for --preference%s%s",
                                            a->pref.kind ? ", and there is none of " : "",
                                            a->pref.kind ? DS_PREF_NAMES[a->pref.kind] : "")
                                  : 0;
}

static int run(int argc, char **argv)
{
    asked a = {.column = "tokens", .seq_len = 512, .said = TRAIN_PREF_UNSAID};
    const ds_opt opts[] = {
        TRAIN_MODEL(a.use.model),
        TRAIN_ADAPTER(a.use.adapter),
        OPT_LIST(0, "data", a.data, TRAIN_DATA_ARG, "what to evaluate on; may be repeated"),
        TRAIN_COLUMN(a.column),
        TRAIN_MASK(a.mask),
        TRAIN_STORE(a.store),
        OPT_INT(0, "seq-len", a.seq_len, "N", 2, 1 << 20, "tokens of a stretch; default 512"),
        OPT_INT(0, "stretches", a.rows, "N", 0, INT64_MAX,
                "look at the first N of each only; default all"),
        TRAIN_PREFERENCES(a.said),
        OPT_STR(0, "reference", a.before, "DIR",
                "with --preference: folder of the model before; default --model without --adapter"),
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
    if (!a.use.model || !a.data.n)
        ds_fail(&err, DS_USAGE, "%s is missing (dstrain eval -h)",
                a.use.model ? "--data DATASET" : "--model DIR");
    else if (!train_preference(&a.pref, &a.said, &err) && !check_before(&a, &err))
        eval(&a, &err);
    ds_opt_list_fini(&a.data);
    return ds_command_end(&ds_train_eval, &err, a.json);
}
