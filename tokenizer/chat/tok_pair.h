/* tok_pair.h - a prompt and two answers to it, of which one is preferred, as two conversations or
 * two texts that begin alike (docs/chat-templates.md, "Pairs").
 *
 * What a record says may be a text, or JSON: a string, a message, a list of messages, or for the
 * prompt an object with one. Any thread.
 */
#ifndef DS_TOK_PAIR_H
#define DS_TOK_PAIR_H

#include "buf.h"
#include "error.h"

enum { DS_PAIR_PROMPT, DS_PAIR_CHOSEN, DS_PAIR_REJECTED, DS_PAIR_TEXTS };

typedef struct ds_pairtext {
    const void *p; /* NULL: not there, which only a prompt may be */
    size_t len;
    bool json; /* else a text; of messages where it is the JSON of some */
} ds_pairtext;

/* side[0] and side[1] (in place of what they held) are conversations for ds_chat_encode, whose
 * first *given messages are the prompt of both. DS_FAIL names what is missing or wrong. */
int ds_pair_chats(ds_buf side[2], size_t *given, const ds_pairtext v[DS_PAIR_TEXTS], ds_err *err);

/* How many bytes two texts begin with that are alike and a prompt, where none is given apart: whole
 * characters, and not the blank before the first that differs. DS_FAIL where that is nothing, or
 * all of both. */
int ds_pair_common(size_t *n, const void *a, size_t na, const void *b, size_t nb, ds_err *err);

#endif
