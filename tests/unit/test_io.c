/* File I/O through a table that fails on demand: short transfers, EINTR, ENOSPC, and files that
 * appear whole. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "io.h"

/* The n-th call (from 1) of one kind fails with `error`; 0 = never. */
static struct {
    int write_at, read_at, fsync_at, rename_at, open_at, close_at;
    int error;
    size_t most; /* bytes a transfer moves at most; 0 = all */
    int writes, reads, fsyncs, renames, opens, closes;
} fault;

static int fails(int *count, int at)
{
    if (++*count != at)
        return 0;
    errno = fault.error;
    return 1;
}

static size_t part(size_t n)
{
    return fault.most && n > fault.most ? fault.most : n;
}

static int f_open(const char *path, int flags, mode_t mode)
{
    return fails(&fault.opens, fault.open_at) ? -1 : ds_io_system.open(path, flags, mode);
}
static ssize_t f_read(int fd, void *buf, size_t n)
{
    return fails(&fault.reads, fault.read_at) ? -1 : read(fd, buf, part(n));
}
static ssize_t f_pread(int fd, void *buf, size_t n, off_t off)
{
    return fails(&fault.reads, fault.read_at) ? -1 : pread(fd, buf, part(n), off);
}
static ssize_t f_write(int fd, const void *buf, size_t n)
{
    return fails(&fault.writes, fault.write_at) ? -1 : write(fd, buf, part(n));
}
static int f_fsync(int fd)
{
    return fails(&fault.fsyncs, fault.fsync_at) ? -1 : fsync(fd);
}
static int f_close(int fd)
{
    int rc = close(fd);
    return fails(&fault.closes, fault.close_at) ? -1 : rc;
}
static int f_rename(const char *from, const char *to)
{
    return fails(&fault.renames, fault.rename_at) ? -1 : rename(from, to);
}

static ds_io_ops faulty;

static int install(void **state)
{
    (void)state;
    memset(&fault, 0, sizeof fault);
    faulty = ds_io_system;
    faulty.open = f_open;
    faulty.read = f_read;
    faulty.pread = f_pread;
    faulty.write = f_write;
    faulty.fsync = f_fsync;
    faulty.close = f_close;
    faulty.rename = f_rename;
    ds_io_active = &faulty;
    return 0;
}

static int restore(void **state)
{
    (void)state;
    ds_io_active = &ds_io_system;
    return 0;
}

static int files_in(const char *path)
{
    char cmd[8300], line[64] = "";
    snprintf(cmd, sizeof cmd, "ls -A '%s' | wc -l", path);
    FILE *p = popen(cmd, "r");
    assert_non_null(p);
    assert_non_null(fgets(line, sizeof line, p));
    pclose(p);
    return (int)strtol(line, NULL, 10);
}

static void short_and_interrupted_transfers(void **state)
{
    (void)state;
    const char *path = unit_path("short");
    char data[1000], back[1000];
    int fd;
    size_t got;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 7);
    fault.most = 3;
    fault.error = EINTR;
    fault.write_at = 5;
    fault.read_at = 4;
    assert_int_equal(ds_open(&fd, path, O_RDWR | O_CREAT, 0600, NULL), 0);
    assert_int_equal(ds_write_full(fd, path, data, sizeof data, NULL), 0);
    assert_true(fault.writes > 300);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(ds_read_full(fd, path, back, sizeof back, &got, NULL), 0);
    assert_int_equal(got, sizeof back);
    assert_memory_equal(data, back, sizeof data);
    memset(back, 0, sizeof back);
    fault.reads = 0;
    assert_int_equal(ds_pread_exact(fd, path, back, 500, 500, NULL), 0);
    assert_memory_equal(data + 500, back, 500);
    assert_int_equal(ds_read_full(fd, path, back, sizeof back, &got, NULL), 0);
    assert_int_equal(got, 0);
    assert_int_equal(ds_close(&fd, path, NULL), 0);
    assert_int_equal(fd, -1);
    assert_int_equal(ds_close(&fd, path, NULL), 0);
}

