/* cmd_tok_decode.c - dstok decode: ids in decimal to text. */
#include "cmd_tok.h"
#include "io.h"
#include "sig.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE ((size_t)64 << 10)

typedef struct decoder {
    const char *path;
    ds_tok *tok;
    ds_out *out;
    unsigned flags;
    bool lines;
    ds_ids ids;
    ds_buf text;
    uint64_t value, at; /* at: offset in the input */
    bool digits;
} decoder;

static int end_text(decoder *d, ds_err *err)
{
    ds_buf_reset(&d->text);
    int rc = ds_tok_decode(d->tok, d->ids.v, d->ids.n, d->flags, &d->text, err);
    if (rc == 0)
        rc = ds_out_put(d->out, d->text.data, d->text.len, err);
    d->ids.n = 0;
    return rc;
}

static int end_number(decoder *d, ds_err *err)
{
    uint32_t id = (uint32_t)d->value;
    if (!d->digits)
        return 0;
    d->digits = false;
    d->value = 0;
    return ds_ids_put(&d->ids, &id, 1) == 0 ? 0 : ds_fail_nomem(err);
}

static int take(decoder *d, uint8_t c, ds_err *err)
{
    if (c >= '0' && c <= '9') {
        d->value = d->value * 10 + (uint64_t)(c - '0');
        d->digits = true;
        return d->value < UINT32_MAX
                   ? 0
                   : ds_fail(err, DS_FAIL, "number too large at byte %" PRIu64, d->at);
    }
    if (c != ' ' && c != '\n' && c != '\t' && c != '\r' && c != ',')
        return ds_fail(err, DS_FAIL, "not a list of numbers at byte %" PRIu64, d->at);
    int rc = end_number(d, err);
    if (rc == 0 && c == '\n' && d->lines) {
        rc = end_text(d, err);
        if (rc == 0)
            rc = ds_out_put(d->out, "\n", 1, err);
    }
    return rc;
}

static int decode_all(decoder *d, int fd, ds_err *err)
{
    uint8_t *buf = malloc(PIECE);
    size_t got = PIECE;
    int rc = buf != NULL ? 0 : ds_fail_nomem(err);
    while (rc == 0 && got == PIECE) {
        rc = ds_check_interrupt(err);
        if (rc == 0)
            rc = ds_read_full(fd, d->path, buf, PIECE, &got, err);
        for (size_t i = 0; i < got && rc == 0; i++, d->at++)
            rc = take(d, buf[i], err);
        /* Bytes do not depend on neighbours; only the lossy conversion does. */
        if (rc == 0 && !d->lines && !(d->flags & DS_TOK_LOSSY))
            rc = end_text(d, err);
    }
    if (rc == 0)
        rc = end_number(d, err);
    bool open_line = d->lines && d->ids.n > 0;
    if (rc == 0)
        rc = end_text(d, err);
    if (rc == 0 && open_line)
        rc = ds_out_put(d->out, "\n", 1, err);
    if (rc == DS_FAIL)
        ds_err_prefix(err, "%s", d->path);
    free(buf);
    return rc;
}

static int run(int argc, char **argv)
{
    const char *tok_path = NULL;
    bool skip = false, lossy = false, lines = false;
    const ds_opt opts[] = {
        OPT_STR('t', "tokenizer", tok_path, "FILE", "the tokenizer.json (needed)"),
        OPT_FLAG(0, "skip-special", skip, "leave special tokens out"),
        OPT_FLAG(0, "lossy", lossy, "write U+FFFD for what is not UTF-8, as the reference does"),
        OPT_FLAG(0, "lines", lines, "every line is a text, and gives a line"), OPT_END};
    char **operands;
    int n, code = ds_opt_begin(&dstok_decode, opts, argc, argv, &operands, &n);
    if (code >= 0)
        return code;
    ds_err err = {0};
    ds_out out = {0};
    decoder d = {.path = operands[0], .out = &out, .lines = lines};
    int fd = -1;
    d.flags = (skip ? DS_TOK_SKIP_SPECIAL : 0u) | (lossy ? DS_TOK_LOSSY : 0u);
    int rc = tok_path != NULL ? 0 : ds_fail(&err, DS_USAGE, "-t FILE is needed: which tokenizer?");
    if (rc == 0)
        rc = ds_tok_load(&d.tok, tok_path, &err);
    bool std = strcmp(d.path, "-") == 0;
    if (rc == 0 && std)
        d.path = "standard input";
    else if (rc == 0)
        rc = ds_open(&fd, d.path, O_RDONLY, 0, &err);
    if (rc == 0)
        rc = ds_out_init(&out, STDOUT_FILENO, "standard output", &err);
    if (rc == 0)
        rc = decode_all(&d, std ? STDIN_FILENO : fd, &err);
    if (rc == 0)
        rc = ds_out_flush(&out, &err);
    ds_out_fini(&out);
    ds_close(&fd, d.path, NULL);
    ds_ids_fini(&d.ids);
    ds_buf_fini(&d.text);
    ds_tok_free(d.tok);
    return ds_command_end(&dstok_decode, &err, false);
}

const ds_command dstok_decode = {
    .prog = "dstok",
    .name = "decode",
    .summary = "token ids to text",
    .operands = "FILE|-",
    .min_operands = 1,
    .max_operands = 1,
    .example = "dstok encode -t tokenizer.json notes.txt | dstok decode -t tokenizer.json -",
    .description = "Reads ids in decimal, separated by white space or commas, and writes the bytes "
                   "they stand for.",
    .run = run,
};
