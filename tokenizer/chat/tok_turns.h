/* tok_turns.h - the messages of a conversation, brought into one form. Not for users. */
#ifndef DS_TOK_TURNS_H
#define DS_TOK_TURNS_H

#include <jansson.h>

#include "buf.h"
#include "error.h"

typedef struct ds_turnset {
    json_t *messages; /* {"role", "content", ...}: content a string or null */
    json_t *tools;    /* a list, or NULL */
    ds_buf role;      /* by message: enum ds_role */
    uint64_t *bytes;  /* by message: of content and reasoning, without white space around */
} ds_turnset;         /* zeroed is valid */

/* See tok_chat.h for the forms. DS_FAIL names the message and what is wrong with it. */
int ds_turnset_parse(ds_turnset *t, const void *json, size_t len, ds_err *err);
void ds_turnset_fini(ds_turnset *t);

#endif
