/* cmd_generate.c - dstrain generate: text that goes on from a prompt, token by token; keys and
 * values of what is there already are kept. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chatprompt.h"
#include "clock.h"
#include "cmd_train.h"
#include "io.h"
#include "json.h"
#include "sampler.h"
#include "sig.h"

static int run(int argc, char **argv);

extern const ds_command ds_train_generate;
const ds_command ds_train_generate = {
    .prog = "dstrain",
    .name = "generate",
    .summary = "go on from a prompt",
    .operands = "PROMPT|-",
    .min_operands = 1,
    .max_operands = 1,
    .example = "dstrain generate --model base/ --adapter runs/1/step-000300 'The package'",
    .description =
        "Prints the prompt and its continuation as it is made. Each token is the likeliest "
        "one, or with --temperature is sampled from the --top-k likeliest tokens and those "
        "that make up --top-p of the probability; the same seed gives the same text, on any "
        "machine. Stops at an end token of config.json, after --max-new-tokens, or at the end "
        "of its context. PROMPT '-': every line of standard input is a prompt of its own. With "
        "--ids a prompt is a list of token ids and ids are printed.\n\n"
        "With --chat a prompt is what a user says, or with --messages a conversation in JSON, "
        "a list of {role, content}. It is written by the chat template of the model's "
        "tokenizer_config.json, as dsprep tokenize --chat writes what such a model is trained "
        "on, up to where the answer begins; the answer is printed. It ends at the end token of "
        "tokenizer_config.json, too. What looks like a special token in a prompt is text "
        "then.\n\n"
        "Keys and values of earlier tokens are kept (--no-cache computes the whole text again "
        "for every token, to the same bits).",
    .run = run,
};

typedef struct asked {
    train_use use;
    const char *prompt, *logits, *chat, *template;
    int64_t tokens, seed, top_k;
    double temperature, top_p;
    bool ids, json, quiet, no_cache, messages;
} asked;

static bool is_chat(const asked *a)
{
    return a->chat || a->template;
}

/* What one text needs. */
typedef struct writer {
    const asked *a;
    ds_net *net;
    ds_tok *tok;
    ds_tok_state *state;
    ds_chatprompt *chat; /* NULL: prompts are texts, or ids */
    ds_kvcache *cache;
    float *logits;
    ds_sampler *sampler;
    ds_buf ids, text;
    size_t from;      /* bytes of the text, or ids, that are not to be seen */
    size_t shown;     /* and those that are out */
    int64_t old, new; /* tokens of all prompts, and after them */
    double seconds;
} writer;

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

static int parse_chat(writer *w, const char *text, size_t len, ds_err *err)
{
    ds_ids ids = {0};
    int rc = ds_chatprompt_encode(w->chat, w->state, text, len, w->a->messages, &ids, err);

    rc = rc ? rc : sink(&w->ids, ids.v, ids.n, 0, err);
    ds_ids_fini(&ids);
    return rc;
}

/* ---- the next token ---- */

/* Virtual tokens that stand before a text. */
static int32_t lead_of(ds_net *net)
{
    const ds_param *prompt = ds_params_find(ds_net_params(net), "prompt_embeddings");

    return prompt ? (int32_t)prompt->rows : 0;
}

