/* tcpranks.h - ranks.h over TCP, between processes that tcpmeet.h brought together.
 *
 * What one process gives another is a header, 4 magic "DSR1", 4 kind, 4 number of the call, 4
 * length, all little endian, and the bytes. The kinds: 1 what is exchanged, whose number and length
 * must be those that the receiver waits for; 2 the end, with the reason as text. A process that
 * goes without the latter is named by those who miss it, in a call or between calls, when a thread
 * watches: who waits for a device may wait for that process's. They tell the others, print why on
 * standard error, and end with status 1: what they have on disk is what a killed run has.
 */
#ifndef DS_TCPRANKS_H
#define DS_TCPRANKS_H

#include "launch.h"
#include "ranks.h"

int ds_tcp_join(ds_ranks *r, const ds_launch *l, ds_err *err);

#endif