static void errors_name_path_and_reason(void **state)
{
    (void)state;
    ds_err e = {0};
    int fd;
    char b[8];
    size_t got;
    assert_int_equal(ds_open(&fd, unit_path("absent"), O_RDONLY, 0, &e), DS_IO);
    assert_non_null(strstr(e.msg, "absent: No such file"));
    assert_int_equal(fd, -1);
    ds_err_clear(&e);
    unit_write(unit_path("four"), "four", 4);
    assert_int_equal(ds_open(&fd, unit_path("four"), O_RDONLY, 0, &e), 0);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(ds_pread_exact(fd, "four", b, 4, 2, &e), DS_CORRUPT);
    assert_string_equal(e.msg, "four: ends at byte 4, needed 2 more");
    ds_err_clear(&e);
    assert_int_equal(ds_pread_exact(fd, "four", b, 4, UINT64_MAX, &e), DS_CORRUPT);
    ds_err_clear(&e);
    fault.error = EIO;
    fault.read_at = fault.reads + 1;
    assert_int_equal(ds_read_full(fd, "four", b, 4, &got, &e), DS_IO);
    assert_string_equal(e.msg, "four: read: Input/output error");
    ds_close(&fd, "four", NULL);
}

static void a_full_disk_is_an_io_error(void **state)
{
    (void)state;
    ds_err e = {0};
    ds_out o;
    char block[1000] = {0};
    int fd;
    assert_int_equal(ds_open(&fd, unit_path("full"), O_WRONLY | O_CREAT, 0600, &e), 0);
    assert_int_equal(ds_out_init(&o, fd, "full", &e), 0);
    fault.error = ENOSPC;
    fault.write_at = 2;
    int rc = 0, n = 0;
    while (!rc && n++ < 2000)
        rc = ds_out_put(&o, block, sizeof block, &e);
    assert_int_equal(rc, DS_NOROOM);
    assert_string_equal(e.msg, "full: write: No space left on device");
    assert_int_equal(fault.writes, 2);
    ds_out_fini(&o);
    ds_close(&fd, "full", NULL);
}

static void buffered_output_is_what_was_put(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 5, 262143, 262144, 262145, 3, 700000, 100};
    ds_out o;
    int fd;
    size_t total = 0, len;
    char *big = malloc(700000);
    assert_non_null(big);
    assert_int_equal(ds_open(&fd, unit_path("out"), O_WRONLY | O_CREAT, 0600, NULL), 0);
    assert_int_equal(ds_out_init(&o, fd, "out", NULL), 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t k = 0; k < sizes[i]; k++)
            big[k] = (char)((total + k) % 251);
        assert_int_equal(ds_out_put(&o, big, sizes[i], NULL), 0);
        total += sizes[i];
        assert_true(o.pos == total);
    }
    assert_int_equal(ds_out_flush(&o, NULL), 0);
    ds_out_fini(&o);
    ds_close(&fd, "out", NULL);
    char *back = unit_read(unit_path("out"), &len);
    assert_int_equal(len, total);
    for (size_t k = 0; k < len; k++)
        if ((unsigned char)back[k] != k % 251)
            fail_msg("byte %zu differs", k);
    free(back);
    free(big);
}

static void buffered_input_lends_every_byte(void **state)
{
    (void)state;
    size_t total = 3000001, at = 0, step = 1, got;
    const uint8_t *p;
    ds_in in;
    int fd;
    char *data = malloc(total), *taken = malloc(2u << 20);
    assert_non_null(data);
    assert_non_null(taken);
    for (size_t k = 0; k < total; k++)
        data[k] = (char)(k % 241);
    unit_write(unit_path("in"), data, total);
    fault.most = 9999;
    fault.error = EINTR;
    fault.read_at = 7;
    assert_int_equal(ds_open(&fd, unit_path("in"), O_RDONLY, 0, NULL), 0);
    assert_int_equal(ds_in_init(&in, fd, "in", NULL), 0);
    for (;;) {
        assert_int_equal(ds_in_peek(&in, step, &p, &got, NULL), 0);
        if (got == 0)
            break;
        assert_true(got == step || at + got == total);
        assert_memory_equal(p, data + at, got);
        assert_true(in.pos == at);
        size_t take = got > 1 ? got - got / 3 : got; /* peek further than what is taken */
        ds_in_skip(&in, take);
        at += take;
        step = step * 5 % ((2u << 20) - 7) + 1;
        in.step = step % 70000; /* reads of any length */
        if (step % 3)
            continue;
        assert_int_equal(ds_in_take(&in, taken, step, &got, NULL), 0);
        assert_true(got == step || at + got == total);
        assert_memory_equal(taken, data + at, got);
        at += got;
    }
    assert_int_equal(at, total);
    free(taken);
    ds_err e = {0};
    assert_int_equal(ds_in_peek(&in, (2u << 20) + 1, &p, &got, &e), DS_FAIL);
    ds_in_fini(&in);
    ds_close(&fd, "in", NULL);
    free(data);
}

