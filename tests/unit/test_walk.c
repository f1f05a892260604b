/* Walking folders: byte order of the relative path, links never followed, problems named. */
#include "unit.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "walk.h"

typedef struct left_out {
    uint64_t links, special, stores;
} left_out;

static const char *walk(ds_buf *out, const char *const *operands, size_t n, left_out *l)
{
    ds_walk *w;
    ds_walk_entry e;
    ds_err err = {0};
    char *list[8];
    for (size_t i = 0; i < n; i++)
        list[i] = strdup(operands[i]);
    assert_int_equal(ds_walk_new(&w, list, n, &err), 0);
    out->len = 0;
    int rc;
    while ((rc = ds_walk_next(w, &e, &err)) == 1) {
        if (e.kind == DS_WALK_PROBLEM)
            ds_buf_printf(out, "!%s:", e.reason);
        ds_buf_printf(out, "%s%s|", e.name, e.operand ? "*" : "");
    }
    assert_int_equal(rc, 0);
    ds_walk_left_out(w, &l->links, &l->special, &l->stores);
    ds_walk_free(w);
    for (size_t i = 0; i < n; i++)
        free(list[i]);
    return ds_buf_cstr(out);
}

static void put(const char *name)
{
    unit_write(unit_path(name), "x", 1);
}

static void order_and_links(void **state)
{
    (void)state;
    left_out l;
    ds_buf b = {0};
    assert_int_equal(mkdir(unit_path("d"), 0777), 0);
    assert_int_equal(mkdir(unit_path("d/a"), 0777), 0);
    assert_int_equal(mkdir(unit_path("d/a/z"), 0777), 0);
    assert_int_equal(mkdir(unit_path("d/empty"), 0777), 0);
    /* '-' and '.' sort before '/', '0' after it. */
    static const char *const files[] = {"d/a/z/f", "d/a.txt",   "d/a-b",      "d/a0",
                                        "d/B",     "d/.hidden", "d/\xc3\xa9", "d/a/1"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        put(files[i]);
    assert_int_equal(symlink(".", unit_path("d/loop")), 0);
    assert_int_equal(symlink("a.txt", unit_path("d/a/link")), 0);
    assert_int_equal(symlink("nowhere", unit_path("d/dangling")), 0);
    assert_int_equal(mkfifo(unit_path("d/pipe"), 0666), 0);
    assert_int_equal(mkdir(unit_path("d/.dsver"), 0777), 0);
    assert_int_equal(mkdir(unit_path("d/.dsver/catalog.git"), 0777), 0);
    put("d/.dsver/config");
    const char *operands[] = {unit_path("d"), unit_path("d/a0")};
    assert_string_equal(walk(&b, operands, 1, &l), ".hidden|B|a-b|a.txt|a/1|a/z/f|a0|\xc3\xa9|");
    assert_int_equal(l.links, 3);
    assert_int_equal(l.special, 1);
    assert_int_equal(l.stores, 1);
    assert_string_equal(walk(&b, operands + 1, 1, &l), "a0*|");
    /* A slash at its end changes nothing. */
    char slashed[8300];
    snprintf(slashed, sizeof slashed, "%s/", operands[0]);
    const char *again[] = {slashed};
    assert_string_equal(walk(&b, again, 1, &l), ".hidden|B|a-b|a.txt|a/1|a/z/f|a0|\xc3\xa9|");
    ds_buf_fini(&b);
}

static void operands_and_problems(void **state)
{
    (void)state;
    left_out l;
    ds_buf b = {0};
    assert_int_equal(mkdir(unit_path("p"), 0777), 0);
    put("p/ok");
    put("p/bad\xff");
    assert_int_equal(symlink("p", unit_path("to-p")), 0);
    const char *first[] = {unit_path("p")};
    assert_string_equal(walk(&b, first, 1, &l), "!bad name:bad\xef\xbf\xbd"
                                                "ff|ok|");
    /* A link that is named is followed. */
    const char *second[] = {unit_path("to-p"), "-", unit_path("missing"), unit_path("p/ok")};
    assert_string_equal(walk(&b, second, 4, &l), "!bad name:bad\xef\xbf\xbd"
                                                 "ff|ok|stdin*|!unreadable:missing*|ok*|");
    ds_buf_fini(&b);
}

static void depth_is_limited(void **state)
{
    (void)state;
    left_out l;
    ds_buf b = {0};
    char path[4096];
    size_t n = (size_t)snprintf(path, sizeof path, "%s", unit_path("deep"));
    assert_int_equal(mkdir(path, 0777), 0);
    const char *operands[] = {unit_path("deep")};
    for (int i = 0; i < DS_WALK_DEPTH_MAX + 4; i++) {
        n += (size_t)snprintf(path + n, sizeof path - n, "/d");
        assert_int_equal(mkdir(path, 0777), 0);
    }
    const char *found = walk(&b, operands, 1, &l);
    assert_memory_equal(found, "!unreadable:d/d/", 16);
    ds_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(order_and_links),
                                       cmocka_unit_test(operands_and_problems),
                                       cmocka_unit_test(depth_is_limited)};
    return cmocka_run_group_tests(tests, NULL, unit_dir_remove);
}
