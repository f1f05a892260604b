/* Garbage on a disk without room: dead packs go beside an index that is only read. */
#include "obj_help.h"

#include <errno.h>
#include <fcntl.h>

#include "io.h"

enum { OLD = 20, NEW = 40, ALL = 60 }; /* ends of pieces: bases, deltas, of no use */

/* Three packs: pieces, those that are stored against them, and others. */
static void three_packs(const char *name, char *path, ds_sha *ids)
{
    ds_objstore *s = obj_store(name, path);
    ds_objtotals t;
    obj_put_range(s, 0, OLD, ids);
    obj_put_range(s, OLD, NEW, ids);
    obj_put_other(s, ids + NEW);
    OK(ds_objstore_totals(s, &t, err));
    assert_int_equal(t.packs, 3);
    assert_int_equal(t.deltas, NEW - OLD);
    ds_objstore_close(s);
}

static ds_objgc *begin(const char *path, const ds_sha *ids, unsigned from, unsigned to)
{
    ds_objgc *gc = NULL;
    bool known = false;
    OK(ds_objgc_cramped(&gc, path, false, err));
    for (unsigned i = from; i < to; i++) {
        OK(ds_objgc_mark(gc, &ids[i], &known, err));
        assert_true(known);
    }
    return gc;
}

static void needs_reindex(const char *path, enum ds_objmode mode)
{
    ds_objstore *s = NULL;
    ds_err err = {0};
    assert_int_equal(ds_objstore_open(&s, path, mode, &err), DS_CORRUPT);
    assert_non_null(strstr(err.msg, "run `dsver reindex`"));
}

/* What is left is the deltas and their bases. */
static void expect_left(const char *path, const ds_sha *ids)
{
    ds_objstore *s = NULL;
    ds_objtotals t;
    OK(ds_objstore_open(&s, path, DS_OBJ_WRITE, err));
    OK(ds_objstore_totals(s, &t, err));
    assert_int_equal(t.packs, 2);
    obj_expect_range(s, 0, NEW, ids);
    for (unsigned i = NEW; i < ALL; i++)
        assert_false(ds_objstore_has(s, &ids[i]));
    assert_int_equal(obj_scrub(s, true, NULL), 0);
    ds_objstore_close(s);
}

/* ---- a disk without room ---- */

static ssize_t no_write(int fd, const void *p, size_t n)
{
    (void)fd;
    (void)p;
    (void)n;
    errno = ENOSPC;
    return -1;
}

static int no_new_file(const char *path, int flags, mode_t mode)
{
    if (!(flags & O_CREAT) || strstr(path, "/locks/"))
        return ds_io_system.open(path, flags, mode);
    errno = ENOSPC;
    return -1;
}

static int no_rename(const char *from, const char *to)
{
    (void)from;
    (void)to;
    errno = ENOSPC;
    return -1;
}

static void nothing_is_written_before_packs_go(void **state)
{
    (void)state;
    char path[512];
    ds_sha ids[ALL];
    ds_gcstats st;
    ds_io_ops full = ds_io_system;
    full.write = no_write;
    full.open = no_new_file;
    full.rename = no_rename;
    three_packs("full", path, ids);
    ds_objstore *reader = NULL, *writer = NULL;
    OK(ds_objstore_open(&reader, path, DS_OBJ_READ, err));
    OK(ds_objstore_open(&writer, path, DS_OBJ_WRITE, err));
    ds_io_active = &full;
    ds_objgc *gc = begin(path, ids, OLD, NEW);
    OK(ds_objgc_dead(gc, &st, err));
    assert_int_equal(st.packs_deleted, 1);
    assert_int_equal(st.dead, ALL - NEW);
    assert_int_equal(st.pieces, ALL);
    OK(ds_objgc_unindex(gc, err));
    needs_reindex(path, DS_OBJ_READ);
    needs_reindex(path, DS_OBJ_WRITE);
    OK(ds_objgc_drop(gc, &st, err));
    assert_int_equal(st.packs_deleted, 1);
    assert_true(st.bytes_after < st.bytes_before);
    obj_expect_range(reader, 0, NEW, ids);
    assert_int_equal(ds_objgc_renew(gc, NULL), DS_NOROOM);
    needs_reindex(path, DS_OBJ_READ);
    ds_io_active = &ds_io_system;
    OK(ds_objgc_renew(gc, err));
    ds_objgc_end(gc);
    assert_int_equal(ds_objstore_hold(writer, NULL), DS_LOCKED); /* it would believe what was */
    obj_expect_range(reader, 0, NEW, ids);
    ds_objstore_close(reader);
    ds_objstore_close(writer);
    expect_left(path, ids);
}

