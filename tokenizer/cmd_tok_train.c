/* cmd_tok_train.c - dstok train: a tokenizer.json from texts. */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_tok.h"
#include "cmd_tok_files.h"
#include "io.h"
#include "plural.h"
#include "pool.h"
#include "sig.h"
#include "term.h"
#include "tok.h"
#include "tok_train.h"

/* Each running job borrows a table of its own; which one does not matter, for they are added up. */
typedef struct counters {
    pthread_mutex_t lock;
    ds_words **all, **idle;
    int n, n_idle;
    ds_word_runs *runs; /* where they put what exceeds their shares of the memory */
    size_t share;
} counters;

typedef struct job {
    ds_buf text;
    ds_err err;
} job;

typedef struct training {
    counters counters;
    ds_pool *pool;
    ds_progress bar;
    uint64_t read;
} training;

static void count_job(void *arg, void *ctx)
{
    job *j = arg;
    counters *c = ctx;
    pthread_mutex_lock(&c->lock);
    ds_words *w = c->idle[--c->n_idle];
    pthread_mutex_unlock(&c->lock);
    ds_words_add(w, j->text.data, j->text.len, &j->err);
    pthread_mutex_lock(&c->lock);
    c->idle[c->n_idle++] = w;
    pthread_mutex_unlock(&c->lock);
}

static void job_free(job *j)
{
    ds_buf_fini(&j->text);
    free(j);
}

/* Takes the oldest job back. */
static int collect(training *t, ds_err *err)
{
    job *j = ds_pool_next(t->pool);
    if (j == NULL)
        return 0;
    int rc = j->err.code != 0 ? ds_fail_as(err, &j->err) : 0;
    t->read += j->text.len;
    ds_progress_at(&t->bar, t->read);
    job_free(j);
    return rc;
}

static int submit(void *ctx, ds_buf *part, ds_err *err)
{
    training *t = ctx;
    int rc = 0;
    while (rc == 0 && ds_pool_full(t->pool))
        rc = collect(t, err);
    job *j = rc == 0 ? calloc(1, sizeof *j) : NULL;
    if (j == NULL)
        return rc != 0 ? rc : ds_fail_nomem(err);
    j->text = *part;
    memset(part, 0, sizeof *part);
    rc = ds_pool_submit(t->pool, j, err);
    if (rc != 0)
        job_free(j);
    return rc;
}

static int counters_init(counters *c, int n, size_t memory, const ds_tok_like *like, ds_err *err)
{
    pthread_mutex_init(&c->lock, NULL);
    int rc = ds_word_runs_new(&c->runs, err);
    c->share = memory / (size_t)n;
    c->all = calloc((size_t)n, sizeof *c->all);
    c->idle = calloc((size_t)n, sizeof *c->idle);
    if (c->all == NULL || c->idle == NULL || rc != 0)
        return ds_fail_nomem(err);
    for (; c->n < n && rc == 0; c->n++) {
        rc = ds_words_new(&c->all[c->n], err);
        if (rc == 0 && like != NULL)
            rc = ds_words_like(c->all[c->n], like, err);
        if (rc == 0)
            ds_words_limit(c->all[c->n], c->runs, c->share);
        c->idle[c->n_idle++] = c->all[c->n];
    }
    return rc;
}

static int on_join(void *ctx, uint64_t words, ds_err *err)
{
    ds_progress_at(ctx, words);
    return ds_check_interrupt(err);
}

/* All tables into the first, which may take what they give back. */
static int add_up(counters *c, ds_progress *bar, ds_err *err)
{
    int rc = 0;
    for (int i = 1; i < c->n && rc == 0; i++) {
        ds_words_limit(c->all[0], c->runs, c->share * (size_t)i);
        rc = ds_words_merge(c->all[0], c->all[i], err);
        ds_words_free(c->all[i]);
        c->all[i] = NULL;
    }
    ds_progress_begin(bar, "adding up words", 0, false);
    rc = rc ? rc : ds_words_finish(c->all[0], on_join, bar, err);
    ds_progress_end(bar);
    return rc;
}

static void counters_fini(counters *c)
{
    for (int i = 0; i < c->n; i++)
        ds_words_free(c->all[i]);
    ds_word_runs_free(c->runs);
    free(c->all);
    free(c->idle);
    pthread_mutex_destroy(&c->lock);
}

