/* htmlnames.h - the named character references of HTML: a table (htmlref.c looks into it). */
#ifndef DS_HTMLNAMES_H
#define DS_HTMLNAMES_H

#include <stddef.h>

#define DS_HTML_NAME_MAX 31  /* bytes of the longest name */
#define DS_HTML_LEGACY_MAX 6 /* of those that may lack their semicolon */

typedef struct ds_htmlname {
    const char *name; /* without & and ; */
    const char *text; /* UTF-8: one character or two */
    int legacy;       /* may lack its semicolon */
} ds_htmlname;

/* Sorted by the names' bytes. */
extern const ds_htmlname ds_html_names[];
extern const size_t ds_html_nnames;

#endif
