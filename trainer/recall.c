/* recall.c - see recall.h. */
#include "recall.h"
#include "io.h"

#include <string.h>

#include "segments.h"
#include "try.h"

static int take_row(void *ctx, const ds_ledger_row *r, ds_err *err)
{
    ds_spike *s = ctx;
    double loss;

    (void)err;
    memcpy(&loss, &r->loss, sizeof loss);
    if (r->step == s->seen + 1) /* its first row, perhaps its last too */
        s->seen++;
    s->last[(r->step - 1) % s->c.window] = loss; /* the step's last row stays */
    return 0;
}

int ds_spike_recall(ds_spike *s, const char *checkpoint, uint64_t step, ds_err *err)
{
    char dir[DS_PATH];
    ds_segments l = {0};
    int rc = 0;

    if (s->c.policy == DS_SPIKE_OFF || !step)
        return 0;
    TRY(ds_path_join(dir, checkpoint, "ledger", err));
    rc = ds_segments_dir(&l, dir, err);
    s->seen = 0;
    for (size_t i = 0; !rc && i < l.n; i++) {
        ds_segments one = {.v = &l.v[i], .n = 1};
        if (l.v[i].last + s->c.window <= step) { /* too long ago to matter */
            s->seen = l.v[i].last;
            continue;
        }
        rc = ds_segments_scan(&one, NULL, take_row, s, err);
    }
    if (!rc && s->seen != step)
        rc = ds_fail(err, DS_CORRUPT,
                     "%s: the ledger ends with step %llu, the checkpoint is of %llu", dir,
                     (unsigned long long)s->seen, (unsigned long long)step);
    ds_segments_fini(&l);
    return rc;
}
