/* Folders restored by several threads: the same folder, and the same failure, as by one. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io.h"
#include "rmtree.h"
#include "treeput.h"

static const int threads[] = {1, 3};
#define EACH(i) for (size_t i = 0; i < sizeof threads / sizeof *threads; i++)

static ds_treeput *begin(int n)
{
    ds_treeput *t;
    ds_err err = {0};
    ds_remove_tree(unit_path("d"));
    assert_int_equal(ds_treeput_open(&t, unit_path("d"), true, n, &err), 0);
    return t;
}

static int add(ds_treeput *t, enum ds_filekind kind, const char *name, const char *target,
               ds_err *err)
{
    const ds_treefile f = {.name = name, .kind = kind, .mode = 0755, .target = target};
    return ds_treeput_add(t, &f, err);
}

static int small(ds_treeput *t, const char *name, const char *content, ds_err *err)
{
    const ds_treefile f = {.name = name, .mode = 0644};
    return ds_treeput_small(t, &f, content, strlen(content), err);
}

/* n files NAME/0, NAME/1, ... that hold their names, but for the one that holds `odd`. */
static int fill(ds_treeput *t, const char *name, int n, int at, const char *odd, ds_err *err)
{
    int rc = 0;
    for (int i = 0; i < n && !rc; i++) {
        char path[300];
        snprintf(path, sizeof path, "%s/%d", name, i);
        rc = small(t, path, i == at ? odd : path, err);
    }
    return rc;
}

static void filled(const char *name, int n)
{
    for (int i = 0; i < n; i++) {
        char path[300], below[302];
        snprintf(path, sizeof path, "%s/%d", name, i);
        snprintf(below, sizeof below, "d/%s", path);
        char *is = unit_read(unit_path(below), NULL);
        assert_string_equal(is, path);
        free(is);
    }
}

/* What failed, in order, before that is told. */
static void fails(ds_treeput *t, int rc, ds_err *err, int code, const char *words)
{
    ds_err earlier = {0};
    rc = rc ? rc : ds_treeput_end(t, false, err);
    if (ds_treeput_settle(t, &earlier))
        *err = earlier;
    assert_int_not_equal(rc, 0);
    assert_int_equal(err->code, code);
    if (!strstr(err->msg, words))
        fail_msg("'%s' does not tell of '%s'", err->msg, words);
    ds_treeput_free(t);
    *err = (ds_err){0};
}

/* Folders of few files and of many, more of them than a batch has room for. */
static void many_folders(void **state)
{
    (void)state;
    static const int sizes[] = {1, 70, 1, 1, 2, 1100, 3, 64, 1};
    EACH(i)
    {
        ds_treeput *t = begin(threads[i]);
        ds_err err = {0};
        char name[32];
        for (int d = 0; d < 20; d++) {
            snprintf(name, sizeof name, "%d/x/%d", d % 7, d);
            assert_int_equal(fill(t, name, sizes[d % 9], -1, NULL, &err), 0);
        }
        assert_int_equal(ds_treeput_end(t, false, &err), 0);
        ds_treeput_free(t);
        for (int d = 0; d < 20; d++) {
            snprintf(name, sizeof name, "%d/x/%d", d % 7, d);
            filled(name, sizes[d % 9]);
        }
    }
}

static mode_t mode_of(const char *name, struct timespec *mtime)
{
    struct stat st;
    assert_int_equal(lstat(unit_path(name), &st), 0);
    *mtime = st.st_mtim;
    return st.st_mode & 07777;
}

