/* treewalk.c - see treewalk.h. */
#include "treewalk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hash.h"
#include "io.h"
#include "strlist.h"
#include "walk.h"

#define DEPTH_MAX 256

typedef struct level {
    int fd;
    ds_strlist names;
    size_t next;
    size_t path_len; /* of this folder's name */
} level;

/* A file with several names, by its first one that has a record. */
typedef struct seen {
    dev_t dev;
    ino_t ino;
    char *name;
    bool passed_over; /* that name has none: the next one is the first */
} seen;

/* Hashes of the names that an archive had files and links of so far. Of two with one hash
 * a link to what is not there may be let through, which who restores it refuses. */
typedef struct names {
    uint64_t *v; /* open addressing; 0: free */
    size_t n, slots;
} names;

/* A file that is read. */
typedef struct opened {
    int fd;
    struct stat st; /* when it was opened */
    uint64_t taken;
} opened;

struct ds_treewalk {
    const char *path;
    ds_unpack *unpack;
    level levels[DEPTH_MAX];
    size_t depth;
    ds_buf name, target;
    seen *seen; /* open addressing; nslots a power of two */
    size_t nseen, nslots;
    names named;
    uint64_t member; /* the hash of the name that was told of last, when a link may be to it; 0 */
    size_t told;     /* of which the file is that was told of last, + 1; 0: it has one name */
    int fd;          /* the archive's */
    opened now;      /* the plain file that was told of last */
    opened again;
    bool single; /* one file, still to be told of */
    bool alone;  /* it was one file */
    bool lazy;
    int root;                 /* lazy: the folder that is walked */
    int unopened_in;          /* lazy: where the file that was told of last is, */
    const char *unopened;     /* and its name there; NULL: it is open */
    ds_filestamp stamp;       /* of that */
    uint64_t special, stores; /* left out */
    char words[256];
};

static void level_fini(level *l)
{
    ds_strlist_fini(&l->names);
    if (l->fd >= 0)
        close(l->fd);
    *l = (level){.fd = -1};
}

void ds_treewalk_free(ds_treewalk *w)
{
    if (!w)
        return;
    while (w->depth > 0)
        level_fini(&w->levels[--w->depth]);
    for (size_t i = 0; i < w->nslots; i++)
        free(w->seen[i].name);
    free(w->seen);
    free(w->named.v);
    ds_unpack_free(w->unpack);
    ds_buf_fini(&w->name);
    ds_buf_fini(&w->target);
    const int fds[] = {w->fd, w->now.fd, w->again.fd, w->root};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(w);
}

void ds_treewalk_left_out(const ds_treewalk *w, uint64_t *special, uint64_t *stores)
{
    *special = w->special;
    *stores = w->stores;
}

void ds_treewalk_pass_over(ds_treewalk *w)
{
    w->member = 0;
    if (w->told)
        w->seen[w->told - 1].passed_over = true;
}

static int unreadable(ds_treeentry *e, const char *why)
{
    e->reason = "unreadable";
    e->why = why;
    return 1;
}

static int problem(ds_treewalk *w, ds_treeentry *e, const char *words, int errnum)
{
    char text[128];

    snprintf(w->words, sizeof w->words, "%s: %s", words, strerror_r(errnum, text, sizeof text));
    return unreadable(e, w->words);
}

/* ---- folders ---- */

/* The folder whose name stands in w->name. 0, 1 with *e a problem, or negative. */
static int enter(ds_treewalk *w, int at, const char *last, ds_treeentry *e, ds_err *err)
{
    if (w->depth == DEPTH_MAX)
        return unreadable(e, "folders: nested too deep");
    const int fd =
        openat(at, last, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (w->depth ? O_NOFOLLOW : 0));
    if (fd < 0)
        return problem(w, e, "cannot open the folder", errno);
    level *l = &w->levels[w->depth];
    *l = (level){.fd = fd};
    int rc = ds_strlist_folder_at(&l->names, fd, last, NULL);
    if (rc) {
        const int why = errno;
        level_fini(l);
        return rc == DS_NOMEM ? ds_fail_nomem(err) : problem(w, e, "cannot read the folder", why);
    }
    w->depth++;
    l->path_len = w->name.len;
    return 0;
}

