/* test_dsr_memory.c - a record that is larger than the memory it may take goes through a pipe: one
 * process writes it in parts, another reads and checks it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "dsr_make.h"

#define RECORD ((size_t)128 << 20)
#define MEMORY_KIB (64 << 10)

static int write_record(int fd)
{
    static char part[1 << 16];
    ds_schema s;
    ds_out o;
    ds_writer *w;
    ds_rows *r;
    uint64_t seed = 3;
    make_text_schema(&s, 0, 0, 0);
    int rc = ds_out_init(&o, fd, "pipe", NULL);
    rc |= ds_writer_new(&w, &o, &s, NULL, 0, NULL, NULL);
    rc |= rc ? rc : ds_rows_new(&r, w, &s, NULL) | ds_rows_begin(r, NULL);
    rc |= rc ? rc : ds_colbuild_begin(ds_rows_col(r, 0), NULL);
    for (size_t done = 0; done < RECORD && !rc; done += sizeof part) {
        for (size_t i = 0; i < sizeof part; i++)
            part[i] = (char)(' ' + (i % 16 ? i * seed >> 7 : make_random(&seed)) % 90);
        rc = ds_colbuild_part(ds_rows_col(r, 0), part, sizeof part, NULL);
    }
    rc |= rc ? rc : ds_colbuild_end(ds_rows_col(r, 0), NULL) | ds_rows_end(r, NULL);
    return rc ? rc : ds_rows_finish(r, NULL) | ds_writer_end(w, NULL, NULL, NULL);
}

static int read_record(int fd)
{
    ds_reader *r;
    ds_blockcheck *c;
    enum ds_event ev = DS_EV_BLOCK;
    int rc = ds_reader_new(&r, fd, "pipe", NULL);
    rc |= rc ? rc : ds_blockcheck_new(&c, ds_reader_schema(r), NULL);
    for (int n = 0; !rc && ev != DS_EV_END; n++) {
        rc = ds_reader_next(r, &ev, NULL);
        if (!rc && ev == DS_EV_BLOCK)
            rc = ds_blockcheck_block(c, ds_reader_block(r), NULL);
        if (!rc && ev == DS_EV_BLOCK && ds_reader_block(r)->chunks[0].body_len < RECORD)
            rc = 1;
    }
    return rc;
}

/* A process for one end: exits 0 when its work went well in the memory it may take. */
static pid_t child(int (*work)(int), int fd, int other)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct rusage u;
        close(other);
        int rc = work(fd);
        getrusage(RUSAGE_SELF, &u);
        _exit(rc ? 1 : u.ru_maxrss > MEMORY_KIB ? 2 : 0);
    }
    return pid;
}

static void test_large_record(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* a sanitizer's own memory is all that would be measured */
#endif
    int fds[2], a = -1, b = -1;
    assert_int_equal(pipe(fds), 0);
    pid_t w = child(write_record, fds[1], fds[0]), r = child(read_record, fds[0], fds[1]);
    close(fds[0]);
    close(fds[1]);
    assert_true(w > 0 && r > 0);
    assert_int_equal(waitpid(w, &a, 0), w);
    assert_int_equal(waitpid(r, &b, 0), r);
    assert_int_equal(a, 0);
    assert_int_equal(b, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
