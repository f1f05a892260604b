/* mpiranks.c - libds-mpi.so: ranks.h by MPI. What goes wrong in MPI ends all processes, with MPI's
 * own message: one of them alone could only leave the others waiting. */
#include <mpi.h>
#include <stdio.h>
#include <unistd.h>

#include "ranks.h"

static const char GIVEN[] = "what other processes give";

static void gather(const ds_ranks *r, void *all, const void *mine, int bytes)
{
    r->wait(r, GIVEN, false);
    MPI_Allgather(mine, bytes, MPI_BYTE, all, bytes, MPI_BYTE, MPI_COMM_WORLD);
    r->wait(r, NULL, false);
}

static void exchange(const ds_ranks *r, void *all, const void *mine, int bytes)
{
    r->wait(r, GIVEN, false);
    MPI_Alltoall(mine, bytes, MPI_BYTE, all, bytes, MPI_BYTE, MPI_COMM_WORLD);
    r->wait(r, NULL, false);
}

static void spread(const ds_ranks *r, void *data, int bytes, int root)
{
    r->wait(r, GIVEN, false);
    MPI_Bcast(data, bytes, MPI_BYTE, root, MPI_COMM_WORLD);
    r->wait(r, NULL, false);
}

/* Both ends call it. */
static void pass(const ds_ranks *r, void *data, int bytes, int from, int to)
{
    r->wait(r, GIVEN, false);
    if (r->rank == from)
        MPI_Send(data, bytes, MPI_BYTE, to, 0, MPI_COMM_WORLD);
    else if (r->rank == to)
        MPI_Recv(data, bytes, MPI_BYTE, from, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    r->wait(r, NULL, false);
}

static void leave(const ds_ranks *r)
{
    r->wait(r, "the end of other processes", false);
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Finalize();
    r->wait(r, NULL, false);
}

/* MPI is the thread's that began it. When another one ends the process, or MPI has not begun,
 * mpirun ends the others. */
static void quit(const ds_ranks *r, const char *why)
{
    int begun = 0, mine = 0;

    fprintf(stderr, "dstrain: process %d of %d: %s\n", r->rank, r->size, why);
    MPI_Initialized(&begun);
    if (begun)
        MPI_Is_thread_main(&mine);
    if (mine)
        MPI_Abort(MPI_COMM_WORLD, 1);
    _exit(1);
}

__attribute__((visibility("default"))) ds_ranks_joiner ds_mpi_join;

int ds_mpi_join(ds_ranks *r, int abi, ds_err *err)
{
    int threads;

    if (abi != DS_RANKS_ABI)
        return ds_fail(err, DS_FAIL, "libds-mpi.so: of another version of dstrain");
    r->quit = quit;
    r->wait(r, "the other processes of mpirun", true);
    MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &threads);
    r->wait(r, NULL, true);
    r->gather = gather;
    r->exchange = exchange;
    r->spread = spread;
    r->pass = pass;
    r->leave = leave;
    MPI_Comm_rank(MPI_COMM_WORLD, &r->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &r->size);
    return 0;
}
