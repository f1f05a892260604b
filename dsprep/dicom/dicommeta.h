/* dicommeta.h - what several JSON objects have in common: the members that are in all of them with
 * the same bytes, in the order of the first. For the attributes of a volume or a study.
 *
 * Texts are those that ds_dicom_json writes: objects without white space. One thread.
 */
#ifndef DS_DICOMMETA_H
#define DS_DICOMMETA_H

#include "buf.h"

typedef struct ds_dicom_common {
    ds_buf text; /* so far; empty before the first */
} ds_dicom_common;
/* DS_CORRUPT when it is no such object. */
int ds_dicom_common_add(ds_dicom_common *c, const void *json, size_t len, ds_err *err);
/* Takes a member out, by name. */
int ds_dicom_common_drop(ds_dicom_common *c, const char *name, ds_err *err);
void ds_dicom_common_reset(ds_dicom_common *c);
void ds_dicom_common_fini(ds_dicom_common *c);

#endif
