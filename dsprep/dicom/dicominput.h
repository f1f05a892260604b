/* dicominput.h - the files that may be DICOM objects, one after the other: operands, files below
 * folders, members of archives (put into unlinked temporaries, where they cannot be read in their
 * place), standard input.
 *
 * The order is that of names (walk.h) and of archives. Reads forward; one thread.
 */
#ifndef DS_DICOMINPUT_H
#define DS_DICOMINPUT_H

#include <stdint.h>

#include "buf.h"
#include "treewalk.h"
#include "unpack.h"

typedef struct ds_dicom_in {
    int fd; /* the caller's to close, to read with pread; -1 for a problem */
    /* where its bytes begin in fd: a member may be read where it lies in its archive */
    uint64_t at;
    char *name; /* relative, archive and member; the caller's to free */
    char *path; /* of a file that can be opened again; the caller's to free; else NULL */
    uint64_t size;
    ds_filestamp stamp; /* of a plain file, as it was opened or found known */
    bool stamped;
    int64_t looked;     /* when that was, in nanoseconds since 1970 */
    ds_buf answer;      /* not empty: the file is known, and was not opened; the caller's to free */
    size_t known_at;    /* where that stands (dicomcache.h) */
    const char *reason; /* of a problem: a slug; message says more */
    ds_buf message;     /* the caller's to free */
} ds_dicom_in;

typedef struct ds_dicominput ds_dicominput;
int ds_dicominput_new(ds_dicominput **in, char *const *operands, size_t n,
                      const ds_unpack_limits *limits, ds_err *err); /* borrows the operands */
/* Before a file is opened `known` is asked of it: 1 when it put the answer there is into it, 0, or
 * a negative code. */
void ds_dicominput_known(ds_dicominput *in, int (*known)(void *ctx, ds_dicom_in *in, ds_err *err),
                         void *ctx);
/* Stamp and size of what is open. */
void ds_dicom_in_stamp(ds_dicom_in *in);
/* 1 and the next; 0 at the end; negative when memory or the system fails. */
int ds_dicominput_next(ds_dicominput *in, ds_dicom_in *out, ds_err *err);
void ds_dicominput_free(ds_dicominput *in);
int ds_dicom_in_copy(const ds_dicom_in *in, int to, const char *path, ds_err *err); /* its bytes */
/* An unlinked temporary file in $TMPDIR, or /tmp. */
int ds_dicom_temp(int *fd, ds_err *err);

#endif
