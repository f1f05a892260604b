/* dicomvolume.h - slices into volumes: which belong together, in which order, how far apart.
 *
 * Pure: from places to an order, no pixels. Slices of one series (or frames of one multi-frame
 * object) make a volume when they agree in frame of reference, rows, columns, samples, in pixel
 * spacing and orientation (to 1e-4), and in what tells stacks apart (ds_dicom_place.split:
 * image type, echo, temporal position, b value, segment ...). Within a volume they lie in ascending
 * order of their position along the normal of the first.
 *
 * Where several lie at one place (to 0.01 mm): the acquisition number splits them if that leaves no
 * two at one place; otherwise the k-th at each place, by trigger time, acquisition, instance number
 * and key, is in the k-th volume. Nothing is left out.
 *
 * The type of a volume is the narrowest that holds the values of all its slices: where each has its
 * own scale (PET), an empty one may have no fractions. Whole numbers of 32 bits beside f32 are f64.
 *
 * A volume is regular when every slice lies where equal steps from the first to the last put it, to
 * 1 % of a step and at least 0.01 mm: in all three coordinates, so that a tilted gantry's shear is
 * in the step. Only then it has one step, and an affine. Where slices were lost, steps are measured
 * by what they were before: a pair that is left of three is no volume of twice the step.
 */
#ifndef DS_DICOMVOLUME_H
#define DS_DICOMVOLUME_H

#include "dicomfacts.h"

typedef struct ds_slice {
    size_t object; /* the caller's number; equal for frames of one object */
    uint32_t frame;
    const ds_dicom_facts *facts;
    const ds_dicom_place *place; /* NULL: stands by itself */
    const char *key;             /* of the object */
    dcm_shape shape;             /* of the object; the plan gives it the type of its volume */
    bool whole;                  /* all frames of the object, not one */
    bool lost;                   /* has its place in the plan, and will not come out */
    double along;                /* from here on set by the plan */
    size_t layer;
} ds_slice;

enum ds_volume_split { DS_SPLIT_NONE, DS_SPLIT_ACQUISITION, DS_SPLIT_OCCURRENCE };
typedef struct ds_volume {
    ds_slice *slices; /* n of them, in the caller's array */
    size_t n;
    bool stack; /* has places: n slices of one frame; else one object by itself */
    size_t layer, layers;
    enum ds_volume_split split;
    size_t doubled; /* places of the stack at which several slices lay */
    size_t lost;    /* slices of the plan that did not come out */
    bool regular;   /* and of two slices at least */
    double step[3]; /* of a regular one */
    double typical; /* mm from a slice to the next: the median; 0 for a single one */
} ds_volume;

/* Sorts the array, and describes its volumes in order: patient, study, series by number, and so on.
 * The same slices in any order give the same. *v is the caller's to free. */
int ds_volumes_plan(ds_volume **v, size_t *n, ds_slice *slices, size_t nslices, ds_err *err);
/* Measures steps again, after `lost` slices were taken out. */
int ds_volume_measure(ds_volume *v, ds_err *err);
/* {"slices":..,"lost":..,"split":{..},"layer":..,"typical":..,"regular":..,"gaps":[{"after":..,
 * "mm":..,"missing":..}],"doubled":..}; gaps counts them. */
int ds_volume_json(const ds_volume *v, ds_buf *out, size_t *gaps, ds_err *err);

#endif
