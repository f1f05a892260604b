/* dicomaccount.h - what became of every input: records, held, failed, by reason; what was done to
 * which attribute; under which names sources go out. One thread. */
#ifndef DS_DICOMACCOUNT_H
#define DS_DICOMACCOUNT_H

#include "deidreport.h"
#include "dicominput.h"
#include "dicomjob.h"

typedef struct ds_dicom_account {
    const dcm_key *key; /* NULL without de-identification */
    const char *hold;   /* a folder for copies of what is held; may be NULL */
    ds_source_map *map; /* may be NULL; borrowed */
    ds_counts counts;
    dcm_actions *actions; /* the account's own */
    uint64_t inputs, masked, already, held, failed;
} ds_dicom_account;

void ds_dicom_account_fini(ds_dicom_account *a);
/* Counts an input that gives no record, says so, and copies what is held. */
int ds_dicom_account_left_out(ds_dicom_account *a, const ds_dicom_in *in, bool failed,
                              const char *reason, ds_err *err);
/* Counts what was done to one that does. */
int ds_dicom_account_taken(ds_dicom_account *a, const ds_dicom_result *r, ds_err *err);
/* The source as it goes out: name and digest are pseudonyms with a key. The name lies in `room`, or
 * is the input's own. */
int ds_dicom_account_source(ds_dicom_account *a, const ds_dicom_in *in, const ds_sha *sha,
                            char room[33], ds_source *src, ds_err *err);
/* Closes and frees what an input holds. */
void ds_dicom_in_fini(ds_dicom_in *in);

#endif
