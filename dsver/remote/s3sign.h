/* s3sign.h - AWS Signature Version 4: what an S3 request carries to say who sent it.
 *
 * Pure functions of their arguments; "AWS General Reference, Signature Version 4" and "Amazon S3
 * API Reference, Authenticating Requests (Authorization Header)". Paths and queries come in already
 * encoded (ds_s3_encode, ds_s3_query), so that what is signed is what is sent.
 */
#ifndef DS_S3SIGN_H
#define DS_S3SIGN_H

#include "buf.h"
#include "hash.h"

typedef struct ds_s3_pair {
    const char *name, *value;
} ds_s3_pair;

typedef struct ds_s3_signed {
    const char *method, *path, *query; /* path: encoded, begins with '/'; query: of ds_s3_query */
    const ds_s3_pair *headers;         /* all that are signed; names in lower case, any order */
    size_t nheaders;
    const char *payload; /* SHA-256 of the body, 64 hex digits, or UNSIGNED-PAYLOAD */
    const char *date;    /* "20130524T000000Z": the x-amz-date header */
    const char *region, *service;
    const char *key, *secret;
} ds_s3_signed;

enum { DS_S3_HEADERS_MAX = 16, DS_S3_PARAMS_MAX = 8 };

/* The value of the Authorization header replaces what is in out. At most DS_S3_HEADERS_MAX headers.
 */
int ds_s3_sign(ds_buf *out, const ds_s3_signed *s, ds_err *err);
/* Appends text with all but unreserved characters as %XX; '/' stays when keep_slash. */
int ds_s3_encode(ds_buf *out, const char *text, bool keep_slash);
/* Replaces out by the canonical query: encoded, sorted; "" when there is none. At most
 * DS_S3_PARAMS_MAX. */
int ds_s3_query(ds_buf *out, const ds_s3_pair *params, size_t n, ds_err *err);
/* HMAC-SHA-256. */
int ds_hmac_sha256(ds_sha *out, const void *key, size_t key_len, const void *data, size_t len,
                   ds_err *err);

#endif
