/* tcpsock.h - sockets, what is said on them within a time, and whose they are.
 *
 * Times are those of ds_seconds. A signal that ends the program ends each wait with an error.
 */
#ifndef DS_TCPSOCK_H
#define DS_TCPSOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "error.h"

int ds_sock_left(double until); /* milliseconds, at most a minute, for poll */
void ds_sock_shut(int *fd);     /* *fd = -1; < 0 is fine */
/* 1: all of it; 0: the other end went, or the time is over; < 0. */
int ds_sock_receive(int fd, void *to, size_t n, double until, ds_err *err);
int ds_sock_give(int fd, const void *from, size_t n, double until, ds_err *err);
/* A connection, not blocking: 1, or 0 with why (an errno) it is not there yet; < 0. */
int ds_sock_connect(int *fd, const struct sockaddr *a, socklen_t n, double until, int *why,
                    ds_err *err);
/* Of a call that wanted a descriptor: there will be none unless another goes. */
bool ds_sock_no_more(int e);
/* Of the other end, as an IPv6 address; zeros where it is this machine's own. */
void ds_sock_far(uint8_t address[16], int fd);
bool ds_sock_is_v4(const uint8_t address[16]); /* one that was made an IPv6 address */
/* What goes out goes at once, and a machine that is no more is noticed. */
void ds_sock_settle(int fd);

#endif
