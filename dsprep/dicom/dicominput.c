/* dicominput.c - see dicominput.h. */
#include "dicominput.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "io.h"
#include "walk.h"

#define MEMORY_MAX ((uint64_t)16 << 20)

struct ds_dicominput {
    ds_walk *walk;
    ds_unpack_limits limits;
    ds_unpack *archive; /* that is being read */
    int fd;             /* of it */
    int places;         /* it once more, for those who read members in their place; -1: not yet */
    char *name;         /* of it */
    int (*known)(void *ctx, ds_dicom_in *in, ds_err *err); /* may be NULL */
    void *ctx;
};

int ds_dicom_temp(int *fd, ds_err *err)
{
    const char *dir = getenv("TMPDIR");
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/dsprep-XXXXXX", dir && *dir ? dir : "/tmp");
    if (n < 0 || (size_t)n >= sizeof path)
        return ds_fail(err, DS_USAGE, "TMPDIR is too long");
    *fd = mkostemp(path, O_CLOEXEC);
    if (*fd < 0)
        return ds_fail_errno(err, errno, "%s", path);
    ds_io_active->unlink(path);
    return 0;
}

int ds_dicominput_new(ds_dicominput **out, char *const *operands, size_t n,
                      const ds_unpack_limits *limits, ds_err *err)
{
    ds_dicominput *in = *out = calloc(1, sizeof *in);
    if (!in)
        return ds_fail_nomem(err);
    in->fd = in->places = -1;
    in->limits = *limits;
    int rc = ds_walk_new(&in->walk, operands, n, err);
    if (rc != 0) {
        ds_dicominput_free(in);
        *out = NULL;
    }
    return rc;
}

void ds_dicominput_known(ds_dicominput *in, int (*known)(void *ctx, ds_dicom_in *in, ds_err *err),
                         void *ctx)
{
    in->known = known;
    in->ctx = ctx;
}

