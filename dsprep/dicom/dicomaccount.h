/* dicomaccount.h - what became of every input: records, held, failed, by reason; what was done to
 * which attribute; under which names sources go out. One thread. */
#ifndef DS_DICOMACCOUNT_H
#define DS_DICOMACCOUNT_H

#include "deidreport.h"
#include "dicominput.h"
#include "dicomjob.h"
#include "dicomseen.h"

enum ds_dicom_onerror { DS_DICOM_FAIL, DS_DICOM_SKIP, DS_DICOM_QUARANTINE };

typedef struct ds_dicom_account {
    const dcm_key *key;     /* NULL without de-identification */
    const char *hold;       /* a folder for copies of what is held; may be NULL */
    const char *quarantine; /* the same for what failed */
    enum ds_dicom_onerror on_error;
    ds_source_map *map; /* may be NULL; borrowed */
    ds_counts counts;
    dcm_actions *actions; /* the account's own */
    ds_dicom_seen seen;
    uint64_t inputs, masked, already, held, failed;
    uint64_t again;     /* of the held: the same bytes once more */
    uint64_t surplus;   /* frames behind the last that their objects say they have */
    bool store;         /* a store was named: it is told how many records are unchanged */
    uint64_t unchanged; /* records whose images are in the store, and were not read */
    uint64_t unread;    /* objects with characters that nobody can tell */
} ds_dicom_account;

void ds_dicom_account_fini(ds_dicom_account *a);
/* Counts an input that gives no record, says so, and copies it where it is wanted. DS_FAIL with its
 * name and reason when it failed and that ends the run. */
int ds_dicom_account_left_out(ds_dicom_account *a, const ds_dicom_in *in, bool failed,
                              const char *reason, ds_err *err);
/* Counts one that was there before as held, for one of these reasons. The same bytes are not lost,
 * and not copied. */
#define DS_DICOM_AGAIN "duplicate"
#define DS_DICOM_DIFFERS "duplicate-object"
#define DS_DICOM_NAMED "identifier-found"
/* *was: the object of this result was there before, and has been counted. */
int ds_dicom_account_before(ds_dicom_account *a, const ds_dicom_in *in, const ds_dicom_result *r,
                            bool *was, ds_err *err);
/* The last line: words, or JSON: inputs, output, records, held and failed by reason. */
int ds_dicom_account_say(const ds_dicom_account *a, uint64_t records, bool json, ds_buf *out,
                         ds_err *err);
/* Counts what was done to one that does, and says what is odd about it. */
int ds_dicom_account_taken(ds_dicom_account *a, const ds_dicom_in *in, const ds_dicom_result *r,
                           ds_err *err);
/* The source as it goes out: name and digest are pseudonyms with a key. The name lies in `room`, or
 * is the input's own. */
int ds_dicom_account_source(ds_dicom_account *a, const ds_dicom_in *in, const ds_sha *sha,
                            char room[33], ds_source *src, ds_err *err);
/* Closes and frees what an input holds. */
void ds_dicom_in_fini(ds_dicom_in *in);

#endif
