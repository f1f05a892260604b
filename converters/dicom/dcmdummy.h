/* dcmdummy.h - values that stand in for those of a person. For dcmdeid.c. */
#ifndef DS_DCMDUMMY_H
#define DS_DCMDUMMY_H

#include "dcmident.h"

/* Appends a fixed value that the VR allows. */
int dcm_dummy_value(const dcm_elem *e, ds_buf *out);
/* Appends the keyed pseudonym of those attributes that have one; *keyed says so. */
int dcm_dummy_keyed(const dcm_elem *e, const dcm_ident *id, const dcm_key *k, ds_buf *out,
                    bool *keyed, ds_err *err);
bool dcm_dummy_is_time(uint16_t vr); /* DA DT TM */
/* Appends the dates of a DA or DT, days later; what is no whole date becomes empty, *gone says so.
 * New dates are allowed in ids. */
int dcm_dummy_shift(const dcm_elem *e, int days, dcm_ids *ids, ds_buf *out, bool *gone,
                    ds_err *err);
/* True, with the value in out, when an age is above 89 years. */
bool dcm_dummy_age(const dcm_elem *e, ds_buf *out);

#endif
