/* mpiranks.c - libds-mpi.so: ranks.h by MPI. What goes wrong in MPI ends all processes, with MPI's
 * own message: one of them alone could only leave the others waiting. */
#include <mpi.h>
#include <stdio.h>

#include "ranks.h"

static void gather(const ds_ranks *r, void *all, const void *mine, int bytes)
{
    (void)r;
    MPI_Allgather(mine, bytes, MPI_BYTE, all, bytes, MPI_BYTE, MPI_COMM_WORLD);
}

static void exchange(const ds_ranks *r, void *all, const void *mine, int bytes)
{
    (void)r;
    MPI_Alltoall(mine, bytes, MPI_BYTE, all, bytes, MPI_BYTE, MPI_COMM_WORLD);
}

static void spread(const ds_ranks *r, void *data, int bytes, int root)
{
    (void)r;
    MPI_Bcast(data, bytes, MPI_BYTE, root, MPI_COMM_WORLD);
}

/* Both ends call it. */
static void pass(const ds_ranks *r, void *data, int bytes, int from, int to)
{
    if (r->rank == from)
        MPI_Send(data, bytes, MPI_BYTE, to, 0, MPI_COMM_WORLD);
    else if (r->rank == to)
        MPI_Recv(data, bytes, MPI_BYTE, from, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

static void leave(const ds_ranks *r)
{
    (void)r;
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Finalize();
}

static void quit(const ds_ranks *r, const char *why)
{
    fprintf(stderr, "dstrain: process %d of %d: %s\n", r->rank, r->size, why);
    MPI_Abort(MPI_COMM_WORLD, 1);
}

static int local_rank(void)
{
    MPI_Comm here;
    int n;

    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &here);
    MPI_Comm_rank(here, &n);
    MPI_Comm_free(&here);
    return n;
}

__attribute__((visibility("default"))) ds_ranks_joiner ds_mpi_join;

int ds_mpi_join(ds_ranks *r, int abi, ds_err *err)
{
    int threads;

    if (abi != DS_RANKS_ABI)
        return ds_fail(err, DS_FAIL, "libds-mpi.so: of another version of dstrain");
    MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &threads);
    *r = (ds_ranks){.gather = gather,
                    .exchange = exchange,
                    .spread = spread,
                    .pass = pass,
                    .leave = leave,
                    .quit = quit};
    MPI_Comm_rank(MPI_COMM_WORLD, &r->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &r->size);
    r->local = local_rank();
    return 0;
}
