/* cmd_tokenize.c - dsprep tokenize: adds the tokens of a text column to a stream, and changes
 * nothing else in it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blockpipe.h"
#include "cmd_transform.h"
#include "dsr_prov.h"
#include "options.h"
#include "sig.h"
#include "stageout.h"
#include "term.h"
#include "tok_config.h"
#include "tokencol.h"
#include "plural.h"

#define SHOWN 20 /* skipped records that are told of */

static int run(int argc, char **argv);

extern const ds_command ds_cmd_tokenize;
const ds_command ds_cmd_tokenize = {
    .prog = "dsprep",
    .name = "tokenize",
    .summary = "add columns of tokens to a stream",
    .operands = "[FILE]",
    .min_operands = 0,
    .max_operands = 1,
    .example =
        "dsprep text corpus/ | dsprep tokenize -t tokenizer.json | dsver commit -m corpus corpus\n"
        "dsprep text --field answer qa.jsonl | dsprep tokenize -t tok.json --prompt meta.question "
        "--response text | dsprep show -t tok.json\n"
        "dsprep text --field messages --json-text chats.jsonl | dsprep tokenize -t tok.json --chat "
        "auto -o chats.dsr\n"
        "dsprep import pairs.jsonl | dsprep tokenize -t tok.json --chat auto --prompt prompt "
        "--chosen chosen --rejected rejected -o pairs.dsr",
    .description =
        "Reads a DSR stream from FILE or standard input and writes it with more columns: the "
        "ids that the tokenizer gives for a text. All other columns, blocks, origins and "
        "sources pass through unchanged, so that a store that holds the text already stores "
        "the new columns only. Ids are 16 bits wide when every id of the tokenizer fits, 32 "
        "otherwise. Output is the same for any number of threads.\n\n"
        "Plain text (--column): as is the tokenizer's own default, its added tokens are "
        "recognised in the text and its post-processor's tokens (BOS, EOS) are put around it. "
        "--no-special leaves the latter out; --no-added takes the spelling of an added token "
        "in the text as plain text, which is what text written by strangers needs.\n\n"
        "A prompt and its answer (--prompt, --response): columns of text, or members of a "
        "column of JSON, named COLUMN.MEMBER. Both are encoded one by one, --separator goes "
        "with the prompt, and the token that ends a text follows the answer (--eos). Two "
        "columns more say, token by token as runs, what is to be learned (loss: 1 for the "
        "answer and its end) and whose words they are (roles: 0 none, 1 system, 2 user, 3 "
        "assistant, 4 tool). What looks like an added token in a prompt or an answer stays "
        "text unless --allow-special is given; in --separator it counts.\n\n"
        "Pairs (--chosen, --rejected): two answers to a --prompt, for dstrain finetune "
        "--preference. Without --prompt it is what both begin with. With --chat they are messages, "
        "lists of them or texts; else texts, encoded like a prompt and its answer. The new column "
        "holds the prompt with the chosen answer and behind it the prompt with the rejected one; a "
        "fourth column, sides, has 0 for the tokens of the one and 1 for those of the other, and "
        "--max-tokens is of each: --truncate left cuts the prompt of both. A pair without a side, "
        "with a side of nothing to learn, or with two that are the same, cannot be used.\n\n"
        "Conversations (--chat): lists of messages {role, content}, or ShareGPT's {from, "
        "value}, in a column of JSON or of text (--messages). They are written by the chat "
        "template of the tokenizer_config.json beside the tokenizer, which --chat auto wants "
        "to be one that is known, --chat any runs whatever it is and --chat NAME wants to be "
        "that one; --chat-template FILE takes its place. What is learned is what the assistant "
        "wrote, with the token that ends its turn (--train-on). Content cannot spell added "
        "tokens unless --allow-special is given; an assistant's may spell those that are not "
        "special, such as <think>. docs/chat-templates.md has the details.\n\n"
        "Existing ids (--ids): a dataset that was tokenized elsewhere has them in a column of "
        "lists, tokens or JSON, such as transformers' input_ids. They must be those of this "
        "tokenizer. --labels is the list beside them with -100 where nothing is learned: it "
        "becomes loss. Where --attention-mask is 0 a token is left out.\n\n"
        "With --max-tokens, --truncate says what becomes of longer records: error; left or "
        "right: that end of the text is cut off; drop: the record stays, without tokens "
        "(null). What was cut or dropped is counted at the end.",
    .run = run,
};

