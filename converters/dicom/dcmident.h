/* dcmident.h - who a file is about: its identifiers, its patient's key, the shift of its dates. For
 * dcmdeid.c. Texts of the tree are UTF-8. */
#ifndef DS_DCMIDENT_H
#define DS_DCMIDENT_H

#include "dcmpolicy.h"

/* Adds all identifiers that the policy does not keep, of every set, private ones and what will be
 * removed included. */
int dcm_ident_collect(dcm_tree *t, const dcm_policy *p, dcm_ids *ids, ds_err *err);
/* A UID that names a kind of thing, not a thing: SOP classes, transfer syntaxes, coding schemes. */
bool dcm_ident_is_class(uint32_t tag);

typedef struct dcm_ident {
    char patient[25];   /* pseudonym */
    int shift;          /* days, negative; whole weeks */
    bool ours;          /* this tool wrote the file with this key */
    bool already;       /* (0012,0062) says YES */
    bool dates_changed; /* and (0028,0303) that the dates are not the real ones */
} dcm_ident;
int dcm_ident_of(dcm_ident *id, dcm_tree *t, const dcm_key *k, ds_err *err);
/* The value of (0012,0063) by which a file is known as ours: key id and MAC of the UID and the
 * patient as they stand now. */
int dcm_ident_mark(char out[65], dcm_tree *t, const dcm_key *k, ds_err *err);

#endif