/* Whatever the umask, small and large. */
static void permissions_and_times(void **state)
{
    (void)state;
    static const mode_t modes[] = {0, 0400, 0644, 0666, 0777, 04755, 02755, 01644};
    const size_t n = sizeof modes / sizeof *modes;
    const mode_t was = umask(027);
    struct timespec m;
    char name[32];
    EACH(k)
    {
        ds_treeput *t = begin(threads[k]);
        ds_err err = {0};
        for (size_t i = 0; i < 2 * n; i++) {
            snprintf(name, sizeof name, "%zu", i);
            const ds_treefile f = {
                .name = name, .mode = modes[i / 2], .has_mtime = i % 3 > 0, .mtime = -1500000000};
            if (i % 2) {
                assert_int_equal(ds_treeput_small(t, &f, "x", 1, &err), 0);
                continue;
            }
            assert_int_equal(ds_treeput_add(t, &f, &err), 0);
            assert_int_equal(ds_treeput_write(t, "x", 1, &err), 0);
            assert_int_equal(ds_treeput_close(t, &err), 0);
        }
        assert_int_equal(ds_treeput_end(t, true, &err), 0);
        ds_treeput_free(t);
        for (size_t i = 0; i < 2 * n; i++) {
            snprintf(name, sizeof name, "d/%zu", i);
            assert_int_equal(mode_of(name, &m), modes[i / 2]);
            assert_true(i % 3 ? m.tv_sec == -2 && m.tv_nsec == 500000000 : m.tv_sec > 0);
        }
    }
    umask(was);
}

/* Nothing but the order of the records says which of two wins a name. */
static void names_that_clash(void **state)
{
    (void)state;
    EACH(i)
    for (int again = 0; again < 3; again++) {
        ds_err err = {0};
        ds_treeput *t = begin(threads[i]);
        int rc = fill(t, "a", 100, -1, NULL, &err);
        fails(t, rc ? rc : small(t, "a/7/b", "", &err), &err, DS_FAIL,
              "'a/7/b': what it lies in is no folder");
        t = begin(threads[i]);
        rc = fill(t, "a", 100, -1, NULL, &err);
        rc = rc ? rc : add(t, DS_FILE_FOLDER, "a/99/b/c", NULL, &err);
        fails(t, rc, &err, DS_FAIL, "'a/99/b/c': what it lies in is no folder");
        t = begin(threads[i]);
        rc = fill(t, "a", 100, -1, NULL, &err);
        fails(t, rc ? rc : add(t, DS_FILE_SYMLINK, "a/9", "..", &err), &err, DS_IO, "d/a/9: File");
        t = begin(threads[i]);
        rc = add(t, DS_FILE_SYMLINK, "a/9", "..", &err);
        rc = rc ? rc : fill(t, "a", 100, -1, NULL, &err);
        fails(t, rc, &err, DS_IO, "d/a/9: File");
        t = begin(threads[i]);
        rc = fill(t, "a", 100, -1, NULL, &err);
        rc = rc ? rc : fill(t, "b", 100, -1, NULL, &err);
        fails(t, rc ? rc : small(t, "a/3", "", &err), &err, DS_IO, "d/a/3: File exists");
    }
    assert_int_not_equal(access(unit_path("d/9"), F_OK), 0);
}

static void nothing_through_links(void **state)
{
    (void)state;
    EACH(i)
    {
        ds_err err = {0};
        ds_treeput *t = begin(threads[i]);
        assert_int_equal(add(t, DS_FILE_SYMLINK, "l", "..", &err), 0);
        fails(t, small(t, "l/out", "", &err), &err, DS_FAIL, "what it lies in is no folder");
        t = begin(threads[i]);
        assert_int_equal(add(t, DS_FILE_SYMLINK, "x/l", "..", &err), 0);
        fails(t, small(t, "x/l/y/out", "", &err), &err, DS_FAIL, "what it lies in is no folder");
        assert_int_not_equal(access(unit_path("out"), F_OK), 0);
        assert_int_not_equal(access(unit_path("d/y"), F_OK), 0);
        t = begin(threads[i]); /* nor to where all is there already, within the folder */
        assert_int_equal(small(t, "z/q/f", "", &err), 0);
        assert_int_equal(add(t, DS_FILE_SYMLINK, "l", "z", &err), 0);
        fails(t, small(t, "l/q/out", "", &err), &err, DS_FAIL, "what it lies in is no folder");
        assert_int_not_equal(access(unit_path("d/z/q/out"), F_OK), 0);
    }
}

