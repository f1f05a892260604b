/* store.c - see store.h. */
#include "store.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "io.h"
#include "lazy.h"
#include "notedlock.h"
#include "overlay.h"
#include "rmtree.h"

enum { FORMAT = 1, CONFIG_TRIES = 200 };

static const char format_name[] = "dsver.format";

/* Locks that an init left which was killed: without a config file there is no store yet that
 * somebody could be using. */
static void drop_locks(const char *catalog)
{
    static const char *const names[] = {"config.lock", "HEAD.lock"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = NULL;
        if (ds_store_path(&path, catalog, names[i], NULL) == 0)
            ds_io_active->unlink(path);
        free(path);
    }
}

static int first_config(const char *path, enum ds_sharing how, ds_err *err)
{
    ds_buf text = {0};
    int rc = ds_buf_puts(&text, "[dsver]\n\tformat = 1\n");
    if (!rc && how != DS_SHARED_UMASK)
        rc = ds_buf_printf(&text, "\tshared = %s\n", ds_sharing_words[how]);
    rc = rc ? ds_fail_nomem(err) : ds_atomic_write(path, 0666, text.data, text.len, err);
    ds_buf_fini(&text);
    return rc;
}

/* The first of the folders on the way to one that is not there yet. */
static int first_to_make(char **first, const char *dir, ds_err *err)
{
    if (!(*first = strndup(dir, ds_path_len(dir))))
        return ds_fail_nomem(err);
    for (char *slash; (slash = strrchr(*first, '/')) && slash != *first;) {
        *slash = '\0';
        if (ds_path_exists(*first)) {
            *slash = '/';
            break;
        }
    }
    return 0;
}

/* What is made from now on, the way to it too. */
static int share_new(const char *dir, const char *store, enum ds_sharing how, ds_err *err)
{
    char *first = NULL;
    if (ds_path_exists(dir))
        return ds_sharing_set(store, how, err);
    int rc = first_to_make(&first, dir, err);
    rc = rc ? rc : ds_sharing_set(first, how, err);
    free(first);
    return rc;
}

int ds_store_init(const char *dir, enum ds_sharing how, bool *made, ds_err *err)
{
    char *store = NULL, *cat = NULL, *config = NULL;
    if (!*dir) /* it would be the root of the file system */
        return ds_fail(err, DS_USAGE, "the name of the folder is empty");
    int rc = ds_store_path(&store, dir, DS_STORE_DIR, err);
    if (!rc && made)
        *made = !ds_store_is(store);
    if (rc || ds_store_is(store))
        goto out;
    rc = share_new(dir, store, how, err);
    rc = rc ? rc : ds_mkdirs(store, err);
    if (rc == DS_IO && how != DS_SHARED_UMASK && access(dir, W_OK) == 0)
        rc = ds_err_prefix(err, "cannot be shared, for which its group is to be one of yours");
    if (!rc)
        rc = ds_store_path(&cat, store, "catalog.git", err);
    if (!rc)
        rc = ds_store_path(&config, store, "config", err);
    if (!rc) {
        drop_locks(cat);
        rc = ds_catalog_create(cat, err);
    }
    if (!rc)
        rc = ds_objstore_create(store, err);
    if (!rc)
        rc = first_config(config, how, err);
out:
    free(store);
    free(cat);
    free(config);
    return rc;
}

static int check_format(const char *dir, ds_err *err)
{
    ds_buf v = {0};
    int rc = ds_config_get(&v, dir, format_name, false, err);
    const char *text = rc > 0 ? ds_buf_cstr(&v) : "";
    if (rc >= 0)
        rc = !text ? ds_fail_nomem(err)
             : strcmp(text, "1") == 0
                 ? 0
                 : ds_fail(err, DS_FAIL, "%s: store format '%s'; this dsver knows format %d", dir,
                           text, FORMAT);
    ds_buf_fini(&v);
    return rc;
}

static int explain(void *ctx, const ds_sha *piece, ds_err *err)
{
    return ds_overlay_explain(ctx, piece, err);
}

static int open_history(ds_store *s, const char *given, ds_err *err)
{
    *s = (ds_store){0};
    int rc = ds_store_find(&s->dir, given, err);
    rc = rc ? rc : check_format(s->dir, err);
    return rc ? rc : ds_catalog_open(&s->cat, s->dir, err);
}