static size_t slot_of(const ds_treewalk *w, const struct stat *st)
{
    uint64_t h = ((uint64_t)st->st_ino * 0x9E3779B97F4A7C15u) ^ (uint64_t)st->st_dev;
    size_t i = (size_t)(h >> 20) & (w->nslots - 1);

    while (w->seen[i].name && (w->seen[i].ino != st->st_ino || w->seen[i].dev != st->st_dev))
        i = (i + 1) & (w->nslots - 1);
    return i;
}

/* *first = the name under which this file was told of, or NULL when this name is the first. */
static int look_up(ds_treewalk *w, const struct stat *st, const char **first, ds_err *err)
{
    if (2 * (w->nseen + 1) > w->nslots) {
        const size_t n = w->nslots ? w->nslots * 2 : 64;
        seen *old = w->seen, *v = calloc(n, sizeof *v);
        const size_t was = w->nslots;
        if (!v)
            return ds_fail_nomem(err);
        w->seen = v;
        w->nslots = n;
        for (size_t i = 0; i < was; i++)
            if (old[i].name) {
                const struct stat key = {.st_dev = old[i].dev, .st_ino = old[i].ino};
                v[slot_of(w, &key)] = old[i];
            }
        free(old);
    }
    const size_t at = slot_of(w, st);
    seen *s = &w->seen[at];
    *first = s->passed_over ? NULL : s->name;
    if (*first)
        return 0;
    char *name = strdup((char *)w->name.data);
    if (!name)
        return ds_fail_nomem(err);
    w->nseen += !s->name;
    free(s->name);
    *s = (seen){st->st_dev, st->st_ino, name, false};
    w->told = at + 1;
    return 0;
}

