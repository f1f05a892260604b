/* workpool.c - see workpool.h. A job is one message to the worker (its name, with two descriptors),
 * and its answer is one message back (how it went, with a descriptor where the work made one). */
#include "workpool.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "buf.h"
#include "sig.h"

#define DEPTH 2                         /* jobs that a worker has at once */
#define NAME_MAX_LEN ((size_t)32 << 10) /* of a job; what is longer is cut: it is for messages */
#define FRONT 17                        /* of a message, before the name: ask, offset, length */
#define KEEP ((off_t)4 << 20)           /* memory that an answer may leave allocated */
#define SLACK 10                        /* of the clock, against the processor's */

enum { SAYS_DONE = 1, SAYS_FAILED, SAYS_LAST = 16 /* flag: the process ends */ };

enum slot_state { SLOT_WAITS, SLOT_SENT, SLOT_DONE };

typedef struct slot {
    enum slot_state state;
    enum ds_work_end how;
    ds_work_job job;
    int memory, made; /* made: in place of the memory, or -1 */
    bool again;
} slot;

typedef struct worker {
    pid_t pid;
    int sock;
    size_t queue[DEPTH];
    unsigned n, served;
    double cpu, wall; /* when the first job of the queue began */
} worker;

struct ds_workpool {
    ds_work_opts o;
    worker *workers;
    slot *slots;
    size_t nslots, first, used;
    bool lent; /* the first slot's result is in the caller's hands */
};

/* ---- the worker's side ---- */

typedef union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(2 * sizeof(int))];
} control;

/* One message with up to two descriptors; `fds` are -1 where none came. A process that ended with
 * a job unread leaves ECONNRESET, once, in front of the answers that it gave: they are read after
 * it, or else what it had done would be done again. */
static ssize_t take_message(int sock, void *p, size_t n, int fds[2], int flags)
{
    control c;
    struct iovec v = {p, n};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = c.bytes, .msg_controllen = sizeof c.bytes};
    ssize_t got;
    bool reset = false, more;
    fds[0] = fds[1] = -1;
    do {
        got = recvmsg(sock, &m, flags | MSG_CMSG_CLOEXEC);
        more = got < 0 && (errno == EINTR || (errno == ECONNRESET && !reset));
        reset = reset || (got < 0 && errno == ECONNRESET);
    } while (more);
    const struct cmsghdr *h = got >= 0 ? CMSG_FIRSTHDR(&m) : NULL;
    if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS)
        memcpy(fds, CMSG_DATA(h), h->cmsg_len - CMSG_LEN(0));
    return got;
}

static bool give_message(int sock, const void *p, size_t n, const int *fds, size_t nfds)
{
    control c = {0};
    struct iovec v = {(void *)(uintptr_t)p, n};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    ssize_t put;
    if (nfds) {
        m.msg_control = c.bytes;
        m.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN(nfds * sizeof(int));
        memcpy(CMSG_DATA(h), fds, nfds * sizeof(int));
    }
    do
        put = sendmsg(sock, &m, MSG_NOSIGNAL);
    while (put < 0 && errno == EINTR);
    return put == (ssize_t)n;
}

static void limit(int what, rlim_t n)
{
    const struct rlimit r = {n, n};
    setrlimit(what, &r);
}

/* Nothing of the parent's but the socket, which becomes 3; decoders may print, and records go to
 * standard output. */
static int begin_worker(const ds_work_opts *o, int sock)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_IGN); /* the terminal's: the parent decides */
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 3 && null >= 0; i++)
        dup2(null, i);
    if (sock != 3 && dup2(sock, 3) < 0)
        _exit(1);
    close_range(4, ~0U, 0);
    limit(RLIMIT_CORE, 0);
    if (o->memory)
        limit(RLIMIT_AS, (rlim_t)o->memory);
    /* Buffers of images stay in the heap instead of being mapped anew for each. */
    mallopt(M_MMAP_THRESHOLD, 4 << 20);
    mallopt(M_TRIM_THRESHOLD, 16 << 20);
    return 3;
}

