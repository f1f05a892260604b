/* tree_help.h - elements and items of a data set, made for a test. */
#ifndef DS_TREE_HELP_H
#define DS_TREE_HELP_H

#include "unit.h"

#include "dcmtree.h"

static inline void tree_put(dcm_tree *t, dcm_set *s, uint32_t tag, const char *vr, const char *text)
{
    ds_err err = {0};
    assert_int_equal(dcm_set_put(t, s, tag, DCM_VR(vr[0], vr[1]), text, strlen(text), NULL, &err),
                     0);
}

static inline dcm_set *tree_item(dcm_tree *t, dcm_set *s, uint32_t tag)
{
    dcm_set *made = NULL;
    ds_err err = {0};
    assert_int_equal(dcm_set_item(t, s, tag, &made, &err), 0);
    return made;
}

#endif
