/* proven.c - see proven.h. */
#include "proven.h"

#include <stdatomic.h>
#include <stdlib.h>

struct ds_proven {
    uint64_t n; /* rows */
    atomic_uchar *bits;
};

int ds_proven_new(ds_proven **out, int64_t last, ds_err *err)
{
    ds_proven *p = calloc(1, sizeof *p);
    *out = p;
    if (!p)
        return ds_fail_nomem(err);
    p->n = last < 0 ? 1 : (uint64_t)last + 1;
    p->bits = p->n / 8 < SIZE_MAX ? calloc((size_t)(p->n / 8) + 1, sizeof *p->bits) : NULL;
    if (p->bits)
        return 0;
    ds_proven_free(p);
    *out = NULL;
    return ds_fail_nomem(err);
}

bool ds_proven_has(ds_proven *p, int64_t row)
{
    return row >= 0 && (uint64_t)row < p->n && atomic_load(&p->bits[row / 8]) & 1u << row % 8;
}

void ds_proven_add(ds_proven *p, int64_t row)
{
    if (row >= 0 && (uint64_t)row < p->n)
        atomic_fetch_or(&p->bits[row / 8], (unsigned char)(1u << row % 8));
}

void ds_proven_free(ds_proven *p)
{
    if (!p)
        return;
    free(p->bits);
    free(p);
}
