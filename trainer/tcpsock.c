/* tcpsock.c - see tcpsock.h. */
#include "tcpsock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "sig.h"
#include "try.h"

int ds_sock_left(double until)
{
    const double ms = (until - ds_seconds()) * 1e3;

    return ms < 0 ? 0 : ms > 60000 ? 60000 : (int)ms + 1;
}

void ds_sock_shut(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* 1 when something can be read or written, 0 when the time is over. */
static int wait_for(int fd, short what, double until, ds_err *err)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = what};
        const int n = poll(&p, 1, ds_sock_left(until));
        TRY(ds_check_interrupt(err));
        if (n > 0)
            return 1;
        if (n == 0 && ds_seconds() >= until)
            return 0;
        if (n < 0 && errno != EINTR)
            return ds_fail_errno(err, errno, "poll");
    }
}

int ds_sock_receive(int fd, void *to, size_t n, double until, ds_err *err)
{
    size_t at = 0;

    while (at < n) {
        const ssize_t got = recv(fd, (char *)to + at, n - at, MSG_DONTWAIT);
        if (got > 0) {
            at += (size_t)got;
            continue;
        }
        if (got == 0 || (errno != EAGAIN && errno != EINTR))
            return 0;
        const int rc = wait_for(fd, POLLIN, until, err);
        if (rc <= 0)
            return rc;
    }
    return 1;
}

int ds_sock_give(int fd, const void *from, size_t n, double until, ds_err *err)
{
    size_t at = 0;

    while (at < n) {
        const ssize_t put = send(fd, (const char *)from + at, n - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (put > 0) {
            at += (size_t)put;
            continue;
        }
        if (errno != EAGAIN && errno != EINTR)
            return 0;
        const int rc = wait_for(fd, POLLOUT, until, err);
        if (rc <= 0)
            return rc;
    }
    return 1;
}

bool ds_sock_is_v4(const uint8_t address[16])
{
    static const uint8_t before[12] = {[10] = 0xff, [11] = 0xff};

    return memcmp(address, before, sizeof before) == 0;
}

void ds_sock_far(uint8_t address[16], int fd)
{
    struct sockaddr_storage a = {0};
    socklen_t n = sizeof a;

    memset(address, 0, 16);
    getpeername(fd, (struct sockaddr *)&a, &n);
    if (a.ss_family == AF_INET) {
        memset(address + 10, 0xff, 2);
        memcpy(address + 12, &((const struct sockaddr_in *)&a)->sin_addr, 4);
    } else {
        memcpy(address, &((const struct sockaddr_in6 *)&a)->sin6_addr, 16);
    }
    if (memcmp(address, &in6addr_loopback, 16) == 0 ||
        (ds_sock_is_v4(address) && address[12] == 127))
        memset(address, 0, 16);
}

bool ds_sock_no_more(int e)
{
    return e == EMFILE || e == ENFILE || e == ENOBUFS || e == ENOMEM;
}

/* A connection to oneself can come about where nobody listens on a port that the system gives out.
 */
static bool is_own(int fd)
{
    struct sockaddr_storage a = {0}, b = {0};
    socklen_t na = sizeof a, nb = sizeof b;

    return getsockname(fd, (struct sockaddr *)&a, &na) == 0 &&
           getpeername(fd, (struct sockaddr *)&b, &nb) == 0 && na == nb && memcmp(&a, &b, na) == 0;
}

int ds_sock_connect(int *fd, const struct sockaddr *a, socklen_t n, double until, int *why,
                    ds_err *err)
{
    socklen_t size = sizeof *why;

    *why = 0;
    *fd = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0) {
        *why = errno;
        return ds_sock_no_more(errno) ? ds_fail_errno(err, errno, "a socket (ulimit -n)") : 0;
    }
    if (connect(*fd, a, n) && errno != EINPROGRESS) {
        *why = errno;
    } else {
        const int rc = wait_for(*fd, POLLOUT, until, err);
        if (rc < 0)
            return rc;
        *why = ETIMEDOUT;
        if (rc > 0)
            getsockopt(*fd, SOL_SOCKET, SO_ERROR, why, &size);
        if (!*why && is_own(*fd))
            *why = ECONNREFUSED;
    }
    if (!*why)
        return 1;
    ds_sock_shut(fd);
    return 0;
}

void ds_sock_settle(int fd)
{
    const int one = 1, idle = 60, every = 10, times = 6, most = 120000;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof every);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof times);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &most, sizeof most);
}
