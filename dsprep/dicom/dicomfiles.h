/* dicomfiles.h - --to-dicom DIR: de-identified objects as DICOM files.
 *
 * Worker processes write into a folder for unfinished work (stagedir.h), by the digest of what they
 * read. The command takes those that have a record; at the end these become
 * DIR/patient/study/series/instance.dcm. One thread of the command; any number of workers.
 */
#ifndef DS_DICOMFILES_H
#define DS_DICOMFILES_H

#include "dcmwrite.h"
#include "dicomjob.h"
#include "io.h"
#include "stagedir.h"

/* The file of an object that has a record now. */
int ds_dicom_files_take(ds_stagedir *f, const ds_dicom_result *r, ds_err *err);
void ds_dicom_files_drop(ds_stagedir *f, const ds_dicom_result *r); /* of one that has none */

/* One de-identified object, from the tree's own values. Begin, frames as they are decoded and
 * masked, end; abort leaves nothing. im is NULL for an object without pixels. */
typedef struct ds_dicom_file {
    ds_atomic file;
    dcm_write *w;
    ds_out out;
} ds_dicom_file;
int ds_dicom_file_begin(ds_dicom_file *f, const char *path, dcm_tree *t, const dcm_image *im,
                        ds_err *err);
int ds_dicom_file_frame(ds_dicom_file *f, const void *p, size_t n, ds_err *err);
int ds_dicom_file_end(ds_dicom_file *f, ds_err *err);
void ds_dicom_file_abort(ds_dicom_file *f); /* a zeroed or ended one is fine */
/* Its path in the folder of the run. */
int ds_dicom_file_path(ds_buf *path, const char *stage, const ds_sha *sha, ds_err *err);

#endif
