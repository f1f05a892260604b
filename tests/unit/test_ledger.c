/* The ledger: rows come back, the chain binds them, any change is named; a folder's digest. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dsr_make.h"
#include "filesum.h"
#include "io.h"
#include "ledger.h"

static char dir[] = "/tmp/ds-ledger-XXXXXX";
static char path[64];

static ds_ledger_row row_of(uint64_t i)
{
    static uint8_t pieces[3];

    pieces[0] = 1;
    pieces[1] = (uint8_t)i;
    pieces[2] = 7;
    return (ds_ledger_row){.step = i / 2 + 1,
                           .row = i,
                           .targets = 10 * i,
                           .lr = 0x3f50624dd2f1a9fc,
                           .loss = i * i,
                           .norm = ~i,
                           .pieces = pieces,
                           .pieces_len = 1 + i % 3};
}

static int compare(void *ctx, const ds_ledger_row *r, ds_err *err)
{
    uint64_t *n = ctx;
    const ds_ledger_row want = row_of(*n);

    (void)err;
    assert_true(r->step == want.step && r->row == want.row && r->targets == want.targets &&
                r->lr == want.lr && r->loss == want.loss && r->norm == want.norm &&
                r->pieces_len == want.pieces_len);
    assert_memory_equal(r->pieces, want.pieces, want.pieces_len);
    ++*n;
    return 0;
}

static void rows_come_back(void **state)
{
    const ds_sha run = {{1}};
    ds_sha start, chain, again;
    ds_ledger *l;
    uint64_t n = 0, rows;
    ds_err err = {0};

    (void)state;
    assert_int_equal(ds_ledger_first(&start, &run, &err), 0);
    assert_int_equal(ds_ledger_create(&l, path, &start, &err), 0);
    for (uint64_t i = 0; i < 1000; i++) {
        const ds_ledger_row r = row_of(i);
        assert_int_equal(ds_ledger_add(l, &r, &err), 0);
    }
    assert_int_equal(access(path, F_OK), -1); /* not before it is whole */
    assert_int_equal(ds_ledger_finish(l, &chain, &rows, &err), 0);
    assert_int_equal(rows, 1000);
    again = start;
    assert_int_equal(ds_ledger_read(path, &again, compare, &n, &err), 0);
    assert_int_equal(n, 1000);
    assert_true(ds_sha_eq(&chain, &again));
}

static int ignore(void *ctx, const ds_ledger_row *r, ds_err *err)
{
    (void)ctx;
    (void)r;
    (void)err;
    return 0;
}

static void another_start_does_not_fit(void **state)
{
    const ds_sha run = {{2}};
    ds_sha start;
    ds_err err = {0};

    (void)state;
    assert_int_equal(ds_ledger_first(&start, &run, &err), 0);
    assert_int_equal(ds_ledger_read(path, &start, ignore, NULL, &err), DS_CORRUPT);
    assert_non_null(strstr(err.msg, "step 1, row 0: the row does not follow"));
}

static void every_member_is_bound(void **state)
{
    const ds_ledger_row base = row_of(2);
    ds_sha a = {{0}}, b;
    ds_err err = {0};

    (void)state;
    assert_int_equal(ds_ledger_next(&a, &base, &err), 0);
    for (int i = 0; i < 7; i++) {
        ds_ledger_row r = base;
        uint64_t *member[] = {&r.step, &r.row, &r.targets, &r.lr, &r.loss, &r.norm};
        if (i < 6)
            ++*member[i];
        else
            r.pieces_len--;
        memset(&b, 0, sizeof b);
        assert_int_equal(ds_ledger_next(&b, &r, &err), 0);
        assert_false(ds_sha_eq(&a, &b));
    }
}

