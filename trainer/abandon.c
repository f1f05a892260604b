/* abandon.c - see abandon.h. Segments are linked into a folder that appears by rename, and only
 * then taken out of RUN/ledger: a stretch is whole or not there. */
#include "abandon.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checkpoint.h"
#include "io.h"
#include "net_priv.h"
#include "strlist.h"

typedef struct aside {
    const char *run;
    uint64_t step, number; /* of the stretch */
    char ledger[DS_PATH], all[DS_PATH], dir[DS_PATH];
    bool there; /* dir holds the stretch already */
} aside;

typedef int (*entry_fn)(aside *a, const char *name, ds_err *err);

/* fn for each name in a folder; one that is not there is empty. */
static int each(aside *a, const char *dir, entry_fn fn, ds_err *err)
{
    ds_strlist names = {0};
    int rc = ds_strlist_folder_if_there(&names, dir, err);

    for (size_t i = 0; !rc && i < names.n; i++)
        rc = fn(a, names.v[i], err);
    ds_strlist_fini(&names);
    return rc;
}

static bool is_later(const aside *a, const char *name)
{
    uint64_t first, last;

    return ds_ledger_parse_name(name, &first, &last) && last > a->step;
}

/* ---- where to ---- */

/* The stretch of a call that was cut short holds the very files that are to be set aside. */
static int same_file(aside *a, const char *name, ds_err *err)
{
    char x[DS_PATH], y[DS_PATH];
    struct stat s, t;

    if (!is_later(a, name))
        return 0;
    TRY(ds_path_join(x, a->ledger, name, err));
    TRY(ds_path_join(y, a->dir, name, err));
    a->there &=
        stat(x, &s) == 0 && stat(y, &t) == 0 && s.st_dev == t.st_dev && s.st_ino == t.st_ino;
    return 0;
}

static int last_stretch(aside *a, const char *name, ds_err *err)
{
    uint64_t number, from;

    if (!ds_stretch_parse_name(name, &number, &from) || number <= a->number)
        return 0;
    a->number = number;
    a->there = from == a->step;
    return ds_path_join(a->dir, a->all, name, err);
}

/* ---- moving ---- */

static int link_segment(aside *a, const char *name, ds_err *err)
{
    char from[DS_PATH], to[DS_PATH];

    if (!is_later(a, name))
        return 0;
    TRY(ds_path_join(from, a->ledger, name, err));
    TRY(ds_path_join(to, a->dir, name, err));
    return link(from, to) && errno != EEXIST ? ds_fail_errno(err, errno, "%s", to) : 0;
}

static int drop_segment(aside *a, const char *name, ds_err *err)
{
    char path[DS_PATH];

    if (!is_later(a, name))
        return 0;
    TRY(ds_path_join(path, a->ledger, name, err));
    return ds_io_active->unlink(path) ? ds_fail_errno(err, errno, "%s", path) : 0;
}

static int move_checkpoint(aside *a, const char *name, ds_err *err)
{
    char from[DS_PATH], to[DS_PATH];
    uint64_t step;

    if (!ds_checkpoint_parse_name(name, &step) || step <= a->step)
        return 0;
    TRY(ds_path_join(from, a->run, name, err));
    TRY(ds_path_join(to, a->dir, name, err));
    return ds_io_active->rename(from, to) ? ds_fail_errno(err, errno, "%s", to) : 0;
}

static int any_segment(aside *a, const char *name, ds_err *err)
{
    (void)err;
    return is_later(a, name) ? 1 : 0;
}

static int new_stretch(aside *a, ds_err *err)
{
    char name[48], tmp[64], final[DS_PATH];

    ds_stretch_name(name, a->number + 1, a->step);
    snprintf(tmp, sizeof tmp, ".%s.tmp", name);
    TRY(ds_path_join(final, a->all, name, err));
    TRY(ds_path_join(a->dir, a->all, tmp, err));
    TRY(ds_mkdirs(a->dir, err));
    TRY(each(a, a->ledger, link_segment, err));
    if (ds_io_active->rename(a->dir, final))
        return ds_fail_errno(err, errno, "%s", final);
    memcpy(a->dir, final, sizeof final);
    return ds_fsync_parent(final, err);
}

static int sync_folder(const char *dir, ds_err *err)
{
    char in[DS_PATH];

    TRY(ds_path_join(in, dir, ".", err));
    return ds_fsync_parent(in, err);
}

/* Segments are what says that there is something to set aside: they go when the rest has gone for
 * good. */
int ds_abandon(const char *run_dir, uint64_t step, ds_err *err)
{
    aside a = {.run = run_dir, .step = step};
    int rc;

    TRY(ds_path_join(a.ledger, run_dir, "ledger", err));
    TRY(ds_path_join(a.all, run_dir, "abandoned", err));
    rc = each(&a, a.ledger, any_segment, err);
    if (rc <= 0)
        return rc;
    TRY(each(&a, a.all, last_stretch, err));
    if (a.there)
        TRY(each(&a, a.ledger, same_file, err));
    if (!a.there)
        TRY(new_stretch(&a, err));
    TRY(each(&a, run_dir, move_checkpoint, err));
    TRY(sync_folder(a.dir, err));
    TRY(sync_folder(run_dir, err));
    TRY(each(&a, a.ledger, drop_segment, err));
    return sync_folder(a.ledger, err);
}
