/* tcpmeet.c - see tcpmeet.h. */
#include "tcpmeet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "hash.h"
#include "io.h"
#include "sig.h"
#include "tcpsock.h"
#include "try.h"

#define MAGIC "DSRANKS1"
enum {
    WORD = 8,
    VERSION_AT = 24, /* length of a version */
    RANDOM = 16,
    GREETING = WORD + VERSION_AT + RANDOM,
    SAID = WORD + VERSION_AT + 16, /* of a hello, before its proof */
    HELLO = SAID + 32,
    ANSWER = 256,
    PLACE = 20,
    STRANGERS = 32,   /* that may wait beside those who belong here */
    PATIENCE = 10,    /* seconds that one that connected has to say hello */
    GRACE = 10,       /* longer than process 0 waits who came to it: it knows who is missing */
    PAUSE_FIRST = 50, /* milliseconds between tries */
    PAUSE_MOST = 1000,
};

typedef struct caller { /* one that connected and has not said who it is */
    int fd;
    double until;
    size_t got;
    uint8_t random[RANDOM], hello[HELLO];
} caller;

typedef struct meeting {
    const ds_launch *l;
    int *fd;
    int listens, port;
    double until;
    ds_sha key;
    char version[VERSION_AT];
    caller *callers;
    size_t n, cap;
    int strangers; /* connections that were none of the run's */
    bool full;     /* there is no room for another connection */
    uint8_t *places;
} meeting;

/* ---- who is who ---- */

static int prove(ds_sha *out, const meeting *m, const uint8_t random[RANDOM],
                 const uint8_t hello[SAID], ds_err *err)
{
    uint8_t all[32 + RANDOM + SAID];

    memcpy(all, m->key.b, 32);
    memcpy(all + 32, random, RANDOM);
    memcpy(all + 32 + RANDOM, hello, SAID);
    return ds_sha_bytes(out, all, sizeof all, err);
}

static void answer(int fd, double until, bool refused, const char *why)
{
    uint8_t a[ANSWER] = {0};
    ds_err ignored = {0};

    ds_set_u32(a, refused);
    snprintf((char *)a + 4, ANSWER - 4, "%s", why);
    ds_sock_give(fd, a, sizeof a, until < ds_seconds() + 1 ? ds_seconds() + 1 : until, &ignored);
}

static void list_missing(char *out, size_t room, const meeting *m)
{
    size_t n = 0;

    for (int i = m->l->rank + 1; i < m->l->size; i++) {
        if (m->fd[i] >= 0)
            continue;
        if (n + 24 > room) {
            snprintf(out + n, room - n, ", ...");
            return;
        }
        n += (size_t)snprintf(out + n, room - n, "%s%d", n ? ", " : "", i);
    }
}

/* What a hello of this run says; DS_FAIL: the run cannot begin. */
static int check_hello(const meeting *m, const uint8_t *h, ds_err *err)
{
    const uint32_t rank = ds_get_u32(h + WORD + VERSION_AT),
                   size = ds_get_u32(h + WORD + VERSION_AT + 4);

    if (memcmp(h + WORD, m->version, VERSION_AT) != 0)
        return ds_fail(err, DS_FAIL, "process %u is dstrain %.*s, and process %d is %.*s", rank,
                       VERSION_AT, (const char *)h + WORD, m->l->rank, VERSION_AT, m->version);
    if (size != (uint32_t)m->l->size)
        return ds_fail(err, DS_FAIL, "process %u says that there are %u, and process %d, %d", rank,
                       size, m->l->rank, m->l->size);
    if (rank >= size || rank <= (uint32_t)m->l->rank)
        return ds_fail(err, DS_FAIL, "one that calls itself process %u came to process %d of %d",
                       rank, m->l->rank, m->l->size);
    if (m->fd[rank] >= 0)
        return ds_fail(err, DS_FAIL, "two processes say that they are number %u of %u", rank, size);
    return 0;
}

