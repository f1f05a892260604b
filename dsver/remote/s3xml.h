/* s3xml.h - the few XML answers of S3 that are read: a listing, the id of a multipart upload, what
 * became of it, an error.
 *
 * Answers come from strangers: parsed by expat under limits of size and depth, a document type is
 * refused (no entities). DS_CORRUPT says what is wrong with one.
 */
#ifndef DS_S3XML_H
#define DS_S3XML_H

#include "buf.h"

#define DS_S3_ANSWER_MAX ((size_t)16 << 20)

typedef struct ds_s3_answer {
    char root[64];     /* the outermost element */
    char code[128];    /* of an <Error> */
    char message[512]; /* of an <Error> */
    char region[64];   /* of an <Error> */
    char upload[1024]; /* <UploadId> */
    char next[2048];   /* <NextContinuationToken>, "" when there is none */
    bool truncated;    /* <IsTruncated> */
} ds_s3_answer;

/* A key of a listing, of objects or of uploads under way; non-zero from fn stops and is returned.
 */
typedef struct ds_s3_key {
    const char *key, *upload; /* upload: the id of one; NULL for an object */
    uint64_t size;
    int64_t time; /* <LastModified> or <Initiated>: seconds since 1970; INT64_MAX: not said */
} ds_s3_key;
typedef int (*ds_s3_key_fn)(void *ctx, const ds_s3_key *k, ds_err *err);
/* fn may be NULL. */
int ds_s3_answer_read(ds_s3_answer *out, const void *text, size_t len, ds_s3_key_fn fn, void *ctx,
                      ds_err *err);

#endif
