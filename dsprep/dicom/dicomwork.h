/* dicomwork.h - what a worker process does with one object. For dicomjob.c. */
#ifndef DS_DICOMWORK_H
#define DS_DICOMWORK_H

#include "dicomjob.h"
#include "workpool.h"

/* Writes to *out: u64 length, the result in that many bytes, frames. Many frames go to a temporary
 * file instead, which takes the place of *out. Negative when even that was impossible. What
 * the job asks for: see ds_dicom_jobs_submit. */
int ds_dicom_work(const ds_dicom_opts *o, const ds_work_job *job, int *out);
int ds_dicom_result_write(const ds_dicom_result *r, ds_buf *out, ds_err *err);

#endif
