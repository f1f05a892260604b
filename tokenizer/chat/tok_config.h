/* tok_config.h - what stands beside a tokenizer.json: tokenizer_config.json, with the names of the
 * tokens that begin and end a text, and the chat template.
 *
 * A zeroed object is valid: nothing known. Owns its memory; one thread, or many once it is loaded.
 */
#ifndef DS_TOK_CONFIG_H
#define DS_TOK_CONFIG_H

#include "tok.h"

typedef struct ds_tokconf {
    char *bos, *eos, *template; /* NULL = none; UTF-8 without NUL */
    char *path;                 /* the file that was read; NULL = there was none */
} ds_tokconf;

/* Reads `path`, or, when it is NULL, tokenizer_config.json in the folder of `tokenizer`, which may
 * be missing. A list of templates counts by the one named "default". A file chat_template.jinja
 * beside it takes the place of a template that the file lacks. */
int ds_tokconf_load(ds_tokconf *c, const char *path, const char *tokenizer, ds_err *err);
void ds_tokconf_fini(ds_tokconf *c);

/* The id of the token that ends a text: by the configuration, or by the names that are in use for
 * it. DS_TOK_NONE when there is none. */
uint32_t ds_tokconf_eos(const ds_tokconf *c, const ds_tok *tok);

#endif
