/* tok_make.h - small tokenizers for tests: 256 bytes, five merges, three added tokens.
 *
 * Ids: bytes by their value 0-255, he 256, ll 257, hell 258, hello 259, " hello" 260, <s> 261, </s>
 * 262, <think> 263 (not special). The pipeline is Llama 3's. */
#ifndef DS_TEST_TOK_MAKE_H
#define DS_TEST_TOK_MAKE_H

#include "tok.h"

/* Parts of the JSON that a test replaces; the names are those of tok_spec_set. */
typedef struct tok_spec {
    const char *dropout, *continuing_subword_prefix, *end_of_word_suffix, *ignore_merges;
    const char *extra; /* more of the vocabulary, from its comma on */
    const char *merges, *added, *normalizer, *pre, *post, *decoder;
} tok_spec;
extern const tok_spec TOK_SPEC;
extern const char *const TOK_PRE_QWEN2, *const TOK_PRE_DEEPSEEK, *const TOK_PRE_GPT2;

void tok_spec_set(tok_spec *s, const char *name, const char *value);
void tok_spec_write(ds_buf *out, const tok_spec *s);
ds_tok *tok_make(const tok_spec *s); /* the test fails when it cannot be loaded */

#endif
