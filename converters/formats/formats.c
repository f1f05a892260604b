/* formats.c - the table of formats. */
#include <dirent.h>
#include <string.h>

#include "format.h"
#include "io.h"
#include "strlist.h"
#include "unpack.h"

#define FORMATS(X)                                                                                 \
    X(jsonl)                                                                                       \
    X(csv)                                                                                         \
    X(mds)                                                                                         \
    X(tfrecord)                                                                                    \
    X(webdataset)                                                                                  \
    X(megatron)                                                                                    \
    X(llmc)                                                                                        \
    X(npy)                                                                                         \
    X(npz)                                                                                         \
    X(parquet)                                                                                     \
    X(arrow)                                                                                       \
    X(nifti)

#define DECLARE(name) extern const ds_format ds_format_##name;
FORMATS(DECLARE)

#define ENTRY(name) &ds_format_##name,
const ds_format *const ds_formats[] = {FORMATS(ENTRY) NULL};

enum { FOLDERS = 16 }; /* one in the other */

const ds_format *ds_format_find(const char *name)
{
    for (size_t i = 0; ds_formats[i]; i++)
        if (strcmp(ds_formats[i]->name, name) == 0)
            return ds_formats[i];
    return NULL;
}

const ds_format *ds_format_of(const char *path)
{
    const size_t n = ds_packmark_bare(path);
    for (size_t i = 0; ds_formats[i]; i++) {
        const size_t e = strlen(ds_formats[i]->ext);
        if (n > e && memcmp(path + n - e, ds_formats[i]->ext, e) == 0)
            return ds_formats[i];
    }
    return NULL;
}

static const ds_format *marked(const ds_strlist *names)
{
    for (size_t i = 0; ds_formats[i]; i++)
        for (size_t k = 0; ds_formats[i]->mark && k < names->n; k++)
            if (strcmp(names->v[k], ds_formats[i]->mark) == 0)
                return ds_formats[i];
    return NULL;
}

/* The one format that names in a folder and below it end as: *one, unless *many. */
static void common_end(const ds_strlist *names, const char *dir, int depth, const ds_format **one,
                       bool *many)
{
    char path[DS_PATH];

    for (size_t k = 0; k < names->n && !*many; k++) {
        const bool folder = ds_strlist_type(names->v[k]) == DT_DIR;
        const ds_format *f = folder ? NULL : ds_format_of(names->v[k]);
        ds_strlist below = {0};
        *many |= f && *one && f != *one;
        *one = f ? f : *one;
        if (folder && depth < FOLDERS && !ds_path_join(path, dir, names->v[k], NULL) &&
            !ds_strlist_folder(&below, path, NULL))
            common_end(&below, path, depth + 1, one, many);
        ds_strlist_fini(&below);
    }
}

const ds_format *ds_format_of_folder(const char *dir)
{
    ds_strlist names = {0};
    const ds_format *f = NULL;
    bool many = false;

    if (ds_strlist_folder(&names, dir, NULL) == 0 && !(f = marked(&names)))
        common_end(&names, dir, 0, &f, &many);
    ds_strlist_fini(&names);
    return many ? NULL : f;
}
