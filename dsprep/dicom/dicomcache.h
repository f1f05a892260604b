/* dicomcache.h - what became of files when they were last read: a file in the store, for each list
 * of inputs and kind of record (docs/store-format.md, "Objects of DICOM"), read at the beginning
 * and written anew at the end.
 *
 * An answer is all that a worker says of a file but its frames: texts, places, and the identifiers
 * that the search looks for. With a key, answers are encrypted and names are pseudonyms, by keys
 * that follow from it: who may read the store learns nothing. An answer holds for the function
 * (options, rules, key, program) and the stamp under which it was made, and for nothing else: both
 * are authenticated with it. A damaged or missing file is an empty one; nothing depends on its
 * being kept. Memory: 16 bytes a record, the file being mapped. One thread.
 */
#ifndef DS_DICOMCACHE_H
#define DS_DICOMCACHE_H

#include "dcmdeid.h"
#include "dsr_refs.h"
#include "treewalk.h"

typedef struct ds_dicom_cache_opts {
    const char *dir; /* the store's folder, which is written to */
    ds_storeid store;
    char *const *inputs;
    size_t ninputs;
    const char *kind;   /* of run, beside its inputs: runs of one kind take each other's place */
    ds_sha function;    /* of everything but the files that records depend on */
    const dcm_key *key; /* NULL without de-identification; borrowed */
} ds_dicom_cache_opts;

typedef struct ds_dicom_cache ds_dicom_cache;
int ds_dicom_cache_open(ds_dicom_cache **c, const ds_dicom_cache_opts *o, ds_err *err);
/* The answer to `ask` of the file with this name and stamp: 1, with where it stands for _again; 0
 * not known; < 0 error. */
int ds_dicom_cache_find(ds_dicom_cache *c, const char *name, uint8_t ask, const ds_filestamp *is,
                        ds_buf *answer, size_t *at, ds_err *err);
int ds_dicom_cache_put(ds_dicom_cache *c, const char *name, uint8_t ask, const ds_filestamp *is,
                       const void *answer, size_t len, ds_err *err);
/* What was found still holds. */
int ds_dicom_cache_again(ds_dicom_cache *c, size_t at, ds_err *err);
/* The chunk of a block's images, by a digest over them: 1 and its pieces, 0 not known, < 0 error.
 */
int ds_dicom_cache_chunk(const ds_dicom_cache *c, const ds_sha *images, ds_refs *out, ds_err *err);
int ds_dicom_cache_put_chunk(ds_dicom_cache *c, const ds_sha *images, const ds_refs *refs,
                             ds_err *err);
/* The digest of an image's bytes, by what it was made of. */
bool ds_dicom_cache_digest(const ds_dicom_cache *c, const ds_sha *image, ds_sha *digest);
int ds_dicom_cache_put_digest(ds_dicom_cache *c, const ds_sha *image, const ds_sha *digest,
                              ds_err *err);
/* What was put takes the place of what was known. */
int ds_dicom_cache_keep(ds_dicom_cache *c, ds_err *err);
void ds_dicom_cache_free(ds_dicom_cache *c); /* NULL is fine */

#endif
