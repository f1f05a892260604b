/* ranks.c - see ranks.h. */
#include "ranks.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "io.h"
#include "launch.h"
#include "pool.h"
#include "rankguard.h"
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

    r->rank = l->rank < 0 ? 0 : l->rank;
    r->size = l->size;
    *there = rc == 0;
    rc = rc ? rc : ((ds_ranks_joiner *)fn)(r, DS_RANKS_ABI, err);
    if (!rc && r->size != l->size) {
        rc = ds_fail(err, DS_FAIL,
                     "%d processes were launched, and MPI sees %d: by another MPI's mpirun, or by "
                     "a launcher that is none (DS_RANKS=tcp, MASTER_ADDR and MASTER_PORT do "
                     "without MPI)",
                     l->size, r->size);
        r->leave(r);
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

/* ---- who is where ---- */

typedef struct seat {
    ds_x128 machine; /* of its boot's number */
    cpu_set_t cpus;  /* empty: more than there is room for */
} seat;

_Static_assert(sizeof(seat) <= sizeof(ds_err), "r->room is of errors");

static seat my_seat(void)
{
    seat s;
    ds_buf id = {0};

    (void)ds_read_file(&id, "/proc/sys/kernel/random/boot_id", 256, NULL);
    s.machine = ds_xxh128(id.data ? (const void *)id.data : "", id.len);
    ds_buf_fini(&id);
    if (sched_getaffinity(0, sizeof s.cpus, &s.cpus))
        CPU_ZERO(&s.cpus);
    return s;
}

static bool same_machine(const seat *a, const seat *b)
{
    return memcmp(&a->machine, &b->machine, sizeof a->machine) == 0;
}

/* A processor that several may run on is shared by them. */
static int share_of(const ds_ranks *r, const seat *all)
{
    const seat *mine = &all[r->rank];
    double share = 0;

    for (size_t c = 0; c < CPU_SETSIZE; c++) {
        int users = 0;
        for (int i = 0; CPU_ISSET(c, &mine->cpus) && i < r->size; i++)
            users += same_machine(&all[i], mine) && CPU_ISSET(c, &all[i].cpus);
        share += users ? 1.0 / users : 0;
    }
    if (CPU_COUNT(&mine->cpus) == 0)
        share = (double)ds_cpu_count() / r->here;
    const int whole = (int)(share + 1e-6); /* three thirds are one */
    return whole < 1 ? 1 : whole;
}

void ds_ranks_place(ds_ranks *r, int local)
{
    const seat mine = my_seat(), *all = r->room;
    int before = 0;

    r->gather(r, r->room, &mine, (int)sizeof mine);
    r->here = 0;
    for (int i = 0; i < r->size; i++)
        if (same_machine(&all[i], &mine)) {
            r->here++;
            before += i < r->rank;
        }
    r->local = local >= 0 ? local : before;
    r->processors = share_of(r, all);
}

/* ---- coming and going ---- */

static void alone(ds_ranks *r)
{
    ds_rankguard_end(r);
    free(r->room);
    free(r->part);
    *r = (ds_ranks){.size = 1, .here = 1};
}

int ds_ranks_join(ds_ranks *r, ds_err *err)
{
    ds_launch l;

    *r = (ds_ranks){.size = 1, .here = 1};
    TRY(ds_launch_read(&l, err));
    if (l.size == 1)
        return 0;
    r->timeout = l.timeout;
    r->patience = l.patience;
    r->room = calloc((size_t)l.size, sizeof(ds_err));
    r->part = malloc(DS_RANKS_PART);
    int rc = r->room && r->part ? ds_rankguard_begin(r, err) : ds_fail_nomem(err);
    rc = rc ? rc : join(r, &l, err);
    if (rc)
        alone(r);
    else
        ds_ranks_place(r, l.local);
    return rc;
}

void ds_ranks_leave(ds_ranks *r)
{
    if (r->leave)
        r->leave(r);
    alone(r);
}

/* ---- what all say ---- */

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
