/* treeput.c - see treeput.h. Names are walked component by component with O_NOFOLLOW, from the
 * folder of the name before where they share it. */
#include "treeput.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io.h"
#include "strlist.h"

typedef struct folder {
    size_t name; /* in `names` */
    mode_t mode;
    bool has_mtime;
    int64_t mtime;
} folder;

struct ds_treeput {
    int root;
    const char *path;
    bool setuid;
    ds_buf dir; /* the folder that `at` is: its name, NUL behind */
    int at;     /* -1: none yet */
    int file;   /* the plain file that is being written */
    ds_treefile now;
    char *now_name;
    ds_buf names;
    folder *folders;
    size_t nfolders, cap;
};

static int refuse_used(int fd, const char *path, ds_err *err)
{
    ds_strlist names = {0};
    int rc = ds_strlist_folder_at(&names, fd, path, err);

    if (!rc && names.n)
        rc = ds_fail(err, DS_FAIL, "%s: is there and not empty: nothing is written over", path);
    ds_strlist_fini(&names);
    return rc;
}

int ds_treeput_open(ds_treeput **out, const char *path, bool setuid, ds_err *err)
{
    ds_treeput *t = calloc(1, sizeof *t);
    int rc = 0;

    if (!t)
        return ds_fail_nomem(err);
    t->path = path;
    t->setuid = setuid;
    t->root = t->at = t->file = -1;
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        rc = ds_fail_errno(err, errno, "%s: cannot make the folder", path);
    if (!rc)
        rc = ds_open(&t->root, path, O_RDONLY | O_DIRECTORY, 0, err);
    rc = rc ? rc : refuse_used(t->root, path, err);
    if (rc)
        ds_treeput_free(t);
    else
        *out = t;
    return rc;
}

void ds_treeput_free(ds_treeput *t)
{
    if (!t)
        return;
    if (t->file >= 0)
        close(t->file);
    if (t->at >= 0)
        close(t->at);
    if (t->root >= 0)
        close(t->root);
    ds_buf_fini(&t->dir);
    ds_buf_fini(&t->names);
    free(t->now_name);
    free(t->folders);
    free(t);
}

static int refuse(const ds_treeput *t, const char *name, const char *why, ds_err *err)
{
    return ds_fail(err, DS_FAIL, "%s: a file named '%s': %s", t->path, name, why);
}