typedef struct tok_ctx {
    ds_tokenplan plan;
    ds_tok_shelf shelf;
    ds_stageout out;
    ds_chunk *chunks; /* of the block being written */
    uint64_t records;
    ds_tokencounts counts;
    ds_instream *in;
    ds_chat *chat;
    ds_progress progress;
} tok_ctx;

static int tok_work(void *ctx, void *state, const ds_block *b, ds_err *err)
{
    const tok_ctx *c = ctx;
    return ds_tokencol_block(state, &c->plan, b, err);
}

static void add_counts(ds_tokencounts *to, const ds_tokencounts *n)
{
    to->tokens += n->tokens;
    to->targets += n->targets;
    to->bytes += n->bytes;
    to->truncated += n->truncated;
    to->dropped += n->dropped;
    to->idle += n->idle;
    to->skipped += n->skipped;
    to->shortened += n->shortened;
}

static int tok_done(void *ctx, void *state, const ds_block *b, ds_err *err)
{
    tok_ctx *c = ctx;
    const ds_tokencol *t = state;
    size_t columns = b->nchunks - 1, more = c->plan.ncols;
    memcpy(c->chunks, b->chunks, columns * sizeof *c->chunks);
    memcpy(c->chunks + columns, t->chunk, more * sizeof *c->chunks);
    if (t->skipped.code && c->counts.skipped < SHOWN)
        ds_warn("%s: block at byte %llu: %s", b->path, (unsigned long long)b->offset,
                t->skipped.msg);
    c->records += b->rows;
    add_counts(&c->counts, &t->counts);
    ds_progress_at(&c->progress, ds_instream_pos(c->in));
    return ds_writer_block(c->out.writer, b->rows, c->chunks, &b->chunks[columns], err);
}

static int tok_source(void *ctx, const ds_source *s, ds_err *err)
{
    tok_ctx *c = ctx;
    return ds_writer_source(c->out.writer, s, err);
}

static int tok_end(void *ctx, ds_instream *in, ds_err *err)
{
    tok_ctx *c = ctx;
    return ds_stageout_end(&c->out, ds_reader_counts(ds_instream_reader(in)), err);
}

static void tok_fini(void *state)
{
    ds_tokencol_fini(state);
}

static const ds_blockpipe_ops tok_ops = {
    .state_size = sizeof(ds_tokencol),
    .work = tok_work,
    .done = tok_done,
    .source = tok_source,
    .end = tok_end,
    .fini = tok_fini,
};

typedef struct tok_opts {
    const char *tokenizer, *config, *column, *name, *prompt, *response, *separator, *eos;
    const char *chosen, *rejected;
    const char *chat, *chat_template, *messages;
    const char *ids, *labels, *mask;
    bool no_special, no_added, allow_special;
    int64_t max_tokens;
    int truncate, on_error, train_on;
    ds_rowopts row;
} tok_opts;

static const char *const truncations[] = {"error", "left", "right", "drop", NULL};

static const char *const train_ons[] = {"assistant", "last", "all", NULL};

static int set(json_t *o, const char *name, json_t *v, int rc)
{
    return rc ? rc : json_object_set_new(o, name, v);
}

