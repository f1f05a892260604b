/* cmd_cat.c - dsprep cat: a DSR stream as JSON lines. The form is jsonrow.h's. */
#include <unistd.h>

#include "blockpipe.h"
#include "jsonrow.h"
#include "options.h"
#include "sig.h"

static int run(int argc, char **argv);

extern const ds_command ds_cmd_cat;
const ds_command ds_cmd_cat = {
    .prog = "dsprep",
    .name = "cat",
    .summary = "show records as JSON lines",
    .operands = "[FILE...]",
    .min_operands = 0,
    .max_operands = -1,
    .example = "dsprep text notes/ | dsprep cat | jq -r .text",
    .description =
        "Reads DSR streams (files, folders of shard-*.dsr, or standard input) one after the other "
        "as one stream and writes "
        "one JSON object a record: \"key\" first, then the columns in the order of the schema.\n\n"
        "Text is a JSON string, bytes are base64, timestamps \"YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ\", "
        "tokens an array of ids, runs "
        "[[length,value],...], lists arrays. A tensor is {\"dtype\",\"shape\",\"sha256\"} with the "
        "digest of its data, or with "
        "--data {\"dtype\",\"shape\",\"data\"} with the data in base64. NaN and infinities are "
        "null.\n\n"
        "What it prints before it meets damage is printed; the exit status is then 12 (or 1, when "
        "the producer "
        "said that it failed): look at it before trusting the output.",
    .run = run,
};

typedef struct cat_ctx {
    ds_jsonform form;
    ds_out out;
    ds_origin_state origin;
    uint64_t base; /* sources of the files before */
} cat_ctx;

typedef struct cat_state {
    ds_jsonrow row;
    ds_origin_state from;
    uint64_t base;
} cat_state;

/* Origins are coded from block to block, so each worker is told where its block begins. */
static int cat_prepare(void *ctx, void *state, const ds_block *b, ds_err *err)
{
    cat_ctx *c = ctx;
    cat_state *s = state;
    uint64_t lowest, highest;
    const ds_chunk *origins = &b->chunks[b->nchunks - 1];
    if (!c->form.origin)
        return 0;
    s->from = c->origin;
    s->base = c->base;
    return ds_origin_scan(origins->body, origins->body_len, b->rows, &c->origin, &lowest, &highest,
                          err);
}

static int cat_work(void *ctx, void *state, const ds_block *b, ds_err *err)
{
    const cat_ctx *c = ctx;
    cat_state *s = state;
    ds_buf_reset(&s->row.out);
    return ds_jsonrow_block(&s->row, &c->form, b, &s->from, s->base, UINT64_MAX, err);
}

static int cat_done(void *ctx, void *state, const ds_block *b, ds_err *err)
{
    cat_ctx *c = ctx;
    const cat_state *s = state;
    (void)b;
    return ds_out_put(&c->out, s->row.out.data, s->row.out.len, err);
}

static int cat_flush(void *ctx, ds_buf *text, ds_err *err)
{
    cat_ctx *c = ctx;
    int rc = ds_out_put(&c->out, text->data, text->len, err);
    ds_buf_reset(text);
    return rc;
}

/* In place, handing text on as it is made: values of any size in constant memory. */
static int cat_big(void *ctx, void *state, const ds_block *b, ds_err *err)
{
    cat_ctx *c = ctx;
    cat_state *s = state;
    ds_buf_reset(&s->row.out);
    s->row.flush = cat_flush;
    s->row.flush_ctx = c;
    int rc = ds_jsonrow_block(&s->row, &c->form, b, &s->from, s->base, UINT64_MAX, err);
    /* What was finished before bad bytes is shown, as it is when blocks are small. */
    int put = cat_flush(c, &s->row.out, err);
    return rc ? rc : put;
}

static int cat_end(void *ctx, ds_instream *in, ds_err *err)
{
    cat_ctx *c = ctx;
    (void)err;
    c->origin = (ds_origin_state){0};
    c->base += ds_reader_counts(ds_instream_reader(in))->sources;
    return 0;
}

static void cat_fini(void *state)
{
    cat_state *s = state;
    ds_jsonrow_fini(&s->row);
}

static const ds_blockpipe_ops cat_ops = {
    .state_size = sizeof(cat_state),
    .prepare = cat_prepare,
    .work = cat_work,
    .done = cat_done,
    .big = cat_big,
    .end = cat_end,
    .fini = cat_fini,
};

static int run(int argc, char **argv)
{
    bool digests = false, data = false, no_key = false, origin = false;
    const char *columns = NULL;
    int64_t threads = 0;
    const ds_opt opts[] = {
        OPT_STR('c', "columns", columns, "A,B", "show only these columns (the key is shown too)"),
        OPT_FLAG(0, "digests", digests, "show tensors by the SHA-256 of their data (the default)"),
        OPT_FLAG(0, "data", data, "show tensors with their data in base64"),
        OPT_FLAG(0, "no-key", no_key, "leave out the key"),
        OPT_FLAG(
            0, "origin", origin,
            "add where each record came from: [source number, offset, length] (see dsprep info "
            "--sources)"),
        DSPREP_THREADS(threads),
        OPT_END,
    };
    char **operands;
    int n, rc = ds_opt_begin(&ds_cmd_cat, opts, argc, argv, &operands, &n);
    if (rc >= 0)
        return rc;
    ds_err err = {0};
    cat_ctx c = {0};
    ds_instream *in = NULL;
    ds_sig_setup();
    rc = digests && data ? ds_fail(&err, DS_USAGE, "--digests and --data exclude each other") : 0;
    if (rc == 0)
        rc = ds_out_init(&c.out, STDOUT_FILENO, "standard output", &err);
    if (rc == 0)
        rc = ds_instream_open(&in, operands, n, &err);
    if (rc == 0)
        rc =
            ds_jsonform_init(&c.form, ds_instream_schema(in), columns, !no_key, data, origin, &err);
    if (rc == 0)
        rc = ds_blockpipe_run(in, &cat_ops, &c, (int)threads, &err);
    int flushed = ds_out_flush(&c.out, &err);
    (void)flushed; /* its error stands in err */
    ds_jsonform_fini(&c.form);
    ds_instream_free(in);
    ds_out_fini(&c.out);
    return ds_command_end(&ds_cmd_cat, &err, false);
}