static int check_name(const ds_treeput *t, const char *name, ds_err *err)
{
    if (!*name || *name == '/')
        return refuse(t, name, "names are relative", err);
    for (const char *p = name;; p++) {
        const size_t n = strcspn(p, "/");
        if (n == 0 || (n == 1 && *p == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return refuse(t, name, "'', '.' and '..' are no names in it", err);
        p += n;
        if (!*p)
            return 0;
    }
}

/* Opens the folder that holds `name`, making what is missing; *last = the name in it. */
static int enter(ds_treeput *t, const char *name, const char **last, ds_err *err)
{
    const char *slash = strrchr(name, '/');
    const size_t len = slash ? (size_t)(slash - name) : 0;

    *last = slash ? slash + 1 : name;
    if (t->at >= 0 && t->dir.len == len + 1 && memcmp(t->dir.data, name, len) == 0)
        return 0;
    if (t->at >= 0)
        close(t->at);
    t->at = -1;
    t->dir.len = 0;
    if (ds_buf_put(&t->dir, name, len) != 0 || ds_buf_putc(&t->dir, 0) != 0)
        return ds_fail_nomem(err);
    int at = dup(t->root);
    for (char *p = (char *)t->dir.data; at >= 0 && *p;) {
        char *end = p + strcspn(p, "/");
        const char kept = *end;
        *end = '\0';
        if (mkdirat(at, p, 0777) != 0 && errno != EEXIST) {
            close(at);
            *end = kept;
            return ds_fail_errno(err, errno, "%s/%s", t->path, name);
        }
        const int next = openat(at, p, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        const int why = errno;
        *end = kept;
        close(at);
        at = next;
        if (at < 0 && (why == ELOOP || why == ENOTDIR))
            return refuse(t, name, "what it lies in is no folder", err);
        errno = why;
        p = kept ? end + 1 : end;
    }
    if (at < 0)
        return ds_fail_errno(err, errno, "%s/%s", t->path, name);
    t->at = at;
    return 0;
}

static mode_t bits(const ds_treeput *t, int64_t mode)
{
    return (mode_t)mode & (t->setuid ? 07777 : 01777);
}

static int remember_folder(ds_treeput *t, const ds_treefile *f, ds_err *err)
{
    if (ds_grow(&t->folders, &t->cap, t->nfolders, sizeof *t->folders))
        return ds_fail_nomem(err);
    t->folders[t->nfolders++] = (folder){t->names.len, bits(t, f->mode), f->has_mtime, f->mtime};
    if (ds_buf_put(&t->names, f->name, strlen(f->name) + 1) != 0)
        return ds_fail_nomem(err);
    return 0;
}

static struct timespec time_of(int64_t ns)
{
    const int64_t s = ns / 1000000000 - (ns % 1000000000 < 0);

    return (struct timespec){.tv_sec = (time_t)s, .tv_nsec = (long)(ns - s * 1000000000)};
}

static int hardlink(ds_treeput *t, const ds_treefile *f, const char *last, ds_err *err)
{
    int rc = check_name(t, f->target, err), to;
    const char *from;

    if (rc)
        return rc;
    if ((to = dup(t->at)) < 0)
        return ds_fail_errno(err, errno, "%s/%s", t->path, f->name);
    rc = enter(t, f->target, &from, err);
    struct stat st;
    if (!rc && (fstatat(t->at, from, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode)))
        rc = refuse(t, f->name, "the file that it is another name of is not there", err);
    if (!rc && linkat(t->at, from, to, last, 0) != 0)
        rc = ds_fail_errno(err, errno, "%s/%s", t->path, f->name);
    close(to);
    return rc;
}

static int symlink_put(ds_treeput *t, const ds_treefile *f, const char *last, ds_err *err)
{
    if (symlinkat(f->target, t->at, last) != 0)
        return ds_fail_errno(err, errno, "%s/%s", t->path, f->name);
    if (f->has_mtime) {
        const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, time_of(f->mtime)};
        if (utimensat(t->at, last, times, AT_SYMLINK_NOFOLLOW) != 0)
            return ds_fail_errno(err, errno, "%s/%s: its time", t->path, f->name);
    }
    return 0;
}

int ds_treeput_add(ds_treeput *t, const ds_treefile *f, ds_err *err)
{
    const char *last;
    int rc = check_name(t, f->name, err);

    rc = rc ? rc : enter(t, f->name, &last, err);
    if (rc)
        return rc;
    if ((f->kind == DS_FILE_SYMLINK || f->kind == DS_FILE_HARDLINK) && (!f->target || !*f->target))
        return refuse(t, f->name, "a link without a target", err);
    switch (f->kind) {
    case DS_FILE_FOLDER:
        if (mkdirat(t->at, last, 0700) != 0 && errno != EEXIST)
            return ds_fail_errno(err, errno, "%s/%s", t->path, f->name);
        return remember_folder(t, f, err);
    case DS_FILE_SYMLINK:
        return symlink_put(t, f, last, err);
    case DS_FILE_HARDLINK:
        return hardlink(t, f, last, err);
    case DS_FILE_PLAIN:
        break;
    }
    t->file = openat(t->at, last, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (t->file < 0)
        return ds_fail_errno(err, errno, "%s/%s", t->path, f->name);
    free(t->now_name);
    t->now_name = strdup(f->name);
    t->now = *f;
    return t->now_name ? 0 : ds_fail_nomem(err);
}

int ds_treeput_write(ds_treeput *t, const void *p, size_t len, ds_err *err)
{
    const uint8_t *at = p;

    while (len > 0) {
        const ssize_t n = ds_io_active->write(t->file, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ds_fail_errno(err, errno, "%s/%s", t->path, t->now_name);
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

int ds_treeput_close(ds_treeput *t, ds_err *err)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, time_of(t->now.mtime)};
    int rc = 0;

    if (fchmod(t->file, bits(t, t->now.mode)) != 0 ||
        (t->now.has_mtime && futimens(t->file, times) != 0))
        rc = ds_fail_errno(err, errno, "%s/%s", t->path, t->now_name);
    if (close(t->file) != 0 && !rc)
        rc = ds_fail_errno(err, errno, "%s/%s", t->path, t->now_name);
    t->file = -1;
    return rc;
}

int ds_treeput_end(ds_treeput *t, bool sync, ds_err *err)
{
    int rc = 0;

    for (size_t i = t->nfolders; i > 0 && !rc; i--) {
        const folder *f = &t->folders[i - 1];
        const char *name = (const char *)t->names.data + f->name, *last;
        rc = enter(t, name, &last, err);
        const int fd =
            rc ? -1 : openat(t->at, last, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, time_of(f->mtime)};
        if (!rc &&
            (fd < 0 || (f->has_mtime && futimens(fd, times) != 0) || fchmod(fd, f->mode) != 0))
            rc = ds_fail_errno(err, errno, "%s/%s", t->path, name);
        if (fd >= 0)
            close(fd);
    }
    if (!rc && sync && syncfs(t->root) != 0)
        rc = ds_fail_errno(err, errno, "%s", t->path);
    return rc;
}
