/* dicomseries.h - volumes and studies: an index first (dicomindex.h), a plan (dicomvolume.h), then
 * every object once more, with its pixels, in the order of the plan.
 *
 * The records do not depend on the order of the inputs or on the number of processes. The pixels of
 * one volume lie in a temporary file while it is put together. An object whose pixels fail is left
 * out of its volume, which is measured again. One thread.
 */
#ifndef DS_DICOMSERIES_H
#define DS_DICOMSERIES_H

#include "dicomindex.h"
#include "dicomrows.h"

typedef struct ds_dicom_series {
    ds_dicominput *input;
    ds_dicom_jobs *jobs;
    ds_dicom_in *ins; /* room for inputs on their way, zeroed but fd = -1 */
    size_t nins;
    ds_dicom_rows *rows;
    ds_dicom_account *acc;
    uint64_t spool_limit; /* bytes */
} ds_dicom_series;

/* All of it; rows->unit says whether studies get records too. */
int ds_dicom_series_run(const ds_dicom_series *s, ds_err *err);

#endif
