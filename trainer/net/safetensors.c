/* safetensors.c - see safetensors.h. */
#include "safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io.h"
#include "json.h"
#include "kernels.h"
#include "try.h"

#define HEADER_MAX 100000000u

static const struct {
    const char *name;
    size_t size;
} DTYPES[] = {
    [DS_ST_F32] = {"F32", 4},   [DS_ST_F16] = {"F16", 2}, [DS_ST_BF16] = {"BF16", 2},
    [DS_ST_F64] = {"F64", 8},   [DS_ST_I64] = {"I64", 8}, [DS_ST_I32] = {"I32", 4},
    [DS_ST_I16] = {"I16", 2},   [DS_ST_I8] = {"I8", 1},   [DS_ST_U8] = {"U8", 1},
    [DS_ST_BOOL] = {"BOOL", 1},
};
#define NDTYPES (sizeof DTYPES / sizeof *DTYPES)

/* ---- reading ---- */

static int tensor_shape(ds_st_tensor *t, const json_t *v, const char *path, size_t *count,
                        ds_err *err)
{
    const json_t *dt = json_object_get(v, "dtype"), *shape = json_object_get(v, "shape");
    const char *name = json_string_value(dt);
    size_t k = 0;

    while (name && k < NDTYPES && strcmp(DTYPES[k].name, name))
        k++;
    if (!name || k == NDTYPES)
        return ds_fail(err, DS_CORRUPT, "%s: tensor '%s': unknown dtype '%s'", path, t->name,
                       name ? name : "(none)");
    t->dtype = (enum ds_st_dtype)k;
    if (!json_is_array(shape) || json_array_size(shape) > 8)
        return ds_fail(err, DS_CORRUPT, "%s: tensor '%s': its shape is not a list of up to 8 sizes",
                       path, t->name);
    t->ndim = (int)json_array_size(shape);
    *count = 1;
    for (int i = 0; i < t->ndim; i++) {
        const json_t *d = json_array_get(shape, (size_t)i);
        if (!json_is_integer(d) || json_integer_value(d) < 0)
            return ds_fail(err, DS_CORRUPT,
                           "%s: tensor '%s': size %d of its shape is not a whole number", path,
                           t->name, i);
        t->dims[i] = json_integer_value(d);
        if (!ds_mul_size(*count, (size_t)t->dims[i], count))
            return ds_fail(err, DS_CORRUPT, "%s: tensor '%s': its shape overflows", path, t->name);
    }
    return 0;
}

static int tensor_read(ds_st_tensor *t, const char *name, const json_t *v, const uint8_t *data,
                       size_t len, const char *path, ds_err *err)
{
    const json_t *off = json_object_get(v, "data_offsets");
    size_t count = 0, want;

    t->name = strdup(name);
    if (!t->name)
        return ds_fail_nomem(err);
    if (tensor_shape(t, v, path, &count, err))
        return DS_CORRUPT;
    const json_int_t b = json_integer_value(json_array_get(off, 0)),
                     e = json_integer_value(json_array_get(off, 1));
    if (!json_is_array(off) || json_array_size(off) != 2 ||
        !json_is_integer(json_array_get(off, 0)) || !json_is_integer(json_array_get(off, 1)) ||
        b < 0 || e < b || (uint64_t)e > len)
        return ds_fail(
            err, DS_CORRUPT,
            "%s: tensor '%s': data_offsets [%lld,%lld] do not lie in the %zu bytes of data: "
            "the file is cut short, or they are wrong",
            path, name, (long long)b, (long long)e, len);
    if (!ds_mul_size(count, DTYPES[t->dtype].size, &want) || want != (size_t)(e - b))
        return ds_fail(err, DS_CORRUPT,
                       "%s: tensor '%s': %lld bytes of data for a shape of %zu elements of %s",
                       path, name, (long long)(e - b), count, DTYPES[t->dtype].name);
    t->data = data + b;
    t->bytes = want;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const ds_st_tensor *)a)->name, ((const ds_st_tensor *)b)->name);
}

