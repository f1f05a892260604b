/* launch.h - what the launcher of a process says in its environment: how many were launched, which
 * one this is, and where they meet.
 *
 * mpirun: OMPI_COMM_WORLD_* or PMI_*. torchrun and what is like it: RANK, WORLD_SIZE, LOCAL_RANK,
 * MASTER_ADDR, MASTER_PORT. srun of Slurm: SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_LOCALID; they
 * meet on the step's first node, on a port made of the job's and the step's number. The innermost
 * counts: torchrun's before the one that started torchrun.
 *
 * DS_RANKS=mpi or tcp says by what they talk, where both would do; DS_RANKS_PORT names another
 * port, DS_RANKS_TIMEOUT the seconds in which all have to come, DS_RANKS_WAIT those in which one
 * that others wait for later has to do something, DS_RANKS_TOKEN a word that all must know. Nothing
 * is allocated; the environment is only read.
 */
#ifndef DS_LAUNCH_H
#define DS_LAUNCH_H

#include <stdbool.h>

#include "error.h"

#define DS_LAUNCH_MOST 4096 /* processes */

typedef struct ds_launch {
    int rank, size; /* 0 of 1: alone */
    int local;      /* number among those of this machine; -1: it is not said */
    bool mpi;       /* MPI may be there for it */
    bool tcp;       /* where they meet is known: */
    bool here;      /* all are on this machine */
    char host[256]; /* of process 0 */
    int port;
    int timeout, patience; /* seconds: to come, and for a sign of life after that */
    char run[512];         /* what tells this run from others that meet there */
} ds_launch;

int ds_launch_read(ds_launch *l, ds_err *err);
/* The first name of a list as Slurm writes them: "node[07-12,15],login" is node07. */
int ds_launch_first_node(char out[256], const char *list, ds_err *err);

#endif
