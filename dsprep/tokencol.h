/* tokencol.h - a column of tokens made from a column of text, block by block.
 *
 * A ds_tokenplan is read only once made and shared by threads; a ds_tokencol (zeroed at first)
 * belongs to one. Every block keeps its chunks as they are and gains one: the ids of the text
 * column's values, null where the text is.
 */
#ifndef DS_TOKENCOL_H
#define DS_TOKENCOL_H

#include "dsr_io.h"
#include "tok.h"

typedef struct ds_tokenplan {
    const ds_tok *tok; /* borrowed */
    unsigned flags;    /* enum ds_tok_flags */
    size_t text;       /* column number of the text */
    ds_schema schema;  /* of the result: the input's and the new column last */
} ds_tokenplan;

/* Adds column `name` made from column `column`. tokens16 when every id of the tokenizer fits,
 * tokens32 otherwise; attrs name the source column and the tokenizer's digest. */
int ds_tokenplan_init(ds_tokenplan *p, const ds_schema *in, const ds_tok *tok, const char *column,
                      const char *name, unsigned flags, ds_err *err);
void ds_tokenplan_fini(ds_tokenplan *p);

typedef struct ds_tokencol {
    ds_colbuild build;
    bool ready;
    ds_tok_state *state;
    ds_buf head;
    ds_chunk chunk;  /* the finished column of the last block; lent until the next */
    uint64_t tokens; /* ids in it */
    uint64_t bytes;  /* of text that they were made from */
} ds_tokencol;

/* Values of any size pass in constant memory: ids go to a spool, and the text's pages are let go
 * behind. */
int ds_tokencol_block(ds_tokencol *c, const ds_tokenplan *p, const ds_block *b, ds_err *err);
void ds_tokencol_fini(ds_tokencol *c);

#endif