/* Modulo 2^64: to see whether a time is another. */
static int64_t nanoseconds(struct timespec t)
{
    return (int64_t)((uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec);
}

ds_filestamp ds_filestamp_of(const struct stat *st)
{
    return (ds_filestamp){.dev = st->st_dev,
                          .ino = st->st_ino,
                          .size = (uint64_t)st->st_size,
                          .mtime = nanoseconds(st->st_mtim),
                          .ctime = nanoseconds(st->st_ctim)};
}

bool ds_filestamp_eq(const ds_filestamp *a, const ds_filestamp *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->mtime == b->mtime &&
           a->ctime == b->ctime;
}

static void facts(ds_treeentry *e, const struct stat *st)
{
    e->mode = st->st_mode & 07777;
    e->untimely = !ds_unpack_time(&e->mtime, st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
    e->size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
}

/* A file within a folder is opened as what it is; one that is all of the input may be behind a
 * link.
 */
static int open_plain(const ds_treewalk *w, int at, const char *name, opened *o)
{
    if (o->fd >= 0)
        close(o->fd);
    o->taken = 0;
    o->fd = openat(at, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (w->alone ? 0 : O_NOFOLLOW));
    return o->fd < 0 || fstat(o->fd, &o->st) != 0 ? -1 : 0;
}

/* `st`: of a lazy walk; of others, that of what is opened counts. */
static int plain(ds_treewalk *w, int at, const char *last, const struct stat *st, ds_treeentry *e,
                 ds_err *err)
{
    const char *first = NULL;

    if (w->lazy) {
        w->unopened_in = at;
        w->unopened = last;
    } else if (open_plain(w, at, last, &w->now) != 0) {
        return problem(w, e, w->now.fd < 0 ? "cannot open" : "cannot look at it", errno);
    } else if (!S_ISREG(w->now.st.st_mode)) {
        return unreadable(e, "it is no file any more, as it was when its folder was read");
    } else {
        st = &w->now.st;
    }
    facts(e, st);
    e->kind = DS_FILE_PLAIN;
    e->stamp = w->stamp = ds_filestamp_of(st);
    e->stamped = true;
    if (st->st_nlink > 1 && !w->alone) {
        const int rc = look_up(w, st, &first, err);
        if (rc)
            return rc;
    }
    if (first) {
        e->kind = DS_FILE_HARDLINK;
        e->target = first;
        e->size = 0;
    }
    return 1;
}

static int symbolic(ds_treewalk *w, int at, const char *last, size_t size, ds_treeentry *e,
                    ds_err *err)
{
    w->target.len = 0;
    if (ds_buf_reserve(&w->target, size + 256) != 0)
        return ds_fail_nomem(err);
    const ssize_t n = readlinkat(at, last, (char *)w->target.data, size + 255);
    if (n < 0)
        return problem(w, e, "cannot read the link", errno);
    w->target.data[n] = 0;
    e->kind = DS_FILE_SYMLINK;
    e->target = (const char *)w->target.data;
    return 1;
}

static int next_below(ds_treewalk *w, ds_treeentry *e, ds_err *err)
{
    struct stat st;

    while (w->depth > 0) {
        level *l = &w->levels[w->depth - 1];
        if (l->next == l->names.n) {
            level_fini(l);
            w->depth--;
            continue;
        }
        const char *last = l->names.v[l->next++];
        w->name.len = l->path_len;
        if ((l->path_len > 0 && ds_buf_putc(&w->name, '/') != 0) ||
            ds_buf_puts(&w->name, last) != 0 || !ds_buf_cstr(&w->name))
            return ds_fail_nomem(err);
        e->name = ds_buf_cstr(&w->name);
        if (ds_strlist_type(last) == DT_REG && !w->lazy)
            return plain(w, l->fd, last, NULL, e, err);
        if (fstatat(l->fd, last, &st, AT_SYMLINK_NOFOLLOW) != 0)
            return problem(w, e, "cannot look at it", errno);
        facts(e, &st);
        if (S_ISREG(st.st_mode))
            return plain(w, l->fd, last, &st, e, err);
        if (S_ISLNK(st.st_mode))
            return symbolic(w, l->fd, last, (size_t)st.st_size, e, err);
        if (!S_ISDIR(st.st_mode)) {
            w->special++;
            continue;
        }
        if (ds_path_is_store(l->fd, last)) {
            w->stores++;
            continue;
        }
        e->kind = DS_FILE_FOLDER;
        const int rc = enter(w, l->fd, last, e, err);
        return rc < 0 ? rc : 1;
    }
    return 0;
}

/* ---- archives ---- */

static uint64_t *place_of(const names *s, uint64_t hash)
{
    size_t i = (size_t)hash & (s->slots - 1);

    while (s->v[i] && s->v[i] != hash)
        i = (i + 1) & (s->slots - 1);
    return &s->v[i];
}

static uint64_t hash_of(const char *name)
{
    const uint64_t h = ds_xxh64(name, strlen(name));

    return h ? h : 1;
}

static int add_name(names *s, uint64_t hash, ds_err *err)
{
    if (2 * (s->n + 1) > s->slots) {
        const names old = *s;
        s->slots = old.slots ? 2 * old.slots : 256;
        s->v = calloc(s->slots, sizeof *s->v);
        if (!s->v) {
            *s = old;
            return ds_fail_nomem(err);
        }
        for (size_t i = 0; i < old.slots; i++)
            if (old.v[i])
                *place_of(s, old.v[i]) = old.v[i];
        free(old.v);
    }
    uint64_t *at = place_of(s, hash);
    s->n += !*at;
    *at = hash;
    return 0;
}

/* A hard link must be another name of what came before it: otherwise nobody could make it again. */
static void check_link(ds_treewalk *w, ds_treeentry *e)
{
    const names *s = &w->named;

    if (e->reason || e->kind == DS_FILE_FOLDER)
        return;
    if (e->kind != DS_FILE_HARDLINK || (s->n && *place_of(s, hash_of(e->target)))) {
        w->member = hash_of(e->name);
        return;
    }
    snprintf(w->words, sizeof w->words, "a hard link to '%.200s', which no file before it is",
             e->target);
    e->reason = "bad link";
    e->why = w->words;
}

static int next_member(ds_treewalk *w, ds_treeentry *e, ds_err *err)
{
    ds_member m;
    ds_err why = {0};

    if (w->member && add_name(&w->named, w->member, err))
        return DS_NOMEM;
    w->member = 0;
    for (;;) {
        const int rc = ds_unpack_next(w->unpack, &m, &why);
        if (rc < 0) {
            if (why.code == DS_NOMEM || ds_is_io(why.code))
                return ds_fail_as(err, &why);
            snprintf(w->words, sizeof w->words, "%.255s", why.msg);
            *e = (ds_treeentry){
                .name = w->path, .reason = "damaged archive", .why = w->words, .lost = true};
            ds_unpack_free(w->unpack);
            w->unpack = NULL;
            return 1;
        }
        if (rc == 0)
            return 0;
        if (m.kind == DS_MEMBER_SPECIAL) {
            w->special++;
            continue;
        }
        if (m.name && m.name[strspn(m.name, "./")] == '\0' && !strstr(m.name, ".."))
            continue; /* the folder that the archive is of */
        *e = (ds_treeentry){.name = m.name ? m.name : w->path,
                            .kind = m.kind == DS_MEMBER_FOLDER ? DS_FILE_FOLDER
                                    : m.kind != DS_MEMBER_LINK ? DS_FILE_PLAIN
                                    : m.hard                   ? DS_FILE_HARDLINK
                                                               : DS_FILE_SYMLINK,
                            .target = m.target,
                            .mode = m.mode,
                            .mtime = m.mtime,
                            .untimely = m.untimely};
        if (m.kind == DS_MEMBER_REFUSED) {
            e->reason = "bad name";
            e->why = m.why;
        }
        check_link(w, e);
        return 1;
    }
}

/* ---- both ---- */

int ds_treewalk_next(ds_treewalk *w, ds_treeentry *e, ds_err *err)
{
    struct stat st;

    memset(e, 0, sizeof *e);
    if (w->unpack)
        return next_member(w, e, err);
    if (w->now.fd >= 0)
        close(w->now.fd);
    w->now.fd = -1;
    w->unopened = NULL;
    w->told = 0;
    if (!w->alone)
        return next_below(w, e, err);
    if (!w->single)
        return 0;
    w->single = false;
    const char *slash = strrchr(w->path, '/');
    e->name = slash && slash[1] ? slash + 1 : w->path;
    if (stat(w->path, &st) != 0)
        return problem(w, e, "cannot look at it", errno);
    return plain(w, AT_FDCWD, w->path, &st, e, err);
}

static int changed(ds_err *err)
{
    return ds_fail(err, DS_FAIL, "it changed while it was read");
}

static int read_opened(opened *o, void *buf, size_t n, size_t *got, ds_err *err)
{
    struct stat now;

    *got = 0;
    while (*got < n) {
        const ssize_t k = ds_io_active->read(o->fd, (uint8_t *)buf + *got, n - *got);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return ds_fail_errno(err, errno, "offset %" PRIu64, o->taken);
        if (k == 0)
            break;
        *got += (size_t)k;
        o->taken += (uint64_t)k;
    }
    if (*got == n)
        return 0;
    if (fstat(o->fd, &now) != 0 || now.st_size != o->st.st_size ||
        o->taken != (uint64_t)o->st.st_size ||
        nanoseconds(now.st_mtim) != nanoseconds(o->st.st_mtim))
        return changed(err);
    return 0;
}

int ds_treewalk_read(ds_treewalk *w, void *buf, size_t n, size_t *got, ds_err *err)
{
    *got = 0;
    if (w->unpack)
        return ds_unpack_read(w->unpack, buf, n, got, err);
    if (w->unopened) {
        const char *name = w->unopened;
        w->unopened = NULL;
        if (open_plain(w, w->unopened_in, name, &w->now) != 0)
            return ds_fail_errno(err, errno, "cannot open");
        const ds_filestamp is = ds_filestamp_of(&w->now.st);
        if (!ds_filestamp_eq(&is, &w->stamp))
            return changed(err);
    }
    return read_opened(&w->now, buf, n, got, err);
}

int ds_treewalk_lazy(ds_treewalk *w, ds_err *err)
{
    w->lazy = true;
    if (w->depth == 0)
        return 0;
    w->root = fcntl(w->levels[0].fd, F_DUPFD_CLOEXEC, 0);
    return w->root < 0 ? ds_fail_errno(err, errno, "%s", w->path) : 0;
}

int ds_treewalk_again(ds_treewalk *w, const char *name, const ds_filestamp *was, ds_err *err)
{
    if (open_plain(w, w->alone ? AT_FDCWD : w->root, w->alone ? w->path : name, &w->again) != 0)
        return ds_fail_errno(err, errno, "cannot open");
    const ds_filestamp is = ds_filestamp_of(&w->again.st);
    return ds_filestamp_eq(&is, was) ? 0 : changed(err);
}

int ds_treewalk_reread(ds_treewalk *w, void *buf, size_t n, size_t *got, ds_err *err)
{
    return read_opened(&w->again, buf, n, got, err);
}

/* Whether what begins like this is an archive: a compressed file is one when its name says tar. */
static bool is_archive(const char *path, enum ds_packing packing)
{
    static const char *const short_names[] = {".tgz", ".txz", ".tbz2", ".tzst"};
    const size_t len = strlen(path), bare = ds_packmark_bare(path);

    if (packing == DS_PACK_TAR || packing == DS_PACK_ZIP || packing == DS_PACK_7Z)
        return true;
    if (packing == DS_PACK_NONE)
        return false;
    for (size_t i = 0; i < 4; i++) {
        const size_t n = strlen(short_names[i]);
        if (len > n && strcmp(path + len - n, short_names[i]) == 0)
            return true;
    }
    return bare > 4 && memcmp(path + bare - 4, ".tar", 4) == 0;
}

int ds_treewalk_new(ds_treewalk **out, const char *path, bool as_is, const ds_unpack_limits *limits,
                    ds_err *err)
{
    ds_treewalk *w = calloc(1, sizeof *w);
    ds_unpack_limits whole = *limits;
    ds_treeentry e = {0};
    uint8_t head[DS_PACKMARK_SNIFF];
    struct stat st;
    int rc = w ? 0 : ds_fail_nomem(err);

    if (rc)
        return rc;
    whole.whole = true;
    w->path = path;
    w->fd = w->root = w->now.fd = w->again.fd = -1;
    if (stat(path, &st) != 0) {
        rc = ds_fail_errno(err, errno, "%s", path);
    } else if (S_ISDIR(st.st_mode)) {
        rc = enter(w, AT_FDCWD, path, &e, err);
        if (rc == 1)
            rc = ds_fail(err, DS_IO, "%s: %s", path, e.why);
    } else if (!S_ISREG(st.st_mode)) {
        rc = ds_fail(err, DS_USAGE, "%s: neither a folder nor a file", path);
    } else {
        enum ds_packing packing = DS_PACK_NONE;
        rc = as_is ? 0 : ds_open(&w->fd, path, O_RDONLY, 0, err);
        const ssize_t n = rc || as_is ? 0 : pread(w->fd, head, sizeof head, 0);
        if (n > 0)
            packing = ds_packmark_sniff(head, (size_t)n);
        w->single = w->alone = !is_archive(path, packing);
        if (!rc && !w->single)
            rc = ds_unpack_new(&w->unpack, w->fd, path, NULL, 0, packing, &whole, err);
        if (w->single && w->fd >= 0) {
            close(w->fd);
            w->fd = -1;
        }
    }
    if (rc)
        ds_treewalk_free(w);
    else
        *out = w;
    return rc;
}
