/* proofraw.h - a long run of bytes searched in parts: what lies across two parts is found too. */
#ifndef DS_PROOFRAW_H
#define DS_PROOFRAW_H

#include "proofpass.h"

typedef struct ds_proofraw {
    ds_buf window;
    size_t tail; /* bytes of it that were the end of the part before */
} ds_proofraw;
/* p may be NULL: nothing is searched. */
int ds_proofraw_put(ds_proofraw *r, ds_proof *p, const char *column, const void *bytes, size_t n,
                    ds_err *err);
void ds_proofraw_reset(ds_proofraw *r);
void ds_proofraw_fini(ds_proofraw *r);

#endif
