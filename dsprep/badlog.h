/* badlog.h - what to do with input that is no good: stop, leave it out, or put it aside; and the
 * accounts of it.
 *
 * The first 20 problems are printed, the rest counted. Records that are put aside or left out count
 * as held, parts of the input of which nobody knows how much they hold as failed. The quarantine is
 * a file of JSON lines with the source, the range, the reason and the bytes (base64, at most 1 MiB
 * of them); it appears when the run has ended well. Records without text, images and the like, are
 * held whatever the mode: they stop nothing, are not printed, and their bytes are not put aside.
 */
#ifndef DS_BADLOG_H
#define DS_BADLOG_H

#include "dsr_io.h"
#include "textread.h"

enum ds_onerror { DS_ONERROR_FAIL, DS_ONERROR_SKIP, DS_ONERROR_QUARANTINE };
extern const char *const ds_onerror_names[];

typedef struct ds_badlog {
    enum ds_onerror mode;
    ds_counts counts;
    uint64_t held, failed, printed;
    uint64_t textless; /* of those held: nothing is wrong with them, but they hold no text */
    ds_atomic file;
    ds_out out;
    ds_buf line;
    bool open;
} ds_badlog;

/* `path`: the quarantine, needed for that mode and for no other (DS_USAGE). */
int ds_badlog_open(ds_badlog *b, enum ds_onerror mode, const char *path, ds_err *err);
/* 0 = go on; in mode fail the error is set and returned. */
int ds_badlog_add(ds_badlog *b, const ds_textproblem *p, ds_err *err);
int ds_badlog_end(ds_badlog *b, ds_err *err);
void ds_badlog_fini(ds_badlog *b);

#endif
