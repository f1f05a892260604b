/* promptinit.h - what the virtual tokens of a prompt begin as, before they are trained.
 *
 * vocab: rows of the embedding, spread over the vocabulary by the seed. text: the rows of a text's
 * tokens, repeated or cut to the length of the prompt. random: normal with a deviation of 0.02. The
 * same seed and text give the same bits.
 */
#ifndef DS_PROMPTINIT_H
#define DS_PROMPTINIT_H

#include "net.h"
#include "tok.h"

enum ds_prompt_init { DS_PROMPT_VOCAB, DS_PROMPT_RANDOM, DS_PROMPT_TEXT };

/* Tokens of a text by the model folder's tokenizer.json, without special tokens around them,
 * appended to ids. DS_USAGE when there are none. */
int ds_prompt_ids(ds_ids *ids, const char *model, const char *text, ds_err *err);
/* Fills prompt_embeddings of a net that ds_net_add_prompt made; ids are those of the text. */
int ds_prompt_fill(ds_net *net, enum ds_prompt_init init, const uint32_t *ids, size_t n,
                   uint64_t seed, ds_err *err);

#endif
