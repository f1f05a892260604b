/* ranks.c - see ranks.h. */
#include "ranks.h"

#include <stdlib.h>
#include <string.h>

#include "sharedobj.h"

/* How many processes the launcher says that there are. WORLD_SIZE alone comes last: others set it
 * too. */
static long launched(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS",
                                        "WORLD_SIZE"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *v = getenv(names[i]);
        if (v && *v)
            return strtol(v, NULL, 10);
    }
    return 1;
}

int ds_ranks_join(ds_ranks *r, ds_err *err)
{
    static const ds_so_part part = {.file = "libds-mpi.so",
                                    .env = "DS_MPI_PLUGIN",
                                    .symbol = "ds_mpi_join",
                                    .missing =
                                        "several processes were launched, and no MPI is here",
                                    .instead = "`make` builds the plugin where mpicc is found"};
    const long n = launched();
    ds_so_fn *fn;

    *r = (ds_ranks){.size = 1};
    if (n <= 1)
        return 0;
    int rc = ds_so_find(&fn, &part, err);
    rc = rc ? rc : ((ds_ranks_joiner *)fn)(r, DS_RANKS_ABI, err);
    if (!rc) {
        r->room = calloc((size_t)r->size, sizeof(ds_err));
        r->part = malloc(DS_RANKS_PART);
        rc = r->room && r->part ? 0 : ds_fail_nomem(err);
    }
    if (!rc && r->size != n)
        rc = ds_fail(err, DS_FAIL,
                     "%ld processes were launched, and MPI sees %d: by another MPI's mpirun, or by "
                     "a launcher that is none",
                     n, r->size);
    if (rc)
        ds_ranks_leave(r);
    return rc;
}

void ds_ranks_leave(ds_ranks *r)
{
    if (r->room)
        ds_ranks_any(r, false);
    free(r->room);
    free(r->part);
    if (r->leave)
        r->leave();
    *r = (ds_ranks){.size = 1};
}

int ds_ranks_agree(const ds_ranks *r, int rc, ds_err *err)
{
    const ds_err *all = r->room;
    ds_err mine = {0};

    if (r->size <= 1)
        return rc;
    if (rc) {
        mine = *err;
        mine.code = rc;
    }
    r->gather(r->room, &mine, (int)sizeof mine);
    for (int i = 0; i < r->size; i++)
        if (all[i].code) {
            *err = all[i];
            return i ? ds_err_prefix(err, "process %d of %d", i, r->size) : err->code;
        }
    return 0;
}

bool ds_ranks_any(const ds_ranks *r, bool mine)
{
    const char here = mine, *all = r->room;
    bool any = mine;

    if (r->size <= 1)
        return mine;
    r->gather(r->room, &here, 1);
    for (int i = 0; i < r->size; i++)
        any = any || all[i];
    return any;
}
