/* tok_chat.h - conversations to ids that say what is to be learned (docs/chat-templates.md).
 *
 * A conversation is JSON: a list of {"role", "content"} (content a string, null, or a list of text
 * parts; reasoning_content, tool_calls and whatever else the template reads), the ShareGPT list of
 * {"from", "value"}, or an object with one of these as "messages" or "conversations" and, if it has
 * them, "tools". It is rendered by the tokenizer's own chat template and encoded as a whole, so
 * that ids are those of the reference; but content cannot spell added tokens: a user's none, an
 * assistant's only those that are not special (<think>), unless allow_special.
 *
 * A ds_chat is read only once made and shared by threads; a ds_chatwork (zeroed) belongs to one.
 */
#ifndef DS_TOK_CHAT_H
#define DS_TOK_CHAT_H

#include "tok_config.h"
#include "tok_spans.h"
#include "tok_tmpl.h"

enum ds_trainon { DS_TRAIN_ASSISTANT, DS_TRAIN_LAST, DS_TRAIN_ALL };

typedef struct ds_chatopts {
    const ds_tok *tok;    /* borrowed */
    const char *kind;     /* auto: a template that is known; any; or a known one's name */
    const char *template; /* a file that takes the place of the configuration's template, or NULL */
    bool allow_special;
    enum ds_trainon train;
    bool ask; /* the text ends with what a model's answer goes on from (add_generation_prompt) */
} ds_chatopts;

typedef struct ds_chat ds_chat;
int ds_chat_new(ds_chat **out, const ds_chatopts *o, const ds_tokconf *conf, ds_err *err);
void ds_chat_free(ds_chat *c);
const ds_sha *ds_chat_digest(const ds_chat *c); /* of the template's text */
const char *ds_chat_name(const ds_chat *c);     /* of the known template, or "unknown" */

#define DS_MARK_TARGET 0x80u /* a mark is an enum ds_role and this */

typedef struct ds_chatwork {
    ds_tmplout out;
    ds_spantext text;
    ds_places at;
    uint64_t shortened; /* assistant turns that the template did not write in full; counts up */
    size_t given;       /* set by the caller: so many messages are a prompt, and not learned. ALL is
                           then all that follows what a model is given with them */
} ds_chatwork;
void ds_chatwork_fini(ds_chatwork *w);

/* Appends ids and a mark, one byte, for each. The text that was encoded stands in w->text. */
int ds_chat_encode(const ds_chat *c, ds_chatwork *w, ds_tok_state *st, const void *json, size_t len,
                   ds_ids *ids, ds_buf *marks, ds_err *err);

#endif
