/* Everything below a folder as it is: hard links, and what is passed over. */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "io.h"
#include "treewalk.h"

static bool fails; /* the next read */

static ssize_t read_or_fail(int fd, void *buf, size_t n)
{
    if (fails) {
        fails = false;
        errno = EIO;
        return -1;
    }
    return read(fd, buf, n);
}

/* What is told of, a letter for the kind before each name; a file that cannot be read is passed
 * over, and has a '!'. */
static const char *walk(ds_buf *out, const char *path)
{
    const ds_unpack_limits limits = {.max_ratio = 200};
    ds_treewalk *w;
    ds_treeentry e;
    ds_err err = {0};
    int rc;

    assert_int_equal(ds_treewalk_new(&w, path, false, &limits, &err), 0);
    out->len = 0;
    while ((rc = ds_treewalk_next(w, &e, &err)) == 1) {
        char bytes[16];
        size_t got = 0;
        ds_err why = {0};
        assert_null(e.reason);
        ds_buf_printf(out, "%c:%s", "fdlh"[e.kind], e.name);
        if (e.kind == DS_FILE_HARDLINK)
            ds_buf_printf(out, ">%s", e.target);
        if (e.kind == DS_FILE_PLAIN && ds_treewalk_read(w, bytes, sizeof bytes, &got, &why)) {
            ds_treewalk_pass_over(w);
            ds_buf_printf(out, "!");
        }
        ds_buf_printf(out, "|");
    }
    assert_int_equal(rc, 0);
    ds_treewalk_free(w);
    return ds_buf_cstr(out);
}

/* Else the others would be names of what is nowhere. */
static void the_first_name_that_can_be_read_is_the_file(void **state)
{
    ds_io_ops ops = ds_io_system;
    ds_buf b = {0};

    (void)state;
    assert_int_equal(mkdir(unit_path("d"), 0777), 0);
    unit_write(unit_path("d/b"), "x", 1);
    assert_int_equal(link(unit_path("d/b"), unit_path("d/a")), 0);
    assert_int_equal(link(unit_path("d/b"), unit_path("d/c")), 0);
    assert_string_equal(walk(&b, unit_path("d")), "f:a|h:b>a|h:c>a|");
    ops.read = read_or_fail;
    ds_io_active = &ops;
    fails = true;
    assert_string_equal(walk(&b, unit_path("d")), "f:a!|f:b|h:c>b|");
    ds_io_active = &ds_io_system;
    ds_buf_fini(&b);
}

/* It grows with each version of what lies beside it. */
static void a_store_is_left_out(void **state)
{
    const ds_unpack_limits limits = {.max_ratio = 200};
    ds_treewalk *w;
    ds_treeentry e;
    ds_err err = {0};
    uint64_t special, stores;

    (void)state;
    assert_int_equal(mkdir(unit_path("s"), 0777), 0);
    assert_int_equal(mkdir(unit_path("s/.dsver"), 0777), 0);
    assert_int_equal(mkdir(unit_path("s/.dsver/catalog.git"), 0777), 0);
    ds_buf b = {0};
    /* A folder that is only called so is one. */
    assert_string_equal(walk(&b, unit_path("s")), "d:.dsver|d:.dsver/catalog.git|");
    unit_write(unit_path("s/.dsver/config"), "x", 1);
    assert_int_equal(ds_treewalk_new(&w, unit_path("s"), false, &limits, &err), 0);
    assert_int_equal(ds_treewalk_next(w, &e, &err), 0);
    ds_treewalk_left_out(w, &special, &stores);
    assert_int_equal(special, 0);
    assert_int_equal(stores, 1);
    ds_treewalk_free(w);
    /* The store itself may be meant. */
    assert_string_equal(walk(&b, unit_path("s/.dsver")), "d:catalog.git|f:config|");
    ds_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_name_that_can_be_read_is_the_file),
        cmocka_unit_test(a_store_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, unit_dir_remove);
}
