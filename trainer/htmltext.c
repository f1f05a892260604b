/* htmltext.c - see htmltext.h. */
#include "htmltext.h"

int ds_html_text(ds_buf *h, const char *s)
{
    int rc = 0;

    for (; !rc && s && *s; s++) {
        const char one[2] = {*s, '\0'};
        rc = ds_buf_puts(h, *s == '<'   ? "&lt;"
                            : *s == '>' ? "&gt;"
                            : *s == '&' ? "&amp;"
                            : *s == '"' ? "&quot;"
                                        : one);
    }
    return rc;
}