/* Counts everything; the sum ends up in the first table. */
static int count_all(training *t, tok_reader *r, char **operands, int n, int threads, ds_err *err)
{
    int rc = 0;
    rc = ds_pool_new(&t->pool, threads, threads * 2, count_job, &t->counters, err);
    ds_progress_begin(&t->bar, "reading", 0, true);
    for (int i = 0; i < n && rc == 0; i++)
        rc = tok_read_operand(r, operands[i], err);
    while (t->pool != NULL && !ds_pool_empty(t->pool)) {
        int bad = collect(t, err);
        rc = rc != 0 ? rc : bad;
    }
    ds_progress_end(&t->bar);
    ds_pool_free(t->pool);
    t->pool = NULL;
    return rc ? rc : add_up(&t->counters, &t->bar, err);
}

static int on_merge(void *ctx, uint32_t tokens, ds_err *err)
{
    ds_progress_at(ctx, tokens);
    return ds_check_interrupt(err);
}

/* A file that its own library refuses would be found out much later. */
static int check_json(const ds_buf *json, const char *path, ds_err *err)
{
    ds_tok *tok = NULL;
    int rc = ds_tok_parse(&tok, json->data, json->len, path, err);
    ds_tok_free(tok);
    return rc;
}

static int merge_and_write(training *t, const ds_train_options *o, const char *path,
                           uint32_t *tokens, ds_err *err)
{
    ds_buf json = {0};
    ds_train_options opts = *o;
    ds_progress_begin(&t->bar, "merging", o->vocab_size, false);
    opts.progress = on_merge;
    opts.ctx = &t->bar;
    int rc = ds_tok_train(&json, tokens, t->counters.all[0], &opts, err);
    ds_progress_end(&t->bar);
    if (rc == 0 && o->like != NULL)
        rc = check_json(&json, path, err);
    if (rc == 0)
        rc = ds_atomic_write(path, 0666, json.data, json.len, err);
    ds_buf_fini(&json);
    return rc;
}

typedef struct train_opts {
    const char *output, *column, *like;
    int64_t vocab_size, min_count, max_length, threads, memory;
    ds_opt_list special;
    bool no_special, json, quiet;
    int on_error;
} train_opts;

static void say_result(const train_opts *o, const tok_reader *r, const ds_words *w, uint32_t tokens)
{
    if (r->skipped > 20)
        ds_warn("%" PRIu64 " more files skipped", r->skipped - 20);
    if (tokens < (uint64_t)o->vocab_size)
        ds_warn("%u tokens instead of %" PRId64
                ": no pair of tokens occurs often enough to make more",
                tokens, o->vocab_size);
    if (o->json)
        printf("{\"type\":\"train\",\"tokens\":%u,\"files\":%" PRIu64 ",\"skipped\":%" PRIu64
               ",\"bytes\":%" PRIu64 ",\"words\":%" PRIu64 ",\"distinct_words\":%" PRIu64 "}\n",
               tokens, r->files, r->skipped, r->bytes, ds_words_total(w), ds_words_distinct(w));
    else
        ds_warn("%u tokens from %" PRIu64 " bytes in %" PRIu64 " file%s, %" PRIu64
                " distinct words",
                tokens, r->bytes, r->files, ds_s(r->files), ds_words_distinct(w));
}

/* Before the part of the work that --memory does not bound. */
static void warn_need(const train_opts *o, const ds_words *w)
{
    const uint64_t need = ds_words_need(w), mib = 1 << 20;
    if (need > (uint64_t)o->memory)
        ds_warn("merging takes about %" PRIu64 " MiB for %" PRIu64
                " distinct words, which --memory does not bound",
                (need + mib - 1) / mib, ds_words_distinct(w));
}

/* Before the work: whether the file can be made. Nothing stays of this. */
static int try_output(const char *path, ds_err *err)
{
    ds_atomic a = {0};
    const int rc = ds_atomic_open(&a, path, 0666, err);
    ds_atomic_abort(&a);
    return rc;
}