int ds_store_open_bare(ds_store *s, const char *given, ds_err *err)
{
    int rc = open_history(s, given, err);
    rc = rc ? rc : ds_lazy_attach(s, err);
    if (rc)
        ds_store_close(s);
    return rc;
}

int ds_store_open(ds_store *s, const char *given, enum ds_objmode mode, ds_err *err)
{
    int rc = open_history(s, given, err);
    if (!rc)
        rc = ds_objstore_open(&s->objs, s->dir, mode, err);
    if (!rc)
        ds_objstore_on_unknown(s->objs, explain, s->dir);
    if (!rc)
        rc = ds_lazy_attach(s, err);
    if (rc)
        ds_store_close(s);
    return rc;
}

void ds_store_close(ds_store *s)
{
    ds_lazy_free(s->lazy);
    ds_objstore_close(s->objs);
    ds_catalog_close(s->cat);
    free(s->dir);
    *s = (ds_store){0};
}

int ds_store_open_temp(ds_store *s, char **dir, ds_err *err)
{
    int rc = ds_temp_folder(dir, "dsver", err);
    rc = rc ? rc : ds_store_init(*dir, DS_SHARED_UMASK, NULL, err);
    return rc ? rc : ds_store_open(s, *dir, DS_OBJ_WRITE, err);
}

void ds_store_close_temp(ds_store *s, char **dir)
{
    ds_store_close(s);
    if (*dir)
        ds_remove_tree(*dir);
    free(*dir);
    *dir = NULL;
}

int ds_store_lay_over(ds_store *s, ds_store *under, ds_err *err)
{
    ds_storeid id;
    int rc = ds_catalog_lay_over(s->cat, under->cat, err);
    rc = rc ? rc : ds_store_id(&id, under->dir, false, err);
    rc = rc ? rc : ds_store_id_set(s->dir, &id, err);
    if (!rc) {
        ds_objstore_lay_over(s->objs, under->objs);
        s->under = under;
    }
    return rc;
}

int ds_store_act(ds_store *s, const char *command, const char *author, const char *reason,
                 ds_err *err)
{
    return ds_oplog_act(ds_catalog_oplog(s->cat), command, author, reason, err);
}

/* ---- configuration ---- */

static int config_open(git_config **out, const char *dir, bool inherit, ds_err *err)
{
    char *path = NULL;
    git_buf found = {0};
    *out = NULL;
    int rc = ds_git_begin(err);
    rc = rc ? rc : ds_store_path(&path, dir, "config", err);
    if (!rc && git_config_new(out) < 0)
        rc = ds_fail_nomem(err);
    if (!rc && (rc = git_config_add_file_ondisk(*out, path, GIT_CONFIG_LEVEL_LOCAL, NULL, 0)) < 0)
        rc = ds_fail_git(err, rc, "%s", path);
    /* Somebody else's broken configuration is no reason to fail. */
    if (!rc && inherit && git_config_find_global(&found) == 0)
        git_config_add_file_ondisk(*out, found.ptr, GIT_CONFIG_LEVEL_GLOBAL, NULL, 0);
    git_buf_dispose(&found);
    if (!rc && inherit && git_config_find_system(&found) == 0)
        git_config_add_file_ondisk(*out, found.ptr, GIT_CONFIG_LEVEL_SYSTEM, NULL, 0);
    git_buf_dispose(&found);
    free(path);
    return rc;
}

int ds_config_get(ds_buf *value, const char *dir, const char *name, bool inherit, ds_err *err)
{
    git_config *c;
    git_buf v = {0};
    int rc = config_open(&c, dir, inherit, err);
    if (!rc) {
        rc = git_config_get_string_buf(&v, c, name);
        if (rc == GIT_ENOTFOUND || rc == GIT_EINVALIDSPEC)
            rc = 0;
        else if (rc < 0)
            rc = ds_fail_git(err, rc, "config %s", name);
        else
            rc = 1;
    }
    ds_buf_reset(value);
    if (rc == 1 && ds_buf_put(value, v.ptr, v.size))
        rc = ds_fail_nomem(err);
    git_buf_dispose(&v);
    git_config_free(c);
    return rc;
}

/* One at a time. Git's library keeps others out by config.lock, which one who died leaves there; a
 * git command from outside may hold it for a moment. */
