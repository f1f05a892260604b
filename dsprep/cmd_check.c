/* cmd_check.c - dsprep check: is a DSR stream whole and sound? Prints its dataset root. */
#include <string.h>
#include <unistd.h>

#include "blockpipe.h"
#include "dsr_prov.h"
#include "jsonrow.h"
#include "options.h"
#include "sig.h"
#include "term.h"
#include "plural.h"

static int run(int argc, char **argv);

extern const ds_command ds_cmd_check;
const ds_command ds_cmd_check = {
    .prog = "dsprep",
    .name = "check",
    .summary = "verify that a stream is whole and sound",
    .operands = "[FILE...]",
    .min_operands = 0,
    .max_operands = -1,
    .example = "dsprep check corpus.dsr && dsver commit -m corpus corpus <corpus.dsr",
    .description = "Reads every byte: frame checksums, the form of every value, where blocks and "
                   "pieces are cut, origins, provenance "
                   "and the end frame, and computes the dataset root. For each file (a folder "
                   "stands for its shard-*.dsr) one line "
                   "tells its records, blocks, sources and root. The root depends on the records "
                   "alone: not on compression, "
                   "threads, machine or path.\n\n"
                   "The exit status is 0 when all is well, 12 when something is not as it was "
                   "written, and 1 when the producer "
                   "said that it failed. The message names the file, the offset and the reason.",
    .run = run,
};

typedef struct check_ctx {
    bool json;
    ds_blockcheck *check;
    ds_rootsum *root;
    const ds_schema *schema;
    const ds_instream *in;
    ds_progress progress;
    ds_out out;
    ds_buf text;
} check_ctx;

typedef struct check_state {
    ds_sha block, origin;
    ds_buf pieces, chunks; /* addresses */
} check_state;

static int chunk_address(ds_sha *out, ds_buf *pieces, const ds_chunk *c, const size_t *ends,
                         size_t n, ds_err *err)
{
    size_t from = 0;
    ds_buf_reset(pieces);
    for (size_t i = 0; i < n; i++) {
        ds_sha a;
        int rc = ds_addr_piece(&a, c->body + from, ends[i] - from, err);
        if (rc)
            return rc;
        if (ds_buf_put(pieces, a.b, sizeof a.b))
            return ds_fail_nomem(err);
        from = ends[i];
        if (c->spool && n > 1)
            ds_spool_release(c->spool, from);
    }
    return ds_addr_chunk(out, c->body_len, (const ds_sha *)(const void *)pieces->data, n, err);
}

static int check_work(void *ctx, void *state, const ds_block *b, ds_err *err)
{
    check_state *s = state;
    size_t columns = b->nchunks - 1;
    (void)ctx;
    ds_buf_reset(&s->chunks);
    for (size_t i = 0; i < b->nchunks; i++) {
        ds_sha a;
        int rc = chunk_address(i < columns ? &a : &s->origin, &s->pieces, &b->chunks[i],
                               b->piece_ends[i], b->npieces[i], err);
        if (rc)
            return rc;
        if (i < columns && ds_buf_put(&s->chunks, a.b, sizeof a.b))
            return ds_fail_nomem(err);
    }
    return ds_addr_block(&s->block, b->rows, (const ds_sha *)(const void *)s->chunks.data, columns,
                         err);
}

static int check_done(void *ctx, void *state, const ds_block *b, ds_err *err)
{
    check_ctx *c = ctx;
    const check_state *s = state;
    int rc = ds_blockcheck_block(c->check, b, err);
    ds_progress_at(&c->progress, ds_instream_pos(c->in));
    return rc ? rc : ds_rootsum_block(c->root, &s->block, &s->origin, err);
}

static int check_source(void *ctx, const ds_source *src, ds_err *err)
{
    check_ctx *c = ctx;
    return ds_rootsum_source(c->root, src, err);
}

/* Begins a file. */
static int check_begin(check_ctx *c, ds_err *err)
{
    int rc = ds_blockcheck_new(&c->check, c->schema, err);
    return rc ? rc : ds_rootsum_new(&c->root, err);
}

static void check_drop(check_ctx *c)
{
    ds_blockcheck_free(c->check);
    ds_rootsum_free(c->root);
    c->check = NULL;
    c->root = NULL;
}