/* The effective options, by name. */
static json_t *options_of(const tok_ctx *c, const tok_opts *from)
{
    const ds_tokenopts *o = &c->plan.o;
    json_t *j = json_object();
    int rc = set(j, "name", json_string(o->name), j ? 0 : -1);
    rc = set(j, "special", json_boolean(!(o->flags & DS_TOK_NO_SPECIAL)), rc);
    if (o->chosen) {
        rc = set(j, "chosen", json_string(o->chosen), rc);
        rc = set(j, "rejected", json_string(o->rejected), rc);
    }
    if (o->chat) {
        rc = set(j, "allow_special", json_boolean(o->allow_special), rc);
        rc = set(j, "chat", json_string(ds_chat_name(o->chat)), rc);
        rc = o->messages ? set(j, "messages", json_string(o->messages), rc) : rc;
        rc = o->prompt ? set(j, "prompt", json_string(o->prompt), rc) : rc;
        rc = set(j, "train_on", json_string(train_ons[from->train_on]), rc);
    } else if (o->given[0]) {
        static const char *const names[DS_GIVEN] = {"ids", "labels", "attention_mask"};
        for (int i = 0; i < DS_GIVEN; i++)
            rc = o->given[i] ? set(j, names[i], json_string(o->given[i]), rc) : rc;
    } else if (!o->prompt && !o->chosen) {
        rc = set(j, "added", json_boolean(!(o->flags & DS_TOK_NO_ADDED)), rc);
        rc = set(j, "column", json_string(o->column), rc);
    } else {
        const char *eos = ds_tok_text(o->tok, o->eos, NULL);
        rc = set(j, "allow_special", json_boolean(o->allow_special), rc);
        rc = set(j, "eos", eos ? json_string(eos) : json_null(), rc);
        rc = o->prompt ? set(j, "prompt", json_string(o->prompt), rc) : rc;
        rc = o->response ? set(j, "response", json_string(o->response), rc) : rc;
        rc = set(j, "separator", json_string(o->separator ? o->separator : ""), rc);
    }
    if (o->max_tokens) {
        rc = set(j, "max_tokens", json_integer((json_int_t)o->max_tokens), rc);
        rc = set(j, "truncate", json_string(truncations[o->truncate]), rc);
    }
    if (o->skip)
        rc = set(j, "on_error", json_string("skip"), rc);
    if (rc == 0)
        return j;
    json_decref(j);
    return NULL;
}

static int make_provenance(ds_buf *out, const tok_ctx *c, const tok_opts *o, ds_err *err)
{
    char hex[65];
    size_t len;
    const char *in = ds_reader_provenance(ds_instream_reader(c->in), &len);
    ds_sha_hex(hex, ds_tok_digest(c->plan.o.tok));
    json_t *options = options_of(c, o);
    json_t *digests = json_pack("{s:o}", "tokenizer", json_sprintf("sha256:%s", hex));
    if (c->plan.o.chat && digests) {
        ds_sha_hex(hex, ds_chat_digest(c->plan.o.chat));
        if (json_object_set_new(digests, "template", json_sprintf("sha256:%s", hex))) {
            json_decref(digests);
            digests = NULL;
        }
    }
    int rc = options && digests
                 ? ds_prov_append(out, in, len, "dsprep tokenize", options, digests, err)
                 : ds_fail_nomem(err);
    json_decref(options);
    json_decref(digests);
    return rc;
}

/* Does --eos say what ends an answer? A template ends its own. */
static bool wants_eos(const tok_opts *o)
{
    return (o->prompt || o->chosen) && !o->chat && !o->chat_template;
}

/* The token that --eos names: none, one by its text, or by what stands beside the tokenizer. */
static int find_eos(uint32_t *id, const tok_opts *o, const ds_tok *tok, ds_err *err)
{
    const char *eos = o->eos ? o->eos : "auto";
    ds_tokconf conf = {0};
    int rc = 0;
    *id = DS_TOK_NONE;
    if (!wants_eos(o) || strcmp(eos, "none") == 0)
        return 0;
    if (strcmp(eos, "auto") == 0) {
        rc = ds_tokconf_load(&conf, o->config, o->tokenizer, err);
        if (rc == 0)
            *id = ds_tokconf_eos(&conf, tok);
        ds_tokconf_fini(&conf);
        return rc;
    }
    *id = ds_tok_id(tok, eos, strlen(eos));
    return *id != DS_TOK_NONE
               ? 0
               : ds_fail(err, DS_FAIL, "--eos: the tokenizer has no token '%s'", eos);
}

