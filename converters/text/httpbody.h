/* httpbody.h - the body of an HTTP response as it was sent, without what was for the way: chunks
 * (RFC 9112, section 7.1) and content encodings (RFC 9110, section 8.4): gzip, deflate, br, zstd.
 *
 * What archives of the web hold may say that it is encoded and not be: writers that decode what
 * they keep, and keep its header. So a body that does not begin as its header says is taken as it
 * is. Untrusted: what comes out is at most `most` bytes, and, past 16 MiB, max_ratio times what
 * went in. Pure functions.
 */
#ifndef DS_HTTPBODY_H
#define DS_HTTPBODY_H

#include "buf.h"
#include "error.h"

typedef struct ds_httpbody {
    const uint8_t *p; /* of the input, or in `mem` */
    size_t len;
    const uint8_t *whole; /* without its chunks, its content encoding as it was */
    size_t whole_len;
} ds_httpbody;

typedef struct ds_httplimits {
    size_t most;
    uint64_t max_ratio; /* 0 = none */
    bool cut;           /* it was cut off where it was kept: what there is of it counts */
} ds_httplimits;

/* `head`: the response's header fields. `mem` is memory for it. DS_FAIL: it cannot be read, the
 * reason in err; DS_NOMEM. */
int ds_httpbody_read(ds_httpbody *b, ds_buf mem[3], const uint8_t *head, size_t head_len,
                     const uint8_t *p, size_t len, const ds_httplimits *limits, ds_err *err);

#endif
