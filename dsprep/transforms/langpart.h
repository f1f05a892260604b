/* langpart.h - which language a text is in: the interface of the plugin that knows (libds-cld2.so,
 * built where libcld2-dev is installed, loaded when it is asked for).
 */
#ifndef DS_LANGPART_H
#define DS_LANGPART_H

#include <stdbool.h>
#include <stddef.h>

typedef struct ds_langguess {
    char code[16]; /* BCP 47: "en", "zh", "zh-Hant"; "und" when it cannot be told */
    int percent;   /* of the text's letters that are of it; 0 when it cannot be told */
    bool reliable;
} ds_langguess;

typedef struct ds_langpart {
    const char *model; /* "CLD2 V2.0 - 20141016" */
    const char *codes; /* that it answers with, sorted, a space behind each; without "und" */
    /* Any thread. The text is valid UTF-8 without control characters but white space, of less than
     * 2 GiB. best: an answer for short texts too. */
    void (*guess)(ds_langguess *out, const char *text, size_t len, bool best);
} ds_langpart;

#endif
