/* dicomdevice.h - values of frames made on a device (kernels.h): the bits of dcm_chain_frame.
 *
 * A device is opened by the worker process that wants it, at its first frame, and goes with the
 * process; a process that has opened one must not fork. One thread.
 */
#ifndef DS_DICOMDEVICE_H
#define DS_DICOMDEVICE_H

#include "dcmchain.h"

/* Can it be opened? Tried in a process of its own. */
int ds_dicom_device_check(const char *device, ds_err *err);
/* One frame, in patches of `side` pixels where that is not 0. *made false: its values are not what
 * a device makes (dcm_chain_table), and out is as it was. */
int ds_dicom_device_frame(const char *device, dcm_chain *c, const dcm_image *im, uint32_t frame,
                          uint32_t side, const ds_buf *in, ds_buf *out, bool *made, ds_err *err);

#endif
