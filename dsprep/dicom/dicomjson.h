/* dicomjson.h - a tree as JSON by keyword, and the content of a structured report as text.
 *
 * Numbers of IS and DS, and binary ones, are numbers; several values are an array; sequences are
 * arrays of objects; bytes and pixels are left out. Attributes without a keyword go by their tag,
 * private ones by tag and creator. The tree's texts are UTF-8 (dcm_tree_utf8).
 */
#ifndef DS_DICOMJSON_H
#define DS_DICOMJSON_H

#include "dcmtree.h"

int ds_dicom_json(const dcm_set *s, ds_buf *out, ds_err *err); /* appends an object */
/* Appends a line for each node: its concept, a colon, its value with its unit; two spaces a level.
 * Nothing is appended when the object has no content. */
int ds_dicom_text(const dcm_set *s, ds_buf *out, ds_err *err);

#endif