static void nothing_dead_nothing_goes(void **state)
{
    (void)state;
    char path[512];
    ds_sha ids[ALL];
    ds_gcstats st;
    three_packs("live", path, ids);
    ds_objgc *gc = begin(path, ids, OLD, NEW + 1);
    OK(ds_objgc_dead(gc, &st, err));
    assert_int_equal(st.packs_deleted, 0);
    assert_int_equal(st.dead, 0);
    OK(ds_objgc_drop(gc, &st, err));
    assert_int_equal(st.bytes_after, st.bytes_before);
    ds_io_ops full = ds_io_system;
    full.open = no_new_file;
    ds_io_active = &full;
    OK(ds_objgc_renew(gc, err)); /* there is one */
    ds_io_active = &ds_io_system;
    ds_objgc_end(gc);
    ds_objstore *s = NULL;
    OK(ds_objstore_open(&s, path, DS_OBJ_READ, err));
    obj_expect_range(s, 0, NEW, ids);
    for (unsigned i = NEW; i < ALL; i++)
        assert_true(ds_objstore_has(s, &ids[i]));
    ds_objstore_close(s);
}

/* An index that is not there, or knows only two of the packs: one is made of them all. */
static void without_an_index(void **state)
{
    (void)state;
    char path[512], index[600];
    ds_sha ids[ALL];
    ds_gcstats st;
    for (int missing = 0; missing < 2; missing++) {
        size_t len = 0;
        ds_objstore *s = obj_store(missing ? "gone" : "behind", path);
        obj_put_range(s, 0, OLD, ids);
        obj_put_other(s, ids + NEW);
        ds_objstore_close(s);
        snprintf(index, sizeof index, "%s/index.db", path);
        char *before = unit_read(index, &len);
        OK(ds_objstore_open(&s, path, DS_OBJ_WRITE, err));
        obj_put_range(s, OLD, NEW, ids);
        ds_objstore_close(s);
        assert_int_equal(ds_io_system.unlink(index), 0);
        if (!missing)
            unit_write(index, before, len);
        free(before);
        ds_objgc *gc = begin(path, ids, OLD, NEW);
        OK(ds_objgc_dead(gc, &st, err));
        assert_int_equal(st.packs_deleted, 1);
        assert_int_equal(st.pieces, ALL);
        OK(ds_objgc_unindex(gc, err));
        OK(ds_objgc_drop(gc, &st, err));
        OK(ds_objgc_renew(gc, err));
        ds_objgc_end(gc);
        expect_left(path, ids);
    }
}

static void others_stay_out(void **state)
{
    (void)state;
    char path[512];
    ds_sha ids[ALL];
    ds_objgc *gc = NULL;
    ds_objstore *s = NULL;
    three_packs("locks", path, ids);
    OK(ds_objstore_open(&s, path, DS_OBJ_WRITE, err));
    OK(ds_objstore_hold(s, err));
    assert_int_equal(ds_objgc_cramped(&gc, path, false, NULL), DS_LOCKED);
    assert_null(gc);
    ds_objstore_release(s);
    gc = begin(path, ids, 0, ALL);
    ds_objgc *second = NULL;
    assert_int_equal(ds_objgc_cramped(&second, path, false, NULL), DS_LOCKED);
    assert_int_equal(ds_objgc_begin(&second, s, false, NULL), DS_LOCKED);
    ds_objgc_end(gc);
    OK(ds_objstore_hold(s, err));
    ds_objstore_release(s);
    ds_objstore_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_written_before_packs_go),
        cmocka_unit_test(nothing_dead_nothing_goes),
        cmocka_unit_test(without_an_index),
        cmocka_unit_test(others_stay_out),
    };
    return cmocka_run_group_tests(tests, NULL, unit_dir_remove);
}