static void whole_files(void **state)
{
    (void)state;
    ds_err e = {0};
    ds_buf b = {0};
    ds_buf_puts(&b, "before:");
    unit_write(unit_path("whole"), "12345", 5);
    assert_int_equal(ds_read_file(&b, unit_path("whole"), 5, &e), 0);
    assert_string_equal(ds_buf_cstr(&b), "before:12345");
    assert_int_equal(ds_read_file(&b, unit_path("whole"), 4, &e), DS_FAIL);
    assert_non_null(strstr(e.msg, "larger than 4 bytes"));
    assert_string_equal(ds_buf_cstr(&b), "before:12345");
    ds_err_clear(&e);
    /* a file whose size the system does not tell */
    ds_buf_reset(&b);
    assert_int_equal(ds_read_file(&b, "/proc/self/status", 1 << 20, &e), 0);
    assert_true(b.len > 100);
    ds_buf_fini(&b);
}

/* At every step that may fail, the old file stands whole and nothing is left beside it. */
static void atomic_write_or_nothing(void **state)
{
    (void)state;
    int *const at[] = {&fault.open_at, &fault.write_at, &fault.fsync_at, &fault.close_at,
                       &fault.rename_at};
    assert_int_equal(ds_mkdirs(unit_path("atomic"), NULL), 0);
    assert_int_equal(ds_atomic_write(unit_path("atomic/f"), 0644, "old", 3, NULL), 0);
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        ds_err e = {0};
        install(NULL);
        fault.error = ENOSPC;
        fault.most = 2;
        *at[i] = 1;
        assert_int_equal(ds_atomic_write(unit_path("atomic/f"), 0644, "newer", 5, &e), DS_NOROOM);
        assert_non_null(strstr(e.msg, "No space left on device"));
        char *s = unit_read(unit_path("atomic/f"), NULL);
        assert_string_equal(s, "old");
        free(s);
        assert_int_equal(files_in(unit_path("atomic")), 1);
    }
    install(NULL);
    assert_int_equal(ds_atomic_write(unit_path("atomic/f"), 0644, "newer", 5, NULL), 0);
    assert_true(fault.fsyncs >= 2); /* the file, and the folder that names it */
    char *s = unit_read(unit_path("atomic/f"), NULL);
    assert_string_equal(s, "newer");
    free(s);
    assert_int_equal(files_in(unit_path("atomic")), 1);
}

static void copies_whole_or_not_at_all(void **state)
{
    (void)state;
    char *big = malloc(600000), *s;
    ds_err e = {0};
    size_t len;
    assert_non_null(big);
    for (size_t i = 0; i < 600000; i++)
        big[i] = (char)(i * 7 % 251);
    assert_int_equal(ds_mkdirs(unit_path("copies"), NULL), 0);
    unit_write(unit_path("big"), big, 600000);
    fault.most = 100001;
    assert_int_equal(ds_copy_file(unit_path("big"), unit_path("copies/big"), 0644, &e), 0);
    s = unit_read(unit_path("copies/big"), &len);
    assert_int_equal(len, 600000);
    assert_memory_equal(s, big, len);
    free(s);
    install(NULL);
    fault.error = ENOSPC;
    fault.write_at = 2;
    assert_int_equal(ds_copy_file(unit_path("big"), unit_path("copies/two"), 0644, &e), DS_NOROOM);
    assert_int_equal(files_in(unit_path("copies")), 1);
    ds_err_clear(&e);
    assert_int_equal(ds_copy_file(unit_path("none"), unit_path("copies/two"), 0644, &e), DS_IO);
    assert_int_equal(files_in(unit_path("copies")), 1);
    free(big);
}

