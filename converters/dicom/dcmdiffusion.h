/* dcmdiffusion.h - the diffusion weighting of MR images whose makers keep it in private elements.
 *
 * Objects of one frame have it in the standard's attributes only since 2017 or so: DiffusionBValue
 * (0018,9087), s/mm2, and DiffusionGradientOrientation (0018,9089), direction cosines with respect
 * to the patient (PS3.3 C.8.13.5.9). Before, Siemens, GE and Philips had elements of
 * their own, which PS3.15 lists as safe (table E.3.10-1).
 */
#ifndef DS_DCMDIFFUSION_H
#define DS_DCMDIFFUSION_H

#include "dcmtree.h"

/* Puts those attributes into the main set where its b value is absent or empty and a private
 * element has one. That of GE and Philips stands in every MR image, and counts when it is above
 * zero; of GE in echo-planar images alone, and without the gradient, which is told along the axes
 * of the image. */
int dcm_diffusion_fill(dcm_tree *t, ds_err *err);

#endif
