/* test_tcpranks.c - processes that meet over TCP: what they give each other, and what comes between
 * them. Each is a child of this one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "keepers.h"
#include "pool.h"
#include "rankguard.h"
#include "tcpranks.h"

#define MOST 4

typedef void work(ds_ranks *r);

typedef struct process {
    pid_t pid;
    int err; /* what it says */
    int status;
    char said[4096];
} process;

/* Below those that the system gives to connections. */
static int free_port(void)
{
    const int one = 1;

    for (int i = 0; i < 1000; i++) {
        const int port = 10000 + (int)((getpid() * 13L + i * 101) % 20000);
        const struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        const int fd = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        const bool got = bind(fd, (const struct sockaddr *)&a, sizeof a) == 0;
        close(fd);
        if (got)
            return port;
    }
    fail_msg("no port is free");
    return 0;
}

static ds_launch of_test(int rank, int size)
{
    static int port;
    ds_launch l = {.rank = rank, .size = size, .local = -1, .tcp = true, .here = true};

    if (!port)
        port = free_port();
    l.port = port;
    l.timeout = 60;
    l.patience = 60;
    memcpy(l.host, "localhost", 10);
    memcpy(l.run, "a test", 7);
    return l;
}

static rlim_t files; /* that a process may still open; 0: as many as it likes */

static void limit_files(void)
{
    const int next = dup(0);
    const struct rlimit l = {(rlim_t)next + files, (rlim_t)next + files};

    close(next);
    if (next < 0 || setrlimit(RLIMIT_NOFILE, &l))
        _exit(5);
}

