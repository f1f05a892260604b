/* dicomjob.h - one object in a process of its own: parsed, de-identified, decoded, and what came of
 * it in a temporary file. A crash, a hang or a flood costs that object.
 *
 * The child is forked by a process of one thread, with limits on time and memory, and sees the
 * input's descriptor only. The parent takes results in the order in which it began jobs.
 */
#ifndef DS_DICOMJOB_H
#define DS_DICOMJOB_H

#include <sys/types.h>

#include "dcmchain.h"
#include "dcmdeid.h"
#include "dcmshim.h"

enum ds_burned_in { DS_BURNED_HOLD, DS_BURNED_PASS };

typedef struct ds_dicom_opts {
    const dcm_policy *policy;
    const dcm_key *key; /* NULL without de-identification */
    dcm_chain_opts chain;
    enum ds_burned_in burned_in;
    const char *encoding; /* of undeclared text; may be NULL */
    const char *to_dicom; /* a folder, or NULL */
    unsigned seconds;     /* for one object */
    uint64_t memory;      /* address space; 0: no limit */
    dcm_limits limits;
    bool headers; /* all but the frames */
} ds_dicom_opts;

enum ds_dicom_outcome { DS_DICOM_RECORD, DS_DICOM_HELD, DS_DICOM_FAILED };

typedef struct ds_dicom_result {
    enum ds_dicom_outcome outcome;
    char reason[64];
    ds_buf message;
    bool masked, already, has_image;
    ds_sha sha;                    /* of the input's bytes */
    dcm_shape shape;               /* of the values in the record */
    uint64_t frame_bytes, data_at; /* frames lie one behind the other in the temporary */
    ds_buf key, meta, text;
    ds_buf chain; /* a line of JSON for all frames, or one for each */
    ds_buf facts; /* dicomfacts.h */
    dcm_ids *ids;
    dcm_actions *actions;
} ds_dicom_result;

typedef struct ds_dicom_job {
    pid_t pid;
    int out; /* the temporary */
} ds_dicom_job;

/* fd is borrowed until ds_dicom_job_end. */
int ds_dicom_job_begin(ds_dicom_job *j, const ds_dicom_opts *o, int fd, const char *name,
                       ds_err *err);
/* Waits, and reads all but the frames. Held and failed objects are results, not errors. */
int ds_dicom_job_end(ds_dicom_job *j, ds_dicom_result *r, ds_err *err);
void ds_dicom_job_abort(ds_dicom_job *j); /* kills it when it runs; closes the temporary */
void ds_dicom_result_fini(ds_dicom_result *r);

#endif
