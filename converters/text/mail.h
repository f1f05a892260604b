/* mail.h - messages (RFC 5322) and boxes of them (mbox, RFC 4155) into rows: what a reader sees of
 * each, and its header.
 *
 * A file of one message is a record. In a box a message begins with a line "From " and a time,
 * behind a blank line or at the beginning; where its Content-Length leads to the next one or to the
 * end, that counts. A ">" that was put before such lines in bodies is taken away. Any number of
 * threads.
 */
#ifndef DS_MAIL_H
#define DS_MAIL_H

#include "textrow.h"

extern const ds_rowparser ds_eml_parser, ds_mbox_parser; /* their ctx is the options */

#endif
