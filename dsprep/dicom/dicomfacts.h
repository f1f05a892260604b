/* dicomfacts.h - what a de-identified object says of itself that records have columns for: whose it
 * is, what it shows, where its frames lie, what its report says.
 *
 * Everything comes from the tree as it is after de-identification, so that nothing reaches a column
 * that meta would not hold. A worker makes facts and writes them as bytes; who reads them does not
 * trust them. Lengths are millimetres, places are in the patient's system (LPS, PS3.3 C.7.6.2.1.1)
 * and for the grid of the record: after --resize.
 */
#ifndef DS_DICOMFACTS_H
#define DS_DICOMFACTS_H

#include "dcmchain.h"

enum ds_fact {
    DS_FACT_PATIENT,
    DS_FACT_STUDY,
    DS_FACT_SERIES,
    DS_FACT_SPACE, /* frame of reference */
    DS_FACT_MODALITY,
    DS_FACT_BODY_PART,
    DS_FACT_LATERALITY,
    DS_FACT_VIEW,
    DS_FACT_CONTENT, /* JSON: rows of a structured report (dicomreport.h) */
    DS_FACT_INDICATION,
    DS_FACT_TECHNIQUE,
    DS_FACT_COMPARISON,
    DS_FACT_FINDINGS,
    DS_FACT_IMPRESSION,
    DS_FACTS
};
#define DS_FACT_SECTION DS_FACT_INDICATION /* the first of the sections; they stand last */

enum { DS_PLACE_SPACING = 1, DS_PLACE_POSITION = 2, DS_PLACE_ORIENTATION = 4 };
typedef struct ds_dicom_place {
    double spacing[2];     /* between rows, between columns */
    double position[3];    /* of the first pixel's centre */
    double orientation[6]; /* of a row, of a column: unit vectors */
    double order;          /* trigger time: what comes first at one place */
    unsigned has;
    const char *split; /* JSON: what tells stacks of one series apart; lent by the facts */
    size_t split_len;
} ds_dicom_place;

typedef struct ds_dicom_facts {
    ds_buf bytes;
    const char *text[DS_FACTS]; /* NULL: absent; lent */
    size_t len[DS_FACTS];
    int64_t series_number, instance, acquisition; /* INT64_MIN: absent */
    ds_dicom_place *places;                       /* one a frame, or one for all */
    uint32_t nplaces;                             /* 0 without pixels */
} ds_dicom_facts;

/* Appends the facts of a tree. im and shape are NULL for an object without pixels. `report`: the
 * report's content and sections too. */
int ds_dicom_facts_write(ds_buf *out, const dcm_set *main, const dcm_image *im,
                         const dcm_shape *shape, bool report, ds_err *err);
/* Copies the bytes. DS_CORRUPT when they are no facts of so many frames (0: no pixels). */
int ds_dicom_facts_read(ds_dicom_facts *f, const void *p, size_t len, uint32_t frames, ds_err *err);
void ds_dicom_facts_fini(ds_dicom_facts *f);
static inline const ds_dicom_place *ds_dicom_place_of(const ds_dicom_facts *f, uint64_t frame)
{
    return f->nplaces == 0 ? NULL : &f->places[f->nplaces == 1 ? 0 : frame];
}

/* Row by row, from (column, row, slice, 1) to millimetres; `step` is from a slice to the next, NULL
 * for zeros as in the standard's equation. False, and nothing, where a part is absent. */
bool ds_dicom_affine(const ds_dicom_place *p, const double step[3], double out[16]);

#endif
