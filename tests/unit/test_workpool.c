/* Worker processes: order, what a crash, a hang and an exit cost, fresh processes, long answers. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

#include "dicominput.h"
#include "dicomseen.h"
#include "workpool.h"

static unsigned served; /* by this process, in the worker */

/* Does what the name says, and says how many jobs the process had before. */
static int work(void *ctx, const ds_work_job *job, int *out)
{
    char text[256];
    unsigned before = served++;
    bool fresh = before == 0;
    (void)ctx;
    if (strcmp(job->name, "die") == 0 || (strcmp(job->name, "die-later") == 0 && !fresh))
        kill(getpid(), SIGKILL);
    if (strcmp(job->name, "leave") == 0)
        _exit(3);
    if (strcmp(job->name, "refuse") == 0)
        return -1;
    for (volatile unsigned i = 0; strcmp(job->name, "spin") == 0;)
        i++;
    if (strcmp(job->name, "long") == 0 && ds_dicom_temp(out, NULL) != 0)
        return -1;
    char c = 0;
    if (pread(job->in, &c, 1, 0) != 1)
        return -1;
    int n = snprintf(text, sizeof text, "%s %c %d %d %c", job->name, c, job->ask,
                     fcntl(20, F_GETFD) >= 0, before < 10 ? (char)('0' + before) : '+');
    return pwrite(*out, text, (size_t)n + 1, 0) == n + 1 ? 0 : -1;
}

/* One job after the other; what came back, with '/' between. */
static void run_all(const char *const *names, size_t n, const ds_work_opts *o, char *said,
                    size_t room)
{
    ds_workpool *p;
    ds_err err = {0};
    size_t sent = 0, at = 0;
    static const char *const ends[] = {"", "failed", "crashed", "timeout"};
    int in = open(unit_path("in"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(in >= 0);
    assert_int_equal(pwrite(in, "x", 1, 0), 1);
    assert_int_equal(dup2(in, 20), 20); /* not to be seen by the workers */
    assert_int_equal(ds_workpool_new(&p, o, &err), 0);
    said[0] = 0;
    for (size_t k = 0; k < n; k++) {
        enum ds_work_end how;
        char text[256];
        int out;
        for (; sent < n && !ds_workpool_full(p); sent++) {
            const ds_work_job job = {.in = in, .name = names[sent], .ask = sent == 0};
            assert_int_equal(ds_workpool_submit(p, &job, &err), 0);
        }
        assert_int_equal(ds_workpool_next(p, &how, &out, &err), 0);
        if (how == DS_WORK_DONE)
            assert_true(pread(out, text, sizeof text, 0) > 0);
        at += (size_t)snprintf(said + at, room - at, "%s/", how == DS_WORK_DONE ? text : ends[how]);
    }
    ds_workpool_free(p);
    close(20);
    close(in);
}

static void one_worker(void **state)
{
    (void)state;
    char said[4096];
    static const char *const names[] = {"a",     "die-later", "b",    "die", "c",
                                        "leave", "refuse",    "long", "d"};
    const ds_work_opts o = {.fn = work, .workers = 1};
    served = 0;
    run_all(names, 9, &o, said, sizeof said);
    /* What died with a fresh process is to blame; the others are done by the next one. */
    assert_string_equal(said,
                        "a x 1 0 0/die-later x 0 0 0/b x 0 0 1/crashed/c x 0 0 0/failed/failed/"
                        "long x 0 0 1/d x 0 0 2/");
}

static void many_workers(void **state)
{
    (void)state;
    char said[8192], want[8192];
    const char *names[60];
    size_t at = 0;
    const ds_work_opts o = {.fn = work, .workers = 5, .jobs = 3};
    served = 0;
    for (size_t i = 0; i < 60; i++)
        names[i] = i % 7 == 3 ? "die" : i % 2 ? "odd" : "even";
    run_all(names, 60, &o, said, sizeof said);
    for (char *s = said, *e; *s; s = e + 1) { /* by whom each was done is nobody's business */
        e = strchr(s, '/');
        if (e[-1] >= '0' && e[-1] <= '9')
            e[-1] = '_';
    }
    for (size_t i = 0; i < 60; i++)
        at += (size_t)snprintf(want + at, sizeof want - at,
                               i % 7 == 3 ? "crashed/" : "%s x %d 0 _/", names[i], i == 0);
    assert_string_equal(said, want);
}

static void hang(void **state)
{
    (void)state;
    char said[4096];
    static const char *const names[] = {"a", "spin", "b"};
    const ds_work_opts o = {.fn = work, .workers = 1, .seconds = 3};
    served = 0;
    run_all(names, 3, &o, said, sizeof said);
    assert_string_equal(said, "a x 1 0 0/timeout/b x 0 0 0/");
}

static void recycled(void **state)
{
    (void)state;
    char said[4096];
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    const ds_work_opts o = {.fn = work, .workers = 1, .jobs = 2};
    served = 0;
    run_all(names, 5, &o, said, sizeof said);
    assert_string_equal(said, "a x 1 0 0/b x 0 0 1/c x 0 0 0/d x 0 0 1/e x 0 0 0/");
}

/* A byte in a file for each job that was done. */
static int count(void *ctx, const ds_work_job *job, int *out)
{
    (void)ctx;
    int fd = open(unit_path("done"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, "x", 1) == 1;
    if (fd >= 0)
        close(fd);
    return ok && pwrite(*out, job->name, strlen(job->name) + 1, 0) > 0 ? 0 : -1;
}

/* Each process ends after one job while the next job may lie unread with it: nothing that was
 * answered is done again, and nothing is held against a job. */
static void answer_before_end(void **state)
{
    (void)state;
    enum { N = 400 };
    static char said[N * 16], want[N * 16];
    const char *names[N];
    size_t at = 0;
    struct stat st;
    const ds_work_opts o = {.fn = count, .workers = 1, .jobs = 1};
    for (size_t i = 0; i < N; i++) {
        names[i] = "a";
        at += (size_t)snprintf(want + at, sizeof want - at, "a/");
    }
    run_all(names, N, &o, said, sizeof said);
    assert_string_equal(said, want);
    assert_int_equal(stat(unit_path("done"), &st), 0);
    assert_int_equal(st.st_size, N);
}

static void seen(void **state)
{
    (void)state;
    ds_dicom_seen s = {0};
    enum ds_seen what;
    ds_sha one = {{1}}, two = {{2}};
    char key[32];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 2000; i++) {
            int n = snprintf(key, sizeof key, "1.2.%d", i);
            assert_int_equal(ds_dicom_seen_put(&s, key, (size_t)n, &one, &what, NULL), 0);
            assert_int_equal(what, round ? DS_SEEN_SAME : DS_SEEN_NEW);
        }
    assert_int_equal(ds_dicom_seen_put(&s, "1.2.7", 5, &two, &what, NULL), 0);
    assert_int_equal(what, DS_SEEN_OTHER);
    assert_int_equal(ds_dicom_seen_put(&s, "1.2.7", 5, &one, &what, NULL), 0);
    assert_int_equal(what, DS_SEEN_SAME); /* the first stays the one of its key */
    ds_dicom_seen_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_worker), cmocka_unit_test(many_workers),      cmocka_unit_test(hang),
        cmocka_unit_test(recycled),   cmocka_unit_test(answer_before_end), cmocka_unit_test(seen),
    };
    return cmocka_run_group_tests(tests, NULL, unit_dir_remove);
}
