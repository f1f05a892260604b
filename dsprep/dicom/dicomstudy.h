/* dicomstudy.h - the record of a study: what its records are, what they have in common, what its
 * reports say. Collects while they are written. One thread. */
#ifndef DS_DICOMSTUDY_H
#define DS_DICOMSTUDY_H

#include "dicommeta.h"
#include "dicomrows.h"

typedef struct ds_dicom_study {
    ds_buf patient, study, first; /* first: the key of the first record */
    ds_buf members, text, section[DS_FACTS - DS_FACT_SECTION];
    ds_dicom_common meta;
    uint64_t count;
} ds_dicom_study;

/* A record that was written, with its image's digest and patches. */
int ds_dicom_study_note(ds_dicom_study *s, const ds_dicom_record *rec, const ds_sha *digest,
                        uint64_t count, ds_err *err);
/* Writes the record, of n sources with the ordinals 0 and on, and begins anew. Nothing when nothing
 * was noted. */
int ds_dicom_study_put(ds_dicom_study *s, ds_dicom_rows *rows, const uint64_t *sizes, size_t n,
                       ds_err *err);
void ds_dicom_study_fini(ds_dicom_study *s);

#endif
