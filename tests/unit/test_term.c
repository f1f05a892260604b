/* Words for people, and signals: what appears on stderr at which level, progress that clears
 * itself, a first signal that is noticed and a second that ends. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io.h"
#include "sig.h"
#include "term.h"

/* Runs `body` in a child with stderr in a file, returns its wait status and what it wrote. */
static int in_child(int (*body)(void), char **words)
{
    const char *path = unit_path("stderr");
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (fd < 0 || dup2(fd, 2) != 2)
            _exit(99);
        /* A test started in the background inherits an ignored SIGINT. */
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        signal(SIGHUP, SIG_DFL);
        int rc = body();
        fflush(stderr);
        _exit(rc);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    *words = unit_read(path, NULL);
    return status;
}

static int say_all(void)
{
    ds_term_prog("prog");
    for (ds_log_level = 0; ds_log_level <= 2; ds_log_level++) {
        ds_warn("warn %d", ds_log_level);
        ds_info("info %d \x1b[2J", ds_log_level);
    }
    return 0;
}

static void levels(void **state)
{
    (void)state;
    char *w;
    assert_int_equal(in_child(say_all, &w), 0);
    assert_string_equal(w, "prog: warn 1\nprog: warn 2\nprog: info 2 ?[2J\n");
    free(w);
}

static int progress(void)
{
    ds_progress p;
    ds_term_prog("prog");
    ds_progress_begin(&p, "reading", 4 << 20, true);
    ds_progress_at(&p, 1 << 20);
    ds_warn("between");
    ds_progress_end(&p);
    ds_progress_end(&p);
    return 0;
}

static int shown_progress(void)
{
    setenv("DS_FAKE_TTY", "1", 1);
    return progress();
}

static int narrow_progress(void)
{
    setenv("COLUMNS", "20", 1);
    return shown_progress();
}

static int hidden_progress(void)
{
    unsetenv("DS_FAKE_TTY"); /* stderr is a file */
    return progress();
}

static int quiet_progress(void)
{
    ds_log_level = 0;
    return shown_progress();
}

static void progress_is_shown_and_cleared(void **state)
{
    (void)state;
    char *w;
    assert_int_equal(in_child(shown_progress, &w), 0);
    assert_memory_equal(w, "\r\033[Kreading 1.0 MiB of 4.0 MiB, 25%", 34);
    assert_non_null(strstr(w, "\r\033[Kprog: between\n")); /* a message takes the line's place */
    free(w);
    /* a line of a narrow terminal does not go on in the next, where nothing would clear it */
    assert_int_equal(in_child(narrow_progress, &w), 0);
    assert_memory_equal(w, "\r\033[Kreading 1.0 MiB of \r\033[Kprog: between\n", 41);
    free(w);
    assert_int_equal(in_child(hidden_progress, &w), 0);
    assert_string_equal(w, "prog: between\n");
    free(w);
    assert_int_equal(in_child(quiet_progress, &w), 0);
    assert_string_equal(w, "");
    free(w);
}

static int a_signal(void)
{
    ds_err e = {0};
    ds_sig_setup();
    if (ds_interrupted() || ds_check_interrupt(&e) != 0)
        return 1;
    raise(SIGTERM);
    if (!ds_interrupted() || ds_check_interrupt(&e) != DS_FAIL || strcmp(e.msg, "interrupted") != 0)
        return 2;
    ds_sig_reraise();
    return 3;
}

static int two_signals(void)
{
    ds_sig_setup();
    raise(SIGINT);
    raise(SIGINT);
    return 3;
}

static int an_ignored_signal(void)
{
    signal(SIGHUP, SIG_IGN); /* as nohup does */
    ds_sig_setup();
    raise(SIGHUP);
    ds_sig_reraise();
    return ds_interrupted() ? 1 : 0;
}

static ssize_t interrupted_read(int fd, void *buf, size_t n)
{
    (void)fd;
    (void)buf;
    (void)n;
    raise(SIGINT);
    errno = EINTR;
    return -1;
}

static int a_signal_in_a_read(void)
{
    ds_io_ops ops = ds_io_system;
    ds_err e = {0};
    char b[8];
    size_t got;
    ops.read = interrupted_read;
    ds_io_active = &ops;
    ds_sig_setup();
    return ds_read_full(0, "in", b, sizeof b, &got, &e) == DS_FAIL &&
                   strcmp(e.msg, "interrupted") == 0
               ? 0
               : 1;
}

static void signals(void **state)
{
    (void)state;
    char *w;
    int status = in_child(a_signal, &w);
    free(w);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    status = in_child(two_signals, &w);
    free(w);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGINT);
    assert_int_equal(in_child(an_ignored_signal, &w), 0);
    free(w);
    assert_int_equal(in_child(a_signal_in_a_read, &w), 0);
    free(w);
}

static void binary_to_a_file_is_fine(void **state)
{
    (void)state;
    ds_err e = {0};
    int p[2];
    assert_int_equal(pipe(p), 0);
    assert_int_equal(ds_refuse_tty(p[1], "redirect it", &e), 0);
    close(p[0]);
    close(p[1]);
    int m = posix_openpt(O_RDWR | O_NOCTTY);
    if (m < 0) /* no pseudo-terminals here: the other half cannot be seen */
        return;
    assert_int_equal(ds_refuse_tty(m, "redirect it", &e), DS_USAGE);
    assert_non_null(strstr(e.msg, "redirect it"));
    close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels),
        cmocka_unit_test(progress_is_shown_and_cleared),
        cmocka_unit_test(signals),
        cmocka_unit_test(binary_to_a_file_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, unit_dir_remove);
}
