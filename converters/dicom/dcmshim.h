/* dcmshim.h - DCMTK and OpenJPEG behind a C interface: a file becomes a tree, and its frames stored
 * values.
 *
 * The C++ of these libraries stays behind this header; no exception crosses it. Called in
 * worker processes only (workpool.h of dsprep): hostile files may crash it. One thread.
 */
#ifndef DS_DCMSHIM_H
#define DS_DCMSHIM_H

#include "dcmtree.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Once a process. DS_FAIL when the data dictionary is not there: without it implicit VR files
 * would be read as unknown bytes, and names would pass. */
int dcm_shim_init(ds_err *err);

typedef struct dcm_limits {
    uint64_t max_file, max_frame; /* bytes, of a frame as it is decoded; 0: none */
    uint32_t max_frames;          /* 0: none */
} dcm_limits;

enum dcm_sample {
    DCM_U8 = 1,
    DCM_I8,
    DCM_U16,
    DCM_I16,
    DCM_U32,
    DCM_I32,
    DCM_F32 = 11,
    DCM_F64 = 12
}; /* dtypes of docs/dsr-format.md */

static inline unsigned dcm_sample_size(enum dcm_sample d)
{
    return d == DCM_U8 || d == DCM_I8 ? 1 : d == DCM_U16 || d == DCM_I16 ? 2 : d == DCM_F64 ? 8 : 4;
}

/* What the image is, after decoding. */
typedef struct dcm_image {
    char syntax[65]; /* transfer syntax UID as the file says */
    uint32_t rows, cols, samples, frames;
    uint16_t allocated, stored, high; /* bits */
    bool is_signed;
    char photometric[20];  /* of the decoded values: RGB where the decoder converted */
    enum dcm_sample dtype; /* of the decoded values */
    bool recovered;        /* parsed only by leniency: flag it */
    uint32_t surplus;      /* frames behind the last that it says it has; left out: flag it */
} dcm_image;

/* A file: all of its bytes in memory, or (mem is NULL) a range of a descriptor that can be read
 * anywhere. Borrowed as long as the file is open. */
typedef struct dcm_bytes {
    const void *mem;
    uint64_t size; /* of mem, or of the range; without mem 0: all that the descriptor has */
    int fd;
    uint64_t at; /* where the range begins */
} dcm_bytes;

typedef struct dcm_file dcm_file;
/* Reads all but the pixel data into *tree (the caller's to free). Names in messages: `name`. When
 * it fails *reason is a slug of docs/dicom.md: "not-dicom", "damaged", "too-deep", "out-of-memory";
 * *tree is then NULL, or what was read before the damage: for what it says of people and places. */
int dcm_file_open(dcm_file **f, dcm_tree **tree, const dcm_bytes *from, const char *name,
                  const dcm_limits *lim, const char **reason, ds_err *err);
/* DS_FAIL with *reason (a slug of docs: "no-pixels", "unsupported-syntax", ...) when it has no
 * frames that can be decoded. */
int dcm_file_image(dcm_file *f, dcm_image *im, const char **reason, ds_err *err);
/* Stored values of one frame (from 0): row by row, samples interleaved, little endian, sign
 * extended from the bits stored, unused bits masked. Replaces out. */
int dcm_file_frame(dcm_file *f, uint32_t frame, ds_buf *out, const char **reason, ds_err *err);
/* The same where the file in memory holds just these bytes: lends them. False: call the one above.
 */
bool dcm_file_lend(dcm_file *f, uint32_t frame, const uint8_t **p, size_t *n);
void dcm_file_close(dcm_file *f);

#ifdef __cplusplus
}
#endif
#endif