static void atomic_abort(void **state)
{
    (void)state;
    ds_atomic a = {0};
    ds_atomic_abort(&a); /* a zeroed object owns nothing: descriptor 0 stays open */
    assert_int_equal(ds_mkdirs(unit_path("abort"), NULL), 0);
    assert_int_equal(ds_atomic_open(&a, unit_path("abort/f"), 0600, NULL), 0);
    assert_int_equal(files_in(unit_path("abort")), 1);
    ds_atomic_abort(&a);
    ds_atomic_abort(&a);
    assert_int_equal(files_in(unit_path("abort")), 0);
    assert_int_equal(ds_atomic_open(&a, unit_path("abort/f"), 0600, NULL), 0);
    assert_int_equal(ds_atomic_commit(&a, NULL), 0);
    ds_atomic_abort(&a);
    assert_true(ds_path_exists(unit_path("abort/f")));
}

static void folders(void **state)
{
    (void)state;
    ds_err e = {0};
    assert_int_equal(ds_mkdirs(unit_path("a/b//c/"), &e), 0);
    assert_int_equal(ds_mkdirs(unit_path("a/b/c"), &e), 0);
    assert_true(ds_path_exists(unit_path("a/b/c")));
    assert_false(ds_path_exists(unit_path("a/b/d")));
    unit_write(unit_path("a/file"), "", 0);
    assert_int_equal(ds_mkdirs(unit_path("a/file"), &e), DS_IO);
    ds_err_clear(&e);
    assert_int_equal(ds_mkdirs(unit_path("a/file/x"), &e), DS_IO);
    assert_int_equal(ds_mkdirs("/", NULL), 0);
    assert_int_equal(ds_fsync_parent(unit_path("a/file"), NULL), 0);
    assert_int_equal(ds_fsync_parent("/", NULL), 0);
}

static void slashes_at_the_end_do_not_count(void **state)
{
    (void)state;
    assert_int_equal(ds_path_len("a/b//"), 3);
    assert_int_equal(ds_path_len("a"), 1);
    assert_int_equal(ds_path_len("/"), 1);
    assert_int_equal(ds_path_len("///"), 1);
    assert_int_equal(ds_path_len(""), 0);
}

static void a_folder_is_called_as_one_calls_it(void **state)
{
    static const char *const paths[][2] = {{"runs/7", "7"},   {"runs/7//", "7"}, {"7/", "7"},
                                           {"/a/..b", "..b"}, {"...", "..."},    {"/", ""}};
    char *name, *here, real[PATH_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        assert_int_equal(ds_path_name(&name, paths[i][0], NULL), 0);
        assert_string_equal(name, paths[i][1]);
        free(name);
    }
    assert_non_null(realpath(".", real));
    assert_int_equal(ds_path_name(&here, "./", NULL), 0);
    assert_string_equal(here, strrchr(real, '/') + 1);
    free(here);
    assert_int_equal(ds_path_name(&name, "", NULL), DS_IO);
    assert_null(name);
}

static void pipes_cannot_be_synced_and_that_is_fine(void **state)
{
    (void)state;
    int p[2];
    assert_int_equal(pipe(p), 0);
    assert_int_equal(ds_fsync(p[1], "pipe", NULL), 0);
    close(p[0]);
    close(p[1]);
}

#define T(f) cmocka_unit_test_setup_teardown(f, install, restore)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(short_and_interrupted_transfers),
        T(errors_name_path_and_reason),
        T(a_full_disk_is_an_io_error),
        T(buffered_output_is_what_was_put),
        T(buffered_input_lends_every_byte),
        T(whole_files),
        T(atomic_write_or_nothing),
        T(copies_whole_or_not_at_all),
        T(atomic_abort),
        T(folders),
        T(slashes_at_the_end_do_not_count),
        T(a_folder_is_called_as_one_calls_it),
        T(pipes_cannot_be_synced_and_that_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, unit_dir_remove);
}
