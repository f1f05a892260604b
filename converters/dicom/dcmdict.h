/* dcmdict.h - the rows behind dcm_keyword() and dcm_dict_vr(): dcmdictdata.c, written by
 * gen/dcmdict.py. Sorted by tag. */
#ifndef DS_DCMDICT_H
#define DS_DCMDICT_H

#include "dcmtree.h"

typedef struct dcm_dict_row {
    uint32_t tag;
    uint16_t vr;
    const char *name;
} dcm_dict_row;
extern const unsigned dcm_dict_n;
extern const dcm_dict_row dcm_dict_rows[];

#endif