void ds_dicom_in_stamp(ds_dicom_in *in)
{
    struct timespec now;
    struct stat st;
    if (fstat(in->fd, &st) != 0)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    in->size = (uint64_t)st.st_size;
    in->stamp = ds_filestamp_of(&st);
    in->stamped = S_ISREG(st.st_mode);
    in->looked = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void end_archive(ds_dicominput *in)
{
    ds_unpack_free(in->archive);
    in->archive = NULL;
    if (in->fd > 0)
        close(in->fd);
    if (in->places >= 0)
        close(in->places);
    in->fd = in->places = -1;
    free(in->name);
    in->name = NULL;
}

void ds_dicominput_free(ds_dicominput *in)
{
    if (!in)
        return;
    end_archive(in);
    ds_walk_free(in->walk);
    free(in);
}

/* What comes as a stream is put into memory, and into a file once it is long. */
static int spool_begin(ds_dicom_in *out, ds_err *err)
{
    out->size = 0;
    out->fd = memfd_create("dsprep", MFD_CLOEXEC);
    return out->fd < 0 ? ds_fail_errno(err, errno, "shared memory") : 0;
}

static int to_file(ds_dicom_in *out, ds_err *err)
{
    int fd;
    off_t at = 0;
    ssize_t n = 1;
    int rc = ds_dicom_temp(&fd, err);
    if (rc != 0)
        return rc;
    while (n > 0 && (uint64_t)at < out->size)
        n = sendfile(fd, out->fd, &at, (size_t)(out->size - (uint64_t)at));
    if ((uint64_t)at < out->size)
        rc = ds_fail_errno(err, errno, "temporary file");
    close(out->fd);
    out->fd = fd;
    return rc;
}

static int spool_put(ds_dicom_in *out, const void *p, size_t n, ds_err *err)
{
    bool first = out->size <= MEMORY_MAX;
    int rc = first && out->size + n > MEMORY_MAX ? to_file(out, err) : 0;
    if (rc == 0)
        rc = ds_write_full(out->fd, "temporary file", p, n, err);
    out->size += n;
    return rc;
}

static int problem(ds_dicom_in *out, const char *reason, const char *message, ds_err *err)
{
    out->reason = reason;
    return ds_buf_puts(&out->message, message) ? ds_fail_nomem(err) : 1;
}

/* The current member where it lies, if that can be. What a reader's descriptor stands at is his own
 * affair: it is another one than the archive is read by. */
static bool in_place(ds_dicominput *in, ds_dicom_in *out)
{
    char path[32];
    if (!ds_unpack_place(in->archive, &out->at, &out->size))
        return false;
    snprintf(path, sizeof path, "/proc/self/fd/%d", in->fd);
    if (in->places < 0)
        in->places = open(path, O_RDONLY | O_CLOEXEC);
    out->fd = in->places < 0 ? -1 : fcntl(in->places, F_DUPFD_CLOEXEC, 0);
    return out->fd >= 0;
}

/* The current member into a temporary. One that is damaged is a problem of its own, and the last
 * one where nothing can be read behind it. */
static int spool_member(ds_dicominput *in, ds_dicom_in *out, ds_err *err)
{
    uint8_t buf[64 << 10];
    size_t got = sizeof buf;
    ds_err bad = {0};
    int rc = spool_begin(out, err);
    if (rc != 0)
        return rc;
    while (got == sizeof buf) {
        rc = ds_unpack_read(in->archive, buf, sizeof buf, &got, &bad);
        if (rc != 0) {
            close(out->fd);
            out->fd = -1;
            if (ds_unpack_over(in->archive))
                end_archive(in);
            return problem(out, "broken-archive", bad.msg, err);
        }
        rc = spool_put(out, buf, got, err);
        if (rc != 0)
            return rc;
    }
    return 1;
}

static int next_member(ds_dicominput *in, ds_dicom_in *out, ds_err *err)
{
    ds_member m;
    ds_err bad = {0};
    int rc = ds_unpack_next(in->archive, &m, &bad);
    if (rc <= 0) {
        out->name = in->name;
        in->name = NULL;
        end_archive(in);
        if (rc < 0)
            return problem(out, "broken-archive", bad.msg, err);
        free(out->name);
        out->name = NULL;
        return 0;
    }
    size_t n = strlen(in->name) + (m.name ? strlen(m.name) : 0) + 2;
    out->name = malloc(n);
    if (!out->name)
        return ds_fail_nomem(err);
    snprintf(out->name, n, "%s%s%s", in->name, m.name ? "/" : "", m.name ? m.name : "");
    if (m.kind == DS_MEMBER_REFUSED)
        return problem(out, "refused-member", m.why ? m.why : "refused", err);
    if (m.kind != DS_MEMBER_FILE)
        return problem(out, "no-file", "a link or a device in an archive", err);
    if (in_place(in, out))
        return 1;
    out->at = 0;
    return spool_member(in, out, err);
}

int ds_dicom_in_copy(const ds_dicom_in *in, int to, const char *path, ds_err *err)
{
    uint8_t buf[64 << 10];
    uint64_t at = in->at, left = in->size;
    int rc = 0;
    while (rc == 0 && left > 0) {
        size_t take = left < sizeof buf ? (size_t)left : sizeof buf;
        rc = ds_pread_exact(in->fd, in->name, buf, take, at, err);
        if (rc == 0)
            rc = ds_write_full(to, path, buf, take, err);
        at += take;
        left -= take;
    }
    return rc;
}

/* A pipe that is no archive: one object. */
static int spool_pipe(int fd, const uint8_t *head, size_t n, ds_dicom_in *out, ds_err *err)
{
    uint8_t buf[64 << 10];
    size_t got = sizeof buf;
    int rc = spool_begin(out, err);
    if (rc == 0)
        rc = spool_put(out, head, n, err);
    while (rc == 0 && got == sizeof buf) {
        rc = ds_read_full(fd, "standard input", buf, sizeof buf, &got, err);
        if (rc == 0)
            rc = spool_put(out, buf, got, err);
    }
    return rc;
}

/* Opens what was found; an archive is entered, and 2 says that its members come next. */
static int open_entry(ds_dicominput *in, const ds_walk_entry *e, ds_dicom_in *out, ds_err *err)
{
    uint8_t head[DS_PACKMARK_SNIFF];
    size_t n = 0;
    ds_err bad = {0};
    bool pipe = e->kind == DS_WALK_STDIN || e->pipe;
    int fd = 0, rc = 0;
    if (in->known && !pipe) {
        out->path = strdup(e->path);
        rc = out->path ? in->known(in->ctx, out, err) : ds_fail_nomem(err);
        if (rc != 0)
            return rc;
        free(out->path);
        out->path = NULL;
    }
    rc = e->kind == DS_WALK_STDIN ? 0 : ds_open(&fd, e->path, O_RDONLY, 0, &bad);
    if (rc == 0)
        rc = ds_read_full(fd, e->path ? e->path : "stdin", head, sizeof head, &n, &bad);
    if (rc == 0 && !pipe && lseek(fd, 0, SEEK_SET) != 0)
        rc = ds_fail_errno(&bad, errno, "%s", e->path);
    if (rc != 0) {
        if (fd > 0)
            close(fd);
        return problem(out, "unreadable", bad.msg, err);
    }
    enum ds_packing packing = ds_packmark_sniff(head, n);
    if (packing != DS_PACK_NONE) {
        in->fd = fd;
        in->name = strdup(e->name);
        rc = in->name ? ds_unpack_new(&in->archive, fd, in->name, head, pipe ? n : 0, packing,
                                      &in->limits, &bad)
                      : DS_NOMEM;
        if (rc == 0)
            return 2;
        end_archive(in);
        return problem(out, "broken-archive", bad.msg, err);
    }
    if (pipe) {
        rc = spool_pipe(fd, head, n, out, err);
        if (fd > 0)
            close(fd);
        return rc < 0 ? rc : 1;
    }
    out->fd = fd;
    out->path = strdup(e->path);
    if (!out->path)
        return ds_fail_nomem(err);
    ds_dicom_in_stamp(out);
    return 1;
}

int ds_dicominput_next(ds_dicominput *in, ds_dicom_in *out, ds_err *err)
{
    for (;;) {
        ds_walk_entry e;
        int rc;
        memset(out, 0, sizeof *out);
        out->fd = -1;
        if (in->archive) {
            rc = next_member(in, out, err);
            if (rc != 0)
                return rc;
            continue;
        }
        rc = ds_walk_next(in->walk, &e, err);
        if (rc <= 0)
            return rc;
        out->name = strdup(e.name ? e.name : "stdin");
        if (!out->name)
            return ds_fail_nomem(err);
        if (e.kind == DS_WALK_PROBLEM)
            return problem(out, e.reason, e.message, err);
        rc = open_entry(in, &e, out, err);
        if (rc != 2)
            return rc;
        free(out->name);
    }
}
