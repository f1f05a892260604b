/* tok_write.h - a vocabulary while it is learned, and tokenizer.json as text. Not for users. */
#ifndef DS_TOK_WRITE_H
#define DS_TOK_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "error.h"

typedef struct tok_text {
    size_t at;
    uint32_t len;
} tok_text;

typedef struct tok_table {
    ds_buf pool;    /* texts in the byte alphabet */
    tok_text *text; /* by id */
    size_t cap_text;
    uint32_t n; /* tokens */
    uint32_t n_special;
    uint32_t byte_id[256];
    uint64_t *merge; /* a << 32 | b, in order */
    size_t n_merges, cap_merges;
    uint32_t *slot; /* hash of text -> id, UINT32_MAX = empty */
    size_t mask;
} tok_table;

/* Special tokens, then the bytes. */
int ds_tok_table_init(tok_table *t, const char *const *special, size_t n, ds_err *err);
void ds_tok_table_fini(tok_table *t);
/* The token a merge makes: a new one, unless one with its text is there already. Noted as a merge
 * when `note`. */
int ds_tok_table_merge(tok_table *t, uint32_t a, uint32_t b, bool note, uint32_t *id);
int ds_tok_write_json(ds_buf *out, const tok_table *t);
/* The model's members of these names, a token or a merge a line. */
int ds_tok_write_vocab(ds_buf *out, const tok_table *t);
int ds_tok_write_merges(ds_buf *out, const tok_table *t);

#endif
