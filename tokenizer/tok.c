/* tok.c - questions about a loaded tokenizer, and decoding. */
#include "tok_priv.h"
#include "utf8.h"

#include <string.h>

const ds_sha *ds_tok_digest(const ds_tok *tok)
{
    return &tok->digest;
}
uint32_t ds_tok_vocab_size(const ds_tok *tok)
{
    return tok->n_tokens;
}
uint32_t ds_tok_max_id(const ds_tok *tok)
{
    return tok->n_entries ? tok->n_entries - 1 : 0;
}

static const tok_entry *entry_of(const ds_tok *tok, uint32_t id)
{
    return id < tok->n_entries && (tok->entry[id].flags & TOK_EXISTS) ? &tok->entry[id] : NULL;
}

const char *ds_tok_text(const ds_tok *tok, uint32_t id, size_t *len)
{
    const tok_entry *e = entry_of(tok, id);
    if (e == NULL)
        return NULL;
    if (len != NULL)
        *len = e->text_len;
    return (const char *)tok->pool.data + e->text_at;
}

const uint8_t *ds_tok_bytes(const ds_tok *tok, uint32_t id, size_t *len)
{
    const tok_entry *e = entry_of(tok, id);
    if (e == NULL)
        return NULL;
    *len = e->bytes_len;
    return tok->pool.data + e->bytes_at;
}

bool ds_tok_is_added(const ds_tok *tok, uint32_t id)
{
    const tok_entry *e = entry_of(tok, id);
    return e != NULL && (e->flags & TOK_ADDED);
}

bool ds_tok_is_special(const ds_tok *tok, uint32_t id)
{
    const tok_entry *e = entry_of(tok, id);
    return e != NULL && (e->flags & TOK_SPECIAL);
}

const uint32_t *ds_tok_prefix(const ds_tok *tok, size_t *n)
{
    *n = tok->n_prefix;
    return tok->prefix;
}

const uint32_t *ds_tok_suffix(const ds_tok *tok, size_t *n)
{
    *n = tok->n_suffix;
    return tok->suffix;
}

void ds_tok_get_facts(const ds_tok *tok, ds_tok_facts *f)
{
    static const char *const names[] = {[TOK_STEP_LLAMA3] = "llama3",
                                        [TOK_STEP_QWEN2] = "qwen2",
                                        [TOK_STEP_GPT2] = "gpt2",
                                        [TOK_STEP_DEEPSEEK] = "deepseek-v3"};
    *f = (ds_tok_facts){.model_tokens = tok->n_model,
                        .merges = tok->merges.n,
                        .added_tokens = tok->n_added,
                        .special_tokens = tok->n_special,
                        .normalizer = tok->nfc ? "NFC" : "none",
                        .ignore_merges = tok->ignore_merges,
                        .has_decoder = tok->has_decoder};
    bool known = tok->n_steps == 1 && tok->step[0].kind <= TOK_STEP_DEEPSEEK;
    f->pre_tokenizer = known ? names[tok->step[0].kind] : "general";
}

/* Length of the bad sequence at p: what the reference's lossy conversion replaces by one U+FFFD,
 * the longest prefix of a well-formed sequence, or one byte (Unicode 3.9, "maximal subparts"). */
static size_t bad_length(const uint8_t *p, size_t len)
{
    size_t need = p[0] >= 0xf0 && p[0] <= 0xf4  ? 4
                  : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
                  : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
                                                : 1;
    uint8_t lo = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    uint8_t hi = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    size_t n = 1;
    for (; n < need && n < len && p[n] >= lo && p[n] <= hi; n++) {
        lo = 0x80;
        hi = 0xbf;
    }
    return n;
}

static int put_lossy(ds_buf *out, const uint8_t *p, size_t len)
{
    int rc = 0;
    while (len > 0 && rc == 0) {
        size_t good = ds_utf8_check(p, len), skip = 0;
        rc = ds_buf_put(out, p, good);
        if (good < len) {
            skip = bad_length(p + good, len - good);
            if (rc == 0)
                rc = ds_buf_puts(out, "\xef\xbf\xbd");
        }
        p += good + skip;
        len -= good + skip;
    }
    return rc;
}

int ds_tok_decode(const ds_tok *tok, const uint32_t *ids, size_t n, unsigned flags, ds_buf *out,
                  ds_err *err)
{
    ds_buf raw = {0}, *to = flags & DS_TOK_LOSSY ? &raw : out;
    size_t before = out->len;
    int rc = tok->has_decoder ? 0 : ds_fail(err, DS_FAIL, "this tokenizer has no decoder");
    for (size_t i = 0; i < n && rc == 0; i++) {
        const tok_entry *e = entry_of(tok, ids[i]);
        if (e == NULL)
            rc = ds_fail(err, DS_FAIL, "id %u at position %zu is not in the vocabulary", ids[i], i);
        else if (!((flags & DS_TOK_SKIP_SPECIAL) && (e->flags & TOK_SPECIAL)) &&
                 ds_buf_put(to, tok->pool.data + e->bytes_at, e->bytes_len) != 0)
            rc = ds_fail_nomem(err);
    }
    if (rc == 0 && (flags & DS_TOK_LOSSY) && put_lossy(out, raw.data, raw.len) != 0)
        rc = ds_fail_nomem(err);
    if (rc != 0)
        out->len = before;
    ds_buf_fini(&raw);
    return rc;
}
