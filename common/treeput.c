/* treeput.c - see treeput.h.
 *
 * Names are walked component by component with O_NOFOLLOW, where openat2 cannot do that at once.
 * Small files go into batches, which a pool makes; there are one more than can be in flight, used
 * in turn. So a batch's number tells whether it is done, and `given`, by a hash of the name,
 * whether a file may still have to be made.
 */
#include "treeput.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hash.h"
#include "io.h"
#include "plainfile.h"
#include "pool.h"
#include "strlist.h"

/* More threads than these only wait for the file system's journal. */
enum { THREADS_MAX = 8, AHEAD = 1, GIVEN = 1 << 16 };

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
    ds_buf dir;         /* the folder that `at` is: its name, NUL behind */
    int at;             /* -1: none yet */
    bool anew;          /* it is not the one of the last small file */
    ds_plainfile plain; /* that is being written */
    char *plain_name;
    ds_buf names;
    folder *folders;
    size_t nfolders, cap;
    ds_pool *pool;
    ds_filebatch batches[THREADS_MAX + AHEAD + 1];
    size_t nbatches;
    uint64_t now, done; /* the batch that is filled; the last one that was made: both from 1 */
    uint64_t *given;    /* by hash of a name: the last batch that one went into */
    ds_err failed;      /* the first batch that did */
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

/* ---- small files, by threads ---- */

static void make(void *batch, void *ctx)
{
    (void)ctx;
    ds_filebatch_make(batch);
}

static int pool_open(ds_treeput *t, int threads, ds_err *err)
{
    const int n = threads < 1 ? 1 : threads < THREADS_MAX ? threads : THREADS_MAX;

    t->nbatches = (size_t)n + AHEAD + 1;
    t->now = 1;
    t->given = calloc(GIVEN, sizeof *t->given);
    return t->given ? ds_pool_new(&t->pool, n, n + AHEAD, make, NULL, err) : ds_fail_nomem(err);
}

static ds_filebatch *batch_now(ds_treeput *t)
{
    return &t->batches[t->now % t->nbatches];
}

/* The oldest batch in flight is made. */
static void take(ds_treeput *t)
{
    ds_filebatch *b = ds_pool_next(t->pool);

    t->done++;
    if (b->err.code)
        (void)ds_fail(&t->failed, b->err.code, "%s", b->err.msg);
    ds_filebatch_reset(b);
}

static int told(const ds_treeput *t, ds_err *err)
{
    return t->failed.code ? ds_fail_as(err, &t->failed) : 0;
}

static int submit(ds_treeput *t, ds_err *err)
{
    if (ds_pool_full(t->pool))
        take(t);
    t->now++;
    const int rc = ds_pool_submit(t->pool, &t->batches[(t->now - 1) % t->nbatches], err);
    return rc ? rc : told(t, err);
}

int ds_treeput_settle(ds_treeput *t, ds_err *err)
{
    const int rc = batch_now(t)->n ? submit(t, err) : 0;

    while (!ds_pool_empty(t->pool))
        take(t);
    return rc ? rc : told(t, err);
}

static uint64_t *given(const ds_treeput *t, const char *name)
{
    return &t->given[ds_xxh64(name, strlen(name)) % GIVEN];
}

/* Before anything else is made of this name, or asked of it. */
static int wait_for(ds_treeput *t, const char *name, ds_err *err)
{
    return *given(t, name) > t->done ? ds_treeput_settle(t, err) : 0;
}

/* ---- the folder ---- */

int ds_treeput_open(ds_treeput **out, const char *path, bool setuid, int threads, ds_err *err)
{
    ds_treeput *t = calloc(1, sizeof *t);

    *out = NULL;
    if (!t)
        return ds_fail_nomem(err);
    t->path = path;
    t->setuid = setuid;
    t->root = t->at = t->plain.fd = -1;
    int rc = pool_open(t, threads, err);
    if (!rc && ds_io_active->mkdir(path, 0777) != 0 && errno != EEXIST)
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
    ds_pool_free(t->pool);
    for (size_t i = 0; i < t->nbatches; i++)
        ds_filebatch_fini(&t->batches[i]);
    if (t->plain.fd >= 0)
        close(t->plain.fd);
    if (t->at >= 0)
        close(t->at);
    if (t->root >= 0)
        close(t->root);
    ds_buf_fini(&t->dir);
    ds_buf_fini(&t->names);
    free(t->given);
    free(t->plain_name);
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

/* The folder `name` if it is there, and is no link, nor behind one; else -1. */
static int open_below(const ds_treeput *t, const char *name)
{
    const struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
                                 .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};

    return (int)syscall(SYS_openat2, t->root, *name ? name : ".", &how, sizeof how);
}