/* With no text, so that a file that cannot be made is found out before texts are read. */
static int rehearse(const ds_train_options *o, size_t n_special, const char *path, ds_err *err)
{
    ds_train_options least = *o;
    ds_words *none = NULL;
    ds_buf json = {0};
    uint32_t tokens;
    least.vocab_size = (uint32_t)(256 + n_special);
    int rc = ds_words_new(&none, err);
    rc = rc ? rc : ds_tok_train(&json, &tokens, none, &least, err);
    rc = rc ? rc : check_json(&json, path, err);
    ds_words_free(none);
    ds_buf_fini(&json);
    return rc;
}

/* What is to be learned; fails where the options do not go together. */
static int choose(ds_train_options *to, const train_opts *o, ds_tok_like **like, ds_err *err)
{
    static const char *const end_of_text[] = {"<|endoftext|>"};
    const bool given = o->special.n > 0;
    *to = (ds_train_options){.vocab_size = (uint32_t)o->vocab_size,
                             .min_count = (uint64_t)o->min_count,
                             .max_token_length = (uint64_t)o->max_length};
    if (o->output == NULL)
        return ds_fail(err, DS_USAGE, "-o FILE is needed: where to write the tokenizer.json");
    if (o->no_special && (given || o->like != NULL))
        return ds_fail(err, DS_USAGE, "--no-special goes with neither --special nor --like");
    int rc = o->like != NULL ? ds_tok_like_load(like, o->like, err) : 0;
    if (rc != 0)
        return rc;
    to->like = *like;
    to->special = given ? o->special.v : end_of_text;
    to->n_special = given ? o->special.n : !o->no_special && *like == NULL;
    const size_t n = to->n_special + (*like != NULL ? ds_tok_like_added(*like) : 0);
    if (to->vocab_size < 256 + n)
        return ds_fail(err, DS_USAGE,
                       "--vocab-size is at least 256 bytes and the special tokens: %zu", 256 + n);
    return rehearse(to, n, o->like != NULL ? o->like : o->output, err);
}

static int train(const train_opts *o, char **operands, int n, ds_err *err)
{
    training t = {0};
    tok_reader r = {.fn = submit, .ctx = &t, .skip = o->on_error == 1, .column = o->column};
    ds_train_options opts;
    ds_tok_like *like = NULL;
    uint32_t tokens = 0;
    int rc = choose(&opts, o, &like, err);
    const int threads = o->threads > 0 ? (int)o->threads : ds_cpu_count();
    r.whole = rc == 0 && like != NULL && !ds_tok_like_in_parts(like);
    if (rc == 0)
        rc = try_output(o->output, err);
    if (rc == 0)
        rc = counters_init(&t.counters, threads, (size_t)o->memory, like, err);
    if (rc == 0)
        rc = count_all(&t, &r, operands, n, threads, err);
    if (rc == 0 && ds_words_total(t.counters.all[0]) == 0)
        rc = ds_fail(err, r.skipped && r.unread == r.skipped && r.files == 0 ? DS_IO : DS_FAIL,
                     "no text to learn from%s", r.skipped ? ": every file was skipped" : "");
    if (rc == 0)
        warn_need(o, t.counters.all[0]);
    if (rc == 0)
        rc = merge_and_write(&t, &opts, o->output, &tokens, err);
    if (rc == 0)
        say_result(o, &r, t.counters.all[0], tokens);
    if (rc == 0 && r.skipped > 0)
        rc = ds_fail(err, DS_PARTIAL, "%" PRIu64 " of %" PRIu64 " files skipped", r.skipped,
                     r.skipped + r.files);
    if (t.counters.n > 0 || t.counters.all != NULL)
        counters_fini(&t.counters);
    ds_tok_like_free(like);
    return rc;
}

