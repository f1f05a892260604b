/* packdir.c - see packdir.h. */
#include "packdir.h"

#include <errno.h>
#include <git2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io.h"
#include "storefind.h"

enum {
    PACK_NAME = 5 + 40,      /* "pack-" and a SHA-1 */
    INDEX_IDS = 8 + 256 * 4, /* where an index file's ids begin: gitformat-pack(5) */
    INDEX_MAX = 1 << 30
};

void ds_packdir_fini(ds_packdir *d)
{
    ds_strlist_fini(&d->names);
    ds_strlist_fini(&d->junk);
    free(d->path);
    *d = (ds_packdir){0};
}

/* Temporaries of dead writers, this project's and libgit2's; an index without its pack. */
static bool is_junk(const char *dir, const char *name)
{
    if (strncmp(name, "tmp_", 4) == 0 || strncmp(name, "pack_git2_", 10) == 0)
        return true;
    size_t len = strlen(name);
    if (strncmp(name, "pack-", 5) != 0 || len != PACK_NAME + 4 ||
        strcmp(name + PACK_NAME, ".idx") != 0)
        return false;
    char *pack = NULL;
    bool junk = asprintf(&pack, "%s/%.*s.pack", dir, PACK_NAME, name) >= 0 && !ds_path_exists(pack);
    free(pack);
    return junk;
}

int ds_packdir_read(ds_packdir *d, const char *catalog, ds_err *err)
{
    ds_strlist all = {0};
    int rc = ds_store_path(&d->path, catalog, "objects/pack", err);
    rc = rc ? rc : ds_strlist_folder(&all, d->path, err);
    for (size_t i = 0; !rc && i < all.n; i++) {
        const char *name = all.v[i];
        if (is_junk(d->path, name))
            rc = ds_strlist_add(&d->junk, name, err);
        else if (strlen(name) == PACK_NAME + 5 && strcmp(name + PACK_NAME, ".pack") == 0)
            rc = ds_strlist_add_part(&d->names, name, PACK_NAME, err);
    }
    ds_strlist_fini(&all);
    return rc;
}

int ds_packdir_unlink(const ds_packdir *d, const char *name, const char *ext, ds_err *err)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s%s", d->path, name, ext) < 0)
        return ds_fail_nomem(err);
    int rc = ds_io_active->unlink(path) && errno != ENOENT
                 ? ds_fail_errno(err, errno, "%s: cannot remove", path)
                 : 0;
    free(path);
    return rc;
}

int ds_packdir_ids(ds_buf *ids, const ds_packdir *d, const char *name, int64_t after, ds_err *err)
{
    ds_buf b = {0};
    char *path = NULL;
    struct stat st;
    int rc = 0;
    ds_buf_reset(ids);
    if (asprintf(&path, "%s/%s.idx", d->path, name) < 0)
        return ds_fail_nomem(err);
    if (stat(path, &st) == 0 && st.st_mtime > after)
        rc = ds_read_file(&b, path, INDEX_MAX, err);
    const size_t room = b.len > INDEX_IDS ? (b.len - INDEX_IDS) / GIT_OID_RAWSZ : 0;
    const uint8_t *n = b.data ? b.data + INDEX_IDS - 4 : NULL;
    const size_t count =
        !rc && room ? (size_t)n[0] << 24 | (size_t)n[1] << 16 | (size_t)n[2] << 8 | n[3] : 0;
    if (!rc && count > room)
        rc = ds_fail(err, DS_CORRUPT, "%s: not a whole index", path);
    for (size_t k = 0; !rc && k < count; k++) {
        git_oid id;
        git_oid_fromraw(&id, b.data + INDEX_IDS + k * GIT_OID_RAWSZ);
        rc = ds_buf_put(ids, &id, sizeof id) ? ds_fail_nomem(err) : 0;
    }
    free(path);
    ds_buf_fini(&b);
    return rc;
}
