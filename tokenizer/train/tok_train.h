/* tok_train.h - learning a byte-level BPE vocabulary.
 *
 * Words (pretokens of the Llama 3 split, or of another tokenizer's pipeline) are counted first, by
 * any number of threads: each fills a ds_words of its own, which are then added up. ds_tok_train
 * merges: always the pair with the largest count, of equal ones the smallest pair of ids, counts in
 * 64 bits. The result depends on the counts only, so neither on the order of texts nor on threads.
 * Ids: special tokens, the 256 bytes by code point of the byte alphabet, then merges (Sennrich et
 * al. 2016; ids as the reference's trainer).
 *
 * Memory: about 50 bytes for each distinct word and one for each of its bytes while counting; with
 * a limit (ds_words_limit), tables that may not grow lie sorted in temporary files ($TMPDIR), one
 * run each, and are added up at the end by merging, with the same result. Merging pairs takes 16
 * and 12 of all distinct words, whatever the limit.
 */
#ifndef DS_TOK_TRAIN_H
#define DS_TOK_TRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "error.h"

typedef struct ds_words ds_words;
int ds_words_new(ds_words **out, ds_err *err);
/* Counts the words of a text. Text that is not UTF-8 fails, naming the offset, with nothing
 * counted. */
int ds_words_add(ds_words *w, const void *text, size_t len, ds_err *err);
int ds_words_merge(ds_words *to, const ds_words *from, ds_err *err);

/* A tokenizer whose pipeline a vocabulary is learned for: words are what its normalizer and its
 * pre-tokenizer make of a text, and the new tokenizer.json has its members but for vocabulary,
 * merges and ids. Its added tokens come first; a text's are taken for plain text, as the
 * reference's trainer does. One whose tokens are of characters is refused. Immutable: for any
 * threads. */
typedef struct ds_tok_like ds_tok_like;
int ds_tok_like_load(ds_tok_like **out, const char *path, ds_err *err);
void ds_tok_like_free(ds_tok_like *l);
size_t ds_tok_like_added(const ds_tok_like *l);
/* May a text be counted in parts, cut by ds_words_cut? */
bool ds_tok_like_in_parts(const ds_tok_like *l);
/* Before the first text of a table. */
int ds_words_like(ds_words *w, const ds_tok_like *l, ds_err *err);

/* Where tables that share it put words that they have no room for; freed after the last of them. */
typedef struct ds_word_runs ds_word_runs;
int ds_word_runs_new(ds_word_runs **out, ds_err *err);
void ds_word_runs_free(ds_word_runs *r);
/* From now on `w` takes at most so many bytes; one word of any length is always possible. */
void ds_words_limit(ds_words *w, ds_word_runs *runs, size_t bytes);

/* After the last text, for the one table that all others that share its runs were merged into:
 * every word comes to stand in one place. `tick` (may be NULL) is called now and then with the
 * words that are done; non-zero ends it. */
int ds_words_finish(ds_words *w, int (*tick)(void *ctx, uint64_t words, ds_err *err), void *ctx,
                    ds_err *err);
/* About how many bytes ds_tok_train takes; after ds_words_finish. */
uint64_t ds_words_need(const ds_words *w);
/* Of the table; after ds_words_finish of all. */
uint64_t ds_words_distinct(const ds_words *w);
uint64_t ds_words_total(const ds_words *w);
void ds_words_free(ds_words *w);

/* The first place in (from, len) where a text may be cut without changing any word of the Llama 3
 * split; len when there is none. */
size_t ds_words_cut(const void *text, size_t len, size_t from);

typedef struct ds_train_options {
    uint32_t vocab_size;        /* tokens, special ones included */
    uint64_t min_count;         /* pairs that are rarer are not merged; 0 counts as 1 */
    uint64_t max_token_length;  /* no token of so many bytes is made, but of two; 0: any length */
    const char *const *special; /* distinct, not empty, UTF-8 */
    size_t n_special;
    const ds_tok_like *like; /* NULL: Llama 3's split, no normalizer */
    int (*progress)(void *ctx, uint32_t tokens,
                    ds_err *err); /* may be NULL; non-zero ends the training */
    void *ctx;
} ds_train_options;

/* Appends the tokenizer.json to `json`. The words are finished if they are not, and given up: they
 * can only be counted and freed then. *tokens = tokens in it: fewer than asked for when pairs ran
 * out. */
int ds_tok_train(ds_buf *json, uint32_t *tokens, ds_words *words, const ds_train_options *opts,
                 ds_err *err);

#endif
