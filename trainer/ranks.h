/* ranks.h - a run computed by several processes, one for each device or machine: who is who, and
 * the few things that they give each other.
 *
 * They are launched as N times the same command (launch.h): by mpirun, and talk by MPI (MPI Forum
 * 2015, version 3.1), which a plugin brings: libds-mpi.so, built where mpicc is found;
 * $DS_MPI_PLUGIN names another. Or by srun of Slurm, torchrun, or whatever sets what torchrun sets,
 * and talk over TCP (tcpranks.h). What is added, and in which order, is the same. One process alone
 * needs none of it.
 *
 * All functions but the first are collective: every rank calls the same ones in the same order. A
 * rank that dies takes the others with it, as MPI has it, and so does one that stands still: who
 * waits for it does so for a time. One thread calls them.
 */
#ifndef DS_RANKS_H
#define DS_RANKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

typedef struct ds_ranks {
    int rank, size;  /* 0 of 1: alone */
    int local, here; /* of ds_ranks_place: number among those on this machine, whose device is
                        whose; and how many they are */
    int processors;  /* this one's share of the machine's; 0: all are its own */
    /* all[i] is what rank i gives: `bytes` of it, as much as everybody gives. */
    void (*gather)(const struct ds_ranks *r, void *all, const void *mine, int bytes);
    /* all[i] is what rank i has for this one: piece number `rank` of its `mine`. */
    void (*exchange)(const struct ds_ranks *r, void *all, const void *mine, int bytes);
    /* root's data goes to all; from's to one, and only the two call it. */
    void (*spread)(const struct ds_ranks *r, void *data, int bytes, int root);
    void (*pass)(const struct ds_ranks *r, void *data, int bytes, int from, int to);
    void (*leave)(const struct ds_ranks *r); /* none goes before all are here */
    /* The end of all processes, for who cannot go on and cannot say so any more: the others wait
     * for its device. Does not return. */
    void (*quit)(const struct ds_ranks *r, const char *why);
    void *ctx; /* of those functions */
    /* of ds_ranks_join, when there are several */
    void *room; /* for what all of them say */
    char *part; /* DS_RANKS_PART bytes on their way, for whoever calls */
    /* Seconds in which all have to come together, and in which one that others wait for has to give
     * or take something (launch.h): all end when they are over. */
    int timeout, patience;
    /* From here on this process waits, for others' devices or in a function that knows no time:
     * `what` does not come, of those who come together or of what they give. NULL: no longer. */
    void (*wait)(const struct ds_ranks *r, const char *what, bool together);
    void *guard; /* who looks at the time then */
} ds_ranks;

#define DS_RANKS_DEVICES "what other processes' devices give" /* to wait for */

/* Alone unless a launcher's environment says that there are several. r stays where it is until all
 * leave. */
int ds_ranks_join(ds_ranks *r, ds_err *err);
/* Of those that have joined: who is on this machine, and what is whose there. local: the number
 * that the launcher says, or -1. Needs room. */
void ds_ranks_place(ds_ranks *r, int local);
void ds_ranks_leave(ds_ranks *r); /* alone: nothing */
/* rc and err of the first rank that failed, everywhere; 0 when none did. Who is not the first says
 * so in the message. */
int ds_ranks_agree(const ds_ranks *r, int rc, ds_err *err);
/* Does any of them say so? */
bool ds_ranks_any(const ds_ranks *r, bool mine);

/* What the plugin gives under the name ds_mpi_join: fills in ctx, the functions but wait, which is
 * there, and rank and size as MPI has them: before, they are the launcher's. abi counts its
 * changes. */
#define DS_RANKS_ABI 6
#define DS_RANKS_PART ((int64_t)1 << 22)
typedef int ds_ranks_joiner(ds_ranks *r, int abi, ds_err *err);

#endif
