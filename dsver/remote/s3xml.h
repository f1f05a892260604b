/* s3xml.h - the few XML answers of S3 that are read: listings of objects, of multipart uploads and
 * of their parts, the id of an upload, what became of it, an error.
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
    char next[2048]; /* <NextContinuationToken>, <NextKeyMarker> or <NextPartNumberMarker>; "" when
                        there is none */
    char next_upload[1024]; /* <NextUploadIdMarker> */
    bool truncated;         /* <IsTruncated> */
} ds_s3_answer;

/* An entry of a listing: an object, an upload under way, a part of one. Non-zero from fn stops and
 * is returned. */
typedef struct ds_s3_key {
    const char *key;    /* of an object or an upload; NULL for a part */
    const char *upload; /* the id of an upload, else NULL */
    const char *etag;   /* of a part, as it is spelled, else NULL */
    uint64_t number;    /* of a part */
    uint64_t size;      /* of an object or a part */
    int64_t time;       /* <LastModified> or <Initiated>: seconds since 1970; INT64_MAX: not said */
} ds_s3_key;
typedef int (*ds_s3_key_fn)(void *ctx, const ds_s3_key *k, ds_err *err);
/* fn may be NULL. */
int ds_s3_answer_read(ds_s3_answer *out, const void *text, size_t len, ds_s3_key_fn fn, void *ctx,
                      ds_err *err);

#endif
