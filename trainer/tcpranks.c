/* tcpranks.c - see tcpranks.h. */
#include "tcpranks.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "pool.h"
#include "tcpmeet.h"
#include "try.h"

#define MAGIC 0x31525344u /* "DSR1" */
enum { HEAD = 16, GIVEN = 1, END = 2, REASON = 512, LAST_WORDS = 2 /* seconds */ };

typedef struct wire {
    int fd;
    bool deaf;               /* it takes nothing any more; what it says tells why */
    uint32_t sent, received; /* calls so far */
    uint8_t head_out[HEAD], head_in[HEAD];
    const char *out;
    char *in;
    size_t out_len, in_len; /* with the header; 0: nothing */
    size_t out_at, in_at;
} wire;

typedef struct group {
    const ds_ranks *r;
    wire *links;
    struct pollfd *polls;
    int *fd;
    int patience; /* seconds for a sign of life of who is waited for */
    /* Who watches whether the others are there while nothing is passed. */
    pthread_t watcher;
    bool watched;
    int wake; /* eventfd: the end of watching */
    struct pollfd *watch;
    pthread_mutex_t lock; /* of all else here: held by a call, or by the watcher that ends all */
    bool leaves;          /* from here on the others may go */
} group;

/* ---- the end ---- */

/* All of it within the time, or not. */
static bool put_all(int fd, const void *p, size_t n, double until)
{
    for (size_t at = 0; at < n;) {
        const ssize_t put = send(fd, (const char *)p + at, n - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        if (put > 0) {
            at += (size_t)put;
            continue;
        }
        if ((errno != EAGAIN && errno != EINTR) || ds_seconds() >= until)
            return false;
        poll(&wait, 1, 100);
    }
    return true;
}

/* What is half on its way is sent first. */
static void tell(wire *l, const char *why, double until)
{
    uint8_t head[HEAD];
    const size_t n = strlen(why);
    bool whole = true;

    if (l->out_at > 0 && l->out_at < HEAD)
        whole = put_all(l->fd, l->head_out + l->out_at, HEAD - l->out_at, until);
    if (l->out_at > 0 && whole) {
        const size_t past = l->out_at < HEAD ? 0 : l->out_at - HEAD;
        whole = put_all(l->fd, l->out + past, l->out_len - HEAD - past, until);
    }
    ds_set_u32(head, MAGIC);
    ds_set_u32(head + 4, END);
    ds_set_u32(head + 8, 0);
    ds_set_u32(head + 12, (uint32_t)n);
    if (whole && put_all(l->fd, head, HEAD, until))
        put_all(l->fd, why, n, until);
}

__attribute__((noreturn)) static void end_all(group *g, bool told, const char *why)
{
    const double until = ds_seconds() + LAST_WORDS;

    if (!told || g->r->rank == 0)
        fprintf(stderr, "dstrain: process %d of %d: %s\n", g->r->rank, g->r->size, why);
    for (int i = 0; i < g->r->size; i++)
        if (g->links[i].fd >= 0 && !g->links[i].deaf)
            tell(&g->links[i], why, until);
    _exit(1);
}

DS_PRINTF(2, 3) __attribute__((noreturn)) static void fail(group *g, const char *fmt, ...)
{
    char why[REASON];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    end_all(g, false, why);
}

/* The reason that process i gives; it may be on its way still. */
__attribute__((noreturn)) static void hear_end(group *g, int i, size_t n)
{
    const double until = ds_seconds() + LAST_WORDS;
    char why[REASON] = "", line[REASON + 64];
    size_t at = 0;

    while (at < n && at < sizeof why - 1) {
        const ssize_t got = recv(g->links[i].fd, why + at,
                                 (n < sizeof why - 1 ? n : sizeof why - 1) - at, MSG_DONTWAIT);
        struct pollfd wait = {.fd = g->links[i].fd, .events = POLLIN};
        if (got > 0)
            at += (size_t)got;
        else if (got == 0 || (errno != EAGAIN && errno != EINTR) || ds_seconds() >= until)
            break;
        else
            poll(&wait, 1, 100);
    }
    for (size_t j = 0; j < at; j++)
        if (why[j] < ' ' || why[j] > '~')
            why[j] = '?';
    g->links[i].deaf = true;
    snprintf(line, sizeof line, "process %d ends all: %s", i, why);
    end_all(g, true, line);
}

/* ---- one call ---- */

static bool may_again(void)
{
    return errno == EAGAIN || errno == EINTR;
}

/* Whether anything went. */
static bool send_some(wire *l)
{
    struct iovec v[2];
    struct msghdr m = {.msg_iov = v};

    if (l->out_at < HEAD)
        v[m.msg_iovlen++] = (struct iovec){l->head_out + l->out_at, HEAD - l->out_at};
    const size_t past = l->out_at < HEAD ? 0 : l->out_at - HEAD;
    if (l->out_len > HEAD + past)
        v[m.msg_iovlen++] =
            (struct iovec){(void *)(uintptr_t)(l->out + past), l->out_len - HEAD - past};
    const ssize_t n = sendmsg(l->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0)
        l->out_at += (size_t)n;
    else if (!may_again())
        l->deaf = true;
    if (l->out_at == l->out_len || l->deaf)
        l->out_len = l->out_at = 0;
    return n > 0;
}

static void check_head(group *g, int i)
{
    const wire *l = &g->links[i];
    const uint8_t *h = l->head_in;
    const uint32_t kind = ds_get_u32(h + 4), turn = ds_get_u32(h + 8), n = ds_get_u32(h + 12);

    if (ds_get_u32(h) != MAGIC || (kind != GIVEN && kind != END))
        fail(g, "process %d: bytes that are no message of dstrain", i);
    if (kind == END)
        hear_end(g, i, n);
    if (!l->in)
        fail(g, "process %d is gone", i);
    if (turn != l->received || n != l->in_len - HEAD)
        fail(g,
             "process %d gives %u bytes in call %u, where %zu in call %u are to come: the "
             "processes do not do the same",
             i, n, turn, l->in_len - HEAD, l->received);
}

/* Whether anything came. */
static bool receive_some(group *g, int i)
{
    wire *l = &g->links[i];
    bool came = false;

    while (l->in_at < l->in_len) {
        const bool head = l->in_at < HEAD;
        void *to = head ? (void *)(l->head_in + l->in_at) : (void *)(l->in + (l->in_at - HEAD));
        const ssize_t n = recv(l->fd, to, (head ? HEAD : l->in_len) - l->in_at, MSG_DONTWAIT);
        if (n < 0 && may_again())
            return came;
        if (n <= 0) {
            l->deaf = true;
            fail(g, "process %d is gone%s%s", i, n ? ": " : "", n ? strerror(errno) : "");
        }
        came = true;
        l->in_at += (size_t)n;
        if (head && l->in_at == HEAD)
            check_head(g, i);
    }
    l->in_len = l->in_at = 0;
    return came;
}

/* One that takes nothing says why, if it still could. */
static void await_reason(wire *l)
{
    if (l->in_len == 0) {
        l->in = NULL;
        l->in_len = HEAD;
        l->in_at = 0;
    }
}

/* Some are there and do nothing. */
__attribute__((noreturn)) static void stuck(group *g)
{
    char who[128] = "";
    size_t n = 0;

    for (int i = 0; i < g->r->size && n + 24 < sizeof who; i++)
        if (g->links[i].in_len || g->links[i].out_len)
            n += (size_t)snprintf(who + n, sizeof who - n, "%s%d", n ? ", " : "", i);
    fail(g, "process %s gave or took nothing for %d s (DS_RANKS_WAIT)", who, g->patience);
}

static void pass_all_locked(group *g)
{
    double until = 0;

    for (;;) {
        bool moved = until == 0;
        int n = 0;
        for (int i = 0; i < g->r->size; i++) {
            wire *l = &g->links[i];
            if (l->out_len)
                moved |= send_some(l);
            if (l->deaf)
                await_reason(l);
            if (l->in_len)
                moved |= receive_some(g, i);
            const int what = (l->out_len ? POLLOUT : 0) | (l->in_len ? POLLIN : 0);
            if (what)
                g->polls[n++] = (struct pollfd){.fd = l->fd, .events = (short)what};
        }
        if (n == 0)
            return;
        const double now = ds_seconds();
        until = moved ? now + g->patience : until;
        if (now >= until)
            stuck(g);
        if (poll(g->polls, (nfds_t)n, (int)((until - now) * 1e3) + 1) < 0 && errno != EINTR)
            fail(g, "poll: %s", strerror(errno));
    }
}

/* What is set up in the links goes, and comes. */
static void pass_all(group *g)
{
    pthread_mutex_lock(&g->lock);
    pass_all_locked(g);
    pthread_mutex_unlock(&g->lock);
}

static void will_send(group *g, int i, const void *p, int bytes)
{
    wire *l = &g->links[i];

    if (i == g->r->rank)
        return;
    ds_set_u32(l->head_out, MAGIC);
    ds_set_u32(l->head_out + 4, GIVEN);
    ds_set_u32(l->head_out + 8, ++l->sent);
    ds_set_u32(l->head_out + 12, (uint32_t)bytes);
    l->out = p;
    l->out_len = HEAD + (size_t)bytes;
    l->out_at = 0;
}

static void will_receive(group *g, int i, void *p, int bytes)
{
    wire *l = &g->links[i];

    if (i == g->r->rank)
        return;
    l->received++;
    l->in = p;
    l->in_len = HEAD + (size_t)bytes;
    l->in_at = 0;
}

static char *piece(const void *all, int i, int bytes)
{
    return (char *)(uintptr_t)all + (size_t)i * (size_t)bytes;
}

/* ---- ranks.h ---- */

static void gather(const ds_ranks *r, void *all, const void *mine, int bytes)
{
    group *g = r->ctx;

    for (int i = 0; i < r->size; i++) {
        will_send(g, i, mine, bytes);
        will_receive(g, i, piece(all, i, bytes), bytes);
    }
    memcpy(piece(all, r->rank, bytes), mine, (size_t)bytes);
    pass_all(g);
}

static void exchange(const ds_ranks *r, void *all, const void *mine, int bytes)
{
    group *g = r->ctx;

    for (int i = 0; i < r->size; i++) {
        will_send(g, i, piece(mine, i, bytes), bytes);
        will_receive(g, i, piece(all, i, bytes), bytes);
    }
    memcpy(piece(all, r->rank, bytes), piece(mine, r->rank, bytes), (size_t)bytes);
    pass_all(g);
}

static void spread(const ds_ranks *r, void *data, int bytes, int root)
{
    group *g = r->ctx;

    for (int i = 0; i < r->size && r->rank == root; i++)
        will_send(g, i, data, bytes);
    if (r->rank != root)
        will_receive(g, root, data, bytes);
    pass_all(g);
}

static void pass(const ds_ranks *r, void *data, int bytes, int from, int to)
{
    group *g = r->ctx;

    if (r->rank == from)
        will_send(g, to, data, bytes);
    if (r->rank == to)
        will_receive(g, from, data, bytes);
    pass_all(g);
}

/* ---- between calls ---- */

/* All of it, of what has come. */
static bool take_now(int fd, void *to, size_t n)
{
    for (size_t at = 0; at < n;) {
        const ssize_t got = recv(fd, (char *)to + at, n - at, MSG_DONTWAIT);
        if (got <= 0 && (got == 0 || errno != EINTR))
            return false;
        at += got > 0 ? (size_t)got : 0;
    }
    return true;
}

/* Process i went, and nothing more comes from it. What it gave for calls to come stands before the
 * reason, if there is one. */
__attribute__((noreturn)) static void lost(group *g, int i)
{
    const int fd = g->links[i].fd;
    char given[4096];
    uint8_t head[HEAD];

    g->links[i].deaf = true;
    while (take_now(fd, head, HEAD) && ds_get_u32(head) == MAGIC) {
        size_t n = ds_get_u32(head + 12), part = 1;
        if (ds_get_u32(head + 4) == END)
            hear_end(g, i, n);
        for (; n > 0 && part > 0; n -= part) {
            part = n < sizeof given ? n : sizeof given;
            part = take_now(fd, given, part) ? part : 0;
        }
    }
    fail(g, "process %d is gone", i);
}

/* While this process computes, or waits for a device that may wait for another's: a call would
 * notice, but may never come. */
static void *watch(void *arg)
{
    group *g = arg;
    const int n = g->r->size;

    for (;;) {
        const int ready = poll(g->watch, (nfds_t)n + 1, -1);
        if (ready < 0 && errno != EINTR)
            return NULL; /* calls still notice */
        for (int i = 0; ready > 0 && i < n; i++) {
            if (!g->watch[i].revents)
                continue;
            pthread_mutex_lock(&g->lock);
            if (!g->leaves)
                lost(g, i);
            pthread_mutex_unlock(&g->lock);
            return NULL;
        }
        if (ready > 0 && g->watch[n].revents)
            return NULL;
    }
}

static int begin_watch(group *g, ds_err *err)
{
    const int n = g->r->size;

    g->wake = eventfd(0, EFD_CLOEXEC);
    if (g->wake < 0)
        return ds_fail_errno(err, errno, "an eventfd");
    g->watch = calloc((size_t)n + 1, sizeof *g->watch);
    if (!g->watch)
        return ds_fail_nomem(err);
    for (int i = 0; i < n; i++)
        g->watch[i] = (struct pollfd){.fd = g->fd[i], .events = POLLRDHUP};
    g->watch[n] = (struct pollfd){.fd = g->wake, .events = POLLIN};
    g->watched = ds_thread_begin(&g->watcher, watch, g);
    return g->watched ? 0 : ds_fail(err, DS_FAIL, "the system gives no thread");
}

static void end_watch(group *g)
{
    const uint64_t one = 1;

    pthread_mutex_lock(&g->lock);
    g->leaves = true;
    pthread_mutex_unlock(&g->lock);
    if (!g->watched)
        return;
    while (write(g->wake, &one, sizeof one) < 0 && errno == EINTR) {
    }
    pthread_join(g->watcher, NULL);
    g->watched = false;
}

static void drop(group *g, int size)
{
    for (int i = 0; g->fd && i < size; i++)
        if (g->fd[i] >= 0)
            close(g->fd[i]);
    if (g->wake >= 0)
        close(g->wake);
    pthread_mutex_destroy(&g->lock);
    free(g->watch);
    free(g->links);
    free(g->polls);
    free(g->fd);
    free(g);
}

static void leave(const ds_ranks *r)
{
    group *g = r->ctx;
    char nothing;

    end_watch(g);
    for (int i = 0; i < r->size; i++) {
        will_send(g, i, "", 0);
        will_receive(g, i, &nothing, 0);
    }
    pass_all(g);
    drop(g, r->size);
}

static void quit(const ds_ranks *r, const char *why)
{
    group *g = r->ctx;

    pthread_mutex_lock(&g->lock);
    fail(g, "%s", why);
}

int ds_tcp_join(ds_ranks *r, const ds_launch *l, ds_err *err)
{
    group *g = calloc(1, sizeof *g);

    if (!g)
        return ds_fail_nomem(err);
    g->r = r;
    g->patience = l->patience;
    g->wake = -1;
    pthread_mutex_init(&g->lock, NULL);
    g->links = calloc((size_t)l->size, sizeof *g->links);
    g->polls = calloc((size_t)l->size, sizeof *g->polls);
    g->fd = malloc((size_t)l->size * sizeof *g->fd);
    for (int i = 0; g->fd && i < l->size; i++)
        g->fd[i] = -1;
    int rc = g->links && g->polls && g->fd ? ds_tcp_meet(g->fd, l, err) : ds_fail_nomem(err);
    if (rc) {
        drop(g, l->size);
        return rc;
    }
    for (int i = 0; i < l->size; i++)
        g->links[i].fd = g->fd[i];
    r->rank = l->rank;
    r->size = l->size;
    rc = begin_watch(g, err);
    if (rc) {
        drop(g, l->size);
        return rc;
    }
    r->ctx = g;
    r->gather = gather;
    r->exchange = exchange;
    r->spread = spread;
    r->pass = pass;
    r->leave = leave;
    r->quit = quit;
    return 0;
}
