/* powerloss.c - preloaded into a program: at the DS_LOSS_AT-th call that changes a file, the power
 * goes. What was not synced is then on disk, or not, or half of it, as the seed DS_LOSS_SEED
 * decides:
 *
 *   data       each file that was written since its last fsync has its old bytes, its new ones, or
 * sectors of 512 bytes of either, and any length between the two names      creations, renames and
 * removals in a folder that was not synced since are undone from some point on, as a journal that
 * was written so far would have it; old files come back
 *
 * DS_LOSS_COUNT=FILE writes the number of such calls instead. Only files below DS_LOSS_ROOT are
 * looked at. Shared memory (SQLite's -shm) is never durable and not looked at either.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES 512
#define OPS 4096
#define FDS 1024

typedef struct file {
    char path[512]; /* now; follows renames */
    char *old;      /* its bytes at the last sync */
    size_t old_len;
    bool dirty;
} file;

typedef struct op {
    enum { CREATE, RENAME, REMOVE } kind;
    char from[512], to[512],
        saved[560]; /* saved: a link to what was replaced or removed, "" = nothing */
    bool durable;
} op;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static file files[FILES];
static op ops[OPS];
static int nfiles, nops, fd_file[FDS]; /* file + 1; 0 = not ours, -1 = a folder */
static char fd_dir[FDS][512];
static long calls, at = -1;
static uint64_t seed;
static const char *root;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static uint32_t chance(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

static void absolute(char out[512], const char *path)
{
    char cwd[256];
    if (path[0] == '/' || !getcwd(cwd, sizeof cwd))
        snprintf(out, 512, "%s", path);
    else
        snprintf(out, 512, "%s/%s", cwd, path);
}

static bool ours(const char *path)
{
    return root && !strncmp(path, root, strlen(root)) && !strstr(path, "-shm");
}

static char *slurp(const char *path, size_t *len)
{
    struct stat st;
    int fd = REAL(open)(path, O_RDONLY);
    char *p = NULL;
    *len = 0;
    if (fd < 0)
        return NULL;
    if (!fstat(fd, &st) && (p = malloc((size_t)st.st_size + 1))) {
        ssize_t n = read(fd, p, (size_t)st.st_size);
        *len = n > 0 ? (size_t)n : 0;
    }
    REAL(close)(fd);
    return p;
}

static int find_file(const char *path)
{
    for (int i = 0; i < nfiles; i++)
        if (!strcmp(files[i].path, path))
            return i;
    if (nfiles == FILES)
        abort();
    snprintf(files[nfiles].path, sizeof files[nfiles].path, "%s", path);
    return nfiles++;
}

static void dirty(file *f)
{
    if (f->dirty)
        return;
    free(f->old);
    f->old = slurp(f->path, &f->old_len);
    f->dirty = true;
}

/* ---- the end ---- */

static void lose_data(file *f)
{
    size_t len;
    char *now = slurp(f->path, &len);
    const uint32_t fate = chance(4);
    if (!now || fate == 0) /* everything had reached the disk */
        goto out;
    size_t keep = fate == 1          ? f->old_len
                  : f->old_len < len ? f->old_len + chance((uint32_t)(len - f->old_len) + 1)
                                     : len;
    for (size_t s = 0; s < keep; s += 512) {
        const size_t n = keep - s < 512 ? keep - s : 512;
        if (fate == 1 || (fate == 2 && chance(2))) /* the old sector; past the old end: zeros */
            for (size_t i = s; i < s + n; i++)
                now[i] = i < f->old_len ? f->old[i] : 0;
    }
    int fd = REAL(open)(f->path, O_WRONLY | O_TRUNC);
    if (fd >= 0) {
        if (REAL(write)(fd, now, keep) < 0)
            abort();
        REAL(close)(fd);
    }
out:
    free(now);
}

static void undo(const op *o)
{
    if (o->kind == CREATE)
        REAL(unlink)(o->to);
    if (o->kind == RENAME)
        REAL(rename)(o->to, o->from);
    if (o->saved[0])
        REAL(rename)(o->saved, o->kind == REMOVE ? o->from : o->to);
}

static void power_off(void)
{
    int pending = 0, keep, seen = 0;
    for (int i = 0; i < nfiles; i++)
        if (files[i].dirty)
            lose_data(&files[i]);
    for (int i = 0; i < nops; i++)
        pending += !ops[i].durable;
    keep = (int)chance((uint32_t)pending + 1);
    for (int i = 0; i < nops; i++)
        if (!ops[i].durable && ++seen <= keep)
            ops[i].durable = true;
    for (int i = nops - 1; i >= 0; i--) {
        if (!ops[i].durable)
            undo(&ops[i]);
        else if (ops[i].saved[0])
            REAL(unlink)(ops[i].saved);
    }
    _exit(99);
}

/* Before a call that changes something. */
static void tick(void)
{
    calls++;
    if (calls == at)
        power_off();
}

static op *add_op(int kind, const char *from, const char *to)
{
    if (nops == OPS)
        abort();
    op *o = &ops[nops];
    memset(o, 0, sizeof *o);
    o->kind = kind;
    snprintf(o->from, sizeof o->from, "%s", from);
    snprintf(o->to, sizeof o->to, "%s", to);
    const char *gone = kind == REMOVE ? from : to;
    if (kind != CREATE && !access(gone, F_OK)) {
        snprintf(o->saved, sizeof o->saved, "%s.lost%d", gone, nops);
        if (link(gone, o->saved))
            o->saved[0] = '\0';
    }
    nops++;
    return o;
}

static void sync_folder(const char *dir)
{
    const size_t n = strlen(dir);
    for (int i = 0; i < nops; i++) {
        const char *p = ops[i].kind == REMOVE ? ops[i].from : ops[i].to;
        if (!strncmp(p, dir, n) && p[n] == '/' && !strchr(p + n + 1, '/'))
            ops[i].durable = true;
    }
}

/* ---- what is intercepted ---- */

__attribute__((constructor)) static void begin(void)
{
    const char *a = getenv("DS_LOSS_AT"), *s = getenv("DS_LOSS_SEED");
    root = getenv("DS_LOSS_ROOT");
    at = a ? strtol(a, NULL, 10) : -1;
    seed = s ? strtoull(s, NULL, 10) : 1;
    chance(2);
}

__attribute__((destructor)) static void end(void)
{
    const char *p = getenv("DS_LOSS_COUNT");
    for (int i = 0; i < nops; i++)
        if (ops[i].saved[0])
            REAL(unlink)(ops[i].saved);
    if (!p)
        return;
    int fd = REAL(open)(p, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd >= 0) {
        dprintf(fd, "%ld\n", calls);
        REAL(close)(fd);
    }
}

static int opened(int fd, const char *path, int flags, bool existed)
{
    char p[512];
    struct stat st;
    if (fd < 0 || fd >= FDS)
        return fd;
    fd_file[fd] = 0;
    absolute(p, path);
    if (!ours(p) || fstat(fd, &st))
        return fd;
    if (S_ISDIR(st.st_mode)) {
        fd_file[fd] = -1;
        snprintf(fd_dir[fd], sizeof fd_dir[fd], "%s", p);
    } else if ((flags & O_ACCMODE) != O_RDONLY) {
        fd_file[fd] = find_file(p) + 1;
        if (!existed) {
            file *f = &files[fd_file[fd] - 1];
            free(f->old);
            f->old = NULL;
            f->old_len = 0;
            f->dirty = true;
            add_op(CREATE, p, p);
        }
    }
    return fd;
}

static int open_any(const char *path, int flags, mode_t mode)
{
    char p[512];
    pthread_mutex_lock(&lock);
    absolute(p, path);
    const bool existed = !access(p, F_OK);
    if (ours(p) && (flags & O_TRUNC) && existed)
        dirty(&files[find_file(p)]);
    const int fd = opened(REAL(open)(path, flags, mode), path, flags, existed);
    pthread_mutex_unlock(&lock);
    return fd;
}

#define MODE_OF(flags)                                                                             \
    va_list ap;                                                                                    \
    va_start(ap, flags);                                                                           \
    const mode_t mode = (flags) & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;                  \
    va_end(ap)

int open(const char *path, int flags, ...)
{
    MODE_OF(flags);
    return open_any(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    MODE_OF(flags);
    return open_any(path, flags, mode);
}

int close(int fd)
{
    if (fd >= 0 && fd < FDS)
        fd_file[fd] = 0;
    return REAL(close)(fd);
}

static void before_write(int fd)
{
    pthread_mutex_lock(&lock);
    if (fd >= 0 && fd < FDS && fd_file[fd] > 0) {
        dirty(&files[fd_file[fd] - 1]);
        tick();
    }
    pthread_mutex_unlock(&lock);
}

ssize_t write(int fd, const void *p, size_t n)
{
    before_write(fd);
    return REAL(write)(fd, p, n);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t off)
{
    before_write(fd);
    return REAL(pwrite)(fd, p, n, off);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t off)
{
    before_write(fd);
    return REAL(pwrite64)(fd, p, n, off);
}

int ftruncate(int fd, off_t len)
{
    before_write(fd);
    return REAL(ftruncate)(fd, len);
}

int ftruncate64(int fd, off64_t len)
{
    before_write(fd);
    return REAL(ftruncate64)(fd, len);
}

static void after_sync(int fd)
{
    pthread_mutex_lock(&lock);
    if (fd >= 0 && fd < FDS && fd_file[fd] > 0)
        files[fd_file[fd] - 1].dirty = false;
    else if (fd >= 0 && fd < FDS && fd_file[fd] < 0)
        sync_folder(fd_dir[fd]);
    pthread_mutex_unlock(&lock);
}

int fsync(int fd)
{
    const int rc = REAL(fsync)(fd);
    after_sync(fd);
    return rc;
}

int fdatasync(int fd)
{
    const int rc = REAL(fdatasync)(fd);
    after_sync(fd);
    return rc;
}

int rename(const char *from, const char *to)
{
    char f[512], t[512];
    pthread_mutex_lock(&lock);
    absolute(f, from);
    absolute(t, to);
    if (ours(f) && ours(t)) {
        tick();
        add_op(RENAME, f, t);
        for (int i = 0; i < nfiles; i++) {
            if (!strcmp(files[i].path, t))
                snprintf(files[i].path, sizeof files[i].path, "%s.gone%d", t, nops);
            else if (!strcmp(files[i].path, f))
                snprintf(files[i].path, sizeof files[i].path, "%s", t);
        }
    }
    const int rc = REAL(rename)(from, to);
    pthread_mutex_unlock(&lock);
    return rc;
}

int unlink(const char *path)
{
    char p[512];
    pthread_mutex_lock(&lock);
    absolute(p, path);
    if (ours(p) && !access(p, F_OK)) {
        tick();
        add_op(REMOVE, p, p);
    }
    const int rc = REAL(unlink)(path);
    pthread_mutex_unlock(&lock);
    return rc;
}
