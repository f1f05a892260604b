/* tok_words.h - the table behind ds_words, for the trainer. Not for users. */
#ifndef DS_TOK_WORDS_H
#define DS_TOK_WORDS_H

#include "tok.h"
#include "tok_train.h"
#include "tok_uni.h"

typedef struct tok_word {
    uint64_t hash, count; /* count 0 = empty slot */
    size_t at;            /* into ds_words.bytes */
    uint32_t len;
} tok_word;

struct ds_words {
    uint8_t cls[DS_UNI_MAX];
    ds_buf bytes;
    tok_word *slot;
    size_t mask, n; /* n: words in the table */
    uint64_t total;
    size_t limit; /* of table and bytes together, 0 = none */
    ds_word_runs *runs;
    ds_tok_state *like;      /* what finds words, or NULL */
    uint64_t distinct, text; /* after ds_words_finish: words, and bytes in all of them */
};

/* All words, one by one, after ds_words_finish. */
typedef struct tok_words_walk {
    const ds_words *w;
    size_t i;
} tok_words_walk;
/* 1 and the next word, lent until the next call; 0 at the end; < 0 error. A zeroed walk but for w
 * is at the beginning. */
struct tok_run_word;
int ds_words_next(tok_words_walk *walk, struct tok_run_word *word, ds_err *err);

/* Frees the words; what was counted of them altogether stays. */
void ds_words_give_up(ds_words *w);

#endif
