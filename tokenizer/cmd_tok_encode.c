/* cmd_tok_encode.c - dstok encode: text to ids in decimal. */
#include "cmd_tok.h"
#include "io.h"
#include "sig.h"
#include "spool.h"
#include "tok_spans.h"
#include "term.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE ((size_t)256 << 10)

/* Where ids go: decimal numbers with spaces between, or a JSON line for each text. */
typedef struct sink {
    ds_out *out;
    bool json, first;
    uint64_t tokens;
    ds_spool *text; /* released behind, when the text is long */
    uint64_t released;
} sink;

static int put_ids(void *ctx, const uint32_t *ids, size_t n, uint64_t consumed, ds_err *err)
{
    sink *s = ctx;
    int rc = ds_check_interrupt(err);
    for (size_t i = 0; i < n && rc == 0; i++) {
        char text[16];
        size_t at = sizeof text;
        uint32_t v = ids[i];
        do
            text[--at] = (char)('0' + v % 10);
        while ((v /= 10) != 0);
        if (!s->first)
            text[--at] = s->json ? ',' : ' ';
        s->first = false;
        rc = ds_out_put(s->out, text + at, sizeof text - at, err);
    }
    s->tokens += n;
    if (rc == 0 && s->text != NULL && consumed - s->released >= (16u << 20)) {
        s->released = consumed;
        ds_spool_release(s->text, (size_t)consumed);
    }
    return rc;
}

typedef struct encoder {
    const char *path;
    ds_tok *tok;
    ds_tok_state *st;
    unsigned flags;
    bool offsets;
    sink sink;
} encoder;

/* Ids with where they stand in the text, in bytes and in code points; a token of a part of a code
 * point covers it whole there. */
static int put_offsets(encoder *e, const uint8_t *p, const ds_ids *ids, const ds_places *at,
                       ds_err *err)
{
    static const char *const names[] = {"{\"ids\":[", "],\"bytes\":[", "],\"chars\":["};
    ds_out *out = e->sink.out;
    char text[64];
    int rc = 0;
    for (int part = 0; part < 3 && rc == 0; part++) {
        size_t pos = 0, chars = 0; /* code points that begin before pos */
        rc = ds_out_put(out, names[part], strlen(names[part]), err);
        for (size_t i = 0; i < ids->n && rc == 0; i++) {
            size_t from = at->v[i].start, to = at->v[i].end;
            for (; part == 2 && pos < from; pos++)
                chars += (p[pos] & 0xc0) != 0x80;
            size_t first = chars - (from < to && (p[from] & 0xc0) == 0x80), last = chars;
            for (size_t k = from; part == 2 && k < to; k++)
                last += (p[k] & 0xc0) != 0x80;
            if (to == 0) /* nowhere */
                first = last = 0;
            int n = part == 0 ? snprintf(text, sizeof text, "%s%u", i ? "," : "", ids->v[i])
                    : part == 1
                        ? snprintf(text, sizeof text, "%s[%zu,%zu]", i ? "," : "", from, to)
                        : snprintf(text, sizeof text, "%s[%zu,%zu]", i ? "," : "", first, last);
            rc = ds_out_put(out, text, (size_t)n, err);
        }
    }
    int n = snprintf(text, sizeof text, "],\"n\":%zu}\n", ids->n);
    return rc ? rc : ds_out_put(out, text, (size_t)n, err);
}