static int say(check_ctx *c, const char *path, const ds_counts *n, const ds_sha *root,
               const ds_sha *origin, ds_err *err)
{
    char hex[65], ohex[65];
    bool bad;
    ds_sha_hex(hex, root);
    ds_sha_hex(ohex, origin);
    ds_buf_reset(&c->text);
    if (c->json)
        bad = ds_buf_puts(&c->text, "{\"type\":\"check\",\"file\":") ||
              ds_json_name(&c->text, path, strlen(path)) ||
              ds_buf_printf(
                  &c->text,
                  ",\"records\":%llu,\"blocks\":%llu,\"sources\":%llu,\"root\":\"sha256:%s\","
                  "\"origin_root\":\"sha256:%s\"}\n",
                  (unsigned long long)n->records, (unsigned long long)n->blocks,
                  (unsigned long long)n->sources, hex, ohex);
    else
        bad = ds_buf_printf(
            &c->text, "%s: %llu record%s %llu block%s %llu source%s root sha256:%s\n", path,
            (unsigned long long)n->records, ds_s(n->records), (unsigned long long)n->blocks,
            ds_s(n->blocks), (unsigned long long)n->sources, ds_s(n->sources), hex);
    return bad ? ds_fail_nomem(err) : ds_out_put(&c->out, c->text.data, c->text.len, err);
}

static int check_end(void *ctx, ds_instream *in, ds_err *err)
{
    check_ctx *c = ctx;
    ds_reader *r = ds_instream_reader(in);
    const char *path = ds_instream_path(in);
    ds_sha schema, root, origin;
    size_t len;
    const char *prov = ds_reader_provenance(r, &len);
    int rc = ds_prov_check(prov, len, err);
    if (rc == 0)
        rc = ds_schema_digest(&schema, c->schema, err);
    if (rc == 0)
        rc = ds_rootsum_end(c->root, &schema, &root, &origin, err);
    if (rc == 0 && ds_reader_root(r) && !ds_sha_eq(ds_reader_root(r), &root))
        rc = ds_fail(err, DS_CORRUPT, "the end frame names another root than its records have");
    if (rc)
        return ds_err_prefix(err, "%s", path);
    rc = say(c, path, ds_reader_counts(r), &root, &origin, err);
    check_drop(c);
    return rc || ds_instream_last(in) ? rc : check_begin(c, err);
}

static void check_fini(void *state)
{
    check_state *s = state;
    ds_buf_fini(&s->pieces);
    ds_buf_fini(&s->chunks);
}

static const ds_blockpipe_ops check_ops = {
    .state_size = sizeof(check_state),
    .work = check_work,
    .done = check_done,
    .source = check_source,
    .end = check_end,
    .fini = check_fini,
};

static int run(int argc, char **argv)
{
    bool json = false;
    int64_t threads = 0;
    const ds_opt opts[] = {
        OPT_FLAG(0, "json", json, "print JSON lines"),
        DSPREP_THREADS(threads),
        OPT_END,
    };
    char **operands;
    int n, rc = ds_opt_begin(&ds_cmd_check, opts, argc, argv, &operands, &n);
    if (rc >= 0)
        return rc;
    ds_err err = {0};
    check_ctx c = {.json = json};
    ds_instream *in = NULL;
    ds_sig_setup();
    rc = ds_out_init(&c.out, STDOUT_FILENO, "standard output", &err);
    if (rc == 0)
        rc = ds_instream_open(&in, operands, n, &err);
    if (rc == 0) {
        c.in = in;
        c.schema = ds_instream_schema(in);
        rc = check_begin(&c, &err);
    }
    if (rc == 0) {
        ds_progress_begin(&c.progress, "checking", ds_instream_size(in), true);
        rc = ds_blockpipe_run(in, &check_ops, &c, (int)threads, &err);
        ds_progress_end(&c.progress);
    }
    (void)ds_out_flush(&c.out, &err); /* its error stands in err */
    check_drop(&c);
    ds_instream_free(in);
    ds_out_fini(&c.out);
    ds_buf_fini(&c.text);
    return ds_command_end(&ds_cmd_check, &err, json);
}
