/* filesum.c - see filesum.h. */
#include "filesum.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "buf.h"
#include "strlist.h"

#define DEPTH 16

/* Regular files below dir/at, as paths relative to dir. */
static int collect(ds_strlist *l, const char *dir, const char *at, const char *except, int depth,
                   ds_err *err)
{
    ds_strlist here = {0};
    char path[4096];

    if (depth > DEPTH || snprintf(path, sizeof path, "%s/%s", dir, at) >= (int)sizeof path)
        return ds_fail(err, DS_FAIL, "%s/%s: too deep", dir, at);
    int rc = ds_strlist_folder(&here, path, err);
    for (size_t i = 0; !rc && i < here.n; i++) {
        char *name = NULL, full[8192];
        struct stat st;
        if (except && !*at && !strcmp(here.v[i], except))
            continue;
        if (asprintf(&name, "%s%s%s", at, *at ? "/" : "", here.v[i]) < 0) {
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
            rc = ds_strlist_add(l, name, err);
        free(name);
    }
    ds_strlist_fini(&here);
    return rc;
}

/* Paths relative to dir, in byte order. */
static int sum_files(ds_sha *out, const char *dir, char *const *list, size_t n, ds_err *err)
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
    ds_strlist l = {0};
    int rc = collect(&l, dir, "", except, 0, err);

    ds_strlist_sort(&l);
    rc = rc ? rc : sum_files(out, dir, l.v, l.n, err);
    ds_strlist_fini(&l);
    return rc;
}

/* ---- a model ---- */

static bool is_weights(const char *name)
{
    static const char ext[] = ".safetensors";
    const size_t n = strlen(name), k = sizeof ext - 1;

    return n > k && !strcmp(name + n - k, ext);
}

int ds_model_sum(ds_sha *out, const char *dir, ds_err *err)
{
    ds_strlist there = {0}, files = {0};
    bool conf = false, weights = false;
    int rc = ds_strlist_folder(&there, dir, err);

    for (size_t i = 0; !rc && i < there.n; i++) {
        const char *name = there.v[i];
        const bool c = !strcmp(name, "config.json"), w = is_weights(name);
        conf |= c;
        weights |= w;
        if (c || w || !strcmp(name, "model.safetensors.index.json"))
            rc = ds_strlist_add(&files, name, err);
    }
    if (!rc && (!conf || !weights))
        rc = ds_fail(err, DS_FAIL, "%s: no model: config.json and *.safetensors belong there", dir);
    rc = rc ? rc : sum_files(out, dir, files.v, files.n, err);
    ds_strlist_fini(&there);
    ds_strlist_fini(&files);
    return rc;
}
