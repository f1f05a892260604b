/* Archives and compressed files: what is inside, and what is refused. */
#include "unit.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <unistd.h>

#include "buf.h"
#include "unpack.h"

typedef struct file {
    const char *name, *data; /* data NULL: a link to "x" */
} file;

/* An archive in the test's folder. `zeros` adds a member of that many zero bytes. */
static const char *make(const char *as, int format, int filter, const file *v, size_t n,
                        size_t zeros)
{
    const char *path = unit_path(as);
    struct archive *a = archive_write_new();
    setlocale(LC_CTYPE, "C.UTF-8"); /* the writer wants names in the locale's encoding */
    assert_non_null(a);
    if (format == ARCHIVE_FORMAT_ZIP)
        assert_int_equal(archive_write_set_format_zip(a), ARCHIVE_OK);
    else if (format == ARCHIVE_FORMAT_7ZIP)
        assert_int_equal(archive_write_set_format_7zip(a), ARCHIVE_OK);
    else if (format == ARCHIVE_FORMAT_RAW)
        assert_int_equal(archive_write_set_format_raw(a), ARCHIVE_OK);
    else
        assert_int_equal(archive_write_set_format_ustar(a), ARCHIVE_OK);
    assert_true(archive_write_add_filter(a, filter) >= ARCHIVE_WARN);
    assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
    for (size_t i = 0; i < n + (zeros > 0); i++) {
        struct archive_entry *e = archive_entry_new();
        bool zero = i == n, link = !zero && !v[i].data;
        size_t len = zero ? zeros : link ? 0 : strlen(v[i].data);
        archive_entry_set_pathname(e, zero ? "zeros" : v[i].name);
        archive_entry_set_filetype(e, link ? AE_IFLNK : AE_IFREG);
        if (link)
            archive_entry_set_symlink(e, "x");
        archive_entry_set_perm(e, 0644);
        archive_entry_set_size(e, (la_int64_t)len);
        assert_true(archive_write_header(a, e) >= ARCHIVE_WARN);
        char *data = zero ? calloc(1, len) : NULL;
        if (len > 0)
            assert_int_equal(archive_write_data(a, zero ? data : v[i].data, len), len);
        free(data);
        archive_entry_free(e);
    }
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
    setlocale(LC_CTYPE, "C");
    return path;
}

static int open_at(const char *path, uint8_t *head, size_t *got)
{
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t n = read(fd, head, DS_PACKMARK_SNIFF);
    assert_true(n >= 0);
    *got = (size_t)n;
    return fd;
}

/* name=content| of each member; name? for what is no file; !message at a failure. `piped`: without
 * seeking. */
static const char *dump(ds_buf *out, const char *path, const ds_unpack_limits *limits, bool piped)
{
    uint8_t head[DS_PACKMARK_SNIFF];
    size_t nhead, got;
    int fd = open_at(path, head, &nhead), rc;
    ds_unpack *u = NULL;
    ds_member m;
    ds_err err = {0};
    enum ds_packing packing = ds_packmark_sniff(head, nhead);
    assert_int_not_equal(packing, DS_PACK_NONE);
    if (!piped)
        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    out->len = 0;
    rc = ds_unpack_new(&u, fd, "arc", head, piped ? nhead : 0, packing, limits, &err);
    while (rc == 0 && (rc = ds_unpack_next(u, &m, &err)) == 1) {
        ds_buf_puts(out, m.name ? m.name : "-");
        ds_buf_putc(out, m.kind == DS_MEMBER_FILE ? '=' : m.kind == DS_MEMBER_REFUSED ? '!' : '?');
        rc = 0;
        for (got = 1; m.kind == DS_MEMBER_FILE && rc == 0 && got > 0;) {
            char part[7];
            rc = ds_unpack_read(u, part, sizeof part, &got, &err);
            for (size_t i = 0; i < got && out->len < 4096; i++)
                ds_buf_putc(out, part[i] ? (uint8_t)part[i] : '0');
        }
        ds_buf_putc(out, '|');
    }
    if (rc < 0)
        ds_buf_printf(out, "!%s", err.msg);
    ds_unpack_free(u);
    close(fd);
    return ds_buf_cstr(out);
}

static const ds_unpack_limits none;

