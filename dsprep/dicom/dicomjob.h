/* dicomjob.h - objects in worker processes: parsed, de-identified, decoded, and what came of them.
 * A crash, a hang or a flood costs the object that caused it (workpool.h).
 *
 * Results come in the order in which jobs were submitted. Frames are not in the result but in the
 * file that comes with it: memory, or a temporary when they are long. Called by one thread.
 */
#ifndef DS_DICOMJOB_H
#define DS_DICOMJOB_H

#include "dcmchain.h"
#include "dcmdeid.h"
#include "dicomfacts.h"
#include "dcmshim.h"

enum ds_burned_in { DS_BURNED_HOLD, DS_BURNED_PASS };

typedef struct ds_dicom_opts {
    const dcm_policy *policy;
    const dcm_key *key; /* NULL without de-identification */
    dcm_chain_opts chain;
    enum ds_burned_in burned_in;
    const char *encoding; /* of undeclared text; may be NULL */
    const char *to_dicom; /* where files are written for dicomfiles.h, or NULL */
    unsigned seconds;     /* for one object */
    int decoders;         /* threads for a frame of an object that has several */
    uint64_t memory;      /* address space; 0: no limit */
    const char *device;   /* where values are made; NULL: here */
    uint32_t patch;       /* frames come in patches of so many pixels a side; 0: they do not */
    dcm_limits limits;
} ds_dicom_opts;

enum ds_dicom_outcome { DS_DICOM_RECORD, DS_DICOM_HELD, DS_DICOM_FAILED };

/* Of headers of one frame that are held or fail, key, shape and facts are there all the same where
 * they could be read: for the gap that it leaves. */
typedef struct ds_dicom_result {
    enum ds_dicom_outcome outcome;
    char reason[64];
    ds_buf message;
    bool masked, already, has_image;
    bool unread;                   /* its texts hold characters that nobody can tell */
    ds_sha sha;                    /* of the input's bytes */
    dcm_shape shape;               /* of the values in the record */
    uint32_t surplus;              /* frames that it has and does not say */
    uint64_t frame_bytes, data_at; /* frames lie one behind the other in the job's file */
    ds_buf key, meta, text;
    ds_buf chain; /* a line of JSON for all frames, or one for each */
    ds_dicom_facts facts;
    dcm_ids *ids;
    dcm_actions *actions;
} ds_dicom_result;

typedef struct ds_dicom_jobs ds_dicom_jobs;
/* Starts the processes; borrows what the options point to. */
int ds_dicom_jobs_new(ds_dicom_jobs **j, const ds_dicom_opts *o, unsigned workers, ds_err *err);
bool ds_dicom_jobs_full(const ds_dicom_jobs *j);
#define DS_DICOM_HEADERS 255 /* all but the frames */
/* Borrows its descriptor and name until the job's result was taken. ask: DS_DICOM_HEADERS, or the
 * type that values are to have (enum dcm_sample; 0: that of the options). */
struct ds_dicom_in;
int ds_dicom_jobs_submit(ds_dicom_jobs *j, const struct ds_dicom_in *in, uint8_t ask, ds_err *err);
/* The oldest job's result; frames are read from *out, which is lent until the next call. Held and
 * failed objects are results, not errors. */
int ds_dicom_jobs_next(ds_dicom_jobs *j, ds_dicom_result *r, int *out, ds_err *err);
/* The same from the bytes of an answer, which are [8, data_at) of the file of a job. */
int ds_dicom_result_read(ds_dicom_result *r, const void *p, size_t len, ds_err *err);
void ds_dicom_jobs_free(ds_dicom_jobs *j);
void ds_dicom_result_fini(ds_dicom_result *r);

#endif
