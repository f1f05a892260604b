/* formats.c - the table of formats. */
#include <string.h>

#include "format.h"
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
    X(npz)

#define DECLARE(name) extern const ds_format ds_format_##name;
FORMATS(DECLARE)

#define ENTRY(name) &ds_format_##name,
const ds_format *const ds_formats[] = {FORMATS(ENTRY) NULL};

const ds_format *ds_format_find(const char *name)
{
    for (size_t i = 0; ds_formats[i]; i++)
        if (strcmp(ds_formats[i]->name, name) == 0)
            return ds_formats[i];
    return NULL;
}

const ds_format *ds_format_of(const char *path)
{
    const size_t n = ds_unpack_bare(path);
    for (size_t i = 0; ds_formats[i]; i++) {
        const size_t e = strlen(ds_formats[i]->ext);
        if (n > e && memcmp(path + n - e, ds_formats[i]->ext, e) == 0)
            return ds_formats[i];
    }
    return NULL;
}
