/* cmd_tok_info.c - dstok info: what a tokenizer.json holds. */
#include "cmd_tok.h"
#include "io.h"
#include "json.h"

#include <unistd.h>

static int put_ids(ds_buf *b, const uint32_t *ids, size_t n, const char *sep)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = ds_buf_printf(b, "%s%u", i ? sep : "", ids[i]);
    return rc;
}

static int as_json(ds_buf *b, const ds_tok *t, const ds_tok_facts *f, const char *digest)
{
    size_t np, ns;
    const uint32_t *prefix = ds_tok_prefix(t, &np), *suffix = ds_tok_suffix(t, &ns);
    int rc = ds_buf_printf(
        b,
        "{\"type\":\"tokenizer\",\"digest\":\"sha256:%s\",\"pre_tokenizer\":\"%s\",\"normalizer\":"
        "\"%s\",\"vocab_size\":%"
        "u,"
        "\"max_id\":%u,\"model_tokens\":%u,\"merges\":%u,\"ignore_merges\":%s,\"added_tokens\":%u,"
        "\"special_tokens\":{",
        digest, f->pre_tokenizer, f->normalizer, ds_tok_vocab_size(t), ds_tok_max_id(t),
        f->model_tokens, f->merges, f->ignore_merges ? "true" : "false", f->added_tokens);
    bool first = true;
    for (uint32_t id = 0; id <= ds_tok_max_id(t) && rc == 0; id++) {
        size_t len;
        if (!ds_tok_is_special(t, id))
            continue;
        rc = first ? 0 : ds_buf_putc(b, ',');
        if (rc == 0)
            rc = ds_json_str(b, ds_tok_text(t, id, NULL), (ds_tok_text(t, id, &len), len));
        if (rc == 0)
            rc = ds_buf_printf(b, ":%u", id);
        first = false;
    }
    if (rc == 0)
        rc = ds_buf_puts(b, "},\"prefix\":[");
    if (rc == 0)
        rc = put_ids(b, prefix, np, ",");
    if (rc == 0)
        rc = ds_buf_puts(b, "],\"suffix\":[");
    if (rc == 0)
        rc = put_ids(b, suffix, ns, ",");
    return rc == 0 ? ds_buf_puts(b, "]}\n") : rc;
}

static int as_text(ds_buf *b, const ds_tok *t, const ds_tok_facts *f, const char *digest)
{
    size_t np, ns;
    const uint32_t *prefix = ds_tok_prefix(t, &np), *suffix = ds_tok_suffix(t, &ns);
    int rc = ds_buf_printf(
        b,
        "digest         sha256:%s\npre-tokenizer  %s\nnormalizer     %s\nvocabulary     %u tokens, "
        "ids up to %u (%s)\nmodel          %u tokens, %u merges%s\nadded tokens   %u, %u of them "
        "special\n",
        digest, f->pre_tokenizer, f->normalizer, ds_tok_vocab_size(t), ds_tok_max_id(t),
        ds_tok_max_id(t) <= UINT16_MAX ? "u16" : "u32", f->model_tokens, f->merges,
        f->ignore_merges ? ", whole words first" : "", f->added_tokens, f->special_tokens);
    if (rc == 0)
        rc = ds_buf_puts(b, "a text gets    ");
    if (rc == 0)
        rc = put_ids(b, prefix, np, " ");
    if (rc == 0)
        rc = ds_buf_puts(b, np ? " TEXT" : "TEXT");
    if (rc == 0 && ns > 0)
        rc = ds_buf_putc(b, ' ');
    if (rc == 0)
        rc = put_ids(b, suffix, ns, " ");
    return rc == 0 ? ds_buf_putc(b, '\n') : rc;
}

static int run(int argc, char **argv)
{
    bool json = false;
    const ds_opt opts[] = {OPT_FLAG(0, "json", json, "write one JSON object"), OPT_END};
    char **operands;
    int n, code = ds_opt_begin(&dstok_info, opts, argc, argv, &operands, &n);
    if (code >= 0)
        return code;
    ds_err err = {0};
    ds_tok *tok = NULL;
    ds_tok_facts facts;
    ds_buf b = {0};
    char digest[65];
    int rc = ds_tok_load(&tok, operands[0], &err);
    if (rc == 0) {
        ds_tok_get_facts(tok, &facts);
        ds_sha_hex(digest, ds_tok_digest(tok));
        if ((json ? as_json : as_text)(&b, tok, &facts, digest) != 0)
            rc = ds_fail_nomem(&err);
    }
    if (rc == 0)
        ds_write_full(STDOUT_FILENO, "standard output", b.data, b.len, &err);
    ds_buf_fini(&b);
    ds_tok_free(tok);
    return ds_command_end(&dstok_info, &err, json);
}

const ds_command dstok_info = {
    .prog = "dstok",
    .name = "info",
    .summary = "what a tokenizer.json holds",
    .operands = "FILE",
    .min_operands = 1,
    .max_operands = 1,
    .example = "dstok info tokenizer.json\ndstok info --json tokenizer.json | jq .max_id",
    .description = "Checks that the tokenizer can be reproduced exactly and tells its digest, "
                   "pipeline and sizes.",
    .run = run,
};
