/* textgrams.h - how much of a text its repeated n-grams are: runs of n words, which are told apart
 * by 64-bit hashes. Those of Gopher (Rae et al. 2021, A1) in datatrove's form.
 *
 * Most texts repeat little: what their pairs of words can come to at most is seen without looking
 * any up, and only where that is too much are n-grams counted. A ds_textgrams (zeroed at first)
 * belongs to one thread.
 */
#ifndef DS_TEXTGRAMS_H
#define DS_TEXTGRAMS_H

#include "buf.h"

enum { DS_TOP_MIN = 2, DS_TOP_MAX = 4, DS_DUP_MIN = 5, DS_DUP_MAX = 10 };

typedef struct ds_gramword {
    uint64_t hash;
    uint32_t chars;
} ds_gramword;

typedef struct ds_textgrams {
    ds_buf words; /* of ds_gramword, by the caller */
    ds_buf table, seen;
    /* at most: characters of the most frequent n-gram; of those that repeat, n >= 5 */
    bool rough;
    uint64_t rough_top, rough_dups;
    /* the first by looking up pairs: exact for n = 2, at most for longer ones */
    bool paired;
    uint64_t top[DS_TOP_MAX + 1];
} ds_textgrams;

void ds_textgrams_reset(ds_textgrams *g); /* no words, memory kept */
void ds_textgrams_fini(ds_textgrams *g);

/* Characters of the most frequent n-gram, all its occurrences taken together (with the spaces
 * between its words); 0 when none is there twice. Answers up to `enough` may be given as 0. */
int ds_textgrams_top(ds_textgrams *g, unsigned n, uint64_t enough, uint64_t *chars, ds_err *err);
/* Characters in n-grams that were there before, found from left to right without overlap, for n
 * from 5 on. Answers up to `enough` may be given as 0. */
int ds_textgrams_dups(ds_textgrams *g, unsigned n, uint64_t enough, uint64_t *chars, ds_err *err);

#endif
