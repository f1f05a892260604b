/* What writers left in a store's folders that were killed. */
#include <dirent.h>
#include <string.h>

#include "gc_priv.h"
#include "rmtree.h"

static bool ends(const char *name, const char *with)
{
    const size_t n = strlen(name), k = strlen(with);
    return n > k && strcmp(name + n - k, with) == 0;
}

static bool begins(const char *name, const char *with)
{
    return strncmp(name, with, strlen(with)) == 0;
}

/* A file that a process left which was killed, or a store of its own (scratch-). */
static bool is_leftover(const char *folder, const char *name)
{
    if (strcmp(folder, "tmp") == 0)
        return ends(name, ".pack") || begins(name, "index-") || begins(name, "gather-") ||
               begins(name, DS_OBJ_SCRATCH);
    if (strcmp(folder, "files") == 0)
        return strstr(name, ".tmp-") != NULL;
    return begins(name, "id.");
}

static void clean_folder(ds_objgc *gc, const char *folder, bool dry_run, ds_gcstats *st)
{
    ds_buf path = {0};
    DIR *d = NULL;
    if (ds_buf_printf(&path, "%s/%s", gc->s->dir, folder) == 0 && ds_buf_cstr(&path))
        d = opendir(ds_buf_cstr(&path));
    for (struct dirent *e; d && (e = readdir(d));) {
        if (!is_leftover(folder, e->d_name))
            continue;
        ds_buf_reset(&path);
        if (ds_buf_printf(&path, "%s/%s/%s", gc->s->dir, folder, e->d_name) || !ds_buf_cstr(&path))
            break;
        if (!dry_run)
            ds_remove_tree(ds_buf_cstr(&path));
        st->tmp_removed += dry_run || !ds_path_exists(ds_buf_cstr(&path));
    }
    if (d)
        closedir(d);
    ds_buf_fini(&path);
}

/* Writers hold the lock shared, so with it held alone what lies there belongs to nobody. */
void ds_objgc_clean(ds_objgc *gc, bool dry_run, ds_gcstats *st)
{
    static const char *const folders[] = {"tmp", "files", "."};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        clean_folder(gc, folders[i], dry_run, st);
}
