/* fuzz_formats.c - files of other tools: whatever the bytes, an importer gives records or says why
 * not, and a value becomes one of its column or is refused. The first byte is the format, the
 * second how it is read; of formats of two files the next two are the length of the first. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fmtguess.h"
#include "format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { ROWS = 3000 };

static void require(int ok)
{
    if (!ok)
        abort();
}

/* ---- the sink ---- */

typedef struct seen {
    const ds_schema *schema;
    ds_colbuild *cols;
    ds_fvalwork work;
    unsigned rows;
} seen;

static int on_row(void *ctx, const ds_fval *values, uint64_t offset, uint64_t len, ds_err *err)
{
    seen *s = ctx;
    (void)offset, (void)len;
    for (size_t i = 0; i < s->schema->n; i++) {
        const char *why = NULL;
        const int rc =
            ds_fval_put(&s->work, &s->cols[i], &s->schema->cols[i], &values[i], &why, err);
        require(rc == 0 || (rc == 1 && why && *why) || (rc < 0 && err->code));
        ds_colbuild_reset(&s->cols[i]);
        if (rc < 0)
            return rc;
        if (rc == 1)
            break;
    }
    return ++s->rows < ROWS ? 0 : ds_fail(err, DS_FAIL, "enough");
}

static int on_bad(void *ctx, const char *reason, uint64_t at, uint64_t offset, const uint8_t *p,
                  size_t len, bool lost, const char *why, ds_err *err)
{
    seen *s = ctx;
    size_t sum = 0;
    (void)at, (void)offset, (void)lost;
    require(reason && *reason && why && *why);
    for (size_t i = 0; p && i < len; i++)
        sum += p[i];
    require(sum < SIZE_MAX);
    return ++s->rows < ROWS ? 0 : ds_fail(err, DS_FAIL, "enough");
}

static int on_source(void *ctx, const char *name, uint64_t size, const ds_sha *sha, ds_err *err)
{
    (void)ctx, (void)size, (void)sha, (void)err;
    require(name != NULL);
    return 0;
}

/* ---- the input ---- */

/* A column of every type, some of which the seeds' records have. */
static void wide(ds_schema *s)
{
    static const char *const names[] = {"text", "meta", "label", "x",    "y",     "tokens", "t",
                                        "seg",  "when", "ok",    "list", "words", "runs"};
    static const enum ds_type types[] = {DS_UTF8,     DS_JSON,   DS_I64,    DS_F64,       DS_BYTES,
                                         DS_TOKENS32, DS_TENSOR, DS_TENSOR, DS_TIMESTAMP, DS_BOOL,
                                         DS_LIST,     DS_LIST,   DS_RUNS};
    ds_schema_init(s);
    require(ds_fmtschema_begin(s, true, NULL) == 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        require((types[i] == DS_LIST
                     ? ds_schema_add_list(s, NULL, names[i], i == 10 ? DS_I64 : DS_UTF8, true, NULL)
                     : ds_schema_add(s, NULL, names[i], types[i], DS_COL_NULLABLE, NULL, NULL)) ==
                0);
    require(ds_fmtschema_end(s, NULL) == 0);
}

static void read_input(const ds_format *f, const char *path, unsigned how)
{
    const ds_fmtread o = {.path = path,
                          .name = "input",
                          .max_record = how & 1 ? 1 << 16 : 200,
                          .max_ratio = 20,
                          .key = how & 2 ? "text" : NULL,
                          .separator = how & 4 ? 5 : -1};
    seen s = {0};
    ds_schema schema = {0};
    ds_err err = {0};
    void *r = NULL;
    int rc = f->read_open(&r, &o, &err);
    if (rc == 0 && how & 8) {
        wide(&schema);
    } else if (rc == 0) {
        ds_schema_init(&schema);
        rc = f->schema(r, &schema, &err);
        require(rc != 0 || ds_schema_check(&schema, NULL) == 0);
    }
    if (rc == 0) {
        s.schema = &schema;
        s.cols = calloc(schema.n + 1, sizeof *s.cols);
        require(s.cols != NULL);
        for (size_t i = 0; i < schema.n; i++)
            ds_colbuild_init(&s.cols[i], schema.cols[i].type, schema.cols[i].item,
                             schema.cols[i].nullable);
        const ds_fmtsink sink = {
            .ctx = &s, .schema = &schema, .row = on_row, .bad = on_bad, .source = on_source};
        rc = f->read(r, &sink, &err);
    }
    require(rc == 0 || (rc < 0 && err.code));
    f->close(r);
    for (size_t i = 0; s.cols && i < schema.n; i++)
        ds_colbuild_fini(&s.cols[i]);
    free(s.cols);
    ds_fvalwork_fini(&s.work);
    ds_schema_fini(&schema);
}

static void put_file(const char *path, const uint8_t *p, size_t len)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    require(fd >= 0 && write(fd, p, len) == (ssize_t)len);
    close(fd);
}

/* Formats of two files: a folder with both. */
static void two_files(const ds_format *f, const uint8_t *p, size_t len, unsigned how)
{
    static const char *const mds[] = {"index.json", "shard.00000.mds"}, *const megatron[] = {
                                                                            "x.idx", "x.bin"};
    const bool folder = f->flags & DS_FORMAT_FOLDER;
    const char *const *names = folder ? mds : megatron;
    const char *tmp = getenv("TMPDIR");
    char dir[200], path[300];
    if (len < 2)
        return;
    size_t first = (size_t)p[0] | (size_t)p[1] << 8;
    p += 2;
    len -= 2;
    first = first < len ? first : len;
    (void)snprintf(dir, sizeof dir, "%.150s/fuzz-formats-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    require(mkdtemp(dir) != NULL);
    for (int i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        put_file(path, i ? p + first : p, i ? len - first : first);
    }
    (void)snprintf(path, sizeof path, "%s%s", dir, folder ? "" : "/x");
    read_input(f, path, how);
    for (int i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    size_t n = 0;
    char path[40];
    if (len < 2)
        return 0;
    while (ds_formats[n])
        n++;
    const ds_format *f = ds_formats[data[0] % n];
    if (f->flags & (DS_FORMAT_FOLDER | DS_FORMAT_PREFIX) && !(f->flags & DS_FORMAT_EACH)) {
        two_files(f, data + 2, len - 2, data[1]);
        return 0;
    }
    const int fd = memfd_create("input", MFD_CLOEXEC);
    require(fd >= 0 && write(fd, data + 2, len - 2) == (ssize_t)(len - 2));
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    read_input(f, path, data[1]);
    close(fd);
    return 0;
}
