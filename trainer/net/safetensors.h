/* safetensors.h - tensors in a file: u64 LE header length, a JSON object, then the data, row-major,
 * without holes.
 *
 * Source: the safetensors format description (version 0.4). Files are mapped; tensors lend their
 * bytes until close. A header that lies (offsets out of range, overlapping, with holes, sizes that
 * do not follow from shapes, duplicate names, over 100 MB) is DS_CORRUPT naming file and tensor.
 * Written files are a pure function of their contents: tensors sorted by falling element size, then
 * name.
 */
#ifndef DS_SAFETENSORS_H
#define DS_SAFETENSORS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

enum ds_st_dtype {
    DS_ST_F32,
    DS_ST_F16,
    DS_ST_BF16,
    DS_ST_F64,
    DS_ST_I64,
    DS_ST_I32,
    DS_ST_I16,
    DS_ST_I8,
    DS_ST_U8,
    DS_ST_BOOL
};

typedef struct ds_st_tensor {
    char *name;
    enum ds_st_dtype dtype;
    int ndim;
    int64_t dims[8];
    const void *data; /* may be unaligned */
    size_t bytes;
} ds_st_tensor;

typedef struct ds_st_file {
    char *path;
    void *map;
    size_t map_len;
    ds_st_tensor *t; /* sorted by name */
    size_t n;
} ds_st_file;

int ds_st_open(ds_st_file *f, const char *path, ds_err *err);
void ds_st_close(ds_st_file *f); /* accepts a zeroed object */
const ds_st_tensor *ds_st_find(const ds_st_file *f, const char *name);

/* Converts count elements (F32, F16, BF16, F64) to f32 from element `at` on. Other dtypes fail by
 * name. */
int ds_st_to_f32(float *out, const ds_st_tensor *t, size_t at, size_t count, ds_err *err);

/* Writes whole or not at all (a temporary, fsync, rename). metadata: pairs name, value,
 * NULL-terminated; {"format":"pt"} is always there. Data that lies elsewhere than in the memory of
 * this process comes through fetch, a part at a time: `bytes` from `at` of tensor t, which is one
 * of those given. NULL: it lies here. */
#define DS_ST_PART ((size_t)1 << 22)
typedef int (*ds_st_fetch)(void *ctx, void *host, const ds_st_tensor *t, size_t at, size_t bytes,
                           ds_err *err);
int ds_st_write(const char *path, const ds_st_tensor *tensors, size_t n,
                const char *const *metadata, ds_st_fetch fetch, void *ctx, ds_err *err);

/* A model's files: model.safetensors, or the shards that model.safetensors.index.json names. */
typedef struct ds_st_set {
    ds_st_file *files;
    size_t n;
    json_t *map; /* names of tensors to those of files, by the index; NULL without one */
} ds_st_set;
int ds_st_set_open(ds_st_set *s, const char *dir, ds_err *err);
/* Where several files have a tensor of that name, that of the file that the index names. */
const ds_st_tensor *ds_st_set_find(const ds_st_set *s, const char *name, const char **file);
void ds_st_set_close(ds_st_set *s);

#endif
