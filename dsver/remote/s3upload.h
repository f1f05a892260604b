/* s3upload.h - a file into an object store in parts, and on from where one that died came to.
 *
 * Parts of 16 MiB. An upload that a broken connection or a signal ended stays there, and whoever
 * sends the same file next goes on with it: a part counts as sent when the server has it with that
 * length and an ETag that is the MD5 of these bytes (who fetches the file checks its SHA-256). One
 * that the server refuses is aborted. Several may be at one upload: the first completes it, the
 * others find the file. What nobody goes on with ds_s3upload_end ends. Threads: any.
 */
#ifndef DS_S3UPLOAD_H
#define DS_S3UPLOAD_H

#include "remote.h"
#include "s3client.h"

/* b->fd is sent. 1 stored, 0 one of that name was there, < 0 error. */
int ds_s3upload_put(ds_s3 *s, const char *name, const ds_remote_body *b, ds_err *err);
/* See ds_remote_end_uploads. */
int ds_s3upload_end(ds_s3 *s, const char *folder, int64_t before, bool dry_run,
                    ds_remote_uploads *n, ds_err *err);

#endif