static void formats(void **state)
{
    (void)state;
    static const file v[] = {
        {"a.txt", "content of a"}, {"./b/c", "c"}, {"empty", ""}, {"\xc3\xa9.txt", "e"}};
    static const char want[] = "a.txt=content of a|b/c=c|empty=|\xc3\xa9.txt=e|";
    ds_buf b = {0};
    static const int filters[] = {ARCHIVE_FILTER_NONE, ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_XZ,
                                  ARCHIVE_FILTER_BZIP2, ARCHIVE_FILTER_ZSTD};
    for (size_t i = 0; i < 5; i++) {
        const char *path = make("a.tar", ARCHIVE_FORMAT_TAR, filters[i], v, 4, 0);
        assert_string_equal(dump(&b, path, &none, false), want);
        assert_string_equal(dump(&b, path, &none, true), want);
    }
    const char *zip = make("a.zip", ARCHIVE_FORMAT_ZIP, ARCHIVE_FILTER_NONE, v, 4, 0);
    assert_string_equal(dump(&b, zip, &none, false), want);
    assert_string_equal(dump(&b, zip, &none, true), want);
    const char *seven = make("a.7z", ARCHIVE_FORMAT_7ZIP, ARCHIVE_FILTER_NONE, v, 4, 0);
    const char *got = dump(&b, seven, &none, false);
    assert_non_null(strstr(got, "a.txt=content of a|"));
    assert_non_null(strstr(got, "\xc3\xa9.txt=e|"));
    ds_buf_fini(&b);
}

static void single_files(void **state)
{
    (void)state;
    static const file v[] = {{"x", "one line\n"}};
    static const int filters[] = {ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_XZ, ARCHIVE_FILTER_BZIP2,
                                  ARCHIVE_FILTER_ZSTD};
    ds_buf b = {0};
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(
            dump(&b, make("x.z", ARCHIVE_FORMAT_RAW, filters[i], v, 1, 0), &none, false),
            "-=one line\n|");
    /* Members of a gzip file one after the other are one text; zeros may follow. */
    size_t len;
    char *gz = unit_read(make("x.gz", ARCHIVE_FORMAT_RAW, ARCHIVE_FILTER_GZIP, v, 1, 0), &len);
    ds_buf two = {0};
    ds_buf_put(&two, gz, len);
    ds_buf_put(&two, gz, len);
    ds_buf_put(&two, "\0\0\0", 3);
    const char *path = unit_path("two.gz");
    unit_write(path, two.data, two.len);
    assert_string_equal(dump(&b, path, &none, false), "-=one line\none line\n|");
    free(gz);
    ds_buf_fini(&two);
    ds_buf_fini(&b);
}

static void empty_files(void **state)
{
    (void)state;
    static const file v[] = {{"x", ""}};
    ds_buf b = {0};
    assert_string_equal(
        dump(&b, make("e.gz", ARCHIVE_FORMAT_RAW, ARCHIVE_FILTER_GZIP, v, 1, 0), &none, false),
        "-=|");
    assert_string_equal(
        dump(&b, make("e.tar", ARCHIVE_FORMAT_TAR, ARCHIVE_FILTER_XZ, v, 0, 0), &none, false), "");
    ds_buf_fini(&b);
}

static void bad_members(void **state)
{
    (void)state;
    static const file v[] = {{"../up", "1"}, {"/abs", "2"},  {"a/../../b", "3"}, {"..\\w", "4"},
                             {"c:\\w", "5"}, {"link", NULL}, {"fine..txt", "6"}, {"...", "7"}};
    ds_buf b = {0};
    static const char want[] = "../up!|/abs!|a/../../b!|..\\w!|c:\\w!|link?|fine..txt=6|...=7|";
    assert_string_equal(
        dump(&b, make("b.tar", ARCHIVE_FORMAT_TAR, ARCHIVE_FILTER_GZIP, v, 8, 0), &none, false),
        want);
    static const file bytes[] = {{"bad\xff", "1"}, {"ok", "2"}};
    const char *got =
        dump(&b, make("n.tar", ARCHIVE_FORMAT_TAR, ARCHIVE_FILTER_NONE, bytes, 2, 0), &none, false);
    assert_non_null(strstr(got, "!|ok=2|"));
    ds_buf_fini(&b);
}

