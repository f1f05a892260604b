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
    X(parquet)

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

/* The one format that names below a folder end as: *one, unless *many. What lies at the top, or at
 * what depth, makes no difference. */
static void common_end(const char *dir, int depth, const ds_format **one, bool *many)
{
    ds_strlist names = {0};
    char path[DS_PATH];

    if (ds_strlist_folder(&names, dir, NULL) == 0)
        for (size_t k = 0; k < names.n && !*many; k++) {
            const unsigned char type = ds_strlist_type(names.v[k]);
            const ds_format *f = type == DT_DIR ? NULL : ds_format_of(names.v[k]);
            *many |= f && *one && f != *one;
            *one = f ? f : *one;
            if (type == DT_DIR && depth < FOLDERS && !ds_path_join(path, dir, names.v[k], NULL))
                common_end(path, depth + 1, one, many);
        }
    ds_strlist_fini(&names);
}

const ds_format *ds_format_of_folder(const char *dir)
{
    ds_strlist names = {0};
    const ds_format *f = NULL;
    bool many = false;

    if (ds_strlist_folder(&names, dir, NULL) == 0 && !(f = marked(&names)))
        common_end(dir, 0, &f, &many);
    ds_strlist_fini(&names);
    return many ? NULL : f;
}
