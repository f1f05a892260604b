/* dicompump.c - see dicompump.h. */
#include "dicompump.h"

#include "dicomaccount.h"
#include "sig.h"

static int take_first(const ds_dicom_pump *p, ds_dicom_in *in, ds_err *err)
{
    ds_dicom_result r = {0};
    int frames = -1,
        rc = in->reason ? 0 : ds_dicom_late_next(p->late, p->jobs, in, p->ask, &r, &frames, err);
    if (rc == 0)
        rc = p->take(p->ctx, in, in->reason ? NULL : &r, frames, err);
    ds_dicom_result_fini(&r);
    ds_dicom_in_fini(in);
    return rc;
}

static int known(void *ctx, ds_dicom_in *in, ds_err *err)
{
    const ds_dicom_pump *p = ctx;
    return ds_dicom_late_known(p->late, in, p->ask, err);
}

/* Keeps all processes busy. */
int ds_dicom_pump_run(const ds_dicom_pump *p, ds_err *err)
{
    size_t first = 0, used = 0;
    bool more = true;
    int rc = 0;
    if (p->late)
        ds_dicominput_known(p->input, known, (void *)(uintptr_t)p);
    while (rc == 0 && (more || used > 0)) {
        rc = ds_check_interrupt(err);
        while (rc == 0 && more && used < p->nins && !ds_dicom_jobs_full(p->jobs)) {
            ds_dicom_in *in = &p->ins[(first + used) % p->nins];
            rc = ds_dicominput_next(p->input, in, err);
            more = rc == 1;
            if (rc == 1) {
                used++;
                rc = in->reason || in->answer.len ? 0
                                                  : ds_dicom_jobs_submit(p->jobs, in, p->ask, err);
            }
        }
        if (rc == 0 && used > 0) {
            rc = take_first(p, &p->ins[first], err);
            first = (first + 1) % p->nins;
            used--;
        }
    }
    return rc;
}
