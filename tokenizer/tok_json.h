/* tok_json.h - the parts of the tokenizer.json reader (tok_load.c, tok_pipeline.c). Not for users.
 */
#ifndef DS_TOK_JSON_H
#define DS_TOK_JSON_H

#include <jansson.h>

#include "tok_priv.h"

int ds_tok_read_normalizer(ds_tok *t, const json_t *o, ds_err *err);
int ds_tok_read_pre_tokenizer(ds_tok *t, const json_t *o, ds_err *err);
int ds_tok_read_post_processor(ds_tok *t, const json_t *o, ds_err *err);
int ds_tok_read_decoder(ds_tok *t, const json_t *o, ds_err *err);
void ds_tok_decoders_fini(ds_tok *t);
int ds_tok_metaspace_read(tok_metaspace *m, const json_t *o, const char *what, ds_err *err);
const char *ds_tok_llama3_pattern(void); /* as tokenizer.json spells it */

#endif
