/* htmltext.h - text from strangers within HTML. */
#ifndef DS_HTMLTEXT_H
#define DS_HTMLTEXT_H

#include "buf.h"

/* Appends s with what HTML gives a meaning escaped; NULL is nothing. Non-zero: no memory. */
int ds_html_text(ds_buf *h, const char *s);

#endif
