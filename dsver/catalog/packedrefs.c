/* packedrefs.c - see packedrefs.h. */
#include "packedrefs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"

enum { PACKED_MAX = 256 << 20 };

static const char header[] = "# pack-refs with: peeled fully-peeled sorted \n";

typedef struct entry {
    const char *text, *name; /* all of it, its last newline included */
    size_t len, name_len;
} entry;

/* Appends the entries of the file to `out`; they point into b, which ends in a newline. */
static int parse(ds_buf *out, const ds_buf *b, const char *path, ds_err *err)
{
    const size_t hex = GIT_OID_HEXSZ;
    int rc = 0;
    for (size_t at = 0; !rc && at < b->len;) {
        const char *line = (const char *)b->data + at, *nl = memchr(line, '\n', b->len - at);
        const size_t len = nl ? (size_t)(nl - line) : b->len - at;
        entry *last = out->len ? (entry *)(void *)(out->data + out->len) - 1 : NULL;
        const entry e = {line, line + hex + 1, len + (nl != NULL), len - hex - 1};
        at += len + 1;
        if (*line == '^' && last)
            last->len += e.len;
        if (len == 0 || *line == '#' || *line == '^')
            continue;
        if (len <= hex + 1 || line[hex] != ' ')
            rc = ds_fail(err, DS_CORRUPT, "%s: malformed at byte %zu", path, at - len - 1);
        else if (ds_buf_put(out, &e, sizeof e))
            rc = ds_fail_nomem(err);
    }
    return rc;
}

/* Only what is not there has no refs: whatever else keeps it from being read is an error. */
static int read_file(ds_buf *b, ds_buf *entries, const char *path, ds_err *err)
{
    struct stat st;
    int rc = stat(path, &st) == 0 ? ds_read_file(b, path, PACKED_MAX, err)
             : errno == ENOENT    ? 0
                                  : ds_fail_errno(err, errno, "%s", path);
    if (!rc && b->len && b->data[b->len - 1] != '\n' && ds_buf_putc(b, '\n'))
        rc = ds_fail_nomem(err);
    return rc ? rc : parse(entries, b, path, err);
}

static int path_of(char **path, const char *dir, const char *end, ds_err *err)
{
    if (asprintf(path, "%s/packed-refs%s", dir, end) >= 0)
        return 0;
    *path = NULL;
    return ds_fail_nomem(err);
}

int ds_packedrefs_list(ds_strlist *l, const char *dir, ds_err *err)
{
    ds_buf b = {0}, entries = {0};
    char *path = NULL;
    int rc = path_of(&path, dir, "", err);
    rc = rc ? rc : read_file(&b, &entries, path, err);
    const entry *e = (const entry *)(const void *)entries.data;
    for (size_t i = 0; !rc && i < entries.len / sizeof *e; i++)
        rc = ds_strlist_add_part(l, e[i].name, e[i].name_len, err);
    ds_buf_fini(&entries);
    ds_buf_fini(&b);
    free(path);
    return rc;
}

/* ---- adding ---- */

/* "ID NAME", and what a tag leads to in the end. */
static int put_new(ds_buf *text, ds_catalog *c, const ds_newref *r, ds_err *err)
{
    git_object *o = NULL, *end = NULL;
    int rc = git_object_lookup(&o, ds_catalog_repo(c), &r->to, GIT_OBJECT_ANY);
    const bool tag = rc == 0 && git_object_type(o) == GIT_OBJECT_TAG;
    rc = rc == 0 && tag ? git_object_peel(&end, o, GIT_OBJECT_ANY) : rc;
    if (rc < 0)
        rc = ds_fail_git_read(err, "catalog object %s", git_oid_tostr_s(&r->to));
    else if (ds_buf_printf(text, "%s %s\n", git_oid_tostr_s(&r->to), r->name) ||
             (tag && ds_buf_printf(text, "^%s\n", git_oid_tostr_s(git_object_id(end)))))
        rc = ds_fail_nomem(err);
    git_object_free(end);
    git_object_free(o);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    const size_t n = x->name_len < y->name_len ? x->name_len : y->name_len;
    const int d = memcmp(x->name, y->name, n);
    return d ? d : (x->name_len > y->name_len) - (x->name_len < y->name_len);
}

/* Entries without a "^" are none of tags only where the first line says that of all. */
static bool may_add(const ds_buf *b)
{
    const char *nl = b->len ? memchr(b->data, '\n', b->len) : NULL;
    const char *trait = nl ? memmem(b->data, (size_t)(nl - (const char *)b->data), " fully-peeled",
                                    sizeof " fully-peeled" - 1)
                           : NULL;
    return b->len == 0 || (*b->data == '#' && trait);
}

static int write_all(int fd, const char *lock, ds_buf *entries, ds_err *err)
{
    ds_buf text = {0};
    const size_t n = entries->len / sizeof(entry);
    const entry *e = (const entry *)(const void *)entries->data;
    qsort(entries->data, n, sizeof *e, by_name);
    bool full = ds_buf_puts(&text, header) != 0;
    for (size_t i = 0; !full && i < n; i++)
        full = ds_buf_put(&text, e[i].text, e[i].len) != 0;
    int rc = full ? ds_fail_nomem(err) : ds_write_full(fd, lock, text.data, text.len, err);
    ds_buf_fini(&text);
    return rc ? rc : ds_fsync(fd, lock, err);
}

/* With git's lock of the file, which becomes the file. */
static int add(int fd, const char *path, const char *lock, const ds_buf *text, ds_err *err)
{
    ds_buf old = {0}, entries = {0};
    int rc = read_file(&old, &entries, path, err);
    const bool may = !rc && may_add(&old);
    rc = rc || !may ? rc : parse(&entries, text, lock, err);
    rc = rc || !may ? rc : write_all(fd, lock, &entries, err);
    if (!rc && may && ds_io_active->rename(lock, path) != 0)
        rc = ds_fail_errno(err, errno, "%s: cannot be renamed", lock);
    if (!rc && may)
        rc = ds_fsync_parent(path, err);
    ds_buf_fini(&entries);
    ds_buf_fini(&old);
    return rc ? rc : may;
}

int ds_packedrefs_add(ds_catalog *c, const ds_newref *v, size_t n, ds_err *err)
{
    ds_buf text = {0};
    char *path = NULL, *lock = NULL;
    int fd = -1, rc = path_of(&path, ds_catalog_dir(c), "", err);
    rc = rc ? rc : path_of(&lock, ds_catalog_dir(c), ".lock", err);
    for (size_t i = 0; !rc && i < n; i++)
        rc = v[i].made ? put_new(&text, c, &v[i], err) : 0;
    if (!rc && text.len) {
        fd = ds_io_active->open(lock, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EEXIST)
            rc = ds_fail_errno(err, errno, "%s", lock);
        else if (fd >= 0 && (rc = add(fd, path, lock, &text, err)) <= 0)
            (void)ds_io_active->unlink(lock);
        (void)ds_close(&fd, lock, NULL);
    }
    ds_buf_fini(&text);
    free(lock);
    free(path);
    return rc;
}
