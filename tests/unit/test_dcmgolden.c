/* Every real sample of the shared data: values as the golden table has them where that is exact;
 * what cannot be decoded says so, by one of the known reasons, and nothing crashes. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

#include "dcmshim.h"
#include "hash.h"
#include "io.h"

static const char *folder(void)
{
    static char path[4096];
    const char *shared = getenv("DS_SHARED"), *root = getenv("DS_ROOT");
    if (shared)
        snprintf(path, sizeof path, "%s/data/dicom", shared);
    else
        snprintf(path, sizeof path, "%s/../shared/data/dicom", root ? root : ".");
    return path;
}

static const dcm_limits limits = {.max_file = 64 << 20, .max_frame = 64 << 20};

/* The digest of all frames one behind the other, or a reason. */
static const char *digest_of(const char *name, char hex[65], char *msg, size_t room)
{
    char path[8192];
    ds_err err = {0};
    dcm_file *f = NULL;
    dcm_tree *t = NULL;
    dcm_image im;
    ds_hasher *h = NULL;
    ds_buf out = {0};
    ds_sha sha;
    const char *reason = "damaged";
    snprintf(path, sizeof path, "%s/%s", folder(), name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ds_hasher_new(&h, &err), 0);
    assert_int_equal(ds_hasher_reset(h, &err), 0);
    const dcm_bytes from = {.fd = fd};
    int rc = dcm_file_open(&f, &t, &from, path, &limits, &reason, &err);
    if (rc == 0)
        rc = dcm_file_image(f, &im, &reason, &err);
    for (uint32_t i = 0; rc == 0 && i < im.frames; i++) {
        rc = dcm_file_frame(f, i, &out, &reason, &err);
        if (rc == 0)
            assert_int_equal(ds_hasher_put(h, out.data, out.len, &err), 0);
    }
    snprintf(msg, room, "%s", err.msg);
    assert_int_equal(ds_hasher_end(h, &sha, NULL), 0);
    ds_sha_hex(hex, &sha);
    ds_hasher_free(h);
    ds_buf_fini(&out);
    dcm_file_close(f);
    dcm_tree_free(t);
    close(fd);
    return rc == 0 ? NULL : reason;
}

static void golden(void **state)
{
    char path[4200], line[4096];
    unsigned exact = 0, wrong = 0;
    (void)state;
    snprintf(path, sizeof path, "%s/GOLDEN.tsv", folder());
    FILE *f = fopen(path, "r");
    if (!f)
        skip();
    assert_int_equal(dcm_shim_init(NULL), 0);
    while (fgets(line, sizeof line, f)) {
        char *col[8] = {0}, *p = line, hex[65], msg[1024];
        line[strcspn(line, "\n")] = 0;
        for (int i = 0; i < 8; i++)
            col[i] = strsep(&p, "\t");
        if (!col[7] || strcmp(col[0], "file") == 0)
            continue;
        const char *reason = digest_of(col[0], hex, msg, sizeof msg);
        if (strcmp(col[7], "exact") != 0) {
            if (getenv("DS_SHOW"))
                fprintf(stderr, "# %s: %s %s %s\n", col[0], col[7], reason ? reason : "decoded",
                        msg);
            continue;
        }
        exact++;
        if (reason || strcmp(hex, col[6]) != 0) {
            wrong++;
            fprintf(stderr, "# %s: %s %s\n", col[0], reason ? reason : "other values", msg);
        }
    }
    fclose(f);
    assert_int_equal(wrong, 0);
    assert_true(exact >= 80);
}

/* Damaged, but all there: the same values as from the file that they were made of. */
static void mended(void **state)
{
    static const char *const pairs[][2] = {
        /* elements without a VR under a syntax that has them */
        {"pydicom/test_files__SC_rgb_jpeg.dcm", "pydicom/test_files__SC_rgb_jpeg_dcmd.dcm"},
        /* the delimiter of a sequence, over the size in the header of the codestream */
        {"pydicom/test_files__JPEG2000-embedded-sequence-delimiter.dcm",
         "pydicom/test_files__JPEG2000.dcm"}};
    char a[65], b[65], msg[1024], path[4300];
    (void)state;
    assert_int_equal(dcm_shim_init(NULL), 0);
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder(), pairs[i][0]);
        if (access(path, R_OK) != 0)
            skip();
        assert_null(digest_of(pairs[i][0], a, msg, sizeof msg));
        assert_null(digest_of(pairs[i][1], b, msg, sizeof msg));
        assert_string_equal(a, b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden), cmocka_unit_test(mended)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