static uint64_t resident(int statm)
{
    char text[64];
    ssize_t n = pread(statm, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = 0;
    const char *space = strchr(text, ' ');
    return space ? strtoull(space, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

/* Does not return. */
static void serve(const ds_work_opts *o, int parent)
{
    static char name[NAME_MAX_LEN + 1];
    int sock = begin_worker(o, parent);
    int statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    uint64_t before = resident(statm);
    for (unsigned done = 1;; done++) {
        int fds[2];
        ssize_t n = take_message(sock, name, NAME_MAX_LEN, fds, 0);
        if (n < FRONT || fds[0] < 0 || fds[1] < 0)
            _exit(n == 0 ? 0 : 1);
        name[n] = 0;
        int out = fds[1];
        const uint8_t *p = (const uint8_t *)name;
        const ds_work_job job = {.in = fds[0],
                                 .at = ds_get_u64(p + 1),
                                 .size = ds_get_u64(p + 9),
                                 .name = name + FRONT,
                                 .ask = p[0]};
        uint8_t says = o->fn(o->ctx, &job, &out) == 0 ? SAYS_DONE : SAYS_FAILED;
        if ((o->jobs && done >= o->jobs) || (o->growth && resident(statm) > before + o->growth))
            says |= SAYS_LAST;
        bool other = out != fds[1];
        if (!give_message(sock, &says, 1, &out, other))
            _exit(1);
        close(fds[0]);
        close(fds[1]);
        if (other)
            close(out);
        if (says & SAYS_LAST)
            _exit(0);
    }
}

/* ---- the parent's side ---- */

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    return clock_gettime(clock, &t) == 0 ? (double)t.tv_sec + (double)t.tv_nsec * 1e-9 : 0;
}

static double cpu_of(pid_t pid)
{
    clockid_t clock;
    return clock_getcpuclockid(pid, &clock) == 0 ? seconds_of(clock) : 0;
}

static void stamp(worker *w)
{
    w->cpu = cpu_of(w->pid);
    w->wall = seconds_of(CLOCK_MONOTONIC);
}

static int start(const ds_workpool *p, worker *w, ds_err *err)
{
    int pair[2];
    *w = (worker){.sock = -1, .pid = -1};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return ds_fail_errno(err, errno, "a worker process");
    w->pid = fork();
    if (w->pid == 0)
        serve(&p->o, pair[1]);
    int why = errno;
    close(pair[1]);
    w->sock = pair[0];
    if (w->pid > 0)
        return 0;
    close(pair[0]);
    w->sock = -1;
    return ds_fail_errno(err, why, "a worker process");
}

/* Ends it, if it has not ended, and says how. */
static int reap(worker *w, bool hard)
{
    int status = 0;
    if (w->pid > 0) {
        if (hard)
            kill(w->pid, SIGKILL);
        while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
            ;
    }
    if (w->sock >= 0)
        close(w->sock);
    w->pid = -1;
    w->sock = -1;
    return status;
}

int ds_workpool_new(ds_workpool **out, const ds_work_opts *o, ds_err *err)
{
    ds_workpool *p = *out = calloc(1, sizeof *p);
    if (!p)
        return ds_fail_nomem(err);
    p->o = *o;
    p->nslots = (size_t)o->workers * DEPTH + 2;
    p->workers = calloc(o->workers, sizeof *p->workers);
    p->slots = calloc(p->nslots, sizeof *p->slots);
    int rc = p->workers && p->slots ? 0 : ds_fail_nomem(err);
    for (size_t i = 0; p->slots && i < p->nslots; i++)
        p->slots[i].memory = p->slots[i].made = -1;
    for (size_t i = 0; rc == 0 && i < p->nslots; i++) {
        p->slots[i].memory = memfd_create("dsprep", MFD_CLOEXEC);
        if (p->slots[i].memory < 0)
            rc = ds_fail_errno(err, errno, "shared memory");
    }
    for (unsigned i = 0; p->workers && i < o->workers; i++)
        p->workers[i] = (worker){.pid = -1, .sock = -1};
    for (unsigned i = 0; rc == 0 && i < o->workers; i++)
        rc = start(p, &p->workers[i], err);
    if (rc != 0) {
        ds_workpool_free(p);
        *out = NULL;
    }
    return rc;
}

void ds_workpool_free(ds_workpool *p)
{
    if (!p)
        return;
    for (unsigned i = 0; p->workers && i < p->o.workers; i++)
        reap(&p->workers[i], true);
    for (size_t i = 0; p->slots && i < p->nslots; i++) {
        if (p->slots[i].memory >= 0)
            close(p->slots[i].memory);
        if (p->slots[i].made >= 0)
            close(p->slots[i].made);
    }
    free(p->workers);
    free(p->slots);
    free(p);
}

bool ds_workpool_full(const ds_workpool *p)
{
    return p->used == p->nslots;
}

/* One that has died is found out about when its answer is waited for. */
static void give_job(ds_workpool *p, worker *w, size_t at)
{
    slot *s = &p->slots[at];
    uint8_t text[NAME_MAX_LEN];
    const int fds[2] = {s->job.in, s->memory};
    size_t n = strnlen(s->job.name, sizeof text - FRONT);
    text[0] = s->job.ask;
    ds_set_u64(text + 1, s->job.at);
    ds_set_u64(text + 9, s->job.size);
    memcpy(text + FRONT, s->job.name, n);
    if (w->n == 0)
        stamp(w);
    w->queue[w->n++] = at;
    s->state = SLOT_SENT;
    give_message(w->sock, text, FRONT + n, fds, 2);
}

/* Waiting jobs, oldest first, to those that have the least to do. */
static void hand_out(ds_workpool *p)
{
    for (size_t k = 0; k < p->used; k++) {
        size_t at = (p->first + k) % p->nslots;
        worker *best = NULL;
        if (p->slots[at].state != SLOT_WAITS)
            continue;
        for (unsigned i = 0; i < p->o.workers; i++)
            if (p->workers[i].n < DEPTH && (!best || p->workers[i].n < best->n))
                best = &p->workers[i];
        if (!best)
            return;
        give_job(p, best, at);
    }
}

int ds_workpool_submit(ds_workpool *p, const ds_work_job *job, ds_err *err)
{
    if (ds_workpool_full(p))
        return ds_fail(err, DS_FAIL, "more jobs than there is room for");
    slot *s = &p->slots[(p->first + p->used++) % p->nslots];
    s->state = SLOT_WAITS;
    s->job = *job;
    s->again = false;
    hand_out(p);
    return 0;
}

static size_t shift(worker *w)
{
    size_t at = w->queue[0];
    w->n--;
    memmove(w->queue, w->queue + 1, w->n * sizeof *w->queue);
    return at;
}

static void finish(ds_workpool *p, size_t at, enum ds_work_end how)
{
    p->slots[at].state = SLOT_DONE;
    p->slots[at].how = how;
}

/* A fresh process in its place. `first`: a job that it gets before all others, or nslots. */
static int replace(ds_workpool *p, worker *w, size_t first, ds_err *err)
{
    for (unsigned i = 0; i < w->n; i++)
        p->slots[w->queue[i]].state = SLOT_WAITS;
    int rc = start(p, w, err);
    if (rc == 0 && first < p->nslots)
        give_job(p, w, first);
    if (rc == 0)
        hand_out(p);
    return rc;
}

/* It ended, or is ended, with its first job. */
static int lost(ds_workpool *p, worker *w, bool timeout, ds_err *err)
{
    int status = reap(w, timeout);
    size_t at = w->n ? shift(w) : p->nslots;
    if (at < p->nslots && timeout) {
        finish(p, at, DS_WORK_TIMEOUT);
        at = p->nslots;
    } else if (at < p->nslots && (w->served == 0 || p->slots[at].again)) {
        finish(p, at, WIFSIGNALED(status) ? DS_WORK_CRASHED : DS_WORK_FAILED);
        at = p->nslots;
    } else if (at < p->nslots) {
        p->slots[at].again = true;
    }
    return replace(p, w, at, err);
}

/* An answer. */
static int hear(ds_workpool *p, worker *w, ds_err *err)
{
    uint8_t says = 0;
    int fds[2];
    ssize_t n = take_message(w->sock, &says, 1, fds, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    if (fds[1] >= 0)
        close(fds[1]);
    uint8_t what = says & (uint8_t)~SAYS_LAST;
    if (n != 1 || w->n == 0 || (what != SAYS_DONE && what != SAYS_FAILED)) {
        if (fds[0] >= 0)
            close(fds[0]);
        if (n > 0)
            kill(w->pid, SIGKILL); /* what it says makes no sense */
        return lost(p, w, false, err);
    }
    size_t at = shift(w);
    p->slots[at].made = fds[0];
    finish(p, at, what == SAYS_DONE ? DS_WORK_DONE : DS_WORK_FAILED);
    w->served++;
    if (says & SAYS_LAST) {
        reap(w, false);
        return replace(p, w, p->nslots, err);
    }
    stamp(w);
    hand_out(p);
    return 0;
}

static bool too_long(const ds_workpool *p, const worker *w)
{
    return p->o.seconds && w->n && w->pid > 0 &&
           (cpu_of(w->pid) - w->cpu > p->o.seconds ||
            seconds_of(CLOCK_MONOTONIC) - w->wall > (double)p->o.seconds * SLACK);
}

static int wait_some(ds_workpool *p, ds_err *err)
{
    struct pollfd fds[256];
    unsigned n = p->o.workers < 256 ? p->o.workers : 256;
    for (unsigned i = 0; i < n; i++)
        fds[i] = (struct pollfd){.fd = p->workers[i].sock, .events = POLLIN};
    int got = poll(fds, n, 200);
    int rc = ds_check_interrupt(err);
    if (got < 0)
        return rc == 0 && errno != EINTR ? ds_fail_errno(err, errno, "worker processes") : rc;
    for (unsigned i = 0; i < n && rc == 0; i++)
        if (fds[i].revents)
            rc = hear(p, &p->workers[i], err);
        else if (got == 0 && too_long(p, &p->workers[i]))
            rc = lost(p, &p->workers[i], true, err);
    return rc;
}

static int release(ds_workpool *p, ds_err *err)
{
    slot *s = &p->slots[p->first];
    struct stat st;
    if (!p->lent)
        return 0;
    if (s->made >= 0)
        close(s->made);
    s->made = -1;
    if (fstat(s->memory, &st) == 0 && st.st_size > KEEP && ftruncate(s->memory, 0) != 0)
        return ds_fail_errno(err, errno, "shared memory");
    p->lent = false;
    p->first = (p->first + 1) % p->nslots;
    p->used--;
    return 0;
}

int ds_workpool_next(ds_workpool *p, enum ds_work_end *how, int *out, ds_err *err)
{
    int rc = release(p, err);
    slot *s = &p->slots[p->first];
    if (rc == 0 && p->used == 0)
        return ds_fail(err, DS_FAIL, "no job to wait for");
    while (rc == 0 && s->state != SLOT_DONE)
        rc = wait_some(p, err);
    if (rc != 0)
        return rc;
    p->lent = true;
    *how = s->how;
    *out = s->made >= 0 ? s->made : s->memory;
    return 0;
}
