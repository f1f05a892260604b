/* cmd_generate.c - dstrain generate: text that goes on from a prompt. The whole text is computed
 * again for every token: meant for a look at a model, not for serving one. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_train.h"
#include "sig.h"
#include "tok.h"

static int run(int argc, char **argv);

extern const ds_command ds_train_generate;
const ds_command ds_train_generate = {
    .prog = "dstrain",
    .name = "generate",
    .summary = "go on from a prompt",
    .operands = "PROMPT",
    .min_operands = 1,
    .max_operands = 1,
    .example = "dstrain generate --model base/ --adapter runs/1/step-000300 'The package'",
    .description = "Prints the prompt and what follows. Greedy, or sampled with --temperature; the "
                   "same seed gives the same text. Stops at the model's end "
                   "token, after --tokens, or at the end of its context. With --ids PROMPT is a "
                   "list of token ids and ids are printed.",
    .run = run,
};

typedef struct asked {
    const char *model, *adapter, *prompt, *logits;
    int64_t tokens, seed, threads;
    double temperature;
    bool ids, json;
} asked;

static int add_id(ds_buf *ids, int32_t id, ds_err *err)
{
    return ds_buf_put(ids, &id, sizeof id) ? ds_fail_nomem(err) : 0;
}

static int sink(void *ctx, const uint32_t *ids, size_t n, uint64_t consumed, ds_err *err)
{
    int rc = 0;

    (void)consumed;
    for (size_t i = 0; !rc && i < n; i++)
        rc = add_id(ctx, (int32_t)ids[i], err);
    return rc;
}

static int parse_ids(ds_buf *ids, const char *text, ds_err *err)
{
    int rc = 0;

    while (!rc && *text) {
        char *end;
        const long v = strtol(text, &end, 10);
        if (end == text || v < 0 || v > INT32_MAX)
            return ds_fail(err, DS_USAGE, "'%s' is no token id", text);
        rc = add_id(ids, (int32_t)v, err);
        text = end + strspn(end, " ,");
    }
    return rc;
}

/* The most likely id, or one drawn with softmax(logits / temperature) by word i of the seed's
 * stream. */
static int32_t choose(const float *z, int32_t vocab, double temperature, uint64_t seed, uint64_t i)
{
    int32_t best = 0;
    double sum = 0;

    for (int32_t v = 1; v < vocab; v++)
        best = z[v] > z[best] ? v : best;
    if (temperature <= 0)
        return best;
    for (int32_t v = 0; v < vocab; v++)
        sum += exp(((double)z[v] - (double)z[best]) / temperature);
    double at = (double)ds_philox(seed, UINT64_C(0x67656e), i) / 4294967296.0 * sum;
    for (int32_t v = 0; v < vocab; v++) {
        at -= exp(((double)z[v] - (double)z[best]) / temperature);
        if (at < 0)
            return v;
    }
    return best;
}

/* Logits of the last `count` positions of the text. */
static int text_logits(ds_net *net, const ds_buf *text, int32_t count, float *logits, ds_err *err)
{
    const ds_modelconf *c = ds_net_conf(net);
    const ds_param *prompt = ds_params_find(ds_net_params(net), "prompt_embeddings");
    const int32_t lead = prompt ? (int32_t)prompt->rows : 0, n = (int32_t)(text->len / 4) + lead;
    int32_t *v = calloc((size_t)n * 3 + (size_t)count, sizeof *v), *which = v + (size_t)n * 3;
    float *w = calloc((size_t)n, sizeof *w);
    const int32_t cu[2] = {0, n};
    int rc = v && w ? 0 : ds_fail_nomem(err);

    if (!rc) {
        for (int32_t j = 0; j < n; j++) {
            v[j] = j < lead ? c->vocab + j : 0;
            v[n + j] = j;
        }
        memcpy(v + lead, text->data, text->len);
        for (int32_t j = 0; j < count; j++)
            which[j] = n - count + j;
        const ds_netbatch b = {.t = n,
                               .ids = v,
                               .pos = v + n,
                               .target = v + 2 * (size_t)n,
                               .weight = w,
                               .seqs = {cu, 1}};
        rc = ds_net_logits(net, &b, which, count, logits, err);
    }
    free(v);
    free(w);
    return rc;
}

static int next_id(ds_net *net, const ds_buf *text, const asked *a, uint64_t i, float *logits,
                   int32_t *out, ds_err *err)
{
    const int rc = text_logits(net, text, 1, logits, err);

    if (!rc)
        *out = choose(logits, ds_net_conf(net)->vocab, a->temperature, (uint64_t)a->seed, i);
    return rc;
}

/* Every position of the prompt, for comparison with another implementation. */
static int write_logits(ds_net *net, const ds_buf *ids, const char *path, ds_err *err)
{
    const size_t n = ids->len / 4, bytes = n * (size_t)ds_net_conf(net)->vocab * sizeof(float);
    float *logits = malloc(bytes);
    int rc = logits ? 0 : ds_fail_nomem(err);

    rc = rc ? rc : text_logits(net, ids, (int32_t)n, logits, err);
    rc = rc ? rc : ds_atomic_write(path, 0644, logits, bytes, err);
    free(logits);
    return rc;
}