/* Logits of the last `count` positions of the text. */
static int text_logits(ds_net *net, const ds_buf *text, int32_t count, float *logits, ds_err *err)
{
    const int32_t lead = lead_of(net), n = (int32_t)(text->len / 4) + lead;
    int32_t *v = calloc((size_t)n * 3 + (size_t)count, sizeof *v), *which = v + (size_t)n * 3;
    float *w = calloc((size_t)n, sizeof *w);
    const int32_t cu[2] = {0, n};
    int rc = v && w ? 0 : ds_fail_nomem(err);

    if (!rc) {
        for (int32_t j = 0; j < n; j++) {
            v[j] = j < lead ? ds_net_conf(net)->vocab + j : 0;
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

/* Feeds what the cache has not seen of virtual tokens and text; logits of the last. */
static int advance(writer *w, ds_err *err)
{
    const int32_t lead = lead_of(w->net), vocab = ds_net_conf(w->net)->vocab;
    const int64_t all = lead + (int64_t)(w->ids.len / 4), seen = ds_kvcache_len(w->cache);
    const int32_t *text = (const int32_t *)(const void *)w->ids.data;
    int32_t *v;
    int rc;

    if (w->a->no_cache)
        return text_logits(w->net, &w->ids, 1, w->logits, err);
    v = malloc((size_t)(all - seen) * sizeof *v);
    if (!v)
        return ds_fail_nomem(err);
    for (int64_t i = seen; i < all; i++)
        v[i - seen] = i < lead ? vocab + (int32_t)i : text[i - lead];
    rc = ds_net_next(w->net, w->cache, v, all - seen, w->logits, err);
    free(v);
    return rc;
}

/* ---- what is shown ---- */

/* Text that may yet change is kept back: a character that is not whole shows as U+FFFD at the end.
 */
static size_t settled(const ds_buf *text, bool last)
{
    size_t n = text->len;

    while (!last && n >= 3 && !memcmp(text->data + n - 3, "\xef\xbf\xbd", 3))
        n -= 3;
    return n;
}

/* All ids as text. */
static int to_text(writer *w, ds_err *err)
{
    w->text.len = 0;
    return ds_tok_decode(w->tok, (const uint32_t *)(const void *)w->ids.data, w->ids.len / 4,
                         DS_TOK_SKIP_SPECIAL | DS_TOK_LOSSY, &w->text, err);
}

static int show(writer *w, bool last, ds_err *err)
{
    const int32_t *v = (const int32_t *)(const void *)w->ids.data;
    const size_t n = w->ids.len / 4;
    int rc = 0;

    if (w->a->ids && !w->a->json) {
        for (; w->shown < n; w->shown++)
            printf(w->shown ? " %d" : "%d", (int)v[w->shown]);
    } else if (!w->a->ids && (!w->a->json || last)) {
        rc = to_text(w, err);
        const size_t whole = rc || w->a->json ? 0 : settled(&w->text, last);
        if (whole > w->shown) {
            fwrite(w->text.data + w->shown, 1, whole - w->shown, stdout);
            w->shown = whole;
        }
    }
    fflush(stdout);
    return rc;
}

static int show_json(const writer *w, size_t old, bool ended, ds_err *err)
{
    const int32_t *v = (const int32_t *)(const void *)w->ids.data;
    json_t *o = json_object(), *ids = json_array();
    ds_buf out = {0};
    int rc;

    for (size_t i = 0; i < w->ids.len / 4; i++)
        json_array_append_new(ids, json_integer(v[i]));
    json_object_set_new(o, "type", json_string("text"));
    if (!w->a->ids)
        json_object_set_new(o, "text",
                            json_stringn(w->text.data ? (const char *)w->text.data + w->from : "",
                                         w->text.len - w->from));
    json_object_set_new(o, "ids", ids);
    json_object_set_new(o, "prompt_tokens", json_integer((json_int_t)old));
    json_object_set_new(o, "new_tokens", json_integer((json_int_t)(w->ids.len / 4 - old)));
    json_object_set_new(o, "ended", json_boolean(ended));
    rc = ds_json_dump(&out, o, err);
    if (!rc)
        fwrite(out.data, 1, out.len, stdout);
    json_decref(o);
    ds_buf_fini(&out);
    return rc;
}

/* ---- a text ---- */

/* Before any of it is shown. */
static int check_ids(const writer *w, ds_err *err)
{
    const int32_t *v = (const int32_t *)(const void *)w->ids.data,
                  vocab = ds_net_conf(w->net)->vocab;

    for (size_t i = 0; i < w->ids.len / 4; i++)
        if (v[i] >= vocab)
            return ds_fail(err, DS_USAGE, "a prompt with token %d: the model's vocabulary has %d",
                           (int)v[i], (int)vocab);
    return 0;
}

static int read_prompt(writer *w, const char *prompt, size_t len, ds_err *err)
{
    const int64_t most = ds_net_conf(w->net)->max_pos - lead_of(w->net);
    int rc;

    w->ids.len = w->text.len = w->shown = w->from = 0;
    if (w->a->ids)
        rc = parse_ids(&w->ids, prompt, err);
    else if (w->chat)
        rc = parse_chat(w, prompt, len, err);
    else
        rc = ds_tok_encode_to(w->tok, w->state, prompt, len, 0, sink, &w->ids, err);
    if (!rc && !w->ids.len)
        rc = ds_fail(err, DS_USAGE, "an empty prompt");
    if (!rc && (int64_t)(w->ids.len / 4) > most)
        rc = ds_fail(err, DS_USAGE, "a prompt of %zu tokens: the model has room for %lld",
                     w->ids.len / 4, (long long)most);
    rc = rc ? rc : check_ids(w, err);
    if (!rc && w->chat) {
        rc = to_text(w, err);
        w->shown = w->from = w->text.len;
    }
    return rc;
}

/* Is it the last of its text? */
static bool ends(const writer *w, int32_t id)
{
    return ds_modelconf_ends(ds_net_conf(w->net), id) ||
           (w->chat && (uint32_t)id == ds_chatprompt_end(w->chat));
}

static int go_on(writer *w, const char *prompt, size_t len, ds_err *err)
{
    const int64_t most = ds_net_conf(w->net)->max_pos - lead_of(w->net);
    bool ended = false;
    int rc = read_prompt(w, prompt, len, err);
    const size_t old = w->ids.len / 4;
    const double start = ds_seconds();

    ds_kvcache_clear(w->cache);
    if (!rc && w->a->logits)
        rc = write_logits(w->net, &w->ids, w->a->logits, err);
    rc = rc ? rc : show(w, false, err);
    for (int64_t i = 0; !rc && i < w->a->tokens && (int64_t)(w->ids.len / 4) < most; i++) {
        rc = advance(w, err);
        rc = rc ? rc : ds_check_interrupt(err);
        if (rc)
            break;
        const int32_t id = ds_sampler_next(w->sampler, w->logits, (uint64_t)i);
        if ((ended = ends(w, id)))
            break;
        rc = add_id(&w->ids, id, err);
        rc = rc ? rc : show(w, false, err);
    }
    w->old += (int64_t)old;
    w->new += (int64_t)(w->ids.len / 4 - old);
    w->seconds += ds_seconds() - start;
    rc = rc ? rc : show(w, true, err);
    if (!rc && w->a->json)
        rc = show_json(w, old, ended, err);
    if (!rc)
        putchar('\n');
    return rc;
}

static int go_on_lines(writer *w, ds_err *err)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    int rc = 0;

    while (!rc && (n = getline(&line, &cap, stdin)) >= 0) {
        if (n > 0 && line[n - 1] == '\n')
            line[--n] = '\0';
        rc = go_on(w, line, (size_t)n, err);
    }
    if (!rc && ferror(stdin))
        rc = ds_fail(err, DS_IO, "standard input: cannot read it");
    free(line);
    return rc;
}

static int open_writer(writer *w, ds_err *err)
{
    const asked *a = w->a;
    const int32_t vocab = ds_net_conf(w->net)->vocab;
    const ds_sampler_conf c = {a->temperature, a->top_k, a->top_p, (uint64_t)a->seed};
    char path[DS_PATH];

    w->logits = malloc((size_t)vocab * sizeof *w->logits);
    if (!w->logits)
        return ds_fail_nomem(err);
    int rc = ds_sampler_new(&w->sampler, &c, vocab, err);
    rc = rc ? rc : ds_kvcache_new(&w->cache, w->net, ds_net_conf(w->net)->max_pos, err);
    if (!rc && !a->ids) {
        rc = ds_path_join(path, a->use.model, "tokenizer.json", err);
        rc = rc ? rc : ds_tok_load(&w->tok, path, err);
        rc = rc ? rc : ds_tok_state_new(&w->state, w->tok, err);
        if (!rc && is_chat(a))
            rc = ds_chatprompt_new(&w->chat, w->tok, path, a->chat ? a->chat : "any", a->template,
                                   err);
    }
    return rc;
}

static int generate(const asked *a, ds_err *err)
{
    ds_kernels *k = NULL;
    writer w = {.a = a};
    int rc = train_open_model(&k, &w.net, &a->use, 0, err);

    rc = rc ? rc : open_writer(&w, err);
    if (!rc)
        rc = strcmp(a->prompt, "-") ? go_on(&w, a->prompt, strlen(a->prompt), err)
                                    : go_on_lines(&w, err);
    fflush(stdout);
    if (!rc && !a->quiet && w.new > 0)
        fprintf(stderr, "dstrain generate: %lld tokens after %lld in %.2f s: %.1f tokens/s\n",
                (long long)w.new, (long long)w.old, w.seconds, (double)w.new / w.seconds);
    ds_buf_fini(&w.ids);
    ds_buf_fini(&w.text);
    free(w.logits);
    ds_sampler_free(w.sampler);
    ds_kvcache_free(w.cache);
    ds_chatprompt_free(w.chat);
    ds_tok_state_free(w.state);
    ds_tok_free(w.tok);
    ds_net_free(w.net);
    if (k)
        k->close(k);
    return rc;
}

static asked o = {.tokens = 64, .seed = 1, .top_p = 1};

static const ds_opt OPTIONS[] = {
    TRAIN_MODEL(o.use.model),
    TRAIN_ADAPTER(o.use.adapter),
    OPT_INT('n', "max-new-tokens", o.tokens, "N", 0, 1 << 20, "at most so many; default 64"),
    OPT_REAL(0, "temperature", o.temperature, "X", "sample; default 0: the likeliest"),
    OPT_INT(0, "top-k", o.top_k, "N", 0, INT32_MAX, "sample among the N likeliest; default 0: all"),
    OPT_REAL(0, "top-p", o.top_p, "X",
             "sample among the likeliest that make up X of the probability; default 1"),
    OPT_INT(0, "seed", o.seed, "N", 0, 0, "of the sampling; default 1"),
    OPT_STR(0, "chat", o.chat, "NAME",
            "prompts are what a user says: by the model's chat template: auto, any, or the name of "
            "the one it is to be"),
    OPT_STR(0, "chat-template", o.template, "FILE", "the same by the template in this file"),
    OPT_FLAG(0, "messages", o.messages, "with --chat: prompts are conversations in JSON"),
    OPT_FLAG(0, "ids", o.ids, "token ids instead of text"),
    OPT_STR(0, "logits", o.logits, "FILE",
            "write the prompt's logits, f32, a row of the vocabulary for each token"),
    OPT_FLAG(0, "no-cache", o.no_cache, "compute the whole text again for every token"),
    TRAIN_DTYPE(o.use.format),
    TRAIN_DEVICE(o.use.device),
    TRAIN_THREADS(o.use.threads),
    TRAIN_JSON(o.json),
    TRAIN_QUIET(o.quiet),
    OPT_END};

static int run(int argc, char **argv)
{
    char **operands;
    ds_err err = {0};
    int n;
    const int begun = ds_opt_begin(&ds_train_generate, OPTIONS, argc, argv, &operands, &n);

    if (begun >= 0)
        return begun;
    ds_sig_setup();
    o.prompt = operands[0];
    if (!o.use.model)
        ds_fail(&err, DS_USAGE, "--model DIR is missing (dstrain generate -h)");
    else if (!(o.temperature >= 0 && o.top_p > 0 && o.top_p <= 1))
        ds_fail(&err, DS_USAGE, "--temperature %g, --top-p %g: at least 0; more than 0, at most 1",
                o.temperature, o.top_p);
    else if (o.temperature == 0 && (o.top_k || o.top_p < 1))
        ds_fail(
            &err, DS_USAGE,
            "--top-k and --top-p are for sampling (--temperature): the likeliest token is among "
            "all");
    else if (is_chat(&o) ? o.ids : o.messages)
        ds_fail(&err, DS_USAGE,
                is_chat(&o) ? "--chat and --ids: a prompt is one or the other"
                            : "--messages goes with --chat");
    else
        generate(&o, &err);
    return ds_command_end(&ds_train_generate, &err, o.json);
}