static int run(int argc, char **argv)
{
    static const char *const on_error[] = {"fail", "skip", NULL};
    train_opts o = {.column = "text",
                    .vocab_size = 32000,
                    .min_count = 2,
                    .memory = (int64_t)4 << 30,
                    .on_error = 1};
    const ds_opt opts[] = {
        OPT_STR('o', "output", o.output, "FILE", "write the tokenizer.json here (needed)"),
        OPT_HEADING("Input"),
        TOK_COLUMN(o.column),
        OPT_CHOICE(0, "on-error", o.on_error, "WHAT", on_error,
                   "fail, or skip files that cannot be read (skip)"),
        OPT_HEADING("Vocabulary"),
        OPT_INT(0, "vocab-size", o.vocab_size, "N", 257, 1 << 24,
                "tokens to learn, bytes and special ones included (32000)"),
        OPT_INT(0, "min-count", o.min_count, "N", 1, INT64_MAX, "merge no pair that is rarer (2)"),
        OPT_INT(0, "max-token-length", o.max_length, "N", 2, INT32_MAX,
                "make no token of N bytes or more (any length)"),
        OPT_LIST(0, "special", o.special, "TOKEN",
                 "a special token, in place of <|endoftext|>; may be repeated"),
        OPT_STR(0, "like", o.like, "FILE",
                "cut words as this tokenizer.json does, and keep all of it but the vocabulary"),
        OPT_FLAG(0, "no-special", o.no_special, "no special tokens"),
        OPT_HEADING("Resources"),
        OPT_INT('j', "threads", o.threads, "N", 1, 1024,
                "threads that count (all processors); changes no result"),
        OPT_SIZE_IN(
            'm', "memory", o.memory, "SIZE", 1 << 20, INT64_MAX,
            "the most that counts of words take, all threads together (4G); more lies in temporary "
            "files; changes no result"),
        OPT_HEADING("Messages"),
        OPT_FLAG(0, "json", o.json, "tell the result as one JSON object"),
        OPT_FLAG('q', "quiet", o.quiet, "errors only on standard error"),
        OPT_END};
    char **operands;
    int n, code = ds_opt_begin(&dstok_train, opts, argc, argv, &operands, &n);
    if (code >= 0)
        return code;
    ds_err err = {0};
    if (o.quiet)
        ds_log_level = 0;
    train(&o, operands, n, &err);
    ds_opt_list_fini(&o.special);
    return ds_command_end(&dstok_train, &err, o.json);
}

const ds_command dstok_train = {
    .prog = "dstok",
    .name = "train",
    .summary = "learn a vocabulary from texts",
    .operands = "FILE|FOLDER|-...",
    .min_operands = 1,
    .max_operands = -1,
    .example =
        "dstok train --vocab-size 32000 -o tokenizer.json corpus/\n"
        "dsprep logs /var/log | dsprep redact | dstok train --vocab-size 8000 -o logs.json -\n"
        "zcat logs.gz | dstok train --vocab-size 8000 --special '<pad>' --special '</s>' -o "
        "logs.json -\n"
        "dstok train --like Qwen2.5-1.5B/tokenizer.json --vocab-size 50000 -o ours.json corpus/",
    .description =
        "Learns a byte-level BPE tokenizer and writes it as a tokenizer.json that the "
        "reference library loads with the same ids. Folders are read with all files below, "
        "except a store of dsver (.dsver); from record streams (DSR) the texts of a column are "
        "taken, each with a newline after it. The result depends on the texts only, not on "
        "their order or the number of threads.\n\n"
        "Every vocabulary holds all 256 bytes, so there is no alphabet to choose or to limit, "
        "and no text without tokens. Words are marked by the space before them, not by "
        "prefixes or suffixes of tokens.\n\n"
        "Words are cut as Llama 3 does, unless --like names a tokenizer.json, of this command or "
        "of a model: then its normalizer and pre-tokenizer say what a word is (whether numbers "
        "are cut to single digits, say), and the new file keeps them, its post-processor, its "
        "decoder and its added tokens, which get the first ids; --special adds more. Chat "
        "templates and tokenizer_config.json name tokens by their texts, and go with the new file "
        "as they did with the old one. What stands in the texts like an added token is learned "
        "from as text. A text is a file or a record here, where the pipeline treats the beginning "
        "of one in a way of its own.\n\n"
        "Word counts that exceed --memory are kept in temporary files in $TMPDIR (/tmp) and "
        "added up at the end. Merging then needs memory for the distinct words, however often "
        "they occur: about 16 bytes for each and 12 for each of its bytes. The texts being "
        "read take some 16 MiB a thread on top.\n\n"
        "Files that cannot be read or are not UTF-8 are named, at most 20 of them, and "
        "skipped; the exit status is 3 then.",
    .run = run,
};
