/* chatprompt.h - what a user says, or a conversation, as the ids that a model's answer goes on
 * from: by its chat template (docs/chat-templates.md), with the generation prompt at the end. */
#ifndef DS_CHATPROMPT_H
#define DS_CHATPROMPT_H

#include "tok.h"

typedef struct ds_chatprompt ds_chatprompt;

/* `tokenizer` is the file that tok was loaded from; `kind` and `template` are those of ds_chatopts;
 * tok is borrowed. */
int ds_chatprompt_new(ds_chatprompt **out, const ds_tok *tok, const char *tokenizer,
                      const char *kind, const char *template, ds_err *err);
void ds_chatprompt_free(ds_chatprompt *p);

/* The token that ends a text by tokenizer_config.json; DS_TOK_NONE: it names none. */
uint32_t ds_chatprompt_end(const ds_chatprompt *p);

/* Appends to ids. `messages`: the text is a conversation in JSON. */
int ds_chatprompt_encode(ds_chatprompt *p, ds_tok_state *st, const char *text, size_t len,
                         bool messages, ds_ids *ids, ds_err *err);

#endif