static int by_place(const void *a, const void *b)
{
    const ds_st_tensor *x = *(const ds_st_tensor *const *)a, *y = *(const ds_st_tensor *const *)b;

    if (x->data != y->data)
        return (const char *)x->data < (const char *)y->data ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

static int check_cover(const ds_st_file *f, const uint8_t *data, size_t len, ds_err *err)
{
    const ds_st_tensor **order = calloc(f->n ? f->n : 1, sizeof *order);
    const uint8_t *at = data;
    int rc = 0;

    if (!order)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < f->n; i++)
        order[i] = &f->t[i];
    qsort(order, f->n, sizeof *order, by_place);
    for (size_t i = 0; i < f->n && !rc; i++) {
        const uint8_t *p = order[i]->data;
        if (p != at)
            rc = ds_fail(err, DS_CORRUPT, "%s: tensor '%s' %s at byte %zu of the data", f->path,
                         order[i]->name, p < at ? "overlaps another" : "leaves a hole before it",
                         (size_t)(p - data));
        at = p + order[i]->bytes;
    }
    if (!rc && at != data + len)
        rc = ds_fail(err, DS_CORRUPT, "%s: %zu bytes at its end belong to no tensor", f->path,
                     (size_t)(data + len - at));
    free(order);
    return rc;
}

static int parse_header(ds_st_file *f, ds_err *err)
{
    const uint8_t *p = f->map;
    json_t *head = NULL;
    ds_err why = {0};
    const char *key;
    json_t *v;
    int rc;

    if (f->map_len < 8)
        return ds_fail(err, DS_CORRUPT, "%s: %zu bytes: too short for a safetensors file", f->path,
                       f->map_len);
    const uint64_t n = ds_get_u64(p);
    if (n > HEADER_MAX || n > f->map_len - 8 || n < 2 || p[8] != '{')
        return ds_fail(
            err, DS_CORRUPT,
            "%s: its header of %llu bytes does not fit: not a safetensors file, or cut short",
            f->path, (unsigned long long)n);
    rc = ds_json_parse(&head, p + 8, n, f->path, &why);
    if (rc)
        return ds_fail(err, rc == DS_FAIL ? DS_CORRUPT : rc, "%s", why.msg);
    const uint8_t *data = p + 8 + n;
    const size_t len = f->map_len - 8 - n;
    f->t = calloc(json_object_size(head) + 1, sizeof *f->t);
    if (!f->t)
        rc = ds_fail_nomem(err);
    json_object_foreach(head, key, v)
    {
        if (rc)
            break;
        if (!strcmp(key, "__metadata__"))
            continue;
        rc = tensor_read(&f->t[f->n++], key, v, data, len, f->path, err);
    }
    if (!rc) {
        rc = check_cover(f, data, len, err);
        qsort(f->t, f->n, sizeof *f->t, by_name);
    }
    json_decref(head);
    return rc;
}

int ds_st_open(ds_st_file *f, const char *path, ds_err *err)
{
    struct stat st;
    int fd = -1, rc;

    memset(f, 0, sizeof *f);
    f->path = strdup(path);
    if (!f->path)
        return ds_fail_nomem(err);
    rc = ds_open(&fd, path, O_RDONLY, 0, err);
    if (!rc && ds_io_active->fstat(fd, &st))
        rc = ds_fail_errno(err, errno, "%s: cannot look at it", path);
    if (!rc && (!S_ISREG(st.st_mode) || st.st_size <= 0))
        rc = ds_fail(err, DS_CORRUPT, "%s: empty, or not a file", path);
    if (!rc) {
        f->map_len = (size_t)st.st_size;
        f->map = mmap(NULL, f->map_len, PROT_READ, MAP_PRIVATE, fd, 0);
        if (f->map == MAP_FAILED) {
            f->map = NULL;
            rc = ds_fail_errno(err, errno, "%s: cannot map it", path);
        }
    }
    ds_close(&fd, path, NULL);
    if (!rc)
        rc = parse_header(f, err);
    if (rc)
        ds_st_close(f);
    return rc;
}

void ds_st_close(ds_st_file *f)
{
    for (size_t i = 0; i < f->n; i++)
        free(f->t[i].name);
    free(f->t);
    if (f->map)
        munmap(f->map, f->map_len);
    free(f->path);
    memset(f, 0, sizeof *f);
}