static int check_pairs(const tok_opts *o, ds_err *err)
{
    const bool chat = o->chat || o->chat_template;
    const char *other = o->response                ? "--response"
                        : o->column                ? "--column"
                        : o->messages              ? "--messages"
                        : o->ids                   ? "--ids"
                        : o->labels                ? "--labels"
                        : o->mask                  ? "--attention-mask"
                        : o->no_added              ? "--no-added"
                        : chat && o->separator     ? "--separator"
                        : chat && o->no_special    ? "--no-special"
                        : !chat && o->train_on > 0 ? "--train-on"
                                                   : NULL;
    if (other)
        return ds_fail(err, DS_USAGE, "%s does not go with --chosen and --rejected%s", other,
                       !chat && o->train_on > 0 ? " without --chat"
                       : chat                   ? " of --chat"
                                                : "");
    if (!chat && !o->prompt && o->separator)
        return ds_fail(err, DS_USAGE, "--separator goes with --prompt");
    return 0;
}

static int check_options(const tok_opts *o, ds_err *err)
{
    if (!o->tokenizer)
        return ds_fail(err, DS_USAGE, "-t FILE is needed: a tokenizer.json");
    if (!o->chosen != !o->rejected)
        return ds_fail(err, DS_USAGE, "--chosen and --rejected go together");
    if (o->eos && strcmp(o->eos, "none") != 0 && !wants_eos(o))
        return ds_fail(err, DS_USAGE,
                       "--eos goes with --prompt, or --chosen and --rejected, without --chat");
    if (o->chosen)
        return check_pairs(o, err);
    if (!o->prompt != !o->response)
        return ds_fail(err, DS_USAGE, "--prompt goes with --response, or --chosen and --rejected");
    if (o->prompt && (o->column || o->no_added))
        return ds_fail(err, DS_USAGE, "%s goes with plain text, not with --prompt",
                       o->column ? "--column" : "--no-added");
    bool chat = o->chat || o->chat_template;
    if (chat && (o->prompt || o->column || o->no_added || o->no_special))
        return ds_fail(err, DS_USAGE, "%s does not go with --chat",
                       o->prompt     ? "--prompt"
                       : o->column   ? "--column"
                       : o->no_added ? "--no-added"
                                     : "--no-special");
    if (o->ids && (chat || o->prompt || o->column || o->no_added || o->no_special))
        return ds_fail(err, DS_USAGE,
                       "--ids are tokens already: no other option says what becomes one");
    if (!o->ids && (o->labels || o->mask))
        return ds_fail(err, DS_USAGE, "%s goes with --ids",
                       o->labels ? "--labels" : "--attention-mask");
    if (!chat && (o->messages || o->train_on))
        return ds_fail(err, DS_USAGE, "%s goes with --chat",
                       o->messages ? "--messages" : "--train-on");
    if (!o->prompt && (o->separator || (o->allow_special && !chat)))
        return ds_fail(err, DS_USAGE, "%s goes with --prompt and --response",
                       o->separator ? "--separator" : "--allow-special");
    return 0;
}

static int find_chat(tok_ctx *c, const tok_opts *o, const ds_tok *tok, ds_err *err)
{
    ds_tokconf conf = {0};
    const ds_chatopts opts = {.tok = tok,
                              .kind = o->chat ? o->chat : "any",
                              .template = o->chat_template,
                              .allow_special = o->allow_special,
                              .train = (enum ds_trainon)o->train_on};
    if (!o->chat && !o->chat_template)
        return 0;
    int rc = ds_tokconf_load(&conf, o->config, o->tokenizer, err);
    if (rc == 0)
        rc = ds_chat_new(&c->chat, &opts, &conf, err);
    ds_tokconf_fini(&conf);
    return rc;
}

