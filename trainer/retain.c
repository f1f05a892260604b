/* retain.c - see retain.h. */
#include "retain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint.h"
#include "io.h"
#include "rmtree.h"
#include "strlist.h"
#include "try.h"

static int by_number(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Steps of the folder's checkpoints, ascending. */
static int list(ds_buf *steps, const char *run_dir, ds_err *err)
{
    ds_strlist names = {0};
    uint64_t step;
    int rc = ds_strlist_folder(&names, run_dir, err);

    for (size_t i = 0; !rc && i < names.n; i++)
        if (ds_checkpoint_parse_name(names.v[i], &step) && ds_buf_put(steps, &step, sizeof step))
            rc = ds_fail_nomem(err);
    ds_strlist_fini(&names);
    if (steps->len)
        qsort(steps->data, steps->len / sizeof step, sizeof step, by_number);
    return rc;
}

static bool of_run(const char *dir, const ds_sha *run)
{
    ds_lineage l = {0};
    ds_sha digest;
    const bool yes = ds_lineage_read(&l, dir, NULL) == 0 &&
                     ds_run_digest(&digest, &l.run, NULL) == 0 && ds_sha_eq(&digest, run);

    ds_lineage_fini(&l);
    return yes;
}

static int remove_step(const char *run_dir, uint64_t step, const ds_sha *run, bool *removed,
                       ds_err *err)
{
    char name[32], old[48], from[DS_PATH], to[DS_PATH];

    *removed = false;
    ds_checkpoint_name(name, step);
    snprintf(old, sizeof old, ".%s.old", name);
    TRY(ds_path_join(from, run_dir, name, err));
    TRY(ds_path_join(to, run_dir, old, err));
    if (!of_run(from, run))
        return 0;
    ds_remove_tree(to);
    if (ds_io_active->rename(from, to))
        return ds_fail_errno(err, errno, "%s", from);
    *removed = true;
    int rc = ds_fsync_parent(from, err);
    ds_remove_tree(to);
    return rc;
}

int ds_retain(const char *run_dir, const ds_sha *run, const ds_retain_conf *c, ds_retain_fn fn,
              void *ctx, ds_err *err)
{
    ds_buf steps = {0};
    int rc = c->last ? list(&steps, run_dir, err) : 0;
    const uint64_t *s = (const uint64_t *)(const void *)steps.data;
    const size_t n = steps.len / sizeof *s;

    for (size_t i = 0; !rc && i + c->last < n; i++) {
        bool removed;
        if ((c->every && s[i] % c->every == 0) || s[i] == c->best)
            continue;
        rc = remove_step(run_dir, s[i], run, &removed, err);
        if (removed && fn)
            fn(ctx, s[i]);
    }
    ds_buf_fini(&steps);
    return rc;
}

void ds_retain_sweep(const char *run_dir)
{
    char path[DS_PATH];
    ds_strlist names = {0};

    (void)ds_strlist_folder_if_there(&names, run_dir, NULL);
    for (size_t i = 0; i < names.n; i++) {
        const char *name = names.v[i];
        const size_t len = strlen(name);
        if (strncmp(name, ".step-", 6) == 0 && len > 10 &&
            (!strcmp(name + len - 4, ".tmp") || !strcmp(name + len - 4, ".old")) &&
            ds_path_join(path, run_dir, name, NULL) == 0)
            ds_remove_tree(path);
    }
    ds_strlist_fini(&names);
}

int ds_retain_best(const char *run_dir, uint64_t step, ds_err *err)
{
    char name[32], link[DS_PATH], tmp[DS_PATH];

    ds_checkpoint_name(name, step);
    TRY(ds_path_join(link, run_dir, "best", err));
    TRY(ds_path_join(tmp, run_dir, ".best.tmp", err));
    ds_io_active->unlink(tmp);
    if (!step) /* only what leads somewhere: a folder of that name is not ours */
        return ds_io_active->unlink(link) && errno != ENOENT && errno != EISDIR
                   ? ds_fail_errno(err, errno, "%s", link)
                   : 0;
    if (symlink(name, tmp))
        return ds_fail_errno(err, errno, "%s", tmp);
    if (ds_io_active->rename(tmp, link)) {
        const int e = errno;
        ds_io_active->unlink(tmp);
        return ds_fail_errno(err, e, "%s", link);
    }
    return ds_fsync_parent(link, err);
}