const ds_st_tensor *ds_st_find(const ds_st_file *f, const char *name)
{
    size_t lo = 0, hi = f->n;

    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        const int c = strcmp(f->t[mid].name, name);
        if (c == 0)
            return &f->t[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

int ds_st_to_f32(float *out, const ds_st_tensor *t, size_t at, size_t count, ds_err *err)
{
    const uint8_t *p = (const uint8_t *)t->data + at * DTYPES[t->dtype].size;

    switch (t->dtype) {
    case DS_ST_F32:
        memcpy(out, p, count * 4);
        return 0;
    case DS_ST_F16:
    case DS_ST_BF16:
        for (size_t i = 0; i < count; i++) {
            const uint16_t h = (uint16_t)(p[2 * i] | p[2 * i + 1] << 8);
            out[i] = t->dtype == DS_ST_F16 ? ds_f16_to(h) : ds_bf16_to(h);
        }
        return 0;
    case DS_ST_F64:
        for (size_t i = 0; i < count; i++) {
            double d;
            memcpy(&d, p + 8 * i, 8);
            out[i] = (float)d;
        }
        return 0;
    default:
        return ds_fail(err, DS_FAIL, "tensor '%s': weights of dtype %s are not supported", t->name,
                       DTYPES[t->dtype].name);
    }
}

/* ---- writing ---- */

static int by_size_then_name(const void *a, const void *b)
{
    const ds_st_tensor *x = *(const ds_st_tensor *const *)a, *y = *(const ds_st_tensor *const *)b;
    const size_t sx = DTYPES[x->dtype].size, sy = DTYPES[y->dtype].size;

    return sx != sy ? (sx > sy ? -1 : 1) : strcmp(x->name, y->name);
}

static int header_text(ds_buf *h, const ds_st_tensor **order, size_t n, const char *const *meta,
                       ds_err *err)
{
    uint64_t at = 0;
    int rc = ds_buf_puts(h, "{\"__metadata__\":{\"format\":\"pt\"");

    for (size_t i = 0; !rc && meta && meta[i]; i += 2) {
        rc = ds_buf_putc(h, ',');
        rc = rc ? rc : ds_json_str(h, meta[i], strlen(meta[i]));
        rc = rc ? rc : ds_buf_putc(h, ':');
        rc = rc ? rc : ds_json_str(h, meta[i + 1], strlen(meta[i + 1]));
    }
    rc = rc ? rc : ds_buf_putc(h, '}');
    for (size_t i = 0; !rc && i < n; i++) {
        const ds_st_tensor *t = order[i];
        rc = ds_buf_putc(h, ',');
        rc = rc ? rc : ds_json_str(h, t->name, strlen(t->name));
        rc = rc ? rc : ds_buf_printf(h, ":{\"dtype\":\"%s\",\"shape\":[", DTYPES[t->dtype].name);
        for (int d = 0; !rc && d < t->ndim; d++)
            rc = ds_buf_printf(h, d ? ",%lld" : "%lld", (long long)t->dims[d]);
        rc = rc ? rc
                : ds_buf_printf(h, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)at,
                                (unsigned long long)(at + t->bytes));
        at += t->bytes;
    }
    rc = rc ? rc : ds_buf_putc(h, '}');
    while (!rc && h->len % 8)
        rc = ds_buf_putc(h, ' ');
    return rc ? ds_fail_nomem(err) : 0;
}

static int write_data(int fd, const char *path, const ds_st_tensor *t, ds_st_fetch fetch, void *ctx,
                      ds_err *err)
{
    char *part;
    int rc = 0;

    if (!fetch)
        return ds_write_full(fd, path, t->data, t->bytes, err);
    part = malloc(DS_ST_PART);
    if (!part)
        return ds_fail_nomem(err);
    for (size_t at = 0; !rc && at < t->bytes; at += DS_ST_PART) {
        const size_t n = t->bytes - at < DS_ST_PART ? t->bytes - at : DS_ST_PART;
        rc = fetch(ctx, part, t, at, n, err);
        rc = rc ? rc : ds_write_full(fd, path, part, n, err);
    }
    free(part);
    return rc;
}

int ds_st_write(const char *path, const ds_st_tensor *tensors, size_t n,
                const char *const *metadata, ds_st_fetch fetch, void *ctx, ds_err *err)
{
    const ds_st_tensor **order = calloc(n ? n : 1, sizeof *order);
    ds_atomic a = {.fd = -1};
    ds_buf h = {0};
    uint8_t len[8];
    int rc;

    if (!order)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < n; i++)
        order[i] = &tensors[i];
    qsort(order, n, sizeof *order, by_size_then_name);
    rc = header_text(&h, order, n, metadata, err);
    if (!rc)
        rc = ds_atomic_open(&a, path, 0644, err);
    ds_set_u64(len, h.len);
    if (!rc)
        rc = ds_write_full(a.fd, path, len, 8, err);
    if (!rc)
        rc = ds_write_full(a.fd, path, h.data, h.len, err);
    for (size_t i = 0; !rc && i < n; i++)
        rc = write_data(a.fd, path, order[i], fetch, ctx, err);
    if (!rc)
        rc = ds_atomic_commit(&a, err);
    ds_atomic_abort(&a);
    ds_buf_fini(&h);
    free(order);
    return rc;
}

