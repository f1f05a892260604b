/* proofraw.c - see proofraw.h. */
#include "proofraw.h"

#include <string.h>

#define PART ((size_t)1 << 20)
#define OVERLAP 256 /* longest identifier that is found across two parts */

int ds_proofraw_put(ds_proofraw *r, ds_proof *p, const char *column, const void *bytes, size_t n,
                    ds_err *err)
{
    const uint8_t *from = bytes;
    ds_buf *b = &r->window;
    int rc = 0;
    if (!p)
        return 0;
    b->len = 0;
    if (ds_buf_reserve(b, PART + OVERLAP) != 0)
        return ds_fail_nomem(err);
    for (size_t at = 0; rc == 0 && at < n;) {
        size_t take = n - at < PART ? n - at : PART;
        memcpy(b->data + r->tail, from + at, take);
        size_t all = r->tail + take;
        rc = ds_proof_value(p, column, DS_PROOF_RAW, b->data, all, err);
        r->tail = all < OVERLAP ? all : OVERLAP;
        memmove(b->data, b->data + all - r->tail, r->tail);
        at += take;
    }
    return rc;
}

void ds_proofraw_reset(ds_proofraw *r)
{
    r->tail = 0;
}

void ds_proofraw_fini(ds_proofraw *r)
{
    ds_buf_fini(&r->window);
    r->tail = 0;
}
