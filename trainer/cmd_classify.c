/* cmd_classify.c - dstrain classify: a model as a classifier of texts, and how good it is. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "classify.h"
#include "clock.h"
#include "cmd_train.h"
#include "io.h"
#include "json.h"
#include "memlimit.h"
#include "scores.h"
#include "sig.h"
#include "textnoise.h"
#include "textset.h"

#define RESAMPLES 1000
#define LABELS 1000

static int run(int argc, char **argv);

extern const ds_command ds_train_classify;
const ds_command ds_train_classify = {
    .prog = "dstrain",
    .name = "classify",
    .summary = "accuracy of the likeliest label, and how it stands up to noise",
    .operands = "",
    .max_operands = 0,
    .example = "dstrain classify --model base/ --adapter runs/1/step-000300 --data reviews-test "
               "--labels good,bad --before ' It is '",
    .description =
        "Each record's text, followed by --before, a label and --after, is tokenized by the "
        "model's tokenizer; the answer is the label whose tokens have the highest summed "
        "log-likelihood. The right label is in the column --truth, or in a member of a JSON "
        "column, where dsprep text keeps the other members of JSON lines and tables.\n\n"
        "Prints accuracy with a bootstrap interval, macro-F1, mean one-vs-rest AUC, the "
        "confusion matrix, time and memory. With --noise the texts are asked about once more "
        "with that share of their letters mistyped, swapped, in the other case or replaced by "
        "letters of another script that look the same.",
    .run = run,
};

typedef struct asked {
    train_use use;
    const char *data, *store, *text, *truth, *before, *after, *labels;
    int64_t records, seed, noise_seed;
    double noise;
    bool json;
} asked;

typedef struct work {
    const asked *a;
    ds_classifier *by;
    char *names; /* a copy of a->labels, cut */
    const char **label;
    size_t k;
    uint64_t n, cut;
    ds_buf truth; /* int32_t of each record */
    ds_buf odds;  /* double[k] of each */
    ds_buf times; /* double, seconds */
    ds_buf right; /* int8_t: 1 right, 0 wrong */
    ds_buf drop;  /* int8_t: right without noise, less right with it */
    uint64_t *confusion, *noisy;
    double *ll, *p;
    ds_buf text;
} work;

typedef struct result {
    double accuracy, accuracy_ci[2], f1, auc, majority, p50, p95;
    double noisy, drop, drop_ci[2];
    long long peak;
} result;

/* ---- labels ---- */

static int split_labels(work *w, ds_err *err)
{
    char *at;

    w->names = strdup(w->a->labels);
    w->label = calloc(LABELS, sizeof *w->label);
    if (!w->names || !w->label)
        return ds_fail_nomem(err);
    at = w->names;
    while (at) {
        char *comma = strchr(at, ',');
        if (comma)
            *comma++ = 0;
        if (!*at)
            return ds_fail(err, DS_USAGE, "--labels '%s': an empty label", w->a->labels);
        for (size_t i = 0; i < w->k; i++)
            if (!strcmp(at, w->label[i]))
                return ds_fail(err, DS_USAGE, "--labels: '%s' twice", at);
        if (w->k == LABELS)
            return ds_fail(err, DS_USAGE, "--labels: more than %d", LABELS);
        w->label[w->k++] = at;
        at = comma;
    }
    w->confusion = calloc(w->k * w->k, sizeof *w->confusion);
    w->noisy = calloc(w->k * w->k, sizeof *w->noisy);
    w->ll = calloc(w->k, sizeof *w->ll);
    w->p = calloc(w->k, sizeof *w->p);
    return w->confusion && w->noisy && w->ll && w->p ? 0 : ds_fail_nomem(err);
}

/* Which of the labels a record's answer is. */
static int find_truth(const work *w, uint64_t record, const char *name, size_t len, size_t *truth,
                      ds_err *err)
{
    const unsigned long long r = record;

    if (!name)
        return ds_fail(err, DS_FAIL, "'%s': record %llu: no '%s'", w->a->data, r, w->a->truth);
    for (*truth = 0; *truth < w->k &&
                     (strlen(w->label[*truth]) != len || memcmp(name, w->label[*truth], len) != 0);)
        ++*truth;
    return *truth < w->k ? 0
                         : ds_fail(err, DS_FAIL, "'%s': record %llu: '%s' is none of the labels",
                                   w->a->data, r, name);
}

