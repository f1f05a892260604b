/* cmd_tok_files.h - the texts that dstok train reads: files, folders with everything below,
 * standard input; of record streams (DSR) a column of text. */
#ifndef DS_CMD_TOK_FILES_H
#define DS_CMD_TOK_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "error.h"

/* Takes a part of a text, cut where words end, and may keep the memory: `part` is then zeroed. */
typedef int (*tok_part_fn)(void *ctx, ds_buf *part, ds_err *err);

typedef struct tok_reader {
    tok_part_fn fn;
    void *ctx;
    bool whole;         /* texts come as they are, not in parts; records without a newline */
    bool skip;          /* go on past files that cannot be used */
    const char *column; /* of record streams */
    uint64_t files, skipped, bytes;
    uint64_t unread;  /* of those skipped: the system would not read them */
    const char *path; /* of the part that fn is given, and where in its text the part begins */
    uint64_t offset;
} tok_reader;

#define TOK_COLUMN(v)                                                                              \
    OPT_STR('c', "column", v, "NAME", "of record streams (DSR): the column of text (text)")

/* Reads one operand. Folders are walked in the byte order of their names; links to folders are not
 * followed. */
int tok_read_operand(tok_reader *r, const char *path, ds_err *err);

#endif