static void damage(void **state)
{
    (void)state;
    char text[3000];
    for (size_t i = 0; i < sizeof text - 1; i++)
        text[i] = (char)('a' + (i * i / 7) % 26);
    text[sizeof text - 1] = '\0';
    const file v[] = {{"x", text}};
    static const int filters[] = {ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_XZ, ARCHIVE_FILTER_BZIP2,
                                  ARCHIVE_FILTER_ZSTD};
    ds_buf b = {0};
    for (size_t i = 0; i < 4; i++) {
        const char *path = make("d.z", ARCHIVE_FORMAT_RAW, filters[i], v, 1, 0);
        size_t len;
        char *z = unit_read(path, &len);
        unit_write(path, z, len / 2); /* cut short */
        assert_non_null(strstr(dump(&b, path, &none, false), "!arc: damaged"));
        /* A flipped byte in the middle: gzip, xz and bzip2 always carry sums; the zstd that
         * libarchive writes may not. */
        z[len / 2] = (char)(z[len / 2] ^ 0x10);
        unit_write(path, z, len);
        const char *got = dump(&b, path, &none, false);
        if (filters[i] != ARCHIVE_FILTER_ZSTD)
            assert_non_null(strstr(got, "!arc: damaged"));
        free(z);
    }
    /* The sum at a gzip file's end is looked at. */
    size_t len;
    const char *path = make("d.gz", ARCHIVE_FORMAT_RAW, ARCHIVE_FILTER_GZIP, v, 1, 0);
    char *z = unit_read(path, &len);
    z[len - 6] = (char)(z[len - 6] ^ 1);
    unit_write(path, z, len);
    assert_non_null(strstr(dump(&b, path, &none, false), "!arc: damaged gzip"));
    free(z);
    ds_buf_fini(&b);
}

static void bombs(void **state)
{
    (void)state;
    static const file v[] = {{"small", "s"}};
    const ds_unpack_limits ratio = {.max_ratio = 200}, bytes = {.max_bytes = 1 << 20},
                           members = {.max_members = 1};
    ds_buf b = {0};
    static const int filters[] = {ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_BZIP2};
    for (size_t i = 0; i < 2; i++) {
        const char *path = make("z.tar", ARCHIVE_FORMAT_TAR, filters[i], v, 1, 24 << 20);
        assert_non_null(strstr(dump(&b, path, &ratio, false), "small=s|zeros="));
        assert_non_null(
            strstr(dump(&b, path, &ratio, false), "!arc: expands to more than 200 times its size"));
        assert_non_null(
            strstr(dump(&b, path, &bytes, false), "!arc: expands to more than 1048576 bytes"));
        assert_non_null(strstr(dump(&b, path, &members, false), "!arc: has more than 1 members"));
    }
    const char *zip = make("z.zip", ARCHIVE_FORMAT_ZIP, ARCHIVE_FILTER_NONE, v, 1, 24 << 20);
    assert_non_null(
        strstr(dump(&b, zip, &ratio, false), "!arc: expands to more than 200 times its size"));
    assert_non_null(
        strstr(dump(&b, zip, &ratio, true), "!arc: expands to more than 200 times its size"));
    assert_null(strchr(dump(&b, zip, &none, false), '!'));
    ds_buf_fini(&b);
}

static void names(void **state)
{
    (void)state;
    assert_int_equal(ds_packmark_bare("a.jsonl.gz"), 7);
    assert_int_equal(ds_packmark_bare("a.jsonl"), 7);
    assert_int_equal(ds_packmark_bare(".gz"), 3);
    assert_true(ds_packmark_is_packed("x.TAR"));
    assert_false(ds_packmark_is_packed("tar"));
    assert_true(ds_packmark_is_document("Report.docx"));
    assert_int_equal(ds_packmark_sniff((const uint8_t *)"plain text", 10), DS_PACK_NONE);
    assert_int_equal(ds_packmark_sniff((const uint8_t *)"", 0), DS_PACK_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats),     cmocka_unit_test(single_files),
        cmocka_unit_test(empty_files), cmocka_unit_test(bad_members),
        cmocka_unit_test(damage),      cmocka_unit_test(bombs),
        cmocka_unit_test(names)};
    return cmocka_run_group_tests(tests, NULL, unit_dir_remove);
}
