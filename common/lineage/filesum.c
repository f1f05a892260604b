/* filesum.c - see filesum.h. */
#include "filesum.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "buf.h"
#include "pool.h"
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

typedef struct file_job {
    char path[8192];
    ds_sha sum;
    uint64_t size;
    int rc;
    ds_err err;
} file_job;

static void sum_file(void *job, void *ctx)
{
    file_job *f = job;

    f->rc = ds_sha_file_until(&f->sum, &f->size, f->path, ctx, &f->err);
}

/* The oldest file's line. */
static int take_line(ds_pool *pool, ds_buf *text, const char *name, ds_err *err)
{
    file_job *f = ds_pool_next(pool);
    char hex[65];
    int rc = f->rc ? ds_fail(err, f->rc, "%s", f->err.msg) : 0;

    ds_sha_hex(hex, &f->sum);
    if (!rc && ds_buf_printf(text, "%s %" PRIu64 " %s\n", hex, f->size, name))
        rc = ds_fail_nomem(err);
    free(f);
    return rc;
}

/* Paths relative to dir, in byte order. */
static int sum_files(ds_sha *out, const char *dir, char *const *list, size_t n, int *stop,
                     ds_err *err)
{
    const int threads = n < (size_t)ds_cpu_count() ? (int)n : ds_cpu_count();
    ds_pool *pool = NULL;
    ds_buf text = {0};
    size_t taken = 0;
    int rc = ds_pool_new(&pool, threads, 2 * threads + 1, sum_file, stop, err);

    for (size_t i = 0; !rc && i < n; i++) {
        file_job *f = calloc(1, sizeof *f);
        if (!f) {
            rc = ds_fail_nomem(err);
            break;
        }
        snprintf(f->path, sizeof f->path, "%s/%s", dir, list[i]);
        rc = ds_pool_submit(pool, f, err);
        if (rc)
            free(f);
        while (!rc && ds_pool_full(pool))
            rc = take_line(pool, &text, list[taken++], err);
    }
    while (pool && !ds_pool_empty(pool)) {
        if (rc)
            free(ds_pool_next(pool));
        else
            rc = take_line(pool, &text, list[taken++], err);
    }
    if (pool)
        ds_pool_free(pool);
    rc = rc ? rc : ds_sha_bytes(out, text.data ? text.data : (const uint8_t *)"", text.len, err);
    ds_buf_fini(&text);
    return rc;
}

int ds_filesum_dir(ds_sha *out, const char *dir, const char *except, ds_err *err)
{
    ds_strlist l = {0};
    int rc = collect(&l, dir, "", except, 0, err);

    ds_strlist_sort(&l);
    rc = rc ? rc : sum_files(out, dir, l.v, l.n, NULL, err);
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

static int sum_until(ds_sha *out, const char *dir, int *stop, ds_err *err)
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
    rc = rc ? rc : sum_files(out, dir, files.v, files.n, stop, err);
    ds_strlist_fini(&there);
    ds_strlist_fini(&files);
    return rc;
}

int ds_model_sum(ds_sha *out, const char *dir, ds_err *err)
{
    return sum_until(out, dir, NULL, err);
}

struct ds_model_job {
    ds_beside beside;
    int stop;
    ds_sha sum;
    int rc;
    ds_err err;
    char dir[];
};

static void sum_model(void *arg)
{
    ds_model_job *job = arg;

    job->rc = sum_until(&job->sum, job->dir, &job->stop, &job->err);
}

int ds_model_sum_begin(ds_model_job **job, const char *dir, ds_err *err)
{
    const size_t n = strlen(dir) + 1;

    *job = calloc(1, sizeof **job + n);
    if (!*job)
        return ds_fail_nomem(err);
    memcpy((*job)->dir, dir, n);
    ds_beside_begin(&(*job)->beside, true, sum_model, *job);
    return 0;
}

int ds_model_sum_end(ds_model_job *job, ds_sha *out, ds_err *err)
{
    if (!job)
        return 0;
    if (!out)
        __atomic_store_n(&job->stop, 1, __ATOMIC_RELAXED);
    ds_beside_end(&job->beside, out != NULL);
    const int rc = out && job->rc ? ds_fail(err, job->rc, "%s", job->err.msg) : 0;
    if (out && !rc)
        *out = job->sum;
    free(job);
    return rc;
}
