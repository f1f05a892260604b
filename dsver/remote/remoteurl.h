/* remoteurl.h - where a remote's packs lie: a folder, or a place in an S3-compatible object store.
 *
 *     /path  ./path  file:///path        a folder
 *     s3://BUCKET[/PREFIX][?endpoint=URL][&region=R][&style=path|virtual][&profile=P]
 *
 * A secret never stands in a URL: one with a user's part (user:secret@) is refused.
 */
#ifndef DS_REMOTEURL_H
#define DS_REMOTEURL_H

#include <stdbool.h>

#include "error.h"

typedef struct ds_remote_url {
    bool s3;
    char *path;                    /* of a folder, absolute */
    char *bucket, *prefix;         /* prefix: "" or "a/b/" */
    char *endpoint;                /* "http[s]://host[:port]"; NULL: Amazon's */
    char *region, *profile;        /* NULL: not said */
    bool virtual_host, path_style; /* what style= says; neither: by the endpoint */
} ds_remote_url;

/* DS_USAGE with the reason. Zeroed or fini'd before; fini'd by the caller. */
int ds_remote_url_parse(ds_remote_url *u, const char *text, ds_err *err);
void ds_remote_url_fini(ds_remote_url *u);
/* The text with a relative path made absolute: caller frees. */
int ds_remote_url_text(char **out, const char *text, ds_err *err);
/* The catalog that goes with packs in a folder: "PATH/catalog.git". Caller frees. */
int ds_remote_url_catalog(char **out, const ds_remote_url *u, ds_err *err);
/* No control bytes, no leading '-', no password: fit to be given to git. */
int ds_git_url_check(const char *url, ds_err *err);

#endif
