/* cmd_tok_records.h - the texts of a record stream (DSR), for dstok's readers. */
#ifndef DS_CMD_TOK_RECORDS_H
#define DS_CMD_TOK_RECORDS_H

#include <stdbool.h>

#include "cmd_tok_files.h"

/* Do these bytes begin a stream? */
bool tok_is_records(const void *p, size_t len);
/* Reads a stream of which the n bytes at `head` were read from fd before. Each record's text comes
 * with a newline after it; records without one are left out. A stream that is damaged or does not
 * say how it ended fails, as does a text that is not UTF-8. */
int tok_read_records(tok_reader *r, const void *head, size_t n, int fd, const char *path,
                     ds_err *err);
/* Hands over what stands in `part` up to a place where it may be cut; the rest stays. */
int tok_hand_over(tok_reader *r, ds_buf *part, bool all, ds_err *err);

#endif
