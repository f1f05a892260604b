/* textmeasure.h - what the rules of the field's quality filters measure in a text.
 *
 * Words: runs of anything but white space; each Han or kana character is a word of its own. A word
 * without the punctuation at its ends is what lengths and stop words look at; one that is all
 * punctuation is a symbol. Lines end at LF (a CR before it is not theirs); paragraphs at two or
 * more LF. Lengths are in code points.
 *
 * n-grams are those of Gopher (Rae et al. 2021, A1) in datatrove's form. Words and lines are told
 * apart by 64-bit hashes.
 *
 * Text must be valid UTF-8. A ds_textmeasure (zeroed at first) belongs to one thread; the class
 * table is shared.
 */
#ifndef DS_TEXTMEASURE_H
#define DS_TEXTMEASURE_H

#include "buf.h"

typedef struct ds_textclass ds_textclass;
int ds_textclass_new(ds_textclass **out, ds_err *err);
void ds_textclass_free(ds_textclass *c);

typedef struct ds_word {
    uint64_t hash;      /* of its bytes */
    uint32_t at, bytes; /* from the text's beginning: a text has less than 4 GiB */
    uint32_t chars;
} ds_word;

enum { DS_TOP_MIN = 2, DS_TOP_MAX = 4, DS_DUP_MIN = 5, DS_DUP_MAX = 10 };

typedef struct ds_textfacts {
    uint64_t chars;       /* code points */
    uint64_t words;       /* symbols among them */
    uint64_t real_words;  /* that are not symbols */
    uint64_t real_chars;  /* of these, without the punctuation at their ends */
    uint64_t alpha_words; /* that hold a letter */
    uint64_t hashes, ellipses;
    uint64_t stop_words; /* different ones of: the be to of and that have with */
    uint64_t newlines;
    uint64_t lines;          /* all of them, empty ones too */
    uint64_t bullet_lines;   /* begin with a bullet or a hyphen, after white space */
    uint64_t ellipsis_ends;  /* end with an ellipsis, before white space */
    uint64_t full_lines;     /* with something but white space */
    uint64_t ended_lines;    /* full, and end with punctuation that ends a sentence */
    uint64_t short_lines;    /* full, of at most 30 characters */
    uint64_t dup_full_chars; /* in full lines that were there before */
    /* split at one or more LF, and at two or more, with white space around the text gone */
    uint64_t rlines, dup_rlines, dup_rline_chars;
    uint64_t paras, dup_paras, dup_para_chars;
} ds_textfacts;

/* What the pairs of words say of longer n-grams: they can have no more characters than that. */
typedef struct ds_wordpairs {
    uint64_t top;                     /* exact, for n = 2 */
    uint64_t at_most[DS_TOP_MAX + 1]; /* for n = 3, 4 */
    uint64_t covered;                 /* by repeated n-grams, n >= 5 */
} ds_wordpairs;

typedef struct ds_textmeasure {
    ds_textfacts f;
    ds_wordpairs pairs;
    ds_buf words; /* of ds_word */
    ds_buf table; /* hashes seen */
    const uint8_t *p;
    size_t len;
} ds_textmeasure;

/* What is to be known besides chars, words and newlines: what words are, and symbols; lines;
 * lines and paragraphs that repeat; n-grams (ds_textmeasure_top, ds_textmeasure_dups). */
enum { DS_WANT_WORDS = 1, DS_WANT_LINES = 2, DS_WANT_PARTS = 4, DS_WANT_GRAMS = 8 };

/* Everything in f that is wanted. */
int ds_textmeasure_set(ds_textmeasure *m, const ds_textclass *c, const uint8_t *p, size_t len,
                       unsigned want, ds_err *err);
/* Characters of the most frequent n-gram, all its occurrences taken together (with the spaces
 * between its words); 0 when none is there twice. Answers up to `enough` may be given as 0. */
int ds_textmeasure_top(ds_textmeasure *m, unsigned n, uint64_t enough, uint64_t *chars,
                       ds_err *err);
/* Characters in n-grams that were there before, found from left to right without overlap, for each
 * n from 5 to 10; when none can be above `enough`, all may be given as 0. */
int ds_textmeasure_dups(ds_textmeasure *m, uint64_t enough, uint64_t chars[DS_DUP_MAX + 1],
                        ds_err *err);
void ds_textmeasure_fini(ds_textmeasure *m);

/* Bits of a code point: enum ds_uni classes of tok_uni.h. */
uint8_t ds_textclass_of(const ds_textclass *c, uint32_t cp);

#endif
