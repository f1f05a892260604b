/* cmd_dicom_opts.h - the command line of dsprep dicom: the table of options, and what follows from
 * them.
 */
#ifndef DS_CMD_DICOM_OPTS_H
#define DS_CMD_DICOM_OPTS_H

#include "dicomjob.h"
#include "options.h"

typedef struct ds_dicom_args {
    const char *deid, *key_file, *safe, *also, *hold, *report, *source_map, *to_dicom, *encoding,
        *window, *resize, *device, *store, *placeholder, *preview, *found, *words;
    int dtype, record, values, burned_in, on_error, on_found;
    ds_shardopts shards;
    int64_t patches, spool_limit, threads, timeout, memory, max_ratio, max_file, max_frame,
        max_frames;
    bool quiet, real_world, json;
    const char *quarantine;
} ds_dicom_args;

enum ds_on_found { DS_FOUND_FAIL, DS_FOUND_HOLD };

/* As ds_opt_begin: -1 to go on, or the exit status. *a: what was said, for as long as the program
 * runs. */
int ds_dicom_args_read(const ds_dicom_args **a, const ds_command *cmd, int argc, char **argv,
                       char ***operands, int *n);
/* Policy, key and options of the work, checked against each other. The policy is the caller's to
 * free; o points to it and to the key. */
int ds_dicom_args_opts(const ds_dicom_args *a, dcm_policy **policy, dcm_key *key, ds_dicom_opts *o,
                       ds_err *err);
/* Appends the step that a stream's provenance gets. */
int ds_dicom_args_prov(const ds_dicom_args *a, const ds_dicom_opts *opts, ds_buf *out, ds_err *err);

#endif
