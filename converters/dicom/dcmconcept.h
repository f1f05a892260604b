/* dcmconcept.h - content items that say who somebody is: what the code of a concept name (PS3.16,
 * TID 1002 to 1007 and CID 7452) tells of the value beside it. A text under such a code is an
 * identifier, whatever it looks like. For dcmdeid.c and dcmident.c. */
#ifndef DS_DCMCONCEPT_H
#define DS_DCMCONCEPT_H

#include "dcmpolicy.h"

enum dcm_concept_act {
    DCM_CONCEPT_KEEP, /* of nobody, or kept by an option */
    DCM_CONCEPT_HIDE, /* texts in it become dummies */
    DCM_CONCEPT_DROP  /* the item goes: age, sex, size, weight and birth date of the subject */
};
enum dcm_concept_act dcm_concept_act(const dcm_set *item, unsigned options);
/* What kind of identifier the text value of the item is; 0 for none, or where an option keeps it.
 */
int dcm_concept_kind(const dcm_set *item, unsigned options);
/* An age of 90 years or more that an option keeps is 90 afterwards. *capped: it was so. */
int dcm_concept_cap_age(dcm_tree *t, dcm_set *item, bool *capped, ds_err *err);

#endif