static void start(process *p, ds_launch l, work *w)
{
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    *p = (process){.err = fds[0]};
    p->pid = fork();
    assert_true(p->pid >= 0);
    if (p->pid > 0) {
        close(fds[1]);
        return;
    }
    ds_ranks r = {.room = calloc(MOST, sizeof(ds_err))};
    ds_err err = {0};
    dup2(fds[1], 2);
    alarm(120);
    if (files)
        limit_files();
    if (!r.room || ds_tcp_join(&r, &l, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        _exit(3);
    }
    w(&r);
    r.leave(&r);
    _exit(0);
}

static void finish(process *p)
{
    size_t n = 0;
    ssize_t got;

    while ((got = read(p->err, p->said + n, sizeof p->said - 1 - n)) > 0)
        n += (size_t)got;
    close(p->err);
    while (waitpid(p->pid, &p->status, 0) < 0)
        assert_int_equal(errno, EINTR);
}

static void says(const process *p, int status, const char *what)
{
    if (!WIFEXITED(p->status) || WEXITSTATUS(p->status) != status || !strstr(p->said, what))
        fail_msg("status %x instead of %d, and '%s' instead of '%s'", (unsigned)p->status, status,
                 p->said, what);
}

static void run_all(process *p, int n, work *w)
{
    for (int i = n - 1; i >= 0; i--) /* process 0 is the last to be there */
        start(&p[i], of_test(i, n), w);
    for (int i = 0; i < n; i++)
        finish(&p[i]);
}

/* ---- what they give each other ---- */

static void need(bool is_so, const char *what)
{
    if (is_so)
        return;
    fprintf(stderr, "%s\n", what);
    _exit(4);
}

static unsigned char byte_of(int from, int to, int at)
{
    return (unsigned char)(from * 31 + to * 7 + at * 5 + at / 251);
}

static void give_and_take(ds_ranks *r)
{
    static const int SIZES[] = {1, 7, 4096, 3 << 20};
    unsigned char *mine = malloc((size_t)MOST * (3 << 20)), *all = malloc((size_t)MOST * (3 << 20));

    need(mine && all, "memory");
    for (size_t s = 0; s < sizeof SIZES / sizeof *SIZES; s++) {
        const int n = SIZES[s];
        for (int j = 0; j < r->size; j++)
            for (int i = 0; i < n; i++)
                mine[j * n + i] = byte_of(r->rank, j, i);
        memset(all, 0, (size_t)r->size * (size_t)n);
        r->exchange(r, all, mine, n);
        for (int j = 0; j < r->size; j++)
            for (int i = 0; i < n; i++)
                need(all[j * n + i] == byte_of(j, r->rank, i), "exchange");
        r->gather(r, all, mine, n);
        for (int j = 0; j < r->size; j++)
            for (int i = 0; i < n; i++)
                need(all[j * n + i] == byte_of(j, 0, i), "gather");
        for (int root = 0; root < r->size; root++) {
            for (int i = 0; i < n; i++)
                all[i] = r->rank == root ? byte_of(root, 9, i) : 0;
            r->spread(r, all, n, root);
            for (int i = 0; i < n; i++)
                need(all[i] == byte_of(root, 9, i), "spread");
        }
        if (r->rank == 0 || r->rank == r->size - 1) { /* the others do not know of it */
            for (int i = 0; i < n; i++)
                all[i] = r->rank ? byte_of(3, 3, i) : 0;
            r->pass(r, all, n, r->size - 1, 0);
            for (int i = 0; i < n; i++)
                need(all[i] == byte_of(3, 3, i), "pass");
        }
    }
    free(mine);
    free(all);
}

static void test_all_of_it(void **state)
{
    process p[MOST];

    (void)state;
    for (int n = 2; n <= MOST; n++) {
        run_all(p, n, give_and_take);
        for (int i = 0; i < n; i++)
            says(&p[i], 0, "");
    }
}

/* ---- who does not come ---- */

static void nothing(ds_ranks *r)
{
    (void)r;
}

static void test_one_missing(void **state)
{
    process p[2];
    ds_launch l;

    (void)state;
    for (int i = 0; i < 2; i++) {
        l = of_test(i, 4);
        l.timeout = 1;
        start(&p[i], l, nothing);
    }
    for (int i = 0; i < 2; i++)
        finish(&p[i]);
    says(&p[0], 3, "2, 3 of 4 did not come to process 0 at localhost:"); /* 1 may be late too */
    says(&p[1], 3, "process 0");
}

static void test_first_missing(void **state)
{
    process p;
    ds_launch l = of_test(1, 2);

    (void)state;
    l.timeout = 1;
    start(&p, l, nothing);
    finish(&p);
    says(&p, 3, "process 0 of 2 cannot be reached at 127.0.0.1:");
    says(&p, 3, "within 1 s (DS_RANKS_TIMEOUT): Connection refused");
}

static void test_unlike(void **state)
{
    process p[2];
    ds_launch l = of_test(1, 3);

    (void)state;
    start(&p[0], of_test(0, 2), nothing);
    start(&p[1], l, nothing);
    finish(&p[0]);
    finish(&p[1]);
    says(&p[0], 3, "process 1 says that there are 3, and process 0, 2");
    says(&p[1], 3, "process 0 says: process 1 says that there are 3, and process 0, 2");
    process q[3];
    for (int i = 0; i < 3; i++) {
        l = of_test(i ? 1 : 0, 3);
        start(&q[i], l, nothing);
    }
    for (int i = 0; i < 3; i++)
        finish(&q[i]);
    says(&q[0], 3, "two processes say that they are number 1 of 3");
}

static void test_another_run(void **state)
{
    process p[3];
    ds_launch l = of_test(1, 2);

    (void)state;
    start(&p[0], of_test(0, 2), nothing);
    l.run[0] = 'A';
    start(&p[1], l, nothing);
    finish(&p[1]);
    start(&p[2], of_test(1, 2), nothing); /* the wait went on */
    finish(&p[2]);
    finish(&p[0]);
    says(&p[1], 3, "process 0 says: another run's processes meet here");
    says(&p[0], 0, "");
    says(&p[2], 0, "");
}

/* ---- strangers ---- */

static int connect_to(int port)
{
    const struct sockaddr_in a = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    for (int i = 0; i < 6000; i++) { /* until somebody listens; it gives up after a minute */
        if (connect(fd, (const struct sockaddr *)&a, sizeof a) == 0)
            return fd;
        usleep(10000);
    }
    close(fd);
    return -1;
}

/* Some say nothing, some something else, some nearly the right thing, some too much. */
static void test_strangers(void **state)
{
    static const char *const SAID[] = {"", "GET / HTTP/1.0\r\n\r\n", "DSRANKS", "DSRANKS1",
                                       "DSRANKS2 and more"};
    static char much[5000]; /* fits on its way: nobody takes it */
    process p[2];
    int fd[120];

    (void)state;
    for (size_t i = 0; i < sizeof much; i++)
        much[i] = (char)(i < 8 ? "DSRANKS1"[i] : (int)(i * 37 % 256));
    start(&p[0], of_test(0, 2), nothing);
    for (size_t i = 0; i < sizeof fd / sizeof *fd; i++) {
        fd[i] = connect_to(of_test(0, 2).port);
        assert_true(fd[i] >= 0);
        const char *s = SAID[i % 5];
        const bool long_one = i % 6 == 5;
        send(fd[i], long_one ? much : s, long_one ? sizeof much : strlen(s), MSG_NOSIGNAL);
        if (i % 3 == 0) {
            close(fd[i]);
            fd[i] = -1;
        }
    }
    start(&p[1], of_test(1, 2), nothing);
    finish(&p[1]);
    finish(&p[0]);
    for (size_t i = 0; i < sizeof fd / sizeof *fd; i++)
        if (fd[i] >= 0)
            close(fd[i]);
    says(&p[0], 0, "");
    says(&p[1], 0, "");
}

static void test_another_program(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof a;
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    process p;
    ds_launch l = of_test(1, 2);

    (void)state;
    assert_int_equal(bind(fd, (const struct sockaddr *)&a, n), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    l.port = ntohs(a.sin_port);
    start(&p, l, nothing);
    const int one = accept(fd, NULL, NULL);
    assert_int_equal(write(one, "220 mail.example.com ready\r\n", 28), 28);
    finish(&p);
    close(one);
    close(fd);
    says(&p, 3, "what answers is no process of dstrain: another program has that port");
}

/* ---- who goes ---- */

static void one_dies(ds_ranks *r)
{
    char all[MOST], mine = 0;

    r->gather(r, all, &mine, 1);
    if (r->rank == 1)
        kill(getpid(), SIGKILL);
    r->gather(r, all, &mine, 1);
    r->gather(r, all, &mine, 1);
}

static void test_one_dies(void **state)
{
    process p[3];

    (void)state;
    run_all(p, 3, one_dies);
    assert_true(WIFSIGNALED(p[1].status));
    says(&p[0], 1, "process 1 is gone");
    says(&p[2], 1, "");
}

/* In the middle of something long, which the others do not take. */
static void one_gives_up(ds_ranks *r)
{
    char *much = calloc(1, (size_t)64 << 20), *all = calloc(2, (size_t)64 << 20), word = 0, said[2];

    need(much && all, "memory");
    r->gather(r, said, &word, 1);
    if (r->rank == 1)
        r->quit(r, "the device has no more memory");
    r->gather(r, all, much, 64 << 20);
}

static void test_one_gives_up(void **state)
{
    process p[2];

    (void)state;
    run_all(p, 2, one_gives_up);
    says(&p[0], 1, "process 0 of 2: process 1 ends all: the device has no more memory");
    says(&p[1], 1, "process 1 of 2: the device has no more memory");
}

/* The others compute, as if a device kept them waiting. */
static void others_wait(ds_ranks *r, void (*go)(ds_ranks *r))
{
    char all[MOST], mine = 0;

    r->gather(r, all, &mine, 1);
    if (r->rank == 1)
        go(r);
    for (;;)
        pause();
}

static void die(ds_ranks *r)
{
    (void)r;
    kill(getpid(), SIGKILL);
}

static void one_dies_meanwhile(ds_ranks *r)
{
    others_wait(r, die);
}

/* It is calls ahead: what it gives stands before what it says. */
static void give_up(ds_ranks *r)
{
    static char much[5000]; /* fits on its way: nobody takes it */

    for (int i = 0; i < 3; i++)
        r->spread(r, much, sizeof much, 1);
    r->quit(r, "the device fell off the bus");
}

static void one_gives_up_meanwhile(ds_ranks *r)
{
    others_wait(r, give_up);
}

static void test_meanwhile(void **state)
{
    process p[3];

    (void)state;
    run_all(p, 3, one_dies_meanwhile);
    assert_true(WIFSIGNALED(p[1].status));
    for (int i = 0; i < 3; i += 2)
        assert_int_equal(p[i].status, 1 << 8);
    assert_non_null(strstr(p[0].said, "process 1 is gone")); /* or process 2 says so */
    run_all(p, 3, one_gives_up_meanwhile);
    for (int i = 0; i < 3; i++)
        assert_int_equal(p[i].status, 1 << 8);
    says(&p[0], 1, "process 1 ends all: the device fell off the bus");
}

/* Its part of a step: nobody is left waiting for what it should have given. */
static void a_step_fails(ds_ranks *r)
{
    ds_params s = {.ranks = r};
    ds_err err = {0};
    int rc = 0;

    need(ds_keepers_spread(&s, 0, &err) == 0, "a good step");
    if (r->rank == 1)
        rc = ds_fail(&err, DS_NOMEM, "the device has no more memory");
    rc = ds_keepers_spread(&s, rc, &err);
    need(rc == DS_NOMEM && strstr(err.msg, "process 1 of 3: the device has"), "everybody fails");
}

static void test_step_fails(void **state)
{
    process p[3];

    (void)state;
    run_all(p, 3, a_step_fails);
    for (int i = 0; i < 3; i++)
        assert_int_equal(p[i].status, 0);
}

static void one_does_other_things(ds_ranks *r)
{
    char all[MOST * 8], mine[8] = "";

    r->gather(r, all, mine, r->rank == 1 ? 4 : 8);
    r->gather(r, all, mine, 8);
}

static void test_not_the_same(void **state)
{
    process p[2];

    (void)state;
    run_all(p, 2, one_does_other_things);
    for (int i = 0; i < 2; i++)
        assert_int_equal(p[i].status, 1 << 8);
    assert_non_null(
        strstr(p[0].said[0] ? p[0].said : p[1].said, "the processes do not do the same"));
}

/* ---- who stands still ---- */

static void start_impatient(process *p, int n, work *w)
{
    for (int i = n - 1; i >= 0; i--) {
        ds_launch l = of_test(i, n);
        l.patience = 1;
        start(&p[i], l, w);
    }
}

static void one_stands_still(ds_ranks *r)
{
    char all[MOST], mine = 0;

    r->gather(r, all, &mine, 1);
    if (r->rank == 1)
        kill(getpid(), SIGSTOP);
    r->gather(r, all, &mine, 1);
}

static void test_one_stands_still(void **state)
{
    process p[3];

    (void)state;
    start_impatient(p, 3, one_stands_still);
    finish(&p[0]);
    finish(&p[2]);
    says(&p[0], 1, "process 1 gave or took nothing for 1 s (DS_RANKS_WAIT)");
    assert_int_equal(p[2].status, 1 << 8);
    kill(p[1].pid, SIGCONT); /* it finds what the others told it */
    finish(&p[1]);
    assert_int_equal(p[1].status, 1 << 8);
}

/* Something long that comes all the while may take longer. */
static void one_is_slow(ds_ranks *r)
{
    char part[1] = "";

    for (int i = 0; i < 5; i++) {
        if (r->rank == 1)
            usleep(500000);
        r->spread(r, part, 1, 1);
    }
}

static void test_one_is_slow(void **state)
{
    process p[2];

    (void)state;
    start_impatient(p, 2, one_is_slow);
    for (int i = 0; i < 2; i++) {
        finish(&p[i]);
        says(&p[i], 0, "");
    }
}

/* In what no call knows of: a device that waits for another's. */
static void devices_wait(ds_ranks *r)
{
    ds_err err = {0};

    r->timeout = 1;
    r->patience = 60;
    need(ds_rankguard_begin(r, &err) == 0, err.msg);
    r->wait(r, DS_RANKS_DEVICES, false);
    r->wait(r, NULL, false);
    if (r->rank == 1)
        r->wait(r, "a device", true);
    for (;;)
        pause();
}

static void test_devices_wait(void **state)
{
    process p[2];

    (void)state;
    run_all(p, 2, devices_wait);
    says(&p[1], 1, "process 1 of 2: a device did not come within 1 s (DS_RANKS_TIMEOUT)");
    says(&p[0], 1, "process 0 of 2: process 1 ends all: a device did not come within 1 s");
}

/* ---- what they share ---- */

static void all_share(ds_ranks *r)
{
    const int cpus = ds_cpu_count();
    cpu_set_t all, one;

    ds_ranks_place(r, -1);
    need(r->local == r->rank && r->here == r->size, "its number on this machine, of all");
    need(r->processors == (cpus > r->size ? cpus / r->size : 1), "a share of all processors");
    need(sched_getaffinity(0, sizeof all, &all) == 0, "its processors");
    CPU_ZERO(&one);
    for (int c = 0, n = 0; c < CPU_SETSIZE && CPU_COUNT(&one) == 0; c++)
        if (CPU_ISSET(c, &all) && n++ == r->rank % cpus)
            CPU_SET(c, &one);
    if (r->rank) /* the first may run on all: on its own, and on half of each other's */
        need(sched_setaffinity(0, sizeof one, &one) == 0, "one processor");
    ds_ranks_place(r, 7);
    need(r->local == 7, "the number that the launcher says");
    need(r->processors == (r->rank || cpus < 3 ? 1 : cpus - 1), "a share of what it may run on");
}

/* What was seen of each: three of one machine that may run on the same six processors, a set that
 * stands last. */
static void six_processors(const ds_ranks *r, void *all, const void *mine, int bytes)
{
    cpu_set_t *cpus;

    for (int i = 0; i < r->size; i++) {
        memcpy((char *)all + i * bytes, mine, (size_t)bytes);
        cpus = (cpu_set_t *)(void *)((char *)all + (i + 1) * bytes - (int)sizeof *cpus);
        CPU_ZERO(cpus);
        for (int c = 0; c < 6; c++)
            CPU_SET(c, cpus);
    }
}

static void thirds(ds_ranks *r)
{
    ds_ranks six = {.rank = r->rank, .size = 3, .room = r->room, .gather = six_processors};

    ds_ranks_place(&six, -1);
    need(six.processors == 2 && six.here == 3 && six.local == r->rank, "a third of six");
}

static void test_all_share(void **state)
{
    process p[3];

    (void)state;
    run_all(p, 2, all_share);
    for (int i = 0; i < 2; i++)
        says(&p[i], 0, "");
    run_all(p, 3, thirds);
    for (int i = 0; i < 3; i++)
        says(&p[i], 0, "");
}

/* ---- what the system does not give ---- */

/* One file for the port, and one connection. */
static void test_no_more_files(void **state)
{
    process p[3];

    (void)state;
    files = 2;
    start(&p[0], of_test(0, 3), nothing);
    files = 0;
    for (int i = 1; i < 3; i++) {
        ds_launch l = of_test(i, 3);
        l.timeout = 5;
        start(&p[i], l, nothing);
    }
    for (int i = 0; i < 3; i++)
        finish(&p[i]);
    says(&p[0], 3, "process 0: a connection for each of the other 2 (ulimit -n): Too many");
    files = 1; /* for the port; none to call */
    start(&p[0], of_test(1, 2), nothing);
    files = 0;
    finish(&p[0]);
    says(&p[0], 3, "process 0 at 127.0.0.1:");
    says(&p[0], 3, "a socket (ulimit -n): Too many open files");
}

/* An address of this machine that says nothing without its link; false: there is none. */
static bool link_local(char host[256])
{
    struct ifaddrs *all = NULL;
    bool found = false;

    assert_int_equal(getifaddrs(&all), 0);
    for (const struct ifaddrs *a = all; a && !found; a = a->ifa_next)
        found = a->ifa_addr && a->ifa_addr->sa_family == AF_INET6 &&
                IN6_IS_ADDR_LINKLOCAL(
                    &((const struct sockaddr_in6 *)(const void *)a->ifa_addr)->sin6_addr) &&
                getnameinfo(a->ifa_addr, sizeof(struct sockaddr_in6), host, 256, NULL, 0,
                            NI_NUMERICHOST) == 0;
    freeifaddrs(all);
    return found;
}

static void test_on_a_link(void **state)
{
    char host[256];
    process p[3];

    (void)state;
    if (!link_local(host))
        skip();
    for (int i = 2; i >= 0; i--) {
        ds_launch l = of_test(i, 3);
        l.here = false;
        memcpy(l.host, host, sizeof l.host);
        start(&p[i], l, give_and_take);
    }
    for (int i = 0; i < 3; i++) {
        finish(&p[i]);
        says(&p[i], 0, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_of_it),        cmocka_unit_test(test_one_missing),
        cmocka_unit_test(test_first_missing),    cmocka_unit_test(test_unlike),
        cmocka_unit_test(test_another_run),      cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_another_program),  cmocka_unit_test(test_one_dies),
        cmocka_unit_test(test_one_gives_up),     cmocka_unit_test(test_not_the_same),
        cmocka_unit_test(test_meanwhile),        cmocka_unit_test(test_step_fails),
        cmocka_unit_test(test_one_stands_still), cmocka_unit_test(test_one_is_slow),
        cmocka_unit_test(test_devices_wait),     cmocka_unit_test(test_all_share),
        cmocka_unit_test(test_no_more_files),    cmocka_unit_test(test_on_a_link),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
