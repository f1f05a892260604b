/* c4lines.h - C4's rules for the lines of a text (Raffel et al. 2020, section 2.2), in datatrove's
 * form: which lines stay, and what a document is dropped for.
 *
 * A line loses the white space around it and its citation marks ([1], [edit], [citation needed]).
 * One thread a ds_c4lines; zeroed at first. Text must be valid UTF-8.
 */
#ifndef DS_C4LINES_H
#define DS_C4LINES_H

#include "textbits.h"

typedef struct ds_c4opts {
    double word_chars; /* a line with a longer word goes */
    double line_words; /* a line with fewer words goes */
    bool punctuation;  /* a line must end with . ? ! " or ', and not with an ellipsis */
    bool javascript;   /* a line that names it goes */
    bool policy;       /* so does one about cookies, terms of use, privacy */
} ds_c4opts;

typedef struct ds_c4lines {
    ds_buf text; /* the lines that stay, joined by LF */
    ds_buf line;
    bool phrases; /* the text holds words that lines go for */
    uint64_t lines, kept, sentences;
    bool lorem_ipsum, curly_bracket; /* in a line that stays */
} ds_c4lines;

/* Of the text whose bits these are. */
int ds_c4lines_set(ds_c4lines *c, const ds_c4opts *o, const ds_textbits *b, ds_err *err);
void ds_c4lines_fini(ds_c4lines *c);

#endif
