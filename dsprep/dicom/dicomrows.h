/* dicomrows.h - results as records of a stream: key, image, frame, meta, text, chain. One thread.
 */
#ifndef DS_DICOMROWS_H
#define DS_DICOMROWS_H

#include "dicomjob.h"
#include "proofpass.h"
#include "shardout.h"

typedef struct ds_dicom_rows {
    ds_shardout *out;
    ds_proof *proof; /* NULL without de-identification */
    bool by_frame;   /* a record a frame, not an object */
    uint64_t records;
    ds_buf part;
} ds_dicom_rows;

int ds_dicom_schema(ds_schema *s, ds_err *err); /* initialised */
/* All records of one result; frames are read from fd, the job's temporary. */
int ds_dicom_rows_put(ds_dicom_rows *r, const ds_dicom_result *res, int fd, uint64_t size,
                      ds_err *err);
void ds_dicom_rows_fini(ds_dicom_rows *r);

#endif
