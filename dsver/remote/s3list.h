/* s3list.h - what an object store lists: objects, uploads under way, parts of one; page by page.
 *
 * fn gets each entry of every page; non-zero stops and is returned. Errors: those of ds_s3_do;
 * DS_CORRUPT a listing that does not go on where it says so. Threads: any.
 */
#ifndef DS_S3LIST_H
#define DS_S3LIST_H

#include "s3client.h"

/* Keys that begin with `prefix` (the whole key, the place's prefix included) and have no '/' behind
 * it. */
int ds_s3list_objects(ds_s3 *s, const char *prefix, ds_s3_key_fn fn, void *ctx, ds_err *err);
/* Multipart uploads to keys that begin with `prefix`; those to one key from the oldest on. */
int ds_s3list_uploads(ds_s3 *s, const char *prefix, ds_s3_key_fn fn, void *ctx, ds_err *err);
/* Parts that an upload to `key` (after the place's prefix) has. */
int ds_s3list_parts(ds_s3 *s, const char *key, const char *upload, ds_s3_key_fn fn, void *ctx,
                    ds_err *err);

#endif
