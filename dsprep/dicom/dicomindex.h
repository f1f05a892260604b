/* dicomindex.h - the first of two passes: what every input holds, before any pixel is read.
 *
 * Files are remembered by path and opened again; members of archives and standard input are copied
 * into one temporary, up to a limit. The identifiers of every object go to the proof here, so that
 * all of them are known before the first record is written. Memory: about a kilobyte an object.
 * One thread.
 */
#ifndef DS_DICOMINDEX_H
#define DS_DICOMINDEX_H

#include "dicomaccount.h"
#include "dicomlate.h"
#include "proofpass.h"

typedef struct ds_dicom_entry {
    char *name, *path; /* path: NULL when it was copied */
    char *key;
    uint64_t size, spool_at;
    ds_filestamp stamp; /* of path */
    ds_sha sha;
    ds_dicom_facts facts;
    dcm_shape shape;
    bool has_image;
    bool lost;        /* a slice that does not come out: a place for the plan alone */
    uint64_t ordinal; /* for the second pass */
} ds_dicom_entry;

typedef struct ds_dicom_index {
    ds_dicom_entry *v; /* by key; every key once */
    size_t n, cap;
    int spool_plus1; /* descriptor of the copies; 0: none */
    uint64_t spooled, limit;
} ds_dicom_index;

/* Goes over all inputs. ins is room for as many inputs as may be on their way, zeroed but fd = -1.
 * What is the same object twice is held (dicomaccount.h). proof may be NULL. */
int ds_dicom_index_make(ds_dicom_index *x, ds_dicominput *input, ds_dicom_jobs *jobs,
                        ds_dicom_in *ins, size_t nins, ds_dicom_account *acc, ds_proof *proof,
                        ds_dicom_late *late, ds_err *err);
/* Opens an entry again; *in is the caller's to end (ds_dicom_in_fini). A file that is gone is a
 * problem of its own: in->reason. */
int ds_dicom_index_open(const ds_dicom_index *x, size_t i, ds_dicom_in *in, ds_err *err);
/* The same where `late` knows the answer to `ask` of it, which is not opened then. */
int ds_dicom_index_ask(const ds_dicom_index *x, size_t i, ds_dicom_late *late, uint8_t ask,
                       ds_dicom_in *in, ds_err *err);
void ds_dicom_index_fini(ds_dicom_index *x);

#endif