/* Another name for a file that a thread still has to make; one for a file that comes later. */
static void hard_links(void **state)
{
    (void)state;
    EACH(i)
    for (int again = 0; again < 3; again++) {
        ds_err err = {0};
        ds_treeput *t = begin(threads[i]);
        struct stat a, b;
        assert_int_equal(fill(t, "a", 300, -1, NULL, &err), 0);
        assert_int_equal(add(t, DS_FILE_HARDLINK, "b/x", "a/299", &err), 0);
        assert_int_equal(fill(t, "b", 3, -1, NULL, &err), 0);
        assert_int_equal(ds_treeput_end(t, false, &err), 0);
        ds_treeput_free(t);
        assert_int_equal(stat(unit_path("d/a/299"), &a), 0);
        assert_int_equal(stat(unit_path("d/b/x"), &b), 0);
        assert_int_equal(a.st_ino, b.st_ino);
        t = begin(threads[i]);
        assert_int_equal(fill(t, "a", 100, -1, NULL, &err), 0);
        fails(t, add(t, DS_FILE_HARDLINK, "b", "a/100", &err), &err, DS_FAIL, "is not there");
    }
}

/* ---- a disk that refuses some files ---- */

static ssize_t write_odd(int fd, const void *p, size_t n)
{
    if (n >= 4 && memcmp(p, "slow", 4) == 0)
        usleep(30000);
    if (n >= 3 && memcmp(p, "bad", 3) == 0) {
        errno = ENOSPC;
        return -1;
    }
    return ds_io_system.write(fd, p, n);
}

static int disk_refuses(void **state)
{
    (void)state;
    static ds_io_ops odd;
    odd = ds_io_system;
    odd.write = write_odd;
    ds_io_active = &odd;
    return 0;
}

static int disk_is_well(void **state)
{
    (void)state;
    ds_io_active = &ds_io_system;
    return 0;
}

static void first_failure_in_order(void **state)
{
    (void)state;
    EACH(i)
    {
        ds_err err = {0};
        ds_treeput *t = begin(threads[i]);
        int rc = fill(t, "a", 100, 1, "slow", &err);
        rc = rc ? rc : small(t, "a/late", "bad", &err);
        rc = rc ? rc : fill(t, "b", 100, 0, "bad", &err);
        rc = rc ? rc : fill(t, "c", 100, 0, "bad", &err);
        fails(t, rc ? rc : small(t, "../up", "", &err), &err, DS_NOROOM, "d/a/late: No space");
        t = begin(threads[i]); /* much more than can be in flight */
        rc = fill(t, "a", 100, 99, "bad", &err);
        for (int d = 0; d < 10 && !rc; d++) {
            char name[32];
            snprintf(name, sizeof name, "x%d", d);
            rc = fill(t, name, 100, 0, "bad", &err);
        }
        fails(t, rc, &err, DS_NOROOM, "d/a/99: No space");
        t = begin(threads[i]); /* nothing of what it was to hold is written behind it */
        rc = fill(t, "a", 100, 50, "bad", &err);
        fails(t, rc, &err, DS_NOROOM, "d/a/50: No space");
        assert_int_not_equal(access(unit_path("d/a/51"), F_OK), 0);
    }
}

/* However long: of 2 GiB and more, whose length is no int, a message had all up to a NUL. */
static void strange_kind(void **state)
{
    (void)state;
    char kind[200];
    ds_err err = {0};
    enum ds_filekind is;
    memset(kind, 'k', sizeof kind);
    kind[sizeof kind - 1] = 0;
    const ds_value v = {.p = (const uint8_t *)kind, .len = (size_t)1 << 31};
    assert_int_equal(ds_filerec_kind(&is, &v, &err), DS_FAIL);
    assert_string_equal(err.msg, "a record of the kind "
                                 "'kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk'"
                                 ", which is none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_folders),
        cmocka_unit_test(permissions_and_times),
        cmocka_unit_test(names_that_clash),
        cmocka_unit_test(nothing_through_links),
        cmocka_unit_test(hard_links),
        cmocka_unit_test(strange_kind),
        cmocka_unit_test_setup_teardown(first_failure_in_order, disk_refuses, disk_is_well),
    };
    return cmocka_run_group_tests(tests, NULL, unit_dir_remove);
}
