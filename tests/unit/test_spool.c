/* Spools: the same bytes in memory and in a file, whatever the sizes of the pieces. */
#include "unit.h"

#include <errno.h>
#include <unistd.h>

#include "io.h"
#include "spool.h"

static void fill(uint8_t *p, size_t n, size_t at)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)((at + i) * 2654435761u >> 24);
}

static void check_view(ds_spool *s, size_t total)
{
    const uint8_t *p;
    size_t len;
    assert_int_equal(ds_spool_view(s, &p, &len, NULL), 0);
    assert_int_equal(len, total);
    for (size_t i = 0; i < len; i++)
        if (p[i] != (uint8_t)(i * 2654435761u >> 24))
            fail_msg("byte %zu differs", i);
}

static void same_bytes_for_any_limit(void **state)
{
    (void)state;
    static const size_t limits[] = {0, 1, 100, 70000, 1000000};
    static const size_t steps[] = {1, 777, 65536, 300000, 5, 1000000, 3};
    uint8_t *piece = malloc(1000000);
    assert_non_null(piece);
    for (size_t l = 0; l < sizeof limits / sizeof *limits; l++) {
        ds_spool s = {.limit = limits[l]};
        size_t total = 0;
        for (size_t round = 0; round < 2; round++) {
            for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
                fill(piece, steps[i], total);
                assert_int_equal(ds_spool_put(&s, piece, steps[i], NULL), 0);
                total += steps[i];
                assert_true(ds_spool_len(&s) == total);
            }
            check_view(&s, total); /* and appending goes on after a view */
        }
        assert_int_equal(s.fd_plus1 != 0, limits[l] != 0);
        ds_spool_release(&s, total / 2);
        check_view(&s, total); /* what was released is still readable */
        ds_spool_fini(&s);
    }
    free(piece);
}

static void empty_and_reset(void **state)
{
    (void)state;
    ds_spool s = {.limit = 10};
    const uint8_t *p;
    size_t len = 1;
    assert_int_equal(ds_spool_view(&s, &p, &len, NULL), 0);
    assert_non_null(p);
    assert_int_equal(len, 0);
    assert_int_equal(ds_spool_put(&s, "0123456789abcdef", 16, NULL), 0);
    assert_true(s.fd_plus1 != 0);
    ds_spool_reset(&s);
    assert_true(s.fd_plus1 == 0 && ds_spool_len(&s) == 0);
    assert_int_equal(ds_spool_varint(&s, 300, NULL), 0);
    assert_int_equal(ds_spool_view(&s, &p, &len, NULL), 0);
    assert_int_equal(len, 2);
    assert_memory_equal(p, "\xac\x02", 2);
    ds_spool_fini(&s);
    ds_spool_fini(&s);
}

static void leaves_no_name_behind(void **state)
{
    (void)state;
    ds_spool s = {.limit = 1};
    const char *dir = unit_dir();
    assert_int_equal(setenv("TMPDIR", dir, 1), 0);
    assert_int_equal(ds_spool_put(&s, "more than one", 13, NULL), 0);
    assert_int_equal(rmdir(dir), 0); /* only an empty folder can be removed */
    ds_spool_fini(&s);
}

static ssize_t no_space(int fd, const void *buf, size_t n)
{
    (void)fd;
    (void)buf;
    (void)n;
    errno = ENOSPC;
    return -1;
}

static void full_disk_and_no_folder(void **state)
{
    (void)state;
    ds_err e = {0};
    ds_io_ops ops = ds_io_system;
    ds_spool s = {.limit = 4};
    ops.write = no_space;
    assert_int_equal(setenv("TMPDIR", "/tmp", 1), 0);
    ds_io_active = &ops;
    assert_int_equal(ds_spool_put(&s, "12345", 5, &e), 0); /* the tail is still in memory */
    const uint8_t *p;
    size_t len;
    assert_int_equal(ds_spool_view(&s, &p, &len, &e), DS_NOROOM);
    assert_non_null(strstr(e.msg, "No space left on device"));
    ds_io_active = &ds_io_system;
    ds_spool_fini(&s);
    ds_err_clear(&e);
    s.limit = 0;
    assert_int_equal(setenv("TMPDIR", "/nonexistent/folder", 1), 0);
    assert_int_equal(ds_spool_put(&s, "123456789", 9, NULL),
                     0); /* 9 bytes: far below the default */
    s.limit = 4;
    assert_int_equal(ds_spool_put(&s, "1", 1, &e), DS_IO);
    assert_non_null(strstr(e.msg, "/nonexistent/folder"));
    ds_spool_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bytes_for_any_limit),
        cmocka_unit_test(empty_and_reset),
        cmocka_unit_test(leaves_no_name_behind),
        cmocka_unit_test(full_disk_and_no_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