static int print_text(const asked *a, const ds_tok *tok, const ds_buf *ids, ds_err *err)
{
    const int32_t *v = (const int32_t *)(const void *)ids->data;
    ds_buf text = {0};
    int rc = 0;

    for (size_t i = 0; a->ids && i < ids->len / 4; i++)
        printf(i ? " %d" : "%d", (int)v[i]);
    if (!a->ids)
        rc = ds_tok_decode(tok, (const uint32_t *)(const void *)ids->data, ids->len / 4,
                           DS_TOK_SKIP_SPECIAL | DS_TOK_LOSSY, &text, err);
    if (!rc && text.len)
        fwrite(text.data, 1, text.len, stdout);
    if (!rc)
        putchar('\n');
    ds_buf_fini(&text);
    return rc;
}

/* Positions left for more. */
static int64_t room(ds_net *net, const ds_buf *ids)
{
    const ds_param *prompt = ds_params_find(ds_net_params(net), "prompt_embeddings");

    return ds_net_conf(net)->max_pos - (int64_t)(ids->len / 4) - (prompt ? prompt->rows : 0);
}

static int generate(const asked *a, ds_err *err)
{
    char path[4096];
    ds_kernels *k = NULL;
    ds_net *net = NULL;
    ds_tok *tok = NULL;
    ds_tok_state *st = NULL;
    ds_buf ids = {0};
    float *logits = NULL;
    int rc = train_open_model(&k, &net, a->model, a->adapter, DS_KF32, 0, (int)a->threads, err);

    if (!rc && a->ids)
        rc = parse_ids(&ids, a->prompt, err);
    if (!rc && !a->ids) {
        if (snprintf(path, sizeof path, "%s/tokenizer.json", a->model) >= (int)sizeof path)
            rc = ds_fail(err, DS_FAIL, "%s: path too long", a->model);
        rc = rc ? rc : ds_tok_load(&tok, path, err);
        rc = rc ? rc : ds_tok_state_new(&st, tok, err);
        rc = rc ? rc : ds_tok_encode_to(tok, st, a->prompt, strlen(a->prompt), 0, sink, &ids, err);
    }
    if (!rc && !ids.len)
        rc = ds_fail(err, DS_USAGE, "an empty prompt");
    if (!rc && !(logits = malloc((size_t)ds_net_conf(net)->vocab * sizeof *logits)))
        rc = ds_fail_nomem(err);
    if (!rc && room(net, &ids) < 0)
        rc = ds_fail(err, DS_USAGE, "a prompt of %zu tokens: the model has room for %d",
                     ids.len / 4, (int)ds_net_conf(net)->max_pos);
    if (!rc && a->logits)
        rc = write_logits(net, &ids, a->logits, err);
    for (int64_t i = 0; !rc && i < a->tokens && room(net, &ids) > 0; i++) {
        int32_t id = 0;
        rc = next_id(net, &ids, a, (uint64_t)i, logits, &id, err);
        rc = rc ? rc : ds_check_interrupt(err);
        if (rc || id == ds_net_conf(net)->eos)
            break;
        rc = add_id(&ids, id, err);
    }
    rc = rc ? rc : print_text(a, tok, &ids, err);
    ds_buf_fini(&ids);
    free(logits);
    ds_tok_state_free(st);
    ds_tok_free(tok);
    ds_net_free(net);
    if (k)
        k->close(k);
    return rc;
}

static int run(int argc, char **argv)
{
    asked a = {.tokens = 64, .seed = 1};
    const ds_opt opts[] = {
        {.name = "model",
         .type = DS_OPT_STR,
         .var = &a.model,
         .arg = "DIR",
         .help = "Hugging Face folder"},
        {.name = "adapter",
         .type = DS_OPT_STR,
         .var = &a.adapter,
         .arg = "DIR",
         .help = "checkpoint or PEFT adapter on top of it"},
        {.letter = 'n',
         .name = "tokens",
         .type = DS_OPT_INT,
         .var = &a.tokens,
         .arg = "N",
         .min = 0,
         .max = 1 << 20,
         .help = "at most so many; default 64"},
        {.name = "temperature",
         .type = DS_OPT_REAL,
         .var = &a.temperature,
         .arg = "X",
         .help = "sample; default 0: the most likely"},
        {.name = "seed",
         .type = DS_OPT_INT,
         .var = &a.seed,
         .arg = "N",
         .help = "of the sampling; default 1"},
        {.name = "ids", .type = DS_OPT_FLAG, .var = &a.ids, .help = "token ids instead of text"},
        {.name = "logits",
         .type = DS_OPT_STR,
         .var = &a.logits,
         .arg = "FILE",
         .help = "write the prompt's logits, f32, a row of the vocabulary for each token"},
        TRAIN_THREADS(a.threads),
        TRAIN_END};
    char **operands;
    ds_err err = {0};
    int n;
    const int begun = ds_opt_begin(&ds_train_generate, opts, argc, argv, &operands, &n);

    if (begun >= 0)
        return begun;
    ds_sig_setup();
    a.prompt = operands[0];
    if (!a.model)
        ds_fail(&err, DS_USAGE, "--model DIR is missing (dstrain generate -h)");
    else
        generate(&a, &err);
    return ds_command_end(&ds_train_generate, &err, false);
}