/* ---- records ---- */

/* One record more; text without noise. */
static int keep(work *w, size_t truth, size_t answer, double time, ds_err *err)
{
    const int32_t t = (int32_t)truth;
    const int8_t right = truth == answer;

    w->confusion[truth * w->k + answer]++;
    w->n++;
    return ds_buf_put(&w->truth, &t, sizeof t) || ds_buf_put(&w->odds, w->p, w->k * sizeof *w->p) ||
                   ds_buf_put(&w->times, &time, sizeof time) ||
                   ds_buf_put(&w->right, &right, sizeof right)
               ? ds_fail_nomem(err)
               : 0;
}

static int with_noise(work *w, uint64_t record, const void *text, size_t len, size_t truth,
                      size_t clean, ds_err *err)
{
    bool cut;
    int rc;

    ds_buf_reset(&w->text);
    rc = ds_textnoise(&w->text, text, len, w->a->noise, (uint64_t)w->a->noise_seed, record, err);
    rc = rc ? rc : ds_classify(w->by, w->text.data, w->text.len, w->ll, &cut, err);
    if (!rc) {
        const size_t answer = ds_label_odds(w->p, w->ll, w->k);
        const int8_t drop = (int8_t)((truth == clean) - (truth == answer));
        w->noisy[truth * w->k + answer]++;
        rc = ds_buf_put(&w->drop, &drop, sizeof drop) ? ds_fail_nomem(err) : 0;
    }
    return rc;
}

static int on_text(void *ctx, uint64_t record, const void *text, size_t len, const void *name,
                   size_t name_len, ds_err *err)
{
    work *w = ctx;
    size_t truth = 0, answer = 0;
    bool cut = false;
    double start;
    int rc;

    if (w->a->records && w->n >= (uint64_t)w->a->records)
        return 0;
    rc = find_truth(w, record, name, name_len, &truth, err);
    start = ds_seconds();
    rc = rc ? rc : ds_classify(w->by, text, len, w->ll, &cut, err);
    if (!rc) {
        answer = ds_label_odds(w->p, w->ll, w->k);
        w->cut += cut;
        rc = keep(w, truth, answer, ds_seconds() - start, err);
    }
    if (!rc && w->a->noise > 0)
        rc = with_noise(w, record, text, len, truth, answer, err);
    return rc ? rc : ds_check_interrupt(err);
}

/* ---- what came of it ---- */

static int summarize(work *w, result *r, ds_err *err)
{
    const size_t n = (size_t)w->n, k = w->k;
    const uint64_t seed = (uint64_t)w->a->seed;
    double *times = (double *)(void *)w->times.data;
    int rc = ds_macro_auc(&r->auc, (const double *)(const void *)w->odds.data,
                          (const int32_t *)(const void *)w->truth.data, n, k, err);

    r->accuracy = ds_accuracy(w->confusion, k);
    r->majority = ds_majority(w->confusion, k);
    r->f1 = ds_macro_f1(w->confusion, k);
    r->p50 = ds_quantile(times, n, 0.5);
    r->p95 = ds_quantile(times, n, 0.95);
    rc = rc ? rc
            : ds_bootstrap(r->accuracy_ci, (const int8_t *)w->right.data, n, RESAMPLES, seed, err);
    if (!rc && w->a->noise > 0) {
        r->noisy = ds_accuracy(w->noisy, k);
        r->drop = r->accuracy - r->noisy;
        rc = ds_bootstrap(r->drop_ci, (const int8_t *)w->drop.data, n, RESAMPLES, seed, err);
    }
    r->peak = ds_memory_peak();
    return rc;
}

static int put_confusion(ds_buf *b, const work *w)
{
    int bad = ds_buf_puts(b, "],\"confusion\":[");

    for (size_t t = 0; t < w->k; t++) {
        bad = bad || ds_buf_puts(b, t ? ",[" : "[");
        for (size_t a = 0; a < w->k; a++)
            bad = bad || ds_buf_printf(b, a ? ",%" PRIu64 : "%" PRIu64, w->confusion[t * w->k + a]);
        bad = bad || ds_buf_putc(b, ']');
    }
    return bad || ds_buf_putc(b, ']');
}

