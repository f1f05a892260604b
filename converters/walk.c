/* walk.c - see walk.h. */
#include "walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "filerec.h"
#include "io.h"
#include "utf8.h"

typedef struct wname {
    size_t at; /* in the level's names */
    bool folder;
} wname;

typedef struct level {
    DIR *dir;
    ds_buf names; /* NUL-terminated, one after the other; folders with a slash behind */
    wname *v;
    size_t n, cap, next;
    size_t path_len; /* of the path of this folder, with its slash */
} level;

struct ds_walk {
    char *const *operands;
    size_t noperands, next;
    level levels[DS_WALK_DEPTH_MAX];
    size_t depth;
    ds_buf path;      /* of the entry */
    ds_buf shown;     /* its name, where that is no UTF-8 */
    size_t name_from; /* where the relative name begins in it */
    uint64_t links, special, stores;
    char words[256];
};

int ds_walk_new(ds_walk **out, char *const *operands, size_t n, ds_err *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return ds_fail_nomem(err);
    (*out)->operands = operands;
    (*out)->noperands = n;
    return 0;
}

static void level_fini(level *l)
{
    if (l->dir)
        closedir(l->dir);
    ds_buf_fini(&l->names);
    free(l->v);
    memset(l, 0, sizeof *l);
}

void ds_walk_free(ds_walk *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->depth; i++)
        level_fini(&w->levels[i]);
    ds_buf_fini(&w->path);
    ds_buf_fini(&w->shown);
    free(w);
}

void ds_walk_left_out(const ds_walk *w, uint64_t *links, uint64_t *special, uint64_t *stores)
{
    *stores = w->stores;
    *links = w->links;
    *special = w->special;
}

static int level_add(level *l, const char *name, bool folder, ds_err *err)
{
    if (ds_grow(&l->v, &l->cap, l->n, sizeof *l->v))
        return ds_fail_nomem(err);
    l->v[l->n++] = (wname){l->names.len, folder};
    if (ds_buf_puts(&l->names, name) != 0 || (folder && ds_buf_putc(&l->names, '/') != 0) ||
        ds_buf_putc(&l->names, 0) != 0)
        return ds_fail_nomem(err);
    return 0;
}

static int by_name(const void *a, const void *b, void *names)
{
    const char *base = names;
    return strcmp(base + ((const wname *)a)->at, base + ((const wname *)b)->at);
}

