/* ranks.c - see ranks.h. */
#include "ranks.h"

#include <stdlib.h>
#include <string.h>

#include "launch.h"
#include "sharedobj.h"
#include "tcpranks.h"
#include "try.h"

/* By MPI, which may be missing: *there says whether it is. */
static int by_mpi(ds_ranks *r, const ds_launch *l, bool *there, ds_err *err)
{
    static const ds_so_part part = {.file = "libds-mpi.so",
                                    .env = "DS_MPI_PLUGIN",
                                    .symbol = "ds_mpi_join",
                                    .missing =
                                        "several processes were launched, and no MPI is here",
                                    .instead = "`make` builds the plugin where mpicc is found; "
                                               "MASTER_ADDR and MASTER_PORT say where they meet "
                                               "without it"};
    ds_so_fn *fn;
    int rc = ds_so_find(&fn, &part, err);

    *there = rc == 0;
    rc = rc ? rc : ((ds_ranks_joiner *)fn)(r, DS_RANKS_ABI, err);
    if (!rc && r->size != l->size) {
        rc = ds_fail(err, DS_FAIL,
                     "%d processes were launched, and MPI sees %d: by another MPI's mpirun, or by "
                     "a launcher that is none (DS_RANKS=tcp, MASTER_ADDR and MASTER_PORT do "
                     "without MPI)",
                     l->size, r->size);
        ds_ranks_leave(r);
    }
    return rc;
}

static int join(ds_ranks *r, const ds_launch *l, ds_err *err)
{
    bool there = false;

    if (l->mpi) {
        const int rc = by_mpi(r, l, &there, err);
        if (there || !l->tcp || l->rank < 0)
            return rc;
        ds_err_clear(err);
    }
    if (!l->tcp)
        return ds_fail(err, DS_USAGE,
                       "%d processes were launched, and nothing says where they meet: MASTER_ADDR "
                       "and MASTER_PORT",
                       l->size);
    return ds_tcp_join(r, l, err);
}

int ds_ranks_join(ds_ranks *r, ds_err *err)
{
    ds_launch l;

    *r = (ds_ranks){.size = 1};
    TRY(ds_launch_read(&l, err));
    if (l.size == 1)
        return 0;
    void *room = calloc((size_t)l.size, sizeof(ds_err));
    char *part = malloc(DS_RANKS_PART);
    int rc = room && part ? join(r, &l, err) : ds_fail_nomem(err);
    if (rc) {
        free(room);
        free(part);
        return rc;
    }
    r->room = room;
    r->part = part;
    return 0;
}

void ds_ranks_leave(ds_ranks *r)
{
    if (r->leave)
        r->leave(r);
    free(r->room);
    free(r->part);
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
    r->gather(r, r->room, &mine, (int)sizeof mine);
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
    r->gather(r, r->room, &here, 1);
    for (int i = 0; i < r->size; i++)
        any = any || all[i];
    return any;
}
