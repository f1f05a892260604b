/* tok.c - questions about a loaded tokenizer. */
#include "tok_priv.h"


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

const tok_entry *ds_tok_entry_of(const ds_tok *tok, uint32_t id)
{
    return id < tok->n_entries && (tok->entry[id].flags & TOK_EXISTS) ? &tok->entry[id] : NULL;
}

const char *ds_tok_text(const ds_tok *tok, uint32_t id, size_t *len)
{
    const tok_entry *e = ds_tok_entry_of(tok, id);
    if (e == NULL)
        return NULL;
    if (len != NULL)
        *len = e->text_len;
    return (const char *)tok->pool.data + e->text_at;
}

const uint8_t *ds_tok_bytes(const ds_tok *tok, uint32_t id, size_t *len)
{
    const tok_entry *e = ds_tok_entry_of(tok, id);
    if (e == NULL)
        return NULL;
    *len = e->bytes_len;
    return tok->pool.data + e->bytes_at;
}

bool ds_tok_is_added(const ds_tok *tok, uint32_t id)
{
    const tok_entry *e = ds_tok_entry_of(tok, id);
    return e != NULL && (e->flags & TOK_ADDED);
}

bool ds_tok_is_special(const ds_tok *tok, uint32_t id)
{
    const tok_entry *e = ds_tok_entry_of(tok, id);
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
                        .normalizer = tok->norms.name,
                        .ignore_merges = tok->ignore_merges,
                        .has_decoder = tok->n_decoders > 0,
                        .byte_level = tok->byte_level,
                        .unknown = tok->byte_level ? DS_TOK_NONE : tok->unk};
    bool known = tok->n_steps == 1 && tok->step[0].kind <= TOK_STEP_DEEPSEEK;
    f->pre_tokenizer = known ? names[tok->step[0].kind] : tok->n_steps == 0 ? "none" : "general";
}
