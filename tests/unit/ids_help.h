/* ids_help.h - identifiers for tests: of which kind a value is, its attribute's VR says. */
#ifndef DS_IDS_HELP_H
#define DS_IDS_HELP_H

#include "dcmproof.h"
#include "dcmtree.h"

static inline enum dcm_id_kind ids_kind(uint32_t tag)
{
    switch (dcm_dict_vr(tag)) {
    case DCM_VR('P', 'N'):
        return DCM_ID_NAME;
    case DCM_VR('D', 'A'):
        return DCM_ID_DATE;
    case DCM_VR('U', 'I'):
        return DCM_ID_UID;
    default:
        return tag == 0x00080080 ? DCM_ID_PLACE : DCM_ID_CODE;
    }
}

static inline int ids_add(dcm_ids *ids, uint32_t tag, const char *value, size_t len)
{
    return dcm_ids_add(ids, tag, ids_kind(tag), value, len, NULL);
}

#endif
