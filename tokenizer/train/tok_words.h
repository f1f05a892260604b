/* tok_words.h - the table behind ds_words, for the trainer. Not for users. */
#ifndef DS_TOK_WORDS_H
#define DS_TOK_WORDS_H

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
    size_t mask, n;
    uint64_t total;
};

/* Frees the words; what was counted of them altogether stays. */
void ds_words_give_up(ds_words *w);

#endif
