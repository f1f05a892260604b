/* s3client.h - requests to an S3-compatible object store: signed, sent, and sent again when that
 * may help.
 *
 * Over libcurl. A request is repeated, with exponential backoff and jitter and never without end,
 * when the connection fails, stalls or breaks off, and when the server answers 408, 429, 5xx or
 * says so in its error; a body that breaks off goes on where it was. A wrong clock is put right
 * from the server's answer. Bodies that are sent carry their SHA-256, which the server checks.
 *
 * Threads: any number on one ds_s3. Errors: DS_IO network and server, DS_FAIL what the server
 * refuses, DS_CORRUPT answers that make no sense. No message and no log holds a secret.
 */
#ifndef DS_S3CLIENT_H
#define DS_S3CLIENT_H

#include <stdbool.h>

#include "remoteurl.h"
#include "s3cred.h"
#include "s3sign.h"
#include "s3xml.h"

typedef struct ds_s3 ds_s3;

/* Takes over cred. tries: of each request, at least 1. */
int ds_s3_open(ds_s3 **out, const ds_remote_url *u, ds_s3_cred *cred, unsigned tries, ds_err *err);
void ds_s3_close(ds_s3 *s); /* NULL is fine */

/* Takes the body of an answer as it comes. Non-zero stops and is returned. */
typedef int (*ds_s3_sink_fn)(void *ctx, const void *data, size_t len, ds_err *err);

typedef struct ds_s3_call {
    const char *method; /* GET HEAD PUT POST DELETE */
    const char *key;    /* after the prefix; NULL: the bucket itself */
    const ds_s3_pair *params;
    size_t nparams;
    ds_s3_pair condition;    /* if-match or if-none-match; name NULL: none */
    uint64_t range, range_n; /* GET: that many bytes from there; range_n 0: all */
    bool ranged;
    /* what is sent: data, or n bytes of fd from off; sum: its SHA-256 */
    const void *data;
    int fd;
    uint64_t off, n;
    const ds_sha *sum;
    /* What the document of an answer of 2xx is called; one that is none, or another, is asked for
     * once more. NULL: it is not looked at. */
    const char *root;
    /* where an answer of 2xx goes; NULL: into body */
    ds_s3_sink_fn sink;
    void *ctx;
    /* results */
    long status;     /* 2xx, 404 of a key, 412; with a condition also 409 and 501; of a request that
                        failed, the last answer's, 0 when there was none */
    uint64_t length; /* Content-Length of the answer */
    char etag[128];
    ds_buf body; /* fini'd by ds_s3_call_fini */
} ds_s3_call;

int ds_s3_do(ds_s3 *s, ds_s3_call *c, ds_err *err);
void ds_s3_call_fini(ds_s3_call *c);
static inline bool ds_s3_done(const ds_s3_call *c)
{
    return c->status >= 200 && c->status < 300;
}
/* The error of an answer that is no 2xx: DS_CORRUPT where nothing is of that name, else DS_FAIL. */
int ds_s3_refused(const ds_s3 *s, const ds_s3_call *c, ds_err *err);
/* Length of a file: 1, 0 when it is not there, < 0. */
int ds_s3_stat(ds_s3 *s, const char *key, uint64_t *size, ds_err *err);
/* "s3://bucket/prefix": for messages. */
const char *ds_s3_name(const ds_s3 *s);
const char *ds_s3_prefix(const ds_s3 *s); /* "prefix/" or "" */
/* Of what is to be there only when nothing is. */
#define DS_S3_ONLY_NEW ((ds_s3_pair){"if-none-match", "*"})

#endif
