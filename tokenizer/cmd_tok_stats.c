/* cmd_tok_stats.c - dstok stats: what texts cost in tokens. */
#include "cmd_tok.h"
#include "cmd_tok_files.h"
#include "io.h"
#include "json.h"
#include "sig.h"
#include "tok_tally.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct counting {
    ds_tally tally;
    ds_tok *tok;
    ds_tok_state *st;
    unsigned flags;
} counting;

static int put_ids(void *ctx, const uint32_t *ids, size_t n, uint64_t consumed, ds_err *err)
{
    (void)consumed;
    int rc = ds_check_interrupt(err);
    return rc ? rc : ds_tally_put(ctx, ids, n, err);
}

static int count_part(void *ctx, ds_buf *part, ds_err *err)
{
    counting *c = ctx;
    int rc =
        ds_tok_encode_to(c->tok, c->st, part->data, part->len, c->flags, put_ids, &c->tally, err);
    ds_tally_end(&c->tally);
    return rc;
}

/* Ids in use, by what `better` says; at most n of them. */
typedef struct ranked {
    uint64_t key;
    uint32_t id;
} ranked;

static int by_key(const void *pa, const void *pb)
{
    const ranked *a = pa, *b = pb;
    if (a->key != b->key)
        return a->key > b->key ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static size_t token_bytes(const ds_tok *t, uint32_t id)
{
    size_t len = 0;
    ds_tok_bytes(t, id, &len);
    return len;
}

/* The longest tokens that occur, or the most frequent ones; *used = how many occur at all. */
static int rank(const ds_tally *t, bool longest, ranked **out, size_t *used, ds_err *err)
{
    size_t n = (size_t)ds_tok_max_id(t->tok) + 1;
    ranked *v = calloc(n, sizeof *v);
    *used = 0;
    *out = v;
    if (v == NULL)
        return ds_fail_nomem(err);
    for (uint32_t id = 0; id < n; id++)
        if (t->count[id] > 0)
            v[(*used)++] = (ranked){longest ? token_bytes(t->tok, id) : t->count[id], id};
    qsort(v, *used, sizeof *v, by_key);
    return 0;
}

static double per(uint64_t a, uint64_t b)
{
    return b > 0 ? (double)a / (double)b : 0;
}

static int put_list(ds_buf *b, const ds_tally *t, const ranked *v, size_t n, bool json)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        uint32_t id = v[i].id;
        rc = json ? ds_buf_printf(b, "%s{\"id\":%u,\"bytes\":%zu,\"count\":%" PRIu64 ",\"text\":",
                                  i ? "," : "", id, token_bytes(t->tok, id), t->count[id])
                  : ds_buf_printf(b, "  %8u  %6zu bytes  %10" PRIu64 " x  ", id,
                                  token_bytes(t->tok, id), t->count[id]);
        rc = rc ? rc : ds_tok_show(b, t->tok, id, t->byte_level);
        rc = rc ? rc : ds_buf_puts(b, json ? "}" : "\n");
    }
    return rc;
}

static int put_scripts(ds_buf *b, const ds_tally *t, bool json)
{
    bool first = true;
    int rc = 0;
    for (unsigned k = 0; ds_tally_script[k] != NULL && rc == 0; k++) {
        const ds_tally_row *r = &t->script[k];
        if (r->tokens == 0)
            continue;
        if (json)
            rc = ds_buf_printf(b,
                               "%s{\"script\":\"%s\",\"tokens\":%" PRIu64 ",\"bytes\":%" PRIu64
                               ",\"chars\":%" PRIu64 "}",
                               first ? "" : ",", ds_tally_script[k], r->tokens, r->bytes, r->chars);
        else
            rc = ds_buf_printf(b, "  %-14s %14" PRIu64 " %14" PRIu64 " %10.3f %10.3f %6.1f %%\n",
                               ds_tally_script[k], r->tokens, r->bytes, per(r->tokens, r->bytes),
                               per(r->tokens, r->chars), 100 * per(r->tokens, t->all.tokens));
        first = false;
    }
    return rc;
}

typedef struct report {
    const ds_tally *t;
    const tok_reader *r;
    ranked *longest, *frequent;
    size_t used, shown;
} report;

static int as_json(ds_buf *b, const report *p)
{
    const ds_tally *t = p->t;
    char digest[65];
    ds_sha_hex(digest, ds_tok_digest(t->tok));
    int rc = ds_buf_printf(
        b,
        "{\"type\":\"stats\",\"tokenizer\":\"sha256:%s\",\"files\":%" PRIu64 ",\"skipped\":%" PRIu64
        ",\"bytes\":%" PRIu64 ",\"tokens\":%" PRIu64
        ",\"tokens_per_byte\":%.6f,\"unknown\":%" PRIu64 ",\"parts_of_characters\":%" PRIu64
        ",\"distinct\":%zu,\"vocab_size\":%u,\"scripts\":[",
        digest, p->r->files, p->r->skipped, p->r->bytes, t->all.tokens,
        per(t->all.tokens, p->r->bytes), t->unknown, t->parts, p->used, ds_tok_vocab_size(t->tok));
    rc = rc ? rc : put_scripts(b, t, true);
    rc = rc ? rc : ds_buf_puts(b, "],\"longest\":[");
    rc = rc ? rc : put_list(b, t, p->longest, p->shown, true);
    rc = rc ? rc : ds_buf_puts(b, "],\"frequent\":[");
    rc = rc ? rc : put_list(b, t, p->frequent, p->shown, true);
    return rc ? rc : ds_buf_puts(b, "]}\n");
}