/* The folder t->dir, of which what is missing is made, for the file `name`. */
static int make_below(ds_treeput *t, const char *name, ds_err *err)
{
    int at = fcntl(t->root, F_DUPFD_CLOEXEC, 0), rc = 0;

    for (char *p = (char *)t->dir.data; at >= 0 && *p && !rc;) {
        char *end = p + strcspn(p, "/");
        const char kept = *end;
        *end = '\0';
        rc = wait_for(t, (char *)t->dir.data, err);
        if (!rc && mkdirat(at, p, 0777) != 0 && errno != EEXIST)
            rc = ds_fail_errno(err, errno, "%s/%s", t->path, name);
        const int next = rc ? -1 : openat(at, p, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        const int why = errno;
        *end = kept;
        close(at);
        at = next;
        if (!rc && at < 0 && (why == ELOOP || why == ENOTDIR))
            rc = refuse(t, name, "what it lies in is no folder", err);
        errno = why;
        p = kept ? end + 1 : end;
    }
    t->at = at;
    return rc || at >= 0 ? rc : ds_fail_errno(err, errno, "%s/%s", t->path, name);
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
    t->anew = true;
    t->dir.len = 0;
    if (ds_buf_put(&t->dir, name, len) != 0 || ds_buf_putc(&t->dir, 0) != 0)
        return ds_fail_nomem(err);
    t->at = open_below(t, (char *)t->dir.data);
    return t->at >= 0 ? 0 : make_below(t, name, err);
}

static mode_t bits(const ds_treeput *t, int64_t mode)
{
    return (mode_t)mode & (t->setuid ? 07777 : 01777);
}

static ds_plainfile plain_of(const ds_treeput *t, const ds_treefile *f)
{
    return (ds_plainfile){t->path, f->name, bits(t, f->mode), f->has_mtime, f->mtime, -1};
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

/* Enters the folder of `name` and looks; *last = its name there. */
static int look(ds_treeput *t, const char *name, const char **last, ds_err *err)
{
    struct stat st;
    int rc = check_name(t, name, err);

    rc = rc ? rc : wait_for(t, name, err);
    rc = rc ? rc : enter(t, name, last, err);
    return rc ? rc
              : fstatat(t->at, *last, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                    (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode));
}

int ds_treeput_has(ds_treeput *t, const char *name, ds_err *err)
{
    const char *last;

    return look(t, name, &last, err);
}

static int hardlink(ds_treeput *t, const ds_treefile *f, const char *last, ds_err *err)
{
    const char *from = NULL;
    int to = fcntl(t->at, F_DUPFD_CLOEXEC, 0);
    int rc = to < 0 ? ds_fail_errno(err, errno, "%s/%s", t->path, f->name)
                    : look(t, f->target, &from, err);

    if (rc == 0)
        rc = refuse(t, f->name, "the file that it is another name of is not there", err);
    else if (rc > 0)
        rc = linkat(t->at, from, to, last, 0) == 0
                 ? 0
                 : ds_fail_errno(err, errno, "%s/%s", t->path, f->name);
    if (to >= 0)
        close(to);
    return rc;
}

static int symlink_put(ds_treeput *t, const ds_treefile *f, const char *last, ds_err *err)
{
    if (symlinkat(f->target, t->at, last) != 0)
        return ds_fail_errno(err, errno, "%s/%s", t->path, f->name);
    if (f->has_mtime) {
        struct timespec times[2];
        ds_mtime_set(times, f->mtime);
        if (utimensat(t->at, last, times, AT_SYMLINK_NOFOLLOW) != 0)
            return ds_fail_errno(err, errno, "%s/%s: its time", t->path, f->name);
    }
    return 0;
}

/* Checked, and its folder entered; *last = its name there. */
static int begin(ds_treeput *t, const ds_treefile *f, const char **last, ds_err *err)
{
    const int rc = check_name(t, f->name, err);

    return rc ? rc : enter(t, f->name, last, err);
}

int ds_treeput_add(ds_treeput *t, const ds_treefile *f, ds_err *err)
{
    const char *last;
    int rc = begin(t, f, &last, err);

    rc = rc ? rc : wait_for(t, f->name, err);
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
    free(t->plain_name);
    t->plain_name = strdup(f->name);
    t->plain = plain_of(t, f);
    t->plain.name = t->plain_name;
    return t->plain_name ? ds_plainfile_open(&t->plain, t->at, last, err) : ds_fail_nomem(err);
}

int ds_treeput_write(ds_treeput *t, const void *p, size_t len, ds_err *err)
{
    return ds_plainfile_write(&t->plain, p, len, err);
}

int ds_treeput_close(ds_treeput *t, ds_err *err)
{
    return ds_plainfile_close(&t->plain, err);
}

int ds_treeput_small(ds_treeput *t, const ds_treefile *f, const void *p, size_t len, ds_err *err)
{
    const ds_plainfile plain = plain_of(t, f);
    const char *last;
    int rc = begin(t, f, &last, err);

    if (!rc && ds_filebatch_full(batch_now(t), len, t->anew))
        rc = submit(t, err);
    rc = rc ? rc
            : ds_filebatch_put(batch_now(t), &plain, (size_t)(last - f->name), t->at, t->anew, p,
                               len, err);
    t->anew = false;
    *given(t, f->name) = t->now;
    return rc;
}

/* ---- the end ---- */

int ds_treeput_end(ds_treeput *t, bool sync, ds_err *err)
{
    int rc = ds_treeput_settle(t, err);

    for (size_t i = t->nfolders; i > 0 && !rc; i--) {
        const folder *f = &t->folders[i - 1];
        const char *name = (const char *)t->names.data + f->name, *last;
        rc = enter(t, name, &last, err);
        const int fd =
            rc ? -1 : openat(t->at, last, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        struct timespec times[2];
        ds_mtime_set(times, f->mtime);
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
