// dcmtwice.hh - elements that stand in a data set once more. DCMTK passes over all but the first of
// them (PS3.5 7.1 allows one), so what they say of people has to be read from the bytes.
#ifndef DS_DCMTWICE_HH
#define DS_DCMTWICE_HH

#include "dcmsource.hh"

extern "C" {
#include "dcmtree.h"
}

// Puts what stands out of the ascending order of tags, which every second one does, beside the tree
// (dcm_tree_aside). `form` is that of the data set. Where the bytes are no data set it ends; of a
// deflated one it sees nothing.
int dcm_twice_find(dcm_tree *t, const dcm_source &src, E_TransferSyntax form, ds_err *err);

#endif
