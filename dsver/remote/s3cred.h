/* s3cred.h - who signs requests to an object store.
 *
 * In this order: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN) in the
 * environment; a file in the form of ~/.aws/credentials: the one given, else
 * AWS_SHARED_CREDENTIALS_FILE, else ~/.aws/credentials; in it the profile given, else AWS_PROFILE,
 * else "default". Never the command line. A file given comes before the environment.
 */
#ifndef DS_S3CRED_H
#define DS_S3CRED_H

#include "error.h"

typedef struct ds_s3_cred {
    char *key, *secret, *token; /* token: NULL when there is none */
} ds_s3_cred;

/* file, profile: NULL when not said. DS_FAIL says where was looked; it holds no secret. */
int ds_s3_cred_find(ds_s3_cred *c, const char *file, const char *profile, ds_err *err);
/* Reads the profile's section of such a file. 1 found, 0 not, < 0 error. */
int ds_s3_cred_read(ds_s3_cred *c, const char *text, size_t len, const char *profile, ds_err *err);
void ds_s3_cred_fini(ds_s3_cred *c); /* wipes */

#endif