static int tokenize(tok_ctx *c, const tok_opts *o, const ds_tok *tok, char **operands, int n,
                    ds_err *err)
{
    ds_buf prov = {0};
    ds_tok_shelf_init(&c->shelf, tok);
    ds_tokenopts opts = {.tok = tok,
                         .shelf = &c->shelf,
                         .flags = (o->no_added ? DS_TOK_NO_ADDED : 0u) |
                                  (o->no_special ? DS_TOK_NO_SPECIAL : 0u),
                         .name = o->name,
                         .column = o->column ? o->column : "text",
                         .prompt = o->prompt,
                         .response = o->response,
                         .chosen = o->chosen,
                         .rejected = o->rejected,
                         .separator = o->separator,
                         .given = {o->ids, o->labels, o->mask},
                         .allow_special = o->allow_special,
                         .max_tokens = (uint64_t)o->max_tokens,
                         .truncate = (enum ds_truncate)o->truncate,
                         .skip = o->on_error == 1};
    int rc = find_eos(&opts.eos, o, tok, err);
    if (rc == 0)
        rc = find_chat(c, o, tok, err);
    opts.chat = c->chat;
    opts.messages = o->messages;
    if (rc == 0)
        rc = ds_instream_open(&c->in, operands, n, err);
    if (rc == 0 && ds_instream_files(c->in) != 1)
        rc = ds_fail(err, DS_USAGE, "shards are streams of their own: tokenize them one by one");
    if (rc == 0)
        rc = ds_tokenplan_init(&c->plan, ds_instream_schema(c->in), &opts, err);
    if (rc == 0 && !(c->chunks = calloc(c->plan.schema.n, sizeof *c->chunks)))
        rc = ds_fail_nomem(err);
    if (rc == 0)
        rc = make_provenance(&prov, c, o, err);
    if (rc == 0)
        rc = ds_stageout_open(&c->out, o->row.output, &c->plan.schema, prov.data, prov.len,
                              ds_stageout_level(o->row.output, o->row.level), err);
    if (rc == 0) {
        ds_progress_begin(&c->progress, "tokenizing", ds_instream_size(c->in), true);
        rc = ds_blockpipe_run(c->in, &tok_ops, c, (int)o->row.threads, err);
        ds_progress_end(&c->progress);
    }
    if (rc)
        ds_stageout_abort(&c->out, err->msg);
    ds_buf_fini(&prov);
    return rc;
}

static void say_json(const tok_ctx *c, const ds_rowopts *o)
{
    const ds_tokencounts *n = &c->counts;
    const ds_rowresult all = {.input = c->records, .output = c->records};
    const ds_rowplan plan = {.tool = "dsprep tokenize"};
    json_t *more =
        json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "tokens", (json_int_t)n->tokens,
                  "text_bytes", (json_int_t)n->bytes, "targets", (json_int_t)n->targets,
                  "truncated", (json_int_t)n->truncated, "dropped", (json_int_t)n->dropped,
                  "shortened", (json_int_t)n->shortened, "without_target", (json_int_t)n->idle,
                  "skipped", (json_int_t)n->skipped);
    ds_transform_say(o, &all, &plan, more);
    json_decref(more);
}

static void say_result(const tok_ctx *c, bool marked)
{
    const ds_tokencounts *n = &c->counts;
    fprintf(stderr, "dsprep tokenize: %llu record%s, %llu token%s from %llu byte%s of text",
            (unsigned long long)c->records, ds_s(c->records), (unsigned long long)n->tokens,
            ds_s(n->tokens), (unsigned long long)n->bytes, ds_s(n->bytes));
    if (marked)
        fprintf(stderr, ", %llu of them targets", (unsigned long long)n->targets);
    fprintf(stderr, "\n");
    if (n->truncated)
        ds_warn("%llu records cut to --max-tokens", (unsigned long long)n->truncated);
    if (n->dropped)
        ds_warn("%llu records are longer than --max-tokens and have no tokens",
                (unsigned long long)n->dropped);
    if (n->shortened)
        ds_warn("%llu assistant turns were not written in full: the template leaves something out, "
                "such as reasoning",
                (unsigned long long)n->shortened);
    if (n->idle)
        ds_warn("%llu records have no target", (unsigned long long)n->idle);
}

static const char *const on_errors[] = {"fail", "skip", NULL};
static tok_opts o = {.name = "tokens", .row = {.level = -1}};

