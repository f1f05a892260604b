/* storefind.c - see storefind.h. */
#include "storefind.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io.h"
#include "store.h"

int ds_store_path(char **path, const char *dir, const char *name, ds_err *err)
{
    if (asprintf(path, "%s/%s", dir, name) < 0) {
        *path = NULL;
        return ds_fail_nomem(err);
    }
    return 0;
}

/* 1 a store, 0 none; DS_IO: there may be one, which cannot be looked into, or not now. */
static int look(const char *dir, ds_err *err)
{
    char *p = NULL;
    struct stat st;
    int rc = ds_store_path(&p, dir, "config", err);
    if (!rc && lstat(p, &st) == 0)
        rc = 1;
    else if (!rc && errno != ENOENT && errno != ENOTDIR && errno != ENAMETOOLONG)
        rc = ds_fail_errno(err, errno, "%s", p);
    free(p);
    return rc;
}

bool ds_store_is(const char *dir)
{
    return look(dir, NULL) > 0;
}

/* `given` is a store, or holds one. */
static int find_at(char **dir, const char *given, const char *from, ds_err *err)
{
    int rc = look(given, err);
    if (rc > 0)
        *dir = strdup(given);
    else if (rc == 0 && (rc = ds_store_path(dir, given, DS_STORE_DIR, err)) == 0)
        rc = look(*dir, err);
    if (rc > 0)
        return *dir ? 0 : ds_fail_nomem(err);
    free(*dir);
    *dir = NULL;
    return rc ? rc
              : ds_fail(err, DS_NOSTORE, "%s: no store there (from %s; make one with `dsver init`)",
                        given, from);
}

/* A configuration that is damaged is told of by who needs it. */
int ds_store_shared(enum ds_sharing *how, const char *dir, ds_err *err)
{
    ds_buf v = {0};
    ds_err why = {0};
    int at = 0, rc = ds_config_get(&v, dir, DS_CONFIG_SHARED, false, &why);
    if (rc == DS_NOMEM || ds_is_io(rc))
        return ds_fail_as(err, &why);
    const char *text = rc > 0 ? ds_buf_cstr(&v) : "umask";
    while (text && ds_sharing_words[at] && strcmp(text, ds_sharing_words[at]) != 0)
        at++;
    if (!text)
        rc = ds_fail_nomem(err);
    else
        rc = ds_sharing_words[at] != NULL;
    *how = rc > 0 ? (enum ds_sharing)at : DS_SHARED_UMASK;
    ds_buf_fini(&v);
    return rc;
}

static int not_known(const char *dir, ds_err *err)
{
    ds_buf v = {0};
    int rc = ds_config_get(&v, dir, DS_CONFIG_SHARED, false, err);
    const char *text = rc < 0 ? NULL : ds_buf_cstr(&v);
    if (rc >= 0)
        rc = ds_fail(err, DS_FAIL,
                     "%s/config: %s is '%s', and can be umask, group or all (dsver init --shared "
                     "mends it)",
                     dir, DS_CONFIG_SHARED, text ? text : "");
    ds_buf_fini(&v);
    return rc;
}

static int heed_sharing(const char *dir, ds_err *err)
{
    enum ds_sharing how;
    const int rc = ds_store_shared(&how, dir, err);
    if (rc == 0)
        return not_known(dir, err);
    return rc < 0 ? rc : ds_sharing_set(dir, how, err);
}

