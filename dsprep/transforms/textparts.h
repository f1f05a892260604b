/* textparts.h - the parts of a text that are compared one by one: its lines, its paragraphs, or all
 * of its runs of n words.
 *
 * A line or paragraph (lines up to one with nothing but white space) is compared by its bytes,
 * without white space around it; or, when words are asked for, by its words in normal form
 * (normwords.h), with numbers as 0. Runs of words always go by these words. What has nothing to be
 * compared, or fewer characters than is said, is no part. White space is that of ASCII.
 *
 * A part has a hash of 128 bits and a place: what goes when the part is cut, with the line feeds or
 * the punctuation and white space that follow, so that what is left reads on. A ds_partwork (zeroed
 * at first) belongs to one thread. Texts are valid UTF-8 of less than 4 GiB.
 */
#ifndef DS_TEXTPARTS_H
#define DS_TEXTPARTS_H

#include "normwords.h"

enum ds_parthow { DS_PART_LINE, DS_PART_PARAGRAPH, DS_PART_WORDS };
enum { DS_PART_HASH = 16 };

typedef struct ds_partrules {
    enum ds_parthow how;
    unsigned run;            /* words of a run; 1 for lines and paragraphs */
    bool words;              /* compare by words, numbers are 0 */
    uint64_t chars;          /* fewest characters of a line or paragraph */
    const ds_wordfold *fold; /* borrowed; for words and runs */
} ds_partrules;

typedef struct ds_textpart {
    uint8_t hash[DS_PART_HASH];
    size_t from, to; /* bytes of the text that go with it */
} ds_textpart;

typedef struct ds_partwork {
    ds_buf words, places;
} ds_partwork;

/* "line", "paragraph" or "words=N"; DS_USAGE for anything else. */
int ds_partrules_read(ds_partrules *r, const char *text, ds_err *err);
/* Calls `put` with each part, in the order of the text. */
int ds_textparts(const ds_partrules *r, ds_partwork *w, const uint8_t *p, size_t len,
                 int (*put)(void *ctx, const ds_textpart *part, ds_err *err), void *ctx,
                 ds_err *err);
void ds_partwork_fini(ds_partwork *w);

/* Is there nothing but white space? */
bool ds_text_blank(const uint8_t *p, size_t len);

#endif
