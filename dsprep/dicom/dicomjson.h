/* dicomjson.h - a tree as JSON by keyword.
 *
 * Numbers of IS and DS, and binary ones, are numbers; several values are an array; sequences are
 * arrays of objects; bytes and pixels are left out. Attributes without a keyword go by their tag,
 * private ones by tag and creator. The tree's texts are UTF-8 (dcm_tree_utf8).
 */
#ifndef DS_DICOMJSON_H
#define DS_DICOMJSON_H

#include "dcmtree.h"

int ds_dicom_json(const dcm_set *s, ds_buf *out, ds_err *err); /* appends an object */

#endif
