/* tcpmeet.h - processes of one run find each other over TCP: afterwards each has a connection to
 * every other.
 *
 * Process 0 listens where launch.h says; the others come there, in any order, and try again until
 * it is there. When all have come it tells each where the others listen, and every process calls
 * those between 0 and itself. Who listens speaks first:
 *
 *   greeting  8 magic "DSRANKS1", 24 version of dstrain, 16 random
 *   hello     8 magic, 24 version, 4 rank, 4 size, 4 port where it listens, 4 zero, 32 proof
 *   answer    4 zero, or not: refused; 252 text why
 *   places    only of process 0: of each 16 address (IPv6; zeros: process 0's), 4 port
 *
 * Numbers are little endian. proof is SHA-256(SHA-256(the run's name in launch.h), the random
 * bytes, what precedes in hello): a connection without it is none of the run's; it is refused and
 * the wait goes on. So do connections that say nothing or something else. Nobody who listens on the
 * way learns the word, but he sees what is passed: TCP is for networks that are the user's own.
 */
#ifndef DS_TCPMEET_H
#define DS_TCPMEET_H

#include "launch.h"

/* fd[i] leads to process i, fd[l->rank] is -1; all are non-blocking. Fails within l->timeout
 * seconds, with the numbers of those that did not come. */
int ds_tcp_meet(int *fd, const ds_launch *l, ds_err *err);

#endif
