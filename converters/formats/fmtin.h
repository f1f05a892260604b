/* fmtin.h - the bytes of one input of a format, unpacked and hashed, as one window that grows.
 *
 * gz, xz, zst and bz2 are unpacked, under a limit of their ratio; archives are not entered. What
 * was looked at and not skipped is still there: a format looks at the beginning, says its columns
 * and then reads from the first byte. The window holds what is asked for and some more. One thread.
 * Offsets are of unpacked bytes. A zeroed object is valid for _close.
 */
#ifndef DS_FMTIN_H
#define DS_FMTIN_H

#include "format.h"
#include "hash.h"
#include "unpack.h"

typedef struct ds_fmtin {
    const char *name; /* borrowed */
    int fd;
    bool own, eof;
    ds_unpack *unpack;
    ds_hasher *hasher;
    ds_buf buf;
    size_t at;           /* of buf: what comes next */
    uint64_t pos;        /* its offset */
    uint64_t had, taken; /* of a file: its bytes when it was opened; those read */
} ds_fmtin;

int ds_fmtin_open(ds_fmtin *in, const ds_fmtread *o, ds_err *err);
/* Sees to it that n bytes are there; fewer only at the end. */
int ds_fmtin_want(ds_fmtin *in, size_t n, ds_err *err);
static inline const uint8_t *ds_fmtin_at(const ds_fmtin *in)
{
    return in->buf.data ? in->buf.data + in->at : (const uint8_t *)"";
}
static inline size_t ds_fmtin_have(const ds_fmtin *in)
{
    return in->buf.len - in->at;
}
void ds_fmtin_skip(ds_fmtin *in, size_t n);        /* of those that are there */
int ds_fmtin_skip_mark(ds_fmtin *in, ds_err *err); /* UTF-8's byte order mark, if it is there */
/* Skips any number of bytes; *got < n only at the end. */
int ds_fmtin_pass(ds_fmtin *in, uint64_t n, uint64_t *got, ds_err *err);
/* Tells the sink of the source, whose end must have been reached (the rest is read). */
int ds_fmtin_end(ds_fmtin *in, const ds_fmtsink *sink, ds_err *err);
void ds_fmtin_close(ds_fmtin *in);

/* What readers peek at. */
#define DS_FMTIN_PEEK ((size_t)1 << 20)

#endif
