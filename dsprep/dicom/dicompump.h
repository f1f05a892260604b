/* dicompump.h - all inputs through the workers, results in the order of inputs. One thread. */
#ifndef DS_DICOMPUMP_H
#define DS_DICOMPUMP_H

#include "dicominput.h"
#include "dicomjob.h"
#include "dicomlate.h"

typedef struct ds_dicom_pump {
    ds_dicominput *input;
    ds_dicom_jobs *jobs;
    ds_dicom_in *ins; /* room for those on their way, zeroed but fd = -1 */
    size_t nins;
    ds_dicom_late *late; /* may be NULL: every file is read */
    uint8_t ask;         /* see ds_dicom_jobs_submit */
    /* r is NULL for an input that cannot be read: in->reason. What it takes out of both it sets to
     * NULL or zero; the rest is freed behind it. */
    int (*take)(void *ctx, ds_dicom_in *in, ds_dicom_result *r, int frames, ds_err *err);
    void *ctx;
} ds_dicom_pump;
int ds_dicom_pump_run(const ds_dicom_pump *p, ds_err *err);

#endif
