/* zipout.h - a zip file, written: members stored or deflated, zip64 where sizes want it (PKWARE's
 * APPNOTE 6.3.9, sections 4.3 to 4.5).
 *
 * The same bytes for the same members: times are 1980-01-01, rights those of Python's zipfile, and
 * nothing depends on the system. A member's parts lie ready, so that its size stands before it and
 * readers of a pipe find it, too. One thread. A zeroed object is valid.
 */
#ifndef DS_ZIPOUT_H
#define DS_ZIPOUT_H

#include "io.h"
#include "spool.h"

typedef struct ds_zipout {
    ds_buf central; /* the directory so far */
    uint64_t members;
    ds_spool packed; /* of the member in hand */
} ds_zipout;

typedef struct ds_zippart {
    const uint8_t *p;
    size_t len;
    ds_spool *spool; /* that p lies in from its beginning: released behind; or NULL */
} ds_zippart;

/* name: UTF-8, at most 65535 bytes. level: deflate's, 0 = stored. */
int ds_zipout_put(ds_zipout *z, ds_out *out, const char *name, const ds_zippart *parts, size_t n,
                  int level, ds_err *err);
int ds_zipout_end(ds_zipout *z, ds_out *out, ds_err *err);
void ds_zipout_fini(ds_zipout *z);

#endif
