/* cmd_tokenize.c - dsprep tokenize: adds the tokens of a text column to a stream, and changes
 * nothing else in it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blockpipe.h"
#include "dsr_prov.h"
#include "opt.h"
#include "sig.h"
#include "stageout.h"
#include "term.h"
#include "tokencol.h"

static int run(int argc, char **argv);

extern const ds_command ds_cmd_tokenize;
const ds_command ds_cmd_tokenize = {
    .prog = "dsprep",
    .name = "tokenize",
    .summary = "add a column of tokens to a stream",
    .operands = "[FILE]",
    .min_operands = 0,
    .max_operands = 1,
    .example =
        "dsprep text corpus/ | dsprep tokenize -t tokenizer.json | dsver commit -m corpus corpus",
    .description = "Reads a DSR stream with a column of text from FILE or standard input and "
                   "writes it with one column more: the "
                   "ids that the tokenizer gives for the text. All other columns, blocks, origins "
                   "and sources pass through unchanged, so "
                   "that a store that holds the text already stores the new column only.\n\n"
                   "Ids are 16 bits wide when every id of the tokenizer fits, 32 otherwise. As the "
                   "tokenizer's own default has it, "
                   "its added tokens are recognised in the text and its post-processor's tokens "
                   "(BOS, EOS) are put around it. "
                   "--no-special leaves those away; --no-added takes the spelling of an added "
                   "token in the text as plain text, "
                   "which is what text written by strangers needs.\n\n"
                   "Output is the same for any number of threads.",
    .run = run,
};

typedef struct tok_ctx {
    ds_tokenplan plan;
    ds_stageout out;
    ds_chunk *chunks; /* of the block being written */
    uint64_t records, tokens, bytes;
    ds_instream *in;
    ds_progress progress;
} tok_ctx;

static int tok_work(void *ctx, void *state, const ds_block *b, ds_err *err)
{
    const tok_ctx *c = ctx;
    return ds_tokencol_block(state, &c->plan, b, err);
}