/* ---- a model's files ---- */

static int open_shards(ds_st_set *s, const char *dir, const json_t *index, const char *index_path,
                       ds_err *err)
{
    json_t *map = json_object_get(index, "weight_map"), *v;
    const char *key;
    int rc = 0;

    if (!json_is_object(map))
        return ds_fail(err, DS_CORRUPT, "%s: it has no weight_map", index_path);
    s->files = calloc(json_object_size(map) + 1, sizeof *s->files);
    if (!s->files)
        return ds_fail_nomem(err);
    json_object_foreach(map, key, v)
    {
        const char *name = json_string_value(v);
        char path[DS_PATH];
        size_t i = 0;
        if (rc)
            break;
        if (!name || strchr(name, '/') || !*name)
            return ds_fail(err, DS_CORRUPT, "%s: '%s' lies in no plain file name", index_path, key);
        TRY(ds_path_join(path, dir, name, err));
        while (i < s->n && strcmp(s->files[i].path, path))
            i++;
        if (i == s->n) {
            rc = ds_st_open(&s->files[s->n], path, err);
            s->n += !rc;
        }
        if (!rc && !ds_st_find(&s->files[i], key))
            rc = ds_fail(err, DS_CORRUPT, "%s: tensor '%s' is not in %s", index_path, key, name);
    }
    return rc;
}

int ds_st_set_open(ds_st_set *s, const char *dir, ds_err *err)
{
    char path[DS_PATH];
    ds_buf text = {0};
    json_t *index = NULL;
    int rc;

    memset(s, 0, sizeof *s);
    TRY(ds_path_join(path, dir, "model.safetensors.index.json", err));
    if (ds_path_exists(path)) {
        rc = ds_read_file(&text, path, 256u << 20, err);
        rc = rc ? rc : ds_json_parse(&index, text.data, text.len, path, err);
        rc = rc ? rc : open_shards(s, dir, index, path, err);
        s->map = json_incref(json_object_get(index, "weight_map"));
        json_decref(index);
        ds_buf_fini(&text);
    } else {
        snprintf(path, sizeof path, "%s/model.safetensors", dir);
        s->files = calloc(1, sizeof *s->files);
        rc = s->files ? ds_st_open(s->files, path, err) : ds_fail_nomem(err);
        s->n = !rc;
    }
    if (rc)
        ds_st_set_close(s);
    return rc;
}

const ds_st_tensor *ds_st_set_find(const ds_st_set *s, const char *name, const char **file)
{
    const char *in = json_string_value(json_object_get(s->map, name));

    for (size_t i = 0; i < s->n; i++) {
        const ds_st_tensor *t = ds_st_find(&s->files[i], name);
        if (t && (!in || !strcmp(strrchr(s->files[i].path, '/') + 1, in))) {
            if (file)
                *file = s->files[i].path;
            return t;
        }
    }
    return NULL;
}

void ds_st_set_close(ds_st_set *s)
{
    for (size_t i = 0; i < s->n; i++)
        ds_st_close(&s->files[i]);
    free(s->files);
    json_decref(s->map);
    memset(s, 0, sizeof *s);
}
