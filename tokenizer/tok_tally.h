/* tok_tally.h - what the ids of texts are made of: how often each, and how many of each script.
 *
 * A token belongs to the script of its first letter, else to "digits", "punctuation", "white space"
 * or "other"; tokens that are parts of characters belong to the script of what they make together.
 * Scripts are told by blocks, coarsely. One thread owns a tally; a zeroed one is valid to _fini.
 */
#ifndef DS_TOK_TALLY_H
#define DS_TOK_TALLY_H

#include "tok.h"

enum { DS_TALLY_SCRIPTS = 24 };
extern const char *const ds_tally_script[DS_TALLY_SCRIPTS]; /* names; NULL behind the last */

typedef struct ds_tally_row {
    uint64_t tokens, bytes, chars;
} ds_tally_row;

typedef struct ds_tally {
    const ds_tok *tok;
    uint64_t *count; /* by id, ds_tok_max_id + 1 */
    uint8_t *kind;   /* by id: its script, or that it is a part of a character */
    ds_tally_row all, script[DS_TALLY_SCRIPTS];
    uint64_t unknown,
        parts; /* tokens for characters that the vocabulary lacks; parts of characters */
    uint32_t unknown_id;
    bool byte_level;
    ds_buf open; /* bytes of a character that has begun */
    uint64_t n_open;
} ds_tally;

int ds_tally_init(ds_tally *t, const ds_tok *tok, ds_err *err);
void ds_tally_fini(ds_tally *t);
/* Counts ids that go on where the last ones ended. */
int ds_tally_put(ds_tally *t, const uint32_t *ids, size_t n, ds_err *err);
void ds_tally_end(ds_tally *t); /* of a text */

/* The bytes of text that a token stands for: of a token of characters, U+2581 is a space and <0xAB>
 * one byte. Appended to `out`, which is emptied first. */
int ds_tok_stands_for(const ds_tok *tok, uint32_t id, bool byte_level, ds_buf *out);
/* Appends the token as JSON text for people: as it decodes, or as it is spelled where its bytes are
 * no whole characters. 0 or DS_NOMEM. */
int ds_tok_show(ds_buf *out, const ds_tok *tok, uint32_t id, bool byte_level);

#endif
