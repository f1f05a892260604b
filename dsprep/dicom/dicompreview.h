/* dicompreview.h - contact sheets: PNG images in a folder, for a person to see what a model will.
 *
 * A record with many frames has a sheet of its own, with up to 36 of them, evenly spaced; records
 * of one frame share sheets with their neighbours of the same series. A sheet is named by the key
 * of the first record on it, and holds no writing. Tiles are 256 pixels at most, as averages of the
 * values in the record: after a window its whole range is black to white, else the least and the
 * greatest value of the frame are. With patches their borders are drawn. One thread.
 */
#ifndef DS_DICOMPREVIEW_H
#define DS_DICOMPREVIEW_H

#include "dicomrows.h"

typedef struct ds_dicom_preview ds_dicom_preview;
/* The folder is there. windowed: values are those of --values window. patch: pixels, or 0. */
int ds_dicom_preview_new(ds_dicom_preview **p, const char *dir, bool windowed, uint32_t patch,
                         ds_err *err);
int ds_dicom_preview_record(ds_dicom_preview *p, const ds_dicom_record *rec, ds_err *err);
int ds_dicom_preview_end(ds_dicom_preview *p, ds_err *err); /* the last sheet */
void ds_dicom_preview_free(ds_dicom_preview *p);

#endif