int ds_store_find_config(char **dir, const char *given, ds_err *err)
{
    *dir = NULL;
    const char *env = getenv("DSVER_STORE");
    if (given)
        return find_at(dir, given, "--store", err);
    if (env && *env)
        return find_at(dir, env, "DSVER_STORE", err);
    char *cwd = getcwd(NULL, 0);
    if (!cwd)
        return ds_fail_errno(err, errno, "cannot tell the working directory");
    char *at = strdup(cwd);
    int rc = at ? 0 : ds_fail_nomem(err);
    while (!rc) {
        rc = ds_store_path(dir, strcmp(at, "/") == 0 ? "" : at, DS_STORE_DIR, err);
        rc = rc ? rc : look(*dir, err);
        if (rc > 0)
            break;
        free(*dir);
        *dir = NULL;
        if (rc)
            break;
        char *slash = strrchr(at, '/');
        if (!slash || strcmp(at, "/") == 0)
            rc = ds_fail(err, DS_NOSTORE, "no store in %s or above it; make one with `dsver init`",
                         cwd);
        else
            slash[slash == at] = '\0';
    }
    free(at);
    free(cwd);
    return rc < 0 ? rc : 0;
}

int ds_store_find(char **dir, const char *given, ds_err *err)
{
    int rc = ds_store_find_config(dir, given, err);
    rc = rc ? rc : heed_sharing(*dir, err);
    if (rc) {
        free(*dir);
        *dir = NULL;
    }
    return rc;
}

/* ---- its number ---- */

enum { ID_DIGITS = 32 };

/* 1 read, 0 not there, or an error. */
static int read_id(ds_storeid *id, const char *path, ds_err *err)
{
    char text[ID_DIGITS + 2];
    size_t got = 0;
    int fd = ds_io_active->open(path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return errno == ENOENT ? 0 : ds_fail_errno(err, errno, "%s", path);
    int rc = ds_read_full(fd, path, text, sizeof text, &got, err);
    (void)ds_close(&fd, path, NULL);
    if (!rc && (got != ID_DIGITS + 1 || text[ID_DIGITS] != '\n' ||
                !ds_hex_decode(text, ID_DIGITS, id->b, sizeof id->b)))
        rc = ds_fail(err, DS_CORRUPT, "%s: not 32 hexadecimal digits: remove it", path);
    return rc ? rc : 1;
}

/* Appears whole, and only where there is none: of two who draw one, both get the first. What was
 * drawn names the temporary as well: a process number may be another container's process's. */
static int write_id(const char *path, const ds_storeid *id, ds_err *err)
{
    ds_buf text = {0};
    char *tmp = NULL;
    int rc = 0;
    if (ds_buf_hex(&text, id->b, sizeof id->b) || ds_buf_putc(&text, '\n') ||
        asprintf(&tmp, "%s.%.16s", path, text.data) < 0) {
        tmp = NULL;
        rc = ds_fail_nomem(err);
    }
    rc = rc ? rc : ds_atomic_write(tmp, 0666, text.data, text.len, err);
    if (!rc && link(tmp, path) != 0 && errno != EEXIST)
        rc = ds_fail_errno(err, errno, "%s", path);
    if (tmp)
        ds_io_active->unlink(tmp);
    rc = rc ? rc : ds_fsync_parent(path, err);
    free(tmp);
    ds_buf_fini(&text);
    return rc;
}

int ds_store_id(ds_storeid *id, const char *dir, bool draw, ds_err *err)
{
    char *path = NULL;
    *id = (ds_storeid){0};
    int rc = ds_store_path(&path, dir, "id", err);
    rc = rc ? rc : read_id(id, path, err);
    if (rc == 0 && path && draw) {
        ds_storeid drawn;
        rc = ds_random(drawn.b, sizeof drawn.b, err);
        rc = rc ? rc : write_id(path, &drawn, err);
        rc = rc ? rc : read_id(id, path, err);
        if (rc == 0)
            rc = ds_fail(err, DS_IO, "%s: it is gone again", path);
    }
    free(path);
    return rc > 0 ? 0 : rc;
}

int ds_store_id_set(const char *dir, const ds_storeid *id, ds_err *err)
{
    static const ds_storeid none;
    char *path = NULL;
    if (memcmp(id, &none, sizeof none) == 0)
        return 0;
    int rc = ds_store_path(&path, dir, "id", err);
    rc = rc ? rc : write_id(path, id, err);
    free(path);
    return rc;
}
