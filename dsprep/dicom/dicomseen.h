/* dicomseen.h - which objects a run has had: one that comes again is told from one that only has
 * the same name. 40 to 80 bytes an object. One thread. */
#ifndef DS_DICOMSEEN_H
#define DS_DICOMSEEN_H

#include "hash.h"

typedef struct ds_dicom_seen {
    struct ds_seen_object *v; /* open addressing; a power of two */
    size_t n, cap;
} ds_dicom_seen; /* zeroed: none */

enum ds_seen { DS_SEEN_NEW, DS_SEEN_SAME, DS_SEEN_OTHER };
/* The object of this key (its instance UID, or the pseudonym of it) and these bytes: entered as the
 * one of its key, or the same bytes once more, or other bytes under a key that was there. */
int ds_dicom_seen_put(ds_dicom_seen *s, const void *key, size_t len, const ds_sha *sha,
                      enum ds_seen *what, ds_err *err);
void ds_dicom_seen_fini(ds_dicom_seen *s);

#endif
