/* filesum.c - see filesum.h. */
#include "filesum.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "buf.h"

#define DEPTH 16

typedef struct names {
    char **v;
    size_t n, cap;
} names;

static int add_name(names *l, char *name, ds_err *err)
{
    if (ds_grow(&l->v, &l->cap, l->n, sizeof *l->v))
        return ds_fail_nomem(err);
    l->v[l->n++] = name;
    return 0;
}

/* Regular files below dir/at, as paths relative to dir. */
static int collect(names *l, const char *dir, const char *at, const char *except, int depth,
                   ds_err *err)
{
    char path[4096];
    struct dirent *e;
    int rc = 0;

    if (depth > DEPTH || snprintf(path, sizeof path, "%s/%s", dir, at) >= (int)sizeof path)
        return ds_fail(err, DS_FAIL, "%s/%s: too deep", dir, at);
    DIR *d = opendir(path);
    if (!d)
        return ds_fail_errno(err, errno, "%s", path);
    while (!rc && (errno = 0, e = readdir(d))) {
        char *name = NULL, full[8192];
        struct stat st;
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
            (except && !*at && !strcmp(e->d_name, except)))
            continue;
        if (asprintf(&name, "%s%s%s", at, *at ? "/" : "", e->d_name) < 0) {
            rc = ds_fail_nomem(err);
            break;
        }
        snprintf(full, sizeof full, "%s/%s", dir, name);
        if (stat(full, &st))
            rc = ds_fail_errno(err, errno, "%s", full);
        else if (S_ISDIR(st.st_mode))
            rc = collect(l, dir, name, except, depth + 1, err);
        else if (!S_ISREG(st.st_mode))
            rc = ds_fail(err, DS_FAIL, "%s: not a file", full);
        else
            rc = add_name(l, name, err);
        if (rc || S_ISDIR(st.st_mode))
            free(name);
    }
    if (!rc && errno)
        rc = ds_fail_errno(err, errno, "%s", path);
    closedir(d);
    return rc;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int ds_filesum_files(ds_sha *out, const char *dir, char *const *list, size_t n, ds_err *err)
{
    ds_buf text = {0};
    int rc = 0;

    for (size_t i = 0; !rc && i < n; i++) {
        char full[8192], hex[65];
        uint64_t size;
        ds_sha sum;
        snprintf(full, sizeof full, "%s/%s", dir, list[i]);
        rc = ds_sha_file(&sum, &size, full, err);
        if (rc)
            break;
        ds_sha_hex(hex, &sum);
        rc = ds_buf_printf(&text, "%s %" PRIu64 " %s\n", hex, size, list[i]) ? ds_fail_nomem(err)
                                                                             : 0;
    }
    rc = rc ? rc : ds_sha_bytes(out, text.data ? text.data : (const uint8_t *)"", text.len, err);
    ds_buf_fini(&text);
    return rc;
}

int ds_filesum_dir(ds_sha *out, const char *dir, const char *except, ds_err *err)
{
    names l = {0};
    int rc = collect(&l, dir, "", except, 0, err);

    qsort(l.v ? l.v : (char *[]){NULL}, l.n, sizeof *l.v, by_text);
    rc = rc ? rc : ds_filesum_files(out, dir, l.v, l.n, err);
    for (size_t i = 0; i < l.n; i++)
        free(l.v[i]);
    free(l.v);
    return rc;
}

/* ---- a model ---- */

static bool is_weights(const char *name)
{
    static const char ext[] = ".safetensors";
    const size_t n = strlen(name), k = sizeof ext - 1;

    return n > k && !strcmp(name + n - k, ext);
}

static int add_file(ds_buf *list, const char *name, ds_err *err)
{
    char *copy = strdup(name);

    if (!copy || ds_buf_put(list, &copy, sizeof copy)) {
        free(copy);
        return ds_fail_nomem(err);
    }
    return 0;
}

int ds_model_sum(ds_sha *out, const char *dir, ds_err *err)
{
    ds_buf list = {0};
    bool conf = false, weights = false;
    DIR *d = opendir(dir);
    int rc = d ? 0 : ds_fail_errno(err, errno, "%s", dir);

    for (struct dirent *e; !rc && (errno = 0, e = readdir(d));) {
        const bool c = !strcmp(e->d_name, "config.json"), w = is_weights(e->d_name);
        conf |= c;
        weights |= w;
        if (c || w || !strcmp(e->d_name, "model.safetensors.index.json"))
            rc = add_file(&list, e->d_name, err);
    }
    if (!rc && errno)
        rc = ds_fail_errno(err, errno, "%s", dir);
    if (d)
        closedir(d);
    if (!rc && (!conf || !weights))
        rc = ds_fail(err, DS_FAIL, "%s: no model: config.json and *.safetensors belong there", dir);
    char **v = (char **)(void *)list.data;
    const size_t n = list.len / sizeof *v;
    if (!rc) {
        qsort(v, n, sizeof *v, by_text);
        rc = ds_filesum_files(out, dir, v, n, err);
    }
    for (size_t i = 0; i < n; i++)
        free(v[i]);
    ds_buf_fini(&list);
    return rc;
}
