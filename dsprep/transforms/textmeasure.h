/* textmeasure.h - what the rules of the field's quality filters measure in a text.
 *
 * Words: runs of anything but white space; each Han or kana character is a word of its own. A word
 * without the punctuation at its ends is what lengths and stop words look at; one that is all
 * punctuation is a symbol. Lines end at LF (a CR before it is not theirs); paragraphs at two or
 * more LF. Lengths are in code points. Words and lines are told apart by 64-bit hashes.
 *
 * Text must be valid UTF-8. A ds_textmeasure (zeroed at first) belongs to one thread; the class
 * table is shared.
 */
#ifndef DS_TEXTMEASURE_H
#define DS_TEXTMEASURE_H

#include "textbits.h"
#include "textgrams.h"

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

typedef struct ds_textmeasure {
    ds_textfacts f;
    ds_textgrams grams;
    ds_textbits bits;     /* of the text that was measured last */
    ds_buf table, table2; /* hashes seen */
} ds_textmeasure;

/* What is to be known besides chars, words, newlines, hashes and ellipses: what words are; lines
 * with bullets and ellipses; full lines; lines and paragraphs that repeat; n-grams. */
enum {
    DS_WANT_WORDS = 1,
    DS_WANT_LINES = 2,
    DS_WANT_FULL = 4,
    DS_WANT_PARTS = 8,
    DS_WANT_GRAMS = 16
};

/* Everything in f that is wanted, and the words in `grams`. */
int ds_textmeasure_set(ds_textmeasure *m, const ds_textclass *c, const uint8_t *p, size_t len,
                       unsigned want, ds_err *err);
void ds_textmeasure_fini(ds_textmeasure *m);

#endif