static int encode_offsets(encoder *e, const uint8_t *p, size_t len, ds_err *err)
{
    const ds_span all = {.trust = e->flags & DS_TOK_NO_ADDED ? DS_TRUST_TEXT : DS_TRUST_ALL};
    size_t before = 0, after = 0;
    const uint32_t *prefix = ds_tok_prefix(e->tok, &before);
    const uint32_t *suffix = ds_tok_suffix(e->tok, &after);
    ds_spantext text = {0};
    ds_ids ids = {0}, around = {0};
    ds_places at = {0}, with = {0};
    int rc = ds_spantext_put(&text, p, len, all, err);
    if (rc == 0)
        rc = ds_tok_encode_spans(e->tok, e->st, &text, &ids, &at, err);
    if (e->flags & DS_TOK_NO_SPECIAL)
        before = after = 0;
    size_t n = before + ids.n + after, bytes;
    if (rc == 0 && (!ds_mul_size(n + 1, sizeof *with.v, &bytes) || !(with.v = calloc(1, bytes)) ||
                    ds_ids_put(&around, prefix, before) || ds_ids_put(&around, ids.v, ids.n) ||
                    ds_ids_put(&around, suffix, after)))
        rc = ds_fail_nomem(err);
    if (rc == 0) { /* the post-processor's tokens stand nowhere: [0,0] */
        if (at.n)
            memcpy(with.v + before, at.v, at.n * sizeof *at.v);
        rc = put_offsets(e, p, &around, &with, err);
    }
    ds_spantext_fini(&text);
    ds_ids_fini(&ids);
    ds_ids_fini(&around);
    ds_places_fini(&at);
    ds_places_fini(&with);
    return rc;
}

static int encode_one(encoder *e, const uint8_t *p, size_t len, ds_err *err)
{
    sink *s = &e->sink;
    if (e->offsets)
        return encode_offsets(e, p, len, err);
    s->first = true;
    s->tokens = 0;
    int rc = s->json ? ds_out_put(s->out, "{\"ids\":[", 8, err) : 0;
    if (rc == 0)
        rc = ds_tok_encode_to(e->tok, e->st, p, len, e->flags, put_ids, s, err);
    if (rc == 0 && s->json) {
        char tail[40];
        int n = snprintf(tail, sizeof tail, "],\"n\":%" PRIu64 "}", s->tokens);
        rc = ds_out_put(s->out, tail, (size_t)n, err);
    }
    return rc == 0 ? ds_out_put(s->out, "\n", 1, err) : rc;
}

/* Everything that can be read from fd, as one text. */
static int encode_whole(encoder *e, int fd, ds_err *err)
{
    ds_spool text = {0};
    uint8_t *buf = malloc(PIECE);
    const uint8_t *p;
    size_t got = 0, len;
    int rc = buf != NULL ? 0 : ds_fail_nomem(err);
    do {
        if (rc == 0)
            rc = ds_check_interrupt(err);
        if (rc == 0)
            rc = ds_read_full(fd, e->path, buf, PIECE, &got, err);
        if (rc == 0)
            rc = ds_spool_put(&text, buf, got, err);
    } while (rc == 0 && got == PIECE);
    if (rc == 0)
        rc = ds_spool_view(&text, &p, &len, err);
    if (rc == 0) {
        e->sink.text = &text;
        rc = encode_one(e, p, len, err);
        if (rc == DS_FAIL)
            ds_err_prefix(err, "%s", e->path);
        e->sink.text = NULL;
    }
    free(buf);
    ds_spool_fini(&text);
    return rc;
}

/* Each line a text, without its newline. */
static int encode_lines(encoder *e, int fd, ds_err *err)
{
    ds_buf line = {0};
    uint8_t *buf = malloc(PIECE);
    uint64_t number = 0;
    size_t got = PIECE;
    int rc = buf != NULL ? 0 : ds_fail_nomem(err);
    while (rc == 0 && got == PIECE) {
        rc = ds_read_full(fd, e->path, buf, PIECE, &got, err);
        for (size_t at = 0; at < got && rc == 0;) {
            const uint8_t *nl = memchr(buf + at, '\n', got - at);
            size_t n = nl != NULL ? (size_t)(nl - buf) - at : got - at;
            if (ds_buf_put(&line, buf + at, n) != 0)
                rc = ds_fail_nomem(err);
            at += n + (nl != NULL);
            if (rc == 0 && nl != NULL) {
                number++;
                rc = encode_one(e, line.data, line.len, err);
                ds_buf_reset(&line);
            }
        }
    }
    if (rc == 0 && line.len > 0) {
        number++;
        rc = encode_one(e, line.data, line.len, err);
    }
    if (rc == DS_FAIL)
        ds_err_prefix(err, "%s: line %" PRIu64, e->path, number);
    ds_buf_fini(&line);
    free(buf);
    return rc;
}

