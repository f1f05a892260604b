/* dcmdict.c - see dcmtree.h: keyword and VR of attributes of the standard. */
#include "dcmdict.h"

/* Repeating groups (50xx curves, 60xx overlays) and elements (0020,31xx) are listed once. */
static uint32_t fold(uint32_t tag)
{
    uint32_t group = tag >> 16;
    if ((group & 0xff01) == 0x5000 || (group & 0xff01) == 0x6000)
        return (group & 0xff00) << 16 | (tag & 0xffff);
    if (group == 0x0020 && (tag & 0xff00) == 0x3100)
        return tag & 0xffffff00;
    return tag;
}

static const dcm_dict_row *find(uint32_t tag)
{
    size_t lo = 0, hi = dcm_dict_n;
    tag = fold(tag);
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (dcm_dict_rows[mid].tag < tag)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < dcm_dict_n && dcm_dict_rows[lo].tag == tag ? &dcm_dict_rows[lo] : NULL;
}

const char *dcm_keyword(uint32_t tag)
{
    const dcm_dict_row *r = find(tag);
    return r ? r->name : NULL;
}

uint16_t dcm_dict_vr(uint32_t tag)
{
    const dcm_dict_row *r = find(tag);
    if (r)
        return r->vr;
    if (tag >> 16 & 1 && (tag & 0xffff) >= 0x10 && (tag & 0xffff) <= 0xff)
        return DCM_VR('L', 'O'); /* private creator */
    return (tag & 0xffff) == 0 ? DCM_VR('U', 'L') : DCM_VR('U', 'N');
}
