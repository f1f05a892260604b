/* tokencol.h - columns of tokens made from a record's text, block by block.
 *
 * From plain text, or from ids that somebody gave: one column of ids, null where the text is; with
 * their labels `loss` beside it. From a prompt and its answer, or a
 * conversation: the ids, and beside them two columns of runs with a value for each token: `loss`, 1
 * where a model is to learn the token, and `roles`, whose words it belongs to (enum ds_role); all
 * three null where the record has none. From a prompt and two answers (tokenpair.h) the ids of the
 * prompt with the one that is preferred and then of the prompt with the other, and a fourth column,
 * `sides`: 0 for the tokens of the first of the two, 1 for those of the second.
 *
 * A ds_tokenplan is read only once made and shared by threads; a ds_tokencol (zeroed at first)
 * belongs to one. Every block keeps its chunks as they are and gains the new ones.
 */
#ifndef DS_TOKENCOL_H
#define DS_TOKENCOL_H

#include "dsr_io.h"
#include "givenids.h"
#include "tok_chat.h"
#include "tok_shelf.h"

enum ds_truncate { DS_TRUNCATE_ERROR, DS_TRUNCATE_LEFT, DS_TRUNCATE_RIGHT, DS_TRUNCATE_DROP };

/* What a plan is made of; everything is borrowed. */
typedef struct ds_tokenopts {
    const ds_tok *tok;
    ds_tok_shelf *shelf; /* of tok; a block is worked on with a state of it */
    unsigned flags;      /* enum ds_tok_flags; DS_TOK_NO_ADDED is for plain text */
    const char *name;    /* of the new column */
    const char *column;  /* plain text */
    /* or a prompt and its answer */
    const char *prompt, *response, *separator;
    /* or a prompt (NULL: what both begin with) and two answers, texts or, with chat, messages */
    const char *chosen, *rejected;
    /* or conversations, as tok_chat.h has them */
    const ds_chat *chat;
    const char *messages; /* NULL: the column messages, or text */
    /* or ids, their labels and mask (givenids.h), by name; the first is NULL where it is none of it
     */
    const char *given[DS_GIVEN];
    bool allow_special;  /* content may spell added tokens */
    uint32_t eos;        /* put behind the answer; DS_TOK_NONE: nothing is */
    uint64_t max_tokens; /* 0 = any number; post-processor's tokens included */
    enum ds_truncate truncate;
    bool skip; /* a record that cannot be used has no tokens; else it is an error */
} ds_tokenopts;

#define DS_TOKENCOLS 4

typedef struct ds_tokenplan {
    ds_tokenopts o;
    size_t ncols; /* new columns, this many of: tokens, loss, roles, sides */
    ds_textref text[DS_GIVEN];
    size_t ntexts;
    bool closed;      /* the post-processor puts o.eos at the end itself */
    size_t room;      /* tokens that may stand between the post-processor's */
    ds_schema schema; /* of the result: the input's and the new columns last */
} ds_tokenplan;

/* Tokens are tokens16 when every id of the tokenizer fits, tokens32 otherwise; attributes name what
 * they were made from and the tokenizer's digest. */
int ds_tokenplan_init(ds_tokenplan *p, const ds_schema *in, const ds_tokenopts *o, ds_err *err);
void ds_tokenplan_fini(ds_tokenplan *p);

/* What became of a block's records. */
typedef struct ds_tokencounts {
    uint64_t tokens, targets, bytes;
    uint64_t truncated; /* cut to max_tokens */
    uint64_t dropped;   /* longer than that, and without tokens for it */
    uint64_t idle;      /* have tokens, none of them a target */
    uint64_t skipped;   /* could not be used */
    uint64_t shortened; /* assistant turns that a template did not write in full */
} ds_tokencounts;

typedef struct ds_tokencol {
    ds_colbuild build[DS_TOKENCOLS];
    ds_buf head[DS_TOKENCOLS];
    bool ready;
    ds_tok_state *state; /* while a block is worked on */
    ds_spantext text;
    ds_chatwork chat;
    ds_ids ids;
    ds_places at;
    ds_buf marks, runs;    /* role and target of each id; a row of runs */
    ds_buf said[DS_GIVEN]; /* texts of a prompt and its answers */
    ds_buf side[2];        /* a pair's two conversations */
    ds_buf given[DS_GIVEN];
    ds_colview views[DS_GIVEN]; /* of the texts, while a block is worked on */
    ds_jscan scan;
    ds_chunk chunk[DS_TOKENCOLS]; /* of the last block; lent until the next */
    ds_tokencounts counts;        /* of the last block */
    ds_err skipped;               /* the first record of it that was skipped, and why */
} ds_tokencol;

/* Plain text of any size passes in constant memory: ids go to a spool, and the text's pages are let
 * go behind. A prompt with its answer is held in memory: 1 GiB at most. */
int ds_tokencol_block(ds_tokencol *c, const ds_tokenplan *p, const ds_block *b, ds_err *err);
void ds_tokencol_fini(ds_tokencol *c);

#endif
