/* dicomlate.h - files that need not be read, because a store has what came of them: records of
 * `dsprep dicom --store`.
 *
 * A file that the cache knows by its stamp (dicomcache.h) is not opened: what a worker said of it
 * last time is taken from there, and its record is put together and searched as ever, but for the
 * image. When all of a block's images are such, and the store has their chunk, the block refers to
 * it; else their files are read after all, and the stream is what it would have been. A volume's
 * image is such when all of its slices are. gc is kept out of the store meanwhile. One thread.
 */
#ifndef DS_DICOMLATE_H
#define DS_DICOMLATE_H

#include "dicominput.h"
#include "dicomjob.h"

/* What an image is made of: a frame of a file, or all of them (frame < 0), by an answer to `ask`.
 * All borrowed. */
typedef struct ds_dicom_member {
    const char *path, *name; /* path: NULL when it cannot be read again */
    ds_filestamp stamp;
    uint64_t size;
    ds_sha sha;
    int64_t frame;
    uint8_t ask;
} ds_dicom_member;

typedef struct ds_dicom_late_opts {
    const char *store; /* as for dsver --store */
    char *const *inputs;
    size_t ninputs;
    const ds_dicom_opts *work; /* borrowed, and what it points to */
    unsigned workers;
    const ds_buf *prov; /* the step of the run: options and digests of rules */
    const char *kind;   /* see dicomcache.h */
} ds_dicom_late_opts;

struct ds_dicom_record;
struct ds_dicom_rows;
typedef struct ds_dicom_late ds_dicom_late;
int ds_dicom_late_open(ds_dicom_late **l, const ds_dicom_late_opts *o, ds_err *err);
/* Where records go, and which column is the image. Borrowed. */
int ds_dicom_late_stream(ds_dicom_late *l, struct ds_dicom_rows *rows, size_t column, ds_err *err);

/* in->path and name are set: 1 when it is known, with the answer to `ask`; 0; < 0 error. */
int ds_dicom_late_known(ds_dicom_late *l, ds_dicom_in *in, uint8_t ask, ds_err *err);
/* The answer of an input that was submitted, or is known (then *frames is -1), remembered. l may be
 * NULL. */
int ds_dicom_late_next(ds_dicom_late *l, ds_dicom_jobs *jobs, const ds_dicom_in *in, uint8_t ask,
                       ds_dicom_result *r, int *frames, ds_err *err);
/* Opens a known file. DS_FAIL when it is another one by now. */
int ds_dicom_late_reopen(ds_dicom_in *in, ds_err *err);
/* Whose identifiers what is put now is searched for; NULL: of nobody. Borrowed. */
void ds_dicom_late_current(ds_dicom_late *l, const dcm_ids *ids);

/* A record begins. *lazy: its image comes later, or is referred to. */
int ds_dicom_late_begin(ds_dicom_late *l, const struct ds_dicom_record *rec, bool *lazy,
                        ds_err *err);
/* The image of a record that is not lazy and not here: its files are read now. */
int ds_dicom_late_image(ds_dicom_late *l, const struct ds_dicom_record *rec, ds_err *err);
/* Reads one known file after all; *fd and what r lends are lent until the next call. */
int ds_dicom_late_fetch(ds_dicom_late *l, const ds_dicom_member *m, const ds_dicom_result **r,
                        int *fd, ds_err *err);
/* Whether an image may be lazy where its digest is wanted; and that digest. */
bool ds_dicom_late_digest(const ds_dicom_late *l, const struct ds_dicom_record *rec,
                          ds_sha *digest);
int ds_dicom_late_put_digest(ds_dicom_late *l, const struct ds_dicom_record *rec,
                             const ds_sha *digest, ds_err *err);
/* When the stream has ended: remembers what was seen. */
int ds_dicom_late_keep(ds_dicom_late *l, ds_err *err);
uint64_t ds_dicom_late_count(const ds_dicom_late *l); /* records whose image was not read */
void ds_dicom_late_free(ds_dicom_late *l);            /* NULL is fine */

#endif
