/* fmtdigest.h - the digests that other formats name: sha256, xxh128, xxh3_64, xxh64; several at
 * once over bytes that come in parts. In lower-case hex, xxHash in its canonical byte order. One
 * thread.
 */
#ifndef DS_FMTDIGEST_H
#define DS_FMTDIGEST_H

#include "hash.h"

enum { DS_DIGEST_SHA256, DS_DIGEST_XXH128, DS_DIGEST_XXH3_64, DS_DIGEST_XXH64, DS_DIGESTS };
extern const char *const ds_digest_names[]; /* by number, sorted */

typedef struct ds_fmtdigest {
    unsigned want; /* 1 << number */
    ds_hasher *sha;
    void *xxh3, *xxh; /* states */
    char hex[DS_DIGESTS][65];
} ds_fmtdigest;

/* Names separated by commas, or "none", into bits; false: one is not known. */
bool ds_fmtdigest_parse(unsigned *want, const char *names);
int ds_fmtdigest_begin(ds_fmtdigest *d, unsigned want, ds_err *err); /* again and again */
int ds_fmtdigest_put(ds_fmtdigest *d, const void *p, size_t len, ds_err *err);
int ds_fmtdigest_end(ds_fmtdigest *d, ds_err *err); /* fills in hex */
void ds_fmtdigest_fini(ds_fmtdigest *d);

#endif
