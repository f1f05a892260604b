/* nifti.h - the head of a NIfTI-1 file: an array, and where in a patient it lies.
 *
 * The format of neuroimaging that most tools for medical images read (nifti1.h of the NIfTI Data
 * Format Working Group; https://nifti.nimh.nih.gov/nifti-1): 348 bytes, four of no extension, the
 * values. Axes are counted the other way round, so that values lie as those of a tensor do: the
 * last dimension is the first axis. Its world is right, anterior, superior (RAS), where DICOM's is
 * left, posterior, superior (LPS).
 */
#ifndef DS_NIFTI_H
#define DS_NIFTI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DS_NIFTI_HEAD = 352 };

typedef struct ds_nifti {
    int dtype, ndim;
    uint64_t dims[8]; /* of the tensor */
    bool has_affine;
    double affine[16]; /* 4 x 4 by rows: column, row, slice to mm, LPS (docs/dicom.md); one that has
                        * no inverse, or another last row than 0 0 0 1, is none */
    double spacing[3]; /* mm along columns, rows, slices, where there is no affine; 0: not known */
} ds_nifti;

/* What values become: f16 and bf16 are f32. */
int ds_nifti_dtype(int dtype);
/* A last dimension of 3 or 4, behind two others, is one of colours: of 8 bits they lie together in
 * a value of NIfTI; of other types they are the fifth axis, and values lie by colour: so many of
 * them, else 1. */
unsigned ds_nifti_planes(const ds_nifti *n);
/* NULL; or why it cannot be (static). */
const char *ds_nifti_head(uint8_t out[DS_NIFTI_HEAD], const ds_nifti *n);

#endif
