/* tok_runs.h - counted words in sorted runs, which lie in temporary files: what tables of words
 * hand over when they may not grow. Not for users; the object is that of tok_train.h.
 *
 * A run is, for each word: its length (varint), its bytes, its count (varint); ascending by hash,
 * length, bytes, each word once. Whenever FAN runs of one level are there, the thread that handed
 * over the last of them makes one run of the next level out of them, so that there are few files
 * and a word that is everywhere takes no space everywhere. Handing over is for any thread; the rest
 * for one, after all of that.
 */
#ifndef DS_TOK_RUNS_H
#define DS_TOK_RUNS_H

#include <stdbool.h>

#include "tok_words.h"

/* Sorts the n words of slots, whose bytes stand in `bytes`, and hands them over; of the slots
 * nothing is left. */
int ds_word_runs_put(ds_word_runs *r, tok_word *slots, size_t n, const ds_buf *bytes, ds_err *err);
bool ds_word_runs_empty(ds_word_runs *r);

/* Makes one run of all. `tick` (may be NULL) is called now and then; non-zero ends the merge. */
int ds_word_runs_join(ds_word_runs *r, int (*tick)(void *ctx, uint64_t words, ds_err *err),
                      void *ctx, ds_err *err);

/* A word of the joined run. */
typedef struct tok_run_word {
    uint64_t count;
    const uint8_t *p; /* lent until the next call */
    size_t len;
} tok_run_word;
/* 1 and the next word; 0 at the end; < 0 error. */
int ds_word_runs_next(ds_word_runs *r, tok_run_word *w, ds_err *err);
/* How many words, and bytes in all of them. */
void ds_word_runs_size(const ds_word_runs *r, uint64_t *words, uint64_t *bytes);

#endif