/* A hello is complete. */
static int greeted(meeting *m, caller *c, ds_err *err)
{
    ds_sha proof;

    TRY(prove(&proof, m, c->random, c->hello, err));
    unsigned differs = (unsigned)memcmp(c->hello, MAGIC, WORD);
    for (int i = 0; i < 32; i++)
        differs |= proof.b[i] ^ c->hello[SAID + i];
    if (differs) {
        m->strangers++;
        answer(c->fd, 0, true, "another run's processes meet here (DS_RANKS_TOKEN, or the port)");
        ds_sock_shut(&c->fd);
        return 0;
    }
    if (check_hello(m, c->hello, err)) {
        answer(c->fd, 0, true, err->msg);
        return err->code;
    }
    const uint32_t rank = ds_get_u32(c->hello + WORD + VERSION_AT);
    uint8_t *place = m->places + rank * PLACE;
    ds_sock_far(place, c->fd);
    memcpy(place + 16, c->hello + WORD + VERSION_AT + 8, 4);
    m->fd[rank] = c->fd;
    c->fd = -1;
    if (m->l->rank)
        answer(m->fd[rank], m->until, false, "");
    return 0;
}

/* ---- listening ---- */

static int listen_at(meeting *m, int port, bool here, ds_err *err)
{
    const int one = 1, zero = 0;
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    const int kind = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
    socklen_t n = sizeof six;

    m->listens = here ? -1 : socket(AF_INET6, kind, 0);
    const bool wide = m->listens >= 0;
    if (wide)
        setsockopt(m->listens, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    else
        m->listens = socket(AF_INET, kind, 0);
    four.sin_addr.s_addr = htonl(here ? INADDR_LOOPBACK : INADDR_ANY);
    if (m->listens < 0)
        return ds_fail_errno(err, errno, "a socket");
    setsockopt(m->listens, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (wide ? bind(m->listens, (const struct sockaddr *)&six, sizeof six)
             : bind(m->listens, (const struct sockaddr *)&four, sizeof four))
        return ds_fail_errno(err, errno, "port %d, where process %d is to be found%s", port,
                             m->l->rank, port ? " (MASTER_PORT, DS_RANKS_PORT)" : "");
    if (listen(m->listens, SOMAXCONN))
        return ds_fail_errno(err, errno, "port %d", port);
    if (getsockname(m->listens, (struct sockaddr *)&six, &n))
        return ds_fail_errno(err, errno, "port %d", port);
    m->port = ntohs(six.sin6_port); /* at the same place in both kinds */
    return 0;
}

static void drop_caller(meeting *m, size_t i)
{
    if (m->callers[i].fd >= 0)
        m->strangers++;
    ds_sock_shut(&m->callers[i].fd);
    m->callers[i] = m->callers[--m->n];
    m->full = false;
}

/* Whoever it is; when too many wait, the one that has said nothing for longest goes. Where this
 * process can have no more of them, nobody comes in until one of those that wait is done with. */
static int let_in(meeting *m, ds_err *err)
{
    uint8_t greeting[GREETING] = MAGIC;
    const int fd = accept4(m->listens, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0 && ds_sock_no_more(errno) && m->n == 0)
        return ds_fail_errno(err, errno,
                             "process %d: a connection for each of the other %d (ulimit -n)",
                             m->l->rank, m->l->size - 1);
    m->full = fd < 0 && ds_sock_no_more(errno);
    if (fd < 0)
        return 0; /* gone again */
    if (m->n == m->cap) {
        size_t oldest = 0;
        for (size_t i = 1; i < m->n; i++)
            oldest = m->callers[i].until < m->callers[oldest].until ? i : oldest;
        drop_caller(m, oldest);
    }
    caller *c = &m->callers[m->n++];
    *c = (caller){.fd = fd, .until = ds_seconds() + PATIENCE};
    int rc = ds_random(c->random, RANDOM, err);
    if (rc)
        return rc;
    memcpy(greeting + WORD, m->version, VERSION_AT);
    memcpy(greeting + WORD + VERSION_AT, c->random, RANDOM);
    if (send(fd, greeting, GREETING, MSG_NOSIGNAL | MSG_DONTWAIT) != GREETING)
        drop_caller(m, m->n - 1);
    return 0;
}

/* What a caller says so far; false: it is done with, one way or the other. */
static bool hear(meeting *m, caller *c, int *rc, ds_err *err)
{
    const ssize_t n = recv(c->fd, c->hello + c->got, HELLO - c->got, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return ds_seconds() < c->until;
    if (n <= 0)
        return false;
    c->got += (size_t)n;
    if (memcmp(c->hello, MAGIC, c->got < WORD ? c->got : WORD) != 0)
        return false;
    if (c->got < HELLO)
        return true;
    *rc = greeted(m, c, err);
    return false;
}

static int nobody_came(const meeting *m, ds_err *err)
{
    char who[256] = "", others[96] = "", where[300] = "";

    list_missing(who, sizeof who, m);
    if (m->strangers)
        snprintf(others, sizeof others, "; %d connections were no process of this run",
                 m->strangers);
    if (!m->l->rank)
        snprintf(where, sizeof where, " at %s:%d", m->l->host, m->port);
    return ds_fail(err, DS_FAIL,
                   "process %s of %d did not come to process %d%s within %d s "
                   "(DS_RANKS_TIMEOUT)%s",
                   who, m->l->size, m->l->rank, where, m->l->timeout, others);
}

static bool is_missing(const meeting *m)
{
    for (int i = m->l->rank + 1; i < m->l->size; i++)
        if (m->fd[i] < 0)
            return true;
    return false;
}

/* Until all with a higher number have come. */
static int receive_all(meeting *m, ds_err *err)
{
    struct pollfd *p = calloc(m->cap + 1, sizeof *p);
    int rc = p ? 0 : ds_fail_nomem(err);

    while (!rc && is_missing(m)) {
        double until = m->until;
        p[0] = (struct pollfd){.fd = m->full ? -1 : m->listens, .events = POLLIN};
        for (size_t i = 0; i < m->n; i++) {
            p[i + 1] = (struct pollfd){.fd = m->callers[i].fd, .events = POLLIN};
            until = m->callers[i].until < until ? m->callers[i].until : until;
        }
        if (poll(p, m->n + 1, ds_sock_left(until)) < 0 && errno != EINTR)
            rc = ds_fail_errno(err, errno, "poll");
        rc = rc ? rc : ds_check_interrupt(err);
        for (size_t i = m->n; !rc && i-- > 0;) {
            if (!hear(m, &m->callers[i], &rc, err))
                drop_caller(m, i);
        }
        if (!rc && p[0].revents)
            rc = let_in(m, err);
        if (!rc && is_missing(m) && ds_seconds() >= m->until)
            rc = nobody_came(m, err);
    }
    free(p);
    return rc;
}

/* ---- calling ---- */

/* Says hello on a connection to process `to`; 0: nobody answers there yet. */
static int introduce(meeting *m, int fd, int to, ds_err *err)
{
    uint8_t greeting[GREETING], hello[HELLO] = MAGIC;
    const double soon = ds_seconds() + PATIENCE, until = soon < m->until ? soon : m->until;
    ds_sha proof;
    int rc = ds_sock_receive(fd, greeting, WORD, until, err);

    if (rc > 0 && memcmp(greeting, MAGIC, WORD) != 0)
        return ds_fail(err, DS_FAIL,
                       "what answers is no process of dstrain: another program has that port "
                       "(MASTER_PORT, DS_RANKS_PORT)");
    if (rc > 0)
        rc = ds_sock_receive(fd, greeting + WORD, GREETING - WORD, until, err);
    if (rc <= 0)
        return rc;
    memcpy(hello + WORD, m->version, VERSION_AT);
    ds_set_u32(hello + WORD + VERSION_AT, (uint32_t)m->l->rank);
    ds_set_u32(hello + WORD + VERSION_AT + 4, (uint32_t)m->l->size);
    ds_set_u32(hello + WORD + VERSION_AT + 8, (uint32_t)m->port);
    TRY(prove(&proof, m, greeting + WORD + VERSION_AT, hello, err));
    memcpy(hello + SAID, proof.b, 32);
    rc = ds_sock_give(fd, hello, HELLO, until, err);
    if (rc > 0)
        m->fd[to] = fd;
    return rc;
}

/* Until process `to` is reached at one of the addresses. */
static int call_up(meeting *m, int to, const char *host, const struct addrinfo *all, int port,
                   ds_err *err)
{
    int pause = PAUSE_FIRST, why = 0;

    for (;;) {
        for (const struct addrinfo *a = all; a; a = a->ai_next) {
            const double soon = ds_seconds() + PATIENCE;
            int fd, rc = ds_sock_connect(&fd, a->ai_addr, a->ai_addrlen,
                                         soon < m->until ? soon : m->until, &why, err);
            if (rc > 0) {
                rc = introduce(m, fd, to, err);
                why = rc ? 0 : ECONNRESET;
                if (rc <= 0)
                    ds_sock_shut(&fd);
            }
            if (rc)
                return rc < 0 ? ds_err_prefix(err, "process %d at %s:%d", to, host, port) : 0;
        }
        if (ds_seconds() >= m->until)
            return ds_fail(err, DS_FAIL,
                           "process %d of %d cannot be reached at %s:%d within %d s "
                           "(DS_RANKS_TIMEOUT): %s",
                           to, m->l->size, host, port, m->l->timeout, strerror(why));
        poll(NULL, 0, ds_sock_left(m->until) < pause ? ds_sock_left(m->until) : pause);
        TRY(ds_check_interrupt(err));
        pause = pause * 2 < PAUSE_MOST ? pause * 2 : PAUSE_MOST;
    }
}

static int read_answer(meeting *m, int from, double until, ds_err *err)
{
    uint8_t a[ANSWER + 1] = {0};
    const int rc = ds_sock_receive(m->fd[from], a, ANSWER, until, err);

    if (rc <= 0)
        return rc ? rc
                  : ds_fail(err, DS_FAIL, "process %d of %d went before all had come", from,
                            m->l->size);
    return ds_get_u32(a) ? ds_fail(err, DS_FAIL, "process %d says: %s", from, (const char *)a + 4)
                         : 0;
}

static int call_first(meeting *m, ds_err *err)
{
    const struct addrinfo want = {.ai_socktype = SOCK_STREAM};
    const char *host = m->l->here ? "127.0.0.1" : m->l->host;
    struct addrinfo *all = NULL;
    char port[16];
    int rc;

    snprintf(port, sizeof port, "%d", m->l->port);
    while ((rc = getaddrinfo(host, port, &want, &all)) == EAI_AGAIN && ds_seconds() < m->until) {
        poll(NULL, 0, PAUSE_MOST);
        TRY(ds_check_interrupt(err));
    }
    if (rc)
        return ds_fail(err, DS_FAIL, "process 0 of %d is to be found at %s (MASTER_ADDR): %s",
                       m->l->size, host, gai_strerror(rc));
    rc = call_up(m, 0, host, all, m->l->port, err);
    freeaddrinfo(all);
    return rc;
}

/* Process i listens at its place; zeros are the address that leads to process 0. A link-local
 * address means something on a link only: the one on which process 0 was reached at such. */
static int call_other(meeting *m, int i, ds_err *err)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    struct sockaddr_storage first = {0};
    struct addrinfo one = {.ai_addr = (struct sockaddr *)&six, .ai_addrlen = sizeof six};
    const uint8_t *place = m->places + i * PLACE;
    static const uint8_t none[16];
    char host[INET6_ADDRSTRLEN] = "";
    const uint32_t port = ds_get_u32(place + 16);
    socklen_t n = sizeof first;

    if (getpeername(m->fd[0], (struct sockaddr *)&first, &n))
        return ds_fail_errno(err, errno, "process 0");
    if (memcmp(place, none, 16) == 0) {
        one.ai_addr = (struct sockaddr *)&first;
        one.ai_addrlen = n;
    } else if (ds_sock_is_v4(place)) {
        struct sockaddr_in *four = (struct sockaddr_in *)&first;
        *four = (struct sockaddr_in){.sin_family = AF_INET};
        memcpy(&four->sin_addr, place + 12, 4);
        one.ai_addr = (struct sockaddr *)&first;
        one.ai_addrlen = sizeof *four;
    } else {
        memcpy(&six.sin6_addr, place, 16);
        if (IN6_IS_ADDR_LINKLOCAL(&six.sin6_addr) && first.ss_family == AF_INET6)
            six.sin6_scope_id = ((const struct sockaddr_in6 *)&first)->sin6_scope_id;
    }
    /* at the same place in both kinds */
    ((struct sockaddr_in *)(void *)one.ai_addr)->sin_port = htons((uint16_t)port);
    getnameinfo(one.ai_addr, one.ai_addrlen, host, sizeof host, NULL, 0, NI_NUMERICHOST);
    TRY(call_up(m, i, host, &one, (int)port, err));
    return read_answer(m, i, m->until, err);
}

/* ---- all of it ---- */

static int begin_first(meeting *m, ds_err *err)
{
    TRY(listen_at(m, m->l->port, m->l->here, err));
    TRY(receive_all(m, err));
    for (int i = 1; i < m->l->size; i++) {
        answer(m->fd[i], m->until, false, "");
        const int rc = ds_sock_give(m->fd[i], m->places, (size_t)m->l->size * PLACE,
                                    ds_seconds() + PATIENCE, err);
        if (rc <= 0)
            return rc ? rc : ds_fail(err, DS_FAIL, "process %d of %d is gone", i, m->l->size);
    }
    return 0;
}

static int begin_other(meeting *m, ds_err *err)
{
    TRY(listen_at(m, 0, m->l->here, err));
    TRY(call_first(m, err));
    const double until = m->until + GRACE;
    TRY(read_answer(m, 0, until, err));
    const int rc = ds_sock_receive(m->fd[0], m->places, (size_t)m->l->size * PLACE, until, err);
    if (rc <= 0)
        return rc ? rc : ds_fail(err, DS_FAIL, "process 0 went before all had come");
    m->until += GRACE;
    for (int i = 1; i < m->l->rank; i++)
        TRY(call_other(m, i, err));
    return receive_all(m, err);
}

static void end_meeting(meeting *m, int rc, const ds_err *err)
{
    ds_sock_shut(&m->listens);
    for (size_t i = 0; i < m->n; i++)
        ds_sock_shut(&m->callers[i].fd);
    for (int i = 0; i < m->l->size; i++) {
        if (rc && m->fd[i] >= 0 && m->l->rank == 0)
            answer(m->fd[i], 0, true, err->msg);
        if (rc)
            ds_sock_shut(&m->fd[i]);
        else if (m->fd[i] >= 0)
            ds_sock_settle(m->fd[i]);
    }
    free(m->callers);
    free(m->places);
}

int ds_tcp_meet(int *fd, const ds_launch *l, ds_err *err)
{
    meeting m = {.l = l, .fd = fd, .listens = -1, .until = ds_seconds() + l->timeout};
    int rc;

    for (int i = 0; i < l->size; i++)
        fd[i] = -1;
    snprintf(m.version, sizeof m.version, "%s", DS_VERSION);
    m.cap = (size_t)l->size + STRANGERS;
    m.callers = calloc(m.cap, sizeof *m.callers);
    m.places = calloc((size_t)l->size, PLACE);
    rc = m.callers && m.places ? 0 : ds_fail_nomem(err);
    rc = rc ? rc : ds_sha_bytes(&m.key, l->run, strlen(l->run), err);
    if (!rc)
        rc = l->rank ? begin_other(&m, err) : begin_first(&m, err);
    end_meeting(&m, rc, err);
    return rc;
}
