/* dicomfiles.h - --to-dicom DIR: de-identified objects as DICOM files, which appear when all of the
 * run is known to be good.
 *
 * Worker processes write into a folder of the run below DIR, .unfinished-XXXXXX, by the digest of
 * what they read. The command takes those that have a record; at the end these become
 * DIR/patient/study/series/instance.dcm by rename, in place of what is there. Otherwise nothing of
 * the run is left. What a killed command leaves is that folder, which is no output. One thread of
 * the command; any number of workers.
 */
#ifndef DS_DICOMFILES_H
#define DS_DICOMFILES_H

#include "dcmwrite.h"
#include "dicomjob.h"
#include "io.h"

typedef struct ds_dicom_files ds_dicom_files;
int ds_dicom_files_new(ds_dicom_files **f, const char *dir, ds_err *err);
const char *ds_dicom_files_stage(const ds_dicom_files *f); /* where workers write */
/* The file of an object that has a record now. */
int ds_dicom_files_take(ds_dicom_files *f, const ds_dicom_result *r, ds_err *err);
void ds_dicom_files_drop(ds_dicom_files *f, const ds_dicom_result *r); /* of one that has none */
int ds_dicom_files_publish(ds_dicom_files *f, ds_err *err);
void ds_dicom_files_free(ds_dicom_files *f); /* what was not published is removed */

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
