/* dcmpolicy.h - a policy from the inside: what is done to an attribute by PS3.15 table E.1-1 under
 * the chosen options. For dcmdeid.c and its helpers. */
#ifndef DS_DCMPOLICY_H
#define DS_DCMPOLICY_H

#include "dcmdeid.h"

enum dcm_base { BASE_X, BASE_Z, BASE_D, BASE_U, BASE_XZ, BASE_XD, BASE_ZD, BASE_XZD, BASE_XZU };
/* Bits in the order of the table's columns; the last two have none. */
enum dcm_option {
    DCM_OPT_SAFE_PRIVATE = 1,
    DCM_OPT_UIDS = 2,
    DCM_OPT_DEVICE = 4,
    DCM_OPT_INSTITUTION = 8,
    DCM_OPT_PATIENT = 16,
    DCM_OPT_FULL_DATES = 32,
    DCM_OPT_MODIFIED_DATES = 64,
    DCM_OPT_DESCRIPTORS = 128,
    DCM_OPT_STRUCTURED = 256,
    DCM_OPT_GRAPHICS = 512,
    DCM_OPT_PIXELS = 1024,
    DCM_OPT_VISUAL = 2048
};
typedef struct dcm_policy_row {
    uint32_t tag;
    uint8_t base;
    uint16_t keep, clean; /* options under which the cell says K, or C */
} dcm_policy_row;
extern const unsigned dcm_policy_n;
extern const dcm_policy_row dcm_policy_rows[];

#define DCM_UNLISTED DCM_ACTS
/* enum dcm_action, or DCM_UNLISTED. */
int dcm_policy_act(const dcm_policy *p, uint32_t tag);
unsigned dcm_policy_options(const dcm_policy *p);
const dcm_ids *dcm_policy_also(const dcm_policy *p); /* may be NULL */
bool dcm_policy_safe(const dcm_policy *p, const char *creator, uint32_t tag);
/* The codes of CID 7050 for the basic profile and the options in `done`, in order; *n of them. */
typedef struct dcm_method {
    char code[8];
    const char *meaning;
} dcm_method;
void dcm_policy_methods(unsigned done, dcm_method out[16], unsigned *n);

/* HMAC-SHA256 of the parts one after the other. */
typedef struct dcm_part {
    const void *p;
    size_t len;
} dcm_part;

#endif
