/* work.c - work with a backend that may know it, or may not (kernels.h). */
#include "kernels.h"

int ds_kwork_do(ds_kernels *k, const ds_kwork *w, int (*ask)(void *ctx, ds_err *err), void *ctx,
                ds_err *err)
{
    bool done = false;
    int rc, end;

    if (!k->work_begin)
        return ask(ctx, err);
    rc = k->work_begin(k, w, &done, err);
    if (rc || done)
        return rc;
    rc = ask(ctx, err);
    end = k->work_end(k, rc == 0, err);
    return rc ? rc : end;
}