/* Into *fd, a ledger's columns with one row, whose bytes are of this length. */
static void one_row_of(int *fd, const ds_schema *s, size_t bytes)
{
    const uint8_t zeros[64] = {0};
    ds_out o;
    ds_writer *w;
    ds_rows *r;

    *fd = make_file();
    assert_int_equal(ds_out_init(&o, *fd, "test", NULL), 0);
    assert_int_equal(ds_writer_new(&w, &o, s, "[]", 2, NULL, NULL), 0);
    assert_int_equal(ds_rows_new(&r, w, s, NULL), 0);
    assert_int_equal(ds_rows_begin(r, NULL), 0);
    for (size_t i = 0; i < s->n; i++)
        assert_int_equal(s->cols[i].type == DS_BYTES
                             ? ds_colbuild_bytes(ds_rows_col(r, i), zeros, bytes, NULL)
                             : ds_colbuild_i64(ds_rows_col(r, i), 1, NULL),
                         0);
    assert_int_equal(ds_rows_end(r, NULL), 0);
    assert_int_equal(ds_rows_finish(r, NULL), 0);
    assert_int_equal(ds_writer_end(w, NULL, NULL, NULL), 0);
    assert_int_equal(ds_out_flush(&o, NULL), 0);
    ds_rows_free(r);
    ds_writer_free(w);
    ds_out_fini(&o);
    assert_int_equal(lseek(*fd, 0, SEEK_SET), 0);
}

/* A stream of other columns is no ledger, nor is one whose chain is no digest. */
static void other_streams_are_no_ledger(void **state)
{
    ds_reader *r;
    ds_buf other = {0};
    ds_err err = {0};
    FILE *f = fopen(path, "rb");
    int fd;

    (void)state;
    make_wide_stream(&other, 3, 1, NULL);
    fd = make_file_of(other.data, other.len);
    assert_int_equal(ds_ledger_scan(fd, "wide", ignore, NULL, &err), DS_CORRUPT);
    assert_non_null(strstr(err.msg, "its columns are not those of a ledger"));
    close(fd);
    ds_buf_fini(&other);
    assert_non_null(f);
    assert_int_equal(ds_reader_new(&r, fileno(f), path, NULL), 0);
    for (size_t bytes = 31; bytes <= 33; bytes++) {
        ds_err_clear(&err);
        one_row_of(&fd, ds_reader_schema(r), bytes);
        assert_int_equal(ds_ledger_scan(fd, "row", ignore, NULL, &err),
                         bytes == sizeof(ds_sha) ? 0 : DS_CORRUPT);
        assert_true(bytes == sizeof(ds_sha) || strstr(err.msg, "step 1, row 1: a chain value of"));
        close(fd);
    }
    ds_reader_free(r);
    fclose(f);
}

static int no_open(const char *name, int flags, mode_t mode)
{
    (void)name, (void)flags, (void)mode;
    errno = EIO;
    return -1;
}

/* A failure is told of like any other, and to nobody who does not ask. */
static void unreadable_folder(void **state)
{
    ds_io_ops broken = ds_io_system;
    ds_sha sum;
    ds_err err = {0};

    (void)state;
    broken.open = no_open;
    ds_io_active = &broken;
    assert_int_equal(ds_filesum_dir(&sum, dir, NULL, NULL), DS_IO);
    assert_int_equal(ds_filesum_dir(&sum, dir, NULL, &err), DS_IO);
    ds_io_active = &ds_io_system;
    assert_non_null(strstr(err.msg, path));
}

static void folder_digest(void **state)
{
    char file[96];
    ds_sha a, b;
    ds_err err = {0};

    (void)state;
    assert_int_equal(ds_filesum_dir(&a, dir, NULL, &err), 0);
    snprintf(file, sizeof file, "%s/lineage.json", dir);
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(ds_filesum_dir(&b, dir, "lineage.json", &err), 0);
    assert_true(ds_sha_eq(&a, &b));
    assert_int_equal(ds_filesum_dir(&b, dir, NULL, &err), 0);
    assert_false(ds_sha_eq(&a, &b));
    unlink(file);
    assert_int_equal(ds_filesum_dir(&b, "/tmp/ds-there-is-no-such-folder", NULL, &err), DS_IO);
}

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/ledger-000001-000500.dsr", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_back),        cmocka_unit_test(another_start_does_not_fit),
        cmocka_unit_test(every_member_is_bound), cmocka_unit_test(folder_digest),
        cmocka_unit_test(unreadable_folder),     cmocka_unit_test(other_streams_are_no_ledger),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