static int as_text(ds_buf *b, const report *p)
{
    const ds_tally *t = p->t;
    int rc = ds_buf_printf(
        b,
        "texts         %" PRIu64 " files, %" PRIu64 " bytes\ntokens        %" PRIu64
        ", %.4f a byte (%.3f bytes each)\nunknown       %" PRIu64
        " (%.4f %%)\nin parts      %" PRIu64
        " tokens are parts of characters (%.4f %%)\nvocabulary    %zu of %u tokens occur\n\n"
        "  %-14s %14s %14s %10s %10s  share\n",
        p->r->files, p->r->bytes, t->all.tokens, per(t->all.tokens, p->r->bytes),
        per(p->r->bytes, t->all.tokens), t->unknown, 100 * per(t->unknown, t->all.tokens), t->parts,
        100 * per(t->parts, t->all.tokens), p->used, ds_tok_vocab_size(t->tok), "script", "tokens",
        "bytes", "a byte", "a char");
    rc = rc ? rc : put_scripts(b, t, false);
    rc = rc ? rc : ds_buf_puts(b, "\nlongest\n");
    rc = rc ? rc : put_list(b, t, p->longest, p->shown, false);
    rc = rc ? rc : ds_buf_puts(b, "\nmost frequent\n");
    return rc ? rc : put_list(b, t, p->frequent, p->shown, false);
}

static int write_report(const ds_tally *t, const tok_reader *r, int64_t top, bool json, ds_err *err)
{
    report p = {.t = t, .r = r};
    ds_buf b = {0};
    int rc = rank(t, true, &p.longest, &p.used, err);
    rc = rc ? rc : rank(t, false, &p.frequent, &p.used, err);
    p.shown = (uint64_t)top < p.used ? (size_t)top : p.used;
    if (rc == 0 && (json ? as_json : as_text)(&b, &p) != 0)
        rc = ds_fail_nomem(err);
    if (rc == 0)
        rc = ds_write_full(STDOUT_FILENO, "standard output", b.data, b.len, err);
    ds_buf_fini(&b);
    free(p.longest);
    free(p.frequent);
    return rc;
}

static int run(int argc, char **argv)
{
    static const char *const on_error[] = {"fail", "skip", NULL};
    const char *path = NULL, *column = "text";
    bool json = false, no_added = false;
    int64_t top = 10;
    int skip = 0;
    const ds_opt opts[] = {
        OPT_STR('t', "tokenizer", path, "FILE", "the tokenizer.json (needed)"),
        TOK_COLUMN(column),
        OPT_INT('n', "top", top, "N", 0, 1000000, "how many of the longest and most frequent (10)"),
        OPT_FLAG(0, "no-added", no_added, "take added tokens for plain text"),
        OPT_CHOICE(0, "on-error", skip, "WHAT", on_error,
                   "fail, or skip files that cannot be read (fail)"),
        OPT_FLAG(0, "json", json, "write one JSON object"),
        OPT_END};
    char **operands;
    int n, code = ds_opt_begin(&dstok_stats, opts, argc, argv, &operands, &n);
    if (code >= 0)
        return code;
    ds_err err = {0};
    counting c = {.flags = DS_TOK_NO_SPECIAL | (no_added ? DS_TOK_NO_ADDED : 0u)};
    tok_reader r = {.fn = count_part, .ctx = &c, .skip = skip == 1, .column = column};
    int rc =
        path != NULL ? 0 : ds_fail(&err, DS_USAGE, "-t FILE is needed: tokens of which tokenizer?");
    rc = rc ? rc : ds_tok_load(&c.tok, path, &err);
    rc = rc ? rc : ds_tok_state_new(&c.st, c.tok, &err);
    rc = rc ? rc : ds_tally_init(&c.tally, c.tok, &err);
    for (int i = 0; i < n && rc == 0; i++)
        rc = tok_read_operand(&r, operands[i], &err);
    rc = rc ? rc : write_report(&c.tally, &r, top, json, &err);
    if (rc == 0 && r.skipped > 0)
        ds_fail(&err, DS_PARTIAL, "%" PRIu64 " of %" PRIu64 " files skipped", r.skipped,
                r.skipped + r.files);
    ds_tally_fini(&c.tally);
    ds_tok_state_free(c.st);
    ds_tok_free(c.tok);
    return ds_command_end(&dstok_stats, &err, json);
}

const ds_command dstok_stats = {
    .prog = "dstok",
    .name = "stats",
    .summary = "what texts cost in tokens, by script",
    .operands = "FILE|FOLDER|-...",
    .min_operands = 1,
    .max_operands = -1,
    .example = "dstok stats -t tokenizer.json corpus/\n"
               "dstok stats -t tokenizer.json --json notes.txt | jq '.scripts[] | "
               "[.script, .tokens / .chars]'",
    .description =
        "Tells tokens for each byte and character, by script; how many tokens are unknown, or "
        "mere parts of characters; which tokens are the longest and the most frequent, and how "
        "many of the vocabulary occur at all. A token belongs to the script of its first "
        "letter. Folders are read with all files below, except a store of dsver (.dsver); from "
        "record streams (DSR) a column of text is taken. Tokens that are put around a text are "
        "not counted.",
    .run = run,
};