static int tok_done(void *ctx, void *state, const ds_block *b, ds_err *err)
{
    tok_ctx *c = ctx;
    const ds_tokencol *t = state;
    size_t columns = b->nchunks - 1;
    memcpy(c->chunks, b->chunks, columns * sizeof *c->chunks);
    c->chunks[columns] = t->chunk;
    c->records += b->rows;
    c->tokens += t->tokens;
    c->bytes += t->bytes;
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

static int make_provenance(ds_buf *out, const tok_ctx *c, const char *column, const char *name,
                           ds_err *err)
{
    char hex[65];
    size_t len;
    const char *in = ds_reader_provenance(ds_instream_reader(c->in), &len);
    ds_sha_hex(hex, ds_tok_digest(c->plan.tok));
    json_t *options =
        json_pack("{s:b, s:s, s:s, s:b}", "added", !(c->plan.flags & DS_TOK_NO_ADDED), "column",
                  column, "name", name, "special", !(c->plan.flags & DS_TOK_NO_SPECIAL));
    json_t *digests = json_pack("{s:o}", "tokenizer", json_sprintf("sha256:%s", hex));
    int rc = options && digests
                 ? ds_prov_append(out, in, len, "dsprep tokenize", options, digests, err)
                 : ds_fail_nomem(err);
    json_decref(options);
    json_decref(digests);
    return rc;
}

typedef struct tok_opts {
    const char *tokenizer, *column, *name, *output;
    bool no_special, no_added, quiet;
    int64_t level, threads;
} tok_opts;

static int tokenize(tok_ctx *c, const tok_opts *o, const ds_tok *tok, char **operands, int n,
                    ds_err *err)
{
    ds_buf prov = {0};
    unsigned flags =
        (o->no_added ? DS_TOK_NO_ADDED : 0u) | (o->no_special ? DS_TOK_NO_SPECIAL : 0u);
    int64_t level = o->level >= 0 ? o->level : o->output ? 3 : 0;
    int rc = ds_instream_open(&c->in, operands, n, err);
    if (rc == 0 && ds_instream_files(c->in) != 1)
        rc = ds_fail(err, DS_USAGE, "shards are streams of their own: tokenize them one by one");
    if (rc == 0)
        rc = ds_tokenplan_init(&c->plan, ds_instream_schema(c->in), tok, o->column, o->name, flags,
                               err);
    if (rc == 0 && !(c->chunks = calloc(c->plan.schema.n, sizeof *c->chunks)))
        rc = ds_fail_nomem(err);
    if (rc == 0)
        rc = make_provenance(&prov, c, o->column, o->name, err);
    if (rc == 0)
        rc = ds_stageout_open(&c->out, o->output, &c->plan.schema, prov.data, prov.len, (int)level,
                              err);
    if (rc == 0) {
        ds_progress_begin(&c->progress, "tokenizing", ds_instream_size(c->in), true);
        rc = ds_blockpipe_run(c->in, &tok_ops, c, (int)o->threads, err);
        ds_progress_end(&c->progress);
    }
    if (rc)
        ds_stageout_abort(&c->out, err->msg);
    ds_buf_fini(&prov);
    return rc;
}

static int run(int argc, char **argv)
{
    tok_opts o = {.column = "text", .name = "tokens", .level = -1};
    const ds_opt opts[] = {
        {'t', "tokenizer", DS_OPT_STR, &o.tokenizer, "FILE", "the tokenizer.json to use (needed)",
         0, 0, NULL, false},
        {'c', "column", DS_OPT_STR, &o.column, "NAME", "the column of text; default text", 0, 0,
         NULL, false},
        {0, "name", DS_OPT_STR, &o.name, "NAME", "the new column; default tokens", 0, 0, NULL,
         false},
        {0, "no-special", DS_OPT_FLAG, &o.no_special, NULL, "put no BOS or EOS around a text", 0, 0,
         NULL, false},
        {0, "no-added", DS_OPT_FLAG, &o.no_added, NULL,
         "take added tokens in the text as plain text", 0, 0, NULL, false},
        {'o', "output", DS_OPT_STR, &o.output, "FILE",
         "write a file, which appears when it is whole", 0, 0, NULL, false},
        {'z', "level", DS_OPT_INT, &o.level, "N",
         "zstd level, 0 = none; default 0 to a pipe, 3 to a file", 0, 19, NULL, false},
        {'j', "threads", DS_OPT_INT, &o.threads, "N", "threads; default one for each processor", 1,
         256, NULL, false},
        {'q', "quiet", DS_OPT_FLAG, &o.quiet, NULL, "no summary on standard error", 0, 0, NULL,
         false},
        {0},
    };
    char **operands;
    int n, rc = ds_opt_begin(&ds_cmd_tokenize, opts, argc, argv, &operands, &n);
    if (rc >= 0)
        return rc;
    ds_err err = {0};
    tok_ctx c = {0};
    ds_tok *tok = NULL;
    ds_sig_setup();
    if (o.quiet)
        ds_log_level = 0;
    rc = o.tokenizer ? ds_tok_load(&tok, o.tokenizer, &err)
                     : ds_fail(&err, DS_USAGE, "-t FILE is needed: a tokenizer.json");
    if (rc == 0)
        rc = tokenize(&c, &o, tok, operands, n, &err);
    ds_stageout_fini(&c.out);
    ds_tokenplan_fini(&c.plan);
    ds_instream_free(c.in);
    ds_tok_free(tok);
    free(c.chunks);
    if (rc == 0 && ds_log_level > 0)
        fprintf(stderr, "dsprep tokenize: %llu records, %llu tokens from %llu bytes of text\n",
                (unsigned long long)c.records, (unsigned long long)c.tokens,
                (unsigned long long)c.bytes);
    return ds_command_end(&ds_cmd_tokenize, &err, false);
}