/* What an entry of a folder is, where readdir did not say. */
static unsigned char type_of(DIR *dir, const struct dirent *d)
{
    struct stat st;
    if (d->d_type != DT_UNKNOWN)
        return d->d_type;
    if (fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return DT_REG; /* opening it will say why */
    return S_ISDIR(st.st_mode)   ? DT_DIR
           : S_ISREG(st.st_mode) ? DT_REG
           : S_ISLNK(st.st_mode) ? DT_LNK
                                 : DT_FIFO;
}

/* Reads and sorts the names of a level. 1 = the system would not read it: errno says why. */
static int level_fill(ds_walk *w, level *l, ds_err *err)
{
    for (;;) {
        errno = 0;
        struct dirent *d = readdir(l->dir);
        if (!d)
            break;
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        unsigned char type = type_of(l->dir, d);
        if (type == DT_LNK) {
            w->links++;
        } else if (type != DT_REG && type != DT_DIR) {
            w->special++;
        } else if (type == DT_DIR && ds_path_is_store(dirfd(l->dir), d->d_name)) {
            w->stores++;
        } else {
            int rc = level_add(l, d->d_name, type == DT_DIR, err);
            if (rc != 0)
                return rc;
        }
    }
    if (errno != 0)
        return 1;
    if (l->n > 0)
        qsort_r(l->v, l->n, sizeof *l->v, by_name, l->names.data);
    return 0;
}

static int problem(ds_walk *w, ds_walk_entry *e, const char *reason, const char *words, int errnum)
{
    char text[128];
    if (errnum)
        snprintf(w->words, sizeof w->words, "%s: %s", words, strerror_r(errnum, text, sizeof text));
    else
        snprintf(w->words, sizeof w->words, "%s", words);
    e->kind = DS_WALK_PROBLEM;
    e->reason = reason;
    e->message = w->words;
    return 1;
}

/* A name that is no UTF-8 is told of as the key that `dsprep files` would give it. */
static int bad_name(ds_walk *w, ds_walk_entry *e, ds_err *err)
{
    w->shown.len = 0;
    int rc = ds_filename_key(&w->shown, e->name, strlen(e->name), err);
    if (rc == 0 && !(e->name = ds_buf_cstr(&w->shown)))
        rc = ds_fail_nomem(err);
    return rc ? rc : problem(w, e, "bad name", "its name is not UTF-8", 0);
}

static int lend(ds_walk *w, ds_walk_entry *e, ds_err *err)
{
    e->path = ds_buf_cstr(&w->path);
    if (!e->path)
        return ds_fail_nomem(err);
    e->name = e->path + w->name_from;
    return 0;
}

/* Opens the folder whose path stands in w->path (with a slash at its end). 0 = opened; 1 = *e tells
 * of a problem. */
static int enter(ds_walk *w, const char *last, ds_walk_entry *e, ds_err *err)
{
    if (w->depth == DS_WALK_DEPTH_MAX)
        return problem(w, e, "unreadable", "folders are nested too deep here", 0);
    int at = w->depth > 0 ? dirfd(w->levels[w->depth - 1].dir) : AT_FDCWD;
    int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (w->depth > 0 ? O_NOFOLLOW : 0);
    int fd = openat(at, last, flags);
    if (fd < 0)
        return errno == ENOMEM ? ds_fail_nomem(err)
                               : problem(w, e, "unreadable", "cannot open the folder", errno);
    level *l = &w->levels[w->depth];
    memset(l, 0, sizeof *l);
    l->dir = fdopendir(fd);
    if (!l->dir) {
        close(fd);
        return ds_fail_nomem(err);
    }
    l->path_len = w->path.len;
    w->depth++;
    int rc = level_fill(w, l, err);
    if (rc != 0) {
        int errnum = errno;
        level_fini(l);
        w->depth--;
        return rc < 0 ? rc : problem(w, e, "unreadable", "cannot read the folder", errnum);
    }
    return 0;
}

static const char *last_component(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

/* The next operand. 1 = *e is filled; 0 = a folder was entered. */
static int operand(ds_walk *w, ds_walk_entry *e, ds_err *err)
{
    const char *path = w->operands[w->next++];
    struct stat st;
    e->operand = true;
    w->path.len = 0;
    if (ds_buf_puts(&w->path, path) != 0)
        return ds_fail_nomem(err);
    w->name_from = (size_t)(last_component(path) - path);
    int rc = lend(w, e, err);
    if (rc != 0)
        return rc;
    if (strcmp(path, "-") == 0) {
        e->kind = DS_WALK_STDIN;
        e->pipe = true;
        e->name = "stdin";
        return 1;
    }
    if (stat(path, &st) != 0)
        return problem(w, e, "unreadable", "cannot open", errno);
    if (!S_ISDIR(st.st_mode)) {
        e->kind = DS_WALK_FILE;
        e->pipe = !S_ISREG(st.st_mode);
        if (ds_utf8_check((const uint8_t *)e->name, strlen(e->name)) != strlen(e->name))
            return bad_name(w, e, err);
        return 1;
    }
    if (w->path.len > 0 && w->path.data[w->path.len - 1] != '/' && ds_buf_putc(&w->path, '/') != 0)
        return ds_fail_nomem(err);
    if ((rc = enter(w, path, e, err)) != 0)
        return rc;
    w->name_from = w->path.len;
    return 0;
}

int ds_walk_next(ds_walk *w, ds_walk_entry *e, ds_err *err)
{
    for (;;) {
        memset(e, 0, sizeof *e);
        if (w->depth == 0) {
            if (w->next == w->noperands)
                return 0;
            int rc = operand(w, e, err);
            if (rc != 0)
                return rc;
            continue;
        }
        level *l = &w->levels[w->depth - 1];
        if (l->next == l->n) {
            level_fini(l);
            w->depth--;
            continue;
        }
        const wname *n = &l->v[l->next++];
        const char *name = (const char *)l->names.data + n->at;
        w->path.len = l->path_len;
        if (ds_buf_puts(&w->path, name) != 0)
            return ds_fail_nomem(err);
        int rc = lend(w, e, err);
        if (rc != 0)
            return rc;
        if (ds_utf8_check((const uint8_t *)name, strlen(name)) != strlen(name))
            return bad_name(w, e, err);
        if (!n->folder) {
            e->kind = DS_WALK_FILE;
            return 1;
        }
        if ((rc = enter(w, name, e, err)) != 0)
            return rc;
    }
}