static int config_lock(int *fd, char **lock, const char *dir, ds_err *err)
{
    ds_buf left = {0};
    char *config = NULL;
    bool died = false;
    int rc = ds_store_path(lock, dir, "locks/config.lock", err);
    rc = rc ? rc : ds_store_path(&config, dir, "config", err);
    rc = rc ? rc : ds_notedlock_take(fd, *lock, "config", &left, &died, err);
    if (!rc && died)
        ds_gitlock_drop(config);
    free(config);
    ds_buf_fini(&left);
    return rc;
}

static int config_write(git_config *c, const char *dir, const char *name, const char *value)
{
    int rc = GIT_ELOCKED;
    for (int tries = 0; rc == GIT_ELOCKED && tries < CONFIG_TRIES; tries++) {
        const struct timespec t = {.tv_nsec = 10000000};
        if (tries)
            nanosleep(&t, NULL);
        const ds_sharing_scope scope = ds_sharing_begin(dir);
        rc = value ? git_config_set_string(c, name, value) : git_config_delete_entry(c, name);
        ds_sharing_end(scope);
    }
    return rc;
}

static int set(const char *dir, const char *name, const char *value, ds_err *err)
{
    git_config *c = NULL;
    char *lock = NULL;
    int fd = -1;
    int rc = config_lock(&fd, &lock, dir, err);
    const bool locked = !rc;
    rc = rc ? rc : config_open(&c, dir, false, err);
    if (!rc) {
        rc = config_write(c, dir, name, value);
        if (rc == GIT_EINVALIDSPEC)
            rc = ds_fail(err, DS_USAGE, "'%s' is not a configuration name (section.name)", name);
        else if (rc == GIT_ENOTFOUND)
            rc = ds_fail(err, DS_FAIL, "%s is not set", name);
        else if (rc < 0)
            rc = ds_fail_git(err, rc, "config %s", name);
    }
    if (locked)
        git_config_free(c);
    ds_notedlock_release(&fd, lock, rc == DS_LOCKED);
    free(lock);
    return rc;
}

int ds_config_set(const char *dir, const char *name, const char *value, ds_err *err)
{
    if (strcasecmp(name, format_name) == 0)
        return ds_fail(err, DS_USAGE, "%s is not to be changed by hand", format_name);
    if (strcasecmp(name, DS_CONFIG_SHARED) == 0)
        return ds_fail(err, DS_USAGE,
                       "%s says what all files are made as: dsver init --shared changes both",
                       DS_CONFIG_SHARED);
    return set(dir, name, value, err);
}

int ds_store_reshare(const char *given, enum ds_sharing how, ds_err *err)
{
    enum ds_sharing was;
    char *dir = NULL;
    int rc = ds_store_find_config(&dir, given, err);
    const int known = rc ? rc : ds_store_shared(&was, dir, err);
    rc = known ? (known < 0 ? known : 0) : ds_sharing_set(dir, how, err);
    if (known == 0 && !rc)
        rc = set(dir, DS_CONFIG_SHARED, ds_sharing_words[how], err);
    free(dir);
    return rc;
}

int ds_store_share(ds_store *s, enum ds_sharing how, ds_err *err)
{
    ds_buf is = {0};
    const char *value = how == DS_SHARED_UMASK ? NULL : ds_sharing_words[how];
    int rc = ds_sharing_set(s->dir, how, err);
    const int there = rc ? rc : ds_config_get(&is, s->dir, DS_CONFIG_SHARED, false, err);
    ds_buf_fini(&is);
    rc = there < 0 ? there : value || there ? set(s->dir, DS_CONFIG_SHARED, value, err) : 0;
    return rc ? rc : ds_catalog_share(s->cat, err);
}

int ds_config_each(const char *dir, ds_config_fn fn, void *ctx, ds_err *err)
{
    git_config *c;
    git_config_iterator *it = NULL;
    git_config_entry *e;
    int rc = config_open(&c, dir, false, err);
    if (!rc && (rc = git_config_iterator_new(&it, c)) < 0)
        rc = ds_fail_git(err, rc, "config");
    while (!rc && git_config_next(&e, it) == 0)
        rc = fn(ctx, e->name, e->value ? e->value : "");
    git_config_iterator_free(it);
    git_config_free(c);
    return rc;
}