static int print_json(const work *w, const result *r, ds_err *err)
{
    ds_buf b = {0};
    int bad = ds_buf_printf(&b,
                            "{\"type\":\"classify\",\"records\":%" PRIu64 ",\"cut\":%" PRIu64
                            ",\"accuracy\":%.6f,\"accuracy_interval\":[%.6f,%.6f]"
                            ",\"majority\":%.6f,\"macro_f1\":%.6f,\"auc\":",
                            w->n, w->cut, r->accuracy, r->accuracy_ci[0], r->accuracy_ci[1],
                            r->majority, r->f1);

    bad = bad || (isnan(r->auc) ? ds_buf_puts(&b, "null") : ds_buf_printf(&b, "%.6f", r->auc));
    bad = bad || ds_buf_puts(&b, ",\"labels\":[");
    for (size_t i = 0; i < w->k; i++)
        bad =
            bad || (i && ds_buf_putc(&b, ',')) || ds_json_str(&b, w->label[i], strlen(w->label[i]));
    bad = bad || put_confusion(&b, w);
    bad = bad || ds_buf_printf(&b, ",\"seconds_p50\":%.6f,\"seconds_p95\":%.6f,\"peak_bytes\":%lld",
                               r->p50, r->p95, r->peak);
    if (w->a->noise > 0)
        bad = bad || ds_buf_printf(&b,
                                   ",\"noise\":%.6g,\"noisy_accuracy\":%.6f,\"drop\":%.6f"
                                   ",\"drop_interval\":[%.6f,%.6f]",
                                   w->a->noise, r->noisy, r->drop, r->drop_ci[0], r->drop_ci[1]);
    bad = bad || ds_buf_puts(&b, "}\n");
    if (!bad)
        fwrite(b.data, 1, b.len, stdout);
    ds_buf_fini(&b);
    return bad ? ds_fail_nomem(err) : 0;
}

/* Columns a screen wide: the first twelve letters of a label. */
static void print_confusion(const work *w)
{
    printf("\n%-16s", "truth \\ answer");
    for (size_t a = 0; a < w->k; a++)
        printf(" %12.12s", w->label[a]);
    putchar('\n');
    for (size_t t = 0; t < w->k; t++) {
        printf("%-16.16s", w->label[t]);
        for (size_t a = 0; a < w->k; a++)
            printf(" %12" PRIu64, w->confusion[t * w->k + a]);
        putchar('\n');
    }
}

static void print_table(const work *w, const result *r)
{
    printf("%-24s %" PRIu64 "\n", "records", w->n);
    if (w->cut)
        printf("%-24s %" PRIu64 "\n", "cut at their beginning", w->cut);
    printf("%-24s %.4f  (95 %% interval %.4f to %.4f)\n", "accuracy", r->accuracy,
           r->accuracy_ci[0], r->accuracy_ci[1]);
    printf("%-24s %.4f\n", "most frequent label", r->majority);
    printf("%-24s %.4f\n", "macro-F1", r->f1);
    if (!isnan(r->auc))
        printf("%-24s %.4f\n", "AUC, one against rest", r->auc);
    if (w->a->noise > 0) {
        printf("accuracy at noise %-6.4g %.4f\n", w->a->noise, r->noisy);
        printf("%-24s %.4f  (95 %% interval %.4f to %.4f)\n", "drop", r->drop, r->drop_ci[0],
               r->drop_ci[1]);
    }
    printf("%-24s p50 %.2f ms, p95 %.2f ms\n", "time of a record", r->p50 * 1e3, r->p95 * 1e3);
    printf("%-24s %.0f MB\n", "peak memory", (double)r->peak / 1e6);
    print_confusion(w);
}

static void work_fini(work *w)
{
    ds_classifier_free(w->by);
    ds_buf_fini(&w->truth);
    ds_buf_fini(&w->odds);
    ds_buf_fini(&w->times);
    ds_buf_fini(&w->right);
    ds_buf_fini(&w->drop);
    ds_buf_fini(&w->text);
    free(w->names);
    free(w->label);
    free(w->confusion);
    free(w->noisy);
    free(w->ll);
    free(w->p);
}