/* One operand: a file, or "-" for standard input. */
static int encode_file(encoder *e, const char *path, bool lines, ds_err *err)
{
    const bool std = strcmp(path, "-") == 0;
    int fd = STDIN_FILENO, rc = 0;

    e->path = std ? "standard input" : path;
    if (!std)
        rc = ds_open(&fd, path, O_RDONLY, 0, err);
    if (rc == 0)
        rc = (lines ? encode_lines : encode_whole)(e, fd, err);
    if (!std)
        ds_close(&fd, path, NULL);
    return rc;
}

static int run(int argc, char **argv)
{
    const char *tok_path = NULL;
    int64_t memory = 64 << 20;
    bool no_special = false, no_added = false, lines = false, json = false, offsets = false;
    const ds_opt opts[] = {
        OPT_STR('t', "tokenizer", tok_path, "FILE", "the tokenizer.json (needed)"),
        OPT_HEADING("Texts"),
        OPT_FLAG(0, "lines", lines, "every line is a text, and gives a line"),
        OPT_FLAG(0, "no-special", no_special, "add no tokens before and after a text"),
        OPT_FLAG(0, "no-added", no_added,
                 "take added tokens in the text for plain text, as text from strangers should be"),
        OPT_HEADING("Output"),
        OPT_FLAG(0, "json", json, "write {\"ids\":[...],\"n\":N} for each text"),
        OPT_FLAG(0, "offsets", offsets,
                 "with --json: where each token stands in the text, as \"bytes\" and \"chars\": "
                 "[[FROM,TO],...]"),
        OPT_HEADING("Speed"),
        OPT_SIZE(0, "memory", memory, "SIZE",
                 "the most that words seen before take (64M); changes speed only"),
        OPT_END};
    char **operands;
    int n, code = ds_opt_begin(&dstok_encode, opts, argc, argv, &operands, &n);
    if (code >= 0)
        return code;
    ds_err err = {0};
    ds_out out = {0};
    encoder e = {.sink.out = &out, .sink.json = json};
    e.flags = (no_special ? DS_TOK_NO_SPECIAL : 0u) | (no_added ? DS_TOK_NO_ADDED : 0u);
    e.offsets = offsets;
    if (offsets && !json)
        ds_fail(&err, DS_USAGE, "--offsets goes with --json");
    int rc = err.code           ? err.code
             : tok_path != NULL ? 0
                                : ds_fail(&err, DS_USAGE, "-t FILE is needed: which tokenizer?");
    if (rc == 0)
        rc = ds_tok_load(&e.tok, tok_path, &err);
    if (rc == 0)
        rc = ds_tok_state_new(&e.st, e.tok, &err);
    if (rc == 0)
        rc = ds_tok_state_memory(e.st, memory > 0 ? (size_t)memory : 0, &err);
    if (rc == 0)
        rc = ds_out_init(&out, STDOUT_FILENO, "standard output", &err);
    for (int i = 0; i < n && rc == 0; i++)
        rc = encode_file(&e, operands[i], lines, &err);
    if (rc == 0)
        rc = ds_out_flush(&out, &err);
    ds_out_fini(&out);
    ds_tok_state_free(e.st);
    ds_tok_free(e.tok);
    return ds_command_end(&dstok_encode, &err, json);
}

const ds_command dstok_encode = {
    .prog = "dstok",
    .name = "encode",
    .summary = "text to token ids",
    .operands = "FILE|-...",
    .min_operands = 1,
    .max_operands = -1,
    .example = "echo 'Hello world' | dstok encode -t tokenizer.json -\n"
               "dstok encode -t tokenizer.json --lines --json notes.txt",
    .description =
        "Writes the ids of a text, in decimal with spaces between, on one line. Each input is one "
        "text, or every line of it with --lines. The ids are those of the reference implementation "
        "of tokenizer.json; a tokenizer that cannot be reproduced exactly is refused.",
    .run = run,
};