static const ds_opt OPTIONS[] = {
    OPT_STR('t', "tokenizer", o.tokenizer, "FILE", "the tokenizer.json to use (needed)"),
    OPT_STR(0, "tokenizer-config", o.config, "FILE",
            "its tokenizer_config.json; default the one in the same folder"),
    OPT_HEADING("Plain text"),
    OPT_STR('c', "column", o.column, "NAME", "the column of text; default text"),
    OPT_FLAG(0, "no-added", o.no_added, "take added tokens in the text as plain text"),
    OPT_HEADING("Prompt and answer"),
    OPT_STR(0, "prompt", o.prompt, "NAME", "the column that holds the prompt"),
    OPT_STR(0, "response", o.response, "NAME", "the column that holds the answer to it"),
    OPT_STR(0, "separator", o.separator, "STR", "put between the two; default nothing"),
    OPT_STR(
        0, "eos", o.eos, "TOKEN",
        "the token that ends an answer, auto (the tokenizer's, when it has one), or none; default "
        "auto"),
    OPT_HEADING("Pairs of answers"),
    OPT_STR(0, "chosen", o.chosen, "NAME",
            "the column that holds the answer that is preferred; with --rejected, and --prompt or "
            "what both begin with"),
    OPT_STR(0, "rejected", o.rejected, "NAME", "the column that holds the other answer"),
    OPT_HEADING("Conversations"),
    OPT_STR(
        0, "chat", o.chat, "NAME",
        "conversations, by the tokenizer's chat template: auto, any, or the name of the one it is "
        "to be"),
    OPT_STR(0, "chat-template", o.chat_template, "FILE",
            "conversations, by the template in this file"),
    OPT_STR(0, "messages", o.messages, "NAME",
            "the column that holds the messages; default messages, or else text"),
    OPT_CHOICE(0, "train-on", o.train_on, "WHAT", train_ons,
               "what of a conversation is learned: the assistant's turns, the last of them, all "
               "(assistant)"),
    OPT_HEADING("Ids that are there"),
    OPT_STR(0, "ids", o.ids, "NAME", "the column of ids, such as input_ids"),
    OPT_STR(0, "labels", o.labels, "NAME", "the column of labels: ids, or -100: not learned"),
    OPT_STR(0, "attention-mask", o.mask, "NAME", "the column of ones, and zeros: left out"),
    OPT_HEADING("Content and length"),
    OPT_FLAG(0, "no-special", o.no_special, "put no BOS or EOS around a text"),
    OPT_FLAG(0, "allow-special", o.allow_special,
             "recognise added tokens in content: only for text that is trusted"),
    OPT_INT(0, "max-tokens", o.max_tokens, "N", 1, INT64_MAX, "most tokens of a record"),
    OPT_CHOICE(0, "truncate", o.truncate, "WHAT", truncations,
               "what becomes of longer records: error, left, right, drop (error)"),
    OPT_CHOICE(0, "on-error", o.on_error, "WHAT", on_errors,
               "fail, or skip: a record that cannot be used stays without tokens (fail)"),
    OPT_HEADING("Output"),
    OPT_STR(0, "name", o.name, "NAME", "the new column; default tokens"),
    DSPREP_OUTPUT(o.row.output),
    DS_ROWOPTS_COMMON(o.row),
    OPT_END,
};

static int run(int argc, char **argv)
{
    char **operands;
    int n, rc = ds_opt_begin(&ds_cmd_tokenize, OPTIONS, argc, argv, &operands, &n);
    if (rc >= 0)
        return rc;
    ds_err err = {0};
    tok_ctx c = {0};
    ds_tok *tok = NULL;
    ds_transform_begin(&o.row);
    rc = check_options(&o, &err);
    if (rc == 0)
        rc = ds_tok_load(&tok, o.tokenizer, &err);
    if (rc == 0)
        rc = tokenize(&c, &o, tok, operands, n, &err);
    if (rc == 0 && o.row.json)
        say_json(&c, &o.row);
    else if (rc == 0 && ds_log_level > 0)
        say_result(&c, c.plan.ncols > 1);
    if (rc == 0 && c.counts.skipped)
        rc = ds_fail(&err, DS_PARTIAL, "%llu of %llu records could not be used",
                     (unsigned long long)c.counts.skipped, (unsigned long long)c.records);
    ds_stageout_fini(&c.out);
    ds_tokenplan_fini(&c.plan);
    ds_instream_free(c.in);
    ds_chat_free(c.chat);
    ds_tok_shelf_fini(&c.shelf);
    ds_tok_free(tok);
    free(c.chunks);
    return ds_transform_end(&ds_cmd_tokenize, &o.row, &err, false);
}