static int classify(const asked *a, ds_err *err)
{
    char path[DS_PATH];
    work w = {.a = a};
    result r = {0};
    ds_kernels *k = NULL;
    ds_net *net = NULL;
    ds_tok *tok = NULL;
    int rc = split_labels(&w, err);

    rc = rc ? rc : train_open_model(&k, &net, &a->use, 0, err);
    rc = rc ? rc : ds_path_join(path, a->use.model, "tokenizer.json", err);
    rc = rc ? rc : ds_tok_load(&tok, path, err);
    if (!rc) {
        const ds_classify_conf c = {.net = net,
                                    .tok = tok,
                                    .labels = w.label,
                                    .nlabels = w.k,
                                    .before = a->before,
                                    .after = a->after,
                                    .positions = ds_net_conf(net)->max_pos};
        rc = ds_classifier_new(&w.by, &c, err);
    }
    rc = rc ? rc : ds_texts_each(a->data, a->store, a->text, a->truth, on_text, &w, err);
    if (!rc && !w.n)
        rc = ds_fail(err, DS_FAIL, "'%s' has no record", a->data);
    rc = rc ? rc : summarize(&w, &r, err);
    if (!rc && a->json)
        rc = print_json(&w, &r, err);
    else if (!rc)
        print_table(&w, &r);
    work_fini(&w);
    ds_tok_free(tok);
    ds_net_free(net);
    if (k)
        k->close(k);
    return rc;
}

static int check(const asked *a, ds_err *err)
{
    const char *missing = !a->use.model ? "--model DIR"
                          : !a->data    ? "--data DATASET"
                          : !a->labels  ? "--labels A,B"
                                        : NULL;

    if (missing)
        return ds_fail(err, DS_USAGE, "%s is missing (dstrain classify -h)", missing);
    if (!(a->noise >= 0 && a->noise <= 1))
        return ds_fail(err, DS_USAGE, "--noise %g: from 0 to 1", a->noise);
    return 0;
}

static int run(int argc, char **argv)
{
    asked a = {.text = "text",
               .truth = "meta.label",
               .before = " ",
               .after = "",
               .seed = 1,
               .noise_seed = 1};
    const ds_opt opts[] = {
        TRAIN_MODEL(a.use.model),
        TRAIN_ADAPTER(a.use.adapter),
        OPT_STR(0, "data", a.data, TRAIN_DATA_ARG, "what to ask about"),
        TRAIN_STORE(a.store),
        OPT_STR(0, "labels", a.labels, "A,B,...", "the labels"),
        OPT_STR(0, "before", a.before, "TEXT", "between text and label; default one space"),
        OPT_STR(0, "after", a.after, "TEXT", "after the label; default nothing"),
        OPT_STR(0, "truth", a.truth, "COLUMN[.MEMBER]",
                "the label that is right: a column, or a member of a column of JSON; default "
                "meta.label"),
        OPT_STR(0, "text-column", a.text, "NAME", "column of texts; default text"),
        OPT_INT(0, "records", a.records, "N", 0, INT64_MAX,
                "look at the first N only; default all"),
        OPT_REAL(0, "noise", a.noise, "RATE",
                 "share of letters, 0 to 1, of a second pass with noise"),
        OPT_INT(0, "noise-seed", a.noise_seed, "N", 0, 0, "of the noise; default 1"),
        OPT_INT(0, "seed", a.seed, "N", 0, 0, "of the bootstrap; default 1"),
        TRAIN_DTYPE(a.use.format),
        TRAIN_DEVICE(a.use.device),
        TRAIN_THREADS(a.use.threads),
        TRAIN_JSON(a.json),
        OPT_END};
    char **operands;
    ds_err err = {0};
    int n;
    const int begun = ds_opt_begin(&ds_train_classify, opts, argc, argv, &operands, &n);

    if (begun >= 0)
        return begun;
    ds_sig_setup();
    if (!check(&a, &err))
        classify(&a, &err);
    return ds_command_end(&ds_train_classify, &err, a.json);
}
