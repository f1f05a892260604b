/* Zips that 32 bits do not hold: offsets, numbers of members, sizes; read back by libarchive, which
 * shares nothing with the writer. Holes in files cost neither time nor room. */
#include "unit.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "zipout.h"

typedef struct writing {
    const char *path;
    int fd;
    ds_out out;
    ds_zipout zip;
} writing;

/* A zip that begins behind a hole of so many bytes. */
static void begin(writing *w, const char *name, uint64_t hole)
{
    *w = (writing){.path = unit_path(name)};
    w->fd = open(w->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(w->fd >= 0);
    assert_int_equal(lseek(w->fd, (off_t)hole, SEEK_SET), hole);
    assert_int_equal(ds_out_init(&w->out, w->fd, w->path, NULL), 0);
    w->out.pos = hole;
}

static void put(writing *w, const char *name, const void *p, size_t len, int level)
{
    const ds_zippart part = {.p = p, .len = len};
    assert_int_equal(ds_zipout_put(&w->zip, &w->out, name, &part, 1, level, NULL), 0);
}

static void end(writing *w)
{
    assert_int_equal(ds_zipout_end(&w->zip, &w->out, NULL), 0);
    assert_int_equal(ds_out_flush(&w->out, NULL), 0);
    ds_zipout_fini(&w->zip);
    ds_out_fini(&w->out);
    assert_int_equal(close(w->fd), 0);
}

static struct archive *reading(const char *path)
{
    struct archive *a = archive_read_new();
    assert_non_null(a);
    assert_int_equal(archive_read_support_format_zip_seekable(a), ARCHIVE_OK);
    assert_int_equal(archive_read_open_filename(a, path, 1 << 16), ARCHIVE_OK);
    return a;
}

static void is_member(struct archive *a, const char *name, int64_t size, const char *begins)
{
    struct archive_entry *e;
    char got[16] = "";
    assert_int_equal(archive_read_next_header(a, &e), ARCHIVE_OK);
    assert_string_equal(archive_entry_pathname(e), name);
    assert_int_equal(archive_entry_size(e), size);
    assert_int_equal(archive_read_data(a, got, strlen(begins)), strlen(begins));
    assert_string_equal(got, begins);
}

static void is_over(struct archive *a)
{
    struct archive_entry *e;
    assert_int_equal(archive_read_next_header(a, &e), ARCHIVE_EOF);
    archive_read_free(a);
}

static void members_behind_four_gigabytes(void **state)
{
    (void)state;
    writing w;
    begin(&w, "far.zip", UINT64_C(5) << 30);
    put(&w, "a", "first", 5, 0);
    put(&w, "b", "second", 6, 6);
    put(&w, "c", "", 0, 0);
    end(&w);
    struct archive *a = reading(w.path);
    is_member(a, "a", 5, "first");
    is_member(a, "b", 6, "second");
    is_member(a, "c", 0, "");
    is_over(a);
    unlink(w.path);
}

/* 32 bits hold the last offset below 0xffffffff, and no other. */
static void members_at_the_limit(void **state)
{
    (void)state;
    for (uint64_t less = 0; less < 3; less++) {
        writing w;
        begin(&w, "edge.zip", UINT32_MAX - less);
        put(&w, "a", "first", 5, 0);
        end(&w);
        struct archive *a = reading(w.path);
        is_member(a, "a", 5, "first");
        is_over(a);
        unlink(w.path);
    }
}

static void more_members_than_sixteen_bits_count(void **state)
{
    (void)state;
    static const unsigned numbers[] = {65534, 65535, 65536, 66000};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        writing w;
        char name[16];
        begin(&w, "many.zip", 0);
        for (unsigned k = 0; k < numbers[i]; k++) {
            snprintf(name, sizeof name, "m%u", k);
            put(&w, name, name, strlen(name), 0);
        }
        end(&w);
        struct archive *a = reading(w.path);
        for (unsigned k = 0; k < numbers[i]; k++) {
            snprintf(name, sizeof name, "m%u", k);
            is_member(a, name, (int64_t)strlen(name), name);
        }
        is_over(a);
        unlink(w.path);
    }
}

/* Four gigabytes take half a minute: with DS_LONG. */
static void a_member_of_four_gigabytes(void **state)
{
    (void)state;
    const size_t len = ((size_t)4 << 30) + 5;
    const char *zeros = unit_path("zeros");
    writing w;
    if (!getenv("DS_LONG")) {
        skip();
        return;
    }
    int fd = open(zeros, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)len), 0);
    assert_int_equal(pwrite(fd, "head", 4, 0), 4);
    void *p = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(p != MAP_FAILED);
    begin(&w, "large.zip", 0);
    put(&w, "large", p, len, 1);
    put(&w, "small", "small", 5, 0);
    end(&w);
    struct archive *a = reading(w.path);
    is_member(a, "large", (int64_t)len, "head");
    is_member(a, "small", 5, "small");
    is_over(a);
    munmap(p, len);
    close(fd);
    unlink(zeros);
    unlink(w.path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_behind_four_gigabytes),
        cmocka_unit_test(members_at_the_limit),
        cmocka_unit_test(more_members_than_sixteen_bits_count),
        cmocka_unit_test(a_member_of_four_gigabytes),
    };
    return cmocka_run_group_tests(tests, NULL, unit_dir_remove);
}
