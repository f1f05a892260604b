/* logsource.h - what a log's format is, and its bytes into records: the parser that textread runs
 * for `dsprep logs`.
 *
 * The format of a source is what the options say, or is decided by its first 64 KiB, or those
 * behind the first line where that is longer: every format's parser reads the first 200 records,
 * and the most particular of those that read the most wins, when it reads at least DS_LOGGUESS_MIN
 * of them; else the records are lines, if as many of these are without a NUL byte. Rows have a
 * ds_logrow as their cells. Memory of a source: its header. Any number of threads.
 */
#ifndef DS_LOGSOURCE_H
#define DS_LOGSOURCE_H

#include "logrow.h"

#define DS_LOGGUESS_BYTES (64u << 10)
#define DS_LOGGUESS_LINES 200
#define DS_LOGGUESS_MIN 0.75

typedef struct ds_logguess {
    enum ds_logformat format;                            /* DS_LOG_AUTO: it is no text */
    size_t nul;                                          /* then: where its first NUL byte is */
    bool wide;                                           /* then: it may be UTF-16 without a mark */
    size_t seen[DS_LOG_NFORMATS], read[DS_LOG_NFORMATS]; /* records looked at, and read */
} ds_logguess;
/* Looks at the beginning of a source. `o` is the user's; its format is not looked at. 0 or
 * DS_NOMEM. */
int ds_logguess_look(ds_logguess *g, const ds_logopts *o, const uint8_t *p, size_t len);
/* Whether it would see the same in more bytes. */
bool ds_logguess_enough(const ds_logopts *o, const uint8_t *p, size_t len);
/* Words for it: "combined: 200 of 200 records; json 0, ...". 0 or DS_NOMEM. */
int ds_logguess_say(const ds_logguess *g, ds_buf *out);

/* A source of a format that is known, by its beginning; *used bytes are a header. DS_FAIL, with a
 * static *why: a table without one, a document without an array. */
int ds_logsource_make(ds_logsource **s, const ds_logopts *o, enum ds_logformat f, const uint8_t *p,
                      size_t len, size_t *used, const char **why);
/* A line, entry, frame or element. */
typedef struct ds_logunit {
    size_t at, n;    /* its content */
    bool ended;      /* it would end there whatever followed */
    bool open;       /* what it is an element of does not end */
    const char *why; /* it is none: the reason (static) */
} ds_logunit;
/* Units are lines. */
bool ds_logsource_lines(const ds_logsource *s);
/* The unit at p, of which nothing follows (p, len); returns how many bytes it takes. */
size_t ds_logsource_next(const ds_logsource *s, const uint8_t *p, size_t len, ds_logunit *u);

/* A source, opened by its name and beginning: as ds_rowparser has it, with a ds_logopts as ctx. */
extern const char ds_logsource_no_text[];      /* the reason why a source was not opened */
extern const ds_rowparser ds_logsource_parser; /* its ctx is to be set */
int ds_logsource_open(void *opts, void **source, const char *name, const uint8_t *p, size_t len,
                      size_t *used, ds_buf *note, const char **reason, ds_err *err);
size_t ds_logsource_whole(const void *source, const uint8_t *p, size_t len);
int ds_logsource_pass(const void *source, ds_buf *before, const uint8_t *p, size_t len);
int ds_logsource_records(const void *source, ds_textbatch *b, const ds_textblock *k);
void ds_logsource_close(void *source);

#endif
