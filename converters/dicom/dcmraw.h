/* dcmraw.h - a parsed DICOM file as DCMTK holds it: its tree, and the bytes of its pixel data as
 * they stand. What dcmframe.c decodes from; others use dcmshim.h.
 *
 * No exception crosses it. One thread. Reasons are slugs of docs/dicom.md, static text.
 */
#ifndef DS_DCMRAW_H
#define DS_DCMRAW_H

#include "dcmshim.h"

#ifdef __cplusplus
extern "C" {
#endif

enum dcm_raw_kind { DCM_RAW_NONE, DCM_RAW_NATIVE, DCM_RAW_FRAGMENTS };

typedef struct dcm_raw dcm_raw;
/* Parses all of it and copies all but the pixel data into a new tree. */
int dcm_raw_open(dcm_raw **r, dcm_tree **tree, const dcm_bytes *from, const char *name,
                 const dcm_limits *lim, const char **reason, ds_err *err);
void dcm_raw_close(dcm_raw *r);
enum dcm_raw_kind dcm_raw_kind_of(const dcm_raw *r);
uint32_t dcm_raw_tag(const dcm_raw *r); /* of the pixel data */
const char *dcm_raw_syntax(const dcm_raw *r);
bool dcm_raw_big_endian(const dcm_raw *r);
bool dcm_raw_recovered(const dcm_raw *r);
uint64_t dcm_raw_len(const dcm_raw *r); /* of native pixel data */
/* Native pixel data, little endian, where it stands in a file that is in memory; NULL where that
 * cannot be told for certain. */
const uint8_t *dcm_raw_bytes(const dcm_raw *r);
/* Native pixel data in the file's own byte order. */
int dcm_raw_read(dcm_raw *r, uint64_t offset, void *to, size_t n, ds_err *err);
/* Fragments, the offset table not counted. */
uint32_t dcm_raw_fragments(const dcm_raw *r);
uint32_t dcm_raw_fragment_len(const dcm_raw *r, uint32_t i);
int dcm_raw_fragment(dcm_raw *r, uint32_t i, ds_buf *out, ds_err *err); /* appends */
int dcm_raw_offsets(dcm_raw *r, ds_buf *out, ds_err *err); /* the basic table: u32 each; appends */

#ifdef __cplusplus
}
#endif
#endif
