/* tok_replace.h - Replace of normalizers and decoders: every match of a text or a regex becomes
 * another text, as it stands.
 */
#ifndef DS_TOK_REPLACE_H
#define DS_TOK_REPLACE_H

#include <jansson.h>

#include "buf.h"
#include "tok_regex.h"

typedef struct tok_replace {
    char *from, *to; /* `from` is NULL for a regex */
    size_t from_len, to_len;
    tok_regex re;
    pcre2_match_context *limits;
} tok_replace;

/* Reads {"pattern": {"String": ...} or {"Regex": ...}, "content": ...}; `what` is for messages. */
int ds_tok_replace_read(tok_replace *r, const json_t *o, const char *what, ds_err *err);
void ds_tok_replace_fini(tok_replace *r);
/* Appends the text with its replacements. Any thread. */
int ds_tok_replace_apply(const tok_replace *r, ds_buf *out, const uint8_t *p, size_t len,
                         ds_err *err);
/* A member that is a string; `complaint` is the message when it is not, or empty where `empty` is
 * false. The copy is the caller's. */
int ds_tok_text_read(const json_t *v, const char *complaint, bool empty, char **out, size_t *len,
                     ds_err *err);

#endif
