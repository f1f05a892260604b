/* mailpart.h - what a reader of a message sees: its body's text, and the attachments' names (MIME,
 * RFC 2045 to 2049, 2183).
 *
 * Of alternatives the plain text is taken, else the last that can be shown; of related parts the
 * first; of others all that are texts and no attachments, in order, a blank line between them.
 * Messages within are shown with who wrote them, when and on what. HTML goes through html.h. What
 * says that it is of parts and has none is text as it stands. Linear in time for each level of
 * nesting, of which there are at most DS_MAIL_DEPTH.
 */
#ifndef DS_MAILPART_H
#define DS_MAILPART_H

#include "buf.h"
#include "error.h"

#define DS_MAIL_DEPTH 50
#define DS_MAIL_PARTS 10000 /* of one message */

typedef struct ds_mailtext {
    ds_buf text;
    ds_buf attachments; /* JSON objects with name, type and bytes, commas between them */
    bool encrypted;     /* a part that cannot be read without a key */
    /* the reader's own */
    const char *otherwise;
    size_t parts;
    ds_buf type, word, bytes, decoded;
} ds_mailtext;

/* Reads the message at p into m, whose text and attachments are empty. `otherwise`: the encoding of
 * what says none; NULL: UTF-8. DS_FAIL: a part cannot be read, the reason in err; DS_NOMEM. */
int ds_mailtext_read(ds_mailtext *m, const uint8_t *p, size_t len, const char *otherwise,
                     ds_err *err);
void ds_mailtext_fini(ds_mailtext *m);
/* Length of the header at p, with the blank line if there is one. */
size_t ds_mail_head(const uint8_t *p, size_t len);

#endif
